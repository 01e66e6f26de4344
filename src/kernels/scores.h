// What libraries make of raw scores, one row at a time, with libm's scalar functions in the library's own
// type: equal inputs give equal bits.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace hayate::kernels {

// Output transforms of LightGBM (in float64) and XGBoost (in float32).
enum class Objective : uint8_t {
  kIdentity,
  kSigmoid,         // 1 / (1 + exp(-scale * x))
  kClampedSigmoid,  // 1 / (exp(min(-x, 88.7)) + 1 + 1e-16), XGBoost's
  kSoftmax,         // over the row; the sum in float64
  kArgmax,          // the first largest: one value per row
  kExp,
  kWideExp,  // exp in float64, whatever the scores are (XGBoost's survival:aft)
  kLog1pExp,
  kSignedSquare,  // sign(x) * x * x
  kStep           // 1 where x > 0, else 0
};

const char* objective_name(Objective objective);  // "sigmoid" ...
std::optional<Objective> objective_from_name(std::string_view name);
// Values of a row of n scores after the transform.
inline int64_t objective_width(Objective objective, int64_t n) { return objective == Objective::kArgmax ? 1 : n; }
// y [rows, objective_width] from x [rows, n]; y may be x. Requires: n >= 1.
template <typename T>
void apply_objective(Objective objective, double scale, const T* x, int64_t rows, int64_t n, T* y);

// XGBoost's gblinear in float32: out [rows, outputs] starts from the last row of weights [features + 1, outputs]; then
// weight times value is added column by column, NaN left out.
void linear_booster(const float* weights, const float* x, int64_t rows, int64_t features, int64_t outputs,
                    float* out) noexcept;

// post_transform of ai.onnx.ml, as ONNX Runtime computes it.
enum class PostTransform : uint8_t { kNone, kLogistic, kSoftmax, kSoftmaxZero, kProbit };
std::optional<PostTransform> post_transform_from_name(std::string_view name);
// In place over one row. Requires: z holds at least one score. Of float64 scores LOGISTIC and PROBIT compute in
// float32.
template <typename T>
void apply_post_transform(PostTransform transform, std::span<T> z);
inline void apply_post_transform(PostTransform transform, std::span<float> z) {
  apply_post_transform<float>(transform, z);
}

// The end of ai.onnx.ml.TreeEnsembleClassifier.
struct Classifier {
  std::vector<int64_t> labels = {};  // one per class, at least 2
  std::vector<double> base = {};
  PostTransform transform = PostTransform::kNone;
  bool one_weighted_class = false;    // two classes of which the leaves name only one
  bool weights_all_positive = false;  // no weight below 0
};
// One row: `scores` (changed) and `touched`, one per class; z receives one value per class. Returns the
// label.
template <typename S>
int64_t classify(const Classifier& classifier, std::span<S> scores, std::span<uint8_t> touched, std::span<float> z);

}  // namespace hayate::kernels
