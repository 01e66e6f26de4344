#include "rewrite/rules/norms.h"

#include <algorithm>
#include <numeric>

namespace hayate {

std::optional<Mean> last_mean(Editor* editor, const std::string& name) {
  const Node* node = made_by(editor, name, "ReduceMean");
  if (node == nullptr || node->get<int64_t>("keepdims", 1) == 0) return std::nullopt;
  std::vector<int64_t> axes = node->get<std::vector<int64_t>>("axes", {});
  if (const Tensor* given = editor->constant(node->input(1))) axes = to_int64s(*given);
  const TensorType* type = editor->type(node->inputs[0]);
  if (type == nullptr || axes.empty()) return std::nullopt;
  const int64_t rank = static_cast<int64_t>(type->shape.size());
  for (int64_t& axis : axes) axis += axis < 0 ? rank : 0;
  std::sort(axes.begin(), axes.end());
  for (size_t i = 0; i < axes.size(); ++i)
    if (axes[i] != rank - static_cast<int64_t>(axes.size()) + static_cast<int64_t>(i)) return std::nullopt;
  return Mean{node->inputs[0], axes[0]};
}

std::optional<InverseRoot> root(Editor* editor, const std::string& name) {
  const Node* node = editor->maker(name);
  if (node == nullptr || !(node->is("Sqrt") || (node->is("Pow") && near(editor->number(node->inputs[1]), 0.5))))
    return std::nullopt;
  const std::optional<AffineStep> sum = affine_made(editor, node->inputs[0]);
  if (!sum || sum->factor != 1 || sum->shift < 0) return std::nullopt;
  return InverseRoot{sum->of, sum->shift};
}

std::optional<InverseRoot> inverse_root(Editor* editor, const std::string& name) {
  const Node* node = editor->maker(name);
  if (node == nullptr) return std::nullopt;
  if (node->is("Reciprocal")) return root(editor, node->inputs[0]);
  if (node->is("Div") && editor->number(node->inputs[0]) == 1.0) return root(editor, node->inputs[1]);
  if (!node->is("Pow") || !near(editor->number(node->inputs[1]), -0.5)) return std::nullopt;
  const std::optional<AffineStep> sum = affine_made(editor, node->inputs[0]);
  if (!sum || sum->factor != 1 || sum->shift < 0) return std::nullopt;
  return InverseRoot{sum->of, sum->shift};
}

std::optional<Tensor> behind_axis(Editor* editor, const std::string& name, const Shape& shape, int64_t axis) {
  const Tensor* tensor = editor->constant(name);
  if (tensor == nullptr || tensor->type() != Type::kFloat32) return std::nullopt;
  Shape inner(shape.begin() + axis, shape.end()), given = tensor->shape();
  while (given.size() > inner.size() && given.front() == 1) given.erase(given.begin());
  const int64_t count = std::accumulate(inner.begin(), inner.end(), int64_t{1}, std::multiplies<>());
  if (tensor->count() == 1) return floats_of(std::vector<double>(static_cast<size_t>(count), to_doubles(*tensor)[0]));
  return given == inner ? std::optional(tensor->reshaped({count})) : std::nullopt;
}

std::optional<Behind> read_with(Editor* editor, const std::string& name, std::string_view op, const Shape& shape,
                                int64_t axis) {
  Node* node = read_by(editor, name, op);
  if (node == nullptr) return std::nullopt;
  std::optional<Tensor> values = behind_axis(editor, other_input(*node, name), shape, axis);
  if (!values || !same_type(editor, name, node->outputs[0])) return std::nullopt;
  return Behind{node, std::move(*values)};
}

void make_norm(Editor* editor, Node* last, const std::string& op, const std::string& x, int64_t axis, double epsilon,
               const std::optional<Tensor>& scale, const std::optional<Tensor>& bias) {
  const Shape& shape = editor->type(x)->shape;
  const Shape inner(shape.begin() + axis, shape.end());
  const int64_t count = std::accumulate(inner.begin(), inner.end(), int64_t{1}, std::multiplies<>());
  const Tensor ones = floats_of(std::vector<double>(static_cast<size_t>(count), 1.0));
  const std::string base = last->outputs[0];
  std::vector<std::string> inputs{x, editor->add_constant(base + "/scale", scale.value_or(ones).reshaped(inner))};
  if (bias) inputs.push_back(editor->add_constant(base + "/bias", bias->reshaped(inner)));
  editor->become(last, op, inputs,
                 {{"axis", axis - static_cast<int64_t>(shape.size())}, {"epsilon", static_cast<float>(epsilon)}});
}

}  // namespace hayate
