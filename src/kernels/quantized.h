// Quantisation and integer sums, bit for bit as ONNX Runtime has them. Plain loops: the specification.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace hayate::kernels {

// round_half_even(value) + zero_point, held within Q. NaN gives the lowest.
template <typename Q>
Q saturated(float value, int32_t zero_point) {
  const float low = static_cast<float>(std::numeric_limits<Q>::min() - zero_point),
              high = static_cast<float>(std::numeric_limits<Q>::max() - zero_point);
  const float held = value > low ? std::min(value, high) : low;
  return static_cast<Q>(static_cast<int32_t>(std::nearbyint(held)) + zero_point);
}

// Where the scale of element (outer, along, inner) stands: one for all, one per place along the axis, or one
// per block of `block` places along it.
struct QuantAxis {
  int64_t outer = 1, along = 1, inner = 1;
  int64_t block = 0;       // 0: no blocks
  bool per_place = false;  // else one for all

  int64_t index(int64_t o, int64_t a, int64_t i) const {
    if (block > 0) return (o * ((along + block - 1) / block) + a / block) * inner + i;
    return per_place ? a : 0;
  }
};

template <typename F>
void for_each_scaled(const QuantAxis& axis, F&& f) {
  int64_t at = 0;
  for (int64_t o = 0; o < axis.outer; ++o)
    for (int64_t a = 0; a < axis.along; ++a)
      for (int64_t i = 0; i < axis.inner; ++i, ++at) f(at, axis.index(o, a, i));
}

// y = saturated(x / scale); zero_point may be null (0).
template <typename Q>
void quantize(const QuantAxis& axis, const float* x, const float* scale, const Q* zero_point, Q* y) {
  for_each_scaled(axis, [&](int64_t at, int64_t s) {
    y[at] = saturated<Q>(x[at] / scale[s], zero_point == nullptr ? 0 : zero_point[s]);
  });
}

// y = (x - zero_point) * scale.
template <typename Q>
void dequantize(const QuantAxis& axis, const Q* x, const float* scale, const Q* zero_point, float* y) {
  for_each_scaled(axis, [&](int64_t at, int64_t s) {
    y[at] = static_cast<float>(static_cast<int64_t>(x[at]) -
                               (zero_point == nullptr ? 0 : static_cast<int64_t>(zero_point[s]))) *
            scale[s];
  });
}

// The scale and zero point with which DynamicQuantizeLinear holds all of x and 0 in uint8.
struct QuantRange {
  float scale;
  uint8_t zero_point;
};
QuantRange dynamic_range(const float* x, int64_t n);

// y [m, n] = sum of (a - a_zero) (b - b_zero) in int32, wrapping. Zero points: null (0), or one, or one per
// row of a (column of b) where their step is 1.
template <typename A, typename B>
void integer_matmul(int64_t m, int64_t n, int64_t k, const A* a, const A* a_zero, int64_t a_zero_step, const B* b,
                    const B* b_zero, int64_t b_zero_step, int32_t* y) {
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      const int32_t za = a_zero == nullptr ? 0 : a_zero[i * a_zero_step],
                    zb = b_zero == nullptr ? 0 : b_zero[j * b_zero_step];
      uint32_t sum = 0;
      for (int64_t p = 0; p < k; ++p) sum += static_cast<uint32_t>((a[i * k + p] - za) * (b[p * n + j] - zb));
      y[i * n + j] = static_cast<int32_t>(sum);
    }
}

// A window over three spatial axes (fewer: leading ones of extent 1).
struct IntegerWindow {
  int64_t input[3] = {1, 1, 1}, output[3] = {1, 1, 1}, kernel[3] = {1, 1, 1}, stride[3] = {1, 1, 1},
          dilation[3] = {1, 1, 1}, pad[3] = {0, 0, 0};
};

// The sum of one output place: x, w at the first channel of its group; the padding is worth nothing.
template <typename X, typename W>
int32_t integer_window(const IntegerWindow& g, int64_t channels, const X* x, int32_t x_zero, const W* w, int32_t w_zero,
                       const int64_t (&at)[3]) {
  uint32_t sum = 0;
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t i = 0; i < g.kernel[0]; ++i)
      for (int64_t j = 0; j < g.kernel[1]; ++j)
        for (int64_t k = 0; k < g.kernel[2]; ++k, ++w) {
          const int64_t p = at[0] * g.stride[0] - g.pad[0] + i * g.dilation[0],
                        q = at[1] * g.stride[1] - g.pad[1] + j * g.dilation[1],
                        r = at[2] * g.stride[2] - g.pad[2] + k * g.dilation[2];
          if (p < 0 || p >= g.input[0] || q < 0 || q >= g.input[1] || r < 0 || r >= g.input[2]) continue;
          sum += static_cast<uint32_t>((x[((c * g.input[0] + p) * g.input[1] + q) * g.input[2] + r] - x_zero) *
                                       (*w - w_zero));
        }
  return static_cast<int32_t>(sum);
}

// y [images, groups * out, output] from x [images, groups * in, input], w [groups * out, in, kernel]. w_zero:
// null, or one per output channel where its step is 1.
template <typename X, typename W>
void integer_conv(const IntegerWindow& g, int64_t images, int64_t groups, int64_t in, int64_t out, const X* x,
                  int32_t x_zero, const W* w, const W* w_zero, int64_t w_zero_step, int32_t* y) {
  const int64_t plane = g.input[0] * g.input[1] * g.input[2], kernel = g.kernel[0] * g.kernel[1] * g.kernel[2];
  for (int64_t n = 0; n < images; ++n)
    for (int64_t channel = 0; channel < groups * out; ++channel) {
      const X* from = x + (n * groups + channel / out) * in * plane;
      const int32_t zero = w_zero == nullptr ? 0 : w_zero[channel * w_zero_step];
      int64_t at[3];
      for (at[0] = 0; at[0] < g.output[0]; ++at[0])
        for (at[1] = 0; at[1] < g.output[1]; ++at[1])
          for (at[2] = 0; at[2] < g.output[2]; ++at[2])
            *y++ = integer_window(g, in, from, x_zero, w + channel * in * kernel, zero, at);
    }
}

}  // namespace hayate::kernels
