#include <functional>

#include "eval/kernel.h"
#include "graph/window.h"
#include "kernels/quantized.h"

namespace hayate {
namespace {

namespace k = kernels;

k::QuantAxis axis_of(const KernelContext& c) {
  const Shape& shape = c.inputs[0]->shape();
  k::QuantAxis axis;
  axis.outer = c.inputs[0]->count();
  if (c.inputs[1]->count() == 1 && c.inputs[1]->rank() <= 1) return axis;
  const int64_t at = *normal_axis(c.node.get<int64_t>("axis", 1), static_cast<int64_t>(shape.size()));
  axis.outer = 1;
  for (int64_t i = 0; i < static_cast<int64_t>(shape.size()); ++i)
    (i < at ? axis.outer : i == at ? axis.along : axis.inner) *= shape[i];
  axis.block = c.node.get<int64_t>("block_size", 0);
  axis.per_place = true;
  return axis;
}

// Calls f.operator()<Q>() for the integer types that the rules let through.
template <typename F>
void on_integers(Type type, F&& f) {
  visit_type(type, [&]<typename T>() {
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool> && sizeof(T) <= 4) f.template operator()<T>();
  });
}

template <typename F>
void on_bytes(Type type, F&& f) {
  if (type == Type::kInt8)
    f.template operator()<int8_t>();
  else
    f.template operator()<uint8_t>();
}

template <typename T>
const T* data_or_null(const Tensor* tensor) {
  return tensor == nullptr ? nullptr : tensor->data<T>();
}

// How far apart two zero points or scales stand: one serves all.
int64_t step_of(const Tensor* tensor) { return tensor == nullptr || tensor->count() == 1 ? 0 : 1; }

// The tensor, or 16-bit floats as float32.
Tensor float32_of(const Tensor& tensor) {
  if (tensor.type() == Type::kFloat32) return tensor;
  const Tensor wide = halves_to_doubles(tensor);
  Tensor made(Type::kFloat32, tensor.shape());
  std::copy(wide.data<double>(), wide.data<double>() + wide.count(), made.data<float>());
  return made;
}

Result<bool> quantize(const KernelContext& c) {
  const Tensor x = float32_of(*c.inputs[0]), scale = float32_of(*c.inputs[1]);
  on_integers(c.outputs[0]->type(), [&]<typename Q>() {
    if constexpr (sizeof(Q) <= 2)
      k::quantize<Q>(axis_of(c), x.data<float>(), scale.data<float>(), data_or_null<Q>(c.input(2)),
                     c.outputs[0]->data<Q>());
  });
  return true;
}

Result<bool> dequantize(const KernelContext& c) {
  const Tensor scale = float32_of(*c.inputs[1]);
  const bool narrow = is_half_float(scale.type()) || c.outputs[0]->type() != Type::kFloat32;
  Tensor wide = narrow ? Tensor(Type::kFloat32, c.outputs[0]->shape()) : *c.outputs[0];
  on_integers(c.inputs[0]->type(), [&]<typename Q>() {
    k::dequantize<Q>(axis_of(c), c.inputs[0]->data<Q>(), scale.data<float>(), data_or_null<Q>(c.input(2)),
                     wide.data<float>());
  });
  if (!narrow) return true;
  Tensor doubles(Type::kFloat64, wide.shape());
  std::copy(wide.data<float>(), wide.data<float>() + wide.count(), doubles.data<double>());
  doubles_to_halves(doubles, c.outputs[0]);
  return true;
}

Result<bool> dynamic_quantize(const KernelContext& c) {
  const Tensor& x = *c.inputs[0];
  const k::QuantRange range = k::dynamic_range(x.data<float>(), x.count());
  if (c.output(1) != nullptr) c.output(1)->data<float>()[0] = range.scale;
  if (c.output(2) != nullptr) c.output(2)->data<uint8_t>()[0] = range.zero_point;
  if (c.output(0) != nullptr)
    k::quantize<uint8_t>({x.count()}, x.data<float>(), &range.scale, &range.zero_point, c.output(0)->data<uint8_t>());
  return true;
}

// Where matrix i of a stack stands whose leading extents are broadcast to `batch`.
int64_t stacked(const Shape& lead, const Shape& batch, int64_t i) {
  int64_t at = 0, step = 1;
  for (size_t axis = 0; axis < batch.size(); ++axis) {
    const int64_t place = i % batch[batch.size() - 1 - axis];
    i /= batch[batch.size() - 1 - axis];
    if (axis >= lead.size()) continue;
    const int64_t extent = lead[lead.size() - 1 - axis];
    at += extent == 1 ? 0 : place * step;
    step *= extent;
  }
  return at;
}

// The sums of a times b, stacks of matrices, into y.
void integer_products(const Tensor& a, const Tensor* a_zero, const Tensor& b, const Tensor* b_zero, int32_t* y) {
  Shape sa = a.shape(), sb = b.shape();
  if (sa.size() == 1) sa.insert(sa.begin(), 1);
  if (sb.size() == 1) sb.push_back(1);
  const int64_t m = sa[sa.size() - 2], depth = sa.back(), n = sb.back();
  const Shape la(sa.begin(), sa.end() - 2), lb(sb.begin(), sb.end() - 2), batch = *broadcast(la, lb);
  int64_t count = 1;
  for (const int64_t extent : batch) count *= extent;
  on_bytes(a.type(), [&]<typename A>() {
    on_bytes(b.type(), [&]<typename B>() {
      for (int64_t i = 0; i < count; ++i)
        k::integer_matmul<A, B>(m, n, depth, a.data<A>() + stacked(la, batch, i) * m * depth, data_or_null<A>(a_zero),
                                step_of(a_zero), b.data<B>() + stacked(lb, batch, i) * depth * n,
                                data_or_null<B>(b_zero), step_of(b_zero), y + i * m * n);
    });
  });
}

Result<bool> matmul_integer(const KernelContext& c) {
  integer_products(*c.inputs[0], c.input(2), *c.inputs[1], c.input(3), c.outputs[0]->data<int32_t>());
  return true;
}

// y = saturated(sum * (left * right / to)), the right scale at channel(i).
void requantize(const KernelContext& c, const Tensor& left, const Tensor& right, const Tensor& to,
                const std::vector<int32_t>& sums, const std::function<int64_t(int64_t)>& channel) {
  const int64_t step = step_of(&right);
  const Tensor& zero = *c.inputs[7];
  on_bytes(c.outputs[0]->type(), [&]<typename Q>() {
    for (size_t i = 0; i < sums.size(); ++i) {
      const float scale =
          left.data<float>()[0] * right.data<float>()[channel(static_cast<int64_t>(i)) * step] / to.data<float>()[0];
      c.outputs[0]->data<Q>()[i] = k::saturated<Q>(static_cast<float>(sums[i]) * scale, zero.data<Q>()[0]);
    }
  });
}

Result<bool> qlinear_matmul(const KernelContext& c) {
  std::vector<int32_t> sums(c.outputs[0]->count());
  integer_products(*c.inputs[0], c.inputs[2], *c.inputs[3], c.inputs[5], sums.data());
  const int64_t n = c.inputs[3]->rank() == 1 ? 1 : c.inputs[3]->shape().back();
  requantize(c, float32_of(*c.inputs[1]), float32_of(*c.inputs[4]), float32_of(*c.inputs[6]), sums,
             [n](int64_t i) { return i % n; });
  return true;
}

Result<bool> integer_conv(const KernelContext& c, const Tensor& x, const Tensor* x_zero, const Tensor& w,
                          const Tensor* w_zero, int32_t* y) {
  const Result<Window> window = sliding_window(c.node, Shape(x.shape().begin() + 2, x.shape().end()),
                                               Shape(w.shape().begin() + 2, w.shape().end()));
  if (!window.ok()) return window.error();
  const Window& from = window.value();
  k::IntegerWindow g;
  const size_t lead = 3 - from.kernel.size();
  for (size_t i = 0; i < from.kernel.size(); ++i) {
    g.input[lead + i] = from.input[i], g.output[lead + i] = from.output[i], g.kernel[lead + i] = from.kernel[i];
    g.stride[lead + i] = from.stride[i], g.dilation[lead + i] = from.dilation[i], g.pad[lead + i] = from.pads_begin[i];
  }
  const int64_t groups = c.node.get<int64_t>("group", 1);
  on_bytes(x.type(), [&]<typename X>() {
    on_bytes(w.type(), [&]<typename W>() {
      const int32_t zero = x_zero == nullptr ? 0 : x_zero->data<X>()[0];
      k::integer_conv<X, W>(g, x.shape()[0], groups, x.shape()[1] / groups, w.shape()[0] / groups, x.data<X>(), zero,
                            w.data<W>(), data_or_null<W>(w_zero), step_of(w_zero), y);
    });
  });
  return true;
}

Result<bool> conv_integer(const KernelContext& c) {
  return integer_conv(c, *c.inputs[0], c.input(2), *c.inputs[1], c.input(3), c.outputs[0]->data<int32_t>());
}

Result<bool> qlinear_conv(const KernelContext& c) {
  std::vector<int32_t> sums(c.outputs[0]->count());
  const Result<bool> summed = integer_conv(c, *c.inputs[0], c.inputs[2], *c.inputs[3], c.inputs[5], sums.data());
  if (!summed.ok()) return summed;
  const Shape& shape = c.outputs[0]->shape();
  const int64_t channels = shape[1], plane = channels == 0 || shape[0] == 0
                                                 ? 1
                                                 : std::max<int64_t>(1, c.outputs[0]->count() / (shape[0] * channels));
  const auto channel = [=](int64_t i) { return i / plane % channels; };
  if (const Tensor* bias = c.input(8))
    for (size_t i = 0; i < sums.size(); ++i)
      sums[i] = static_cast<int32_t>(static_cast<uint32_t>(sums[i]) +
                                     static_cast<uint32_t>(bias->data<int32_t>()[channel(static_cast<int64_t>(i))]));
  requantize(c, *c.inputs[1], *c.inputs[4], *c.inputs[6], sums, channel);
  return true;
}

}  // namespace

void add_quant_kernels(std::vector<KernelEntry>* table) {
  table->push_back({"", "QuantizeLinear", quantize});
  table->push_back({"", "DequantizeLinear", dequantize});
  table->push_back({"", "DynamicQuantizeLinear", dynamic_quantize});
  table->push_back({"", "MatMulInteger", matmul_integer});
  table->push_back({"", "QLinearMatMul", qlinear_matmul});
  table->push_back({"", "ConvInteger", conv_integer});
  table->push_back({"", "QLinearConv", qlinear_conv});
}

}  // namespace hayate
