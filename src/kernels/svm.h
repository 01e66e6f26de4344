// Support vector machines of ai.onnx.ml, as ONNX Runtime reads the operators. Sums are float64, each score is rounded
// to float32 once.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/scores.h"

namespace hayate::kernels {

enum class SvmKernel : uint8_t { kLinear, kPoly, kRbf, kSigmoid };
std::optional<SvmKernel> svm_kernel_from_name(std::string_view name);  // "RBF" ...

// Classes are told apart in pairs (0, 1), (0, 2) .. (n - 2, n - 1), one score each.
struct Svm {
  SvmKernel kernel = SvmKernel::kLinear;
  double gamma = 0, coef0 = 0, degree = 0;
  int64_t features = 0;
  std::vector<float> vectors;  // [sum of class_sizes, features]; empty: one linear function per class
  // [classes - 1, vectors], without the row that would hold a class against itself; of linear ones [classes, features].
  std::vector<float> coefficients;
  std::vector<float> rho;             // one per pair; of linear ones the first is added to every class
  std::vector<int64_t> class_sizes;   // of a regressor: one entry
  std::vector<float> prob_a, prob_b;  // one per pair, or none: pairs then give probabilities of the classes
  std::vector<int64_t> labels = {};   // of a classifier
  PostTransform transform = PostTransform::kNone;

  int64_t classes() const { return static_cast<int64_t>(labels.size()); }
  // Scores that a row of classify() writes.
  int64_t width() const;
};

// The kernel of one row and one vector, of `features` numbers each. RBF: exp(-gamma |x - v|^2); else of
// s = gamma x.v + coef0: s^degree or tanh(s); linear: x.v.
double svm_product(const Svm& svm, const float* x, const float* v) noexcept;

// rho plus the weighted kernels of all vectors.
float svm_regress(const Svm& svm, const float* x) noexcept;

// The label of a row; `scores` receives width() values.
int64_t svm_classify(const Svm& svm, const float* x, std::span<float> scores);

}  // namespace hayate::kernels
