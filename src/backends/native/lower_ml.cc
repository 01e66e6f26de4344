#include <algorithm>

#include "backends/native/lower_ops.h"
#include "eval/trees.h"

namespace hayate::native {
namespace {

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
  const DenseWeights weights = l.weights(w.data(), 1, k, n, 1, k);
  std::optional<View> bias;
  if (!b.empty()) bias = l.floats(b);
  const View x = l.view(node.inputs[0]);
  if (!classifies) {
    const View y = l.make(node.outputs[0]);
    emit_dense(l, x, weights, bias ? &*bias : nullptr, y, {});
    if (transform.value() != kernels::PostTransform::kNone &&
        (n > 1 || transform.value() == kernels::PostTransform::kProbit))
      l.emit(run_post_transform, "post_transform", PostTransformArgs{transform.value(), rows, n}, {&y});
    return true;
  }
  const View sums = l.scratch(Type::kFloat32, {rows, n});
  emit_dense(l, x, weights, bias ? &*bias : nullptr, sums, {});
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

}  // namespace

void add_ml_lowers(LowerTable* table) {
  table->insert({{"hayate.Objective", objective},
                 {"ai.onnx.ml.LinearClassifier", linear},
                 {"ai.onnx.ml.LinearRegressor", linear},
                 {"ai.onnx.ml.Normalizer", normalizer}});
}

}  // namespace hayate::native
