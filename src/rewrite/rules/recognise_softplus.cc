#include "rewrite/pattern.h"
#include "rewrite/rules/rules.h"

namespace hayate {

// log(1 + exp(x)) = Softplus(x); x tanh(softplus(x)) = Mish(x).
void recognise_softplus(Editor* editor) {
  for (size_t i = 0; i < editor->node_count(); ++i) {
    Node& node = editor->node(i);
    if (node.is("Log")) {
      const std::optional<AffineStep> one = affine_made(editor, node.inputs[0]);
      const Node* exp = one && one->factor == 1 && one->shift == 1 ? made_by(editor, one->of, "Exp") : nullptr;
      if (exp != nullptr && editor->only_reader(node.inputs[0]) != nullptr)
        editor->become(&node, "Softplus", {exp->inputs[0]});
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
