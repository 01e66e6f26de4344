#include "eval/kernel.h"
#include "graph/window.h"
#include "kernels/reference/loops.h"

namespace hayate {
namespace {

namespace ref = kernels::reference;

Shape spatial_of(const Shape& shape) { return Shape(shape.begin() + 2, shape.end()); }

ref::Window3 three_axes(const Window& w) {
  ref::Window3 g{{1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}};
  const size_t lead = 3 - w.kernel.size();
  for (size_t i = 0; i < w.kernel.size(); ++i) {
    g.input[lead + i] = w.input[i], g.output[lead + i] = w.output[i], g.kernel[lead + i] = w.kernel[i];
    g.stride[lead + i] = w.stride[i], g.dilation[lead + i] = w.dilation[i], g.pad[lead + i] = w.pads_begin[i];
  }
  return g;
}

template <typename F>
Result<bool> on_floats(Type type, F&& f) {
  if (type == Type::kFloat32)
    f.template operator()<float>();
  else
    f.template operator()<double>();
  return true;
}

template <bool kTransposed>
Result<bool> convolution(const KernelContext& c) {
  const Tensor &x = *c.inputs[0], &w = *c.inputs[1];
  const Result<Window> window = kTransposed ? transposed_window(c.node, spatial_of(x.shape()), spatial_of(w.shape()))
                                            : sliding_window(c.node, spatial_of(x.shape()), spatial_of(w.shape()));
  if (!window.ok()) return window.error();
  const ref::Window3 g = three_axes(window.value());
  const int64_t groups = c.node.get<int64_t>("group", 1), in = x.shape()[1] / groups,
                out = c.outputs[0]->shape()[1] / groups;
  return on_floats(x.type(), [&]<typename T>() {
    const T* bias = c.input(2) == nullptr ? nullptr : c.input(2)->data<T>();
    if constexpr (kTransposed)
      ref::conv_transpose(g, x.shape()[0], groups, in, out, x.data<T>(), w.data<T>(), bias, c.outputs[0]->data<T>());
    else
      ref::conv(g, x.shape()[0], groups, in, out, x.data<T>(), w.data<T>(), bias, c.outputs[0]->data<T>());
  });
}

Result<bool> pool_over(const KernelContext& c, const Window& window, ref::PoolKind kind) {
  const Tensor& x = *c.inputs[0];
  const ref::Window3 g = three_axes(window);
  int64_t pad_end[3] = {0, 0, 0};
  for (size_t i = 0; i < window.pads_end.size(); ++i) pad_end[3 - window.pads_end.size() + i] = window.pads_end[i];
  return on_floats(x.type(), [&]<typename T>() {
    Tensor unwanted(c.output(0) == nullptr ? x.type() : Type::kUInt8,
                    c.output(0) == nullptr ? c.output(1)->shape() : Shape{0});
    T* y = c.output(0) == nullptr ? unwanted.data<T>() : c.output(0)->data<T>();
    ref::pool(g, pad_end, kind, x.shape()[0] * x.shape()[1], x.data<T>(), y,
              c.output(1) == nullptr ? nullptr : c.output(1)->data<int64_t>());
  });
}

Result<bool> pool(const KernelContext& c) {
  const Result<Window> window =
      sliding_window(c.node, spatial_of(c.inputs[0]->shape()), c.node.get<Shape>("kernel_shape", {}));
  if (!window.ok()) return window.error();
  const bool with_pad = c.node.get<int64_t>("count_include_pad", 0) != 0;
  return pool_over(c, window.value(),
                   c.node.is("MaxPool") ? ref::PoolKind::kMax
                   : with_pad           ? ref::PoolKind::kAverageWithPad
                                        : ref::PoolKind::kAverage);
}

Result<bool> global_pool(const KernelContext& c) {
  const Shape spatial = spatial_of(c.inputs[0]->shape()), ones(spatial.size(), 1), zeros(spatial.size(), 0);
  if (c.inputs[0]->count() == 0) return true;
  return pool_over(c, Window{spatial, ones, ones, zeros, zeros, spatial, ones},
                   c.node.is("GlobalMaxPool") ? ref::PoolKind::kMax : ref::PoolKind::kAverage);
}

}  // namespace

void add_window_kernels(std::vector<KernelEntry>* table) {
  table->push_back({"", "Conv", convolution<false>});
  table->push_back({"", "ConvTranspose", convolution<true>});
  for (const char* op : {"MaxPool", "AveragePool"}) table->push_back({"", op, pool});
  for (const char* op : {"GlobalAveragePool", "GlobalMaxPool"}) table->push_back({"", op, global_pool});
}

}  // namespace hayate
