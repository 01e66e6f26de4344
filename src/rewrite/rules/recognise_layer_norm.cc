#include <algorithm>

#include "rewrite/rules/rules.h"

namespace hayate {
namespace {

// Whether the node is the mean of its input over the last axis alone, which is kept.
bool is_last_mean(Editor* editor, const Node* node) {
  if (node == nullptr || !node->is("ReduceMean") || node->get<int64_t>("keepdims", 1) == 0) return false;
  std::vector<int64_t> axes = node->get<std::vector<int64_t>>("axes", {});
  if (const Tensor* given = node->input(1).empty() ? nullptr : editor->constant(node->input(1)))
    axes = to_int64s(*given);
  const TensorType* type = editor->type(node->inputs[0]);
  return type != nullptr && axes.size() == 1 &&
         (axes[0] == -1 || axes[0] == static_cast<int64_t>(type->shape.size()) - 1);
}

// The name of the value whose square `name` is; empty where it is none.
std::string squared(Editor* editor, const std::string& name) {
  const Node* node = editor->maker(name);
  if (node == nullptr) return "";
  if (node->is("Mul") && node->inputs[0] == node->inputs[1]) return node->inputs[0];
  if (node->is("Pow") && editor->number(node->inputs[1]) == 2.0) return node->inputs[0];
  return "";
}

// The constant of `count` numbers that the binary node combines `name` with; null where it is not that.
const Tensor* other_operand(Editor* editor, const Node* node, const char* op, const std::string& name, int64_t count) {
  if (node == nullptr || !node->is(op)) return nullptr;
  const std::string& other = node->inputs[0] == name ? node->inputs[1] : node->inputs[0];
  const Tensor* value = editor->constant(other);
  return value != nullptr && value->type() == Type::kFloat32 && value->count() == count && value->rank() >= 1 &&
                 value->shape().back() == count
             ? value
             : nullptr;
}

}  // namespace

// d = x - mean(x); d / sqrt(mean(d^2) + epsilon) [* scale] [+ bias] -> LayerNormalization(x, scale, bias) over the last
// axis.
void recognise_layer_norm(Editor* editor) {
  for (size_t i = 0; i < editor->node_count(); ++i) {
    Node& div = editor->node(i);
    if (!div.is("Div")) continue;
    const Node *sub = editor->maker(div.inputs[0]), *root = editor->maker(div.inputs[1]);
    if (sub == nullptr || !sub->is("Sub") || root == nullptr || !root->is("Sqrt")) continue;
    const std::string x = sub->inputs[0];
    const Node *mean = editor->maker(sub->inputs[1]), *sum = editor->maker(root->inputs[0]);
    if (!is_last_mean(editor, mean) || mean->inputs[0] != x || sum == nullptr || !sum->is("Add")) continue;
    const bool epsilon_last = editor->number(sum->inputs[1]).has_value();
    const std::optional<double> epsilon = editor->number(sum->inputs[epsilon_last ? 1 : 0]);
    const Node* variance = editor->maker(sum->inputs[epsilon_last ? 0 : 1]);
    if (!epsilon || !is_last_mean(editor, variance) || squared(editor, variance->inputs[0]) != div.inputs[0]) continue;
    const TensorType* type = editor->type(x);
    if (type == nullptr || type->type != Type::kFloat32) continue;
    const int64_t n = type->shape.back();
    Node* last = &div;
    Tensor scale(Type::kFloat32, {n});
    std::fill_n(scale.data<float>(), n, 1.0f);
    std::optional<Tensor> bias;
    Node* mul = editor->only_reader(div.outputs[0]);
    if (const Tensor* given = other_operand(editor, mul, "Mul", div.outputs[0], n)) {
      scale = given->reshaped({n}), last = mul;
      Node* add = editor->only_reader(mul->outputs[0]);
      if (const Tensor* shift = other_operand(editor, add, "Add", mul->outputs[0], n))
        bias = shift->reshaped({n}), last = add;
    }
    const TensorType* out = editor->type(last->outputs[0]);
    if (out == nullptr || !(*out == *type)) continue;
    std::vector<std::string> inputs{x, editor->add_constant(last->outputs[0] + "/scale", scale)};
    if (bias) inputs.push_back(editor->add_constant(last->outputs[0] + "/bias", *bias));
    last->op = "LayerNormalization";
    last->attributes = {{"axis", int64_t{-1}}, {"epsilon", static_cast<float>(*epsilon)}};
    editor->set_inputs(last, inputs);  // what is read no longer goes with drop_dead
  }
}

}  // namespace hayate
