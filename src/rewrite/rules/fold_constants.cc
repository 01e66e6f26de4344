#include <algorithm>

#include "eval/macs.h"
#include "graph/window.h"
#include "rewrite/rules/rules.h"

namespace hayate {
namespace {

constexpr int64_t kGrowthMax = 1 << 20;  // elements that folding may make of fewer: an Expand must not fill the memory
// Steps (work_of) that one pass may take: about a tenth of a second, and some for each element of a constant. What is
// left is computed in each run.
constexpr int64_t kWorkMax = 1 << 27, kWorkPerElement = 32;

// Steps that computing the node takes; the most there is where its types are not known.
int64_t work_for(const Node& node, const Editor& editor) {
  Facts own;
  for (const auto* names : {&node.inputs, &node.outputs})
    for (const std::string& name : *names) {
      if (name.empty()) continue;
      const TensorType* known = editor.type(name);
      const Tensor* tensor = known == nullptr ? editor.constant(name) : nullptr;
      if (known == nullptr && tensor == nullptr) return INT64_MAX;
      own.emplace(name, Fact{known != nullptr ? *known : TensorType{tensor->type(), tensor->shape()}, std::nullopt});
    }
  return work_of(node, own);
}

// Whether a layer that runs on integers reads those as its weights: it reads its input through DequantizeLinear too, or
// that is a state.
bool is_integer_layer(const Node& reader, const std::string& weights, Editor* editor) {
  if (reader.inputs.size() < 2 || reader.inputs[0] == weights) return false;
  const bool own = reader.domain == "hayate";
  if (own && (reader.op == "RecurrentSteps" || reader.op == "RecurrentProduct"))  // over a state of known bounds
    return reader.inputs[1] == weights;
  const Node* input = editor->maker(reader.inputs[0]);
  const auto is_one = [&](std::initializer_list<std::string_view> ops) {
    return std::any_of(ops.begin(), ops.end(), [&](std::string_view op) { return reader.op == op; });
  };
  return input != nullptr && input->is("DequantizeLinear") &&
         (own ? reader.op == "RecurrentInput" || is_conv_part(reader)
              : reader.domain.empty() && is_one({"Gemm", "MatMul", "Conv", "LSTM", "GRU", "RNN"}));
}

// Weights of layers on integers, which a backend may run as they are.
bool stays_integer(const Node& node, Editor* editor) {
  if (!node.is("DequantizeLinear")) return false;
  const std::string& weights = node.outputs[0];
  const std::vector<const Node*> readers = editor->readers(weights);
  return !readers.empty() && editor->use_count(weights) == readers.size() &&
         std::all_of(readers.begin(), readers.end(),
                     [&](const Node* reader) { return is_integer_layer(*reader, weights, editor); });
}

}  // namespace

// What infer() could follow is known already (shape chains end there); weights, which it leaves alone, are computed
// here.
void fold_constants(Editor* editor) {
  Graph& graph = editor->graph();
  int64_t work_left = kWorkMax + kWorkPerElement * std::min(graph.parameter_count(), int64_t{1} << 50);
  for (size_t i = 0; i < editor->node_count(); ++i) {
    Node& node = editor->node(i);
    if (node.op.find("Random") != std::string::npos || stays_integer(node, editor)) continue;
    const bool named = std::any_of(node.outputs.begin(), node.outputs.end(),
                                   [&](const std::string& name) { return editor->is_output(name); });
    if (named || node.outputs.empty()) continue;
    std::vector<Tensor> values;
    bool known = true;
    for (const std::string& name : node.outputs) {
      const Tensor* value = name.empty() ? nullptr : editor->constant(name);
      known = known && (name.empty() || value != nullptr);
      values.push_back(value == nullptr ? Tensor() : *value);
    }
    if (!known) {
      std::vector<const Tensor*> inputs;
      int64_t count = 0, made = 0;
      known = true;
      for (const std::string& name : node.inputs) {
        inputs.push_back(name.empty() ? nullptr : editor->constant(name));
        known = known && (name.empty() || inputs.back() != nullptr);
        if (inputs.back() != nullptr) count += inputs.back()->count();
      }
      for (const std::string& name : node.outputs)
        if (const TensorType* type = editor->type(name)) made += checked_count(type->shape).value();
      if (!known || made > std::max(count, kGrowthMax)) continue;
      const int64_t work = work_for(node, *editor);
      if (work > work_left) continue;
      work_left -= work;
      Result<std::vector<Tensor>> ran = run_node(node, graph.opset, inputs);
      if (!ran.ok()) continue;  // the run will say so
      values = std::move(ran).value();
    }
    for (size_t k = 0; k < node.outputs.size(); ++k)
      if (!node.outputs[k].empty()) graph.constants.insert_or_assign(node.outputs[k], values[k]);
    editor->remove(&node);
  }
}

}  // namespace hayate
