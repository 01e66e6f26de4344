#include <algorithm>
#include <cstring>
#include <numeric>

#include "eval/kernel.h"
#include "kernels/reference/loops.h"

namespace hayate {
namespace {

namespace ref = kernels::reference;

// Where the index tuple (depth numbers) points in `shape` from axis `first` on, in elements; nothing where outside.
std::optional<int64_t> tuple_offset(const int64_t* tuple, int64_t depth, const Shape& shape,
                                    const ref::Extents& strides, int64_t first) {
  int64_t at = 0;
  for (int64_t i = 0; i < depth; ++i) {
    const int64_t extent = shape[first + i];
    if (tuple[i] < -extent || tuple[i] >= extent) return std::nullopt;
    at += (tuple[i] < 0 ? tuple[i] + extent : tuple[i]) * strides[first + i];
  }
  return at;
}

// For a tuple that tuple_offset has nothing for: the first of its indices that is outside.
Error tuple_error(const KernelContext& c, const int64_t* tuple, int64_t depth, const Shape& shape, int64_t first) {
  int64_t i = 0;
  while (i + 1 < depth && tuple[i] >= -shape[first + i] && tuple[i] < shape[first + i]) ++i;
  return index_error(c, tuple[i], shape[first + i]);
}

Result<bool> gather_nd(const KernelContext& c) {
  const Tensor &data = *c.inputs[0], &tuples = *c.inputs[1];
  Tensor& y = *c.outputs[0];
  if (y.count() == 0) return true;
  const int64_t batch = c.node.get<int64_t>("batch_dims", 0), depth = tuples.shape().back();
  const ref::Extents strides = ref::row_major(data.shape());
  const Shape indices = to_int64s(tuples);
  const int64_t rows = ref::product(Shape(tuples.shape().begin(), tuples.shape().end() - 1)),
                batches = ref::product(Shape(data.shape().begin(), data.shape().begin() + batch)),
                width = y.count() / rows;
  const size_t size = type_size(data.type());
  for (int64_t row = 0; row < rows; ++row) {
    const auto at = tuple_offset(indices.data() + row * depth, depth, data.shape(), strides, batch);
    if (!at) return tuple_error(c, indices.data() + row * depth, depth, data.shape(), batch);
    const int64_t from = row / (rows / batches) * (data.count() / batches) + *at;
    std::memcpy(y.bytes() + row * width * size, data.bytes() + from * size, width * size);
  }
  return true;
}

// How an update meets what is there.
template <typename T>
void merge(const std::string& reduction, T update, T* place) {
  if constexpr (std::is_same_v<T, bool>) {  // or / and, as NumPy's sum and product of bools
    if (reduction == "add" || reduction == "max") *place = *place || update;
    if (reduction == "mul" || reduction == "min") *place = *place && update;
  } else {
    using Wide = std::conditional_t<std::is_floating_point_v<T>, T, uint64_t>;  // integers wrap
    const Wide a = static_cast<Wide>(*place), b = static_cast<Wide>(update);
    if (reduction == "add") *place = static_cast<T>(a + b);
    if (reduction == "mul") *place = static_cast<T>(a * b);
    if (reduction == "max" && (*place < update || update != update)) *place = update;
    if (reduction == "min" && (update < *place || update != update)) *place = update;
  }
  if (reduction == "none") *place = update;
}

void merge_block(const std::string& reduction, const Tensor& updates, int64_t from, Tensor* y, int64_t to,
                 int64_t count) {
  visit_type(y->type(), [&]<typename T>() {
    for (int64_t i = 0; i < count; ++i) merge<T>(reduction, updates.data<T>()[from + i], y->data<T>() + to + i);
  });
}

Result<bool> scatter_elements(const KernelContext& c) {
  const Tensor &data = *c.inputs[0], &updates = *c.inputs[2];
  Tensor& y = *c.outputs[0];
  std::memcpy(y.bytes(), data.bytes(), data.byte_count());
  const int64_t axis = *normal_axis(c.node.get<int64_t>("axis", 0), data.rank()), extent = data.shape()[axis];
  const Shape indices = to_int64s(*c.inputs[1]);
  const std::string reduction = c.node.get<std::string>("reduction", "none");
  for (const int64_t index : indices)
    if (index < -extent || index >= extent) return index_error(c, index, extent);
  ref::Extents strides[1] = {ref::row_major(data.shape())};
  const int64_t along = strides[0][axis];
  strides[0][axis] = 0;
  ref::for_each_element(updates.shape(), strides, [&](int64_t i, const int64_t* at) {
    const int64_t index = indices[i] < 0 ? indices[i] + extent : indices[i];
    merge_block(reduction, updates, i, &y, at[0] + index * along, 1);
  });
  return true;
}

Result<bool> scatter_nd(const KernelContext& c) {
  const Tensor &data = *c.inputs[0], &tuples = *c.inputs[1], &updates = *c.inputs[2];
  Tensor& y = *c.outputs[0];
  std::memcpy(y.bytes(), data.bytes(), data.byte_count());
  if (updates.count() == 0) return true;
  const int64_t depth = tuples.shape().back();
  const int64_t rows = ref::product(Shape(tuples.shape().begin(), tuples.shape().end() - 1));
  const int64_t width = updates.count() / rows;
  const std::string reduction = c.node.get<std::string>("reduction", "none");
  const ref::Extents strides = ref::row_major(data.shape());
  const int64_t* indices = tuples.data<int64_t>();
  for (int64_t row = 0; row < rows; ++row) {
    const auto at = tuple_offset(indices + row * depth, depth, data.shape(), strides, 0);
    if (!at) return tuple_error(c, indices + row * depth, depth, data.shape(), 0);
    merge_block(reduction, updates, row * width, &y, *at, width);
  }
  return true;
}

Result<bool> tensor_scatter(const KernelContext& c) {
  const Tensor &cache = *c.inputs[0], &update = *c.inputs[1];
  Tensor& y = *c.outputs[0];
  std::memcpy(y.bytes(), cache.bytes(), cache.byte_count());
  const int64_t axis = *normal_axis(c.node.get<int64_t>("axis", -2), cache.rank());
  const int64_t room = cache.shape()[axis], steps = update.shape()[axis], batch = cache.shape()[0];
  const bool circular = c.node.get<std::string>("mode", "linear") == "circular";
  if (update.count() == 0) return true;
  const Shape& shape = cache.shape();
  const int64_t rows = ref::product(Shape(shape.begin(), shape.begin() + axis));
  const size_t width = update.byte_count() / static_cast<size_t>(rows * steps);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t start = c.input(2) == nullptr ? 0 : c.input(2)->data<int64_t>()[row / (rows / batch)];
    if (start < 0 || (!circular && start > room - steps))
      return c.error("write index " + std::to_string(start) + " is outside 0 to " + std::to_string(room - steps));
    for (int64_t step = 0; step < steps; ++step)
      std::memcpy(y.bytes() + (row * room + (start % room + step) % room) * width,
                  update.bytes() + (row * steps + step) * width, width);
  }
  return true;
}

// Copies the slices `taken` (indices on the axis; without one: of elements) next to each other.
void take_slices(const Tensor& x, std::optional<int64_t> axis, const std::vector<int64_t>& taken, Tensor* y) {
  int64_t outer = 1, extent = x.count();
  size_t inner = type_size(x.type());
  if (axis) {
    extent = x.shape()[*axis];
    for (int i = 0; i < x.rank(); ++i)
      if (i < *axis)
        outer *= x.shape()[i];
      else if (i > *axis)
        inner *= x.shape()[i];
  }
  std::byte* to = y->bytes();
  for (int64_t o = 0; o < outer; ++o)
    for (const int64_t index : taken) {
      std::memcpy(to, x.bytes() + (o * extent + index) * inner, inner);
      to += inner;
    }
}

std::optional<int64_t> axis_or_flat(const KernelContext& c) {
  if (c.node.attributes.count("axis") == 0) return std::nullopt;
  return normal_axis(c.node.get<int64_t>("axis", 0), c.inputs[0]->rank());
}

Result<bool> compress(const KernelContext& c) {
  std::vector<int64_t> taken;
  for (int64_t i = 0; i < c.inputs[1]->count(); ++i)
    if (c.inputs[1]->data<bool>()[i]) taken.push_back(i);
  take_slices(*c.inputs[0], axis_or_flat(c), taken, c.outputs[0]);
  return true;
}

Result<bool> nonzero(const KernelContext& c) {
  const Tensor& x = *c.inputs[0];
  Tensor& y = *c.outputs[0];
  const std::vector<double> values = to_doubles(x);
  const ref::Extents strides = ref::row_major(x.shape());
  const int64_t count = y.shape()[1];
  int64_t at = 0;
  for (int64_t i = 0; i < x.count(); ++i) {
    if (values[i] == 0) continue;
    for (int axis = 0; axis < x.rank(); ++axis)
      y.data<int64_t>()[axis * count + at] = i / strides[axis] % x.shape()[axis];
    ++at;
  }
  return true;
}

Result<bool> unique(const KernelContext& c) {
  const auto [first, group] = unique_slices(*c.inputs[0], axis_or_flat(c), c.node.get<int64_t>("sorted", 1) != 0);
  if (c.output(0) != nullptr) take_slices(*c.inputs[0], axis_or_flat(c), first, c.output(0));
  if (c.output(1) != nullptr) std::copy(first.begin(), first.end(), c.output(1)->data<int64_t>());
  if (c.output(2) != nullptr) std::copy(group.begin(), group.end(), c.output(2)->data<int64_t>());
  if (c.output(3) != nullptr)
    for (const int64_t index : group) ++c.output(3)->data<int64_t>()[index];
  return true;
}

// Whether a comes before b: NaN above all numbers; of equals the first.
template <typename T>
bool comes_first(const T* values, int64_t step, bool largest, int64_t a, int64_t b) {
  const T x = values[a * step], y = values[b * step];
  const bool below = x < y || (y != y && x == x), above = y < x || (x != x && y == y);
  return largest ? above || (!below && a < b) : below || (!above && a < b);
}

Result<bool> top_k(const KernelContext& c) {
  const Tensor& x = *c.inputs[0];
  const int64_t axis = *normal_axis(c.node.get<int64_t>("axis", -1), x.rank()), extent = x.shape()[axis];
  const bool largest = c.node.get<int64_t>("largest", 1) != 0;
  const Tensor* shaped = c.output(0) != nullptr ? c.output(0) : c.output(1);
  const int64_t k = shaped->shape()[axis], inner = ref::row_major(x.shape())[axis];
  const int64_t lines = extent == 0 ? 0 : x.count() / extent;
  std::vector<int64_t> order(static_cast<size_t>(extent));
  visit_type(x.type(), [&]<typename T>() {
    for (int64_t line = 0; line < lines; ++line) {
      const int64_t outer = line / inner, rest = line % inner;
      const T* from = x.data<T>() + outer * extent * inner + rest;
      std::iota(order.begin(), order.end(), 0);
      std::partial_sort(order.begin(), order.begin() + k, order.end(),
                        [&](int64_t a, int64_t b) { return comes_first(from, inner, largest, a, b); });
      for (int64_t i = 0; i < k; ++i) {
        const int64_t to = (outer * k + i) * inner + rest;
        if (c.output(0) != nullptr) c.output(0)->data<T>()[to] = from[order[i] * inner];
        if (c.output(1) != nullptr) c.output(1)->data<int64_t>()[to] = order[i];
      }
    }
  });
  return true;
}

}  // namespace

void add_index_kernels(std::vector<KernelEntry>* table) {
  table->push_back({"", "GatherND", gather_nd});
  table->push_back({"", "Scatter", scatter_elements});
  table->push_back({"", "ScatterElements", scatter_elements});
  table->push_back({"", "ScatterND", scatter_nd});
  table->push_back({"", "TensorScatter", tensor_scatter});
  table->push_back({"", "Compress", compress});
  table->push_back({"", "NonZero", nonzero});
  table->push_back({"", "Unique", unique});
  table->push_back({"", "TopK", top_k});
}

}  // namespace hayate
