#include <algorithm>

#include "rewrite/rules/rules.h"

namespace hayate {
namespace {

// Extents of zeros that a Pad puts before and after each axis; empty where it does anything else.
std::vector<int64_t> zeros_around(Editor* editor, const Node& pad, size_t rank) {
  if (pad.get<std::string>("mode", "constant") != "constant" || !pad.input(3).empty()) return {};
  std::vector<int64_t> pads = pad.get<std::vector<int64_t>>("pads", {});
  if (const Tensor* given = pad.input(1).empty() ? nullptr : editor->constant(pad.input(1))) pads = to_int64s(*given);
  const double value =
      pad.input(2).empty() ? static_cast<double>(pad.get<float>("value", 0)) : editor->number(pad.input(2)).value_or(1);
  if (pads.size() != 2 * rank || value != 0 || std::any_of(pads.begin(), pads.end(), [](int64_t p) { return p < 0; }))
    return {};
  return pads;
}

}  // namespace

void fold_padding(Editor* editor) {
  for (size_t i = 0; i < editor->node_count(); ++i) {
    Node& conv = editor->node(i);
    if (!conv.is("Conv")) continue;
    Node* pad = editor->maker(conv.inputs[0]);
    const TensorType* type = editor->type(conv.inputs[0]);
    const std::string mode = conv.get<std::string>("auto_pad", "NOTSET");
    if (pad == nullptr || !pad->is("Pad") || type == nullptr || (mode != "NOTSET" && mode != "VALID")) continue;
    const size_t rank = type->shape.size(), spatial = rank - 2;
    const std::vector<int64_t> zeros = zeros_around(editor, *pad, rank);
    if (zeros.empty() || zeros[0] + zeros[1] + zeros[rank] + zeros[rank + 1] != 0) continue;
    std::vector<int64_t> pads = mode == "VALID" ? std::vector<int64_t>() : conv.get<std::vector<int64_t>>("pads", {});
    pads.resize(2 * spatial, 0);
    for (size_t k = 0; k < spatial; ++k) pads[k] += zeros[2 + k], pads[spatial + k] += zeros[rank + 2 + k];
    conv.attributes["pads"] = pads;
    conv.attributes["auto_pad"] = std::string("NOTSET");
    std::vector<std::string> inputs = conv.inputs;
    inputs[0] = pad->inputs[0];
    editor->set_inputs(&conv, inputs);
  }
}

}  // namespace hayate
