// Plain loops over primitive arguments: the specification of the mathematics. Sums run in float64 and round once.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

namespace hayate::kernels::reference {

using Extents = std::vector<int64_t>;

inline int64_t product(const Extents& extents) {
  int64_t count = 1;
  for (const int64_t extent : extents) count *= extent;
  return count;
}

// Strides of a dense row-major tensor.
inline Extents row_major(const Extents& shape) {
  Extents strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

// Strides that walk `shape` broadcast to `out`: 0 along the axes that repeat.
inline Extents broadcast_strides(const Extents& shape, const Extents& out) {
  const Extents dense = row_major(shape);
  Extents strides(out.size(), 0);
  for (size_t i = 0; i < shape.size(); ++i)
    if (shape[shape.size() - 1 - i] != 1) strides[out.size() - 1 - i] = dense[shape.size() - 1 - i];
  return strides;
}

// Calls f(i, offsets) for each element i of `shape` in row-major order; offsets[k] follows strides[k].
template <size_t kInputs, typename F>
void for_each_element(const Extents& shape, const Extents (&strides)[kInputs], F&& f) {
  const int64_t count = product(shape);
  Extents index(shape.size(), 0);
  int64_t offsets[kInputs] = {};
  for (int64_t i = 0; i < count; ++i) {
    f(i, offsets);
    for (size_t axis = shape.size(); axis-- > 0;) {
      for (size_t k = 0; k < kInputs; ++k) offsets[k] += strides[k][axis];
      if (++index[axis] < shape[axis]) break;
      for (size_t k = 0; k < kInputs; ++k) offsets[k] -= strides[k][axis] * shape[axis];
      index[axis] = 0;
    }
  }
}

// y[i] = x[start + sum of index * strides], elements copied bytewise: transposes, slices, broadcasts.
void copy_strided(const std::byte* x, std::byte* y, size_t element, const Extents& shape, const Extents& strides,
                  int64_t start);

// x in type T; of integers the nearest, cut towards 0, and 0 for NaN.
template <typename T>
T nearest(double x) {
  if constexpr (std::is_integral_v<T>) {
    if (std::isnan(x)) return T{};
    if (x <= static_cast<double>(std::numeric_limits<T>::lowest())) return std::numeric_limits<T>::lowest();
    if (x >= static_cast<double>(std::numeric_limits<T>::max())) return std::numeric_limits<T>::max();
  }
  return static_cast<T>(x);
}

// y[m, n] = alpha * sum a(i, k) b(k, j) + beta * c(i, j), with any strides (c may be null). Integers wrap in 64 bits
// where alpha and beta are 1.
template <typename T>
void gemm(int64_t m, int64_t n, int64_t k, double alpha, const T* a, int64_t a_m, int64_t a_k, const T* b, int64_t b_k,
          int64_t b_n, double beta, const T* c, int64_t c_m, int64_t c_n, T* y) {
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      if (std::is_integral_v<T> && alpha == 1 && (c == nullptr || beta == 1)) {
        uint64_t exact = c == nullptr ? 0 : static_cast<uint64_t>(c[i * c_m + j * c_n]);
        for (int64_t p = 0; p < k; ++p)
          exact += static_cast<uint64_t>(a[i * a_m + p * a_k]) * static_cast<uint64_t>(b[p * b_k + j * b_n]);
        y[i * n + j] = static_cast<T>(exact);
        continue;
      }
      double sum = 0;
      for (int64_t p = 0; p < k; ++p)
        sum += static_cast<double>(a[i * a_m + p * a_k]) * static_cast<double>(b[p * b_k + j * b_n]);
      sum *= alpha;
      if (c != nullptr) sum += beta * static_cast<double>(c[i * c_m + j * c_n]);
      y[i * n + j] = nearest<T>(sum);
    }
}

// Geometry of a window over three spatial axes (fewer: leading ones of extent 1).
struct Window3 {
  int64_t input[3], output[3], kernel[3], stride[3], dilation[3], pad[3];
};

// x [images, groups * in, spatial], w [groups * out, in, kernel], bias [groups * out] or null, y [images, groups * out,
// output]. Sums go tap by tap; where `starts` is given, which may be y, each goes on from there and not from its bias.
template <typename T>
void conv(const Window3& g, int64_t images, int64_t groups, int64_t in, int64_t out, const T* x, const T* w,
          const T* bias, T* y, const T* starts = nullptr);
// w [groups * in, out, kernel]; g.input is x's extent, g.output y's.
template <typename T>
void conv_transpose(const Window3& g, int64_t images, int64_t groups, int64_t in, int64_t out, const T* x, const T* w,
                    const T* bias, T* y);
enum class PoolKind { kMax, kAverage, kAverageWithPad, kLp };
struct Pooling {
  PoolKind kind = PoolKind::kMax;
  int64_t pad_end[3] = {0, 0, 0};
  double p = 2;               // of kLp: the p-th root of the sum of |x|^p
  bool column_major = false;  // how `where` counts inside a plane: the first axis fastest
};
// planes = images * channels. `where` (may be null) receives the flat index of the maximum within x.
template <typename T>
void pool(const Window3& g, const Pooling& pooling, int64_t planes, const T* x, T* y, int64_t* where);

}  // namespace hayate::kernels::reference
