// Dense layers with weights of 16 and 8 bits: once with what every instruction set has, and where the processor has
// them on AVX-512 with its products of bfloat16 pairs and of four bytes, on NEON with its dot products of four bytes.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/vector/narrow.cc"
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
// The order of these matters.
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/vector/functions-inl.h"
// clang-format on

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "kernels/vector/plain.h"

#if HWY_ARCH_ARM_A64 && defined(__linux__)
#include <sys/auxv.h>
#endif

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
// GCC 12 takes the undefined operands of its own intrinsics for mistakes.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

HWY_BEFORE_NAMESPACE();
namespace hayate::kernels {
namespace HWY_NAMESPACE {
namespace {

using DI = hn::RebindToSigned<D>;
using VI = hn::Vec<DI>;

uint16_t rounded_to_bf16(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  if (value != value) return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

// The low parts of lanes whose 32 bits are within what T holds.
template <typename T>
HWY_INLINE hn::Vec<hn::Rebind<T, D>> low_part(VI v) {
#if HWY_TARGET == HWY_AVX3
  using Low = hn::Vec<hn::Rebind<T, D>>;
  if constexpr (sizeof(T) == 1)
    return Low{_mm512_cvtepi32_epi8(v.raw)};
  else
    return Low{_mm512_cvtepi32_epi16(v.raw)};
#else
  return hn::DemoteTo(hn::Rebind<T, D>(), v);
#endif
}

// The first `count` of them; count is not 0.
template <typename T>
HWY_INLINE void store_low(VI v, T* y, int64_t count) {
  const hn::Rebind<T, D> small;
  const auto low = low_part<T>(v);
  if (HWY_LIKELY(count >= kLanes)) return hn::StoreU(low, small, y);
#if HWY_TARGET == HWY_AVX3
  const auto mask = static_cast<__mmask16>((1U << count) - 1);
  if constexpr (sizeof(T) == 1)
    _mm_mask_storeu_epi8(y, mask, low.raw);
  else
    _mm256_mask_storeu_epi16(y, mask, low.raw);
#else
  HWY_ALIGN T lanes[kLanes];
  hn::Store(low, small, lanes);
  std::memcpy(y, lanes, static_cast<size_t>(count) * sizeof(T));
#endif
}

// Lanes that hold bfloat16; NaN stays NaN.
HWY_INLINE VI rounded(V x) {
  const hn::RebindToUnsigned<D> du;
  const auto bits = hn::BitCast(du, x), odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
  const auto near = hn::ShiftRight<16>(hn::Add(hn::Add(bits, hn::Set(du, 0x7FFF)), odd));
  const auto quiet = hn::Or(hn::ShiftRight<16>(bits), hn::Set(du, 0x40));
  return hn::BitCast(DI(), hn::IfThenElse(hn::RebindMask(du, hn::IsNaN(x)), quiet, near));
}

// Lanes that hold round(x * inverse) + zero, held within 0 to 255; NaN as 0.
HWY_INLINE VI rounded(V x, float inverse, float zero) {
  const V low = hn::Set(d, -zero), high = hn::Set(d, 255.0f - zero), scaled = hn::Mul(x, hn::Set(d, inverse));
#if HWY_TARGET == HWY_AVX3
  // The second operand is the answer where the first is NaN.
  const VI whole{_mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(scaled.raw, low.raw), high.raw))};
#else
  const V held = hn::IfThenElse(hn::Gt(scaled, low), hn::Min(scaled, high), low);  // NaN is not above
  const VI whole = hn::NearestInt(held);
#endif
  return hn::Add(whole, hn::Set(DI(), static_cast<int32_t>(zero)));
}

void narrow_bf16(const Narrowing& a) {
  for (int64_t i = 0; i < a.n; i += kLanes)
    store_low(rounded(load_some(a.x + i, a.n - i)), static_cast<uint16_t*>(a.y) + i, a.n - i);
}

void narrow_int8(const Narrowing& a) {
  const Narrowing own = a;  // for all a compiler knows, bytes that are stored change what `a` is
  for (int64_t i = 0; i < own.n; i += kLanes)
    store_low(rounded(load_some(own.x + i, own.n - i), own.inverse_scale, own.zero), static_cast<uint8_t*>(own.y) + i,
              own.n - i);
}

#include "kernels/vector/narrow_cells-inl.h"

namespace common {

#include "kernels/vector/narrow_pack-inl.h"
#include "kernels/vector/narrow_tiles-inl.h"

// Pairs in 32 bits, of which the first and the second become floats as they are read.
struct Bf16 {
  using X = uint16_t;
  using W = uint16_t;
  using Sum = V;
  static constexpr int kGroup = 2, kParts = 2;
  static constexpr bool kPartsApart = false;
  static constexpr bool kScaled = false;
  static HWY_INLINE VI narrowed(V y, float, float) { return rounded(y); }
  static HWY_INLINE V zero() { return hn::Zero(d); }
  static HWY_INLINE VI broadcast(const X* x) {
    int32_t pair = 0;
    std::memcpy(&pair, x, sizeof pair);
    return hn::Set(DI(), pair);
  }
  static HWY_INLINE VI broadcast_some(const X* x, int64_t) { return hn::Set(DI(), static_cast<int32_t>(*x)); }
  static HWY_INLINE V part_of(VI pair, int part) {
    return hn::BitCast(d, part == 0 ? hn::ShiftLeft<16>(pair) : hn::And(pair, hn::Set(DI(), -0x10000)));
  }
  static HWY_INLINE V load(const W* w, int part) {
    return part_of(hn::LoadU(DI(), reinterpret_cast<const int32_t*>(w)), part);
  }
  static HWY_INLINE V multiply(V sum, V x, V w) { return hn::MulAdd(x, w, sum); }
};

// Bytes widened to 16 bits, whose products of pairs cannot overflow 32 (a multiply of bytes would saturate at 16). Of
// four the first and third are a pair, and the second and fourth: x takes no shuffle for that.
#if HWY_TARGET <= HWY_SSE4 && HWY_ARCH_X86
struct Int8 {
  using X = uint8_t;
  using W = int8_t;
  using Sum = VI;
  static constexpr int kGroup = 4, kParts = 2;
  static constexpr bool kPartsApart = true;
  static constexpr bool kScaled = true;
  static constexpr int32_t kCentre = 0;
  using Pairs = hn::Repartition<int16_t, DI>;
  static HWY_INLINE VI narrowed(V y, float inverse, float zero) { return rounded(y, inverse, zero); }
  static HWY_INLINE VI zero() { return hn::Zero(DI()); }
  static HWY_INLINE VI broadcast(const X* x) {
    int32_t four = 0;
    std::memcpy(&four, x, sizeof four);
    return hn::Set(DI(), four);
  }
  static HWY_INLINE VI broadcast_some(const X* x, int64_t) { return broadcast(x); }  // weights behind the end are 0
  static HWY_INLINE hn::Vec<Pairs> part_of(VI four, int part) {
    const hn::RebindToUnsigned<Pairs> words;
    return hn::BitCast(Pairs(), part == 0 ? hn::And(hn::BitCast(words, four), hn::Set(words, 0x00FF))
                                          : hn::ShiftRight<8>(hn::BitCast(words, four)));
  }
  static HWY_INLINE hn::Vec<Pairs> load(const W* w, int part) {
    return hn::PromoteTo(Pairs(), hn::LoadU(hn::Rebind<int8_t, Pairs>(), w + part * kLanes * 2));
  }
  static HWY_INLINE VI multiply(VI sum, hn::Vec<Pairs> x, hn::Vec<Pairs> w) {
#if HWY_TARGET == HWY_AVX3
    return hn::Add(sum, VI{_mm512_madd_epi16(x.raw, w.raw)});
#elif HWY_TARGET == HWY_AVX2
    return hn::Add(sum, VI{_mm256_madd_epi16(x.raw, w.raw)});
#else
    return hn::Add(sum, VI{_mm_madd_epi16(x.raw, w.raw)});
#endif
  }
};
#elif HWY_TARGET == HWY_NEON
// ARM multiplies bytes of one sign: x - 128 is a signed byte, and 128 times the weights goes with the zero point. Two
// products could pass 16 bits together, so that each pair is added to 32 at once.
struct Int8 {
  using X = uint8_t;
  using W = int8_t;
  using Sum = VI;
  static constexpr int kGroup = 2, kParts = 1;
  static constexpr bool kPartsApart = false;
  static constexpr bool kScaled = true;
  static constexpr int32_t kCentre = 128;
  static HWY_INLINE VI narrowed(V y, float inverse, float zero) { return rounded(y, inverse, zero); }
  static HWY_INLINE VI zero() { return hn::Zero(DI()); }
  static HWY_INLINE int8x8_t broadcast(const X* x) {
    uint16_t pair = 0;
    std::memcpy(&pair, x, sizeof pair);
    return vreinterpret_s8_u16(vdup_n_u16(static_cast<uint16_t>(pair ^ 0x8080)));
  }
  static HWY_INLINE int8x8_t broadcast_some(const X* x, int64_t) { return broadcast(x); }  // weights behind it are 0
  static HWY_INLINE int8x8_t part_of(int8x8_t x, int) { return x; }
  static HWY_INLINE int8x8_t load(const W* w, int) { return vld1_s8(w); }
  static HWY_INLINE VI multiply(VI sum, int8x8_t x, int8x8_t w) { return VI{vpadalq_s16(sum.raw, vmull_s8(x, w))}; }
};
#else
struct Int8 {
  using X = uint8_t;
  using W = int8_t;
  using Sum = VI;
  static constexpr int kGroup = 1, kParts = 1;
  static constexpr bool kPartsApart = false;
  static constexpr bool kScaled = true;
  static constexpr int32_t kCentre = 0;
  static HWY_INLINE VI narrowed(V y, float inverse, float zero) { return rounded(y, inverse, zero); }
  static HWY_INLINE VI zero() { return hn::Zero(DI()); }
  static HWY_INLINE VI broadcast(const X* x) { return hn::Set(DI(), static_cast<int32_t>(*x)); }
  static HWY_INLINE VI broadcast_some(const X* x, int64_t) { return broadcast(x); }
  static HWY_INLINE VI part_of(VI x, int) { return x; }
  static HWY_INLINE VI load(const W* w, int) { return hn::PromoteTo(DI(), hn::LoadU(hn::Rebind<int8_t, D>(), w)); }
  static HWY_INLINE VI multiply(VI sum, VI x, VI w) { return hn::Add(sum, hn::Mul(x, w)); }
};
#endif

}  // namespace common

#if HWY_TARGET == HWY_AVX3

// Clang takes one target of a function and not two that are pushed on each other: the outer one goes for the while.
HWY_POP_ATTRIBUTES
HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avx512vnni,avx512bf16")
namespace dot {

#include "kernels/vector/narrow_pack-inl.h"
#include "kernels/vector/narrow_tiles-inl.h"

struct Bf16 {
  using X = uint16_t;
  using W = uint16_t;
  using Sum = V;
  static constexpr int kGroup = 2, kParts = 1;
  static constexpr bool kPartsApart = false;
  static constexpr bool kScaled = false;
  static HWY_INLINE VI narrowed(V y, float, float) { return rounded(y); }
  static HWY_INLINE V zero() { return hn::Zero(d); }
  static HWY_INLINE VI broadcast(const X* x) {
    int32_t pair = 0;
    std::memcpy(&pair, x, sizeof pair);
    return hn::Set(DI(), pair);
  }
  // The element behind the last may be NaN, which no weight of 0 would undo.
  static HWY_INLINE VI broadcast_some(const X* x, int64_t) { return hn::Set(DI(), static_cast<int32_t>(*x)); }
  static HWY_INLINE VI part_of(VI x, int) { return x; }
  static HWY_INLINE VI load(const W* w, int) { return hn::LoadU(DI(), reinterpret_cast<const int32_t*>(w)); }
  static HWY_INLINE V multiply(V sum, VI x, VI w) {
    return V{_mm512_dpbf16_ps(sum.raw, (__m512bh)x.raw, (__m512bh)w.raw)};
  }
};

struct Int8 {
  using X = uint8_t;
  using W = int8_t;
  using Sum = VI;
  static constexpr int kGroup = 4, kParts = 1;
  static constexpr bool kPartsApart = false;
  static constexpr bool kScaled = true;
  static constexpr int32_t kCentre = 0;
  static HWY_INLINE VI narrowed(V y, float inverse, float zero) { return rounded(y, inverse, zero); }
  static HWY_INLINE VI zero() { return hn::Zero(DI()); }
  static HWY_INLINE VI broadcast(const X* x) {
    int32_t four = 0;
    std::memcpy(&four, x, sizeof four);
    return hn::Set(DI(), four);
  }
  static HWY_INLINE VI broadcast_some(const X* x, int64_t) { return broadcast(x); }  // weights behind the end are 0
  static HWY_INLINE VI part_of(VI x, int) { return x; }
  static HWY_INLINE VI load(const W* w, int) { return hn::LoadU(DI(), reinterpret_cast<const int32_t*>(w)); }
  static HWY_INLINE VI multiply(VI sum, VI x, VI w) { return VI{_mm512_dpbusd_epi32(sum.raw, x.raw, w.raw)}; }
};

}  // namespace dot
HWY_POP_ATTRIBUTES
HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avx512vnni,avx512bf16,amx-tile,amx-int8,amx-bf16")
namespace amx {

#include "kernels/vector/narrow_amx-inl.h"

}  // namespace amx
HWY_POP_ATTRIBUTES
HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR)

#endif

#if HWY_TARGET == HWY_NEON && HWY_ARCH_ARM_A64 && defined(__linux__)

HWY_POP_ATTRIBUTES
HWY_PUSH_ATTRIBUTES("arch=armv8.2-a+crypto+dotprod")
namespace dot {

#include "kernels/vector/narrow_pack-inl.h"
#include "kernels/vector/narrow_tiles-inl.h"

// x - 128 as above.
struct Int8 {
  using X = uint8_t;
  using W = int8_t;
  using Sum = VI;
  static constexpr int kGroup = 4, kParts = 1;
  static constexpr bool kPartsApart = false;
  static constexpr bool kScaled = true;
  static constexpr int32_t kCentre = 128;
  static HWY_INLINE VI narrowed(V y, float inverse, float zero) { return rounded(y, inverse, zero); }
  static HWY_INLINE VI zero() { return hn::Zero(DI()); }
  static HWY_INLINE int8x16_t broadcast(const X* x) {
    uint32_t four = 0;
    std::memcpy(&four, x, sizeof four);
    return vreinterpretq_s8_u32(vdupq_n_u32(four ^ 0x80808080));
  }
  static HWY_INLINE int8x16_t broadcast_some(const X* x, int64_t) { return broadcast(x); }  // weights behind it are 0
  static HWY_INLINE int8x16_t part_of(int8x16_t x, int) { return x; }
  static HWY_INLINE int8x16_t load(const W* w, int) { return vld1q_s8(w); }
  static HWY_INLINE VI multiply(VI sum, int8x16_t x, int8x16_t w) { return VI{vdotq_s32(sum.raw, x, w)}; }
};

}  // namespace dot
HWY_POP_ATTRIBUTES
HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR)

#endif

void add_cells(Set* made) {
  made->bf16.lstm_cell = lstm_cell<common::Bf16>, made->bf16.gru_cell = gru_cell<common::Bf16>;
  made->int8.lstm_cell = lstm_cell<common::Int8>, made->int8.gru_cell = gru_cell<common::Int8>;
}

}  // namespace

void add_narrow(Set* made) {
  made->bf16 = common::narrow_set<common::Bf16>(narrow_bf16);
  made->int8 = common::narrow_set<common::Int8>(narrow_int8);
#if HWY_TARGET == HWY_AVX3
  if (__builtin_cpu_supports("avx512bf16")) made->bf16 = dot::narrow_set<dot::Bf16>(narrow_bf16);
  if (__builtin_cpu_supports("avx512vnni")) made->int8 = dot::narrow_set<dot::Int8>(narrow_int8);
#elif HWY_TARGET == HWY_NEON && HWY_ARCH_ARM_A64 && defined(__linux__)
  if ((getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0) made->int8 = dot::narrow_set<dot::Int8>(narrow_int8);
#endif
  add_cells(made);
}

#if HWY_TARGET == HWY_AVX3
void add_tiles(Set* made) {
  made->bf16 = amx::bf16_set(narrow_bf16);
  made->int8 = amx::int8_set(narrow_int8);
  made->release = amx::release;
  add_cells(made);
}
#endif

}  // namespace HWY_NAMESPACE
}  // namespace hayate::kernels
HWY_AFTER_NAMESPACE();
