// What the vector kernels share: lanes, tiles, and functions of a vector. Included once per instruction set.
#if defined(HAYATE_FUNCTIONS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef HAYATE_FUNCTIONS_INL
#undef HAYATE_FUNCTIONS_INL
#else
#define HAYATE_FUNCTIONS_INL
#endif

// The order of these matters.
// clang-format off
#include <hwy/highway.h>

#include <hwy/contrib/math/math-inl.h>
// clang-format on

#include <cstdint>
#include <cstring>

#include "kernels/vector/kernels.h"

// A loop over the rows or vectors of a tile, unrolled before anything else is done: as long as it is a loop, the array
// that it runs over stays in memory.
#if defined(__clang__)
#define HAYATE_EACH(i, n) _Pragma("clang loop unroll(full)") for (int i = 0; i < (n); ++i)
#else
#define HAYATE_EACH(i, n) _Pragma("GCC unroll 64") for (int i = 0; i < (n); ++i)
#endif

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
constexpr int kRegisters = HWY_TARGET == HWY_AVX3 || HWY_ARCH_ARM ? 32 : 16;

// Sizes of tiles, largest first: of kRows or twice that many rows, then 4, 3, 2 and 1, for a tile of one row costs
// nearly as much as one of several. Few sizes, because each is compiled for itself.
#ifdef HAYATE_FEW_TILES
constexpr int next_tile(int rows) { return rows > kRows ? kRows : 1; }
#else
constexpr int next_tile(int rows) { return rows > kRows ? kRows : rows > 4 ? 4 : std::max(rows - 1, 1); }
#endif
// The rows of the next tile where `left` are to do.
template <int kMost>
HWY_INLINE int64_t tile_rows(int64_t left) {
  int rows = kMost;
  while (rows > left) rows = next_tile(rows);
  return rows;
}

// Loads and stores the first `count` lanes, touching nothing behind them; lanes not loaded are 0.
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
HWY_INLINE V load_some(const float* p, int64_t count) {
  if (HWY_LIKELY(count >= kLanes)) return hn::LoadU(d, p);
  return count <= 0 ? hn::Zero(d) : hn::MaskedLoad(hn::FirstN(d, static_cast<size_t>(count)), d, p);
}
HWY_INLINE void store_some(V v, float* p, int64_t count) {
  if (HWY_LIKELY(count >= kLanes)) return hn::StoreU(v, d, p);
  if (count > 0) hn::BlendedStore(v, hn::FirstN(d, static_cast<size_t>(count)), d, p);
}
#else  // a masked load there reads whole vectors
HWY_INLINE V load_some(const float* p, int64_t count) {
  if (count >= kLanes) return hn::LoadU(d, p);
  HWY_ALIGN float lanes[kLanes] = {};
  if (count > 0) std::memcpy(lanes, p, static_cast<size_t>(count) * sizeof(float));
  return hn::Load(d, lanes);
}
HWY_INLINE void store_some(V v, float* p, int64_t count) {
  if (count >= kLanes) return hn::StoreU(v, d, p);
  HWY_ALIGN float lanes[kLanes];
  hn::Store(v, d, lanes);
  if (count > 0) std::memcpy(p, lanes, static_cast<size_t>(count) * sizeof(float));
}
#endif

// A value that several products read is loaded once; the compiler would load it for each of them.
template <class Vec>
HWY_INLINE Vec in_register(Vec v) {
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_SSE4
  auto raw = v.raw;
  asm("" : "+v"(raw));
  return Vec{raw};
#elif HWY_TARGET == HWY_NEON
  auto raw = v.raw;
  asm("" : "+w"(raw));
  return Vec(raw);
#else
  return v;
#endif
}

// Sums over consecutive elements: element i goes to lane i % 16, and the lanes are folded in halves, so that the bits
// are the same however many lanes a vector has.
struct Sums16 {
  static constexpr int kParts = 16 / kLanes;
  V parts[kParts];

  HWY_INLINE Sums16() {
    for (V& part : parts) part = hn::Zero(d);
  }
  // add(so far, i, left) for the lanes of elements i on, of which `left` > 0 are there.
  template <class Add>
  HWY_INLINE void over(int64_t n, Add&& add) {
    for (int64_t i = 0; i < n; i += 16)
      for (int p = 0; p < kParts; ++p)
        if (const int64_t at = i + p * kLanes; at < n) parts[p] = add(parts[p], at, n - at);
  }
  HWY_INLINE float sum() const {
    V folded[kParts];
    for (int p = 0; p < kParts; ++p) folded[p] = parts[p];
    for (int half = kParts / 2; half > 0; half /= 2)
      for (int p = 0; p < half; ++p) folded[p] = hn::Add(folded[p], folded[p + half]);
    V v = folded[0];
#if HWY_TARGET != HWY_SCALAR
    if constexpr (kLanes >= 8) v = hn::Add(v, hn::ConcatUpperUpper(d, v, v));
    if constexpr (kLanes >= 16) v = hn::Add(v, hn::SwapAdjacentBlocks(v));
    v = hn::Add(v, hn::Shuffle1032(v));
    v = hn::Add(v, hn::Shuffle2301(v));
#endif
    return hn::GetLane(v);
  }
};
template <class Add>
HWY_INLINE float sum_over(int64_t n, Add&& add) {
  Sums16 sums;
  sums.over(n, add);
  return sums.sum();
}

// x * 2^n for whole n; down to denormal results.
HWY_INLINE V scaled(V x, V n) {
#if HWY_TARGET == HWY_AVX3
  return V{_mm512_scalef_ps(x.raw, n.raw)};
#else  // in two steps, each of which a float holds
  const hn::RebindToSigned<D> di;
  const auto whole = hn::ConvertTo(di, n), half = hn::ShiftRight<1>(whole);
  const auto power = [&](hn::Vec<decltype(di)> i)
                         HWY_ATTR { return hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(i, hn::Set(di, 127)))); };
  return hn::Mul(hn::Mul(x, power(half)), power(hn::Sub(whole, half)));
#endif
}

// exp(x) for x <= 1 within 1.5 units in the last place; NaN stays NaN.
HWY_INLINE V exp_below(V x) {
  const V n = hn::Round(hn::Mul(x, hn::Set(d, 1.44269504088896341f)));
  // log(2) in two parts, the first so short that its products are exact.
  V r = hn::MulAdd(n, hn::Set(d, -0.693359375f), x);
  r = hn::MulAdd(n, hn::Set(d, 2.12194440e-4f), r);
  V p = hn::Set(d, 1.9875691500e-4f);
  for (const float c : {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f})
    p = hn::MulAdd(p, r, hn::Set(d, c));
  p = hn::Add(hn::MulAdd(p, hn::Mul(r, r), r), hn::Set(d, 1.0f));
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -104.0f)), scaled(p, n));  // half the least denormal is exp(-103.97)
}

// A function as a quotient: who multiplies and adds several divides once. NaN where x is.
struct Quotient {
  V of, by;
};

// sigmoid(x) = of / by and 1 - sigmoid(x) = rest / by. exp(-|x|) cannot overflow, and nothing cancels.
struct SigmoidQuotient {
  V of, by, rest;
};
HWY_INLINE SigmoidQuotient sigmoid_quotient(V x) {
  const V one = hn::Set(d, 1.0f), e = exp_below(hn::Neg(hn::Abs(x)));
  const auto below = hn::Lt(x, hn::Zero(d));
  return {hn::IfThenElse(below, e, one), hn::Add(one, e), hn::IfThenElse(below, one, e)};
}
HWY_INLINE V sigmoid(V x) {
  const SigmoidQuotient q = sigmoid_quotient(x);
  return hn::IfThenElse(hn::IsNaN(x), x, hn::Div(q.of, q.by));
}

// x p(x^2) / q(x^2), the widely used minimax fit; beyond 7.9 a float32 tanh is 1.
HWY_INLINE Quotient tanh_quotient(V x) {
  const V bound = hn::Set(d, 7.90531110763549805f), v = hn::Max(hn::Min(x, bound), hn::Neg(bound)), s = hn::Mul(v, v);
  V p = hn::Set(d, -2.76076847742355e-16f), q = hn::Set(d, 1.19825839466702e-06f);
  for (const float c : {2.00018790482477e-13f, -8.60467152213735e-11f, 5.12229709037114e-08f, 1.48572235717979e-05f,
                        6.37261928875436e-04f, 4.89352455891786e-03f})
    p = hn::MulAdd(p, s, hn::Set(d, c));
  for (const float c : {1.18534705686654e-04f, 2.26843463243900e-03f, 4.89352518554385e-03f})
    q = hn::MulAdd(q, s, hn::Set(d, c));
  return {hn::IfThenElse(hn::IsNaN(x), x, hn::Mul(v, p)), q};
}
HWY_INLINE V tanh_of(V x) {
  const Quotient q = tanh_quotient(x);
  return hn::Div(q.of, q.by);
}
// Beyond 89, where exp is infinite, Highway's goes wrong: from 178 on it gives NaN.
HWY_INLINE V exp_of(V x) { return hn::IfThenElse(hn::IsNaN(x), x, hn::Exp(d, hn::Min(x, hn::Set(d, 89.0f)))); }
// What rounding lost of x^2 = s; without a fused multiply-add by halves of 12 bits, whose products are exact.
HWY_INLINE V lost_of_square(V x, V s) {
#if HWY_TARGET == HWY_SSE4
  const V high = hn::And(x, hn::BitCast(d, hn::Set(hn::RebindToUnsigned<D>(), 0xFFFFF000u))), low = hn::Sub(x, high);
  const V cross = hn::Mul(high, low);
  return hn::Add(hn::Add(hn::Sub(hn::Mul(high, high), s), hn::Add(cross, cross)), hn::Mul(low, low));
#else
  return hn::MulSub(x, x, s);
#endif
}

// erfc(z) for z >= 0 as t exp(polynomial in t) exp(-z^2), t = 1 / (1 + z / 2), relative error 1.2e-7 (Chebyshev fit of
// Numerical Recipes). z^2 comes as `square` and what its rounding lost as `lost`: at z = 6 that is worth six digits.
HWY_INLINE V erfc_of(V z, V square, V lost) {
  const V one = hn::Set(d, 1.0f), t = hn::Div(one, hn::MulAdd(hn::Set(d, 0.5f), z, one));
  V p = hn::Set(d, 0.17087277f);
  for (const float c : {-0.82215223f, 1.48851587f, -1.13520398f, 0.27886807f, -0.18628806f, 0.09678418f, 0.37409196f,
                        1.00002368f, -1.26551223f})
    p = hn::MulAdd(p, t, hn::Set(d, c));
  // exp(p - square): what the subtraction rounds off comes back as a factor.
  const V power = hn::Sub(p, square), taken = hn::Sub(power, p);
  const V rounded = hn::Sub(hn::Sub(p, hn::Sub(power, taken)), hn::Add(square, taken));
  const auto known = hn::Lt(square, hn::Set(d, 100.0f));  // beyond, all is 0 and inf - inf would speak
  const V e = hn::Mul(t, exp_below(power));
  return hn::MulAdd(e, hn::IfThenElseZero(known, hn::Sub(rounded, lost)), e);
}
// Near 0, where 1 - erfc cancels, the series.
HWY_INLINE V erf_of(V x) {
  const V one = hn::Set(d, 1.0f), size = hn::Abs(x), s = hn::Mul(x, x);
  const V far = hn::CopySign(hn::Sub(one, erfc_of(size, s, lost_of_square(x, s))), x);
  V near = hn::Set(d, -1.0f / 1320);
  for (const float c : {1.0f / 216, -1.0f / 42, 0.1f, -1.0f / 3, 1.0f}) near = hn::MulAdd(near, s, hn::Set(d, c));
  near = hn::Mul(near, hn::Mul(x, hn::Set(d, 1.12837916709551257f)));
  return hn::IfThenElse(hn::IsNaN(x), x, hn::IfThenElse(hn::Lt(size, hn::Set(d, 0.5f)), near, far));
}
// x Phi(x): of negative x from erfc itself, so that nothing cancels.
HWY_INLINE V gelu_of(V x) {
  const V half = hn::Set(d, 0.5f), s = hn::Mul(x, x), square = hn::Mul(half, s),
          lost = hn::Mul(half, lost_of_square(x, s));
  const V tail = hn::Mul(half, erfc_of(hn::Mul(hn::Abs(x), hn::Set(d, 0.70710678118654752f)), square, lost));
  const V y = hn::Mul(x, hn::IfThenElse(hn::Lt(x, hn::Zero(d)), tail, hn::Sub(hn::Set(d, 1.0f), tail)));
  return hn::IfThenElse(hn::IsNaN(x), x, y);
}

// x (1 + erf(x / sqrt 2)) / 2, where 1 + erf cancels: erf as z p(z^2) / q(z^2), the widely used minimax fit, beyond 4
// as at 4.
HWY_INLINE V gelu_near(V x) {
  const V bound = hn::Set(d, 4.0f), half = hn::Set(d, 0.5f);
  const V z = hn::Max(hn::Min(hn::Mul(x, hn::Set(d, 0.70710678118654752f)), bound), hn::Neg(bound)), s = hn::Mul(z, z);
  V p = hn::Set(d, -2.72614225801306e-10f), q = hn::Set(d, -1.45660718464996e-05f);
  for (const float c : {2.77068142495902e-08f, -2.10102402082508e-06f, -5.69250639462346e-05f, -7.34990630326855e-04f,
                        -2.95459980854025e-03f, -1.60960333262415e-02f})
    p = hn::MulAdd(p, s, hn::Set(d, c));
  for (const float c : {-2.13374055278905e-04f, -1.68282697438203e-03f, -7.37332916720468e-03f, -1.42647390514189e-02f})
    q = hn::MulAdd(q, s, hn::Set(d, c));
  const V y = hn::Mul(x, hn::MulAdd(half, hn::Div(hn::Mul(z, p), q), half));
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -5.65f)), y);
}

constexpr bool is_vector(Unary op) {
  return op == Unary::kNone || op == Unary::kRelu || op == Unary::kLeakyRelu || op == Unary::kSigmoid ||
         op == Unary::kTanh || op == Unary::kSilu || op == Unary::kSquare || op == Unary::kAbs || op == Unary::kNeg ||
         op == Unary::kSqrt || op == Unary::kExp || op == Unary::kErf || op == Unary::kGelu || op == Unary::kGeluNear ||
         op == Unary::kClip || op == Unary::kReciprocal;
}

// Requires: is_vector(a.op). A comparison with NaN is false, so NaN passes through.
HWY_INLINE V apply(Activation a, V x) {
  switch (a.op) {
    case Unary::kRelu:
      return hn::IfThenZeroElse(hn::Lt(x, hn::Zero(d)), x);
    case Unary::kLeakyRelu:
      return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Mul(hn::Set(d, a.alpha), x), x);
    case Unary::kSigmoid:
      return sigmoid(x);
    case Unary::kTanh:
      return tanh_of(x);
    case Unary::kSilu:
      return hn::Mul(x, sigmoid(x));
    case Unary::kSquare:
      return hn::Mul(x, x);
    case Unary::kAbs:
      return hn::Abs(x);
    case Unary::kNeg:
      return hn::Neg(x);
    case Unary::kSqrt:
      return hn::Sqrt(x);
    case Unary::kExp:
      return exp_of(x);
    case Unary::kErf:
      return erf_of(x);
    case Unary::kGelu:
      return gelu_of(x);
    case Unary::kGeluNear:
      return gelu_near(x);
    case Unary::kClip: {
      const V low = hn::Set(d, a.alpha), high = hn::Set(d, a.beta);
      return hn::IfThenElse(hn::Lt(x, low), low, hn::IfThenElse(hn::Gt(x, high), high, x));
    }
    case Unary::kReciprocal:
      return hn::Div(hn::Set(d, 1.0f), x);
    default:
      return x;
  }
}

// Rows y[r] of `count` columns, at most kV vectors: f of each sum. Whole tiles take no masks.
template <int kR, int kV, class F>
HWY_INLINE void store_each(const V (&sums)[kR][kV], float* const (&y)[kR], int64_t count, F f) {
  if (HWY_LIKELY(count >= kV * kLanes)) {
    for (int r = 0; r < kR; ++r)
      for (int v = 0; v < kV; ++v) hn::StoreU(f(sums[r][v]), d, y[r] + v * kLanes);
    return;
  }
  for (int r = 0; r < kR; ++r)
    for (int v = 0; v < kV; ++v) store_some(f(sums[r][v]), y[r] + v * kLanes, count - v * kLanes);
}

// The same through the activation. It is chosen once: a choice for each vector costs as much as the sums of a short
// row. False where it has no vector form: then the sums are stored as they are.
template <int kR, int kV>
HWY_INLINE bool store_tile(const V (&sums)[kR][kV], float* const (&y)[kR], int64_t count, Activation a) {
  switch (a.op) {
    case Unary::kNone:
      store_each(sums, y, count, [](V v) HWY_ATTR { return v; });
      return true;
    case Unary::kRelu:
      store_each(sums, y, count, [](V v) HWY_ATTR { return apply({Unary::kRelu}, v); });
      return true;
    case Unary::kLeakyRelu:
      store_each(sums, y, count, [alpha = a.alpha](V v) HWY_ATTR { return apply({Unary::kLeakyRelu, alpha}, v); });
      return true;
    default:
      break;
  }
  if (is_vector(a.op)) {
    for (int r = 0; r < kR; ++r)
      for (int v = 0; v < kV; ++v) store_some(apply(a, sums[r][v]), y[r] + v * kLanes, count - v * kLanes);
    return true;
  }
  store_each(sums, y, count, [](V v) HWY_ATTR { return v; });
  return false;
}

// Where the sums of a tile's rows start: each from its own, own_stride apart, else all from bias, else from 0.
template <int kR, int kV>
HWY_INLINE void load_starts(V (&sums)[kR][kV], const float* own, int64_t own_stride, const float* bias, int64_t count) {
  if (own != nullptr) {
    for (int r = 0; r < kR; ++r)
      for (int v = 0; v < kV; ++v) sums[r][v] = load_some(own + r * own_stride + v * kLanes, count - v * kLanes);
    return;
  }
  V same[kV];
  for (int v = 0; v < kV; ++v)
    same[v] = bias == nullptr ? hn::Zero(d) : load_some(bias + v * kLanes, count - v * kLanes);
  for (int r = 0; r < kR; ++r)
    for (int v = 0; v < kV; ++v) sums[r][v] = same[v];
}

}  // namespace HWY_NAMESPACE
}  // namespace hayate::kernels
HWY_AFTER_NAMESPACE();

#endif  // HAYATE_FUNCTIONS_INL
