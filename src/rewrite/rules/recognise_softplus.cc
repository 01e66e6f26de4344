#include "rewrite/pattern.h"
#include "rewrite/rules/rules.h"

namespace hayate {
namespace {

constexpr double kStraight = 15;  // from here on Softplus(x) is x to a float32: log(1 + exp(-15)) < 2^-25 * 15

// x where it is Where(x > t, x, Softplus(x)), t far enough out: how torch spells Softplus; empty where it is not that.
std::string straightened(Editor* editor, const Node& where) {
  const Node* softplus = made_by(editor, where.inputs[2], "Softplus");
  const Node* above = made_by(editor, where.inputs[0], "Greater");
  if (softplus == nullptr || above == nullptr) return "";
  const std::string x = softplus->inputs[0];
  const std::optional<double> threshold = editor->number(above->inputs[1]);
  const TensorType* type = editor->type(x);
  const bool same = where.inputs[1] == x && above->inputs[0] == x && type != nullptr && type->type == Type::kFloat32;
  return same && threshold && *threshold >= kStraight ? x : "";
}

}  // namespace

// log(1 + exp(x)) = Softplus(x) = Where(x > 20, x, Softplus(x)); x tanh(softplus(x)) = Mish(x).
void recognise_softplus(Editor* editor) {
  for (size_t i = 0; i < editor->node_count(); ++i) {
    Node& node = editor->node(i);
    if (node.is("Log")) {
      const std::optional<AffineStep> one = affine_made(editor, node.inputs[0]);
      const Node* exp = one && one->factor == 1 && one->shift == 1 ? made_by(editor, one->of, "Exp") : nullptr;
      if (exp != nullptr && editor->only_reader(node.inputs[0]) != nullptr)
        editor->become(&node, "Softplus", {exp->inputs[0]});
    } else if (node.is("Where")) {
      if (const std::string x = straightened(editor, node); !x.empty()) editor->become(&node, "Softplus", {x});
    } else if (node.is("Tanh")) {
      const Node* softplus = made_by(editor, node.inputs[0], "Softplus");
      if (softplus == nullptr) continue;
      const std::string x = softplus->inputs[0];
      if (const std::optional<Product> product = product_with(editor, node.outputs[0], x, 0, 1))
        editor->become(product->last, "Mish", {x});
    }
  }
}

}  // namespace hayate
