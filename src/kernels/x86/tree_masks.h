// The exit leaves of many small trees at once, with AVX-512 VBMI: every comparison of 4 (or 2 x 4) nodes of
// 16 (or 8) trees is one byte compare, the leaf falls out of bit masks. After QuickScorer (Lucchese et al.,
// SIGIR 2015).
#pragma once

#include <cstddef>
#include <cstdint>

namespace hayate::kernels::x86 {

bool tree_masks_supported();  // by this processor: what this file needs

// The sorted thresholds of a column, NaN behind them, from a multiple of 16 on; and every 16th of them (the
// 16th first), NaN behind them, in pivot_vectors vectors of 8.
struct RankColumn {
  int32_t first_threshold, first_pivot, pivot_vectors;
  bool counts_equal;
};
// ranks[i] = how many of column i's thresholds lie below values[i], or at it where it counts_equal.
void find_ranks(const double* thresholds, const double* pivots, const RankColumn* columns, int64_t count,
                const double* values, int32_t* ranks) noexcept;

// A group holds 16 trees of at most 32 leaves, or (wide) 8 trees of at most 64. Its nodes lie in `steps`
// vectors of 64 bytes: byte p * group + t is node p of tree t; where codes[slot] > rank the node sends the
// row to its false side, and the leaves of its true side drop out of the tree's mask. Leaves are numbered
// from the true side, so that the lowest bit left is the exit leaf. Missing nodes have rank 255.
struct TreeMasks {
  bool wide = false;        // 64 leaves
  bool many_slots = false;  // 128 code slots, else 64
  const uint8_t* slots = nullptr;
  const uint8_t* ranks = nullptr;
  const std::byte* masks = nullptr;        // group words (uint32, wide: uint64) per node: one 64-byte vector each
  const uint32_t* first_leaves = nullptr;  // per tree: the number of its first leaf
};

// leaves[0 .. group) of one group, whose vectors start at number `first`, trees at number `tree`.
// Requires: tree_masks_supported(); codes holds 128 bytes; all arrays are 64-byte aligned.
void find_leaves(const TreeMasks& masks, const uint8_t* codes, int64_t first, int64_t steps, int64_t tree,
                 uint32_t* leaves) noexcept;

}  // namespace hayate::kernels::x86
