#include "kernels/tree_masks.h"

#include <bit>
#include <cmath>

#include "kernels/trees.h"

namespace hayate::kernels {
namespace {

// How many of the sorted thresholds (2^steps, NaN last) lie below x, or at it too. A comparison's result is a number: a
// branch would be mispredicted every other time.
template <bool kEqual>
int32_t rank_of(const double* thresholds, int32_t steps, double x) {
  int32_t below = 0;
  for (int32_t s = steps - 1; s >= 0; --s) {
    const double t = thresholds[below + (1 << s) - 1];
    below += static_cast<int32_t>(kEqual ? t <= x : t < x) << s;
  }
  return below;
}

template <typename In>
bool find_codes(const MaskTables& m, const In* x, uint8_t* codes) noexcept {
  bool any_missing = false;
  for (int64_t i = 0; i < m.ranked; ++i) {
    const MaskSlot& slot = m.slot[i];
    const double value = static_cast<double>(x[slot.column]);
    const double* thresholds = m.thresholds + slot.first_threshold;
    const bool missing = value != value || (slot.zero_missing && std::fabs(value) <= kZeroBound);
    const int32_t rank = slot.counts_equal ? rank_of<true>(thresholds, slot.steps, value)
                                           : rank_of<false>(thresholds, slot.steps, value);
    codes[i] = missing ? kMaskMissing : static_cast<uint8_t>(rank);
    any_missing |= missing;
  }
  return any_missing;
}

void find_leaves(const MaskTables& m, const MaskGroup& group, const uint8_t* codes, bool missing, int64_t number,
                 uint32_t* leaves) noexcept {
  const uint8_t* step = m.steps + group.first_step * kMaskStepBytes;
  const uint8_t* near = m.near_missing + group.first_step * kMaskTrees;
  const uint16_t* lists = m.list_steps + group.first_list;
  uint32_t exits[kMaskTrees] = {};
  for (int32_t w = 0; w < group.words; ++w) {
    uint8_t dropped[kMaskTrees] = {};
    for (int64_t page = 0; page < m.pages; ++page)
      for (int32_t s = *lists++; s > 0; --s, step += kMaskStepBytes, near += kMaskTrees)
        for (int64_t i = 0; i < kMaskTrees; ++i) {
          const uint8_t code = codes[page * kMaskPage + step[i]];
          const bool far = code > step[kMaskTrees + i] && !(missing && code == kMaskMissing && near[i] != 0);
          dropped[i] |= far ? step[2 * kMaskTrees + i] : uint8_t{0};
        }
    const uint32_t first = static_cast<uint32_t>(8 * (group.words - 1 - w));
    for (int64_t i = 0; i < kMaskTrees; ++i)
      if (dropped[i] != 255) exits[i] = first + static_cast<uint32_t>(std::countr_one(dropped[i]));
  }
  for (int64_t i = 0; i < kMaskTrees; ++i) leaves[i] = m.first_leaves[number * kMaskTrees + i] + exits[i];
}

}  // namespace

constexpr MaskKernels kPlainMasks = {find_codes<float>, find_codes<double>, find_leaves};

}  // namespace hayate::kernels
