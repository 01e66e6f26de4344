#include "kernels/vector/peaks.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <cstring>

#include "kernels/x86/tiles.h"

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

#if defined(__linux__)
// Tiles of zeros: what they hold takes no time of its own. Four sums, as the kernels have them.
constexpr int64_t kTileMacs = 4 * 16 * 16;  // by what a lane of 32 bits holds

struct alignas(64) Config {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

__attribute__((target("amx-tile,amx-bf16"))) float bf16_tiles(int64_t rounds) {
  const Config config;
  _tile_loadconfig(&config);
  for (int64_t i = 0; i < rounds; ++i) {
    _tile_dpbf16ps(0, 4, 5);
    _tile_dpbf16ps(1, 4, 6);
    _tile_dpbf16ps(2, 4, 5);
    _tile_dpbf16ps(3, 4, 6);
  }
  alignas(64) float sums[256];
  _tile_stored(0, sums, 64);
  _tile_release();
  return sums[0];
}

__attribute__((target("amx-tile,amx-int8"))) float int8_tiles(int64_t rounds) {
  const Config config;
  _tile_loadconfig(&config);
  for (int64_t i = 0; i < rounds; ++i) {
    _tile_dpbusd(0, 4, 5);
    _tile_dpbusd(1, 4, 6);
    _tile_dpbusd(2, 4, 5);
    _tile_dpbusd(3, 4, 6);
  }
  alignas(64) int32_t sums[256];
  _tile_stored(0, sums, 64);
  _tile_release();
  return static_cast<float>(sums[0]);
}
#endif

}  // namespace

NarrowLoop bf16_loop() {
#if defined(__linux__)
  if (x86::tiles_supported()) return {bf16_tiles, kTileMacs * 32};
#endif
  return __builtin_cpu_supports("avx512bf16") ? NarrowLoop{bf16_rounds, kChains * 32} : NarrowLoop{};
}
NarrowLoop int8_loop() {
#if defined(__linux__)
  if (x86::tiles_supported()) return {int8_tiles, kTileMacs * 64};
#endif
  return __builtin_cpu_supports("avx512vnni") ? NarrowLoop{int8_rounds, kChains * 64} : NarrowLoop{};
}

}  // namespace hayate::kernels

#else

namespace hayate::kernels {

NarrowLoop bf16_loop() { return {}; }
NarrowLoop int8_loop() { return {}; }

}  // namespace hayate::kernels
#endif
