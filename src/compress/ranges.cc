#include "compress/ranges.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "graph/window.h"

namespace hayate {

bool can_be_integers(const Graph& graph, const Node& node) {
  const auto floats = [&](size_t i) {
    const Tensor* tensor = graph.constant(node.input(i));
    return tensor != nullptr && tensor->type() == Type::kFloat32 && tensor->count() > 0;
  };
  if (node.input(0).empty() || graph.constant(node.inputs[0]) != nullptr || !floats(1)) return false;
  const int64_t rank = graph.constant(node.inputs[1])->rank();
  if (node.is("Gemm"))
    return rank == 2 && node.get<int64_t>("transA", 0) == 0 && node.get<float>("alpha", 1.0f) == 1.0f;
  if (node.is("MatMul")) return rank == 2;
  if (node.is("Conv") || is_conv_part(node)) return rank > 2 && node.get<int64_t>("group", 1) == 1;
  if (node.domain == "hayate" && node.op == "RecurrentInput") return rank == 3;
  return (node.is("LSTM") || node.is("GRU") || node.is("RNN")) && rank == 3 && floats(2);
}

Result<Ranges> find_ranges(const Graph& graph, const std::map<std::string, Tensor>& inputs) {
  Graph asked = graph;
  std::set<std::string> wanted;
  for (const Node& node : graph.nodes)
    if (can_be_integers(graph, node)) wanted.insert(node.inputs[0]);
  asked.outputs.clear();
  Ranges ranges;
  const auto take = [&](const std::string& name, const Tensor& tensor) {
    if (tensor.type() != Type::kFloat32) return;
    Range& range = ranges[name];
    for (int64_t i = 0; i < tensor.count(); ++i) {
      const float value = tensor.data<float>()[i];
      if (!std::isfinite(value)) continue;
      range.low = std::min(range.low, value), range.high = std::max(range.high, value);
    }
  };
  for (const std::string& name : wanted) {
    if (const auto given = inputs.find(name); given != inputs.end())
      take(name, given->second);
    else
      asked.outputs.push_back({name, Type::kFloat32, false, {}});
  }
  const Result<std::map<std::string, Tensor>> values = evaluate(asked, inputs);
  if (!values.ok()) return values.error();
  for (const auto& [name, tensor] : values.value()) take(name, tensor);
  return ranges;
}

}  // namespace hayate
