#include <algorithm>

#include "rewrite/rules/rules.h"

namespace hayate {
namespace {

bool keeps_order(const Node& node) {
  return node.is("Reshape") || node.is("Squeeze") || node.is("Unsqueeze") || node.is("Flatten");
}

}  // namespace

// Elements keep their order in each, so the last shape is all that counts: Reshape(Squeeze(x)) = Reshape(x, shape).
void merge_shapes(Editor* editor) {
  for (size_t i = 0; i < editor->node_count(); ++i) {
    Node& node = editor->node(i);
    if (!keeps_order(node)) continue;
    const Node* before = editor->maker(node.inputs[0]);
    const TensorType* out = editor->type(node.outputs[0]);
    if (before == nullptr || !keeps_order(*before) || out == nullptr) continue;
    const std::string source = before->inputs[0];
    const bool empty = std::find(out->shape.begin(), out->shape.end(), 0) != out->shape.end();
    if (empty) continue;  // a 0 means something else to Reshape
    const std::string shape = editor->add_constant(
        node.outputs[0] + "/shape", Tensor::of<int64_t>({static_cast<int64_t>(out->shape.size())}, out->shape));
    editor->become(&node, "Reshape", {source, shape});
  }
}

}  // namespace hayate
