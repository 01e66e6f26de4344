#include <algorithm>

#include "eval/kernel.h"
#include "eval/ml_floats.h"
#include "eval/trees.h"
#include "kernels/svm.h"

namespace hayate {
namespace {

Result<kernels::Svm> svm_of(const KernelContext& c) {
  const Result<kernels::PostTransform> transform = post_transform_from(c.node);
  if (!transform.ok()) return transform.error();
  const auto floats = [&](const char* key) { return c.node.get<std::vector<float>>(key, {}); };
  kernels::Svm svm;
  svm.kernel = *kernels::svm_kernel_from_name(c.node.get<std::string>("kernel_type", "LINEAR"));
  if (const std::vector<float> p = floats("kernel_params"); !p.empty())
    svm.gamma = static_cast<double>(p[0]), svm.coef0 = static_cast<double>(p[1]),
    svm.degree = static_cast<double>(p[2]);
  svm.features = c.inputs[0]->shape().back();
  svm.vectors = floats("support_vectors"), svm.coefficients = floats("coefficients"), svm.rho = floats("rho");
  svm.transform = transform.value();
  return svm;
}

// ONNX Runtime takes no notice of a regressor's post_transform.
Result<bool> svm_regressor(const KernelContext& c) {
  Result<kernels::Svm> svm = svm_of(c);
  if (!svm.ok()) return svm.error();
  if (c.node.get<int64_t>("n_supports", 0) == 0) svm.value().vectors.clear();
  const std::vector<float> x = floats_of(*c.inputs[0]);
  const bool one_class = c.node.get<int64_t>("one_class", 0) != 0;
  Tensor& y = *c.outputs[0];
  for (int64_t r = 0; r < y.count(); ++r) {
    const float value = kernels::svm_regress(svm.value(), x.data() + r * svm.value().features);
    y.data<float>()[r] = one_class ? (value > 0 ? 1.0f : -1.0f) : value;
  }
  return true;
}

Result<bool> classifier(const KernelContext& c) {
  Result<kernels::Svm> made = svm_of(c);
  if (!made.ok()) return made.error();
  kernels::Svm& svm = made.value();
  svm.class_sizes = c.node.get<std::vector<int64_t>>("vectors_per_class", {});
  if (std::all_of(svm.class_sizes.begin(), svm.class_sizes.end(), [](int64_t n) { return n == 0; }))
    svm.vectors.clear();
  svm.prob_a = c.node.get<std::vector<float>>("prob_a", {}), svm.prob_b = c.node.get<std::vector<float>>("prob_b", {});
  svm.labels = c.node.get<std::vector<int64_t>>("classlabels_ints", {});
  const std::vector<float> x = floats_of(*c.inputs[0]);
  std::vector<float> scores(svm.width());
  for (int64_t r = 0; r < row_count(*c.inputs[0]); ++r) {
    const int64_t label = kernels::svm_classify(svm, x.data() + r * svm.features, scores);
    if (c.output(0) != nullptr) c.output(0)->data<int64_t>()[r] = label;
    if (c.output(1) != nullptr) std::copy(scores.begin(), scores.end(), c.output(1)->data<float>() + r * svm.width());
  }
  return true;
}

}  // namespace

void add_svm_kernels(std::vector<KernelEntry>* table) {
  table->push_back({"ai.onnx.ml", "SVMRegressor", svm_regressor});
  table->push_back({"ai.onnx.ml", "SVMClassifier", classifier});
}

}  // namespace hayate
