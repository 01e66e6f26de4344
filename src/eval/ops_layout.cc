#include <algorithm>
#include <cstring>

#include "eval/kernel.h"
#include "kernels/reference/loops.h"

namespace hayate {
namespace {

namespace ref = kernels::reference;

// The same elements in the same order under another shape.
Result<bool> copy_all(const KernelContext& c) {
  std::memcpy(c.outputs[0]->bytes(), c.inputs[0]->bytes(), c.inputs[0]->byte_count());
  return true;
}

Result<bool> transpose(const KernelContext& c) {
  const Tensor& x = *c.inputs[0];
  Shape perm = c.node.get<Shape>("perm", {});
  if (perm.empty())
    for (int64_t i = x.rank(); i-- > 0;) perm.push_back(i);
  const ref::Extents dense = ref::row_major(x.shape());
  ref::Extents strides;
  for (const int64_t axis : perm) strides.push_back(dense[axis]);
  ref::copy_strided(x.bytes(), c.outputs[0]->bytes(), type_size(x.type()), c.outputs[0]->shape(), strides, 0);
  return true;
}

// Copies blocks of `rows` x `width` bytes between buffers whose rows lie `from` and `to` bytes apart.
void copy_rows(const std::byte* x, std::byte* y, int64_t rows, size_t width, size_t from, size_t to) {
  for (int64_t i = 0; i < rows; ++i) std::memcpy(y + i * to, x + i * from, width);
}

struct AxisSplit {
  int64_t outer = 1;
  size_t inner = 1;  // bytes behind one index of the axis
};
AxisSplit around(const Shape& shape, int64_t axis, Type type) {
  AxisSplit split;
  for (int64_t i = 0; i < axis; ++i) split.outer *= shape[i];
  for (size_t i = axis + 1; i < shape.size(); ++i) split.inner *= shape[i];
  split.inner *= type_size(type);
  return split;
}

Result<bool> concat(const KernelContext& c) {
  Tensor& y = *c.outputs[0];
  const int64_t axis = *normal_axis(c.node.get<int64_t>("axis", c.opset < 4 ? 1 : 0), y.rank());
  const AxisSplit split = around(y.shape(), axis, y.type());
  size_t at = 0;
  for (const Tensor* x : c.inputs) {
    const size_t width = x->shape()[axis] * split.inner;
    if (width != 0) copy_rows(x->bytes(), y.bytes() + at, split.outer, width, width, y.shape()[axis] * split.inner);
    at += width;
  }
  return true;
}

Result<bool> split(const KernelContext& c) {
  const Tensor& x = *c.inputs[0];
  const int64_t axis = *normal_axis(c.node.get<int64_t>("axis", 0), x.rank());
  const AxisSplit around_axis = around(x.shape(), axis, x.type());
  Result<Types> types = [&] {  // sizes of the pieces nobody asked for decide where the others start
    std::vector<TensorType> in(c.inputs.size());
    std::vector<const TensorType*> pointers;
    for (size_t i = 0; i < c.inputs.size(); ++i) {
      if (c.inputs[i] != nullptr) in[i] = {c.inputs[i]->type(), c.inputs[i]->shape()};
      pointers.push_back(c.inputs[i] == nullptr ? nullptr : &in[i]);
    }
    return output_types(ShapeContext(c.node, c.opset, pointers, c.inputs));
  }();
  if (!types.ok()) return types.error();
  size_t at = 0;
  for (size_t i = 0; i < c.outputs.size(); ++i) {
    const size_t width = types.value()[i].shape[axis] * around_axis.inner;
    if (c.outputs[i] != nullptr && width != 0)
      copy_rows(x.bytes() + at, c.outputs[i]->bytes(), around_axis.outer, width, x.shape()[axis] * around_axis.inner,
                width);
    at += width;
  }
  return true;
}

std::optional<Shape> integers_or(const KernelContext& c, size_t i, const char* attribute) {
  if (c.input(i) != nullptr) return to_int64s(*c.input(i));
  if (c.node.attributes.count(attribute) == 0) return std::nullopt;
  return c.node.get<Shape>(attribute, {});
}

Result<bool> slice(const KernelContext& c) {
  const Tensor& x = *c.inputs[0];
  const Shape cuts = slice_ranges(x.shape(), *integers_or(c, 1, "starts"), *integers_or(c, 2, "ends"),
                                  integers_or(c, 3, "axes"), integers_or(c, 4, "steps"));
  const ref::Extents dense = ref::row_major(x.shape());
  ref::Extents strides;
  int64_t start = 0;
  for (int i = 0; i < x.rank(); ++i) {
    start += cuts[3 * i] * dense[i];
    strides.push_back(cuts[3 * i + 1] * dense[i]);
  }
  ref::copy_strided(x.bytes(), c.outputs[0]->bytes(), type_size(x.type()), c.outputs[0]->shape(), strides, start);
  return true;
}

Result<bool> gather(const KernelContext& c) {
  const Tensor& x = *c.inputs[0];
  const int64_t axis = *normal_axis(c.node.get<int64_t>("axis", 0), x.rank()), extent = x.shape()[axis];
  const AxisSplit split = around(x.shape(), axis, x.type());
  const Shape indices = to_int64s(*c.inputs[1]);
  std::byte* y = c.outputs[0]->bytes();
  for (const int64_t index : indices)
    if (index < -extent || index >= extent) return index_error(c, index, extent);
  for (int64_t o = 0; o < split.outer; ++o)
    for (const int64_t index : indices) {
      std::memcpy(y, x.bytes() + (o * extent + (index < 0 ? index + extent : index)) * split.inner, split.inner);
      y += split.inner;
    }
  return true;
}

Result<bool> gather_elements(const KernelContext& c) {
  const Tensor& x = *c.inputs[0];
  Tensor& y = *c.outputs[0];
  const int64_t axis = *normal_axis(c.node.get<int64_t>("axis", 0), x.rank()), extent = x.shape()[axis];
  const Shape indices = to_int64s(*c.inputs[1]);
  for (const int64_t index : indices)
    if (index < -extent || index >= extent) return index_error(c, index, extent);
  ref::Extents strides[1] = {ref::row_major(x.shape())};
  const int64_t along = strides[0][axis];
  strides[0][axis] = 0;
  const size_t size = type_size(x.type());
  ref::for_each_element(y.shape(), strides, [&](int64_t i, const int64_t* at) {
    const int64_t index = indices[i] < 0 ? indices[i] + extent : indices[i];
    std::memcpy(y.bytes() + i * size, x.bytes() + (at[0] + index * along) * size, size);
  });
  return true;
}

Result<bool> expand(const KernelContext& c) {
  const Shape& out = c.outputs[0]->shape();
  ref::copy_strided(c.inputs[0]->bytes(), c.outputs[0]->bytes(), type_size(c.inputs[0]->type()), out,
                    ref::broadcast_strides(c.inputs[0]->shape(), out), 0);
  return true;
}

Result<bool> tile(const KernelContext& c) {
  const Tensor& x = *c.inputs[0];
  Tensor& y = *c.outputs[0];
  const ref::Extents dense = ref::row_major(x.shape()), walk[1] = {ref::row_major(y.shape())};
  const size_t size = type_size(x.type());
  ref::for_each_element(y.shape(), walk, [&](int64_t i, const int64_t*) {
    int64_t from = 0;
    for (int axis = 0; axis < x.rank(); ++axis)
      from += i / walk[0][axis] % y.shape()[axis] % x.shape()[axis] * dense[axis];
    std::memcpy(y.bytes() + i * size, x.bytes() + from * size, size);
  });
  return true;
}

Result<bool> shape_of(const KernelContext& c) {
  const Shape& shape = c.inputs[0]->shape();
  const int64_t rank = c.inputs[0]->rank(), given = c.node.get<int64_t>("start", 0);
  const int64_t start = std::clamp<int64_t>(given < 0 ? given + rank : given, 0, rank);
  std::copy_n(shape.begin() + start, c.outputs[0]->count(), c.outputs[0]->data<int64_t>());
  return true;
}

Result<bool> size_of(const KernelContext& c) {
  c.outputs[0]->data<int64_t>()[0] = c.inputs[0]->count();
  return true;
}

Result<bool> constant_of_shape(const KernelContext& c) {
  const Tensor value = c.node.get<Tensor>("value", Tensor::of<float>({1}, {0.0f}));
  const size_t size = type_size(value.type());
  for (int64_t i = 0; i < c.outputs[0]->count(); ++i)
    std::memcpy(c.outputs[0]->bytes() + i * size, value.bytes(), size);
  return true;
}

Result<bool> range(const KernelContext& c) {
  visit_type(c.inputs[0]->type(), [&]<typename T>() {
    using Wide = std::conditional_t<std::is_floating_point_v<T>, T, uint64_t>;  // integers wrap
    const Wide start = static_cast<Wide>(c.inputs[0]->data<T>()[0]),
               delta = static_cast<Wide>(c.inputs[2]->data<T>()[0]);
    for (int64_t i = 0; i < c.outputs[0]->count(); ++i)
      c.outputs[0]->data<T>()[i] = static_cast<T>(start + static_cast<Wide>(i) * delta);
  });
  return true;
}

// Where index i of the padded axis reads from; -1: the padding value.
int64_t padded_source(int64_t i, int64_t extent, const std::string& mode) {
  if (i >= 0 && i < extent) return i;
  if (mode == "edge") return std::clamp<int64_t>(i, 0, extent - 1);
  if (mode == "reflect") {  // back and forth, the ends once
    const int64_t period = std::max<int64_t>(1, 2 * (extent - 1)), at = (i % period + period) % period;
    return at < extent ? at : period - at;
  }
  if (mode == "wrap") return (i % extent + extent) % extent;
  return -1;
}

Result<bool> pad(const KernelContext& c) {
  const Tensor& x = *c.inputs[0];
  Tensor& y = *c.outputs[0];
  const std::string mode = c.node.get<std::string>("mode", "constant");
  const Shape pads = *integers_or(c, 1, "pads");
  Shape before(x.rank(), 0);
  const std::optional<Shape> axes = c.input(3) == nullptr ? std::nullopt : std::optional(to_int64s(*c.input(3)));
  const size_t named = pads.size() / 2;
  for (size_t i = 0; i < named; ++i)
    before[axes ? *normal_axis((*axes)[i], x.rank()) : static_cast<int64_t>(i)] = pads[i];
  const size_t size = type_size(x.type());
  std::byte value[8] = {};
  if (c.input(2) != nullptr)
    std::memcpy(value, c.input(2)->bytes(), size);
  else if (c.node.attributes.count("value") != 0) {  // before opset 11
    const float given = c.node.get<float>("value", 0.0f);
    visit_type(x.type(), [&]<typename T>() {
      const T own = static_cast<T>(given);
      std::memcpy(value, &own, sizeof own);
    });
    const uint16_t bits = x.type() == Type::kFloat16 ? half_from_float(given) : bfloat_from_float(given);
    if (is_half_float(x.type())) std::memcpy(value, &bits, sizeof bits);
  }
  const ref::Extents dense = ref::row_major(x.shape()), walk[1] = {ref::row_major(y.shape())};
  ref::for_each_element(y.shape(), walk, [&](int64_t i, const int64_t*) {
    int64_t from = 0;
    bool inside = true;
    for (int axis = 0; axis < x.rank(); ++axis) {
      const int64_t source = padded_source(i / walk[0][axis] % y.shape()[axis] - before[axis], x.shape()[axis], mode);
      inside = inside && source >= 0;
      from += source * dense[axis];
    }
    std::memcpy(y.bytes() + i * size, inside ? x.bytes() + from * size : value, size);
  });
  return true;
}

Result<bool> one_hot(const KernelContext& c) {
  Tensor& y = *c.outputs[0];
  const Shape indices = to_int64s(*c.inputs[0]);
  const int64_t axis = *normal_axis(c.node.get<int64_t>("axis", -1), y.rank()), depth = y.shape()[axis];
  const size_t size = type_size(y.type());
  const ref::Extents dense = ref::row_major(y.shape());
  const int64_t inner = dense[axis];
  for (int64_t i = 0; i < y.count(); ++i) {
    const int64_t index = indices[i / (inner * depth) * inner + i % inner], hot = index < 0 ? index + depth : index;
    std::memcpy(y.bytes() + i * size, c.inputs[2]->bytes() + (i / inner % depth == hot ? size : 0), size);
  }
  return true;
}

}  // namespace

void add_layout_kernels(std::vector<KernelEntry>* table) {
  const auto add = [&](std::string_view op, Kernel kernel) { table->push_back({"", op, kernel}); };
  for (const char* op : {"Reshape", "Flatten", "Squeeze", "Unsqueeze"}) add(op, copy_all);
  add("Transpose", transpose), add("Concat", concat), add("Split", split), add("Slice", slice), add("Gather", gather);
  add("GatherElements", gather_elements), add("Expand", expand), add("Tile", tile), add("Shape", shape_of),
      add("Size", size_of);
  add("ConstantOfShape", constant_of_shape), add("Range", range), add("Pad", pad), add("OneHot", one_hot);
}

}  // namespace hayate
