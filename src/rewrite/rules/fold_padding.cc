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

// A Pad, or what it is quantised to and back: of zeros that makes zeros.
struct Padding {
  Node *pad = nullptr, *quantise = nullptr, *dequantise = nullptr;
};
Padding padding_before(Editor* editor, const Node& conv) {
  Padding made;
  Node* node = editor->maker(conv.inputs[0]);
  if (node != nullptr && node->is("DequantizeLinear")) {
    Node* quantise = editor->maker(node->inputs[0]);
    const TensorType* scale = editor->type(node->inputs[1]);
    if (quantise == nullptr || !quantise->is("QuantizeLinear") || quantise->input(1) != node->input(1) ||
        quantise->input(2) != node->input(2) || scale == nullptr || scale->shape != Shape{} ||
        editor->number(node->inputs[1]).value_or(0) <= 0)
      return {};
    made.quantise = quantise, made.dequantise = node;
    node = editor->maker(quantise->inputs[0]);
  }
  if (node != nullptr && node->is("Pad")) made.pad = node;
  return made;
}

// `like`, which reads `input` instead, before the node.
std::string again(Editor* editor, const Node& node, const Node& like, const std::string& input) {
  Node made = like;
  made.inputs[0] = input, made.outputs[0] = editor->new_name(like.outputs[0]);
  TensorType type = *editor->type(like.outputs[0]);
  type.shape = editor->type(input)->shape;
  const std::string name = editor->insert_before(&node, std::move(made));
  editor->set_type(name, type);
  return name;
}

}  // namespace

void fold_padding(Editor* editor) {
  for (size_t i = 0; i < editor->node_count(); ++i) {
    Node& conv = editor->node(i);
    if (!conv.is("Conv")) continue;
    const Padding padding = padding_before(editor, conv);
    const Node* pad = padding.pad;
    const TensorType* type = editor->type(conv.inputs[0]);
    const std::string mode = conv.get<std::string>("auto_pad", "NOTSET");
    if (pad == nullptr || type == nullptr || editor->type(pad->inputs[0]) == nullptr ||
        (mode != "NOTSET" && mode != "VALID"))
      continue;
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
    if (padding.quantise != nullptr) {
      inputs[0] = again(editor, conv, *padding.quantise, inputs[0]);
      inputs[0] = again(editor, conv, *padding.dequantise, inputs[0]);
    }
    editor->set_inputs(&conv, inputs);
  }
}

}  // namespace hayate
