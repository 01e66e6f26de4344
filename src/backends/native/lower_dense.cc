#include <algorithm>

#include "backends/native/lower_ops.h"

namespace hayate::native {
namespace {

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
  const std::optional<Integers> integers = alpha == 1 ? l.integers_of(node, 1, transposed_w ? 0 : 1) : std::nullopt;
  const DenseWeights weights =
      l.weights(scaled.data(), 1, k, n, transposed_w ? 1 : n, transposed_w ? k : 1, integers ? &*integers : nullptr);
  std::optional<View> added;
  if (bias != nullptr) {
    std::vector<float> values(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i)
      values[static_cast<size_t>(i)] = beta * bias->data<float>()[bias->count() == 1 ? 0 : i];
    added = l.floats(values);
  }
  std::string name = node.outputs[0];
  const View x = l.view(integers ? integers->x : node.inputs[0]);
  const kernels::Activation activation = l.take_activation(&name);
  emit_dense(l, x, weights, added ? &*added : nullptr, l.make(name), activation);
  return true;
}

bool matmul(Lowering& l, const Node& node) {
  if (!all_floats(l, node)) return false;
  const Tensor* w = l.constant(node.inputs[1]);
  const std::optional<Integers> integers = w != nullptr && w->rank() == 2 ? l.integers_of(node, 1, 1) : std::nullopt;
  const View a = l.view(integers ? integers->x : node.inputs[0]);
  std::string name = node.outputs[0];
  const Shape out = l.type(name).shape;
  if (w != nullptr && w->rank() == 2 && a.rank() >= 2) {
    const int64_t k = w->shape()[0], n = w->shape()[1];
    const DenseWeights weights = l.weights(w->data<float>(), 1, k, n, n, 1, integers ? &*integers : nullptr);
    const kernels::Activation activation = l.take_activation(&name);
    emit_dense(l, a, weights, nullptr, l.make(name), activation);
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

}  // namespace

void emit_dense(Lowering& l, const View& x, const DenseWeights& weights, const View* bias, const View& y,
                kernels::Activation activation) {
  View from = l.rows(x);
  RowStrides rows = row_strides(from);
  const int64_t k = weights.segment_length, n = weights.n;
  // Rows far apart, such as the last of each window, are gathered before they are narrowed.
  const int64_t outer = rows.m == 0 ? 0 : rows.m / rows.inner;
  if (weights.narrow && outer * rows.outer_stride + rows.inner * rows.inner_stride > 2 * rows.m * k) {
    from = l.dense(from);
    rows = row_strides(from);
  }
  DenseArgs args;
  args.set = &l.set();
  args.dense.m = rows.m, args.dense.n = n, args.dense.k = k;
  args.dense.inner = rows.inner, args.dense.x_outer = rows.outer_stride, args.dense.x_inner = rows.inner_stride;
  args.dense.segment_length = k;
  args.dense.y_outer = rows.inner * n, args.dense.y_inner = n;
  args.dense.activation = activation;
  emit_layer(l, "dense", std::move(args), from, weights, bias, y);
}

void emit_layer(Lowering& l, const char* kernel, DenseArgs args, const View& x, const DenseWeights& weights,
                const View* bias, const View& y, const View* start) {
  const kernels::Dense& dense = args.dense;
  const bool whole = dense.part == kernels::Part::kWhole && start == nullptr;
  if (!weights.narrow && whole && dense.m == 1 && args.images == 1 && args.segment_offsets.empty()) {
    l.emit(run_dense_row, kernel, DenseRowArgs{args.set->row_kernel(dense.n), {dense.n, dense.k, dense.activation}},
           {&x, &y, &weights.packed, bias});
    return;
  }
  if (!weights.narrow) {
    l.emit(run_dense, kernel, std::move(args), {&x, &y, &weights.packed, bias, start});
    return;
  }
  NarrowDenseArgs narrow;
  narrow.set = args.set, narrow.narrow = *weights.narrow;
  static_cast<kernels::DenseShape&>(narrow.dense) = dense;
  narrow.kernel = args.set->of(narrow.narrow).kernel_for(dense);
  narrow.segment_offsets = args.segment_offsets;
  narrow.images = args.images, narrow.x_image = args.x_image, narrow.y_image = args.y_image;
  narrow.start_image = args.start_image;
  int64_t count = 0;
  if (dense.m > 0 && dense.k > 0 && args.images > 0) {
    const int64_t last =
        args.segment_offsets.empty() ? 0 : *std::max_element(args.segment_offsets.begin(), args.segment_offsets.end());
    count = (args.images - 1) * args.x_image + (dense.m / dense.inner - 1) * dense.x_outer +
            (dense.inner - 1) * dense.x_inner + last + dense.segment_length;
  }
  const View from = l.narrowed(x, x.offset, count, weights);
  const bool int8 = *weights.narrow == kernels::Narrow::kInt8;
  const std::string name = std::string(kernel) + (int8 ? "_int8" : "_bf16");
  l.emit(run_narrow_dense, name.c_str(), std::move(narrow), {&from, &y, &weights.packed, bias, start});
}

void add_dense_lowers(LowerTable* table) { table->insert({{"Gemm", gemm}, {"MatMul", matmul}}); }

}  // namespace hayate::native
