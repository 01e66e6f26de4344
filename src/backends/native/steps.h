// The functions that steps call, and their arguments. Each says which references it takes.
#pragma once

#include <functional>
#include <optional>

#include "backends/native/program.h"
#include "backends/native/view.h"
#include "eval/kernel.h"
#include "kernels/scores.h"
#include "kernels/tree_program.h"
#include "kernels/vector/kernels.h"

namespace hayate::native {

constexpr int kDimsMax = 8;

// The outer dimensions of a loop, whose innermost one or two a kernel takes.
struct Outer {
  int dims = 0;
  int64_t extents[kDimsMax] = {};
  int64_t strides[3][kDimsMax] = {};
};

// `images` calls of one dense, the input x_image, the output y_image and the start start_image floats apart.
// References: x, y, packed, bias, start.
struct DenseArgs {
  const kernels::Set* set = nullptr;
  kernels::Dense dense;
  std::vector<int64_t> segment_offsets;
  int64_t images = 1, x_image = 0, y_image = 0, start_image = 0;
};
bool run_dense(const Step& step, Bases bases);
// Rows `first` to `last - 1` alone, of one image whose rows lie one behind another; nobody helps.
void run_dense_rows(const Step& step, Bases bases, int64_t first, int64_t last);

struct DenseRowArgs {  // x, y, packed, bias
  kernels::RowKernel kernel = nullptr;
  kernels::RowShape shape;
};
bool run_dense_row(const Step& step, Bases bases);

// The same of fewer bits. References: x, y, packed, bias, start.
struct NarrowDenseArgs {
  const kernels::Set* set = nullptr;
  kernels::Narrow narrow = kernels::Narrow::kBf16;
  kernels::NarrowKernel kernel = nullptr;  // for the whole of a layer
  kernels::NarrowDense dense;
  std::vector<int64_t> segment_offsets;
  int64_t images = 1, x_image = 0, y_image = 0, start_image = 0;
  bool narrow_y = false;  // y too is of fewer bits, as dense.y_inverse_scale and y_zero say
};
bool run_narrow_dense(const Step& step, Bases bases);
void run_narrow_dense_rows(const Step& step, Bases bases, int64_t first, int64_t last);  // as run_dense_rows

struct NarrowArgs {  // y, x
  const kernels::Set* set = nullptr;
  kernels::Narrow narrow = kernels::Narrow::kBf16;
  kernels::Narrowing call;
};
bool run_narrow(const Step& step, Bases bases);
void run_narrow_rows(const Step& step, Bases bases, int64_t first, int64_t last, int64_t rows);  // of so many

struct MatMulArgs {  // a, b, y
  const kernels::Set* set = nullptr;
  kernels::MatMul matmul;
  Outer outer;  // of y, a, b
};
bool run_matmul(const Step& step, Bases bases);

struct UnaryArgs {  // y, x
  const kernels::Set* set = nullptr;
  kernels::Activation op;
  int64_t n = 0;
  Outer outer;  // of y, x
};
bool run_unary(const Step& step, Bases bases);

struct BinaryStepArgs {  // y, a, b
  const kernels::Set* set = nullptr;
  kernels::Binary op = kernels::Binary::kAdd;
  kernels::BinaryArgs binary;
  Outer outer;  // of y, a, b
};
bool run_binary(const Step& step, Bases bases);

struct RowsArgs {  // softmax: y, x; layer_norm: y, x, scale, bias; rms_norm: y, x, scale; reduce: y, x
  const kernels::Set* set = nullptr;
  int64_t rows = 0, n = 0, inner = 1;
  bool log = false;
  float epsilon = 0;
  kernels::Reduce reduce = kernels::Reduce::kSum;
};
bool run_softmax(const Step& step, Bases bases);
bool run_layer_norm(const Step& step, Bases bases);
bool run_rms_norm(const Step& step, Bases bases);
bool run_reduce(const Step& step, Bases bases);

struct AttentionArgs {  // y, q, k, v, mask, work
  const kernels::Set* set = nullptr;
  kernels::Attention head;
  int64_t batch = 1, heads = 1, group = 1;  // `group` heads share keys and values
  int64_t pieces = 1, work_size = 0;        // memory to work in, for so many heads at a time
  struct {
    int64_t batch, head;
  } y = {}, q = {}, k = {}, v = {}, mask = {};  // strides
};
bool run_attention(const Step& step, Bases bases);

struct PoolArgs {  // y, x
  const kernels::Set* set = nullptr;
  kernels::Pool pool;
};
bool run_pool(const Step& step, Bases bases);

struct DepthwiseArgs {  // y, x, w, bias
  const kernels::Set* set = nullptr;
  kernels::Depthwise depthwise;
};
bool run_depthwise(const Step& step, Bases bases);

// Elements of `size` bytes; innermost n elements y_step and x_step apart. References: y, x.
struct CopyArgs {
  int64_t size = 4, n = 0, y_step = 1, x_step = 1;
  Outer outer;  // of y, x
};
bool run_copy(const Step& step, Bases bases);

struct FillArgs {  // y: n times a value of `size` bytes, over outer (in elements)
  int64_t size = 4, n = 0;
  std::byte value[8] = {};
  bool zero = false;
  Outer outer;
};
bool run_fill(const Step& step, Bases bases);

constexpr float kStateScale = 127, kStateZero = 128;  // of a state as integers

// One direction of an LSTM or GRU over all steps. References: y (of the first step in file order), packed recurrent
// weights, recurrent bias, projections [T, N, G*H], gates [N, G*H], first h [N, H], first c [N, H], c [N, H], R h [N,
// G*H] of the first step where that is known already.
struct RecurrentArgs {
  const kernels::Set* set = nullptr;
  bool gru = false, reverse = false;
  int64_t steps = 0, rows = 0, hidden = 0;
  int64_t y_step = 0, y_row = 0;
  int64_t x_step = 0, x_row = 0;   // of the projections
  kernels::Activation activation;  // of an RNN
  // Of recurrent weights of fewer bits: h in their form lies behind the gates (of an RNN: in their place). Integers
  // stand for h = (q - kStateZero) / kStateScale, for sigmoid and tanh keep it within -1 to 1.
  std::optional<kernels::Narrow> narrow;
};
bool run_recurrent(const Step& step, Bases bases);
// A GRU whose reset gate comes before the product (linear_before_reset = 0). References: y, packed weights of z and r,
// packed weights of the candidate, projections [T, N, 3*H], work [N, 3*H], first h [N, H].
bool run_gru_reset_first(const Step& step, Bases bases);
// References: y, packed recurrent weights, none, projections [T, N, H], work, first h [N, H].
bool run_rnn(const Step& step, Bases bases);

inline bool is_recurrence(StepFunction run) {
  return run == run_recurrent || run == run_gru_reset_first || run == run_rnn;
}
// Of one of these three, steps `first` to `last - 1` of its walk alone (in reverse the first is the last in time),
// behind those before them.
void run_recurrence_part(const Step& step, Bases bases, int64_t first, int64_t last);

struct TreeArgs {  // out, x, touched: sums in the program's type
  const kernels::TreeProgram* trees = nullptr;
  int64_t rows = 0;
  bool float64_input = false, clear_untouched = false;
};
bool run_trees(const Step& step, Bases bases);

struct ClassifyArgs {  // labels (int64), scores out (float), sums, touched
  kernels::Classifier classifier;
  int64_t rows = 0, n = 0;
  bool float64_sum = false;
};
bool run_classify(const Step& step, Bases bases);

struct ObjectiveArgs {  // y, x
  kernels::Objective objective = kernels::Objective::kIdentity;
  double scale = 1;
  int64_t rows = 0, n = 0;
  bool float64 = true;
};
bool run_objective(const Step& step, Bases bases);

struct LinearBoosterArgs {  // y, x, weights
  int64_t rows = 0, features = 0, outputs = 0;
};
bool run_linear_booster(const Step& step, Bases bases);

struct PostTransformArgs {  // y, in place
  kernels::PostTransform transform = kernels::PostTransform::kNone;
  int64_t rows = 0, n = 0;
};
bool run_post_transform(const Step& step, Bases bases);

// The tail of ai.onnx.ml.LinearClassifier: labels (int64, may be left out), out [rows, width], sums [rows, n].
struct LinearTailArgs {
  kernels::PostTransform transform = kernels::PostTransform::kNone;
  std::vector<int64_t> labels;
  int64_t rows = 0, n = 0, width = 0;
};
bool run_linear_tail(const Step& step, Bases bases);

struct NormalizerArgs {  // y, x; of each row x / its norm
  enum Norm { kMax, kL1, kL2 } norm = kMax;
  int64_t rows = 0, n = 0;
};
bool run_normalizer(const Step& step, Bases bases);

// A reference kernel: outputs first (as many as the node has; left out where unasked), then inputs.
struct PlainArgs {
  Node node;
  int64_t opset = 0;
  std::vector<TensorType> outputs, inputs;
  std::vector<bool> wanted, given;
  std::vector<Ref> refs;
  Kernel kernel = nullptr;
};
bool run_plain(const Step& step, Bases bases);
// The same; a failure with the kernel's own words.
Result<bool> call_plain(const Step& step, Bases bases);

}  // namespace hayate::native
