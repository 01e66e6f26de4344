#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/vector/peaks.cc"
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
// The order of these matters.
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/vector/functions-inl.h"
// clang-format on

#include "kernels/vector/peaks.h"

HWY_BEFORE_NAMESPACE();
namespace hayate::kernels {
namespace HWY_NAMESPACE {
namespace {

constexpr int kChains = 12;  // more than a multiply-add's latency times the units that do it

float read(const float* x, int64_t n) {
  V sums[8];
  for (V& sum : sums) sum = hn::Zero(d);
  for (int64_t i = 0; i < n; i += 8 * kLanes)
    for (int k = 0; k < 8; ++k) sums[k] = hn::Or(sums[k], hn::Load(d, x + i + k * kLanes));  // no latency to wait for
  for (int k = 1; k < 8; ++k) sums[0] = hn::Or(sums[0], sums[k]);
  return hn::GetLane(sums[0]);
}

float multiply_add(int64_t rounds) {
  V sums[kChains];
  for (int k = 0; k < kChains; ++k) sums[k] = hn::Set(d, static_cast<float>(k));
  const V a = hn::Set(d, 0.999999f), b = hn::Set(d, 1e-6f);
  for (int64_t i = 0; i < rounds; ++i)
    for (int k = 0; k < kChains; ++k) sums[k] = hn::MulAdd(sums[k], a, b);
  for (int k = 1; k < kChains; ++k) sums[0] = hn::Add(sums[0], sums[k]);
  return hn::GetLane(sums[0]);
}

int64_t multiply_add_macs() { return kChains * kLanes; }

}  // namespace

PeakLoops loops() { return {read, multiply_add, multiply_add_macs}; }

}  // namespace HWY_NAMESPACE
}  // namespace hayate::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hayate::kernels {
namespace {

float plain_read(const float* x, int64_t n) {
  float sums[4] = {};
  for (int64_t i = 0; i < n; i += 4)
    for (int k = 0; k < 4; ++k) sums[k] += x[i + k];
  return sums[0] + sums[1] + sums[2] + sums[3];
}
float plain_multiply_add(int64_t rounds) {
  float sums[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  for (int64_t i = 0; i < rounds; ++i)
    for (float& sum : sums) sum = sum * 0.999999f + 1e-6f;
  return sums[0] + sums[7];
}
int64_t plain_macs() { return 8; }

}  // namespace

PeakLoops peak_loops(Isa isa) {
  switch (isa) {
#if HWY_TARGETS & HWY_AVX3
    case Isa::kAvx512:
    case Isa::kAmx:
      return N_AVX3::loops();
#endif
#if HWY_TARGETS & HWY_AVX2
    case Isa::kAvx2:
      return N_AVX2::loops();
#endif
#if HWY_TARGETS & HWY_SSE4
    case Isa::kSse4:
      return N_SSE4::loops();
#endif
#if HWY_TARGETS & HWY_NEON
    case Isa::kNeon:
      return N_NEON::loops();
#endif
    default:
      return {plain_read, plain_multiply_add, plain_macs};
  }
}

}  // namespace hayate::kernels
#endif  // HWY_ONCE
