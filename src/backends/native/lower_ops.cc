#include <algorithm>
#include <cmath>
#include <limits>

#include "backends/native/lowering.h"
#include "eval/trees.h"
#include "graph/window.h"

namespace hayate::native {
namespace {

using kernels::Activation;
using kernels::Unary;

bool all_floats(const Lowering& l, const Node& node) {
  for (const std::string& name : node.inputs)
    if (!name.empty() && l.type(name).type != Type::kFloat32) return false;
  return l.type(node.outputs[0]).type == Type::kFloat32;
}

std::string first_output(const Node& node) { return node.outputs[0]; }

std::optional<std::vector<int64_t>> integers(const Lowering& l, const Node& node, size_t i) {
  const Tensor* tensor = l.constant(node.input(i));
  if (tensor == nullptr) return std::nullopt;
  return to_int64s(*tensor);
}

// The rows of a view whose last axis is consecutive, as `Dense` reads them: (outer, inner) strides. Requires: l.rows().
struct RowStrides {
  int64_t m = 1, inner = 1, outer_stride = 0, inner_stride = 0;
};
RowStrides row_strides(const View& x) {
  Shape extents, strides;
  for (size_t i = 0; i + 1 < x.shape.size(); ++i) {
    if (x.shape[i] == 1) continue;
    if (!extents.empty() && strides.back() == x.shape[i] * x.strides[i])
      extents.back() *= x.shape[i], strides.back() = x.strides[i];
    else
      extents.push_back(x.shape[i]), strides.push_back(x.strides[i]);
  }
  RowStrides rows;
  if (extents.size() == 1) rows = {extents[0], 1, strides[0], 0};
  if (extents.size() == 2) rows = {extents[0] * extents[1], extents[1], strides[0], strides[1]};
  return rows;
}

// y = act(x w + bias) over all rows of x; y is row-major.
void emit_dense(Lowering& l, const View& x, const View& packed, int64_t k, int64_t n, const View* bias, const View& y,
                Activation activation) {
  const View from = l.rows(x);
  const RowStrides rows = row_strides(from);
  DenseArgs args;
  args.set = &l.set();
  args.dense.m = rows.m, args.dense.n = n, args.dense.k = k;
  args.dense.inner = rows.inner, args.dense.x_outer = rows.outer_stride, args.dense.x_inner = rows.inner_stride;
  args.dense.segment_length = k;
  args.dense.y_outer = rows.inner * n, args.dense.y_inner = n;
  args.dense.activation = activation;
  l.emit(run_dense, "dense", args, {&from, &y, &packed, bias, nullptr});
}

bool gemm(Lowering& l, const Node& node) {
  const Tensor *w = l.constant(node.inputs[1]), *bias = l.constant(node.input(2));
  if (!all_floats(l, node) || w == nullptr || (!node.input(2).empty() && bias == nullptr)) return false;
  if (node.get<int64_t>("transA", 0) != 0) return false;
  const float alpha = node.get<float>("alpha", 1.0f), beta = node.get<float>("beta", 1.0f);
  const bool transposed_w = node.get<int64_t>("transB", 0) != 0;
  const int64_t k = w->shape()[transposed_w ? 1 : 0], n = w->shape()[transposed_w ? 0 : 1];
  if (bias != nullptr && bias->count() != n && bias->count() != 1) return false;
  std::vector<float> scaled(w->data<float>(), w->data<float>() + w->count());
  for (float& v : scaled) v *= alpha;
  const View packed = l.packed(node.inputs[1] + (transposed_w ? "^T" : "") + (alpha == 1 ? "" : std::to_string(alpha)),
                               scaled.data(), k, n, transposed_w ? 1 : n, transposed_w ? k : 1);
  std::optional<View> added;
  if (bias != nullptr) {
    std::vector<float> values(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i)
      values[static_cast<size_t>(i)] = beta * bias->data<float>()[bias->count() == 1 ? 0 : i];
    added = l.floats(node.input(2) + "*" + std::to_string(beta) + "x" + std::to_string(n), values);
  }
  std::string name = first_output(node);
  const View x = l.view(node.inputs[0]);
  const Activation activation = l.take_activation(&name);
  emit_dense(l, x, packed, k, n, added ? &*added : nullptr, l.make(name), activation);
  return true;
}

bool matmul(Lowering& l, const Node& node) {
  if (!all_floats(l, node)) return false;
  const Tensor* w = l.constant(node.inputs[1]);
  const View a = l.view(node.inputs[0]);
  std::string name = first_output(node);
  const Shape out = l.type(name).shape;
  if (w != nullptr && w->rank() == 2 && a.rank() >= 2) {
    const int64_t k = w->shape()[0], n = w->shape()[1];
    const View packed = l.packed(node.inputs[1], w->data<float>(), k, n, n, 1);
    const Activation activation = l.take_activation(&name);
    emit_dense(l, a, packed, k, n, nullptr, l.make(name), activation);
    return true;
  }
  if (a.rank() < 2 || l.type(node.inputs[1]).shape.size() < 2 || out.size() > kDimsMax) return false;
  const auto consecutive = [&](const View& v) { return v.shape.back() == 1 || v.strides.back() == 1 ? v : l.dense(v); };
  View x = consecutive(a), b = consecutive(l.view(node.inputs[1]));
  MatMulArgs args;
  args.set = &l.set();
  const size_t rank = out.size();
  args.matmul.m = out[rank - 2], args.matmul.n = out[rank - 1], args.matmul.k = x.shape.back();
  args.matmul.a_row = x.strides[x.strides.size() - 2], args.matmul.b_row = b.strides[b.strides.size() - 2],
  args.matmul.y_row = out[rank - 1];
  Shape batch(out.begin(), out.end() - 2);
  const auto leading = [&](View v) {
    v.shape.resize(v.shape.size() - 2), v.strides.resize(v.strides.size() - 2);
    return broadcast_to(v, batch);
  };
  const View y = l.make(name), outer_y = leading(y), outer_a = leading(x), outer_b = leading(b);
  args.outer.dims = static_cast<int>(batch.size());
  for (size_t i = 0; i < batch.size(); ++i) {
    args.outer.extents[i] = batch[i];
    args.outer.strides[0][i] = outer_y.strides[i], args.outer.strides[1][i] = outer_a.strides[i],
    args.outer.strides[2][i] = outer_b.strides[i];
  }
  l.emit(run_matmul, "matmul", args, {&x, &b, &y});
  return true;
}

bool conv(Lowering& l, const Node& node) {
  const Tensor *w = l.constant(node.inputs[1]), *bias = l.constant(node.input(2));
  if (!all_floats(l, node) || w == nullptr || (!node.input(2).empty() && bias == nullptr)) return false;
  const Shape x_shape = l.type(node.inputs[0]).shape;
  const size_t spatial = x_shape.size() - 2;
  if (spatial < 1 || spatial > 2) return false;
  const Result<Window> found =
      sliding_window(node, Shape(x_shape.begin() + 2, x_shape.end()), Shape(w->shape().begin() + 2, w->shape().end()));
  if (!found.ok()) return false;
  Window win = found.value();
  const int64_t groups = node.get<int64_t>("group", 1), channels = x_shape[1], filters = w->shape()[0],
                depth = channels / groups, width = filters / groups;
  const int64_t taps = w->count() / filters / depth;
  View x = l.image(l.view(node.inputs[0]), win.pads_begin, win.pads_end, true);
  std::string name = first_output(node);
  const Activation activation = l.take_activation(&name);
  const View y = l.make_image(name);
  const bool rows_last = y.strides[1] == 1;  // not where it is the graph's output: then channels are copied
  View target = y;
  if (!rows_last && filters > 1) {
    target = l.scratch(Type::kFloat32, {y.shape[0], win.output[0], spatial == 2 ? win.output[1] : 1, filters});
    View v = target;
    v.shape = y.shape;
    v.strides = {target.strides[0], 1, target.strides[1]};
    if (spatial == 2) v.strides.push_back(target.strides[2]);
    target = v;
  }
  // A 1-D image is one of height 1... its only axis is the inner one.
  const bool flat = spatial == 1;
  const int64_t xh = flat ? 0 : x.strides[2], xw = x.strides[flat ? 2 : 3], yh = flat ? 0 : target.strides[2],
                yw = target.strides[flat ? 2 : 3];
  const int64_t kh = flat ? 1 : win.kernel[0], kw = win.kernel[flat ? 0 : 1], dh = flat ? 1 : win.dilation[0],
                dw = win.dilation[flat ? 0 : 1];
  const int64_t sh = flat ? 1 : win.stride[0], sw = win.stride[flat ? 0 : 1], oh = flat ? 1 : win.output[0],
                ow = win.output[flat ? 0 : 1];
  View from = x;
  from.offset -= (flat ? 0 : win.pads_begin[0] * xh) + win.pads_begin[flat ? 0 : 1] * xw;
  for (int64_t g = 0; g < groups; ++g) {
    std::vector<float> packed_w(static_cast<size_t>(taps * depth * width));
    for (int64_t f = 0; f < width; ++f)
      for (int64_t c = 0; c < depth; ++c)
        for (int64_t t = 0; t < taps; ++t)
          packed_w[static_cast<size_t>((t * depth + c) * width + f)] =
              w->data<float>()[((g * width + f) * depth + c) * taps + t];
    const View packed =
        l.packed(node.inputs[1] + "/g" + std::to_string(g), packed_w.data(), taps * depth, width, width, 1);
    std::optional<View> added;
    if (bias != nullptr)
      added = l.floats(node.input(2) + "/g" + std::to_string(g),
                       std::vector<float>(bias->data<float>() + g * width, bias->data<float>() + (g + 1) * width));
    DenseArgs args;
    args.set = &l.set();
    args.images = x_shape[0], args.x_image = x.strides[0], args.y_image = target.strides[0];
    args.dense.m = oh * ow, args.dense.n = width, args.dense.k = taps * depth;
    args.dense.inner = ow, args.dense.x_outer = sh * xh, args.dense.x_inner = sw * xw;
    args.dense.y_outer = yh, args.dense.y_inner = yw;
    args.dense.activation = activation;
    const bool joined = dw == 1 && xw == depth;  // the taps of a kernel row lie side by side
    for (int64_t i = 0; i < kh; ++i)
      for (int64_t j = 0; j < (joined ? 1 : kw); ++j) args.segment_offsets.push_back(i * dh * xh + j * dw * xw);
    args.dense.segments = static_cast<int64_t>(args.segment_offsets.size());
    args.dense.segment_length = depth * (joined ? kw : 1);
    View group_x = from, group_y = target;
    group_x.offset += g * depth * (x.shape[1] == 1 ? 0 : x.strides[1]), group_y.offset += g * width;
    auto kept = std::make_shared<DenseArgs>(std::move(args));
    kept->dense.segment_offsets = kept->segment_offsets.data();
    l.keep(kept);
    DenseArgs final_args = *kept;
    final_args.dense.segment_offsets = kept->segment_offsets.data();
    l.emit(run_dense, groups == 1 ? "conv" : "conv_group", final_args,
           {&group_x, &group_y, &packed, added ? &*added : nullptr, nullptr});
  }
  if (target.buffer != y.buffer) l.copy(target, y);
  return true;
}

// Where the result of an elementwise node lies: as its largest operand, channels last where that is.
View make_like(Lowering& l, const std::string& name, const std::vector<View>& operands) {
  const Shape shape = l.type(name).shape;
  for (const View& x : operands)
    if (x.shape == shape && shape.size() >= 3 && shape.size() <= 4 && shape[1] > 1 && x.strides[1] == 1)
      return l.make_image(name);
  return l.make(name);
}

// Operand v of the loop must have steps of 0 or 1 in the innermost dimension; else it is moved to lie as y does.
bool steps_fit(const Loop& loop, size_t v) {
  return loop.extents.back() == 1 || loop.strides[v].back() == 0 || loop.strides[v].back() == 1;
}

View alike(Lowering& l, const View& x, const View& y) {
  View to = l.scratch(x.type, y.shape);
  Shape order(y.shape.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return y.strides[a] > y.strides[b]; });
  int64_t step = 1;
  for (size_t i = order.size(); i-- > 0;) to.strides[order[i]] = step, step *= y.shape[order[i]];
  l.copy(broadcast_to(x, y.shape), to);
  return to;
}

bool emit_unary(Lowering& l, const std::string& name, View x, Activation op) {
  const View y = make_like(l, name, {x});
  Loop loop = merged_loop({y, x});
  if (!(loop.extents.back() == 1 || (loop.strides[0].back() == 1 && loop.strides[1].back() == 1))) {
    x = alike(l, x, y);
    loop = merged_loop({y, x});
  }
  if (loop.extents.size() > kDimsMax) return false;
  UnaryArgs args;
  args.set = &l.set(), args.op = op, args.n = loop.extents.back();
  args.outer.dims = static_cast<int>(loop.extents.size()) - 1;
  for (int i = 0; i < args.outer.dims; ++i)
    args.outer.extents[i] = loop.extents[i], args.outer.strides[0][i] = loop.strides[0][i],
    args.outer.strides[1][i] = loop.strides[1][i];
  l.emit(run_unary, "unary", args, {&y, &x});
  return true;
}

template <Unary kOp>
bool unary(Lowering& l, const Node& node) {
  if (!all_floats(l, node) || l.type(node.outputs[0]).shape.size() > kDimsMax) return false;
  Activation op{kOp};
  if (kOp == Unary::kLeakyRelu) op.alpha = node.get<float>("alpha", 0.01f);
  if (kOp == Unary::kElu) op.alpha = node.get<float>("alpha", 1.0f);
  if (kOp == Unary::kHardSigmoid) op.alpha = node.get<float>("alpha", 0.2f), op.beta = node.get<float>("beta", 0.5f);
  if (kOp == Unary::kGelu && node.get<std::string>("approximate", "none") == "tanh") op.op = Unary::kGeluTanh;
  return emit_unary(l, node.outputs[0], l.view(node.inputs[0]), op);
}

bool clip(Lowering& l, const Node& node) {
  if (!all_floats(l, node) || l.type(node.outputs[0]).shape.size() > kDimsMax) return false;
  Activation op{Unary::kClip, node.get<float>("min", std::numeric_limits<float>::lowest()),
                node.get<float>("max", std::numeric_limits<float>::max())};
  for (const size_t i : {size_t{1}, size_t{2}}) {
    if (node.input(i).empty()) continue;
    const Tensor* bound = l.constant(node.input(i));
    if (bound == nullptr) return false;
    (i == 1 ? op.alpha : op.beta) = bound->data<float>()[0];
  }
  return emit_unary(l, node.outputs[0], l.view(node.inputs[0]), op);
}

bool emit_binary(Lowering& l, const std::string& made, View a, View b, kernels::Binary op) {
  std::string name = made;
  const Activation activation = l.take_activation(&name);
  const View y = make_like(l, name, {a, b});
  a = broadcast_to(a, y.shape), b = broadcast_to(b, y.shape);
  Loop loop = merged_loop({y, a, b});
  if (!steps_fit(loop, 1)) a = alike(l, a, y), loop = merged_loop({y, a, b});
  if (!steps_fit(loop, 2)) b = alike(l, b, y), loop = merged_loop({y, a, b});
  BinaryStepArgs args;
  args.set = &l.set(), args.op = op;
  args.binary.activation = activation;
  const size_t dims = loop.extents.size();
  args.binary.n = loop.extents.back();
  args.binary.a_step = loop.extents.back() == 1 ? 1 : loop.strides[1].back(),
  args.binary.b_step = loop.extents.back() == 1 ? 1 : loop.strides[2].back();
  size_t inner = 1;
  if (dims > 1) {
    inner = 2;
    args.binary.rows = loop.extents[dims - 2];
    args.binary.y_row = loop.strides[0][dims - 2], args.binary.a_row = loop.strides[1][dims - 2],
    args.binary.b_row = loop.strides[2][dims - 2];
  }
  args.outer.dims = static_cast<int>(dims - inner);
  for (int i = 0; i < args.outer.dims; ++i) {
    args.outer.extents[i] = loop.extents[i];
    for (int v = 0; v < 3; ++v) args.outer.strides[v][i] = loop.strides[v][i];
  }
  l.emit(run_binary, "binary", args, {&y, &a, &b});
  return true;
}

template <kernels::Binary kOp>
bool binary(Lowering& l, const Node& node) {
  if (!all_floats(l, node) || node.inputs.size() != 2 || l.type(node.outputs[0]).shape.size() > kDimsMax) return false;
  return emit_binary(l, node.outputs[0], l.view(node.inputs[0]), l.view(node.inputs[1]), kOp);
}

bool softmax(Lowering& l, const Node& node) {
  if (!all_floats(l, node)) return false;
  const Shape shape = l.type(node.outputs[0]).shape;
  const int64_t rank = static_cast<int64_t>(shape.size());
  int64_t axis = node.get<int64_t>("axis", l.graph().opset < 13 ? 1 : -1);
  if (axis < 0) axis += rank;
  int64_t n = 1;
  if (l.graph().opset < 13) {
    for (int64_t i = axis; i < rank; ++i) n *= shape[static_cast<size_t>(i)];
  } else if (axis == rank - 1 && rank > 0) {
    n = shape.back();
  } else {
    return false;
  }
  const View x = l.dense(l.view(node.inputs[0])), y = l.make(node.outputs[0]);
  if (n == 0) return true;
  RowsArgs args;
  args.set = &l.set(), args.n = n, args.rows = y.count() / n, args.log = node.op == "LogSoftmax";
  l.emit(run_softmax, "softmax", args, {&y, &x});
  return true;
}

bool layer_norm(Lowering& l, const Node& node) {
  if (!all_floats(l, node)) return false;
  for (size_t i = 1; i < node.outputs.size(); ++i)
    if (!node.outputs[i].empty()) return false;
  const Shape shape = l.type(node.outputs[0]).shape;
  int64_t axis = node.get<int64_t>("axis", -1);
  if (axis < 0) axis += static_cast<int64_t>(shape.size());
  int64_t n = 1;
  for (size_t i = static_cast<size_t>(axis); i < shape.size(); ++i) n *= shape[i];
  const Tensor *scale = l.constant(node.inputs[1]), *bias = l.constant(node.input(2));
  if (n == 0 || scale == nullptr || scale->count() != n ||
      (!node.input(2).empty() && (bias == nullptr || bias->count() != n)))
    return false;
  const View x = l.dense(l.view(node.inputs[0])), s = l.view(node.inputs[1]);
  std::optional<View> b;
  if (bias != nullptr) b = l.view(node.input(2));
  const View y = l.make(node.outputs[0]);
  RowsArgs args;
  args.set = &l.set(), args.n = n, args.rows = y.count() / n, args.epsilon = node.get<float>("epsilon", 1e-5f);
  l.emit(run_layer_norm, "layer_norm", args, {&y, &x, &s, b ? &*b : nullptr});
  return true;
}

template <kernels::Reduce kOp>
bool reduce(Lowering& l, const Node& node) {
  if (!all_floats(l, Node{"", "", "", {node.inputs[0]}, node.outputs, {}})) return false;
  const Shape in = l.type(node.inputs[0]).shape;
  std::optional<std::vector<int64_t>> axes;
  if (node.attributes.contains("axes"))
    axes = node.get<std::vector<int64_t>>("axes", {});
  else if (!node.input(1).empty()) {
    axes = integers(l, node, 1);
    if (!axes) return false;
  }
  const Result<std::vector<bool>> folded = reduced_axes(node, static_cast<int64_t>(in.size()), axes);
  if (!folded.ok()) return false;
  int64_t outer = 1, middle = 1, inner = 1;
  int state = 0;
  for (size_t i = 0; i < in.size(); ++i) {
    if (in[i] == 1) continue;
    if (folded.value()[i]) {
      if (state == 2) return false;  // two separate runs of axes
      state = 1;
      middle *= in[i];
    } else {
      if (state == 1) state = 2;
      (state == 0 ? outer : inner) *= in[i];
    }
  }
  if (outer * middle * inner == 0) return false;
  const View x = l.dense(l.view(node.inputs[0])), y = l.make(node.outputs[0]);
  RowsArgs args;
  args.set = &l.set(), args.rows = outer, args.n = middle, args.inner = inner, args.reduce = kOp;
  l.emit(run_reduce, "reduce", args, {&y, &x});
  return true;
}

bool pool(Lowering& l, const Node& node) {
  if (!all_floats(l, node) || (node.outputs.size() > 1 && !node.outputs[1].empty())) return false;
  const Shape in = l.type(node.inputs[0]).shape, out = l.type(node.outputs[0]).shape;
  if (in.size() != 3 && in.size() != 4) return false;
  const bool flat = in.size() == 3, global = node.op == "GlobalAveragePool" || node.op == "GlobalMaxPool",
             average = node.op.find("Average") != std::string::npos;
  PoolArgs args;
  args.set = &l.set();
  kernels::Pool& p = args.pool;
  p.images = in[0], p.channels = in[1], p.height = flat ? 1 : in[2], p.width = in.back(),
  p.out_height = flat ? 1 : out[2], p.out_width = out.back();
  p.average = average, p.count_include_pad = node.get<int64_t>("count_include_pad", 0) != 0;
  if (global) {
    p.kernel_h = p.height, p.kernel_w = p.width;
  } else {
    const Result<Window> found =
        sliding_window(node, Shape(in.begin() + 2, in.end()), node.get<Shape>("kernel_shape", {}));
    if (!found.ok()) return false;
    const Window& w = found.value();
    if (average && node.get<int64_t>("ceil_mode", 0) != 0) return false;
    const size_t last = flat ? 0 : 1;
    p.kernel_w = w.kernel[last], p.stride_w = w.stride[last], p.pad_left = w.pads_begin[last],
    p.dilation_w = w.dilation[last];
    if (!flat)
      p.kernel_h = w.kernel[0], p.stride_h = w.stride[0], p.pad_top = w.pads_begin[0], p.dilation_h = w.dilation[0];
  }
  const Shape none(in.size() - 2, 0);
  const View x = l.image(l.view(node.inputs[0]), none, none, false);
  View y = l.scratch(Type::kFloat32, {p.images, p.out_height, p.out_width, p.channels});
  l.emit(run_pool, "pool", args, {&y, &x});
  View made = y;
  made.shape = out;
  made.strides = flat ? Shape{y.strides[0], 1, y.strides[2]} : Shape{y.strides[0], 1, y.strides[1], y.strides[2]};
  l.define(node.outputs[0], made);
  return true;
}

bool recurrent(Lowering& l, const Node& node) {
  const bool gru = node.op == "GRU";
  const int64_t gates = gru ? 3 : 4;
  if (l.type(node.inputs[0]).type != Type::kFloat32) return false;
  const Tensor *w = l.constant(node.inputs[1]), *r = l.constant(node.inputs[2]), *bias = l.constant(node.input(3));
  if (w == nullptr || r == nullptr || (!node.input(3).empty() && bias == nullptr)) return false;
  if (!node.input(4).empty() || !node.input(7).empty() || node.attributes.contains("activations") ||
      node.get<float>("clip", 0) != 0 || node.get<int64_t>("input_forget", 0) != 0)
    return false;
  if (gru && node.get<int64_t>("linear_before_reset", 0) == 0) return false;
  const View x = l.view(node.inputs[0]);
  const std::string direction = node.get<std::string>("direction", "forward");
  const int64_t directions = w->shape()[0], steps = x.shape[0], rows = x.shape[1], in = x.shape[2],
                hidden = r->shape()[2], width = gates * hidden;
  if (steps == 0 || rows == 0) return false;
  const std::string y_name = node.outputs[0];
  const View y = l.scratch(Type::kFloat32, {steps, rows, directions, hidden});
  View c_last = l.scratch(Type::kFloat32, {directions, rows, hidden});
  for (int64_t d = 0; d < directions; ++d) {
    const std::string key = node.inputs[1] + "/" + node.inputs[2] + "/d" + std::to_string(d);
    const View packed_w = l.packed(key + "w", w->data<float>() + d * width * in, in, width, 1, in);
    const View packed_r = l.packed(key + "r", r->data<float>() + d * width * hidden, hidden, width, 1, hidden);
    std::vector<float> on_x(static_cast<size_t>(width), 0.0f), on_h(on_x);
    if (bias != nullptr) {
      const float *wb = bias->data<float>() + d * 2 * width, *rb = wb + width;
      for (int64_t i = 0; i < width; ++i) {
        const bool apart = gru && i >= 2 * hidden;  // inside the reset gate
        on_x[static_cast<size_t>(i)] = wb[i] + (apart ? 0.0f : rb[i]);
        if (apart) on_h[static_cast<size_t>(i)] = rb[i];
      }
    }
    const View bias_x = l.floats(key + node.input(3) + "bx", on_x), bias_h = l.floats(key + node.input(3) + "bh", on_h);
    const View projections = l.scratch(Type::kFloat32, {steps, rows, width});
    emit_dense(l, x, packed_w, in, width, &bias_x, projections, {});
    const View sums = l.scratch(Type::kFloat32, {rows, width});
    // A first state of zeros need not be read; the GRU's cell reads it all the same.
    const auto first = [&](size_t i, bool needed) -> std::optional<View> {
      const Tensor* known = l.constant(node.input(i));
      bool zero = node.input(i).empty();
      if (known != nullptr)
        zero = std::all_of(known->data<float>(), known->data<float>() + known->count(), [](float v) { return v == 0; });
      if (zero) {
        if (!needed) return std::nullopt;
        return l.floats("zeros" + std::to_string(rows * hidden),
                        std::vector<float>(static_cast<size_t>(rows * hidden), 0.0f));
      }
      View v = l.dense(l.view(node.input(i)));
      v.offset += d * rows * hidden;
      return v;
    };
    const std::optional<View> h0 = first(5, gru), c0 = gru ? std::nullopt : first(6, false);
    RecurrentArgs args;
    args.set = &l.set(), args.gru = gru, args.reverse = d == 1 || direction == "reverse";
    args.steps = steps, args.rows = rows, args.hidden = hidden, args.y_step = rows * directions * hidden,
    args.y_row = directions * hidden;
    View own_y = y, own_c = c_last;
    own_y.offset += d * hidden, own_c.offset += d * rows * hidden;
    l.emit(run_recurrent, gru ? "gru" : "lstm", args,
           {&own_y, &packed_r, gru ? &bias_h : nullptr, &projections, &sums, h0 ? &*h0 : nullptr, c0 ? &*c0 : nullptr,
            gru ? nullptr : &own_c});
  }
  if (!y_name.empty()) {
    View made = y;
    made.shape = {steps, directions, rows, hidden};
    made.strides = {y.strides[0], y.strides[2], y.strides[1], 1};
    l.define(y_name, made);
  }
  const auto last_of = [&](int64_t d) {  // h after the last step of direction d, [1, N, H]
    View v = y;
    v.offset += (d == 1 || direction == "reverse" ? 0 : (steps - 1) * y.strides[0]) + d * y.strides[2];
    v.shape = {1, rows, hidden}, v.strides = {hidden, y.strides[1], 1};
    return v;
  };
  if (node.outputs.size() > 1 && !node.outputs[1].empty()) {
    if (directions == 1) {
      l.define(node.outputs[1], last_of(0));
    } else {
      const View h = l.make(node.outputs[1]);
      for (int64_t d = 0; d < directions; ++d) {
        View part = h;
        part.offset += d * h.strides[0], part.shape[0] = 1;
        l.copy(last_of(d), part);
      }
    }
  }
  if (node.outputs.size() > 2 && !node.outputs[2].empty()) l.define(node.outputs[2], c_last);
  return true;
}

bool transpose(Lowering& l, const Node& node) {
  const View x = l.view(node.inputs[0]);
  std::vector<int64_t> perm = node.get<std::vector<int64_t>>("perm", {});
  if (perm.empty())
    for (int64_t i = x.rank(); i-- > 0;) perm.push_back(i);
  l.define(node.outputs[0], transposed(x, perm));
  return true;
}

// Reshape, Squeeze, Unsqueeze, Flatten, Identity, Dropout ...: the same elements in the same order.
bool same_elements(Lowering& l, const Node& node) {
  const Shape& shape = l.type(node.outputs[0]).shape;
  if (node.op == "Dropout" && node.outputs.size() > 1 && !node.outputs[1].empty()) return false;
  if (l.type(node.outputs[0]).type != l.type(node.inputs[0]).type) return false;
  const View x = l.view(node.inputs[0]);
  std::optional<View> made = reshaped(x, shape);
  if (!made) made = reshaped(l.dense(x), shape);
  l.define(node.outputs[0], *made);
  return true;
}

bool slice(Lowering& l, const Node& node) {
  View x = l.view(node.inputs[0]);
  std::optional<std::vector<int64_t>> starts, ends, axes, steps;
  if (node.attributes.contains("starts")) {
    starts = node.get<Shape>("starts", {}), ends = node.get<Shape>("ends", {});
    if (node.attributes.contains("axes")) axes = node.get<Shape>("axes", {});
  } else {
    starts = integers(l, node, 1), ends = integers(l, node, 2), axes = integers(l, node, 3),
    steps = integers(l, node, 4);
    if ((!node.input(3).empty() && !axes) || (!node.input(4).empty() && !steps)) return false;
  }
  if (!starts || !ends) return false;
  const std::vector<int64_t> ranges = slice_ranges(x.shape, *starts, *ends, axes, steps);
  if (ranges.empty() || x.count() == 0) return false;
  for (size_t i = 0; i < x.shape.size(); ++i) {
    x.offset += ranges[3 * i] * x.strides[i];
    x.strides[i] *= ranges[3 * i + 1];
    x.shape[i] = ranges[3 * i + 2];
  }
  if (x.shape != l.type(node.outputs[0]).shape || x.count() == 0) return false;
  for (const int64_t stride : x.strides)
    if (stride < 0) return false;  // backwards
  l.define(node.outputs[0], x);
  return true;
}

bool split(Lowering& l, const Node& node) {
  View x = l.view(node.inputs[0]);
  int64_t axis = node.get<int64_t>("axis", 0);
  if (axis < 0) axis += x.rank();
  for (const std::string& name : node.outputs) {
    if (name.empty()) return false;
    View part = x;
    part.shape = l.type(name).shape;
    x.offset += part.shape[static_cast<size_t>(axis)] * x.strides[static_cast<size_t>(axis)];
    l.define(name, part);
  }
  return true;
}

bool gather(Lowering& l, const Node& node) {
  const auto indices = integers(l, node, 1);
  View x = l.view(node.inputs[0]);
  if (!indices || indices->empty() || l.type(node.inputs[1]).shape.size() > 1) return false;
  int64_t axis = node.get<int64_t>("axis", 0);
  if (axis < 0) axis += x.rank();
  const size_t at = static_cast<size_t>(axis);
  const int64_t extent = x.shape[at];
  std::vector<int64_t> picked = *indices;
  for (int64_t& index : picked) {
    if (index < -extent || index >= extent) return false;  // the reference kernel says so when it runs
    if (index < 0) index += extent;
  }
  // A single index, or evenly spaced ones, only move the window.
  const int64_t step = picked.size() > 1 ? picked[1] - picked[0] : 1;
  if (step < 1) return false;
  for (size_t i = 1; i < picked.size(); ++i)
    if (picked[i] - picked[i - 1] != step) return false;
  x.offset += picked[0] * x.strides[at];
  if (l.type(node.inputs[1]).shape.empty()) {
    x.shape.erase(x.shape.begin() + axis), x.strides.erase(x.strides.begin() + axis);
  } else {
    x.shape[at] = static_cast<int64_t>(picked.size()), x.strides[at] *= step;
  }
  l.define(node.outputs[0], x);
  return true;
}

bool expand(Lowering& l, const Node& node) {
  l.define(node.outputs[0], broadcast_to(l.view(node.inputs[0]), l.type(node.outputs[0]).shape));
  return true;
}

bool concat(Lowering& l, const Node& node) {
  std::vector<View> parts;
  for (const std::string& name : node.inputs) parts.push_back(l.view(name));
  int64_t axis = node.get<int64_t>("axis", 0);
  if (axis < 0) axis += parts[0].rank();
  const View y = make_like(l, node.outputs[0], [&] {
    std::vector<View> grown = parts;
    for (View& v : grown)
      if (v.rank() >= 3 && v.shape[1] > 1) v.shape = l.type(node.outputs[0]).shape;
    return grown;
  }());
  View at = y;
  for (const View& part : parts) {
    at.shape = part.shape;
    l.copy(part, at);
    at.offset += part.shape[static_cast<size_t>(axis)] * y.strides[static_cast<size_t>(axis)];
  }
  return true;
}

bool pad(Lowering& l, const Node& node) {
  if (node.get<std::string>("mode", "constant") != "constant" || !node.input(3).empty()) return false;
  std::optional<std::vector<int64_t>> pads;
  if (node.attributes.contains("pads"))
    pads = node.get<Shape>("pads", {});
  else
    pads = integers(l, node, 1);
  const View x = l.view(node.inputs[0]);
  if (!pads || static_cast<int64_t>(pads->size()) != 2 * x.rank()) return false;
  for (const int64_t p : *pads)
    if (p < 0) return false;
  std::byte value[8] = {};
  if (node.attributes.contains("value") && x.type == Type::kFloat32) {
    const float v = node.get<float>("value", 0);
    std::memcpy(value, &v, 4);
  }
  if (!node.input(2).empty()) {
    const Tensor* given = l.constant(node.input(2));
    if (given == nullptr || given->count() != 1 || given->type() != x.type) return false;
    std::memcpy(value, given->bytes(), type_size(x.type));
  }
  const View y = make_like(l, node.outputs[0], [&] {
    View grown = x;
    grown.shape = l.type(node.outputs[0]).shape;
    return std::vector<View>{grown};
  }());
  l.fill(y, value);
  View inside = y;
  for (size_t i = 0; i < x.shape.size(); ++i) inside.offset += (*pads)[i] * y.strides[i];
  inside.shape = x.shape;
  l.copy(x, inside);
  return true;
}

bool constant_of_shape(Lowering& l, const Node& node) {
  const Tensor value = node.get<Tensor>("value", Tensor(Type::kFloat32, {1}));
  if (value.count() != 1) return false;
  l.fill(l.make(node.outputs[0]), value.bytes());
  return true;
}

// ---- ai.onnx.ml and the tree libraries

kernels::TreeProgram* tree_program(Lowering& l, const Node& node) {
  auto& made = l.packing().trees[node.name + node.outputs.back()];
  if (made == nullptr) {
    const Result<kernels::Trees> trees = trees_from(node, l.type(node.inputs[0]));
    if (!trees.ok()) return nullptr;
    std::optional<kernels::TreeProgram> program = kernels::TreeProgram::build(trees.value());
    if (!program) return nullptr;
    made = std::make_shared<kernels::TreeProgram>(std::move(*program));
  }
  l.keep(made);
  return made.get();
}

bool tree_input(const Lowering& l, const Node& node) {
  const TensorType& x = l.type(node.inputs[0]);
  return x.shape.size() == 2 && (x.type == Type::kFloat32 || x.type == Type::kFloat64);
}

View emit_trees(Lowering& l, const Node& node, const kernels::TreeProgram* program, const View& out,
                const View* touched, bool clear) {
  const View x = l.dense(l.view(node.inputs[0]));
  TreeArgs args;
  args.trees = program, args.rows = x.shape[0], args.float64_input = x.type == Type::kFloat64,
  args.clear_untouched = clear;
  l.emit(run_trees, kernels::tree_method_name(program->method()), args, {&out, &x, touched});
  return out;
}

bool own_trees(Lowering& l, const Node& node) {
  const kernels::TreeProgram* program = tree_input(l, node) ? tree_program(l, node) : nullptr;
  if (program == nullptr || program->float64_sum() != (l.type(node.outputs[0]).type == Type::kFloat64)) return false;
  emit_trees(l, node, program, l.make(node.outputs[0]), nullptr, false);
  return true;
}

bool tree_regressor(Lowering& l, const Node& node) {
  const kernels::TreeProgram* program = tree_input(l, node) ? tree_program(l, node) : nullptr;
  const Result<kernels::PostTransform> transform = post_transform_from(node);
  if (program == nullptr || !transform.ok() || program->float64_sum() || l.type(node.outputs[0]).type != Type::kFloat32)
    return false;
  const View y = l.make(node.outputs[0]);
  const int64_t n = program->outputs(), rows = l.type(node.inputs[0]).shape[0];
  const View touched = l.scratch(Type::kUInt8, {rows, n});
  emit_trees(l, node, program, y, n > 1 ? &touched : nullptr, n > 1);
  if (n == 1 && transform.value() != kernels::PostTransform::kProbit) return true;
  if (transform.value() != kernels::PostTransform::kNone)
    l.emit(run_post_transform, "post_transform", PostTransformArgs{transform.value(), rows, n}, {&y});
  return true;
}

bool tree_classifier(Lowering& l, const Node& node) {
  const kernels::TreeProgram* program = tree_input(l, node) ? tree_program(l, node) : nullptr;
  const Result<kernels::Classifier> classifier = classifier_from(node);
  if (program == nullptr || !classifier.ok() ||
      program->float64_sum() != (l.type(node.inputs[0]).type == Type::kFloat64))
    return false;
  const int64_t rows = l.type(node.inputs[0]).shape[0], n = program->outputs();
  const View sums = l.scratch(program->float64_sum() ? Type::kFloat64 : Type::kFloat32, {rows, n}),
             touched = l.scratch(Type::kUInt8, {rows, n});
  emit_trees(l, node, program, sums, &touched, false);
  const View labels = node.outputs[0].empty() ? l.scratch(Type::kInt64, {rows}) : l.make(node.outputs[0]);
  const bool scored = node.outputs.size() > 1 && !node.outputs[1].empty();
  const View out = scored ? l.make(node.outputs[1]) : l.scratch(Type::kFloat32, {rows, n});
  if (out.shape.back() != n) return false;
  l.emit(run_classify, "classify", ClassifyArgs{classifier.value(), rows, n, program->float64_sum()},
         {&labels, &out, &sums, &touched});
  return true;
}

bool objective(Lowering& l, const Node& node) {
  const auto kind = kernels::objective_from_name(node.get<std::string>("kind", ""));
  const std::vector<double> scale = to_doubles(node.get<Tensor>("scale", Tensor::of<double>({}, {1.0})));
  const View x = l.dense(l.view(node.inputs[0]));
  if (!kind || scale.size() != 1 || x.rank() != 2) return false;
  const View y = l.make(node.outputs[0]);
  l.emit(run_objective, "objective", ObjectiveArgs{*kind, scale[0], x.shape[0], x.shape[1], x.type == Type::kFloat64},
         {&y, &x});
  return true;
}

bool linear(Lowering& l, const Node& node) {
  const TensorType x_type = l.type(node.inputs[0]);
  const Result<kernels::PostTransform> transform = post_transform_from(node);
  if (x_type.type != Type::kFloat32 || x_type.shape.size() != 2 || !transform.ok()) return false;
  const auto w = node.get<std::vector<float>>("coefficients", {}), b = node.get<std::vector<float>>("intercepts", {});
  const int64_t k = x_type.shape[1], rows = x_type.shape[0];
  if (k == 0 || w.empty() || static_cast<int64_t>(w.size()) % k != 0) return false;
  const int64_t n = static_cast<int64_t>(w.size()) / k;
  const bool classifies = node.op == "LinearClassifier";
  if (classifies && static_cast<int64_t>(b.size()) != n) return false;
  const std::string key = node.name + "/" + node.outputs.back();
  const View packed = l.packed(key + "/w", w.data(), k, n, 1, k);
  std::optional<View> bias;
  if (!b.empty()) bias = l.floats(key + "/b", b);
  const View x = l.view(node.inputs[0]);
  if (!classifies) {
    const View y = l.make(node.outputs[0]);
    emit_dense(l, x, packed, k, n, bias ? &*bias : nullptr, y, {});
    if (transform.value() != kernels::PostTransform::kNone &&
        (n > 1 || transform.value() == kernels::PostTransform::kProbit))
      l.emit(run_post_transform, "post_transform", PostTransformArgs{transform.value(), rows, n}, {&y});
    return true;
  }
  const View sums = l.scratch(Type::kFloat32, {rows, n});
  emit_dense(l, x, packed, k, n, bias ? &*bias : nullptr, sums, {});
  LinearTailArgs args;
  args.transform = transform.value(), args.labels = node.get<std::vector<int64_t>>("classlabels_ints", {});
  args.rows = rows, args.n = n;
  const bool scored = node.outputs.size() > 1 && !node.outputs[1].empty();
  std::optional<View> labels;
  if (!node.outputs[0].empty()) labels = l.make(node.outputs[0]);
  args.width = scored ? l.type(node.outputs[1]).shape[1] : std::max<int64_t>(n, 2);
  const View out = scored ? l.make(node.outputs[1]) : l.scratch(Type::kFloat32, {rows, args.width});
  l.emit(run_linear_tail, "linear_tail", args, {labels ? &*labels : nullptr, &out, &sums});
  return true;
}

bool normalizer(Lowering& l, const Node& node) {
  if (!all_floats(l, node) || l.type(node.inputs[0]).shape.empty()) return false;
  const std::string norm = node.get<std::string>("norm", "MAX");
  const View x = l.dense(l.view(node.inputs[0])), y = l.make(node.outputs[0]);
  NormalizerArgs args;
  args.norm = norm == "L1" ? NormalizerArgs::kL1 : norm == "L2" ? NormalizerArgs::kL2 : NormalizerArgs::kMax;
  args.n = x.shape.back(), args.rows = args.n == 0 ? 0 : x.count() / args.n;
  l.emit(run_normalizer, "normalizer", args, {&y, &x});
  return true;
}

using kernels::Binary;
using kernels::Reduce;
const std::map<std::string, Lower, std::less<>>& table() {
  static const std::map<std::string, Lower, std::less<>> kTable = {
      {"Gemm", gemm},
      {"MatMul", matmul},
      {"Conv", conv},
      {"Softmax", softmax},
      {"LogSoftmax", softmax},
      {"LayerNormalization", layer_norm},
      {"Relu", unary<Unary::kRelu>},
      {"LeakyRelu", unary<Unary::kLeakyRelu>},
      {"Sigmoid", unary<Unary::kSigmoid>},
      {"Tanh", unary<Unary::kTanh>},
      {"Elu", unary<Unary::kElu>},
      {"HardSigmoid", unary<Unary::kHardSigmoid>},
      {"HardSwish", unary<Unary::kHardSwish>},
      {"Softplus", unary<Unary::kSoftplus>},
      {"Neg", unary<Unary::kNeg>},
      {"Abs", unary<Unary::kAbs>},
      {"Sqrt", unary<Unary::kSqrt>},
      {"Reciprocal", unary<Unary::kReciprocal>},
      {"Exp", unary<Unary::kExp>},
      {"Log", unary<Unary::kLog>},
      {"Erf", unary<Unary::kErf>},
      {"Floor", unary<Unary::kFloor>},
      {"Ceil", unary<Unary::kCeil>},
      {"Gelu", unary<Unary::kGelu>},
      {"Clip", clip},
      {"Add", binary<Binary::kAdd>},
      {"Sub", binary<Binary::kSub>},
      {"Mul", binary<Binary::kMul>},
      {"Div", binary<Binary::kDiv>},
      {"Pow", binary<Binary::kPow>},
      {"Min", binary<Binary::kMin>},
      {"Max", binary<Binary::kMax>},
      {"ReduceMean", reduce<Reduce::kMean>},
      {"ReduceSum", reduce<Reduce::kSum>},
      {"ReduceMax", reduce<Reduce::kMax>},
      {"ReduceMin", reduce<Reduce::kMin>},
      {"ReduceProd", reduce<Reduce::kProd>},
      {"ReduceSumSquare", reduce<Reduce::kSumSquare>},
      {"ReduceL2", reduce<Reduce::kL2>},
      {"MaxPool", pool},
      {"AveragePool", pool},
      {"GlobalAveragePool", pool},
      {"GlobalMaxPool", pool},
      {"LSTM", recurrent},
      {"GRU", recurrent},
      {"Transpose", transpose},
      {"Reshape", same_elements},
      {"Squeeze", same_elements},
      {"Unsqueeze", same_elements},
      {"Flatten", same_elements},
      {"Identity", same_elements},
      {"Dropout", same_elements},
      {"Cast", same_elements},
      {"Slice", slice},
      {"Split", split},
      {"Gather", gather},
      {"Expand", expand},
      {"Concat", concat},
      {"Pad", pad},
      {"ConstantOfShape", constant_of_shape},
      {"hayate.TreeEnsemble", own_trees},
      {"hayate.Objective", objective},
      {"ai.onnx.ml.TreeEnsembleRegressor", tree_regressor},
      {"ai.onnx.ml.TreeEnsemble", tree_regressor},
      {"ai.onnx.ml.TreeEnsembleClassifier", tree_classifier},
      {"ai.onnx.ml.LinearClassifier", linear},
      {"ai.onnx.ml.LinearRegressor", linear},
      {"ai.onnx.ml.Normalizer", normalizer},
      {"ai.onnx.ml.ZipMap", same_elements}};
  return kTable;
}

}  // namespace

Lower find_lower(const Node& node) {
  const auto it = table().find(node.domain.empty() ? node.op : node.domain + "." + node.op);
  return it == table().end() ? nullptr : it->second;
}

}  // namespace hayate::native
