#include <algorithm>

#include "backends/native/lower_ops.h"
#include "graph/window.h"

namespace hayate::native {
namespace {

constexpr int64_t kRoundOfBf16 = 32;  // elements of a tile (docs/decisions/0006), as kChainsRound of float32

kernels::Part conv_part(const Node& node) {
  if (!is_conv_part(node)) return kernels::Part::kWhole;
  return node.op == "ConvBegin" ? kernels::Part::kBegin : kernels::Part::kEnd;
}

// Of weights [filters, depth, kernel...] those of `width` filters from `first` on over the taps that the node
// multiplies, as [taps, depth, width].
std::vector<float> filters_of(const Node& node, const Tensor& w, int64_t first, int64_t width) {
  const Shape kernel(w.shape().begin() + 2, w.shape().end());
  const Taps taps = taps_of(node, kernel);
  const int64_t depth = w.shape()[1], all = w.count() / w.shape()[0] / depth,
                inner = taps.axis + 1 < kernel.size() ? kernel.back() : 1;
  std::vector<float> made;
  made.reserve(static_cast<size_t>(all * depth * width));
  for (int64_t t = 0; t < all; ++t) {
    const int64_t place = t / inner % kernel[taps.axis];
    if (place < taps.first || place >= taps.first + taps.count) continue;
    for (int64_t c = 0; c < depth; ++c)
      for (int64_t f = 0; f < width; ++f) made.push_back(w.data<float>()[((first + f) * depth + c) * all + t]);
  }
  return made;
}

// Floats of a place's sums between the parts; 0: there are none.
int64_t size_of_sums(const Lowering& l, const Node& node) {
  const kernels::Part part = conv_part(node);
  if (part == kernels::Part::kWhole) return 0;
  return l.type(part == kernels::Part::kBegin ? node.outputs[0] : node.inputs[2]).shape.back();
}

// A Conv, or one of the two that it is in a stream (graph/rules_window.cc).
bool conv(Lowering& l, const Node& node) {
  using kernels::Part;
  const Part part = conv_part(node);
  const std::string bias_name = node.input(part == Part::kEnd ? 3 : 2);
  const Tensor *w = l.constant(node.inputs[1]), *bias = l.constant(bias_name);
  if (!all_floats(l, node) || w == nullptr || (!bias_name.empty() && bias == nullptr)) return false;
  const Shape x_shape = l.type(node.inputs[0]).shape;
  const size_t spatial = x_shape.size() - 2;
  if (spatial < 1 || spatial > 2) return false;
  const Result<Window> found =
      sliding_window(node, Shape(x_shape.begin() + 2, x_shape.end()), Shape(w->shape().begin() + 2, w->shape().end()));
  if (!found.ok()) return false;
  Window win = found.value();
  if (w->count() == 0 || x_shape[1] == 0) return false;  // nothing to multiply
  const int64_t groups = node.get<int64_t>("group", 1), channels = x_shape[1], filters = w->shape()[0],
                depth = channels / groups, width = filters / groups;
  const int64_t size = size_of_sums(l, node);
  if (part != Part::kWhole && size < kernels::begun_size(width)) return false;
  const int64_t taps = win.kernel[0] * (spatial == 2 ? win.kernel[1] : 1);
  const std::optional<Integers> integers = groups == 1 ? l.integers_of(node, 1, 0) : std::nullopt;
  const bool narrows = groups == 1 && (part == Part::kWhole || integers);  // no kernel has bfloat16 in two
  // The taps of a kernel row that lie side by side run as one segment. That goes through the chains of a sum in another
  // order where a tap is no whole round of them; there it follows from the layer alone, and not from how x lies.
  const bool rounds = depth % (l.bf16() ? kRoundOfBf16 : kernels::kChainsRound) == 0,
             in_rows = groups == 1 && win.kernel.back() > 1 && win.dilation.back() == 1 &&
                       node.get<int64_t>("taps_apart", 0) == 0;
  const View given = l.view(integers ? integers->x : node.inputs[0]);
  const bool side_by_side = given.shape.back() == 1 || given.strides.back() == depth;
  View x = l.image(given, win.pads_begin, win.pads_end, rounds || !in_rows || side_by_side);
  std::string name = node.outputs[0];
  const kernels::Activation activation = part == Part::kBegin ? kernels::Activation{} : l.take_activation(&name);
  const View y = part == Part::kBegin ? l.make(name) : l.make_image(name);
  // Not where it is the graph's output: then channels are copied.
  const bool rows_last = part == Part::kBegin || y.strides[1] == 1;
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
  const std::optional<View> sums = part == Part::kEnd ? std::optional(l.dense(l.view(node.inputs[2]))) : std::nullopt;
  View from = x;
  from.offset -= (flat ? 0 : win.pads_begin[0] * xh) + win.pads_begin[flat ? 0 : 1] * xw;
  for (int64_t g = 0; g < groups; ++g) {
    const std::vector<float> packed_w = filters_of(node, *w, g * width, width);
    std::optional<View> added;
    if (bias != nullptr)
      added = l.floats(std::vector<float>(bias->data<float>() + g * width, bias->data<float>() + (g + 1) * width));
    DenseArgs args;
    args.set = &l.set();
    args.images = x_shape[0], args.x_image = x.strides[0], args.y_image = target.strides[0];
    args.dense.m = oh * ow, args.dense.n = width, args.dense.k = taps * depth;
    args.dense.inner = ow, args.dense.x_outer = sh * xh, args.dense.x_inner = sw * xw;
    args.dense.y_outer = yh, args.dense.y_inner = yw;
    args.dense.activation = activation;
    args.dense.part = part;
    View group_x = from, group_y = target, group_sums = sums.value_or(View());
    group_x.offset += g * depth * (x.shape[1] == 1 ? 0 : x.strides[1]), group_y.offset += g * width;
    if (part == Part::kBegin) {
      args.y_image = groups * oh * ow * size, args.dense.y_outer = ow * size, args.dense.y_inner = size;
      group_y.offset = target.offset + g * oh * ow * size;
    } else if (part == Part::kEnd) {
      args.start_image = groups * oh * ow * size, args.dense.start_stride = size;
      group_sums.offset += g * oh * ow * size;
    }
    const bool joined = dw == 1 && xw == depth && (rounds || in_rows);
    for (int64_t i = 0; i < kh; ++i)
      for (int64_t j = 0; j < (joined ? 1 : kw); ++j) args.segment_offsets.push_back(i * dh * xh + j * dw * xw);
    args.dense.segments = static_cast<int64_t>(args.segment_offsets.size());
    args.dense.segment_length = depth * (joined ? kw : 1);
    const DenseWeights weights = narrows ? l.weights(packed_w.data(), args.dense.segments, args.dense.segment_length,
                                                     width, width, 1, integers ? &*integers : nullptr)
                                         : l.float_weights(packed_w.data(), taps * depth, width, width, 1);
    const char* of_part = part == Part::kBegin ? "_begin" : part == Part::kEnd ? "_end" : "";
    const std::string kernel_name = std::string(groups == 1 ? "conv" : "conv_group") + of_part;
    emit_layer(l, kernel_name.c_str(), std::move(args), group_x, weights, added ? &*added : nullptr, group_y,
               sums ? &group_sums : nullptr);
  }
  if (target.buffer != y.buffer) l.copy(target, y);
  return true;
}

bool pool(Lowering& l, const Node& node) {
  if (!all_floats(l, node) || (node.outputs.size() > 1 && !node.outputs[1].empty())) return false;
  const Shape in = l.type(node.inputs[0]).shape, out = l.type(node.outputs[0]).shape;
  if (in.size() != 3 && in.size() != 4) return false;
  if (std::find(in.begin() + 2, in.end(), 0) != in.end()) return false;  // of nothing: minus infinity, or NaN
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

}  // namespace

void add_conv_lowers(LowerTable* table) {
  table->insert({{"Conv", conv},
                 {"hayate.ConvBegin", conv},
                 {"hayate.ConvEnd", conv},
                 {"MaxPool", pool},
                 {"AveragePool", pool},
                 {"GlobalAveragePool", pool},
                 {"GlobalMaxPool", pool}});
}

}  // namespace hayate::native
