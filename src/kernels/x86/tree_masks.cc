#include "kernels/x86/tree_masks.h"

#include <cmath>

#include "kernels/trees.h"

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

#define HAYATE_AVX2 __attribute__((target("avx2,popcnt")))
#define HAYATE_VBMI __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,popcnt")))

bool avx2_masks_supported() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt"); }

bool avx512_masks_supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("popcnt");
}

namespace {

inline bool is_missing(const MaskSlot& slot, double value) {
  return (value != value) | (slot.zero_missing & (std::fabs(value) <= kZeroBound));
}

// Two levels of 16: the pivots tell the block, the block the rank; no step waits for a branch.
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

HAYATE_VBMI int32_t exact_rank_avx512(const MaskTables& m, const MaskSlot& slot, double value) {
  const double *thresholds = m.thresholds + slot.first_threshold, *pivots = m.pivots + slot.first_pivot;
  return slot.counts_equal ? rank_of<_CMP_LE_OQ>(thresholds, pivots, slot.pivot_vectors, value)
                           : rank_of<_CMP_LT_OQ>(thresholds, pivots, slot.pivot_vectors, value);
}

template <int kCompare>
HAYATE_VBMI inline int32_t rank_of_key(const float* keys, __m512 x, __mmask16* equal) {
  const int32_t block = 16 * __builtin_popcount(_mm512_cmp_ps_mask(_mm512_load_ps(keys), x, kCompare));
  const __m512 among = _mm512_load_ps(keys + 16 + block);
  *equal = _mm512_cmp_ps_mask(among, x, _CMP_EQ_OQ);
  return block + __builtin_popcount(_mm512_cmp_ps_mask(among, x, kCompare));
}

HAYATE_VBMI inline int32_t rank_avx512(const MaskTables& m, const MaskSlot& slot, float value) {
  __mmask16 unused;
  const __m512 x = _mm512_set1_ps(value);
  const float* keys = m.keys + slot.first_key;
  return slot.counts_equal ? rank_of_key<_CMP_LE_OQ>(keys, x, &unused) : rank_of_key<_CMP_LT_OQ>(keys, x, &unused);
}

// A value that rounds to a key equals its threshold at best: then the thresholds themselves are asked.
HAYATE_VBMI inline int32_t rank_avx512(const MaskTables& m, const MaskSlot& slot, double value) {
  constexpr int kUp = _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC, kDown = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
  const __m128d wide = _mm_set_sd(value);
  const __m128 rounded = slot.counts_equal ? _mm_cvt_roundsd_ss(_mm_setzero_ps(), wide, kUp)
                                           : _mm_cvt_roundsd_ss(_mm_setzero_ps(), wide, kDown);
  __mmask16 equal;
  const int32_t rank = rank_of_key<_CMP_LT_OQ>(m.keys + slot.first_key, _mm512_broadcastss_ps(rounded), &equal);
  return equal == 0 ? rank : exact_rank_avx512(m, slot, value);
}

// What lacks a value by the rule for zeros.
template <typename In>
bool mark_zeros(const MaskTables& m, const In* x, uint8_t* codes) {
  bool any = false;
  for (int64_t i = 0; i < m.ranked; ++i)
    if (is_missing(m.slot[i], static_cast<double>(x[m.slot[i].column]))) codes[i] = kMaskMissing, any = true;
  return any;
}

template <typename In>
HAYATE_VBMI bool find_codes_avx512(const MaskTables& m, const In* x, uint8_t* codes) noexcept {
  bool any_missing = false;
  for (int64_t i = 0; i < m.ranked; ++i) {
    const MaskSlot& slot = m.slot[i];
    const In value = x[slot.column];
    const int32_t rank = rank_avx512(m, slot, value);
    const bool missing = value != value;
    codes[i] = static_cast<uint8_t>(missing ? kMaskMissing : rank);
    any_missing |= missing;
  }
  return m.any_zero_missing ? mark_zeros(m, x, codes) : any_missing;
}

// The codes of 64 nodes, from 64, 128 or 256 of them in registers.
template <int kTables>
HAYATE_VBMI inline __m512i codes_at(const __m512i* tables, __m512i slots) {
  if constexpr (kTables == 1) return _mm512_permutexvar_epi8(slots, tables[0]);
  const __m512i low = _mm512_permutex2var_epi8(tables[0], slots, tables[1]);
  if constexpr (kTables == 2) return low;
  return _mm512_mask_blend_epi8(_mm512_movepi8_mask(slots), low, _mm512_permutex2var_epi8(tables[2], slots, tables[3]));
}

// What step s of all drops.
template <int kTables, bool kMissing>
HAYATE_VBMI inline __m512i dropped_by(const MaskTables& m, const __m512i* tables, int64_t s) {
  const uint8_t* step = m.steps + s * kMaskStepBytes;
  const __m512i code = codes_at<kTables>(tables, _mm512_load_si512(step));
  __mmask64 far = _mm512_cmpgt_epu8_mask(code, _mm512_load_si512(step + 64));
  if constexpr (kMissing) {
    const __m512i near = _mm512_load_si512(m.near_missing + s * kMaskTrees);
    far &= ~_mm512_mask_cmpeq_epi8_mask(_mm512_movepi8_mask(near), code, _mm512_set1_epi8(-1));
  }
  return _mm512_maskz_loadu_epi8(far, step + 128);
}

// How many of the lowest bits of each byte are set, none having all 8.
HAYATE_VBMI inline __m512i trailing_ones(__m512i bytes) {
  const __m512i ones = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 0, 2, 0, 1, 0, 3, 0, 1, 0, 2, 0, 1, 0, 4));
  const __m512i nibble = _mm512_set1_epi8(15), low = _mm512_and_si512(bytes, nibble),
                high = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), nibble);
  const __mmask64 full = _mm512_cmpeq_epi8_mask(low, nibble);
  return _mm512_add_epi8(_mm512_shuffle_epi8(ones, low), _mm512_maskz_shuffle_epi8(full, ones, high));
}

template <int kTables>
HAYATE_VBMI inline void load_page(const uint8_t* codes, int64_t page, __m512i* tables) {
  for (int i = 0; i < kTables; ++i) tables[i] = _mm512_load_si512(codes + page * kMaskPage + i * 64);
}

template <int kTables, bool kMissing>
HAYATE_VBMI void find_leaves_in(const MaskTables& m, const MaskGroup& group, const uint8_t* codes, int64_t number,
                                uint32_t* leaves) {
  __m512i tables[kTables];
  load_page<kTables>(codes, 0, tables);
  int64_t s = group.first_step;
  const uint16_t* lists = m.list_steps + group.first_list;
  __m512i left = _mm512_setzero_si512(),
          first = left;  // of the lowest word with a leaf left: what it dropped, its place
  for (int32_t w = 0; w < group.words; ++w) {
    // Two chains of ORs, since one alone would wait for itself.
    __m512i even = _mm512_setzero_si512(), odd = even;
    for (int64_t page = 0; page < m.pages; ++page) {
      if (m.pages > 1) load_page<kTables>(codes, page, tables);
      const int64_t end = s + *lists++;
      for (; s + 1 < end; s += 2) {
        even = _mm512_or_si512(even, dropped_by<kTables, kMissing>(m, tables, s));
        odd = _mm512_or_si512(odd, dropped_by<kTables, kMissing>(m, tables, s + 1));
      }
      if (s < end) even = _mm512_or_si512(even, dropped_by<kTables, kMissing>(m, tables, s++));
    }
    const __m512i dropped = _mm512_or_si512(even, odd);
    const __mmask64 some = _mm512_cmpneq_epi8_mask(dropped, _mm512_set1_epi8(-1));
    left = _mm512_mask_mov_epi8(left, some, dropped);
    first = _mm512_mask_mov_epi8(first, some, _mm512_set1_epi8(static_cast<char>(8 * (group.words - 1 - w))));
  }
  alignas(64) uint8_t exits[64];
  _mm512_store_si512(exits, _mm512_add_epi8(first, trailing_ones(left)));
  const uint32_t* first_leaves = m.first_leaves + number * kMaskTrees;
  for (int64_t i = 0; i < kMaskTrees; i += 16) {
    const __m512i exit = _mm512_cvtepu8_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(exits + i)));
    _mm512_storeu_si512(leaves + i, _mm512_add_epi32(exit, _mm512_load_si512(first_leaves + i)));
  }
}

void find_leaves_avx512(const MaskTables& m, const MaskGroup& group, const uint8_t* codes, bool missing, int64_t number,
                        uint32_t* leaves) noexcept {
  const auto find = missing ? (m.slots <= 64    ? find_leaves_in<1, true>
                               : m.slots <= 128 ? find_leaves_in<2, true>
                                                : find_leaves_in<4, true>)
                            : (m.slots <= 64    ? find_leaves_in<1, false>
                               : m.slots <= 128 ? find_leaves_in<2, false>
                                                : find_leaves_in<4, false>);
  find(m, group, codes, number, leaves);
}

template <int kCompare>
HAYATE_AVX2 inline uint32_t mask_of_8(const double* thresholds, __m256d x) {
  return static_cast<uint32_t>(_mm256_movemask_pd(_mm256_cmp_pd(_mm256_load_pd(thresholds), x, kCompare)) |
                               _mm256_movemask_pd(_mm256_cmp_pd(_mm256_load_pd(thresholds + 4), x, kCompare)) << 4);
}

template <int kCompare>
HAYATE_AVX2 inline int32_t rank_of_avx2(const double* thresholds, const double* pivots, int32_t pivot_vectors,
                                        double value) {
  const __m256d x = _mm256_set1_pd(value);
  int32_t blocks = 0;
  for (int32_t v = 0; v < pivot_vectors; ++v) blocks += __builtin_popcount(mask_of_8<kCompare>(pivots + v * 8, x));
  const double* block = thresholds + blocks * 16;
  return blocks * 16 + __builtin_popcount(mask_of_8<kCompare>(block, x) | mask_of_8<kCompare>(block + 8, x) << 8);
}

template <typename In>
HAYATE_AVX2 bool find_codes_avx2(const MaskTables& m, const In* x, uint8_t* codes) noexcept {
  bool any_missing = false;
  for (int64_t i = 0; i < m.ranked; ++i) {
    const MaskSlot& slot = m.slot[i];
    const double value = static_cast<double>(x[slot.column]);
    const double *thresholds = m.thresholds + slot.first_threshold, *pivots = m.pivots + slot.first_pivot;
    const int32_t rank = slot.counts_equal ? rank_of_avx2<_CMP_LE_OQ>(thresholds, pivots, slot.pivot_vectors, value)
                                           : rank_of_avx2<_CMP_LT_OQ>(thresholds, pivots, slot.pivot_vectors, value);
    const bool missing = is_missing(slot, value);
    codes[i] = static_cast<uint8_t>(missing ? kMaskMissing : rank);
    any_missing |= missing;
  }
  return any_missing;
}

// Tables of 16 codes in both halves of a register: every one is asked, and bits 4 to 6 of the slot say which answer
// counts. A blend looks at the highest bit of a byte, a shift brings each of the three there.
template <int kTables>
HAYATE_AVX2 inline __m256i codes_at_avx2(const __m256i* tables, __m256i slots) {
  const auto pair = [&](int i, __m256i by) __attribute__((target("avx2,popcnt"))) {
    return _mm256_blendv_epi8(_mm256_shuffle_epi8(tables[i], slots), _mm256_shuffle_epi8(tables[i + 1], slots), by);
  };
  const __m256i bit4 = _mm256_slli_epi16(slots, 3), bit5 = _mm256_slli_epi16(slots, 2);
  const __m256i low = _mm256_blendv_epi8(pair(0, bit4), pair(2, bit4), bit5);
  if constexpr (kTables == 4) return low;
  const __m256i high = _mm256_blendv_epi8(pair(4, bit4), pair(6, bit4), bit5);
  return _mm256_blendv_epi8(low, high, _mm256_slli_epi16(slots, 1));
}

HAYATE_AVX2 inline __m256i half(const uint8_t* at) { return _mm256_load_si256(reinterpret_cast<const __m256i*>(at)); }

template <int kTables, bool kMissing>
HAYATE_AVX2 inline __m256i dropped_by_avx2(const MaskTables& m, const __m256i* tables, int64_t s, int64_t lane) {
  const uint8_t* step = m.steps + s * kMaskStepBytes + lane;
  const __m256i code = codes_at_avx2<kTables>(tables, half(step)), rank = half(step + 64);
  __m256i near = _mm256_cmpeq_epi8(_mm256_max_epu8(code, rank), rank);
  if constexpr (kMissing) {
    const __m256i missing = _mm256_cmpeq_epi8(code, _mm256_set1_epi8(-1));
    near = _mm256_or_si256(near, _mm256_and_si256(missing, half(m.near_missing + s * kMaskTrees + lane)));
  }
  return _mm256_andnot_si256(near, half(step + 128));
}

HAYATE_AVX2 inline __m256i trailing_ones_avx2(__m256i bytes) {
  const __m256i ones =
      _mm256_setr_epi8(0, 1, 0, 2, 0, 1, 0, 3, 0, 1, 0, 2, 0, 1, 0, 4, 0, 1, 0, 2, 0, 1, 0, 3, 0, 1, 0, 2, 0, 1, 0, 4);
  const __m256i nibble = _mm256_set1_epi8(15), low = _mm256_and_si256(bytes, nibble),
                high = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble);
  const __m256i more = _mm256_and_si256(_mm256_cmpeq_epi8(low, nibble), _mm256_shuffle_epi8(ones, high));
  return _mm256_add_epi8(_mm256_shuffle_epi8(ones, low), more);
}

template <int kTables>
HAYATE_AVX2 inline void load_page_avx2(const uint8_t* codes, int64_t page, __m256i* tables) {
  for (int i = 0; i < kTables; ++i)
    tables[i] = _mm256_broadcastsi128_si256(
        _mm_load_si128(reinterpret_cast<const __m128i*>(codes + page * kMaskPageAvx2 + i * 16)));
}

// The group's trees in two halves of 32, each step after step.
template <int kTables, bool kMissing>
HAYATE_AVX2 void find_leaves_in_avx2(const MaskTables& m, const MaskGroup& group, const uint8_t* codes, int64_t number,
                                     uint32_t* leaves) {
  __m256i tables[kTables];
  load_page_avx2<kTables>(codes, 0, tables);
  for (int64_t lane = 0; lane < kMaskTrees; lane += 32) {
    int64_t s = group.first_step;
    const uint16_t* lists = m.list_steps + group.first_list;
    __m256i left = _mm256_setzero_si256(), first = left;
    for (int32_t w = 0; w < group.words; ++w) {
      __m256i dropped = _mm256_setzero_si256();
      for (int64_t page = 0; page < m.pages; ++page) {
        if (m.pages > 1) load_page_avx2<kTables>(codes, page, tables);
        for (const int64_t end = s + *lists++; s < end; ++s)
          dropped = _mm256_or_si256(dropped, dropped_by_avx2<kTables, kMissing>(m, tables, s, lane));
      }
      const __m256i none = _mm256_cmpeq_epi8(dropped, _mm256_set1_epi8(-1));
      left = _mm256_blendv_epi8(dropped, left, none);
      first = _mm256_blendv_epi8(_mm256_set1_epi8(static_cast<char>(8 * (group.words - 1 - w))), first, none);
    }
    alignas(32) uint8_t exits[32];
    _mm256_store_si256(reinterpret_cast<__m256i*>(exits), _mm256_add_epi8(first, trailing_ones_avx2(left)));
    const uint32_t* first_leaves = m.first_leaves + number * kMaskTrees + lane;
    for (int64_t i = 0; i < 32; ++i) leaves[lane + i] = first_leaves[i] + exits[i];
  }
}

void find_leaves_avx2(const MaskTables& m, const MaskGroup& group, const uint8_t* codes, bool missing, int64_t number,
                      uint32_t* leaves) noexcept {
  const auto find = missing ? (m.slots <= 64 ? find_leaves_in_avx2<4, true> : find_leaves_in_avx2<8, true>)
                            : (m.slots <= 64 ? find_leaves_in_avx2<4, false> : find_leaves_in_avx2<8, false>);
  find(m, group, codes, number, leaves);
}

}  // namespace

constexpr MaskKernels kAvx2Masks = {find_codes_avx2<float>, find_codes_avx2<double>, find_leaves_avx2};
constexpr MaskKernels kAvx512Masks = {find_codes_avx512<float>, find_codes_avx512<double>, find_leaves_avx512};

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

#undef HAYATE_AVX2
#undef HAYATE_VBMI

#else

bool avx2_masks_supported() { return false; }
bool avx512_masks_supported() { return false; }
constexpr MaskKernels kAvx2Masks = {};
constexpr MaskKernels kAvx512Masks = {};
void find_ranks(const double*, const double*, const RankColumn*, int64_t, const double*, int32_t*) noexcept {}

#endif

}  // namespace hayate::kernels::x86
