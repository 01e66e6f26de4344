#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "eval/floats.h"
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

// Of weights [M, C, kernel...] the taps that the node multiplies.
std::vector<double> multiplied(const Node& node, const Tensor& weights) {
  const Shape kernel = spatial_of(weights.shape());
  const Taps taps = taps_of(node, kernel);
  const int64_t inner = ref::product(Shape(kernel.begin() + static_cast<std::ptrdiff_t>(taps.axis) + 1, kernel.end()));
  std::vector<double> made;
  for (int64_t i = 0; i < weights.count(); ++i)
    if (const int64_t tap = i / inner % kernel[taps.axis]; tap >= taps.first && tap < taps.first + taps.count)
      made.push_back(static_cast<double>(weights.data<float>()[i]));
  return made;
}

std::vector<double> doubles(const Tensor* tensor) {
  if (tensor == nullptr) return {};
  return {tensor->data<float>(), tensor->data<float>() + tensor->count()};
}

// Of a convolution in two each part on float64, so that nothing is rounded between them: a sum lies in the place of two
// floats.
template <bool kEnd>
Result<bool> convolution_part(const KernelContext& c) {
  const Tensor &x = *c.inputs[0], &w = *c.inputs[1], &sums = kEnd ? *c.inputs[2] : *c.outputs[0];
  const Result<Window> window = sliding_window(c.node, spatial_of(x.shape()), spatial_of(w.shape()));
  if (!window.ok()) return window.error();
  const ref::Window3 g = three_axes(window.value());
  const int64_t images = x.shape()[0], groups = c.node.get<int64_t>("group", 1), filters = w.shape()[0],
                width = filters / groups, places = ref::product(window.value().output), size = sums.shape().back();
  std::vector<double> y(static_cast<size_t>(images * filters * places));
  // f(sum in y, where its floats begin in `sums`).
  const auto each = [&](auto&& f) {
    for (int64_t i = 0; i < images * groups; ++i)
      for (int64_t o = 0; o < width; ++o)
        for (int64_t p = 0; p < places; ++p)
          f(y[static_cast<size_t>((i * width + o) * places + p)], (i * places + p) * size + 2 * o);
  };
  if (kEnd) each([&](double& sum, int64_t at) { std::memcpy(&sum, sums.data<float>() + at, sizeof sum); });
  const std::vector<double> from = doubles(&x), weights = multiplied(c.node, w), bias = doubles(c.input(kEnd ? 3 : 2));
  ref::conv(g, images, groups, x.shape()[1] / groups, width, from.data(), weights.data(),
            bias.empty() ? nullptr : bias.data(), y.data(), kEnd ? y.data() : nullptr);
  float* to = c.outputs[0]->data<float>();
  if (kEnd) {
    std::transform(y.begin(), y.end(), to, [](double sum) { return static_cast<float>(sum); });
  } else {
    std::fill_n(to, sums.count(), 0.0f);
    each([&](double& sum, int64_t at) { std::memcpy(to + at, &sum, sizeof sum); });
  }
  return true;
}

// Calls f.operator()<T>() for the types that pools take: floats, and bytes for the maximum.
template <typename F>
Result<bool> on_pooled(Type type, F&& f) {
  if (type == Type::kInt8)
    f.template operator()<int8_t>();
  else if (type == Type::kUInt8)
    f.template operator()<uint8_t>();
  else
    return on_floats(type, f);
  return true;
}

Result<bool> pool_over(const KernelContext& c, const Window& window, ref::PoolKind kind) {
  const Tensor& x = *c.inputs[0];
  const ref::Window3 g = three_axes(window);
  ref::Pooling pooling;
  pooling.kind = kind;
  for (size_t i = 0; i < window.pads_end.size(); ++i)
    pooling.pad_end[3 - window.pads_end.size() + i] = window.pads_end[i];
  pooling.p = static_cast<double>(c.node.get<int64_t>("p", 2));
  pooling.column_major = c.node.get<int64_t>("storage_order", 0) != 0;
  return on_pooled(x.type(), [&]<typename T>() {
    Tensor unwanted(c.output(0) == nullptr ? x.type() : Type::kUInt8,
                    c.output(0) == nullptr ? c.output(1)->shape() : Shape{0});
    T* y = c.output(0) == nullptr ? unwanted.data<T>() : c.output(0)->data<T>();
    ref::pool(g, pooling, x.shape()[0] * x.shape()[1], x.data<T>(), y,
              c.output(1) == nullptr ? nullptr : c.output(1)->data<int64_t>());
  });
}

ref::PoolKind pool_kind(const Node& node) {
  if (node.op.ends_with("MaxPool")) return ref::PoolKind::kMax;
  if (node.op.ends_with("LpPool")) return ref::PoolKind::kLp;
  return node.get<int64_t>("count_include_pad", 0) != 0 ? ref::PoolKind::kAverageWithPad : ref::PoolKind::kAverage;
}

Result<bool> pool(const KernelContext& c) {
  const Result<Window> window =
      sliding_window(c.node, spatial_of(c.inputs[0]->shape()), c.node.get<Shape>("kernel_shape", {}));
  if (!window.ok()) return window.error();
  return pool_over(c, window.value(), pool_kind(c.node));
}

Result<bool> global_pool(const KernelContext& c) {
  const Shape spatial = spatial_of(c.inputs[0]->shape()), ones(spatial.size(), 1), zeros(spatial.size(), 0);
  if (c.inputs[0]->count() == 0) return true;
  return pool_over(c, Window{spatial, ones, ones, zeros, zeros, spatial, ones}, pool_kind(c.node));
}

// Each value goes where its index says, counted in the shape that was pooled; the output may be larger than that.
Result<bool> max_unpool(const KernelContext& c) {
  const Tensor &x = *c.inputs[0], &indices = *c.inputs[1];
  Tensor& y = *c.outputs[0];
  const Result<Shape> counted = unpooled_shape(c.node, x.shape());
  if (!counted.ok()) return counted.error();
  const ref::Extents steps = ref::row_major(y.shape());
  const int64_t count = ref::product(counted.value());
  for (int64_t i = 0; i < x.count(); ++i) {
    int64_t left = indices.data<int64_t>()[i], at = 0;
    bool inside = left >= 0 && left < count;
    for (size_t axis = steps.size(); inside && axis-- > 0;) {
      const int64_t place = left % counted.value()[axis];
      left /= counted.value()[axis];
      inside = place < y.shape()[axis];
      at += place * steps[axis];
    }
    if (!inside)
      return c.error(fmt::format("index {} is outside shape {}", indices.data<int64_t>()[i], shape_text(y.shape())));
    on_floats(x.type(), [&]<typename T>() { y.data<T>()[at] = x.data<T>()[i]; }).value();
  }
  return true;
}

}  // namespace

void add_window_kernels(std::vector<KernelEntry>* table) {
  table->push_back({"", "Conv", convolution<false>});
  table->push_back({"", "ConvTranspose", convolution<true>});
  table->push_back({"hayate", "ConvBegin", convolution_part<false>});
  table->push_back({"hayate", "ConvEnd", convolution_part<true>});
  for (const char* op : {"MaxPool", "AveragePool", "LpPool"}) table->push_back({"", op, pool});
  for (const char* op : {"GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"}) table->push_back({"", op, global_pool});
  table->push_back({"", "MaxUnpool", max_unpool});
}

}  // namespace hayate
