// Attention of one head: lanes are queries, so that softmax needs no sum across lanes and a score is one chain of
// multiply-adds whatever the tile. Scores of a block of queries stay in cache from the product to the average.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/vector/attention.cc"
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
// The order of these matters.
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/vector/functions-inl.h"
// clang-format on

#include <algorithm>
#include <limits>

HWY_BEFORE_NAMESPACE();
namespace hayate::kernels {
namespace HWY_NAMESPACE {
namespace {

// A block of at most kV vectors of queries.
struct Block {
  int64_t first = 0, count = 0;
  float* turned = nullptr;  // [e][lanes]: the queries
  float* scores = nullptr;  // [s][lanes]
};

template <int kV>
void turn_queries(const Attention& a, const Block& block) {
  constexpr int64_t kWidth = kV * kLanes;
  for (int64_t r = 0; r < kWidth; ++r) {
    const float* q = a.q + (block.first + std::min(r, block.count - 1)) * a.q_row;  // spare lanes repeat the last
    for (int64_t i = 0; i < a.e; ++i) block.turned[i * kWidth + r] = q[i];
  }
}

// Scores of kK keys from `key` on, scaled and masked; `highest` follows.
template <int kV, int kK>
HWY_INLINE void score(const Attention& a, const Block& block, int64_t key, V* highest) {
  V sums[kK][kV];
  HAYATE_EACH (k, kK)
    HAYATE_EACH (v, kV) sums[k][v] = hn::Zero(d);
  const float *q = block.turned, *keys = a.k + key * a.k_row;
  for (int64_t i = 0; i < a.e; ++i, q += kV * kLanes) {
    V part[kV];
    HAYATE_EACH (v, kV) part[v] = hn::LoadU(d, q + v * kLanes);
    HAYATE_EACH (k, kK) {
      const V value = hn::Set(d, keys[k * a.k_row + i]);
      HAYATE_EACH (v, kV) sums[k][v] = hn::MulAdd(value, part[v], sums[k][v]);
    }
  }
  const V scale = hn::Set(d, a.scale), never = hn::Set(d, -std::numeric_limits<float>::infinity());
  HAYATE_EACH (k, kK)
    HAYATE_EACH (v, kV) {
      V made = hn::Mul(sums[k][v], scale);
      const int64_t lane = v * kLanes, query = block.first + lane;
      if (a.mask != nullptr) {
        const float* mask = a.mask + (key + k) * a.mask_key;
        made = hn::Add(made, a.mask_query == 0 ? hn::Set(d, *mask) : load_some(mask + query, block.count - lane));
      }
      // Query i sees the keys up to i.
      if (a.causal) {
        const int64_t blind = std::clamp<int64_t>(key + k - query, 0, kLanes);
        made = hn::IfThenElse(hn::FirstN(d, static_cast<size_t>(blind)), never, made);
      }
      highest[v] = hn::Max(highest[v], made);
      hn::StoreU(made, d, block.scores + ((key + k) * kV + v) * kLanes);
    }
}

// Scores become weights, not yet divided by their sum; gives 1 / sum per lane.
template <int kV>
HWY_INLINE void weigh(const Attention& a, const Block& block, V* highest, float* inverse) {
  V sums[kV];
  HAYATE_EACH (v, kV) {
    sums[v] = hn::Zero(d);
    const auto blind = hn::Eq(highest[v], hn::Set(d, -std::numeric_limits<float>::infinity()));
    if (a.blind_is_zero) highest[v] = hn::IfThenZeroElse(blind, highest[v]);
  }
  for (int64_t s = 0; s < a.s; ++s)
    HAYATE_EACH (v, kV) {
      float* at = block.scores + (s * kV + v) * kLanes;
      const V weight = exp_below(hn::Sub(hn::LoadU(d, at), highest[v]));
      sums[v] = hn::Add(sums[v], weight);
      hn::StoreU(weight, d, at);
    }
  HAYATE_EACH (v, kV) {
    V made = hn::Div(hn::Set(d, 1.0f), sums[v]);
    if (a.blind_is_zero) made = hn::IfThenZeroElse(hn::Eq(sums[v], hn::Zero(d)), made);
    hn::StoreU(made, d, inverse + v * kLanes);
  }
}

// y of kR queries from lane `row` on, kF vectors of features from `feature` on.
template <int kR, int kF>
HWY_INLINE void average(const Attention& a, const float* weights, int64_t width, const float* inverse, float* y,
                        int64_t feature) {
  const int64_t left = a.f - feature;
  V sums[kR][kF];
  HAYATE_EACH (r, kR)
    HAYATE_EACH (f, kF) sums[r][f] = hn::Zero(d);
  const float* values = a.v + feature;
  for (int64_t s = 0; s < a.s; ++s, values += a.v_row, weights += width) {
    V part[kF];
    HAYATE_EACH (f, kF) part[f] = load_some(values + f * kLanes, left - f * kLanes);
    HAYATE_EACH (r, kR) {
      const V weight = hn::Set(d, weights[r]);
      HAYATE_EACH (f, kF) sums[r][f] = hn::MulAdd(weight, part[f], sums[r][f]);
    }
  }
  HAYATE_EACH (r, kR)
    HAYATE_EACH (f, kF)
      store_some(hn::Mul(sums[r][f], hn::Set(d, inverse[r])), y + r * a.y_row + feature + f * kLanes,
                 left - f * kLanes);
}

template <int kR, int kF>
HWY_INLINE void average_of(int64_t rows, const Attention& a, const float* weights, int64_t width, const float* inverse,
                           float* y, int64_t feature) {
  if (rows == kR) return average<kR, kF>(a, weights, width, inverse, y, feature);
  if constexpr (kR > 1) average_of<next_tile(kR), kF>(rows, a, weights, width, inverse, y, feature);
}

template <int kF, int64_t kWidth>
void average_rows(const Attention& a, const Block& block, const float* inverse, int64_t feature) {
  constexpr int kMost = std::min<int>(2 * kRows, kWidth);
  float* y = a.y + block.first * a.y_row;
  for (int64_t r = 0; r < block.count;) {
    const int64_t rows = tile_rows<kMost>(block.count - r);
    average_of<kMost, kF>(rows, a, block.scores + r, kWidth, inverse + r, y + r * a.y_row, feature);
    r += rows;
  }
}

template <int kV>
void attend(const Attention& a, int64_t first) {
  constexpr int64_t kWidth = kV * kLanes;
  Block block{first, std::min(kWidth, a.m - first), a.work, a.work + a.e * kWidth};
  turn_queries<kV>(a, block);
  V highest[kV];
  HAYATE_EACH (v, kV) highest[v] = hn::Set(d, -std::numeric_limits<float>::infinity());
  int64_t s = 0;
  for (; s + kRows <= a.s; s += kRows) score<kV, kRows>(a, block, s, highest);
  for (; s < a.s; ++s) score<kV, 1>(a, block, s, highest);
  HWY_ALIGN float inverse[kWidth];
  weigh<kV>(a, block, highest, inverse);
  int64_t feature = 0;
  for (; a.f - feature > kLanes; feature += 2 * kLanes) average_rows<2, kWidth>(a, block, inverse, feature);
  if (feature < a.f) average_rows<1, kWidth>(a, block, inverse, feature);
}

}  // namespace

void attention(const Attention& a) {
  int64_t first = 0;
  for (; a.m - first > 2 * kLanes; first += 4 * kLanes) attend<4>(a, first);
  for (; a.m - first > kLanes; first += 2 * kLanes) attend<2>(a, first);
  for (; a.m - first > 0; first += kLanes) attend<1>(a, first);
}

int64_t attention_work_size(int64_t e, int64_t s) { return 4 * kLanes * (e + s); }

}  // namespace HWY_NAMESPACE
}  // namespace hayate::kernels
HWY_AFTER_NAMESPACE();
