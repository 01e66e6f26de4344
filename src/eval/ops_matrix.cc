#include <algorithm>
#include <cmath>
#include <cstring>

#include "eval/kernel.h"
#include "graph/einsum.h"
#include "kernels/reference/loops.h"

namespace hayate {
namespace {

namespace ref = kernels::reference;

constexpr int64_t kFar = int64_t{1} << 40;  // a diagonal further off than any matrix is wide

// Sums of floats run in float64; integers wrap in 64 bits.
template <typename T>
using Wide = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;

Result<bool> trilu(const KernelContext& c) {
  const Tensor& x = *c.inputs[0];
  const bool upper = c.node.get<int64_t>("upper", 1) != 0;
  const int64_t k = c.input(1) == nullptr ? 0 : std::clamp(to_int64s(*c.input(1))[0], -kFar, kFar);
  const int64_t rows = x.shape()[x.rank() - 2], columns = x.shape()[x.rank() - 1];
  const size_t size = type_size(x.type());
  for (int64_t i = 0; i < x.count(); ++i) {
    const int64_t row = i / columns % rows, column = i % columns;
    if (upper ? column - k >= row : column - k <= row)
      std::memcpy(c.outputs[0]->bytes() + i * size, x.bytes() + i * size, size);
  }
  return true;
}

Result<bool> cumulative(const KernelContext& c, bool product) {
  const Tensor& x = *c.inputs[0];
  const int64_t given = to_int64s(*c.inputs[1])[0];
  const std::optional<int64_t> axis = normal_axis(given, x.rank());
  if (!axis) return c.error("axis " + std::to_string(given) + " is outside shape " + shape_text(x.shape()));
  const bool exclusive = c.node.get<int64_t>("exclusive", 0) != 0, reverse = c.node.get<int64_t>("reverse", 0) != 0;
  const int64_t extent = x.shape()[*axis], inner = ref::row_major(x.shape())[*axis];
  visit_type(x.type(), [&]<typename T>() {
    for (int64_t line = 0; extent != 0 && line < x.count() / extent; ++line) {
      Wide<T> sum = product ? 1 : 0;
      for (int64_t k = 0; k < extent; ++k) {
        const int64_t at = line / inner * extent * inner + (reverse ? extent - 1 - k : k) * inner + line % inner;
        const Wide<T> value = static_cast<Wide<T>>(x.data<T>()[at]), next = product ? sum * value : sum + value;
        c.outputs[0]->data<T>()[at] = static_cast<T>(exclusive ? sum : next);
        sum = next;
      }
    }
  });
  return true;
}

Result<bool> eye_like(const KernelContext& c) {
  Tensor& y = *c.outputs[0];
  const int64_t k = std::clamp(c.node.get<int64_t>("k", 0), -kFar, kFar), columns = y.shape()[1];
  const auto fill = [&]<typename T>(T one, T* to) {
    for (int64_t i = 0; i < y.count(); ++i)
      if (i % columns - k == i / columns) to[i] = one;
  };
  if (is_half_float(y.type()))
    fill(y.type() == Type::kFloat16 ? half_from_float(1) : bfloat_from_float(1),
         reinterpret_cast<uint16_t*>(y.bytes()));
  else
    visit_type(y.type(), [&]<typename T>() { fill(T{1}, y.data<T>()); });
  return true;
}

// Copies x, seen as `shape`, with its axes in the order `perm`.
void permuted(const Tensor& x, const Shape& shape, const std::vector<int>& perm, Tensor* y) {
  const ref::Extents dense = ref::row_major(shape);
  ref::Extents out, strides;
  for (const int axis : perm) out.push_back(shape[axis]), strides.push_back(dense[axis]);
  ref::copy_strided(x.bytes(), y->bytes(), type_size(x.type()), out, strides, 0);
}

Result<bool> depth_to_space(const KernelContext& c) {
  const Shape& x = c.inputs[0]->shape();
  const int64_t b = c.node.get<int64_t>("blocksize", 1), channels = x[1] / (b * b);
  if (c.node.get<std::string>("mode", "DCR") == "DCR")
    permuted(*c.inputs[0], {x[0], b, b, channels, x[2], x[3]}, {0, 3, 4, 1, 5, 2}, c.outputs[0]);
  else
    permuted(*c.inputs[0], {x[0], channels, b, b, x[2], x[3]}, {0, 1, 4, 2, 5, 3}, c.outputs[0]);
  return true;
}

Result<bool> space_to_depth(const KernelContext& c) {
  const Shape& x = c.inputs[0]->shape();
  const int64_t b = c.node.get<int64_t>("blocksize", 1);
  const bool depth_last = c.node.get<std::string>("mode", "DCR") == "CRD";
  permuted(*c.inputs[0], {x[0], x[1], x[2] / b, b, x[3] / b, b},
           depth_last ? std::vector<int>{0, 1, 3, 5, 2, 4} : std::vector<int>{0, 3, 5, 1, 2, 4}, c.outputs[0]);
  return true;
}

Result<bool> reverse_sequence(const KernelContext& c) {
  const Tensor& x = *c.inputs[0];
  const int64_t time = c.node.get<int64_t>("time_axis", 0), steps = x.shape()[time], rows = x.shape()[1 - time];
  const int64_t* lengths = c.inputs[1]->data<int64_t>();
  if (x.count() == 0) return true;
  const size_t width = x.byte_count() / static_cast<size_t>(steps * rows);
  for (int64_t row = 0; row < rows; ++row)
    if (lengths[row] < 0 || lengths[row] > steps)
      return c.error("length " + std::to_string(lengths[row]) + " is outside 0 to " + std::to_string(steps));
  const auto at = [&](int64_t step, int64_t row) {
    return (time == 0 ? step * rows + row : row * steps + step) * width;
  };
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t step = 0; step < steps; ++step) {
      const int64_t from = step < lengths[row] ? lengths[row] - 1 - step : step;
      std::memcpy(c.outputs[0]->bytes() + at(step, row), x.bytes() + at(from, row), width);
    }
  return true;
}

// By elimination with the largest pivot of each column; destroys `a` [n, n].
double determinant(std::vector<double>* a, int64_t n) {
  double det = 1;
  for (int64_t k = 0; k < n; ++k) {
    int64_t pivot = k;
    for (int64_t i = k + 1; i < n; ++i)
      if (std::fabs((*a)[i * n + k]) > std::fabs((*a)[pivot * n + k])) pivot = i;
    if ((*a)[pivot * n + k] == 0) return 0;
    if (pivot != k) {
      std::swap_ranges(a->begin() + k * n, a->begin() + (k + 1) * n, a->begin() + pivot * n);
      det = -det;
    }
    det *= (*a)[k * n + k];
    for (int64_t i = k + 1; i < n; ++i) {
      const double factor = (*a)[i * n + k] / (*a)[k * n + k];
      for (int64_t j = k; j < n; ++j) (*a)[i * n + j] -= factor * (*a)[k * n + j];
    }
  }
  return det;
}

Result<bool> det(const KernelContext& c) {
  const Tensor& x = *c.inputs[0];
  const int64_t n = x.shape().back();
  const std::vector<double> values = to_doubles(x);
  visit_type(x.type(), [&]<typename T>() {
    for (int64_t i = 0; i < c.outputs[0]->count(); ++i) {
      std::vector<double> a(values.begin() + i * n * n, values.begin() + (i + 1) * n * n);
      c.outputs[0]->data<T>()[i] = static_cast<T>(determinant(&a, n));
    }
  });
  return true;
}

// Steps the offsets of all operands from one index to the next, the last axis first.
class Walk {
 public:
  Walk(const Shape& extents, const std::vector<Shape>& strides, size_t first)
      : extents_(extents), strides_(strides), first_(first), index_(extents.size(), 0) {}

  void next(std::vector<int64_t>* offsets) {
    for (size_t axis = extents_.size(); axis-- > 0;) {
      const bool wraps = ++index_[axis] == extents_[axis];
      for (size_t k = 0; k < offsets->size(); ++k)
        (*offsets)[k] += strides_[k][first_ + axis] * (wraps ? 1 - extents_[axis] : 1);
      if (!wraps) return;
      index_[axis] = 0;
    }
  }

 private:
  const Shape& extents_;
  const std::vector<Shape>& strides_;
  size_t first_;
  Shape index_;
};

Result<bool> einsum(const KernelContext& c) {
  std::vector<Shape> shapes;
  for (const Tensor* input : c.inputs) shapes.push_back(input->shape());
  const Result<EinsumLoops> parsed = einsum_loops(c.node, shapes);
  if (!parsed.ok()) return parsed.error();
  const EinsumLoops& loops = parsed.value();
  const int64_t terms = ref::product(loops.summed);
  visit_type(c.outputs[0]->type(), [&]<typename T>() {
    std::vector<int64_t> at(c.inputs.size(), 0);
    Walk outer(loops.output, loops.strides, 0);
    for (int64_t i = 0; i < c.outputs[0]->count(); ++i) {
      Wide<T> sum = 0;
      std::vector<int64_t> inside = at;
      Walk inner(loops.summed, loops.strides, loops.output.size());
      for (int64_t term = 0; term < terms; ++term) {
        Wide<T> product = 1;
        for (size_t k = 0; k < inside.size(); ++k) product *= static_cast<Wide<T>>(c.inputs[k]->data<T>()[inside[k]]);
        sum += product;
        inner.next(&inside);
      }
      c.outputs[0]->data<T>()[i] = static_cast<T>(sum);
      outer.next(&at);
    }
  });
  return true;
}

// a0 - a1 cos(x) + a2 cos(2x) over one period of `count` samples, or up to the last of them: of a single one, which is
// both ends, the standard's formula makes 0 / 0, NaN (as an integer here 0).
Result<bool> window(const KernelContext& c, double a0, double a1, double a2) {
  Tensor& y = *c.outputs[0];
  const bool periodic = c.node.get<int64_t>("periodic", 1) != 0;
  const double period = static_cast<double>(periodic ? y.count() : y.count() - 1);
  visit_type(y.type(), [&]<typename T>() {
    for (int64_t i = 0; i < y.count(); ++i) {
      const double x = 2 * M_PI * static_cast<double>(i) / period;
      const double value = a0 - a1 * std::cos(x) + a2 * std::cos(2 * x);
      y.data<T>()[i] = std::is_integral_v<T> && std::isnan(value) ? T{0} : static_cast<T>(value);
    }
  });
  return true;
}

}  // namespace

void add_matrix_kernels(std::vector<KernelEntry>* table) {
  const auto add = [&](std::string_view op, Kernel kernel) { table->push_back({"", op, kernel}); };
  add("Trilu", trilu), add("EyeLike", eye_like), add("Det", det), add("Einsum", einsum);
  add("CumSum", [](const KernelContext& c) { return cumulative(c, false); });
  add("CumProd", [](const KernelContext& c) { return cumulative(c, true); });
  add("DepthToSpace", depth_to_space), add("SpaceToDepth", space_to_depth), add("ReverseSequence", reverse_sequence);
  add("HannWindow", [](const KernelContext& c) { return window(c, 0.5, 0.5, 0); });
  add("HammingWindow", [](const KernelContext& c) { return window(c, 25.0 / 46, 21.0 / 46, 0); });
  add("BlackmanWindow", [](const KernelContext& c) { return window(c, 0.42, 0.5, 0.08); });
}

}  // namespace hayate
