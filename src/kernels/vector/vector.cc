// Float32 kernels written once with Highway and compiled for each instruction set; set_for picks by our own table,
// because Highway's dispatch is one choice for the whole process.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/vector/vector.cc"
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
// The order of these matters.
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/vector/functions-inl.h"
// clang-format on

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/vector/plain.h"
#include "kernels/x86/tiles.h"

HWY_BEFORE_NAMESPACE();
namespace hayate::kernels {
namespace HWY_NAMESPACE {

void attention(const Attention& args);  // attention.cc
int64_t attention_work_size(int64_t e, int64_t s);
void add_narrow(Set* made);  // narrow.cc
#if HWY_TARGET == HWY_AVX3
void add_tiles(Set* made);
#endif

void unary(Activation op, const float* x, float* y, int64_t n) {
  if (!is_vector(op.op)) return plain::set().unary(op, x, y, n);
  for (int64_t i = 0; i < n; i += kLanes) store_some(apply(op, load_some(x + i, n - i)), y + i, n - i);
}

// How columns lie and how each is summed follows from n and a column's place alone, whatever the width of vectors, so
// that an answer has the same bits on every instruction set with a fused multiply-add. Columns go by groups of
// kColumnGroup in one chain over k, and what is left by units of 16 in two. A group that is alone is four units: a
// single row of it would wait for its sums, where of two groups the second is begun before the first is through. No
// more than 8 columns left behind the units are an edge: 4 or 8 columns of eight chains or four, whose vectors hold
// several steps of k. Chain c takes the steps k of a segment with k % chains == c.
constexpr int64_t kUnit = 16;

int64_t edge_columns(int64_t n) {
  const int64_t left = n % kUnit;
  return left <= kUnit / 2 ? left : 0;
}
int64_t edge_width(int64_t n) { return edge_columns(n) == 0 ? 0 : edge_columns(n) <= 4 ? 4 : 8; }

// Vectors of a panel: kVectors of whole groups, which units = 0 stands for, else of what that many units are cut into.
constexpr int vectors_of(int64_t units) {
  return units == 0                   ? kVectors
         : kLanes == 16 || units == 3 ? static_cast<int>(units)
         : kLanes == 8 && units == 2  ? 4
                                      : 2;
}

// Calls f(column, units) for each panel of columns from `from` to `to` but the edge's; the last columns may be padded.
template <class F>
HWY_INLINE void each_panel(int64_t n, int64_t from, int64_t to, bool backwards, F&& f) {
  constexpr int64_t kWidth = kVectors * kLanes;
  constexpr int64_t kUnits = kColumnGroup / kUnit;
  const int64_t end = n - edge_columns(n), all = (end + kUnit - 1) / kUnit, units = all <= kUnits ? all : all % kUnits;
  const int64_t whole = all <= kUnits ? 0 : units == 0 ? end : end / kColumnGroup * kColumnGroup;
  const int64_t panels = (std::min(to, whole) - from + kWidth - 1) / kWidth;
  const int64_t narrow = vectors_of(units) * kLanes,
                narrows = from <= whole && to > whole && whole < end ? (end - whole + narrow - 1) / narrow : 0;
  if (!backwards)
    for (int64_t i = 0; i < panels; ++i) f(from + i * kWidth, 0);
  for (int64_t i = 0; i < narrows; ++i) f(whole + (backwards ? narrows - 1 - i : i) * narrow, static_cast<int>(units));
  if (backwards)
    for (int64_t i = panels - 1; i >= 0; --i) f(from + i * kWidth, 0);
}

// Calls f.operator()<vectors, chains>() of such a panel.
template <class F>
HWY_INLINE void with_shape(int units, F&& f) {
  if (units == 0)
    f.template operator()<vectors_of(0), 1>();
  else if (units == 1)
    f.template operator()<vectors_of(1), 2>();
  else if (units == 2)
    f.template operator()<vectors_of(2), 2>();
  else if (units == 3)
    f.template operator()<vectors_of(3), 2>();
  else
    f.template operator()<vectors_of(4), 2>();
}

int64_t dense_packed_size(int64_t k, int64_t n) {
  int64_t columns = edge_width(n);
  each_panel(n, 0, n, false, [&](int64_t, int units) { columns += vectors_of(units) * kLanes; });
  return k * columns;
}

// Panels one after another, each k rows long.
void dense_pack(const float* w, int64_t k, int64_t n, int64_t k_stride, int64_t n_stride, float* packed) {
  const auto pack = [&](int64_t column, int64_t width) {
    for (int64_t i = 0; i < k; ++i)
      for (int64_t j = 0; j < width; ++j) *packed++ = column + j < n ? w[i * k_stride + (column + j) * n_stride] : 0.0f;
  };
  each_panel(n, 0, n, false, [&](int64_t column, int units) { pack(column, vectors_of(units) * kLanes); });
  if (edge_columns(n) > 0) pack(n - edge_columns(n), edge_width(n));
}

// The most rows of a tile whose sums fit the registers beside the weights and a value of x.
constexpr int rows_for(int vectors, int chains) {
  return std::clamp((kRegisters - vectors - 1) / (vectors * chains), 1, std::max(kRows, 3));
}

// A row's (i, j), counted along: divisions would cost more than a short row.
struct Place {
  int64_t outer = 0, inner = 0;
};

template <int kR>
HWY_INLINE void take_rows(const Dense& a, Place* place, int64_t column, const float* (&x)[kR], float* (&y)[kR]) {
  HAYATE_EACH (r, kR) {
    x[r] = a.x + place->outer * a.x_outer + place->inner * a.x_inner;
    y[r] = a.y + place->outer * a.y_outer + place->inner * a.y_inner + column;
    if (++place->inner == a.inner) place->inner = 0, ++place->outer;
  }
}

// What Part::kBegin stores of a row: the sums of the first chain by their columns, those of the second behind them, and
// the edge's as they lie in registers.
HWY_INLINE int64_t second_chain(int64_t n) { return (n + kUnit - 1) / kUnit * kUnit; }
HWY_INLINE int64_t begun_edge(int64_t n) { return 2 * second_chain(n); }

// Sums start with start(row), with the bias, or with 0.
template <int kR, int kV>
HWY_INLINE void start_sums(const Dense& a, V (&sums)[kR][kV], int64_t row, int64_t column, int64_t count) {
  load_starts(sums, a.start == nullptr ? nullptr : a.start + row * a.start_stride + column, a.start_stride,
              a.bias == nullptr ? nullptr : a.bias + column, count);
}

// Sums of kR rows of one panel, in one chain over k or two.
template <int kR, int kV>
using Sums = V[kR][kV];

// One step of k, of which value(r) is row r's x.
template <int kR, int kV, class X>
HWY_INLINE void add_step(Sums<kR, kV>& sums, const float* w_of, const X& value) {
  V w[kV];
  HAYATE_EACH (v, kV) {
    const V loaded = hn::LoadU(d, w_of + v * kLanes);
    w[v] = kR > 1 ? in_register(loaded) : loaded;
  }
  HAYATE_EACH (r, kR) {
    const V x = value(r);
    HAYATE_EACH (v, kV) sums[r][v] = hn::MulAdd(x, w[v], sums[r][v]);
  }
}

// `length` steps of k; gives the panel behind them. Odd steps go to the second chain, which may be the first.
template <int kR, int kV, int kC>
HWY_INLINE const float* add_steps(const float* const (&x)[kR], int64_t offset, int64_t length, const float* panel,
                                  Sums<kR, kV>& even, Sums<kR, kV>& odd) {
  constexpr int64_t kWidth = kV * kLanes;
  int64_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  if constexpr (kR == 1)  // bound by loads: four steps share one
    for (; i + 4 <= length; i += 4, panel += 4 * kWidth) {
      const V four = hn::LoadDup128(d, x[0] + offset + i);
      add_step<kR, kV>(even, panel, [&](int) HWY_ATTR { return hn::Broadcast<0>(four); });
      add_step<kR, kV>(odd, panel + kWidth, [&](int) HWY_ATTR { return hn::Broadcast<1>(four); });
      add_step<kR, kV>(even, panel + 2 * kWidth, [&](int) HWY_ATTR { return hn::Broadcast<2>(four); });
      add_step<kR, kV>(odd, panel + 3 * kWidth, [&](int) HWY_ATTR { return hn::Broadcast<3>(four); });
    }
#endif
  if constexpr (kC == 2 || kRegisters == 32)
    for (; i + 2 <= length; i += 2, panel += 2 * kWidth) {
      add_step<kR, kV>(even, panel, [&](int r) HWY_ATTR { return hn::Set(d, x[r][offset + i]); });
      add_step<kR, kV>(odd, panel + kWidth, [&](int r) HWY_ATTR { return hn::Set(d, x[r][offset + i + 1]); });
    }
  for (; i < length; ++i, panel += kWidth)
    add_step<kR, kV>(even, panel, [&](int r) HWY_ATTR { return hn::Set(d, x[r][offset + i]); });
  return panel;
}

// kR rows of one panel in kC chains. Where the layer is whole nothing is asked: a tile of few steps would feel it.
template <int kR, int kV, int kC, bool kWhole>
HWY_INLINE void dense_tile(const Dense& a, const float* panel, int64_t row, Place* place, int64_t column) {
  const int64_t count = a.n - column;
  const float* x[kR];
  float* ys[kR];
  take_rows(a, place, column, x, ys);
  V sums[kR][kV];
  start_sums(a, sums, row, column, count);
  if constexpr (kC == 1) {
    for (int64_t s = 0; s < a.segments; ++s)
      panel = add_steps<kR, kV, kC>(x, a.segment_offsets == nullptr ? 0 : a.segment_offsets[s], a.segment_length, panel,
                                    sums, sums);
  } else {
    V odd[kR][kV];
    HAYATE_EACH (r, kR)
      HAYATE_EACH (v, kV) odd[r][v] = hn::Zero(d);
    if (!kWhole && a.part == Part::kEnd) {
      const float* begun = a.start + row * a.start_stride + second_chain(a.n) + column;
      HAYATE_EACH (r, kR)
        HAYATE_EACH (v, kV) odd[r][v] = hn::LoadU(d, begun + r * a.start_stride + v * kLanes);
    }
    for (int64_t s = 0; s < a.segments; ++s)
      panel = add_steps<kR, kV, kC>(x, a.segment_offsets == nullptr ? 0 : a.segment_offsets[s], a.segment_length, panel,
                                    sums, odd);
    if (!kWhole && a.part == Part::kBegin) {
      HAYATE_EACH (r, kR)
        HAYATE_EACH (v, kV) {
          hn::StoreU(sums[r][v], d, ys[r] + v * kLanes);
          hn::StoreU(odd[r][v], d, ys[r] + second_chain(a.n) + v * kLanes);
        }
      return;
    }
    HAYATE_EACH (r, kR)
      HAYATE_EACH (v, kV) sums[r][v] = hn::Add(sums[r][v], odd[r][v]);
  }
  if (!store_tile(sums, ys, count, a.activation))
    for (float* y : ys) plain::unary(a.activation, y, y, std::min<int64_t>(count, kV * kLanes));
}

// A tile of `rows` of at most kR rows.
template <int kR, int kV, int kC, bool kWhole>
HWY_INLINE void dense_tile_of(int64_t rows, const Dense& a, const float* panel, int64_t row, Place* place,
                              int64_t column) {
  if (rows == kR) return dense_tile<kR, kV, kC, kWhole>(a, panel, row, place, column);
  if constexpr (kR > 1) dense_tile_of<next_tile(kR), kV, kC, kWhole>(rows, a, panel, row, place, column);
}

template <int kV, int kC, bool kWhole>
HWY_NOINLINE void dense_panel(const Dense& a, const float* panel, int64_t column) {
  constexpr int kMost = rows_for(kV, kC);
  Place place;
  for (int64_t row = 0; row < a.m;) {
    const int64_t rows = tile_rows<kMost>(a.m - row);
    dense_tile_of<kMost, kV, kC, kWhole>(rows, a, panel, row, &place, column);
    row += rows;
  }
}

#if HWY_TARGET != HWY_SCALAR
// Which of 4 consecutive x each lane of vector j takes, where groups of kW lanes take one each.
template <int kW, int kSums>
struct Spread {
  int32_t lanes[kSums][kLanes] = {};
  constexpr Spread() {
    constexpr int kGroups = kLanes / kW;
    HAYATE_EACH (j, kSums)
      for (int i = 0; i < kLanes; ++i) lanes[j][i] = (j * kGroups + i / kW) % 4;
  }
};

// The sums of kR rows of kW columns of the edge, which is kWidth wide, in kC chains: a group of kW lanes is one chain.
template <int kR, int kW, int kWidth, int kC>
struct Edge {
  static constexpr int kGroups = kLanes / kW, kSums = kC / kGroups;
  static_assert(kW == kWidth || kGroups == 1);
  static constexpr Spread<kW, kSums> kSpread{};
  V sums[kR][kSums];

  HWY_INLINE Edge() {
    HAYATE_EACH (r, kR)
      HAYATE_EACH (j, kSums) sums[r][j] = hn::Zero(d);
  }
  HWY_INLINE void load(const float* from, int64_t stride) {
    HAYATE_EACH (r, kR)
      HAYATE_EACH (j, kSums) sums[r][j] = hn::LoadU(d, from + r * stride + j * kLanes);
  }
  HWY_INLINE void store(float* const (&to)[kR], int64_t offset) const {
    HAYATE_EACH (r, kR)
      HAYATE_EACH (j, kSums) hn::StoreU(sums[r][j], d, to[r] + offset + j * kLanes);
  }
  template <class X, class W>
  HWY_INLINE void step(const X& x_at, const W& w_at) {
    HAYATE_EACH (j, kSums) {
      const V w = w_at(j);
      HAYATE_EACH (r, kR) {
        const V four = hn::LoadDup128(d, x_at(r) + j * kGroups / 4 * 4);
        sums[r][j] = hn::MulAdd(hn::TableLookupLanes(four, hn::SetTableIndices(d, kSpread.lanes[j])), w, sums[r][j]);
      }
    }
  }
  HWY_INLINE void add_steps(const float* const (&x)[kR], int64_t offset, int64_t length, const float** panel) {
    int64_t i = 0;
    for (; i + kC <= length; i += kC, *panel += kC * kWidth)
      step([&](int r) { return x[r] + offset + i; },
           [&](int j) HWY_ATTR { return hn::LoadU(d, *panel + j * kGroups * kWidth); });
    const int64_t left = length - i;
    if (left == 0) return;
    HWY_ALIGN float last[kR][kC] = {};  // what is behind the segment's end counts as 0, and so do its weights
    HAYATE_EACH (r, kR) std::memcpy(last[r], x[r] + offset + i, static_cast<size_t>(left) * sizeof(float));
    const int64_t weights = (left - 1) * kWidth + kW;
    step([&](int r) { return last[r]; },
         [&](int j) HWY_ATTR { return load_some(*panel + j * kGroups * kWidth, weights - j * kGroups * kWidth); });
    *panel += left * kWidth;
  }
  HWY_INLINE V total(int r) {  // chain c + chain c + half of them, until one is left
    for (int half = kSums / 2; half > 0; half /= 2)
      HAYATE_EACH (j, half) sums[r][j] = hn::Add(sums[r][j], sums[r][j + half]);
    V sum = sums[r][0];
    if constexpr (kGroups >= 2) sum = hn::Add(sum, hn::ConcatUpperUpper(d, sum, sum));
    if constexpr (kGroups == 4) sum = hn::Add(sum, hn::SwapAdjacentBlocks(sum));
    return sum;
  }
};

template <int kR, int kW, int kWidth, int kC, bool kWhole>
HWY_INLINE void edge_tile(const Dense& a, const float* panel, int64_t row, Place* place, int64_t column) {
  const int64_t count = std::min<int64_t>(a.n - column, kW);
  const float* x[kR];
  float* ys[kR];
  take_rows(a, place, column, x, ys);
  Edge<kR, kW, kWidth, kC> edge;
  // Of an edge in two calls in one of four lanes each, where in what a row has begun.
  const int64_t begun = begun_edge(a.n) + (column - (a.n - edge_columns(a.n))) * kC;
  V totals[kR][1];
  if (!kWhole && a.part == Part::kEnd) {
    load_starts(totals, nullptr, 0, a.bias == nullptr ? nullptr : a.bias + column, count);
    edge.load(a.start + row * a.start_stride + begun, a.start_stride);
  } else {
    start_sums(a, totals, row, column, count);
  }
  for (int64_t s = 0; s < a.segments; ++s)
    edge.add_steps(x, a.segment_offsets == nullptr ? 0 : a.segment_offsets[s], a.segment_length, &panel);
  if (!kWhole && a.part == Part::kBegin) return edge.store(ys, begun - column);
  HAYATE_EACH (r, kR) totals[r][0] = hn::Add(totals[r][0], edge.total(r));
  if (!store_tile(totals, ys, count, a.activation))
    for (float* y : ys) plain::unary(a.activation, y, y, count);
}

template <int kR, int kW, int kWidth, int kC, bool kWhole>
HWY_INLINE void edge_tile_of(int64_t rows, const Dense& a, const float* panel, int64_t row, Place* place,
                             int64_t column) {
  if (rows == kR) return edge_tile<kR, kW, kWidth, kC, kWhole>(a, panel, row, place, column);
  if constexpr (kR > 1) edge_tile_of<next_tile(kR), kW, kWidth, kC, kWhole>(rows, a, panel, row, place, column);
}

template <int kW, int kWidth, int kC, bool kWhole>
void edge_panel(const Dense& a, const float* panel, int64_t column) {
  constexpr int kSums = kC * kW / static_cast<int>(kLanes),
                kMost = std::max(1, std::min(kRows, kRows * kVectors / kSums));
  Place place;
  for (int64_t row = 0; row < a.m;) {
    const int64_t rows = tile_rows<kMost>(a.m - row);
    edge_tile_of<kMost, kW, kWidth, kC, kWhole>(rows, a, panel, row, &place, column);
    row += rows;
  }
}
#endif

// Where columns 4 to 7 of an edge begin; of no steps, whose panel may be null, nothing is read.
HWY_INLINE const float* second_half(const float* panel, int64_t k) { return k == 0 ? panel : panel + 4; }

// Calls f.operator()<columns, width, chains>(panel, column) for what of the edge of `packed` one call takes: all of it
// or, with vectors of four lanes, each half. Nothing where there is no edge.
template <class F>
HWY_INLINE void with_edge(const float* packed, int64_t k, int64_t n, F&& f) {
#if HWY_TARGET != HWY_SCALAR
  const int64_t width = edge_width(n), column = n - edge_columns(n);
  if (width == 0) return;
  const float* panel = packed + k * column;
  if (width == 4) return f.template operator()<4, 4, 8>(panel, column);
  if constexpr (kLanes >= 8) {
    f.template operator()<8, 8, 4>(panel, column);
  } else {
    f.template operator()<4, 8, 4>(panel, column);
    if (n - column > 4) f.template operator()<4, 8, 4>(second_half(panel, k), column + 4);
  }
#else
  (void)packed, (void)k, (void)n, (void)f;
#endif
}

// The panel after all others.
void dense_edge(const Dense& a) {
  if (a.to < a.n) return;
  with_edge(a.packed, a.k, a.n, [&]<int kW, int kWidth, int kC>(const float* panel, int64_t column) HWY_ATTR {
    if (HWY_LIKELY(a.part == Part::kWhole))
      edge_panel<kW, kWidth, kC, true>(a, panel, column);
    else
      edge_panel<kW, kWidth, kC, false>(a, panel, column);
  });
}

constexpr int64_t kTurnedBytes = 28 << 10;

void dense(const Dense& a) {
  // Of a panel not far below the first-level cache little is found there again, and turning costs (200 x 800: 8 %).
  const bool backwards = a.backwards && a.k * kColumnGroup * static_cast<int64_t>(sizeof(float)) <= kTurnedBytes;
  if (backwards) dense_edge(a);
  each_panel(a.n, a.from, a.to, backwards, [&](int64_t column, int units) HWY_ATTR {
    with_shape(units, [&]<int kV, int kC>() HWY_ATTR {
      const float* panel = a.packed + a.k * column;       // no panel before it is padded
      if (kC == 1 || HWY_LIKELY(a.part == Part::kWhole))  // in one chain a start is all that there is to a part
        dense_panel<kV, kC, true>(a, panel, column);
      else
        dense_panel<kV, kC, kC == 1>(a, panel, column);
    });
  });
  if (!backwards) dense_edge(a);
}

// One row, whose arguments fit registers: the same sums.
template <int kV, int kC>
HWY_INLINE void row_panel(const RowShape& shape, const float* x_row, const float* packed, const float* bias,
                          float* y_row, int64_t column) {
  const float* const x[] = {x_row};
  float* const y[] = {y_row + column};
  const float* panel = packed + shape.k * column;
  const int64_t count = shape.n - column;
  V sums[1][kV];
  load_starts(sums, nullptr, 0, bias == nullptr ? nullptr : bias + column, count);
  if constexpr (kC == 1) {
    add_steps<1, kV, kC>(x, 0, shape.k, panel, sums, sums);
  } else {
    V odd[1][kV];
    HAYATE_EACH (v, kV) odd[0][v] = hn::Zero(d);
    add_steps<1, kV, kC>(x, 0, shape.k, panel, sums, odd);
    HAYATE_EACH (v, kV) sums[0][v] = hn::Add(sums[0][v], odd[0][v]);
  }
  if (!store_tile(sums, y, count, shape.activation))
    plain::unary(shape.activation, *y, *y, std::min<int64_t>(count, kV * kLanes));
}

template <int kW, int kWidth, int kC>
HWY_INLINE void row_edge(const RowShape& shape, const float* x_row, const float* panel, const float* bias, float* y_row,
                         int64_t column) {
#if HWY_TARGET != HWY_SCALAR
  const int64_t count = std::min<int64_t>(shape.n - column, kW);
  const float* x[] = {x_row};
  float* const y[] = {y_row + column};
  V total[1][1];
  load_starts(total, nullptr, 0, bias == nullptr ? nullptr : bias + column, count);
  Edge<1, kW, kWidth, kC> edge;
  edge.add_steps(x, 0, shape.k, &panel);
  total[0][0] = hn::Add(total[0][0], edge.total(0));
  if (!store_tile(total, y, count, shape.activation)) plain::unary(shape.activation, *y, *y, count);
#else
  (void)shape, (void)x_row, (void)panel, (void)bias, (void)y_row, (void)column;
#endif
}

void row_of_edge(const RowShape& shape, const float* x, const float* packed, const float* bias, float* y) {
  with_edge(packed, shape.k, shape.n, [&]<int kW, int kWidth, int kC>(const float* panel, int64_t column) HWY_ATTR {
    row_edge<kW, kWidth, kC>(shape, x, panel, bias, y, column);
  });
}

void row_of_any(const RowShape& shape, const float* x, const float* packed, const float* bias, float* y) {
  each_panel(shape.n, shape.from, shape.to, false, [&](int64_t column, int units) HWY_ATTR {
    with_shape(units, [&]<int kV, int kC>() HWY_ATTR { row_panel<kV, kC>(shape, x, packed, bias, y, column); });
  });
  if (shape.to >= shape.n) row_of_edge(shape, x, packed, bias, y);
}

template <int kV, int kC>
void row_of_one_panel(const RowShape& shape, const float* x, const float* packed, const float* bias, float* y) {
  row_panel<kV, kC>(shape, x, packed, bias, y, 0);
}

// Small layers are one panel or an edge: what it takes to find that out at every row is as long as half of such a row.
RowKernel row_kernel(int64_t n) {
  if (n > 0 && n == edge_columns(n)) return row_of_edge;
  int panels = 0, units = 0;
  each_panel(n, 0, n, false, [&](int64_t, int of) { ++panels, units = of; });
  RowKernel found = row_of_any;
  if (panels == 1 && edge_columns(n) == 0)
    with_shape(units, [&]<int kV, int kC>() { found = row_of_one_panel<kV, kC>; });
  return found;
}

void lstm_cell(const LstmCell& a) {
  for (int64_t r = 0; r < a.m; ++r)
    for (int64_t k = 0; k < a.hidden; k += kLanes) {
      const int64_t count = a.hidden - k;
      const auto gate = [&](int64_t g) HWY_ATTR {
        const V x = load_some(a.x + r * a.x_row + g * a.hidden + k, count);
        return a.r == nullptr ? x : hn::Add(x, load_some(a.r + r * a.r_row + g * a.hidden + k, count));
      };
      float* cell = a.c + r * a.c_row + k;
      const SigmoidQuotient in = sigmoid_quotient(gate(0)), out = sigmoid_quotient(gate(1)),
                            forget = sigmoid_quotient(gate(2));
      const Quotient fresh = tanh_quotient(gate(3));
      const V by = hn::Mul(in.by, fresh.by), added = hn::Mul(hn::Mul(in.of, fresh.of), forget.by);
      const V c = hn::Div(hn::MulAdd(hn::Mul(forget.of, by), load_some(cell, count), added), hn::Mul(forget.by, by));
      store_some(c, cell, count);
      const Quotient seen = tanh_quotient(c);
      store_some(hn::Div(hn::Mul(out.of, seen.of), hn::Mul(out.by, seen.by)), a.h + r * a.h_row + k, count);
    }
}

void gru_cell(const GruCell& a) {
  for (int64_t row = 0; row < a.m; ++row)
    for (int64_t k = 0; k < a.hidden; k += kLanes) {
      const int64_t count = a.hidden - k;
      const auto x = [&](int64_t g) HWY_ATTR { return load_some(a.x + row * a.x_row + g * a.hidden + k, count); };
      const auto h = [&](int64_t g) HWY_ATTR { return load_some(a.r + row * a.r_row + g * a.hidden + k, count); };
      const SigmoidQuotient z = sigmoid_quotient(hn::Add(x(0), h(0)));
      const Quotient candidate = tanh_quotient(hn::MulAdd(sigmoid(hn::Add(x(1), h(1))), h(2), x(2)));
      const V before = load_some(a.h_before + row * a.h_before_row + k, count);
      const V sum = hn::MulAdd(hn::Mul(z.of, candidate.by), before, hn::Mul(z.rest, candidate.of));
      store_some(hn::Div(sum, hn::Mul(z.by, candidate.by)), a.h + row * a.h_row + k, count);
    }
}

template <Binary kOp>
HWY_INLINE V combine(V a, V b) {
  if constexpr (kOp == Binary::kAdd) return hn::Add(a, b);
  if constexpr (kOp == Binary::kSub) return hn::Sub(a, b);
  if constexpr (kOp == Binary::kMul) return hn::Mul(a, b);
  if constexpr (kOp == Binary::kDiv) return hn::Div(a, b);
  // NaN on either side wins.
  if constexpr (kOp == Binary::kMin)
    return hn::IfThenElse(hn::IsNaN(a), a, hn::IfThenElse(hn::IsNaN(b), b, hn::Min(a, b)));
  return hn::IfThenElse(hn::IsNaN(a), a, hn::IfThenElse(hn::IsNaN(b), b, hn::Max(a, b)));
}

template <Binary kOp>
void binary_of(const BinaryArgs& args) {
  const bool vector = is_vector(args.activation.op);
  for (int64_t r = 0; r < args.rows; ++r) {
    const float *a = args.a + r * args.a_row, *b = args.b + r * args.b_row;
    float* y = args.y + r * args.y_row;
    const V all_a = hn::Set(d, *a), all_b = hn::Set(d, *b);
    for (int64_t i = 0; i < args.n; i += kLanes) {
      const int64_t left = args.n - i;
      const V v = combine<kOp>(args.a_step == 0 ? all_a : load_some(a + i, left),
                               args.b_step == 0 ? all_b : load_some(b + i, left));
      store_some(vector ? apply(args.activation, v) : v, y + i, left);
    }
    if (!vector) plain::set().unary(args.activation, y, y, args.n);
  }
}

void binary(Binary op, const BinaryArgs& args) {
  if (args.n == 0) return;
  switch (op) {
    case Binary::kAdd:
      return binary_of<Binary::kAdd>(args);
    case Binary::kSub:
      return binary_of<Binary::kSub>(args);
    case Binary::kMul:
      return binary_of<Binary::kMul>(args);
    case Binary::kDiv:
      return binary_of<Binary::kDiv>(args);
    case Binary::kMin:
      return binary_of<Binary::kMin>(args);
    case Binary::kMax:
      return binary_of<Binary::kMax>(args);
    default:
      return plain::set().binary(op, args);
  }
}

#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
HWY_INLINE auto first_four(V v) {
  const auto eight = [&] {
    if constexpr (kLanes == 16)
      return hn::LowerHalf(hn::Half<D>(), v);
    else
      return v;
  }();
  return hn::LowerHalf(hn::CappedTag<float, 4>(), eight);
}

// A row of up to four, in the order that Sums16 has: what is folded from the lanes behind them are zeros, and each fold
// across a register takes as long as an addition.
HWY_INLINE void softmax_of_four(const float* x, float* y, int64_t n) {
  const auto mask = hn::FirstN(d, static_cast<size_t>(n));
  const V v = load_some(x, n);
  auto most = first_four(hn::IfThenElse(mask, v, hn::Set(d, *x)));
  most = hn::Max(most, hn::Shuffle1032(most)), most = hn::Max(most, hn::Shuffle2301(most));
  const V e = hn::IfThenElseZero(mask, exp_below(hn::Sub(v, hn::Set(d, hn::GetLane(most)))));
  auto sum = first_four(e);
  sum = hn::Add(sum, hn::Shuffle1032(sum)), sum = hn::Add(sum, hn::Shuffle2301(sum));
  store_some(hn::Mul(e, hn::Set(d, 1.0f / hn::GetLane(sum))), y, n);
}
#endif

void softmax(const float* x, float* y, int64_t rows, int64_t n, bool log) {
  if (log) return plain::set().softmax(x, y, rows, n, log);
  for (int64_t r = 0; r < rows; ++r, x += n, y += n) {
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
    if (n <= 4) {
      softmax_of_four(x, y, n);
      continue;
    }
#endif
    if (n <= kLanes) {  // a few classes: one vector is the whole row
      const auto mask = hn::FirstN(d, static_cast<size_t>(n));
      const V v = load_some(x, n), highest = hn::MaxOfLanes(d, hn::IfThenElse(mask, v, hn::Set(d, *x)));
      const V e = hn::IfThenElseZero(mask, exp_below(hn::Sub(v, highest)));
      store_some(hn::Mul(e, hn::Set(d, 1.0f / sum_over(n, [&](V, int64_t, int64_t) HWY_ATTR { return e; }))), y, n);
      continue;
    }
    V highest = hn::Set(d, *x);
    for (int64_t i = 0; i < n; i += kLanes) {
      const V v = load_some(x + i, n - i);
      highest =
          hn::Max(highest, n - i >= kLanes ? v : hn::IfThenElse(hn::FirstN(d, static_cast<size_t>(n - i)), v, highest));
    }
    highest = hn::MaxOfLanes(d, highest);
    const float sum = sum_over(n, [&](V so_far, int64_t i, int64_t left) HWY_ATTR {
      V e = exp_below(hn::Sub(load_some(x + i, left), highest));
      if (left < kLanes) e = hn::IfThenElseZero(hn::FirstN(d, static_cast<size_t>(left)), e);
      store_some(e, y + i, left);
      return hn::Add(so_far, e);
    });
    const V inverse = hn::Set(d, 1.0f / sum);
    for (int64_t i = 0; i < n; i += kLanes) store_some(hn::Mul(load_some(y + i, n - i), inverse), y + i, n - i);
  }
}

void layer_norm(const float* x, const float* scale, const float* bias, float epsilon, float* y, int64_t rows,
                int64_t n) {
  const float count = static_cast<float>(n);
  for (int64_t r = 0; r < rows; ++r, x += n, y += n) {
    const auto add = [&](V so_far, int64_t i, int64_t left)
                         HWY_ATTR { return hn::Add(so_far, load_some(x + i, left)); };
    const V mean = hn::Set(d, sum_over(n, add) / count);
    const float squares = sum_over(n, [&](V so_far, int64_t i, int64_t left) HWY_ATTR {
      V v = hn::Sub(load_some(x + i, left), mean);
      if (left < kLanes) v = hn::IfThenElseZero(hn::FirstN(d, static_cast<size_t>(left)), v);
      return hn::MulAdd(v, v, so_far);
    });
    const V inverse = hn::Set(d, 1.0f / std::sqrt(squares / count + epsilon));
    for (int64_t i = 0; i < n; i += kLanes) {
      V v = hn::Mul(hn::Sub(load_some(x + i, n - i), mean), inverse);
      if (scale != nullptr) v = hn::Mul(v, load_some(scale + i, n - i));
      if (bias != nullptr) v = hn::Add(v, load_some(bias + i, n - i));
      store_some(v, y + i, n - i);
    }
  }
}

void rms_norm(const float* x, const float* scale, float epsilon, float* y, int64_t rows, int64_t n) {
  const float count = static_cast<float>(n);
  for (int64_t r = 0; r < rows; ++r, x += n, y += n) {
    const float squares = sum_over(n, [&](V so_far, int64_t i, int64_t left) HWY_ATTR {
      const V v = load_some(x + i, left);
      return hn::MulAdd(v, v, so_far);
    });
    const V inverse = hn::Set(d, 1.0f / std::sqrt(squares / count + epsilon));
    for (int64_t i = 0; i < n; i += kLanes) {
      V v = hn::Mul(load_some(x + i, n - i), inverse);
      if (scale != nullptr) v = hn::Mul(v, load_some(scale + i, n - i));
      store_some(v, y + i, n - i);
    }
  }
}

// Over consecutive elements only sums that vectors keep in lanes pay; over the middle axis all columns go side by side.
void reduce(Reduce op, const float* x, float* y, int64_t outer, int64_t middle, int64_t inner) {
  const bool sums = op == Reduce::kSum || op == Reduce::kMean || op == Reduce::kSumSquare || op == Reduce::kL2,
             squares = op == Reduce::kSumSquare || op == Reduce::kL2;
  if (op == Reduce::kProd || middle == 0 || (inner == 1 && !sums))
    return plain::set().reduce(op, x, y, outer, middle, inner);
  const V count = hn::Set(d, static_cast<float>(middle));
  const auto finish = [&](V v) HWY_ATTR {
    return op == Reduce::kMean ? hn::Div(v, count) : op == Reduce::kL2 ? hn::Sqrt(v) : v;
  };
  for (int64_t o = 0; o < outer; ++o) {
    const float* from = x + o * middle * inner;
    if (inner == 1) {
      Sums16 total;
      for (int64_t start = 0; start < middle; start += kSumBlock * 16) {
        Sums16 block;
        block.over(std::min(middle - start, kSumBlock * 16), [&](V so_far, int64_t i, int64_t left) HWY_ATTR {
          const V v = load_some(from + start + i, left);
          return squares ? hn::MulAdd(v, v, so_far) : hn::Add(so_far, v);
        });
        for (int p = 0; p < Sums16::kParts; ++p) total.parts[p] = hn::Add(total.parts[p], block.parts[p]);
      }
      y[o] = hn::GetLane(finish(hn::Set(d, total.sum())));
      continue;
    }
    const int64_t block = sums ? kSumBlock : middle;
    for (int64_t i = 0; i < inner; i += kLanes) {
      V total = hn::Zero(d);
      for (int64_t start = 0; start < middle; start += block) {
        V sum = load_some(from + start * inner + i, inner - i);
        if (squares) sum = hn::Mul(sum, sum);
        for (int64_t k = start + 1; k < std::min(middle, start + block); ++k) {
          const V v = load_some(from + k * inner + i, inner - i);
          sum = squares              ? hn::MulAdd(v, v, sum)
                : sums               ? hn::Add(sum, v)
                : op == Reduce::kMax ? combine<Binary::kMax>(sum, v)
                                     : combine<Binary::kMin>(sum, v);
        }
        total = start == 0 ? sum : hn::Add(total, sum);
      }
      store_some(finish(total), y + o * inner + i, inner - i);
    }
  }
}

void pool(const Pool& a) {
  for (int64_t image = 0; image < a.images; ++image)
    for (int64_t p = 0; p < a.out_height; ++p)
      for (int64_t q = 0; q < a.out_width; ++q) {
        const int64_t top = p * a.stride_h - a.pad_top, left = q * a.stride_w - a.pad_left;
        float* y = a.y + ((image * a.out_height + p) * a.out_width + q) * a.channels;
        for (int64_t c = 0; c < a.channels; c += kLanes) {
          V sum = a.average ? hn::Zero(d) : hn::Set(d, -std::numeric_limits<float>::infinity());
          int64_t seen = 0;
          for (int64_t i = 0; i < a.kernel_h; ++i)
            for (int64_t j = 0; j < a.kernel_w; ++j) {
              const int64_t h = top + i * a.dilation_h, w = left + j * a.dilation_w;
              if (h < 0 || h >= a.height || w < 0 || w >= a.width) continue;
              const V v = load_some(a.x + ((image * a.height + h) * a.width + w) * a.channels + c, a.channels - c);
              sum = a.average ? hn::Add(sum, v) : combine<Binary::kMax>(sum, v);
              ++seen;
            }
          if (a.average)
            sum = hn::Div(sum, hn::Set(d, static_cast<float>(a.count_include_pad ? a.kernel_h * a.kernel_w : seen)));
          store_some(sum, y + c, a.channels - c);
        }
      }
}

// kR rows times kV vectors of columns; b is read as it lies.
template <int kR, int kV>
HWY_INLINE void matmul_tile(const MatMul& m, const float* a, const float* b, float* y, int64_t columns) {
  V sums[kR][kV];
  HAYATE_EACH (r, kR)
    HAYATE_EACH (v, kV) sums[r][v] = hn::Zero(d);
  for (int64_t p = 0; p < m.k; ++p) {
    V w[kV];
    HAYATE_EACH (v, kV) w[v] = load_some(b + p * m.b_row + v * kLanes, columns - v * kLanes);
    HAYATE_EACH (r, kR) {
      const V value = hn::Set(d, a[r * m.a_row + p]);
      HAYATE_EACH (v, kV) sums[r][v] = hn::MulAdd(value, w[v], sums[r][v]);
    }
  }
  const V alpha = hn::Set(d, m.alpha);
  float* ys[kR];
  HAYATE_EACH (r, kR) {
    ys[r] = y + r * m.y_row;
    HAYATE_EACH (v, kV) sums[r][v] = hn::Mul(alpha, sums[r][v]);
  }
  if (!store_tile(sums, ys, columns, m.activation))
    for (float* row : ys) plain::unary(m.activation, row, row, std::min<int64_t>(columns, kV * kLanes));
}

template <int kR, int kV>
HWY_INLINE void matmul_tile_of(int64_t rows, const MatMul& m, const float* a, const float* b, float* y,
                               int64_t columns) {
  if (rows == kR) return matmul_tile<kR, kV>(m, a, b, y, columns);
  if constexpr (kR > 1) matmul_tile_of<next_tile(kR), kV>(rows, m, a, b, y, columns);
}

template <int kV>
void matmul_panel(const MatMul& m, const float* a, const float* b, float* y, int64_t columns) {
  for (int64_t row = 0; row < m.m;) {
    const int64_t rows = tile_rows<kRows>(m.m - row);
    matmul_tile_of<kRows, kV>(rows, m, a + row * m.a_row, b, y + row * m.y_row, columns);
    row += rows;
  }
}

void matmul(const MatMul& m) {
  for (int64_t i = 0; i < m.batch; ++i) {
    const float *a = m.a + i * m.a_batch, *b = m.b + i * m.b_batch;
    float* y = m.y + i * m.y_batch;
    for (int64_t column = 0; column < m.n; column += kVectors * kLanes) {
      const int64_t left = m.n - column, vectors = std::min<int64_t>(kVectors, (left + kLanes - 1) / kLanes);
      if (vectors == 1)
        matmul_panel<1>(m, a, b + column, y + column, left);
      else if (vectors == 2)
        matmul_panel<2>(m, a, b + column, y + column, left);
      else if (vectors == 3)
        matmul_panel<3>(m, a, b + column, y + column, left);
      else
        matmul_panel<4>(m, a, b + column, y + column, left);
    }
  }
}

Set set() {
  Set made = plain::set();
  made.isa = kIsa;
  made.dense_packed_size = dense_packed_size;
  made.dense_pack = dense_pack;
  made.dense = dense;
  made.row_kernel = row_kernel;
  made.unary = unary;
  made.binary = binary;
  made.softmax = softmax;
  made.layer_norm = layer_norm;
  made.rms_norm = rms_norm;
  made.reduce = reduce;
  made.pool = pool;
  made.matmul = matmul;
  made.lstm_cell = lstm_cell;
  made.gru_cell = gru_cell;
  made.attention_work_size = attention_work_size;
  made.attention = attention;
  add_narrow(&made);
  return made;
}

#if HWY_TARGET == HWY_AVX3
Set set_with_tiles() {
  Set made = set();
  made.isa = Isa::kAmx;
  add_tiles(&made);
  return made;
}
#endif

}  // namespace HWY_NAMESPACE
}  // namespace hayate::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hayate::kernels {

namespace {

struct Built {
  Isa isa;
  int64_t target;  // Highway's bit, to ask the processor
  Set set;
  bool (*also)() = nullptr;  // what else it needs
};

const std::vector<Built>& built() {
  static const std::vector<Built> kBuilt = {
#if HWY_TARGETS & HWY_AVX3
    {Isa::kAmx, HWY_AVX3, N_AVX3::set_with_tiles(), x86::tiles_supported},
    {Isa::kAvx512, HWY_AVX3, N_AVX3::set()},
#endif
#if HWY_TARGETS & HWY_AVX2
    {Isa::kAvx2, HWY_AVX2, N_AVX2::set()},
#endif
#if HWY_TARGETS & HWY_SSE4
    {Isa::kSse4, HWY_SSE4, N_SSE4::set()},
#endif
#if HWY_TARGETS & HWY_NEON
    {Isa::kNeon, HWY_NEON, N_NEON::set()},
#endif
    {Isa::kPlain, 0, plain::set()}
  };
  return kBuilt;
}

constexpr std::pair<Isa, const char*> kNames[] = {{Isa::kPlain, "plain"},   {Isa::kSse4, "sse4"}, {Isa::kAvx2, "avx2"},
                                                  {Isa::kAvx512, "avx512"}, {Isa::kAmx, "amx"},   {Isa::kNeon, "neon"}};

}  // namespace

const char* isa_name(Isa isa) {
  for (const auto& [known, name] : kNames)
    if (known == isa) return name;
  return "";
}

std::optional<Isa> isa_from_name(std::string_view name) {
  for (const auto& [isa, known] : kNames)
    if (known == name) return isa;
  return std::nullopt;
}

std::vector<Isa> supported_isas() {
  const int64_t runs = hwy::SupportedTargets();
  std::vector<Isa> isas;
  for (const Built& each : built())
    if ((each.target == 0 || (runs & each.target) != 0) && (each.also == nullptr || each.also()))
      isas.push_back(each.isa);
  return isas;
}

const Set& set_for(Isa isa) {
  const auto it = std::find_if(built().begin(), built().end(), [&](const Built& each) { return each.isa == isa; });
  return it == built().end() ? built().back().set : it->set;
}

}  // namespace hayate::kernels
#endif  // HWY_ONCE
