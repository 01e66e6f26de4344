// Vector kernels for float32, one set per instruction set, chosen at run time. Free functions on primitive arguments:
// nothing here allocates, locks, throws or knows a graph. Pointers need no alignment unless said; buffers do not
// overlap unless said. Each function has its plain twin (plain.cc, the set `Isa::kPlain`), against which it is swept.
//
// Order of sums: a row's bits depend on k, its segments and n alone, never on the number of rows, on tiles or on
// neighbours, nor on which instruction set with a fused multiply-add it is (vector.cc).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace hayate::kernels {

// kAmx is kAvx512 with tiles for the layers of fewer bits.
enum class Isa : uint8_t { kPlain, kSse4, kAvx2, kAvx512, kAmx, kNeon };

const char* isa_name(Isa isa);  // "plain", "sse4", "avx2", "avx512", "amx", "neon"
std::optional<Isa> isa_from_name(std::string_view name);
std::vector<Isa> supported_isas();  // what this processor runs, best first; kPlain last

enum class Unary : uint8_t {
  kNone,
  kRelu,
  kLeakyRelu,
  kSigmoid,
  kTanh,
  kGelu,
  kGeluNear,
  kGeluTanh,
  kSilu,
  kElu,
  kHardSigmoid,
  kHardSwish,
  kSoftplus,
  kClip,
  kNeg,
  kAbs,
  kSqrt,
  kRsqrt,
  kReciprocal,
  kExp,
  kLog,
  kErf,
  kSquare,
  kFloor,
  kCeil
};
// A unary function with its parameters: LeakyRelu and Elu read alpha; HardSigmoid alpha, beta; Clip lowest = alpha,
// highest = beta. NaN stays NaN in all of them.
//
// Errors on every instruction set, in units in the last place of the true value where that is at least 1e-30 in size:
// Exp 1.5, Sigmoid 3, Erf and Silu 4, Tanh 7, Gelu 10; the others are rounded once. Where it is less: within 1e-36.
// GeluNear is Gelu within 3e-7 |x|, in 40 % of its time: for what is rounded to fewer bits behind it.
struct Activation {
  Unary op = Unary::kNone;
  float alpha = 0, beta = 0;
};

enum class Binary : uint8_t { kAdd, kSub, kMul, kDiv, kMin, kMax, kPow };
enum class Reduce : uint8_t { kSum, kMean, kMax, kMin, kProd, kSumSquare, kL2 };
// Sums are sums of blocks of so many elements of a lane: over n of them rounding grows with kSumBlock + n / kSumBlock.
constexpr int64_t kSumBlock = 128;

// Columns are summed in groups of so many: see vector.cc. Parts of a layer that begin at a group's first column are cut
// where any instruction set can.
constexpr int64_t kColumnGroup = 64;

// Steps of k after which the chains of any sum have come round (vector.cc): who adds up a run of x in two segments, the
// first of which is a multiple of so many, has the bits of one.
constexpr int64_t kChainsRound = 8;

// A layer in two calls, the first over the first segments, the second over the rest, each with its own packed weights:
// kBegin stores where the sums of a row are by then, kEnd goes on from there, and y has the bits of one call over all.
// Both are given the bias. What lies between them is one instruction set's own.
enum class Part : uint8_t { kWhole, kBegin, kEnd };
// Floats that kBegin stores for a row of n columns, whatever the instruction set.
constexpr int64_t begun_size(int64_t n) { return (n + 15) / 16 * 32 + 32; }

// y(r, 0..n) = act(start(r) + sum over k of x(r, k) * w(k, 0..n)), for rows r in 0..m.
// Row r = (i, j) with i = r / inner, j = r % inner. x(r, .) is `segments` runs of `segment_length` consecutive floats,
// run s starting at x + i * x_outer + j * x_inner + segment_offsets[s]; k = segments * segment_length. So a dense layer
// has one segment, and a convolution over channels-last images has one per kernel row: no im2col. start(r) is start + r
// * start_stride where start is given, else bias (n floats) where given, else 0.
struct DenseShape {
  int64_t m = 0, n = 0, k = 0;
  int64_t inner = 1, x_outer = 0, x_inner = 0;
  int64_t segments = 1, segment_length = 0;
  const int64_t* segment_offsets = nullptr;  // `segments` of them; null: one segment at 0
  const float* bias = nullptr;
  const float* start = nullptr;
  int64_t start_stride = 0;
  // Not of bfloat16. With kBegin row r's begun_size(n) floats go to y, through no activation, and there is no start;
  // with kEnd they are the start.
  Part part = Part::kWhole;
  float* y = nullptr;  // row (i, j) at y + i * y_outer + j * y_inner
  int64_t y_outer = 0, y_inner = 0;
  Activation activation;
  // Only the answers of these columns, by the same sums: `from` is a multiple of kColumnGroup, and so is `to`, or it is
  // n or more.
  int64_t from = 0, to = INT64_MAX;
  // Panels of columns from the last to the first: who runs the same weights again and again, turning round each time,
  // finds in the first-level cache what it read last. Taken where a panel is small enough for that.
  bool backwards = false;
};
struct Dense : DenseShape {
  const float* x = nullptr;
  const float* packed = nullptr;  // made by the same set's dense_pack
};

// One row of consecutive x, by the same sums: y(0..n) = act(bias + sum over k of x(k) * w(k, 0..n)); bias may be null.
struct RowShape {
  int64_t n = 0, k = 0;
  Activation activation;
  int64_t from = 0, to = INT64_MAX;  // as Dense has them
};
using RowKernel = void (*)(const RowShape& shape, const float* x, const float* packed, const float* bias, float* y);

// The same with weights and inputs of fewer bits, sums and answers still of 32: bfloat16 (rounded to the nearest even;
// products are exact, sums as the processor's bfloat16 unit or a float's multiply-add has them), or 8-bit integers,
// whose sums are exact: y = act(start + scale[n] * sum of (x - x_zero) * w). Strides and offsets count elements of x.
enum class Narrow : uint8_t { kBf16, kInt8 };

struct NarrowDense : DenseShape {
  const void* x = nullptr;       // bfloat16 as uint16_t, or uint8_t; 3 bytes behind the last may be read
  const void* packed = nullptr;  // made by the same set's pack; 64-byte aligned
  // Where set, y is not written: each answer goes, narrowed as x is, to the same place counted in elements from here.
  void* narrow_y = nullptr;
  float y_inverse_scale = 1, y_zero = 0;  // as Narrowing has them
};

// w(k, n) = w[k * k_stride + n * n_stride], k = segment * segment_length + place in it: float for kBf16, int8_t for
// kInt8, with a scale for each n and the input's zero point.
struct NarrowWeights {
  int64_t segments = 1, segment_length = 0, n = 0, k_stride = 0, n_stride = 0;
  const void* w = nullptr;
  const float* scale = nullptr;
  int32_t x_zero = 0;
};

// y = x rounded to bfloat16; or round(x * inverse_scale) + zero within 0 to 255, NaN as 0.
struct Narrowing {
  int64_t n = 0;
  const float* x = nullptr;
  void* y = nullptr;
  float inverse_scale = 1, zero = 0;
};

using NarrowKernel = void (*)(const NarrowDense& args);
struct LstmCell;
struct GruCell;

// One of several ways to run such a layer, over the same packed weights and with the same bits.
struct NarrowWay {
  const char* name;
  NarrowKernel dense;
  double (*cost)(const DenseShape& shape);  // cycles, about
};

struct NarrowSet {
  int64_t (*packed_bytes)(const NarrowWeights& weights);  // a multiple of 4
  void (*pack)(const NarrowWeights& weights, void* packed);
  NarrowKernel dense;
  void (*narrow)(const Narrowing& args);
  std::span<const NarrowWay> ways = {};                         // where there are several: `dense` takes the cheapest
  NarrowKernel (*cheapest)(const DenseShape& shape) = nullptr;  // of them; asks for m, n and the segments alone
  // The cells of Set for layers whose h goes on with fewer bits, in two thirds of their time. An LSTM's c and h are
  // within 3e-5 (1 + |c before|), a GRU's h within 3e-5 (1 + |h before| + |R h of h~|), absolutely: what a gate that is
  // all but shut lets through may be several times as much. A c past 1e33 may become infinite. h goes to narrow.y too,
  // narrowed as that says, rows `hidden` elements apart; null: nowhere. narrow.n and narrow.x are not read.
  void (*lstm_cell)(const LstmCell& args, const Narrowing& narrow) = nullptr;
  void (*gru_cell)(const GruCell& args, const Narrowing& narrow) = nullptr;

  // Gives what `dense` gives, for who runs layers of one shape again and again: nothing is asked at a call.
  NarrowKernel kernel_for(const DenseShape& shape) const { return cheapest == nullptr ? dense : cheapest(shape); }
};

// y[b] = act(alpha * a[b] * b[b]) for `batch` matrices: a [m, k] rows a_row apart, b [k, n] rows b_row apart (columns
// consecutive), y [m, n] rows y_row apart; the matrices a_batch, b_batch, y_batch apart (0: shared).
struct MatMul {
  int64_t batch = 1, m = 0, n = 0, k = 0;
  const float *a = nullptr, *b = nullptr;
  float* y = nullptr;
  int64_t a_row = 0, b_row = 0, y_row = 0, a_batch = 0, b_batch = 0, y_batch = 0;
  float alpha = 1;
  Activation activation;
};

// y(r, i) = act(a(r, i) op b(r, i)) over rows x n; a(r, i) = a[r * a_row + i * a_step], a_step 0 or 1; b alike; y rows
// y_row apart.
struct BinaryArgs {
  int64_t rows = 1, n = 0;
  const float *a = nullptr, *b = nullptr;
  float* y = nullptr;  // may be a or b
  int64_t a_row = 0, b_row = 0, y_row = 0;
  int64_t a_step = 1, b_step = 1;
  Activation activation;
};

// Max or average over windows of a channels-last image [images, height, width, channels], rows of y likewise.
struct Pool {
  int64_t images = 0, height = 0, width = 0, channels = 0, out_height = 0, out_width = 0;
  int64_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, pad_top = 0, pad_left = 0, dilation_h = 1,
          dilation_w = 1;
  bool average = false;            // else max
  bool count_include_pad = false;  // average only
  const float* x = nullptr;
  float* y = nullptr;
};

// Depthwise convolution, channels last, x already padded: y(i, p, q, c) = act(bias[c] + sum x(i, p*sh + a*dh, q*sw +
// b*dw, c) * w[a][b][c]).
struct Depthwise {
  int64_t images = 0, height = 0, width = 0, channels = 0, out_height = 0, out_width = 0;
  int64_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  const float *x = nullptr, *w = nullptr, *bias = nullptr;  // w [kernel_h, kernel_w, channels]
  float* y = nullptr;
  Activation activation;
};

// One step of an LSTM for m rows: x and r [m, 4 * hidden] hold the sums from the input (with the biases) and from the
// previous h (null: none) of i, o, f, c (ONNX's order); c = sigmoid(f) * c + sigmoid(i) * tanh(c~); h = sigmoid(o) *
// tanh(c). c [m, hidden] is read and written; past 1e38, where no step leads, it may become infinite.
struct LstmCell {
  int64_t m = 0, hidden = 0;
  const float *x = nullptr, *r = nullptr;
  int64_t x_row = 0, r_row = 0;
  float* c = nullptr;
  int64_t c_row = 0;
  float* h = nullptr;  // may not be read by anyone else meanwhile
  int64_t h_row = 0;
};

// One step of a GRU for m rows. x [m, 3 * hidden]: sums from the input of z, r, h~ with both biases of z and r and the
// input bias of h~. r [m, 3 * hidden]: sums from the previous h of z, r, h~ (h~ with its recurrent bias:
// linear_before_reset = 1). h' = (1 - z) * tanh(x_h + r * r_h) + z * h.
struct GruCell {
  int64_t m = 0, hidden = 0;
  const float *x = nullptr, *r = nullptr;
  int64_t x_row = 0, r_row = 0;
  const float* h_before = nullptr;
  int64_t h_before_row = 0;
  float* h = nullptr;  // may be h_before
  int64_t h_row = 0;
};

// Attention of one head: y(i) = sum over s of softmax_s(scale * q(i) . k(s) + mask(i, s)) * v(s), for m queries q [m,
// e] and keys k [s, e], values v [s, f]; rows q_row, k_row, v_row, y_row apart, each consecutive.
struct Attention {
  int64_t m = 0, s = 0, e = 0, f = 0;
  const float *q = nullptr, *k = nullptr, *v = nullptr;
  float* y = nullptr;
  int64_t q_row = 0, k_row = 0, v_row = 0, y_row = 0;
  float scale = 1;
  const float* mask = nullptr;           // null: none; mask(i, s) at mask + i * mask_query + s * mask_key
  int64_t mask_query = 0, mask_key = 0;  // mask_query is 0 or 1
  bool causal = false;                   // query i sees the keys up to i
  bool blind_is_zero = false;            // a query that sees no key gives 0, else NaN
  float* work = nullptr;                 // attention_work_size(e, s) floats
};

// The functions of one instruction set.
struct Set {
  Isa isa;
  // Floats that the packed form of w [k, n] takes.
  int64_t (*dense_packed_size)(int64_t k, int64_t n);
  // Packs w(k, n) = w[k * k_stride + n * n_stride] into 64-byte aligned `packed`.
  void (*dense_pack)(const float* w, int64_t k, int64_t n, int64_t k_stride, int64_t n_stride, float* packed);
  void (*dense)(const Dense& args);
  RowKernel (*row_kernel)(int64_t n);  // gives what dense gives, for rows of n columns
  void (*matmul)(const MatMul& args);
  void (*unary)(Activation op, const float* x, float* y, int64_t n);  // x may be y
  void (*binary)(Binary op, const BinaryArgs& args);
  void (*softmax)(const float* x, float* y, int64_t rows, int64_t n, bool log);  // over consecutive n; x may be y
  // y = (x - mean) / sqrt(variance + epsilon) * scale + bias over consecutive n; scale, bias [n] or null; x may be y.
  void (*layer_norm)(const float* x, const float* scale, const float* bias, float epsilon, float* y, int64_t rows,
                     int64_t n);
  // y = x / sqrt(mean of squares + epsilon) * scale over consecutive n; scale [n] or null; x may be y.
  void (*rms_norm)(const float* x, const float* scale, float epsilon, float* y, int64_t rows, int64_t n);
  // y [outer, inner] from x [outer, middle, inner]. With inner past 1 up to kSumBlock elements are added in order
  // (plain: in double precision).
  void (*reduce)(Reduce op, const float* x, float* y, int64_t outer, int64_t middle, int64_t inner);
  void (*pool)(const Pool& args);
  void (*depthwise)(const Depthwise& args);
  void (*lstm_cell)(const LstmCell& args);
  void (*gru_cell)(const GruCell& args);
  int64_t (*attention_work_size)(int64_t e, int64_t s);  // floats
  void (*attention)(const Attention& args);
  NarrowSet bf16, int8;
  // Where set: gives back what layers of fewer bits left set in the processor. For who called them, on the same thread,
  // once it is through with them.
  void (*release)() = nullptr;

  const NarrowSet& of(Narrow narrow) const { return narrow == Narrow::kBf16 ? bf16 : int8; }
};

// Requires: isa is among supported_isas().
const Set& set_for(Isa isa);

}  // namespace hayate::kernels
