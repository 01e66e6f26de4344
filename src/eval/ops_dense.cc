#include <cmath>
#include <limits>

#include "eval/floats.h"
#include "eval/kernel.h"
#include "kernels/reference/loops.h"

namespace hayate {
namespace {

namespace ref = kernels::reference;

// Calls f.operator()<T>() for the numeric type (the rules let no bool through).
template <typename F>
Result<bool> on_numbers(Type type, F&& f) {
  visit_type(type, [&]<typename T>() {
    if constexpr (!std::is_same_v<T, bool>) f.template operator()<T>();
  });
  return true;
}

Result<bool> gemm(const KernelContext& c) {
  const Tensor &a = *c.inputs[0], &b = *c.inputs[1];
  Tensor& y = *c.outputs[0];
  const bool ta = c.node.get<int64_t>("transA", 0) != 0, tb = c.node.get<int64_t>("transB", 0) != 0;
  const int64_t m = y.shape()[0], n = y.shape()[1], k = a.shape()[!ta];
  const Tensor* bias = c.input(2);
  const ref::Extents strides = bias == nullptr ? ref::Extents{0, 0} : ref::broadcast_strides(bias->shape(), y.shape());
  return on_numbers(y.type(), [&]<typename T>() {
    ref::gemm<T>(m, n, k, static_cast<double>(c.node.get<float>("alpha", 1)), a.data<T>(), ta ? 1 : k, ta ? m : 1,
                 b.data<T>(), tb ? 1 : n, tb ? k : 1, static_cast<double>(c.node.get<float>("beta", 1)),
                 bias == nullptr ? nullptr : bias->data<T>(), strides[0], strides[1], y.data<T>());
  });
}

Result<bool> matmul(const KernelContext& c) {
  Shape a = c.inputs[0]->shape(), b = c.inputs[1]->shape();
  if (a.size() == 1) a.insert(a.begin(), 1);
  if (b.size() == 1) b.push_back(1);
  const int64_t m = a[a.size() - 2], k = a.back(), n = b.back();
  const Shape a_batch(a.begin(), a.end() - 2), b_batch(b.begin(), b.end() - 2), batch = *broadcast(a_batch, b_batch);
  const ref::Extents strides[2] = {ref::broadcast_strides(a_batch, batch), ref::broadcast_strides(b_batch, batch)};
  return on_numbers(c.outputs[0]->type(), [&]<typename T>() {
    ref::for_each_element(batch, strides, [&](int64_t i, const int64_t* at) {
      ref::gemm<T>(m, n, k, 1, c.inputs[0]->data<T>() + at[0] * m * k, k, 1, c.inputs[1]->data<T>() + at[1] * k * n, n,
                   1, 0, nullptr, 0, 0, c.outputs[0]->data<T>() + i * m * n);
    });
  });
}

enum class Max { kSoft, kLogSoft, kHard };

// 1 where the first of the highest stands, else 0.
template <typename T>
void hardmax_row(const T* x, T* y, int64_t n, int64_t step) {
  int64_t best = 0;
  for (int64_t i = 1; i < n; ++i)
    if (x[best * step] < x[i * step]) best = i;
  for (int64_t i = 0; i < n; ++i) y[i * step] = static_cast<T>(i == best);
}

// Softmax of `n` values that lie `step` apart.
template <typename T>
void softmax_row(const T* x, T* y, int64_t n, int64_t step, bool log) {
  double highest = -std::numeric_limits<double>::infinity(), sum = 0;
  for (int64_t i = 0; i < n; ++i) highest = std::fmax(highest, static_cast<double>(x[i * step]));
  for (int64_t i = 0; i < n; ++i) sum += std::exp(static_cast<double>(x[i * step]) - highest);
  for (int64_t i = 0; i < n; ++i) {
    const double shifted = static_cast<double>(x[i * step]) - highest;
    y[i * step] = static_cast<T>(log ? shifted - std::log(sum) : std::exp(shifted) / sum);
  }
}

Result<bool> softmax(const KernelContext& c, Max kind) {
  const Tensor& x = *c.inputs[0];
  if (x.count() == 0) return true;
  const int64_t rank = std::max(1, x.rank()),
                axis = *normal_axis(c.node.get<int64_t>("axis", c.opset < 13 ? 1 : -1), rank);
  int64_t middle = x.rank() == 0 ? 1 : x.shape()[axis], inner = 1;
  for (int64_t i = axis + 1; i < x.rank(); ++i)
    (c.opset < 13 ? middle : inner) *= x.shape()[i];  // before 13 all axes behind are one
  return on_floats(x.type(), [&]<typename T>() {
    for (int64_t i = 0; i < x.count() / middle; ++i) {
      const int64_t start = i / inner * middle * inner + i % inner;
      if (kind == Max::kHard)
        hardmax_row(x.data<T>() + start, c.outputs[0]->data<T>() + start, middle, inner);
      else
        softmax_row(x.data<T>() + start, c.outputs[0]->data<T>() + start, middle, inner, kind == Max::kLogSoft);
    }
  });
}

}  // namespace

void add_dense_kernels(std::vector<KernelEntry>* table) {
  table->push_back({"", "Gemm", gemm});
  table->push_back({"", "MatMul", matmul});
  table->push_back({"", "Softmax", [](const KernelContext& c) { return softmax(c, Max::kSoft); }});
  table->push_back({"", "LogSoftmax", [](const KernelContext& c) { return softmax(c, Max::kLogSoft); }});
  table->push_back({"", "Hardmax", [](const KernelContext& c) { return softmax(c, Max::kHard); }});
}

}  // namespace hayate
