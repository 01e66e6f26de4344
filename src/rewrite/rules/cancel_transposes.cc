#include <algorithm>
#include <array>

#include "rewrite/rules/rules.h"

namespace hayate {
namespace {

constexpr size_t kChainMax = 16;
using Perm = std::vector<int64_t>;

bool is_elementwise(const Node& node) {
  static constexpr std::array<std::string_view, 34> kOps = {
      "Relu",     "LeakyRelu",  "Sigmoid", "Tanh", "Elu",   "Selu",  "Celu", "HardSigmoid", "HardSwish",
      "Softplus", "Softsign",   "Mish",    "Gelu", "Neg",   "Abs",   "Sqrt", "Exp",         "Log",
      "Erf",      "Reciprocal", "Floor",   "Ceil", "Clip",  "Cast",  "Add",  "Sub",         "Mul",
      "Div",      "Pow",        "Min",     "Max",  "PRelu", "Round", "Sign"};
  return node.outputs.size() == 1 &&
         ((node.domain == "hayate" && node.op == "Silu") ||
          (node.domain.empty() && std::find(kOps.begin(), kOps.end(), node.op) != kOps.end()));
}

// From a Transpose up over elementwise nodes whose values nobody else reads, to the Transposes that they read.
struct Chain {
  std::vector<Node*> nodes;       // last first
  std::vector<std::string> tops;  // what the topmost reads, each made by a Transpose by `perm`
  Perm perm;
};

bool add_top(Editor* editor, const std::string& name, Chain* chain) {
  const Node* node = editor->maker(name);
  if (node == nullptr || !node->is("Transpose")) return false;
  const Perm perm = node->get<Perm>("perm", {});
  if (perm.empty() || (!chain->tops.empty() && perm != chain->perm)) return false;
  chain->perm = perm;
  if (std::find(chain->tops.begin(), chain->tops.end(), name) == chain->tops.end()) chain->tops.push_back(name);
  return true;
}

std::optional<Chain> chain_above(Editor* editor, const Node& transpose) {
  Chain chain;
  std::string value = transpose.inputs[0];
  while (chain.nodes.size() < kChainMax) {
    Node* node = editor->maker(value);
    const TensorType* type = editor->type(value);
    if (node == nullptr || type == nullptr || editor->only_reader(value) == nullptr || !is_elementwise(*node))
      return std::nullopt;
    chain.nodes.push_back(node);
    std::vector<std::string> read;
    for (const std::string& name : node->inputs) {
      const TensorType* in = name.empty() ? nullptr : editor->type(name);
      if (name.empty()) continue;
      if (in == nullptr || in->shape.size() > type->shape.size()) return std::nullopt;
      if (editor->constant(name) != nullptr) continue;
      if (in->shape.size() != type->shape.size()) return std::nullopt;
      read.push_back(name);
    }
    const bool all = !read.empty() && std::all_of(read.begin(), read.end(), [&](const std::string& name) {
      return add_top(editor, name, &chain);
    });
    if (all) return chain;
    if (read.size() != 1) return std::nullopt;
    value = read[0];
  }
  return std::nullopt;
}

// axis perm[k] of what comes out is axis k of `shape`.
Shape back(const Shape& shape, const Perm& perm) {
  Shape made(shape.size());
  for (size_t k = 0; k < perm.size(); ++k) made[static_cast<size_t>(perm[k])] = shape[k];
  return made;
}

// A constant that broadcast against the transposed value, for the value as it was before.
std::string constant_back(Editor* editor, const std::string& name, const Perm& perm) {
  const Tensor& tensor = *editor->constant(name);
  if (tensor.count() == 1) return name;
  Shape shape(perm.size() - tensor.shape().size(), 1);
  shape.insert(shape.end(), tensor.shape().begin(), tensor.shape().end());
  Perm order(perm.size());
  for (size_t k = 0; k < perm.size(); ++k) order[static_cast<size_t>(perm[k])] = static_cast<int64_t>(k);
  const Tensor whole = tensor.reshaped(shape);
  const Node transpose{"", "", "Transpose", {name}, {"moved"}, {{"perm", order}}};
  return editor->add_constant(name + "/back", run_node(transpose, editor->graph().opset, {&whole}).value()[0]);
}

void move_up(Editor* editor, const Chain& chain) {
  for (Node* node : chain.nodes) {
    std::vector<std::string> inputs = node->inputs;
    for (std::string& name : inputs) {
      if (name.empty()) continue;
      if (std::find(chain.tops.begin(), chain.tops.end(), name) != chain.tops.end())
        name = editor->maker(name)->inputs[0];
      else if (editor->constant(name) != nullptr)
        name = constant_back(editor, name, chain.perm);
    }
    TensorType type = *editor->type(node->outputs[0]);
    type.shape = back(type.shape, chain.perm);
    editor->set_type(node->outputs[0], type);
    editor->set_inputs(node, inputs);
  }
}

}  // namespace

// T2(f(T1(x), c)) = f(x, c') with c' = c moved back where T2 undoes T1; else one Transpose that does both stays behind
// f.
void cancel_transposes(Editor* editor) {
  for (size_t i = 0; i < editor->node_count(); ++i) {
    Node& node = editor->node(i);
    if (!node.is("Transpose")) continue;
    const Perm second = node.get<Perm>("perm", {});
    const std::optional<Chain> chain = chain_above(editor, node);
    if (!chain || chain->perm.size() != second.size()) continue;
    Perm merged;
    bool identity = true, alone = true;
    for (size_t k = 0; k < second.size(); ++k) {
      merged.push_back(chain->perm[static_cast<size_t>(second[k])]);
      identity = identity && merged[k] == static_cast<int64_t>(k);
    }
    for (const std::string& top : chain->tops) alone = alone && editor->only_reader(top) != nullptr;
    if (!identity && !alone) continue;  // nothing would go
    move_up(editor, *chain);
    const std::string value = node.inputs[0];
    if (identity && editor->replace(node.outputs[0], value))
      editor->remove(&node);
    else
      node.attributes["perm"] = merged;
  }
}

}  // namespace hayate
