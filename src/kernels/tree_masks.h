// The exit leaves of 64 trees at once from bit masks, a byte a node: after QuickScorer (Lucchese et al., SIGIR 2015),
// with the leaves of a tree in words of 8 so that a comparison, its operand and what it drops are one byte each.
//
// Leaves are numbered from the side of small codes. A node whose code is above its rank sends the row to the far side:
// the leaves of its near side drop out. The lowest leaf left is the exit. Word w of a tree holds leaves 8 w to 8 w + 7;
// a node stands in the list of each word that its near side reaches into. Codes beyond a page lie in further ones, and
// a word has a list for each page. A group is 64 trees, a lane each; a list of all of them takes as many steps as the
// longest, and a step is a vector of 64 slots of the page, one of 64 ranks and one of 64 dropped bytes. No code is
// above rank 255, with which short lists are filled. Code 255 is a missing value's; it is above every rank, and of the
// nodes that send it to the near side a second array knows, which is read only for rows that lack a value.
#pragma once

#include <cstdint>

namespace hayate::kernels {

constexpr int64_t kMaskTrees = 64;     // lanes
constexpr int64_t kMaskWordsMax = 32;  // 256 leaves: a leaf's number within its tree is one byte
constexpr int64_t kMaskStepBytes = 3 * kMaskTrees;
constexpr int64_t kMaskPage = 256;        // slots: what a byte tells apart, and four registers of AVX-512 hold
constexpr int64_t kMaskPageAvx2 = 128;    // what eight registers of AVX2 hold
constexpr int64_t kMaskPagesMax = 8;
constexpr int64_t kMaskSlotsMax = kMaskPage * kMaskPagesMax, kMaskSlotsMaxAvx2 = kMaskPageAvx2 * kMaskPagesMax;
constexpr int32_t kMaskThresholdsMax = 254;  // of a slot
constexpr uint8_t kMaskMissing = 255, kMaskNoRank = 255;

// A code of 8 bits: how many of at most 254 thresholds of a column lie below the value, or at it where counts_equal.
// Thresholds are sorted, NaN behind them up to 2^steps (at least 16), and every 16th of them (the 16th first) stands
// among the pivots, NaN behind them, in pivot_vectors vectors of 8.
// Keys are the thresholds in float32: the nearest one at most the threshold, where counts_equal at least. 16 pivots,
// then all of them, NaN behind. A float32 value stands to a key as to its threshold; so does a float64 value rounded to
// float32 the same way, unless it equals a key.
struct MaskSlot {
  int32_t column, first_threshold, first_pivot, first_key;
  int8_t steps, pivot_vectors;
  bool counts_equal, zero_missing;  // zero_missing: |x| <= kZeroBound is missing as NaN is
};

struct MaskGroup {
  int64_t first_step;
  int32_t first_list, words;  // in list_steps; the last word of the trees first, each with its pages in their order
};

// Views of a program's arrays, which start on cache lines.
struct MaskTables {
  int64_t slots = 0, ranked = 0;  // of all codes; of those from thresholds, which come first
  int64_t pages = 1;              // that the slots take
  bool any_zero_missing = false;
  const MaskSlot* slot = nullptr;
  const double *thresholds = nullptr, *pivots = nullptr;
  const float* keys = nullptr;
  const uint8_t* steps = nullptr;
  const uint8_t* near_missing = nullptr;  // of each step 64 bytes: 255 where the near side is a missing value's
  const uint16_t* list_steps = nullptr;
  const uint32_t* first_leaves = nullptr;  // per tree, whole groups: the number of its first leaf in the ensemble
};

// The three forms do the same. Codes: kMaskSlotsMax bytes on a cache line, of which those from thresholds are written;
// whether one of them is missing. Leaves: 64, of the trees from group * 64 on.
struct MaskKernels {
  bool (*find_codes_f32)(const MaskTables&, const float* x, uint8_t* codes) noexcept;
  bool (*find_codes_f64)(const MaskTables&, const double* x, uint8_t* codes) noexcept;
  void (*find_leaves)(const MaskTables&, const MaskGroup&, const uint8_t* codes, bool missing, int64_t group,
                      uint32_t* leaves) noexcept;
};
extern const MaskKernels kPlainMasks;  // plain loops, any processor

}  // namespace hayate::kernels
