// The mask kernels with AVX2 and with AVX-512 VBMI, and ranks among many thresholds with AVX-512.
#pragma once

#include <cstdint>

#include "kernels/tree_masks.h"

namespace hayate::kernels::x86 {

// Whether this processor has what the two need.
bool avx2_masks_supported();
bool avx512_masks_supported();

extern const MaskKernels kAvx2Masks;  // with pages of kMaskPageAvx2
extern const MaskKernels kAvx512Masks;

// The sorted thresholds of a column, NaN behind them, from a multiple of 16 on; and every 16th of them (the
// 16th first), NaN behind them, in pivot_vectors vectors of 8.
struct RankColumn {
  int32_t first_threshold, first_pivot, pivot_vectors;
  bool counts_equal;
};
// ranks[i] = how many of column i's thresholds lie below values[i], or at it where it counts_equal. Requires:
// avx512_masks_supported().
void find_ranks(const double* thresholds, const double* pivots, const RankColumn* columns, int64_t count,
                const double* values, int32_t* ranks) noexcept;

}  // namespace hayate::kernels::x86
