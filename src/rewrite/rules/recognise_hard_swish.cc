#include "rewrite/pattern.h"
#include "rewrite/rules/rules.h"

namespace hayate {
namespace {

// The value whose clip(value, 0, 6) the node is; empty where it is not that.
std::string clipped_to_six(Editor* editor, const Node& node) {
  if (!node.is("Clip")) return "";
  const std::optional<double> low = node.input(1).empty() ? static_cast<double>(node.get<float>("min", -1))
                                                          : editor->number(node.input(1)),
                              high = node.input(2).empty() ? static_cast<double>(node.get<float>("max", -1))
                                                           : editor->number(node.input(2));
  return low == 0.0 && high == 6.0 ? node.inputs[0] : "";
}

bool is_sixth(const Node& node) {
  return node.is("HardSigmoid") && near(static_cast<double>(node.get<float>("alpha", 0.2f)), 1.0 / 6) &&
         near(static_cast<double>(node.get<float>("beta", 0.5f)), 0.5);
}

bool to_hard_swish(Editor* editor, const std::string& gate, const std::string& x, double factor) {
  const std::optional<Product> product = product_with(editor, gate, x, 0, factor);
  if (!product) return false;
  editor->become(product->last, "HardSwish", {x});
  return true;
}

// clip(x + 3, 0, 6) where it is divided by 6, then or later.
void from_clip(Editor* editor, Node* clip) {
  const std::string sum = clipped_to_six(editor, *clip), gate = clip->outputs[0];
  const std::optional<AffineStep> three = sum.empty() ? std::nullopt : affine_made(editor, sum);
  if (!three || three->factor != 1 || three->shift != 3 || editor->type(gate)->type != Type::kFloat32) return;
  if (to_hard_swish(editor, gate, three->of, 1.0 / 6)) return;
  const std::optional<AffineStep> sixth = affine_read(editor, gate);
  if (!sixth || sixth->shift != 0 || !near(sixth->factor, 1.0 / 6)) return;
  editor->become(editor->maker(sixth->made), "HardSigmoid", {three->of},
                 {{"alpha", static_cast<float>(1.0 / 6)}, {"beta", 0.5f}});
}

}  // namespace

// x clip(x + 3, 0, 6) / 6 = HardSwish(x); clip(x + 3, 0, 6) / 6 = clip(x / 6 + 1 / 2, 0, 1) = HardSigmoid(x).
void recognise_hard_swish(Editor* editor) {
  for (size_t i = 0; i < editor->node_count(); ++i) {
    Node& node = editor->node(i);
    if (is_sixth(node))
      to_hard_swish(editor, std::string(node.outputs[0]), std::string(node.inputs[0]), 1);
    else if (node.is("Clip"))
      from_clip(editor, &node);
  }
}

}  // namespace hayate
