#include <algorithm>
#include <cmath>

#include "rewrite/rules/affine.h"
#include "rewrite/rules/rules.h"

namespace hayate {
namespace {

// x * scale + shift may cancel: prices near 50000 less their mean. Behind the weights that difference would be one of
// large rounded sums, so only shifts that are small beside what is normal for a layer's input go in.
constexpr double kSmallShiftMax = 4;

bool pads_nothing(const Node& conv) {
  const std::string mode = conv.get<std::string>("auto_pad", "NOTSET");
  const std::vector<int64_t> pads = conv.get<std::vector<int64_t>>("pads", {});
  return mode == "VALID" ||
         (mode == "NOTSET" && std::all_of(pads.begin(), pads.end(), [](int64_t pad) { return pad == 0; }));
}

bool may_shift(Editor* editor, const Node& node, const ChannelAffine& affine) {
  if (!can_hold_bias(editor, node) || (node.is("Conv") && !pads_nothing(node))) return false;
  return std::all_of(affine.shift.begin(), affine.shift.end(), [](double v) { return std::fabs(v) <= kSmallShiftMax; });
}

// The input channel and the output channel of weight i.
struct Channels {
  size_t in = 0, out = 0;
};
Channels channels_of(const Weighted& weights, size_t groups, size_t i) {
  const size_t outputs = weights.outputs();
  if (!weights.by_rows) return {i / outputs, i % outputs};
  const size_t depth = static_cast<size_t>(weights.shape[1]), per_filter = weights.w.size() / outputs,
               taps = per_filter / depth, filter = i / per_filter;
  return {filter / (outputs / groups) * depth + i % per_filter / taps, filter};
}

void take(Weighted* weights, size_t groups, const ChannelAffine& affine) {
  for (size_t i = 0; i < weights->w.size(); ++i) {
    const Channels at = channels_of(*weights, groups, i);
    weights->bias[at.out] += affine.shift[at.in] * weights->w[i];
    weights->w[i] *= affine.scale[at.in];
  }
}

}  // namespace

// (x * scale + shift) w + b = x (scale * w) + (b + shift w), per input channel of Conv, Gemm and MatMul; zeros that a
// Conv pads are not shifted, so there only without padding.
void fold_affine_before(Editor* editor) {
  for (size_t i = 0; i < editor->node_count(); ++i) {
    Node& node = editor->node(i);
    const bool conv = node.is("Conv");
    if (!conv && !node.is("Gemm") && !node.is("MatMul")) continue;
    const std::string value = node.inputs[0];
    const TensorType* type = editor->type(value);
    const Node* before = editor->only_reader(value) == nullptr ? nullptr : editor->maker(value);
    if (before == nullptr || type == nullptr || type->shape.size() < 2 || node.get<int64_t>("transA", 0) != 0) continue;
    const int64_t axis = conv ? 1 : static_cast<int64_t>(type->shape.size()) - 1;
    const std::optional<ChannelAffine> affine = channel_affine(editor, *before, axis);
    std::optional<Weighted> weights = affine ? weighted(editor, node) : std::nullopt;
    if (!weights || (affine->shifts() && !may_shift(editor, node, *affine))) continue;
    take(&*weights, static_cast<size_t>(node.get<int64_t>("group", 1)), *affine);
    std::vector<std::string> inputs = node.inputs;
    inputs[0] = affine->of;
    editor->set_inputs(&node, inputs);
    set_weights(editor, &node, *weights);
  }
}

}  // namespace hayate
