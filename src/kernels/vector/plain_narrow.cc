// The plain twins of the dense layers with fewer bits.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/vector/plain.h"

namespace hayate::kernels::plain {
namespace {

uint16_t to_bf16(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  if (std::isnan(value)) return static_cast<uint16_t>((bits >> 16) | 0x40);  // quiet, never infinity
  return static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

float from_bf16(uint16_t value) {
  const uint32_t bits = static_cast<uint32_t>(value) << 16;
  float made = 0;
  std::memcpy(&made, &bits, sizeof made);
  return made;
}

void bf16_narrow(const Narrowing& a) { std::transform(a.x, a.x + a.n, static_cast<uint16_t*>(a.y), to_bf16); }

void int8_narrow(const Narrowing& a) {
  for (int64_t i = 0; i < a.n; ++i) {
    const float value = std::nearbyint(a.x[i] * a.inverse_scale) + a.zero;
    static_cast<uint8_t*>(a.y)[i] = value > 0 ? static_cast<uint8_t>(std::min(value, 255.0f)) : uint8_t{0};
  }
}

// Calls f(x, y, start, row) for every row: x its first element, y where it goes, start what it starts from for column
// 0.
template <typename X, typename F>
void each_row(const NarrowDense& a, void (*narrow)(const Narrowing&), F&& f) {
  std::vector<float> room(static_cast<size_t>(a.n));
  for (int64_t r = 0; r < a.m; ++r) {
    const int64_t i = r / a.inner, j = r % a.inner, place = i * a.y_outer + j * a.y_inner;
    float* y = a.narrow_y == nullptr ? a.y + place : room.data();
    f(static_cast<const X*>(a.x) + i * a.x_outer + j * a.x_inner, y,
      a.start != nullptr && a.part != Part::kEnd ? a.start + r * a.start_stride : a.bias, r);
    if (a.part == Part::kBegin) continue;
    const int64_t n = std::min(a.to, a.n) - a.from;
    unary(a.activation, y + a.from, y + a.from, n);
    if (a.narrow_y != nullptr)
      narrow({n, y + a.from, static_cast<X*>(a.narrow_y) + place + a.from, a.y_inverse_scale, a.y_zero});
  }
}

int64_t offset_of(const NarrowDense& a, int64_t p) {
  return (a.segment_offsets == nullptr ? 0 : a.segment_offsets[p / a.segment_length]) + p % a.segment_length;
}

// Packed: w as [k, n] of bfloat16.
int64_t bf16_bytes(const NarrowWeights& w) { return (w.segments * w.segment_length * w.n * 2 + 3) / 4 * 4; }

void bf16_pack(const NarrowWeights& weights, void* packed) {
  auto* to = static_cast<uint16_t*>(packed);
  for (int64_t p = 0; p < weights.segments * weights.segment_length; ++p)
    for (int64_t c = 0; c < weights.n; ++c)
      *to++ = to_bf16(static_cast<const float*>(weights.w)[p * weights.k_stride + c * weights.n_stride]);
}

void bf16_dense(const NarrowDense& a) {
  const auto* w = static_cast<const uint16_t*>(a.packed);
  each_row<uint16_t>(a, bf16_narrow, [&](const uint16_t* x, float* y, const float* start, int64_t) {
    for (int64_t c = a.from; c < std::min(a.to, a.n); ++c) {
      double sum = start == nullptr ? 0 : static_cast<double>(start[c]);
      for (int64_t p = 0; p < a.k; ++p)
        sum += static_cast<double>(from_bf16(x[offset_of(a, p)])) * static_cast<double>(from_bf16(w[p * a.n + c]));
      y[c] = static_cast<float>(sum);
    }
  });
}

// Packed: scales [n], the sums of x_zero * w [n] as int32, then w as [k, n].
int64_t int8_bytes(const NarrowWeights& w) { return 8 * w.n + (w.segments * w.segment_length * w.n + 3) / 4 * 4; }

void int8_pack(const NarrowWeights& weights, void* packed) {
  const int64_t n = weights.n, k = weights.segments * weights.segment_length;
  auto* scales = static_cast<float*>(packed);
  auto* zeros = reinterpret_cast<int32_t*>(scales + n);
  auto* to = reinterpret_cast<int8_t*>(zeros + n);
  for (int64_t c = 0; c < n; ++c) {
    scales[c] = weights.scale[c], zeros[c] = 0;
    for (int64_t p = 0; p < k; ++p) {
      const int8_t value = static_cast<const int8_t*>(weights.w)[p * weights.k_stride + c * weights.n_stride];
      zeros[c] += weights.x_zero * value;
      to[p * n + c] = value;
    }
  }
}

void int8_dense(const NarrowDense& a) {
  const auto* scales = static_cast<const float*>(a.packed);
  const auto* zeros = reinterpret_cast<const int32_t*>(scales + a.n);
  const auto* w = reinterpret_cast<const int8_t*>(zeros + a.n);
  each_row<uint8_t>(a, int8_narrow, [&](const uint8_t* x, float* y, const float* start, int64_t row) {
    for (int64_t c = a.from; c < std::min(a.to, a.n); ++c) {
      int32_t sum = 0;
      if (a.part == Part::kEnd) std::memcpy(&sum, a.start + row * a.start_stride + c, sizeof sum);
      sum -= zeros[c];
      for (int64_t p = 0; p < a.k; ++p) sum += x[offset_of(a, p)] * w[p * a.n + c];
      if (a.part == Part::kBegin)
        std::memcpy(y + c, &sum, sizeof sum);
      else
        y[c] = (start == nullptr ? 0.0f : start[c]) + scales[c] * static_cast<float>(sum);
    }
  });
}

// The cell of all, then its h narrowed.
template <typename X, typename Cell>
void narrow_state(const Cell& a, const Narrowing& how, void (*narrow)(const Narrowing&)) {
  for (int64_t r = 0; r < a.m && how.y != nullptr; ++r)
    narrow({a.hidden, a.h + r * a.h_row, static_cast<X*>(how.y) + r * a.hidden, how.inverse_scale, how.zero});
}
template <typename X, void (*kNarrow)(const Narrowing&)>
void lstm_cell_of(const LstmCell& a, const Narrowing& how) {
  lstm_cell(a);
  narrow_state<X>(a, how, kNarrow);
}
template <typename X, void (*kNarrow)(const Narrowing&)>
void gru_cell_of(const GruCell& a, const Narrowing& how) {
  gru_cell(a);
  narrow_state<X>(a, how, kNarrow);
}

}  // namespace

NarrowSet bf16() {
  NarrowSet made{bf16_bytes, bf16_pack, bf16_dense, bf16_narrow};
  made.lstm_cell = lstm_cell_of<uint16_t, bf16_narrow>, made.gru_cell = gru_cell_of<uint16_t, bf16_narrow>;
  return made;
}
NarrowSet int8() {
  NarrowSet made{int8_bytes, int8_pack, int8_dense, int8_narrow};
  made.lstm_cell = lstm_cell_of<uint8_t, int8_narrow>, made.gru_cell = gru_cell_of<uint8_t, int8_narrow>;
  return made;
}

}  // namespace hayate::kernels::plain
