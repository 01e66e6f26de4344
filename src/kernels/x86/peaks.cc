#include "kernels/vector/peaks.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <cstring>

namespace hayate::kernels {
namespace {

constexpr int kChains = 12;

__attribute__((target("avx512f,avx512bf16"))) float bf16_rounds(int64_t rounds) {
  __m512 sums[kChains];
  for (int k = 0; k < kChains; ++k) sums[k] = _mm512_set1_ps(static_cast<float>(k));
  const __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5f), _mm512_set1_ps(0.25f));
  for (int64_t i = 0; i < rounds; ++i)
    for (__m512& sum : sums) sum = _mm512_dpbf16_ps(sum, a, a);
  float first[kChains][16];
  std::memcpy(first, sums, sizeof first);
  float sum = 0;
  for (const auto& lanes : first) sum += lanes[0];
  return sum;
}

__attribute__((target("avx512f,avx512vnni"))) float int8_rounds(int64_t rounds) {
  __m512i sums[kChains];
  for (int k = 0; k < kChains; ++k) sums[k] = _mm512_set1_epi32(k);
  const __m512i a = _mm512_set1_epi8(1);
  for (int64_t i = 0; i < rounds; ++i)
    for (__m512i& sum : sums) sum = _mm512_dpbusd_epi32(sum, a, a);
  int32_t first[kChains][16];
  std::memcpy(first, sums, sizeof first);
  int64_t sum = 0;
  for (const auto& lanes : first) sum += lanes[0];
  return static_cast<float>(sum);
}

}  // namespace

NarrowLoop bf16_loop() {
  return __builtin_cpu_supports("avx512bf16") ? NarrowLoop{bf16_rounds, kChains * 32} : NarrowLoop{};
}
NarrowLoop int8_loop() {
  return __builtin_cpu_supports("avx512vnni") ? NarrowLoop{int8_rounds, kChains * 64} : NarrowLoop{};
}

}  // namespace hayate::kernels

#else

namespace hayate::kernels {

NarrowLoop bf16_loop() { return {}; }
NarrowLoop int8_loop() { return {}; }

}  // namespace hayate::kernels
#endif
