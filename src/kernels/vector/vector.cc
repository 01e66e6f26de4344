// Float32 kernels written once with Highway and compiled for each instruction set; set_for picks by our own table, because
// Highway's dispatch is one choice for the whole process.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/vector/vector.cc"
#define HWY_DISABLED_TARGETS HWY_SSSE3
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <hwy/contrib/math/math-inl.h>

#include <algorithm>
#include <cstring>

#include "kernels/vector/plain.h"

HWY_BEFORE_NAMESPACE();
namespace hayate::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::CappedTag<float, 16>;
using V = hn::Vec<D>;
constexpr D d;
constexpr int64_t kLanes = hn::MaxLanes(D());

// The register file decides the tile: rows x vectors accumulators, the weights' vectors and one broadcast must fit.
#if HWY_TARGET == HWY_AVX3
constexpr int kRows = 6;  // 24 of 32 registers accumulate
constexpr Isa kIsa = Isa::kAvx512;
#elif HWY_TARGET == HWY_AVX2
constexpr int kRows = 2;  // 8 of 16
constexpr Isa kIsa = Isa::kAvx2;
#elif HWY_TARGET == HWY_SSE4
constexpr int kRows = 2;
constexpr Isa kIsa = Isa::kSse4;
#else
constexpr int kRows = 4;
constexpr Isa kIsa = Isa::kNeon;
#endif
constexpr int kVectors = 4;  // of a full panel

// Loads and stores the first `count` lanes, touching nothing behind them.
HWY_INLINE V load_some(const float* p, int64_t count) {
  if (count >= kLanes) return hn::LoadU(d, p);
  HWY_ALIGN float lanes[kLanes] = {};
  std::memcpy(lanes, p, static_cast<size_t>(count) * sizeof(float));
  return hn::Load(d, lanes);
}
HWY_INLINE void store_some(V v, float* p, int64_t count) {
  if (count >= kLanes) return hn::StoreU(v, d, p);
  HWY_ALIGN float lanes[kLanes];
  hn::Store(v, d, lanes);
  std::memcpy(p, lanes, static_cast<size_t>(count) * sizeof(float));
}

// exp(-|x|) stays within the polynomial's range, and both forms are free of cancellation.
HWY_INLINE V sigmoid(V x) {
  const V one = hn::Set(d, 1.0f), e = hn::Exp(d, hn::Neg(hn::Abs(x)));
  const V y = hn::Div(hn::IfThenElse(hn::Lt(x, hn::Zero(d)), e, one), hn::Add(one, e));
  return hn::IfThenElse(hn::IsNaN(x), x, y);
}
HWY_INLINE V tanh_of(V x) { return hn::IfThenElse(hn::IsNaN(x), x, hn::Tanh(d, x)); }

constexpr bool is_vector(Unary op) {
  return op == Unary::kNone || op == Unary::kRelu || op == Unary::kLeakyRelu || op == Unary::kSigmoid || op == Unary::kTanh || op == Unary::kSilu ||
         op == Unary::kSquare || op == Unary::kAbs || op == Unary::kNeg || op == Unary::kSqrt;
}

// Requires: is_vector(a.op). A comparison with NaN is false, so NaN passes through.
HWY_INLINE V apply(Activation a, V x) {
  switch (a.op) {
    case Unary::kRelu: return hn::IfThenZeroElse(hn::Lt(x, hn::Zero(d)), x);
    case Unary::kLeakyRelu: return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Mul(hn::Set(d, a.alpha), x), x);
    case Unary::kSigmoid: return sigmoid(x);
    case Unary::kTanh: return tanh_of(x);
    case Unary::kSilu: return hn::Mul(x, sigmoid(x));
    case Unary::kSquare: return hn::Mul(x, x);
    case Unary::kAbs: return hn::Abs(x);
    case Unary::kNeg: return hn::Neg(x);
    case Unary::kSqrt: return hn::Sqrt(x);
    default: return x;
  }
}

void unary(Activation op, const float* x, float* y, int64_t n) {
  if (!is_vector(op.op)) return plain::set().unary(op, x, y, n);
  for (int64_t i = 0; i < n; i += kLanes) store_some(apply(op, load_some(x + i, n - i)), y + i, n - i);
}

// Panels of up to kVectors vectors of columns, each panel k rows long, the last padded with zeros.
int64_t dense_packed_size(int64_t k, int64_t n) { return k * ((n + kLanes - 1) / kLanes) * kLanes; }

void dense_pack(const float* w, int64_t k, int64_t n, int64_t k_stride, int64_t n_stride, float* packed) {
  for (int64_t column = 0; column < n; column += kVectors * kLanes) {
    const int64_t width = std::min<int64_t>(kVectors, (n - column + kLanes - 1) / kLanes) * kLanes;
    for (int64_t i = 0; i < k; ++i)
      for (int64_t j = 0; j < width; ++j) *packed++ = column + j < n ? w[i * k_stride + (column + j) * n_stride] : 0.0f;
  }
}

// kR rows of one panel. Narrow panels keep kC chains of sums, so that a fused multiply-add's latency of four cycles is
// covered by independent ones even for a single row; the number of chains follows from the panel's width alone.
template <int kR, int kV, int kC>
HWY_INLINE void dense_tile(const Dense& a, const float* panel, int64_t row, int64_t column) {
  const int64_t count = a.n - column;
  const float* x[kR];
  V sums[kR][kV][kC];
  for (int r = 0; r < kR; ++r) {
    const int64_t i = row + r;
    x[r] = a.x + i / a.inner * a.x_outer + i % a.inner * a.x_inner;
    const float* start = a.start != nullptr ? a.start + i * a.start_stride : a.bias;
    for (int v = 0; v < kV; ++v) {
      sums[r][v][0] = start == nullptr ? hn::Zero(d) : load_some(start + column + v * kLanes, count - v * kLanes);
      for (int c = 1; c < kC; ++c) sums[r][v][c] = hn::Zero(d);
    }
  }
  const auto step = [&](int c, int64_t at) HWY_ATTR {
    V w[kV];
    for (int v = 0; v < kV; ++v) w[v] = hn::LoadU(d, panel + v * kLanes);
    panel += kV * kLanes;
    for (int r = 0; r < kR; ++r) {
      const V value = hn::Set(d, x[r][at]);
      for (int v = 0; v < kV; ++v) sums[r][v][c] = hn::MulAdd(value, w[v], sums[r][v][c]);
    }
  };
  for (int64_t s = 0; s < a.segments; ++s) {
    const int64_t offset = a.segment_offsets == nullptr ? 0 : a.segment_offsets[s];
    int64_t i = 0;
    for (; i + kC <= a.segment_length; i += kC)
      for (int c = 0; c < kC; ++c) step(c, offset + i + c);
    for (; i < a.segment_length; ++i) step(0, offset + i);
  }
  for (int r = 0; r < kR; ++r) {
    const int64_t i = row + r;
    float* y = a.y + i / a.inner * a.y_outer + i % a.inner * a.y_inner + column;
    for (int v = 0; v < kV; ++v) {
      V sum = sums[r][v][0];
      if constexpr (kC == 2) sum = hn::Add(sum, sums[r][v][1]);
      if constexpr (kC == 4) sum = hn::Add(hn::Add(sum, sums[r][v][1]), hn::Add(sums[r][v][2], sums[r][v][3]));
      store_some(is_vector(a.activation.op) ? apply(a.activation, sum) : sum, y + v * kLanes, count - v * kLanes);
    }
    if (!is_vector(a.activation.op)) plain::set().unary(a.activation, y, y, std::min<int64_t>(count, kV * kLanes));
  }
}

template <int kV, int kC>
void dense_panel(const Dense& a, const float* panel, int64_t column) {
  int64_t row = 0;
  for (; row + kRows <= a.m; row += kRows) dense_tile<kRows, kV, kC>(a, panel, row, column);
  for (; row < a.m; ++row) dense_tile<1, kV, kC>(a, panel, row, column);
}

void dense(const Dense& a) {
  const float* panel = a.packed;
  for (int64_t column = 0; column < a.n; column += kVectors * kLanes) {
    const int64_t vectors = std::min<int64_t>(kVectors, (a.n - column + kLanes - 1) / kLanes);
    if (vectors == 1) dense_panel<1, 4>(a, panel, column);
    else if (vectors == 2) dense_panel<2, 2>(a, panel, column);
    else if (vectors == 3) dense_panel<3, 1>(a, panel, column);
    else dense_panel<4, 1>(a, panel, column);
    panel += a.k * vectors * kLanes;
  }
}

void lstm_cell(const LstmCell& a) {
  for (int64_t r = 0; r < a.m; ++r)
    for (int64_t k = 0; k < a.hidden; k += kLanes) {
      const int64_t count = a.hidden - k;
      const auto gate = [&](int64_t g) HWY_ATTR { return load_some(a.gates + r * a.gates_row + g * a.hidden + k, count); };
      float* cell = a.c + r * a.c_row + k;
      const V c = hn::MulAdd(sigmoid(gate(2)), load_some(cell, count), hn::Mul(sigmoid(gate(0)), tanh_of(gate(3))));
      store_some(c, cell, count);
      store_some(hn::Mul(sigmoid(gate(1)), tanh_of(c)), a.h + r * a.h_row + k, count);
    }
}

void gru_cell(const GruCell& a) {
  for (int64_t row = 0; row < a.m; ++row)
    for (int64_t k = 0; k < a.hidden; k += kLanes) {
      const int64_t count = a.hidden - k;
      const auto x = [&](int64_t g) HWY_ATTR { return load_some(a.x + row * a.x_row + g * a.hidden + k, count); };
      const auto h = [&](int64_t g) HWY_ATTR { return load_some(a.r + row * a.r_row + g * a.hidden + k, count); };
      const V z = sigmoid(hn::Add(x(0), h(0))), r = sigmoid(hn::Add(x(1), h(1))), candidate = tanh_of(hn::MulAdd(r, h(2), x(2)));
      const V before = load_some(a.h_before + row * a.h_before_row + k, count);
      store_some(hn::MulAdd(z, before, hn::Mul(hn::Sub(hn::Set(d, 1.0f), z), candidate)), a.h + row * a.h_row + k, count);
    }
}

Set set() {
  Set made = plain::set();
  made.isa = kIsa;
  made.dense_packed_size = dense_packed_size;
  made.dense_pack = dense_pack;
  made.dense = dense;
  made.unary = unary;
  made.lstm_cell = lstm_cell;
  made.gru_cell = gru_cell;
  return made;
}

}  // namespace HWY_NAMESPACE
}  // namespace hayate::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hayate::kernels {

namespace {

struct Built {
  Isa isa;
  int64_t target;  // Highway's bit, to ask the processor
  Set set;
};

const std::vector<Built>& built() {
  static const std::vector<Built> kBuilt = {
#if HWY_TARGETS & HWY_AVX3
      {Isa::kAvx512, HWY_AVX3, N_AVX3::set()},
#endif
#if HWY_TARGETS & HWY_AVX2
      {Isa::kAvx2, HWY_AVX2, N_AVX2::set()},
#endif
#if HWY_TARGETS & HWY_SSE4
      {Isa::kSse4, HWY_SSE4, N_SSE4::set()},
#endif
#if HWY_TARGETS & HWY_NEON
      {Isa::kNeon, HWY_NEON, N_NEON::set()},
#endif
      {Isa::kPlain, 0, plain::set()}};
  return kBuilt;
}

constexpr std::pair<Isa, const char*> kNames[] = {
    {Isa::kPlain, "plain"}, {Isa::kSse4, "sse4"}, {Isa::kAvx2, "avx2"}, {Isa::kAvx512, "avx512"}, {Isa::kNeon, "neon"}};

}  // namespace

const char* isa_name(Isa isa) {
  for (const auto& [known, name] : kNames)
    if (known == isa) return name;
  return "";
}

std::optional<Isa> isa_from_name(std::string_view name) {
  for (const auto& [isa, known] : kNames)
    if (known == name) return isa;
  return std::nullopt;
}

std::vector<Isa> supported_isas() {
  const int64_t runs = hwy::SupportedTargets();
  std::vector<Isa> isas;
  for (const Built& each : built())
    if (each.target == 0 || (runs & each.target) != 0) isas.push_back(each.isa);
  return isas;
}

const Set& set_for(Isa isa) {
  const auto it = std::find_if(built().begin(), built().end(), [&](const Built& each) { return each.isa == isa; });
  return it == built().end() ? built().back().set : it->set;
}

}  // namespace hayate::kernels
#endif  // HWY_ONCE
