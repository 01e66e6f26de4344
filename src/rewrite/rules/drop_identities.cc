#include <algorithm>

#include "rewrite/rules/rules.h"

namespace hayate {
namespace {

// Whether the node's first output is its first input, bit for bit. Both types are known.
bool gives_its_input(Editor* editor, const Node& node, const TensorType& in, const TensorType& out) {
  if (!(in == out)) return false;
  if (node.is("Identity") || node.is("Cast") || node.is("Reshape") || node.is("Squeeze") || node.is("Unsqueeze") ||
      node.is("Flatten") || node.is("Expand"))
    return true;
  if (node.is("Transpose")) {  // axes of extent 1 may move freely
    const std::vector<int64_t> perm = node.get<std::vector<int64_t>>("perm", {});
    int64_t last = -1;
    for (const int64_t axis : perm) {
      if (in.shape[axis] == 1) continue;
      if (axis < last) return false;
      last = axis;
    }
    return !perm.empty();
  }
  if (node.is("Slice")) {
    const Tensor* steps = node.input(4).empty() ? nullptr : editor->constant(node.input(4));
    if (!node.input(4).empty() && steps == nullptr) return false;
    if (steps == nullptr) return true;
    const std::vector<int64_t> values = to_int64s(*steps);
    return std::all_of(values.begin(), values.end(), [](int64_t step) { return step == 1; });
  }
  if (node.is("Dropout"))
    return editor->use_count(node.outputs.size() > 1 ? node.outputs[1] : std::string()) == 0 &&
           (node.input(2).empty() || editor->number(node.input(2)) == 0.0);
  if (node.is("Concat")) return node.inputs.size() == 1;
  if (node.is("Mul") || node.is("Div") || node.is("Pow")) return editor->number(node.input(1)) == 1.0;
  if (node.is("Add") || node.is("Sub")) return editor->number(node.input(1)) == 0.0;
  if (node.is("Pad")) {
    const Tensor* pads = node.input(1).empty() ? nullptr : editor->constant(node.input(1));
    if (pads == nullptr) return false;
    const std::vector<int64_t> values = to_int64s(*pads);
    return std::all_of(values.begin(), values.end(), [](int64_t pad) { return pad == 0; });
  }
  return false;
}

}  // namespace

void drop_identities(Editor* editor) {
  for (size_t i = 0; i < editor->node_count(); ++i) {
    Node& node = editor->node(i);
    if (node.inputs.empty() || node.outputs.empty() || node.outputs[0].empty() || node.inputs[0].empty()) continue;
    if ((node.is("Mul") || node.is("Add")) && node.inputs.size() == 2 && editor->constant(node.inputs[0]) != nullptr)
      std::swap(node.inputs[0], node.inputs[1]);  // the number last; readers are the same
    const TensorType *in = editor->type(node.inputs[0]), *out = editor->type(node.outputs[0]);
    if (in == nullptr || out == nullptr || !gives_its_input(editor, node, *in, *out)) continue;
    if (editor->replace(node.outputs[0], node.inputs[0])) editor->remove(&node);
  }
}

}  // namespace hayate
