#include "backends/native/steps.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "backends/native/sharing.h"

namespace hayate::native {
namespace {

// Calls f(offset of the first view, second, third) for every index of the outer dimensions.
template <typename F>
void each(const Outer& outer, F&& f) {
  if (outer.dims == 0) return f(int64_t{0}, int64_t{0}, int64_t{0});
  if (std::find(outer.extents, outer.extents + outer.dims, 0) != outer.extents + outer.dims) return;
  int64_t index[kDimsMax] = {}, at[3] = {};
  for (;;) {
    f(at[0], at[1], at[2]);
    int axis = outer.dims - 1;
    for (; axis >= 0; --axis) {
      for (int v = 0; v < 3; ++v) at[v] += outer.strides[v][axis];
      if (++index[axis] < outer.extents[axis]) break;
      for (int v = 0; v < 3; ++v) at[v] -= outer.strides[v][axis] * outer.extents[axis];
      index[axis] = 0;
    }
    if (axis < 0) return;
  }
}

kernels::Dense dense_of(const Step& step, Bases bases) {
  const auto& args = step.as<DenseArgs>();
  kernels::Dense dense = args.dense;
  dense.x = step.at<const float>(bases, 0);
  dense.y = step.at<float>(bases, 1);
  dense.packed = step.at<const float>(bases, 2);
  dense.bias = step.at<const float>(bases, 3);
  dense.start = step.at<const float>(bases, 4);
  if (!args.segment_offsets.empty()) dense.segment_offsets = args.segment_offsets.data();
  return dense;
}

// Rows of a layer whose rows lie one behind another.
template <class Layer>
Layer rows_of(const Layer& whole, int64_t first, int64_t last, int64_t x_size) {
  Layer part = whole;
  const bool by_inner = whole.inner == whole.m;
  move(&part, first * (by_inner ? whole.x_inner : whole.x_outer), first * (by_inner ? whole.y_inner : whole.y_outer),
       x_size);
  part.m = last - first;
  if (by_inner) part.inner = part.m;
  return part;
}

}  // namespace

void run_dense_rows(const Step& step, Bases bases, int64_t first, int64_t last) {
  step.as<DenseArgs>().set->dense(rows_of(dense_of(step, bases), first, last, sizeof(float)));
}

bool run_dense(const Step& step, Bases bases) {
  const auto& args = step.as<DenseArgs>();
  const kernels::Dense dense = dense_of(step, bases);
  if (args.images == 1) {
    share_layer(bases, dense, sizeof(float), args.set->dense);
    return true;
  }
  share(bases, args.images, 1, args.images * dense.m * dense.n * dense.k, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      kernels::Dense image = dense;
      image.x += i * args.x_image, image.y += i * args.y_image;
      if (image.start != nullptr) image.start += i * args.start_image;
      args.set->dense(image);
    }
  });
  return true;
}

bool run_dense_row(const Step& step, Bases bases) {
  const auto& args = step.as<DenseRowArgs>();
  const kernels::RowShape& shape = args.shape;
  const auto part = [&](const kernels::RowShape& columns) {
    args.kernel(columns, step.at<const float>(bases, 0), step.at<const float>(bases, 2), step.at<const float>(bases, 3),
                step.at<float>(bases, 1));
  };
  if (bases.team == nullptr) {
    part(shape);
    return true;
  }
  share(bases, shape.n, kernels::kColumnGroup, shape.n * shape.k, [&](int64_t first, int64_t last) {
    part({shape.n, shape.k, shape.activation, first, last});
  });
  return true;
}

namespace {

// A layer of fewer bits, or a piece of one, which may go another way than the whole. Where there are helpers each
// leaves its processor as it was; the caller does so behind the last step.
void run_piece(const kernels::Set& set, kernels::Narrow narrow, kernels::NarrowKernel of_whole,
               const kernels::NarrowDense& piece, Bases bases) {
  if (bases.team == nullptr) return of_whole(piece);
  set.of(narrow).dense(piece);
  if (set.release != nullptr) set.release();
}

int64_t size_of(kernels::Narrow narrow) { return narrow == kernels::Narrow::kInt8 ? 1 : 2; }

kernels::NarrowDense narrow_dense_of(const Step& step, Bases bases) {
  const auto& args = step.as<NarrowDenseArgs>();
  kernels::NarrowDense dense = args.dense;
  dense.x = step.at<const std::byte>(bases, 0);
  dense.y = step.at<float>(bases, 1);
  dense.packed = step.at<const float>(bases, 2);
  dense.bias = step.at<const float>(bases, 3);
  dense.start = step.at<const float>(bases, 4);
  if (!args.segment_offsets.empty()) dense.segment_offsets = args.segment_offsets.data();
  return dense;
}

}  // namespace

void run_narrow_dense_rows(const Step& step, Bases bases, int64_t first, int64_t last) {
  const auto& args = step.as<NarrowDenseArgs>();
  const kernels::NarrowDense rows = rows_of(narrow_dense_of(step, bases), first, last, size_of(args.narrow));
  args.set->of(args.narrow).dense(rows);
}

bool run_narrow_dense(const Step& step, Bases bases) {
  const auto& args = step.as<NarrowDenseArgs>();
  const kernels::NarrowDense dense = narrow_dense_of(step, bases);
  const auto* x = step.at<const std::byte>(bases, 0);
  auto* y = step.at<std::byte>(bases, 1);
  const int64_t size = size_of(args.narrow);
  const auto image = [&](int64_t i) {
    kernels::NarrowDense one = dense;
    one.x = x + i * args.x_image * size;
    if (one.start != nullptr) one.start += i * args.start_image;
    if (args.narrow_y)
      one.narrow_y = y + i * args.y_image * size;
    else
      one.y = reinterpret_cast<float*>(y) + i * args.y_image;
    return one;
  };
  if (args.images == 1) {
    share_layer(bases, image(0), size, [&](const kernels::NarrowDense& piece) {
      run_piece(*args.set, args.narrow, args.kernel, piece, bases);
    });
    return true;
  }
  share(bases, args.images, 1, args.images * dense.m * dense.n * dense.k * size / 4, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) run_piece(*args.set, args.narrow, args.kernel, image(i), bases);
  });
  return true;
}

bool run_narrow(const Step& step, Bases bases) {
  const auto& args = step.as<NarrowArgs>();
  kernels::Narrowing call = args.call;
  call.y = step.at<std::byte>(bases, 0);
  call.x = step.at<const float>(bases, 1);
  args.set->of(args.narrow).narrow(call);
  return true;
}

void run_narrow_rows(const Step& step, Bases bases, int64_t first, int64_t last, int64_t rows) {
  const auto& args = step.as<NarrowArgs>();
  kernels::Narrowing call = args.call;
  const int64_t row = call.n / rows;
  call.n = (last - first) * row;
  call.y = step.at<std::byte>(bases, 0) + first * row * size_of(args.narrow);
  call.x = step.at<const float>(bases, 1) + first * row;
  args.set->of(args.narrow).narrow(call);
}

bool run_matmul(const Step& step, Bases bases) {
  const auto& args = step.as<MatMulArgs>();
  float* y = step.at<float>(bases, 2);
  const float *a = step.at<const float>(bases, 0), *b = step.at<const float>(bases, 1);
  each(args.outer, [&](int64_t y_at, int64_t a_at, int64_t b_at) {
    kernels::MatMul matmul = args.matmul;
    matmul.a = a + a_at, matmul.b = b + b_at, matmul.y = y + y_at;
    args.set->matmul(matmul);
  });
  return true;
}

bool run_unary(const Step& step, Bases bases) {
  const auto& args = step.as<UnaryArgs>();
  float* y = step.at<float>(bases, 0);
  const float* x = step.at<const float>(bases, 1);
  each(args.outer, [&](int64_t y_at, int64_t x_at, int64_t) { args.set->unary(args.op, x + x_at, y + y_at, args.n); });
  return true;
}

bool run_binary(const Step& step, Bases bases) {
  const auto& args = step.as<BinaryStepArgs>();
  float* y = step.at<float>(bases, 0);
  const float *a = step.at<const float>(bases, 1), *b = step.at<const float>(bases, 2);
  each(args.outer, [&](int64_t y_at, int64_t a_at, int64_t b_at) {
    kernels::BinaryArgs binary = args.binary;
    binary.y = y + y_at, binary.a = a + a_at, binary.b = b + b_at;
    args.set->binary(args.op, binary);
  });
  return true;
}

bool run_softmax(const Step& step, Bases bases) {
  const auto& args = step.as<RowsArgs>();
  args.set->softmax(step.at<const float>(bases, 1), step.at<float>(bases, 0), args.rows, args.n, args.log);
  return true;
}

bool run_layer_norm(const Step& step, Bases bases) {
  const auto& args = step.as<RowsArgs>();
  args.set->layer_norm(step.at<const float>(bases, 1), step.at<const float>(bases, 2), step.at<const float>(bases, 3),
                       args.epsilon, step.at<float>(bases, 0), args.rows, args.n);
  return true;
}

bool run_rms_norm(const Step& step, Bases bases) {
  const auto& args = step.as<RowsArgs>();
  args.set->rms_norm(step.at<const float>(bases, 1), step.at<const float>(bases, 2), args.epsilon,
                     step.at<float>(bases, 0), args.rows, args.n);
  return true;
}

bool run_attention(const Step& step, Bases bases) {
  const auto& args = step.as<AttentionArgs>();
  const auto run_head = [&](int64_t i, float* work) {
    kernels::Attention head = args.head;
    head.work = work;
    const int64_t b = i / args.heads, h = i % args.heads, shared = h / args.group;
    head.y = step.at<float>(bases, 0) + b * args.y.batch + h * args.y.head;
    head.q = step.at<const float>(bases, 1) + b * args.q.batch + h * args.q.head;
    head.k = step.at<const float>(bases, 2) + b * args.k.batch + shared * args.k.head;
    head.v = step.at<const float>(bases, 3) + b * args.v.batch + shared * args.v.head;
    if (step.has(4)) head.mask = step.at<const float>(bases, 4) + b * args.mask.batch + h * args.mask.head;
    args.set->attention(head);
  };
  // Pieces of `grain` heads each, every one with memory of its own.
  const int64_t heads = args.batch * args.heads, grain = std::max<int64_t>(1, (heads + args.pieces - 1) / args.pieces);
  share(bases, heads, grain, heads * args.head.m * args.head.s * (args.head.e + args.head.f),
        [&](int64_t first, int64_t last) {
          float* work = step.at<float>(bases, 5) + first / grain * args.work_size;
          for (int64_t i = first; i < last; ++i) run_head(i, work);
        });
  return true;
}

bool run_reduce(const Step& step, Bases bases) {
  const auto& args = step.as<RowsArgs>();
  args.set->reduce(args.reduce, step.at<const float>(bases, 1), step.at<float>(bases, 0), args.rows, args.n,
                   args.inner);
  return true;
}

bool run_pool(const Step& step, Bases bases) {
  const auto& args = step.as<PoolArgs>();
  kernels::Pool pool = args.pool;
  pool.y = step.at<float>(bases, 0), pool.x = step.at<const float>(bases, 1);
  args.set->pool(pool);
  return true;
}

bool run_depthwise(const Step& step, Bases bases) {
  const auto& args = step.as<DepthwiseArgs>();
  kernels::Depthwise depthwise = args.depthwise;
  depthwise.y = step.at<float>(bases, 0), depthwise.x = step.at<const float>(bases, 1);
  depthwise.w = step.at<const float>(bases, 2), depthwise.bias = step.at<const float>(bases, 3);
  args.set->depthwise(depthwise);
  return true;
}

bool run_copy(const Step& step, Bases bases) {
  const auto& args = step.as<CopyArgs>();
  std::byte* y = step.at<std::byte>(bases, 0);
  const std::byte* x = step.at<const std::byte>(bases, 1);
  const int64_t size = args.size;
  const auto spread = [&]<typename T>(std::byte* to, const std::byte* from) {
    T* t = reinterpret_cast<T*>(to);
    const T* f = reinterpret_cast<const T*>(from);
    for (int64_t i = 0; i < args.n; ++i) t[i * args.y_step] = f[i * args.x_step];
  };
  each(args.outer, [&](int64_t y_at, int64_t x_at, int64_t) {
    std::byte* to = y + y_at * size;
    const std::byte* from = x + x_at * size;
    if (args.x_step == 1 && args.y_step == 1)
      std::memcpy(to, from, static_cast<size_t>(args.n * size));
    else if (size == 4)
      spread.template operator()<uint32_t>(to, from);
    else if (size == 8)
      spread.template operator()<uint64_t>(to, from);
    else if (size == 2)
      spread.template operator()<uint16_t>(to, from);
    else
      spread.template operator()<uint8_t>(to, from);
  });
  return true;
}

bool run_fill(const Step& step, Bases bases) {
  const auto& args = step.as<FillArgs>();
  std::byte* y = step.at<std::byte>(bases, 0);
  each(args.outer, [&](int64_t y_at, int64_t, int64_t) {
    if (args.zero)
      std::memset(y + y_at * args.size, 0, static_cast<size_t>(args.n * args.size));
    else
      for (int64_t i = 0; i < args.n; ++i)
        std::memcpy(y + (y_at + i) * args.size, args.value, static_cast<size_t>(args.size));
  });
  return true;
}

namespace {

// Layers of one shape over the state before, whose rows lie h_row apart; in the form of fewer bits first where the
// weights want it.
class OverState {
 public:
  OverState(const RecurrentArgs& args, const kernels::DenseShape& shape, void* room, Bases bases)
      : args_(args), room_(room), bases_(bases) {
    if (args.narrow) kernel_ = args.set->of(*args.narrow).kernel_for(shape);
  }

  // Where a cell of fewer bits leaves h for the next step.
  kernels::Narrowing state() const { return {.y = room_, .inverse_scale = kStateScale, .zero = kStateZero}; }

  // `left`: a cell has left h so.
  void operator()(kernels::Dense& dense, const float* h, int64_t h_row, bool left = false) const {
    if (!args_.narrow) {
      dense.x = h, dense.x_outer = h_row;
      share_layer(bases_, dense, sizeof(float), args_.set->dense);
      return;
    }
    const kernels::NarrowSet& kernel = args_.set->of(*args_.narrow);
    const int64_t size = size_of(*args_.narrow);
    for (int64_t r = 0; r < dense.m && !left; ++r)
      kernel.narrow({.n = dense.k,
                     .x = h + r * h_row,
                     .y = static_cast<std::byte*>(room_) + r * dense.k * size,
                     .inverse_scale = kStateScale,
                     .zero = kStateZero});
    kernels::NarrowDense narrow;
    static_cast<kernels::DenseShape&>(narrow) = dense;
    narrow.x = room_, narrow.x_outer = dense.k, narrow.packed = dense.packed;
    share_layer(bases_, narrow, size, [&](const kernels::NarrowDense& piece) {
      run_piece(*args_.set, *args_.narrow, kernel_, piece, bases_);
    });
  }

 private:
  const RecurrentArgs& args_;
  void* room_;
  Bases bases_;
  kernels::NarrowKernel kernel_ = nullptr;
};

// Steps `from` to `to - 1` of the walk: f(how many came before, projections of the step, h of the step before, how far
// its rows lie apart, where h goes), step by step.
template <typename F>
void walk_steps(const Step& step, Bases bases, int64_t from, int64_t to, F&& f) {
  const auto& a = step.as<RecurrentArgs>();
  float* y = step.at<float>(bases, 0);
  const float *projections = step.at<const float>(bases, 3), *first = step.at<const float>(bases, 5);
  const auto place = [&](int64_t t) { return a.reverse ? a.steps - 1 - t : t; };
  const float* before = from == 0 ? first : y + place(from - 1) * a.y_step;
  int64_t before_row = from == 0 ? a.hidden : a.y_row;
  for (int64_t t = from; t < to; ++t) {
    float* h = y + place(t) * a.y_step;
    f(t, projections + place(t) * a.x_step, before, before_row, h);
    before = h, before_row = a.y_row;
  }
}

void walk_recurrent(const Step& step, Bases bases, int64_t from, int64_t to) {
  const auto& a = step.as<RecurrentArgs>();
  const int64_t gates = a.gru ? 3 : 4, width = gates * a.hidden, x_row = a.x_row;
  float *sums = step.at<float>(bases, 4), *cell = step.at<float>(bases, 7);
  const float *first_c = step.at<const float>(bases, 6), *first_product = step.at<const float>(bases, 8);
  kernels::Dense dense;
  dense.m = a.rows, dense.n = width, dense.k = a.hidden, dense.inner = 1, dense.segment_length = a.hidden;
  dense.packed = step.at<const float>(bases, 1), dense.bias = step.at<const float>(bases, 2);
  dense.y = sums, dense.y_outer = width;
  if (cell != nullptr && from == 0) {
    if (first_c != nullptr)
      std::memcpy(cell, first_c, static_cast<size_t>(a.rows * a.hidden) * sizeof(float));
    else
      std::memset(cell, 0, static_cast<size_t>(a.rows * a.hidden) * sizeof(float));
  }
  const OverState over_state(a, dense, sums + a.rows * width, bases);
  walk_steps(step, bases, from, to,
             [&](int64_t t, const float* projected, const float* before, int64_t before_row, float* h) {
               dense.backwards = t % 2 != 0;
               const float* made_before = t == 0 ? first_product : nullptr;
               if (made_before == nullptr && before != nullptr) over_state(dense, before, before_row, t > 0);
               const float* product = made_before != nullptr ? made_before : before != nullptr ? sums : nullptr;
               if (a.gru) {
                 const kernels::GruCell args{.m = a.rows,
                                             .hidden = a.hidden,
                                             .x = projected,
                                             .r = product,
                                             .x_row = x_row,
                                             .r_row = width,
                                             .h_before = before,
                                             .h_before_row = before_row,
                                             .h = h,
                                             .h_row = a.y_row};
                 a.narrow ? a.set->of(*a.narrow).gru_cell(args, over_state.state()) : a.set->gru_cell(args);
               } else {
                 const kernels::LstmCell args{.m = a.rows,
                                              .hidden = a.hidden,
                                              .x = projected,
                                              .r = product,
                                              .x_row = x_row,
                                              .r_row = width,
                                              .c = cell,
                                              .c_row = a.hidden,
                                              .h = h,
                                              .h_row = a.y_row};
                 a.narrow ? a.set->of(*a.narrow).lstm_cell(args, over_state.state()) : a.set->lstm_cell(args);
               }
             });
}

void walk_gru_reset_first(const Step& step, Bases bases, int64_t from, int64_t to) {
  const auto& a = step.as<RecurrentArgs>();
  const int64_t n = a.hidden;
  float *gates = step.at<float>(bases, 4), *reset = gates + n, *candidate = gates + a.rows * 2 * n;  // z, r of a row
  kernels::Dense of_gates, of_candidate;
  of_gates.m = a.rows, of_gates.n = 2 * n, of_gates.k = of_gates.segment_length = n;
  of_gates.packed = step.at<const float>(bases, 1), of_gates.start_stride = 3 * n;
  of_gates.y = gates, of_gates.y_outer = 2 * n, of_gates.activation.op = kernels::Unary::kSigmoid;
  of_candidate.m = a.rows, of_candidate.n = n, of_candidate.k = of_candidate.segment_length = n;
  of_candidate.packed = step.at<const float>(bases, 2), of_candidate.start_stride = 3 * n;
  of_candidate.y = candidate, of_candidate.y_outer = n, of_candidate.activation.op = kernels::Unary::kTanh;
  float* room = gates + a.rows * 3 * n;
  const OverState gates_over(a, of_gates, room, bases), candidate_over(a, of_candidate, room, bases);
  kernels::BinaryArgs each;
  each.rows = a.rows, each.n = n;
  const auto combine = [&](kernels::Binary op, const float* x, int64_t x_row, const float* y, int64_t y_row, float* to,
                           int64_t to_row) {
    each.a = x, each.a_row = x_row, each.b = y, each.b_row = y_row, each.y = to, each.y_row = to_row;
    a.set->binary(op, each);
  };
  walk_steps(step, bases, from, to,
             [&](int64_t t, const float* projected, const float* before, int64_t before_row, float* h) {
               of_gates.backwards = of_candidate.backwards = t % 2 != 0;
               of_gates.start = projected;
               gates_over(of_gates, before, before_row);
               combine(kernels::Binary::kMul, reset, 2 * n, before, before_row, reset, 2 * n);
               of_candidate.start = projected + 2 * n;
               candidate_over(of_candidate, reset, 2 * n);
               // h' = candidate + z (h - candidate)
               combine(kernels::Binary::kSub, before, before_row, candidate, n, reset, 2 * n);
               combine(kernels::Binary::kMul, reset, 2 * n, gates, 2 * n, reset, 2 * n);
               combine(kernels::Binary::kAdd, reset, 2 * n, candidate, n, h, a.y_row);
             });
}

void walk_rnn(const Step& step, Bases bases, int64_t from, int64_t to) {
  const auto& a = step.as<RecurrentArgs>();
  kernels::Dense dense;
  dense.m = a.rows, dense.n = dense.k = dense.segment_length = a.hidden, dense.start_stride = a.hidden;
  dense.packed = step.at<const float>(bases, 1), dense.y_outer = a.y_row, dense.activation = a.activation;
  const OverState over_state(a, dense, step.at<float>(bases, 4), bases);
  walk_steps(step, bases, from, to,
             [&](int64_t t, const float* projected, const float* before, int64_t before_row, float* h) {
               dense.backwards = t % 2 != 0, dense.start = projected, dense.y = h;
               over_state(dense, before, before_row);
             });
}

}  // namespace

bool run_recurrent(const Step& step, Bases bases) {
  walk_recurrent(step, bases, 0, step.as<RecurrentArgs>().steps);
  return true;
}
bool run_gru_reset_first(const Step& step, Bases bases) {
  walk_gru_reset_first(step, bases, 0, step.as<RecurrentArgs>().steps);
  return true;
}
bool run_rnn(const Step& step, Bases bases) {
  walk_rnn(step, bases, 0, step.as<RecurrentArgs>().steps);
  return true;
}

void run_recurrence_part(const Step& step, Bases bases, int64_t first, int64_t last) {
  if (step.run == run_rnn) return walk_rnn(step, bases, first, last);
  if (step.run == run_gru_reset_first) return walk_gru_reset_first(step, bases, first, last);
  walk_recurrent(step, bases, first, last);
}

bool run_trees(const Step& step, Bases bases) {
  const auto& a = step.as<TreeArgs>();
  uint8_t* touched = step.at<uint8_t>(bases, 2);
  const auto run = [&]<typename In, typename Sum>() {
    Sum* out = step.at<Sum>(bases, 0);
    const In* x = step.at<const In>(bases, 1);
    // A row takes about as long as half a multiply-add for every byte that it reads of the trees.
    share(bases, a.rows, 1, a.rows * a.trees->byte_count() / 2, [&](int64_t first, int64_t last) {
      const int64_t at = first * a.trees->outputs();
      a.trees->run(x + first * a.trees->features(), last - first, out + at,
                   touched == nullptr ? nullptr : touched + at);
    });
    if (a.clear_untouched)
      for (int64_t i = 0; i < a.rows * a.trees->outputs(); ++i)
        if (touched[i] == 0) out[i] = 0;
  };
  if (a.trees->float64_sum())
    a.float64_input ? run.template operator()<double, double>() : run.template operator()<float, double>();
  else
    a.float64_input ? run.template operator()<double, float>() : run.template operator()<float, float>();
  return true;
}

bool run_classify(const Step& step, Bases bases) {
  const auto& a = step.as<ClassifyArgs>();
  int64_t* labels = step.at<int64_t>(bases, 0);
  float* out = step.at<float>(bases, 1);
  uint8_t* touched = step.at<uint8_t>(bases, 3);
  const size_t n = static_cast<size_t>(a.n);
  for (int64_t r = 0; r < a.rows; ++r) {
    const int64_t at = r * a.n;
    labels[r] = a.float64_sum ? kernels::classify<double>(a.classifier, {step.at<double>(bases, 2) + at, n},
                                                          {touched + at, n}, {out + at, n})
                              : kernels::classify<float>(a.classifier, {step.at<float>(bases, 2) + at, n},
                                                         {touched + at, n}, {out + at, n});
  }
  return true;
}

bool run_linear_booster(const Step& step, Bases bases) {
  const auto& a = step.as<LinearBoosterArgs>();
  kernels::linear_booster(step.at<const float>(bases, 2), step.at<const float>(bases, 1), a.rows, a.features, a.outputs,
                          step.at<float>(bases, 0));
  return true;
}

bool run_objective(const Step& step, Bases bases) {
  const auto& a = step.as<ObjectiveArgs>();
  if (a.float64)
    kernels::apply_objective(a.objective, a.scale, step.at<const double>(bases, 1), a.rows, a.n,
                             step.at<double>(bases, 0));
  else
    kernels::apply_objective(a.objective, a.scale, step.at<const float>(bases, 1), a.rows, a.n,
                             step.at<float>(bases, 0));
  return true;
}

bool run_post_transform(const Step& step, Bases bases) {
  const auto& a = step.as<PostTransformArgs>();
  for (int64_t r = 0; r < a.rows; ++r)
    kernels::apply_post_transform(a.transform, {step.at<float>(bases, 0) + r * a.n, static_cast<size_t>(a.n)});
  return true;
}

bool run_linear_tail(const Step& step, Bases bases) {
  const auto& a = step.as<LinearTailArgs>();
  using kernels::PostTransform;
  int64_t* labels = step.at<int64_t>(bases, 0);
  for (int64_t r = 0; r < a.rows; ++r) {
    float* row = step.at<float>(bases, 2) + r * a.n;
    float* z = step.at<float>(bases, 1) + r * a.width;
    const int64_t best = a.n == 1 ? row[0] > 0 : std::max_element(row, row + a.n) - row;
    if (labels != nullptr) labels[r] = a.n == 1 && a.labels.size() != 2 ? best : a.labels[static_cast<size_t>(best)];
    if (a.n > 1 || a.transform == PostTransform::kProbit)
      kernels::apply_post_transform(a.transform, {row, static_cast<size_t>(a.n)});
    std::copy(row, row + a.n, z);
    if (a.n > 1 || a.labels.size() != 2) continue;
    z[0] = a.transform == PostTransform::kLogistic ? -row[0] : 1 - row[0], z[1] = row[0];
    if (a.transform == PostTransform::kLogistic) kernels::apply_post_transform(a.transform, {z, 2});
  }
  return true;
}

bool run_normalizer(const Step& step, Bases bases) {
  const auto& a = step.as<NormalizerArgs>();
  for (int64_t r = 0; r < a.rows; ++r) {
    const float* x = step.at<const float>(bases, 1) + r * a.n;
    float* y = step.at<float>(bases, 0) + r * a.n;
    double divisor = a.norm == NormalizerArgs::kMax ? -std::numeric_limits<double>::infinity() : 0.0;
    for (int64_t i = 0; i < a.n; ++i) {
      const double v = static_cast<double>(x[i]);
      divisor = a.norm == NormalizerArgs::kMax ? std::max(divisor, v)
                                               : divisor + (a.norm == NormalizerArgs::kL1 ? std::fabs(v) : v * v);
    }
    if (a.norm == NormalizerArgs::kL2) divisor = std::sqrt(divisor);
    for (int64_t i = 0; i < a.n; ++i)
      y[i] = divisor == 0 ? x[i] : static_cast<float>(static_cast<double>(x[i]) / divisor);
  }
  return true;
}

Result<bool> call_plain(const Step& step, Bases bases) {
  const auto& a = step.as<PlainArgs>();
  const auto tensor = [&](const TensorType& type, const Ref& ref) {
    return Tensor(type.type, type.shape, address(bases, ref));
  };
  std::vector<Tensor> outputs, inputs;
  for (size_t i = 0; i < a.outputs.size(); ++i) outputs.push_back(tensor(a.outputs[i], a.refs[i]));
  for (size_t i = 0; i < a.inputs.size(); ++i) inputs.push_back(tensor(a.inputs[i], a.refs[a.outputs.size() + i]));
  KernelContext context{a.node, a.opset, {}, {}};
  for (size_t i = 0; i < outputs.size(); ++i) {
    // Kernels expect fresh zeros.
    if (a.wanted[i]) std::memset(outputs[i].bytes(), 0, outputs[i].byte_count());
    context.outputs.push_back(a.wanted[i] ? &outputs[i] : nullptr);
  }
  for (size_t i = 0; i < inputs.size(); ++i) context.inputs.push_back(a.given[i] ? &inputs[i] : nullptr);
  return call_kernel(a.kernel, context);
}

bool run_plain(const Step& step, Bases bases) { return call_plain(step, bases).ok(); }

}  // namespace hayate::native
