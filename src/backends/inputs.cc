#include "backends/inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "backends/batch.h"
#include "eval/inference.h"
#include "import/onnx/onnx.h"
#include "tensor/npy.h"

namespace hayate {
namespace {

std::string input_list(const Graph& graph) {
  std::string text;
  for (const ValueInfo& input : graph.inputs) text += (text.empty() ? "" : "; ") + input.text();
  return text.empty() ? "none" : text;
}

}  // namespace

Result<std::map<std::string, Tensor>> read_inputs(const std::string& path, const Graph& graph) {
  if (!path.ends_with(".npy") && !path.ends_with(".pb")) return read_npz(path);
  if (graph.inputs.size() != 1)
    return Error{Code::kInvalidArgument, path,
                 fmt::format("holds one array; the model takes {} inputs, so give an .npz ({})", graph.inputs.size(),
                             input_list(graph))};
  const Result<std::string> bytes = read_file(path);
  if (!bytes.ok()) return bytes.error();
  std::string name;
  Result<Tensor> tensor =
      path.ends_with(".npy") ? parse_npy(bytes.value(), path) : import_onnx_tensor(bytes.value(), path, &name);
  if (!tensor.ok()) return tensor.error();
  return std::map<std::string, Tensor>{{graph.inputs[0].name, std::move(tensor).value()}};
}

void open_defaults(Graph* graph, const std::map<std::string, Tensor>& given) {
  std::erase_if(graph->defaults, [&](const ValueInfo& value) {
    if (!given.contains(value.name)) return false;
    graph->constants.erase(value.name);
    graph->inputs.push_back(value);
    return true;
  });
}

Result<std::map<std::string, Tensor>> checked_inputs(std::map<std::string, Tensor> given, const Graph& graph) {
  std::map<std::string, Tensor> inputs;
  std::map<std::string, int64_t> symbols;
  for (const ValueInfo& input : graph.inputs) {
    const auto bad = [&](std::string what) {
      return Error{Code::kInvalidArgument, graph.source,
                   fmt::format("input '{}' {}; accepted: {}", input.name, what, input.text())};
    };
    const auto it = given.find(input.name);
    if (it == given.end()) return bad("is not given");
    Tensor tensor = it->second;
    if (tensor.type() == Type::kFloat32 && input.type == Type::kFloat64) {
      Tensor wide(Type::kFloat64, tensor.shape());
      for (int64_t i = 0; i < tensor.count(); ++i)
        wide.data<double>()[i] = static_cast<double>(tensor.data<float>()[i]);
      tensor = wide;
    }
    if (tensor.type() != input.type) return bad(fmt::format("is {}", type_name(tensor.type())));
    if (input.has_shape && tensor.shape().size() != input.dims.size())
      return bad(fmt::format("has shape {}", shape_text(tensor.shape())));
    for (size_t i = 0; i < input.dims.size(); ++i) {
      const Dim& dim = input.dims[i];
      const int64_t extent = tensor.shape()[i];
      if (dim.fixed() && dim.value != extent)
        return bad(fmt::format("has shape {}, axis {} must be {}", shape_text(tensor.shape()), i, dim.value));
      if (dim.fixed() || dim.symbol.empty()) continue;
      const auto [known, fresh] = symbols.emplace(dim.symbol, extent);
      if (!fresh && known->second != extent)
        return bad(fmt::format("has shape {}, but '{}' is {} in another input", shape_text(tensor.shape()), dim.symbol,
                               known->second));
    }
    given.erase(it);
    inputs.emplace(input.name, std::move(tensor));
  }
  if (!given.empty())
    return Error{Code::kInvalidArgument, graph.source,
                 fmt::format("has no input '{}'; its inputs are: {}", given.begin()->first, input_list(graph))};
  return inputs;
}

std::map<std::string, TensorType> types_of(const std::map<std::string, Tensor>& tensors) {
  std::map<std::string, TensorType> types;
  for (const auto& [name, tensor] : tensors) types.emplace(name, TensorType{tensor.type(), tensor.shape()});
  return types;
}

Tensor random_tensor(Type type, const Shape& shape, uint64_t seed) {
  Tensor tensor(type, shape);
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  visit_type(type, [&]<typename T>() {
    for (int64_t i = 0; i < tensor.count(); ++i) {
      if constexpr (std::is_floating_point_v<T>)
        tensor.data<T>()[i] = static_cast<T>(normal(random));
      else if constexpr (std::is_same_v<T, bool>)
        tensor.data<T>()[i] = (random() & 1) != 0;
      else
        tensor.data<T>()[i] = static_cast<T>(random() % (std::is_same_v<T, int8_t> ? 128 : 256));
    }
  });
  return tensor;
}

// Lengths of the sequences of a recurrent layer: 1 to its steps.
void cut_lengths(const Graph& graph, const InputTypes& types, std::map<std::string, Tensor>* made) {
  for (const Node& node : graph.nodes) {
    if (node.op != "LSTM" && node.op != "GRU" && node.op != "RNN" && node.op != "DynamicQuantizeLSTM") continue;
    const auto it = made->find(node.input(4));
    if (it == made->end() || it->second.type() != Type::kInt32) continue;
    const Result<Facts> facts = infer(graph, types);
    if (!facts.ok()) return;
    const Shape& x = facts.value().at(node.input(0)).type.shape;
    const size_t axis = node.get<int64_t>("layout", 0) != 0 ? 1 : 0;
    const int32_t steps = static_cast<int32_t>(x.size() > axis ? std::clamp<int64_t>(x[axis], 1, INT32_MAX) : 1);
    for (int64_t i = 0; i < it->second.count(); ++i)
      it->second.data<int32_t>()[i] = 1 + it->second.data<int32_t>()[i] % steps;
  }
}

Result<std::map<std::string, Tensor>> made_inputs(const Graph& graph, int64_t batch, uint64_t seed) {
  const Result<InputTypes> types = declared_types(graph, batch);
  if (!types.ok()) return types.error();
  std::map<std::string, Tensor> made;
  for (const ValueInfo& input : graph.inputs) {
    const TensorType& type = types.value().at(input.name);
    const Result<bool> room = Tensor::fits(type.type, type.shape, graph.source + ": input '" + input.name + "'");
    if (!room.ok()) return room.error();
    made.emplace(input.name, random_tensor(type.type, type.shape, seed++));
  }
  cut_lengths(graph, types.value(), &made);
  return made;
}

}  // namespace hayate
