#include <cstring>

#include "backends/native/lower_ops.h"

namespace hayate::native {
namespace {

bool transpose(Lowering& l, const Node& node) {
  const View x = l.view(node.inputs[0]);
  std::vector<int64_t> perm = node.get<std::vector<int64_t>>("perm", {});
  if (perm.empty())
    for (int64_t i = x.rank(); i-- > 0;) perm.push_back(i);
  l.define(node.outputs[0], transposed(x, perm));
  return true;
}

// Reshape, Squeeze, Unsqueeze, Flatten, Identity, Dropout ...: the same elements in the same order.
bool same_elements(Lowering& l, const Node& node) {
  const Shape& shape = l.type(node.outputs[0]).shape;
  if (node.op == "Dropout" && node.outputs.size() > 1 && !node.outputs[1].empty()) return false;
  if (l.type(node.outputs[0]).type != l.type(node.inputs[0]).type) return false;
  const View x = l.view(node.inputs[0]);
  std::optional<View> made = reshaped(x, shape);
  if (!made) made = reshaped(l.dense(x), shape);
  l.define(node.outputs[0], *made);
  return true;
}

bool slice(Lowering& l, const Node& node) {
  View x = l.view(node.inputs[0]);
  std::optional<std::vector<int64_t>> starts, ends, axes, steps;
  if (node.attributes.contains("starts")) {
    starts = node.get<Shape>("starts", {}), ends = node.get<Shape>("ends", {});
    if (node.attributes.contains("axes")) axes = node.get<Shape>("axes", {});
  } else {
    starts = integers(l, node, 1), ends = integers(l, node, 2), axes = integers(l, node, 3),
    steps = integers(l, node, 4);
    if ((!node.input(3).empty() && !axes) || (!node.input(4).empty() && !steps)) return false;
  }
  if (!starts || !ends) return false;
  const std::vector<int64_t> ranges = slice_ranges(x.shape, *starts, *ends, axes, steps);
  if (ranges.empty() || x.count() == 0) return false;
  for (size_t i = 0; i < x.shape.size(); ++i) {
    x.offset += ranges[3 * i] * x.strides[i];
    x.strides[i] *= ranges[3 * i + 1];
    x.shape[i] = ranges[3 * i + 2];
  }
  if (x.shape != l.type(node.outputs[0]).shape || x.count() == 0) return false;
  for (const int64_t stride : x.strides)
    if (stride < 0) return false;  // backwards
  l.define(node.outputs[0], x);
  return true;
}

bool split(Lowering& l, const Node& node) {
  View x = l.view(node.inputs[0]);
  int64_t axis = node.get<int64_t>("axis", 0);
  if (axis < 0) axis += x.rank();
  for (const std::string& name : node.outputs) {
    if (name.empty()) return false;
    View part = x;
    part.shape = l.type(name).shape;
    x.offset += part.shape[static_cast<size_t>(axis)] * x.strides[static_cast<size_t>(axis)];
    l.define(name, part);
  }
  return true;
}

bool gather(Lowering& l, const Node& node) {
  const auto indices = integers(l, node, 1);
  View x = l.view(node.inputs[0]);
  if (!indices || indices->empty() || l.type(node.inputs[1]).shape.size() > 1) return false;
  int64_t axis = node.get<int64_t>("axis", 0);
  if (axis < 0) axis += x.rank();
  const size_t at = static_cast<size_t>(axis);
  const int64_t extent = x.shape[at];
  std::vector<int64_t> picked = *indices;
  for (int64_t& index : picked) {
    if (index < -extent || index >= extent) return false;  // the reference kernel says so when it runs
    if (index < 0) index += extent;
  }
  // A single index, or evenly spaced ones, only move the window.
  const int64_t step = picked.size() > 1 ? picked[1] - picked[0] : 1;
  if (step < 1) return false;
  for (size_t i = 1; i < picked.size(); ++i)
    if (picked[i] - picked[i - 1] != step) return false;
  x.offset += picked[0] * x.strides[at];
  if (l.type(node.inputs[1]).shape.empty()) {
    x.shape.erase(x.shape.begin() + axis), x.strides.erase(x.strides.begin() + axis);
  } else {
    x.shape[at] = static_cast<int64_t>(picked.size()), x.strides[at] *= step;
  }
  l.define(node.outputs[0], x);
  return true;
}

bool expand(Lowering& l, const Node& node) {
  l.define(node.outputs[0], broadcast_to(l.view(node.inputs[0]), l.type(node.outputs[0]).shape));
  return true;
}

// Extents of one are only seen again and again; others are copied, through a view that has an axis of stride 0 for each
// repeated one.
bool tile(Lowering& l, const Node& node) {
  const auto repeats = integers(l, node, 1);
  const View x = l.view(node.inputs[0]);
  const Shape& shape = l.type(node.outputs[0]).shape;
  if (!repeats || repeats->size() != x.shape.size()) return false;
  View from = x;
  from.shape.clear(), from.strides.clear();
  for (size_t i = 0; i < x.shape.size(); ++i) {
    const bool anew = x.shape[i] > 1 && (*repeats)[i] > 1;
    if (anew) from.shape.push_back((*repeats)[i]), from.strides.push_back(0);
    from.shape.push_back(anew ? x.shape[i] : shape[i]);
    from.strides.push_back(x.shape[i] == 1 ? 0 : x.strides[i]);
  }
  if (from.shape.size() == shape.size()) {
    l.define(node.outputs[0], from);
    return true;
  }
  if (from.shape.size() > kDimsMax) return false;
  const std::optional<View> made = reshaped(l.dense(from), shape);
  if (!made) return false;
  l.define(node.outputs[0], *made);
  return true;
}

bool concat(Lowering& l, const Node& node) {
  std::vector<View> parts;
  for (const std::string& name : node.inputs) parts.push_back(l.view(name));
  const int64_t opset = node.opset != 0 ? node.opset : l.graph().opset;
  int64_t axis = node.get<int64_t>("axis", opset < 4 ? 1 : 0);
  if (axis < 0) axis += parts[0].rank();
  const View y = make_like(l, node.outputs[0], [&] {
    std::vector<View> grown = parts;
    for (View& v : grown)
      if (v.rank() >= 3 && v.shape[1] > 1) v.shape = l.type(node.outputs[0]).shape;
    return grown;
  }());
  View at = y;
  for (const View& part : parts) {
    at.shape = part.shape;
    l.copy(part, at);
    at.offset += part.shape[static_cast<size_t>(axis)] * y.strides[static_cast<size_t>(axis)];
  }
  return true;
}

bool pad(Lowering& l, const Node& node) {
  if (node.get<std::string>("mode", "constant") != "constant" || !node.input(3).empty()) return false;
  std::optional<std::vector<int64_t>> pads;
  if (node.attributes.contains("pads"))
    pads = node.get<Shape>("pads", {});
  else
    pads = integers(l, node, 1);
  const View x = l.view(node.inputs[0]);
  if (!pads || static_cast<int64_t>(pads->size()) != 2 * x.rank()) return false;
  for (const int64_t p : *pads)
    if (p < 0) return false;
  std::byte value[8] = {};
  if (node.attributes.contains("value")) {  // before opset 11
    if (x.type != Type::kFloat32) return false;
    const float v = node.get<float>("value", 0);
    std::memcpy(value, &v, 4);
  }
  if (!node.input(2).empty()) {
    const Tensor* given = l.constant(node.input(2));
    if (given == nullptr || given->count() != 1 || given->type() != x.type) return false;
    std::memcpy(value, given->bytes(), type_size(x.type));
  }
  const View y = make_like(l, node.outputs[0], [&] {
    View grown = x;
    grown.shape = l.type(node.outputs[0]).shape;
    return std::vector<View>{grown};
  }());
  l.fill(y, value);
  View inside = y;
  for (size_t i = 0; i < x.shape.size(); ++i) inside.offset += (*pads)[i] * y.strides[i];
  inside.shape = x.shape;
  l.copy(x, inside);
  return true;
}

bool constant_of_shape(Lowering& l, const Node& node) {
  const Tensor value = node.get<Tensor>("value", Tensor(Type::kFloat32, {1}));
  if (value.count() != 1) return false;
  l.fill(l.make(node.outputs[0]), value.bytes());
  return true;
}

}  // namespace

void add_layout_lowers(LowerTable* table) {
  table->insert({{"Transpose", transpose},
                 {"Reshape", same_elements},
                 {"Squeeze", same_elements},
                 {"Unsqueeze", same_elements},
                 {"Flatten", same_elements},
                 {"Identity", same_elements},
                 {"Dropout", same_elements},
                 {"Cast", same_elements},
                 {"Slice", slice},
                 {"Split", split},
                 {"Gather", gather},
                 {"Expand", expand},
                 {"Tile", tile},
                 {"Concat", concat},
                 {"Pad", pad},
                 {"ConstantOfShape", constant_of_shape},
                 {"ai.onnx.ml.ZipMap", same_elements}});
}

}  // namespace hayate::native
