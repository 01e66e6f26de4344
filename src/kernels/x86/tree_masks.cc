#include "kernels/x86/tree_masks.h"

#if defined(__x86_64__) && defined(__GNUC__)
#if !defined(__clang__)
// GCC 12 takes the undefined operands of its own intrinsics for mistakes.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>
#endif

namespace hayate::kernels::x86 {

#if defined(__x86_64__) && defined(__GNUC__)

#define HAYATE_VBMI __attribute__((target("avx512f,avx512bw,avx512dq,avx512cd,avx512vl,avx512vbmi,popcnt")))

bool tree_masks_supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi");
}

namespace {

// Which of 64 nodes send the row to their false side.
template <bool kMany>
HAYATE_VBMI inline uint64_t false_nodes(__m512i low, __m512i high, const uint8_t* slots, const uint8_t* ranks) {
  const __m512i slot = _mm512_load_si512(slots);
  const __m512i code = kMany ? _mm512_permutex2var_epi8(low, slot, high) : _mm512_permutexvar_epi8(slot, low);
  return _mm512_cmpgt_epu8_mask(code, _mm512_load_si512(ranks));
}

// 16 trees: each vector of nodes is 4 nodes per tree. Two chains of ANDs, since one alone would wait for
// itself.
template <bool kMany>
HAYATE_VBMI void leaves_of_16(const TreeMasks& m, __m512i low, __m512i high, int64_t first, int64_t steps, int64_t tree,
                              uint32_t* leaves) {
  __m512i even = _mm512_set1_epi32(-1), odd = even;
  const std::byte* masks = m.masks + first * 256;
  for (int64_t s = first; s < first + steps; ++s, masks += 256) {
    const uint64_t k = false_nodes<kMany>(low, high, m.slots + s * 64, m.ranks + s * 64);
    even = _mm512_mask_and_epi32(even, static_cast<__mmask16>(k), even, _mm512_load_si512(masks));
    odd = _mm512_mask_and_epi32(odd, static_cast<__mmask16>(k >> 16), odd, _mm512_load_si512(masks + 64));
    even = _mm512_mask_and_epi32(even, static_cast<__mmask16>(k >> 32), even, _mm512_load_si512(masks + 128));
    odd = _mm512_mask_and_epi32(odd, static_cast<__mmask16>(k >> 48), odd, _mm512_load_si512(masks + 192));
  }
  const __m512i left = _mm512_and_si512(even, odd);
  const __m512i lowest = _mm512_and_si512(left, _mm512_sub_epi32(_mm512_setzero_si512(), left));
  const __m512i leaf = _mm512_sub_epi32(_mm512_set1_epi32(31), _mm512_lzcnt_epi32(lowest));
  _mm512_storeu_si512(leaves, _mm512_add_epi32(leaf, _mm512_load_si512(m.first_leaves + tree)));
}

// 8 trees: each vector of nodes is 8 nodes per tree.
template <bool kMany>
HAYATE_VBMI void leaves_of_8(const TreeMasks& m, __m512i low, __m512i high, int64_t first, int64_t steps, int64_t tree,
                             uint32_t* leaves) {
  __m512i even = _mm512_set1_epi64(-1), odd = even;
  const std::byte* masks = m.masks + first * 512;
  for (int64_t s = first; s < first + steps; ++s, masks += 512) {
    uint64_t k = false_nodes<kMany>(low, high, m.slots + s * 64, m.ranks + s * 64);
#pragma GCC unroll 4
    for (int64_t p = 0; p < 8; p += 2, k >>= 16) {
      even = _mm512_mask_and_epi64(even, static_cast<__mmask8>(k), even, _mm512_load_si512(masks + p * 64));
      odd = _mm512_mask_and_epi64(odd, static_cast<__mmask8>(k >> 8), odd, _mm512_load_si512(masks + p * 64 + 64));
    }
  }
  const __m512i left = _mm512_and_si512(even, odd);
  const __m512i lowest = _mm512_and_si512(left, _mm512_sub_epi64(_mm512_setzero_si512(), left));
  const __m512i leaf = _mm512_sub_epi64(_mm512_set1_epi64(63), _mm512_lzcnt_epi64(lowest));
  const __m256i base = _mm256_load_si256(reinterpret_cast<const __m256i*>(m.first_leaves + tree));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(leaves), _mm256_add_epi32(_mm512_cvtepi64_epi32(leaf), base));
}

}  // namespace

namespace {

template <int kCompare>
HAYATE_VBMI inline int32_t rank_of(const double* thresholds, const double* pivots, int32_t pivot_vectors,
                                   double value) {
  const __m512d x = _mm512_set1_pd(value);
  int32_t blocks = 0;
  for (int32_t v = 0; v < pivot_vectors; ++v)
    blocks += __builtin_popcount(_mm512_cmp_pd_mask(_mm512_load_pd(pivots + v * 8), x, kCompare));
  const double* block = thresholds + blocks * 16;
  const uint32_t low = _mm512_cmp_pd_mask(_mm512_load_pd(block), x, kCompare),
                 high = _mm512_cmp_pd_mask(_mm512_load_pd(block + 8), x, kCompare);
  return blocks * 16 + __builtin_popcount(low | high << 8);
}

}  // namespace

// Two levels of 16: the pivots tell the block, the block the rank; no step waits for a branch.
HAYATE_VBMI void find_ranks(const double* thresholds, const double* pivots, const RankColumn* columns, int64_t count,
                            const double* values, int32_t* ranks) noexcept {
  for (int64_t i = 0; i < count; ++i) {
    const RankColumn& c = columns[i];
    ranks[i] =
        c.counts_equal
            ? rank_of<_CMP_LE_OQ>(thresholds + c.first_threshold, pivots + c.first_pivot, c.pivot_vectors, values[i])
            : rank_of<_CMP_LT_OQ>(thresholds + c.first_threshold, pivots + c.first_pivot, c.pivot_vectors, values[i]);
  }
}

HAYATE_VBMI void find_leaves(const TreeMasks& m, const uint8_t* codes, int64_t first, int64_t steps, int64_t tree,
                             uint32_t* leaves) noexcept {
  const __m512i low = _mm512_load_si512(codes), high = _mm512_load_si512(codes + 64);
  if (m.wide)
    m.many_slots ? leaves_of_8<true>(m, low, high, first, steps, tree, leaves)
                 : leaves_of_8<false>(m, low, high, first, steps, tree, leaves);
  else
    m.many_slots ? leaves_of_16<true>(m, low, high, first, steps, tree, leaves)
                 : leaves_of_16<false>(m, low, high, first, steps, tree, leaves);
}

#undef HAYATE_VBMI

#else

bool tree_masks_supported() { return false; }
void find_ranks(const double*, const double*, const RankColumn*, int64_t, const double*, int32_t*) noexcept {}
void find_leaves(const TreeMasks&, const uint8_t*, int64_t, int64_t, int64_t, uint32_t*) noexcept {}

#endif

}  // namespace hayate::kernels::x86
