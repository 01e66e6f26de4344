#include <fmt/format.h>

#include <algorithm>

#include "eval/kernel.h"
#include "eval/trees.h"
#include "kernels/scores.h"
#include "kernels/trees.h"

namespace hayate {
namespace {

TensorType type_of_input(const KernelContext& c) { return {c.inputs[0]->type(), c.inputs[0]->shape()}; }

int64_t row_count(const Tensor& x) { return x.rank() == 1 ? 1 : x.shape()[0]; }

// The raw sums in Out. Integers are compared as float32, as ONNX Runtime does.
template <typename Out>
void raw_sums(const kernels::Trees& trees, const Tensor& x, Out* out, uint8_t* touched) {
  const int64_t rows = row_count(x);
  if (x.type() == Type::kFloat32) return kernels::evaluate_trees(trees, x.data<float>(), rows, out, touched);
  if (x.type() == Type::kFloat64) return kernels::evaluate_trees(trees, x.data<double>(), rows, out, touched);
  std::vector<float> floats(x.count());
  visit_type(x.type(), [&]<typename T>() { std::transform(x.data<T>(), x.data<T>() + x.count(), floats.begin(), [](T v) { return static_cast<float>(v); }); });
  kernels::evaluate_trees(trees, floats.data(), rows, out, touched);
}

Result<bool> own_ensemble(const KernelContext& c) {
  const Result<kernels::Trees> trees = trees_from(c.node, type_of_input(c));
  if (!trees.ok()) return trees.error();
  Tensor& y = *c.outputs[0];
  if (y.type() == Type::kFloat64) raw_sums(trees.value(), *c.inputs[0], y.data<double>(), nullptr);
  else raw_sums(trees.value(), *c.inputs[0], y.data<float>(), nullptr);
  return true;
}

Result<bool> objective(const KernelContext& c) {
  const std::string kind = c.node.get<std::string>("kind", "");
  const auto known = kernels::objective_from_name(kind);
  if (!known) return c.error(fmt::format("its kind '{}' is unknown", kind), Code::kInvalidArgument);
  const std::vector<double> scale = to_doubles(c.node.get<Tensor>("scale", Tensor::of<double>({}, {1.0})));
  if (scale.size() != 1) return c.error("its scale must be one number", Code::kInvalidArgument);
  const Tensor& x = *c.inputs[0];
  const int64_t rows = x.shape()[0], n = x.shape()[1];
  if (x.type() == Type::kFloat32) kernels::apply_objective(*known, scale[0], x.data<float>(), rows, n, c.outputs[0]->data<float>());
  else kernels::apply_objective(*known, scale[0], x.data<double>(), rows, n, c.outputs[0]->data<double>());
  return true;
}

Result<bool> regressor(const KernelContext& c) {
  const Result<kernels::Trees> trees = trees_from(c.node, type_of_input(c));
  if (!trees.ok()) return trees.error();
  const Result<kernels::PostTransform> transform = post_transform_from(c.node);
  if (!transform.ok()) return transform.error();
  Tensor& y = *c.outputs[0];
  if (y.type() == Type::kFloat64) {  // TreeEnsemble 5 on float64
    if (transform.value() != kernels::PostTransform::kNone) return c.error("post_transform of float64 sums is not supported", Code::kUnsupported);
    raw_sums(trees.value(), *c.inputs[0], y.data<double>(), nullptr);
    return true;
  }
  std::vector<uint8_t> touched(y.count());
  raw_sums(trees.value(), *c.inputs[0], y.data<float>(), touched.data());
  const int64_t n = trees.value().outputs;
  // Of several targets one that no leaf touched is 0 in ONNX Runtime, its base value notwithstanding.
  for (int64_t i = 0; n > 1 && i < y.count(); ++i)
    if (touched[i] == 0) y.data<float>()[i] = 0;
  // Of a single target ONNX Runtime applies PROBIT alone.
  if (n == 1 && transform.value() != kernels::PostTransform::kProbit) return true;
  for (int64_t r = 0; r < row_count(*c.inputs[0]); ++r) kernels::apply_post_transform(transform.value(), {y.data<float>() + r * n, static_cast<size_t>(n)});
  return true;
}

template <typename S>
void classify_rows(const kernels::Trees& trees, const kernels::Classifier& classifier, const Tensor& x, int64_t* labels, float* z) {
  const int64_t rows = row_count(x), n = trees.outputs;
  std::vector<S> scores(rows * n);
  std::vector<uint8_t> touched(rows * n);
  raw_sums(trees, x, scores.data(), touched.data());
  for (int64_t r = 0; r < rows; ++r) {
    const size_t at = static_cast<size_t>(r * n), count = static_cast<size_t>(n);
    labels[r] = kernels::classify<S>(classifier, {scores.data() + at, count}, {touched.data() + at, count}, {z + at, count});
  }
}

Result<bool> tree_classifier(const KernelContext& c) {
  const Result<kernels::Trees> trees = trees_from(c.node, type_of_input(c));
  if (!trees.ok()) return trees.error();
  const Result<kernels::Classifier> classifier = classifier_from(c.node);
  if (!classifier.ok()) return classifier.error();
  const Tensor& x = *c.inputs[0];
  const int64_t rows = row_count(x), n = trees.value().outputs;
  std::vector<int64_t> labels(rows);
  std::vector<float> scores(rows * n);
  if (x.type() == Type::kFloat64) classify_rows<double>(trees.value(), classifier.value(), x, labels.data(), scores.data());
  else classify_rows<float>(trees.value(), classifier.value(), x, labels.data(), scores.data());
  if (c.output(0) != nullptr) std::copy(labels.begin(), labels.end(), c.output(0)->data<int64_t>());
  if (c.output(1) != nullptr) std::copy(scores.begin(), scores.end(), c.output(1)->data<float>());
  return true;
}

}  // namespace

void add_ml_kernels(std::vector<KernelEntry>* table) {
  table->push_back({"hayate", "TreeEnsemble", own_ensemble});
  table->push_back({"hayate", "Objective", objective});
  table->push_back({"ai.onnx.ml", "TreeEnsembleRegressor", regressor});
  table->push_back({"ai.onnx.ml", "TreeEnsemble", regressor});
  table->push_back({"ai.onnx.ml", "TreeEnsembleClassifier", tree_classifier});
}

}  // namespace hayate
