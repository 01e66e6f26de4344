#include "rewrite/rules/affine.h"
#include "rewrite/rules/rules.h"

namespace hayate {
namespace {

// The weighted node whose channels `value` holds on `axis`: its maker, or behind a Reshape that keeps the last axis.
Node* weighted_before(Editor* editor, const std::string& value, int64_t* axis) {
  Node* node = editor->maker(value);
  const TensorType* type = editor->type(value);
  if (node == nullptr || type == nullptr || type->shape.empty() || editor->only_reader(value) == nullptr)
    return nullptr;
  *axis = node->is("Conv") ? 1 : static_cast<int64_t>(type->shape.size()) - 1;
  if (!node->is("Reshape")) return node;
  const TensorType* flat = editor->type(node->inputs[0]);
  if (flat == nullptr || flat->shape.empty() || flat->shape.back() != type->shape.back() ||
      editor->only_reader(node->inputs[0]) == nullptr)
    return nullptr;
  Node* gemm = editor->maker(node->inputs[0]);
  return gemm != nullptr && !gemm->is("Conv") ? gemm : nullptr;
}

void take(Weighted* weights, const ChannelAffine& affine) {
  const size_t outputs = weights->outputs(), per_row = weights->w.size() / outputs;
  for (size_t i = 0; i < weights->w.size(); ++i)
    weights->w[i] *= affine.scale[weights->by_rows ? i / per_row : i % outputs];
  for (size_t i = 0; i < outputs; ++i) weights->bias[i] = weights->bias[i] * affine.scale[i] + affine.shift[i];
}

}  // namespace

// (x w + b) * scale + shift = x (w * scale) + (b * scale + shift), per output channel of Conv, Gemm and MatMul.
void fold_affine_after(Editor* editor) {
  for (size_t i = 0; i < editor->node_count(); ++i) {
    Node& node = editor->node(i);
    if (node.inputs.empty() || node.outputs.empty()) continue;
    for (const std::string& value : std::vector<std::string>(node.inputs)) {
      int64_t axis = 0;
      Node* before = value.empty() ? nullptr : weighted_before(editor, value, &axis);
      std::optional<Weighted> weights = before == nullptr ? std::nullopt : weighted(editor, *before);
      const std::optional<ChannelAffine> affine = weights ? channel_affine(editor, node, axis) : std::nullopt;
      if (!affine || affine->of != value || affine->scale.size() != weights->outputs()) continue;
      if (affine->shifts() && !can_hold_bias(editor, *before)) continue;
      take(&*weights, *affine);
      if (!editor->replace(node.outputs[0], value)) continue;
      set_weights(editor, before, *weights);
      editor->remove(&node);
      break;
    }
  }
}

}  // namespace hayate
