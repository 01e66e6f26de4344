#include "rewrite/rules/norms.h"
#include "rewrite/rules/rules.h"

namespace hayate {
namespace {

// x / sqrt(mean(x^2) + epsilon) of the node: Div by the root or Mul by its inverse.
std::optional<Mean> rooted(Editor* editor, const Node& node, double* epsilon) {
  for (const size_t side : {size_t{0}, size_t{1}}) {
    if (!(node.is("Mul") || (node.is("Div") && side == 0))) continue;
    const std::string &x = node.inputs[side], &other = node.inputs[1 - side];
    const std::optional<InverseRoot> by = node.is("Div") ? root(editor, other) : inverse_root(editor, other);
    std::optional<Mean> squares = by ? last_mean(editor, by->mean) : std::nullopt;
    if (!squares || square_root_of(editor, squares->of) != x) continue;
    *epsilon = by->epsilon;
    return Mean{x, squares->axis};
  }
  return std::nullopt;
}

}  // namespace

// x / sqrt(mean(x^2) + epsilon) [* scale] = RMSNormalization(x, scale) over the last axes.
void recognise_rms_norm(Editor* editor) {
  for (size_t i = 0; i < editor->node_count(); ++i) {
    Node& node = editor->node(i);
    if (!(node.is("Mul") || node.is("Div")) || node.inputs.size() != 2) continue;
    double epsilon = 0;
    const std::optional<Mean> norm = rooted(editor, node, &epsilon);
    const TensorType* type = norm ? editor->type(norm->of) : nullptr;
    if (type == nullptr || type->type != Type::kFloat32 || !same_type(editor, norm->of, node.outputs[0])) continue;
    Node* last = &node;
    std::optional<Tensor> scale;
    if (std::optional<Behind> mul = read_with(editor, node.outputs[0], "Mul", type->shape, norm->axis))
      last = mul->node, scale = mul->values;
    make_norm(editor, last, "RMSNormalization", norm->of, norm->axis, epsilon, scale, std::nullopt);
  }
}

}  // namespace hayate
