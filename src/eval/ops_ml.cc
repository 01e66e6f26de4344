#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "eval/kernel.h"
#include "eval/ml_floats.h"
#include "eval/trees.h"
#include "kernels/scores.h"
#include "kernels/trees.h"

namespace hayate {
namespace {

TensorType type_of_input(const KernelContext& c) { return {c.inputs[0]->type(), c.inputs[0]->shape()}; }

// The raw sums in Out. Integers are compared as float32, as ONNX Runtime does.
template <typename Out>
void raw_sums(const kernels::Trees& trees, const Tensor& x, Out* out, uint8_t* touched) {
  const int64_t rows = row_count(x);
  if (x.type() == Type::kFloat32) return kernels::evaluate_trees(trees, x.data<float>(), rows, out, touched);
  if (x.type() == Type::kFloat64) return kernels::evaluate_trees(trees, x.data<double>(), rows, out, touched);
  kernels::evaluate_trees(trees, floats_of(x).data(), rows, out, touched);
}

Result<bool> own_ensemble(const KernelContext& c) {
  const Result<kernels::Trees> trees = trees_from(c.node, type_of_input(c));
  if (!trees.ok()) return trees.error();
  Tensor& y = *c.outputs[0];
  if (y.type() == Type::kFloat64)
    raw_sums(trees.value(), *c.inputs[0], y.data<double>(), nullptr);
  else
    raw_sums(trees.value(), *c.inputs[0], y.data<float>(), nullptr);
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
  if (x.type() == Type::kFloat32)
    kernels::apply_objective(*known, scale[0], x.data<float>(), rows, n, c.outputs[0]->data<float>());
  else
    kernels::apply_objective(*known, scale[0], x.data<double>(), rows, n, c.outputs[0]->data<double>());
  return true;
}

Result<bool> linear_booster(const KernelContext& c) {
  const Tensor weights = c.node.get<Tensor>("weights", Tensor());
  const int64_t features = weights.shape()[0] - 1, outputs = weights.shape()[1];
  kernels::linear_booster(weights.data<float>(), c.inputs[0]->data<float>(), row_count(*c.inputs[0]), features, outputs,
                          c.outputs[0]->data<float>());
  return true;
}

// Of several targets one that no leaf touched is 0 in ONNX Runtime, its base value notwithstanding.
template <typename T>
void clear_untouched(int64_t targets, const std::vector<uint8_t>& touched, T* y) {
  for (size_t i = 0; targets > 1 && i < touched.size(); ++i)
    if (touched[i] == 0) y[i] = 0;
}

// Of a single target ONNX Runtime applies PROBIT alone.
template <typename T>
void regress_rows(const kernels::Trees& trees, kernels::PostTransform transform, const Tensor& x, Tensor* y) {
  const int64_t n = trees.outputs, rows = row_count(x);
  std::vector<uint8_t> touched(y->count());
  raw_sums(trees, x, y->data<T>(), touched.data());
  clear_untouched(n, touched, y->data<T>());
  if (n == 1 && transform != kernels::PostTransform::kProbit) return;
  for (int64_t r = 0; r < rows; ++r)
    kernels::apply_post_transform<T>(transform, {y->data<T>() + r * n, static_cast<size_t>(n)});
}

Result<bool> tree_regressor(const KernelContext& c) {
  const Result<kernels::Trees> trees = trees_from(c.node, type_of_input(c));
  if (!trees.ok()) return trees.error();
  const Result<kernels::PostTransform> transform = post_transform_from(c.node);
  if (!transform.ok()) return transform.error();
  if (c.outputs[0]->type() == Type::kFloat64)  // TreeEnsemble 5 on float64
    regress_rows<double>(trees.value(), transform.value(), *c.inputs[0], c.outputs[0]);
  else
    regress_rows<float>(trees.value(), transform.value(), *c.inputs[0], c.outputs[0]);
  return true;
}

template <typename S>
void classify_rows(const kernels::Trees& trees, const kernels::Classifier& classifier, const Tensor& x, int64_t* labels,
                   float* z) {
  const int64_t rows = row_count(x), n = trees.outputs;
  std::vector<S> scores(rows * n);
  std::vector<uint8_t> touched(rows * n);
  raw_sums(trees, x, scores.data(), touched.data());
  for (int64_t r = 0; r < rows; ++r) {
    const size_t at = static_cast<size_t>(r * n), count = static_cast<size_t>(n);
    labels[r] =
        kernels::classify<S>(classifier, {scores.data() + at, count}, {touched.data() + at, count}, {z + at, count});
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
  if (x.type() == Type::kFloat64)
    classify_rows<double>(trees.value(), classifier.value(), x, labels.data(), scores.data());
  else
    classify_rows<float>(trees.value(), classifier.value(), x, labels.data(), scores.data());
  if (c.output(0) != nullptr) std::copy(labels.begin(), labels.end(), c.output(0)->data<int64_t>());
  if (c.output(1) != nullptr) std::copy(scores.begin(), scores.end(), c.output(1)->data<float>());
  return true;
}

// Scores [rows, outputs] = x coefficients^T + intercepts.
std::vector<float> linear_scores(const KernelContext& c, int64_t outputs) {
  const std::vector<float> x = floats_of(*c.inputs[0]), w = c.node.get<std::vector<float>>("coefficients", {}),
                           b = c.node.get<std::vector<float>>("intercepts", {});
  const int64_t rows = row_count(*c.inputs[0]), columns = c.inputs[0]->shape().back();
  std::vector<float> scores(rows * outputs);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t k = 0; k < outputs; ++k) {
      double sum = b.empty() ? 0.0 : static_cast<double>(b[k]);
      for (int64_t f = 0; f < columns; ++f)
        sum += static_cast<double>(x[r * columns + f]) * static_cast<double>(w[k * columns + f]);
      scores[r * outputs + k] = static_cast<float>(sum);
    }
  return scores;
}

Result<bool> linear_classifier(const KernelContext& c) {
  const Result<kernels::PostTransform> transform = post_transform_from(c.node);
  if (!transform.ok()) return transform.error();
  const std::vector<int64_t> labels = c.node.get<std::vector<int64_t>>("classlabels_ints", {});
  const int64_t outputs = static_cast<int64_t>(c.node.get<std::vector<float>>("intercepts", {}).size()),
                rows = row_count(*c.inputs[0]);
  std::vector<float> scores = linear_scores(c, outputs);
  for (int64_t r = 0; r < rows; ++r) {
    float* row = scores.data() + r * outputs;
    const int64_t best = outputs == 1 ? row[0] > 0 : std::max_element(row, row + outputs) - row;
    if (c.output(0) != nullptr)
      c.output(0)->data<int64_t>()[r] = outputs == 1 && labels.size() != 2 ? best : labels[best];
    if (c.output(1) == nullptr) continue;
    float* z = c.output(1)->data<float>() + r * c.output(1)->shape()[1];
    if (outputs > 1 || transform.value() == kernels::PostTransform::kProbit)
      kernels::apply_post_transform(transform.value(), {row, static_cast<size_t>(outputs)});
    std::copy(row, row + outputs, z);
    if (outputs > 1 || labels.size() != 2) continue;
    // A single score with two labels: a probability and its opposite, whatever it is.
    z[0] = transform.value() == kernels::PostTransform::kLogistic ? -row[0] : 1 - row[0], z[1] = row[0];
    if (transform.value() == kernels::PostTransform::kLogistic)
      kernels::apply_post_transform(transform.value(), {z, 2});
  }
  return true;
}

Result<bool> linear_regressor(const KernelContext& c) {
  const Result<kernels::PostTransform> transform = post_transform_from(c.node);
  if (!transform.ok()) return transform.error();
  const int64_t outputs = c.outputs[0]->shape()[1], rows = row_count(*c.inputs[0]);
  std::vector<float> scores = linear_scores(c, outputs);
  if (outputs > 1 || transform.value() == kernels::PostTransform::kProbit)
    for (int64_t r = 0; r < rows; ++r)
      kernels::apply_post_transform(transform.value(), {scores.data() + r * outputs, static_cast<size_t>(outputs)});
  std::copy(scores.begin(), scores.end(), c.outputs[0]->data<float>());
  return true;
}

Result<bool> normalizer(const KernelContext& c) {
  const std::vector<float> x = floats_of(*c.inputs[0]);
  const std::string norm = c.node.get<std::string>("norm", "MAX");
  const int64_t rows = row_count(*c.inputs[0]), n = c.inputs[0]->shape().back();
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = x.data() + r * n;
    double divisor = norm == "MAX" ? -std::numeric_limits<double>::infinity() : 0.0;
    for (int64_t i = 0; i < n; ++i) {
      const double v = static_cast<double>(row[i]);
      divisor = norm == "MAX" ? std::max(divisor, v) : divisor + (norm == "L1" ? std::fabs(v) : v * v);
    }
    if (norm == "L2") divisor = std::sqrt(divisor);
    for (int64_t i = 0; i < n; ++i)
      c.outputs[0]->data<float>()[r * n + i] =
          divisor == 0 ? row[i] : static_cast<float>(static_cast<double>(row[i]) / divisor);
  }
  return true;
}

Result<bool> scaler(const KernelContext& c) {
  const std::vector<float> x = floats_of(*c.inputs[0]), offset = c.node.get<std::vector<float>>("offset", {}),
                           scale = c.node.get<std::vector<float>>("scale", {});
  const size_t n = static_cast<size_t>(c.inputs[0]->shape().back());
  for (size_t i = 0; i < x.size(); ++i)
    c.outputs[0]->data<float>()[i] =
        (x[i] - offset[offset.size() == 1 ? 0 : i % n]) * scale[scale.size() == 1 ? 0 : i % n];
  return true;
}

template <typename T>
void impute(const Tensor& x, T replaced, const std::vector<T>& imputed, T* y) {
  const size_t n = static_cast<size_t>(x.shape().back()), count = static_cast<size_t>(x.count());
  for (size_t i = 0; i < count; ++i) {
    const T value = x.data<T>()[i];
    const bool missing = value == replaced || (value != value && replaced != replaced);
    y[i] = missing ? imputed[imputed.size() == 1 ? 0 : i % n] : value;
  }
}

Result<bool> imputer(const KernelContext& c) {
  const Tensor& x = *c.inputs[0];
  Tensor& y = *c.outputs[0];
  const auto floats = c.node.get<std::vector<float>>("imputed_value_floats", {});
  const float replaced = c.node.get<float>("replaced_value_float", 0);
  if (x.type() == Type::kInt64)
    impute(x, c.node.get<int64_t>("replaced_value_int64", 0),
           c.node.get<std::vector<int64_t>>("imputed_value_int64s", {}), y.data<int64_t>());
  else if (x.type() == Type::kFloat64)
    impute(x, static_cast<double>(replaced), std::vector<double>(floats.begin(), floats.end()), y.data<double>());
  else
    impute(x, replaced, floats, y.data<float>());
  return true;
}

Result<bool> binarizer(const KernelContext& c) {
  const double threshold = static_cast<double>(c.node.get<float>("threshold", 0));
  const Tensor& x = *c.inputs[0];
  visit_type(x.type(), [&]<typename T>() {
    std::transform(x.data<T>(), x.data<T>() + x.count(), c.outputs[0]->data<T>(),
                   [&](T v) { return static_cast<T>(static_cast<double>(v) > threshold ? 1 : 0); });
  });
  return true;
}

Result<bool> feature_vectorizer(const KernelContext& c) {
  const int64_t rows = c.outputs[0]->shape()[0], columns = c.outputs[0]->shape()[1];
  int64_t at = 0;
  for (const Tensor* input : c.inputs) {
    const std::vector<float> x = floats_of(*input);
    const int64_t n = input->shape()[1];
    for (int64_t r = 0; r < rows; ++r)
      std::copy(x.begin() + r * n, x.begin() + (r + 1) * n, c.outputs[0]->data<float>() + r * columns + at);
    at += n;
  }
  return true;
}

Result<bool> array_feature_extractor(const KernelContext& c) {
  const Tensor &x = *c.inputs[0], &indices = *c.inputs[1];
  const int64_t n = x.shape().back(), count = indices.count(), rows = n == 0 ? 0 : x.count() / n;
  const size_t size = type_size(x.type());
  for (int64_t i = 0; i < count; ++i)
    if (indices.data<int64_t>()[i] < 0 || indices.data<int64_t>()[i] >= n)
      return c.error(
          fmt::format("index {} of '{}' is outside 0 to {}", indices.data<int64_t>()[i], c.node.input(1), n - 1));
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < count; ++i)
      std::memcpy(c.outputs[0]->bytes() + (r * count + i) * size,
                  x.bytes() + (r * n + indices.data<int64_t>()[i]) * size, size);
  return true;
}

Result<bool> zip_map(const KernelContext& c) {
  std::memcpy(c.outputs[0]->bytes(), c.inputs[0]->bytes(), c.inputs[0]->byte_count());
  return true;
}

}  // namespace

void add_ml_kernels(std::vector<KernelEntry>* table) {
  table->push_back({"hayate", "TreeEnsemble", own_ensemble});
  table->push_back({"hayate", "Objective", objective});
  table->push_back({"hayate", "LinearBooster", linear_booster});
  table->push_back({"ai.onnx.ml", "TreeEnsembleRegressor", tree_regressor});
  table->push_back({"ai.onnx.ml", "TreeEnsemble", tree_regressor});
  table->push_back({"ai.onnx.ml", "TreeEnsembleClassifier", tree_classifier});
  table->push_back({"ai.onnx.ml", "LinearClassifier", linear_classifier});
  table->push_back({"ai.onnx.ml", "LinearRegressor", linear_regressor});
  table->push_back({"ai.onnx.ml", "Normalizer", normalizer});
  table->push_back({"ai.onnx.ml", "Scaler", scaler});
  table->push_back({"ai.onnx.ml", "ArrayFeatureExtractor", array_feature_extractor});
  table->push_back({"ai.onnx.ml", "Imputer", imputer});
  table->push_back({"ai.onnx.ml", "Binarizer", binarizer});
  table->push_back({"ai.onnx.ml", "FeatureVectorizer", feature_vectorizer});
  table->push_back({"ai.onnx.ml", "ZipMap", zip_map});
}

}  // namespace hayate
