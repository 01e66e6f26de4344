#include "rewrite/pattern.h"
#include "rewrite/rules/rules.h"

namespace hayate {

// x * sigmoid(x) = Swish(x), also called SiLU.
void recognise_silu(Editor* editor) {
  for (size_t i = 0; i < editor->node_count(); ++i) {
    const Node& node = editor->node(i);
    if (!node.is("Sigmoid")) continue;
    const std::string x = node.inputs[0];
    const TensorType* type = editor->type(x);
    if (type == nullptr || type->type != Type::kFloat32) continue;
    if (const std::optional<Product> product = product_with(editor, node.outputs[0], x, 0, 1))
      editor->become(product->last, "Swish", {x});
  }
}

}  // namespace hayate
