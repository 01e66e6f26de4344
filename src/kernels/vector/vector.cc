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

HWY_BEFORE_NAMESPACE();
namespace hayate::kernels {
namespace HWY_NAMESPACE {

void attention(const Attention& args);  // attention.cc
int64_t attention_work_size(int64_t e, int64_t s);
void add_narrow(Set* made);  // narrow.cc

void unary(Activation op, const float* x, float* y, int64_t n) {
  if (!is_vector(op.op)) return plain::set().unary(op, x, y, n);
  for (int64_t i = 0; i < n; i += kLanes) store_some(apply(op, load_some(x + i, n - i)), y + i, n - i);
}

// The last columns of a layer, where no more than half a vector of them are left over, take lanes for 4 or 8 columns
// instead of a whole vector: none where a vector is no wider than that.
int64_t edge_columns(int64_t n) {
  const int64_t left = n % kLanes;
  return kLanes >= 8 && left <= kLanes / 2 ? left : 0;
}
int64_t edge_width(int64_t n) { return edge_columns(n) == 0 ? 0 : edge_columns(n) <= 4 ? 4 : 8; }

// Panels of up to kVectors vectors of columns, each panel k rows long, the last padded with zeros; then the edge's.
int64_t dense_packed_size(int64_t k, int64_t n) {
  return k * ((n - edge_columns(n) + kLanes - 1) / kLanes * kLanes + edge_width(n));
}

void dense_pack(const float* w, int64_t k, int64_t n, int64_t k_stride, int64_t n_stride, float* packed) {
  const auto pack = [&](int64_t column, int64_t width) {
    for (int64_t i = 0; i < k; ++i)
      for (int64_t j = 0; j < width; ++j) *packed++ = column + j < n ? w[i * k_stride + (column + j) * n_stride] : 0.0f;
  };
  const int64_t edge = n - edge_columns(n);
  for (int64_t column = 0; column < edge; column += kVectors * kLanes)
    pack(column, std::min<int64_t>(kVectors, (edge - column + kLanes - 1) / kLanes) * kLanes);
  if (edge < n) pack(edge, edge_width(n));
}

// A row's (i, j), counted along: divisions would cost more than a short row.
struct Place {
  int64_t outer = 0, inner = 0;
};

// kR rows of one panel. Narrow panels keep kC chains of sums, so that a fused multiply-add's latency of four cycles is
// covered by independent ones even for a single row; the number of chains follows from the panel's width alone.
template <int kR, int kV, int kC>
HWY_INLINE void dense_tile(const Dense& a, const float* panel, int64_t row, Place* place, int64_t column) {
  const int64_t count = a.n - column;
  const float* x[kR];
  float* ys[kR];
  V chains[kC][kR][kV];
  for (int r = 0; r < kR; ++r) {
    x[r] = a.x + place->outer * a.x_outer + place->inner * a.x_inner;
    ys[r] = a.y + place->outer * a.y_outer + place->inner * a.y_inner + column;
    if (++place->inner == a.inner) place->inner = 0, ++place->outer;
    for (int v = 0; v < kV; ++v)
      for (int c = 1; c < kC; ++c) chains[c][r][v] = hn::Zero(d);
  }
  load_starts(chains[0], a.start == nullptr ? nullptr : a.start + row * a.start_stride + column, a.start_stride,
              a.bias == nullptr ? nullptr : a.bias + column, count);
  const auto step = [&](int c, int64_t at) HWY_ATTR {
    V w[kV];
    for (int v = 0; v < kV; ++v) w[v] = hn::LoadU(d, panel + v * kLanes);
    panel += kV * kLanes;
    for (int r = 0; r < kR; ++r) {
      const V value = hn::Set(d, x[r][at]);
      for (int v = 0; v < kV; ++v) chains[c][r][v] = hn::MulAdd(value, w[v], chains[c][r][v]);
    }
  };
  for (int64_t s = 0; s < a.segments; ++s) {
    const int64_t offset = a.segment_offsets == nullptr ? 0 : a.segment_offsets[s];
    int64_t i = 0;
    for (; i + kC <= a.segment_length; i += kC)
      for (int c = 0; c < kC; ++c) step(c, offset + i + c);
    for (; i < a.segment_length; ++i) step(0, offset + i);
  }
  for (int r = 0; r < kR; ++r)
    for (int v = 0; v < kV; ++v) {
      V& sum = chains[0][r][v];
      if constexpr (kC == 2) sum = hn::Add(sum, chains[1][r][v]);
      if constexpr (kC == 4) sum = hn::Add(hn::Add(sum, chains[1][r][v]), hn::Add(chains[2][r][v], chains[3][r][v]));
    }
  if (!store_tile(chains[0], ys, count, a.activation))
    for (float* y : ys) plain::unary(a.activation, y, y, std::min<int64_t>(count, kV * kLanes));
}

// A tile of `rows` of at most kR rows.
template <int kR, int kV, int kC>
HWY_INLINE void dense_tile_of(int64_t rows, const Dense& a, const float* panel, int64_t row, Place* place,
                              int64_t column) {
  if (rows == kR) return dense_tile<kR, kV, kC>(a, panel, row, place, column);
  if constexpr (kR > 1) dense_tile_of<next_tile(kR), kV, kC>(rows, a, panel, row, place, column);
}

template <int kV, int kC>
void dense_panel(const Dense& a, const float* panel, int64_t column) {
  Place place;
  for (int64_t row = 0; row < a.m;) {
    const int64_t rows = tile_rows<kRows>(a.m - row);
    dense_tile_of<kRows, kV, kC>(rows, a, panel, row, &place, column);
    row += rows;
  }
}

#if HWY_TARGET != HWY_SCALAR
// Four steps of k at once for kR rows of an edge of kW columns: a group of kW lanes has a k of its own, x is spread
// over them, and the groups are added at the end.
template <int kR, int kW>
HWY_INLINE void edge_tile(const Dense& a, const float* panel, int64_t row, Place* place, int64_t column) {
  constexpr int kGroups = kLanes / kW, kSums = 4 / kGroups;
  const float* x[kR];
  float* ys[kR];
  V sums[kR][kSums];
  for (int r = 0; r < kR; ++r) {
    x[r] = a.x + place->outer * a.x_outer + place->inner * a.x_inner;
    ys[r] = a.y + place->outer * a.y_outer + place->inner * a.y_inner + column;
    if (++place->inner == a.inner) place->inner = 0, ++place->outer;
    for (V& sum : sums[r]) sum = hn::Zero(d);
  }
  HWY_ALIGN int32_t spread[kSums][kLanes];
  for (int j = 0; j < kSums; ++j)
    for (int i = 0; i < kLanes; ++i) spread[j][i] = j * kGroups + i / kW;
  const auto step = [&](const auto& x_at, const auto& w_at) HWY_ATTR {
    for (int j = 0; j < kSums; ++j) {
      const V w = w_at(j);
      for (int r = 0; r < kR; ++r)
        sums[r][j] = hn::MulAdd(hn::TableLookupLanes(hn::LoadDup128(d, x_at(r)), hn::SetTableIndices(d, spread[j])), w,
                                sums[r][j]);
    }
  };
  for (int64_t s = 0; s < a.segments; ++s) {
    const int64_t offset = a.segment_offsets == nullptr ? 0 : a.segment_offsets[s];
    int64_t i = 0;
    for (; i + 4 <= a.segment_length; i += 4, panel += 4 * kW)
      step([&](int r) { return x[r] + offset + i; }, [&](int j) HWY_ATTR { return hn::LoadU(d, panel + j * kLanes); });
    const int64_t left = a.segment_length - i;
    if (left == 0) continue;
    HWY_ALIGN float last[kR][4] = {};  // what is behind the segment's end counts as 0, and so do its weights
    for (int r = 0; r < kR; ++r) std::memcpy(last[r], x[r] + offset + i, static_cast<size_t>(left) * sizeof(float));
    step([&](int r) { return last[r]; },
         [&](int j) HWY_ATTR { return load_some(panel + j * kLanes, left * kW - j * kLanes); });
    panel += left * kW;
  }
  V totals[kR][1];
  load_starts(totals, a.start == nullptr ? nullptr : a.start + row * a.start_stride + column, a.start_stride,
              a.bias == nullptr ? nullptr : a.bias + column, a.n - column);
  for (int r = 0; r < kR; ++r) {
    V sum = sums[r][0];
    if constexpr (kSums == 2) sum = hn::Add(sum, sums[r][1]);
    if constexpr (kGroups == 4) sum = hn::Add(sum, hn::ConcatUpperUpper(d, sum, sum));
    if constexpr (kGroups == 4)
      sum = hn::Add(sum, hn::SwapAdjacentBlocks(sum));
    else
      sum = hn::Add(sum, hn::ConcatUpperUpper(d, sum, sum));
    totals[r][0] = hn::Add(totals[r][0], sum);
  }
  if (!store_tile(totals, ys, a.n - column, a.activation))
    for (float* y : ys) plain::unary(a.activation, y, y, a.n - column);
}

template <int kR, int kW>
HWY_INLINE void edge_tile_of(int64_t rows, const Dense& a, const float* panel, int64_t row, Place* place,
                             int64_t column) {
  if (rows == kR) return edge_tile<kR, kW>(a, panel, row, place, column);
  if constexpr (kR > 1) edge_tile_of<next_tile(kR), kW>(rows, a, panel, row, place, column);
}

template <int kW>
void edge_panel(const Dense& a, const float* panel, int64_t column) {
  Place place;
  for (int64_t row = 0; row < a.m;) {
    const int64_t rows = tile_rows<kRows>(a.m - row);
    edge_tile_of<kRows, kW>(rows, a, panel, row, &place, column);
    row += rows;
  }
}
#endif

void dense_edge(const Dense& a, int64_t column) {
#if HWY_TARGET != HWY_SCALAR
  if constexpr (kLanes >= 8) {
    const int64_t width = edge_width(a.n);
    if (width == 4) return edge_panel<4>(a, a.packed + a.k * column, column);
    if constexpr (kLanes >= 16)
      if (width == 8) return edge_panel<8>(a, a.packed + a.k * column, column);
  }
#endif
  (void)a, (void)column;
}

void dense(const Dense& a) {
  constexpr int64_t kWidth = kVectors * kLanes;
  const int64_t edge = a.n - edge_columns(a.n), panels = (edge + kWidth - 1) / kWidth;
  if (a.backwards && edge < a.n) dense_edge(a, edge);
  for (int64_t i = 0; i < panels; ++i) {
    const int64_t column = (a.backwards ? panels - 1 - i : i) * kWidth;
    const float* panel = a.packed + a.k * column;  // all panels but the last are whole
    const int64_t vectors = std::min<int64_t>(kVectors, (edge - column + kLanes - 1) / kLanes);
    if (vectors == 1)
      dense_panel<1, 4>(a, panel, column);
    else if (vectors == 2)
      dense_panel<2, 2>(a, panel, column);
    else if (vectors == 3)
      dense_panel<3, 1>(a, panel, column);
    else
      dense_panel<4, 1>(a, panel, column);
  }
  if (!a.backwards && edge < a.n) dense_edge(a, edge);
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
      const V c = hn::MulAdd(sigmoid(gate(2)), load_some(cell, count), hn::Mul(sigmoid(gate(0)), tanh_of(gate(3))));
      store_some(c, cell, count);
      store_some(hn::Mul(sigmoid(gate(1)), tanh_of(c)), a.h + r * a.h_row + k, count);
    }
}

void gru_cell(const GruCell& a) {
  for (int64_t row = 0; row < a.m; ++row)
    for (int64_t k = 0; k < a.hidden; k += kLanes) {
      const int64_t count = a.hidden - k;
      const auto x = [&](int64_t g) HWY_ATTR { return load_some(a.x + row * a.x_row + g * a.hidden + k, count); };
      const auto h = [&](int64_t g) HWY_ATTR { return load_some(a.r + row * a.r_row + g * a.hidden + k, count); };
      const V z = sigmoid(hn::Add(x(0), h(0))), r = sigmoid(hn::Add(x(1), h(1))),
              candidate = tanh_of(hn::MulAdd(r, h(2), x(2)));
      const V before = load_some(a.h_before + row * a.h_before_row + k, count);
      store_some(hn::MulAdd(z, before, hn::Mul(hn::Sub(hn::Set(d, 1.0f), z), candidate)), a.h + row * a.h_row + k,
                 count);
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

void softmax(const float* x, float* y, int64_t rows, int64_t n, bool log) {
  if (log) return plain::set().softmax(x, y, rows, n, log);
  if (n <= kLanes) {  // a few classes: one vector is the whole row
    const auto mask = hn::FirstN(d, static_cast<size_t>(n));
    for (int64_t r = 0; r < rows; ++r, x += n, y += n) {
      const V v = load_some(x, n), highest = hn::MaxOfLanes(d, hn::IfThenElse(mask, v, hn::Set(d, *x)));
      const V e = hn::IfThenElseZero(mask, exp_below(hn::Sub(v, highest)));
      store_some(hn::Mul(e, hn::Div(hn::Set(d, 1.0f), hn::SumOfLanes(d, e))), y, n);
    }
    return;
  }
  for (int64_t r = 0; r < rows; ++r, x += n, y += n) {
    V highest = hn::Set(d, *x);
    for (int64_t i = 0; i < n; i += kLanes) {
      const V v = load_some(x + i, n - i);
      highest =
          hn::Max(highest, n - i >= kLanes ? v : hn::IfThenElse(hn::FirstN(d, static_cast<size_t>(n - i)), v, highest));
    }
    highest = hn::MaxOfLanes(d, highest);
    V sum = hn::Zero(d);
    for (int64_t i = 0; i < n; i += kLanes) {
      V e = exp_below(hn::Sub(load_some(x + i, n - i), highest));
      if (n - i < kLanes) e = hn::IfThenElseZero(hn::FirstN(d, static_cast<size_t>(n - i)), e);
      sum = hn::Add(sum, e);
      store_some(e, y + i, n - i);
    }
    const V inverse = hn::Div(hn::Set(d, 1.0f), hn::SumOfLanes(d, sum));
    for (int64_t i = 0; i < n; i += kLanes) store_some(hn::Mul(load_some(y + i, n - i), inverse), y + i, n - i);
  }
}

void layer_norm(const float* x, const float* scale, const float* bias, float epsilon, float* y, int64_t rows,
                int64_t n) {
  const float count = static_cast<float>(n);
  for (int64_t r = 0; r < rows; ++r, x += n, y += n) {
    V sum = hn::Zero(d), squares = hn::Zero(d);
    for (int64_t i = 0; i < n; i += kLanes) sum = hn::Add(sum, load_some(x + i, n - i));
    const V mean = hn::Set(d, hn::GetLane(hn::SumOfLanes(d, sum)) / count);
    for (int64_t i = 0; i < n; i += kLanes) {
      V v = hn::Sub(load_some(x + i, n - i), mean);
      if (n - i < kLanes) v = hn::IfThenElseZero(hn::FirstN(d, static_cast<size_t>(n - i)), v);
      squares = hn::MulAdd(v, v, squares);
    }
    const V inverse = hn::Set(d, 1.0f / std::sqrt(hn::GetLane(hn::SumOfLanes(d, squares)) / count + epsilon));
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
    V squares = hn::Zero(d);
    for (int64_t i = 0; i < n; i += kLanes) {
      const V v = load_some(x + i, n - i);
      squares = hn::MulAdd(v, v, squares);
    }
    const V inverse = hn::Set(d, 1.0f / std::sqrt(hn::GetLane(hn::SumOfLanes(d, squares)) / count + epsilon));
    for (int64_t i = 0; i < n; i += kLanes) {
      V v = hn::Mul(load_some(x + i, n - i), inverse);
      if (scale != nullptr) v = hn::Mul(v, load_some(scale + i, n - i));
      store_some(v, y + i, n - i);
    }
  }
}

// Sums are sums of blocks of so many vectors: over n of them rounding grows with kSumBlock + n / kSumBlock, not with n.
constexpr int64_t kSumBlock = 128;

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
      V total = hn::Zero(d);
      for (int64_t start = 0; start < middle; start += kSumBlock * kLanes) {
        V sum = hn::Zero(d);
        for (int64_t i = start; i < std::min(middle, start + kSumBlock * kLanes); i += kLanes) {
          const V v = load_some(from + i, middle - i);
          sum = squares ? hn::MulAdd(v, v, sum) : hn::Add(sum, v);
        }
        total = hn::Add(total, sum);
      }
      y[o] = hn::GetLane(finish(hn::SumOfLanes(d, total)));
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
  for (int r = 0; r < kR; ++r)
    for (int v = 0; v < kV; ++v) sums[r][v] = hn::Zero(d);
  for (int64_t p = 0; p < m.k; ++p) {
    V w[kV];
    for (int v = 0; v < kV; ++v) w[v] = load_some(b + p * m.b_row + v * kLanes, columns - v * kLanes);
    for (int r = 0; r < kR; ++r) {
      const V value = hn::Set(d, a[r * m.a_row + p]);
      for (int v = 0; v < kV; ++v) sums[r][v] = hn::MulAdd(value, w[v], sums[r][v]);
    }
  }
  const V alpha = hn::Set(d, m.alpha);
  float* ys[kR];
  for (int r = 0; r < kR; ++r) {
    ys[r] = y + r * m.y_row;
    for (int v = 0; v < kV; ++v) sums[r][v] = hn::Mul(alpha, sums[r][v]);
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
};

const std::vector<Built>& built() {
  static const std::vector<Built> kBuilt = {
#if HWY_TARGETS & HWY_AVX3
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

constexpr std::pair<Isa, const char*> kNames[] = {
    {Isa::kPlain, "plain"}, {Isa::kSse4, "sse4"}, {Isa::kAvx2, "avx2"}, {Isa::kAvx512, "avx512"}, {Isa::kNeon, "neon"}};

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
    if (each.target == 0 || (runs & each.target) != 0) isas.push_back(each.isa);
  return isas;
}

const Set& set_for(Isa isa) {
  const auto it = std::find_if(built().begin(), built().end(), [&](const Built& each) { return each.isa == isa; });
  return it == built().end() ? built().back().set : it->set;
}

}  // namespace hayate::kernels
#endif  // HWY_ONCE
