#include "kernels/svm.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace hayate::kernels {
namespace {

double dot(const float* a, const float* b, int64_t n) noexcept {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

double squared_distance(const float* a, const float* b, int64_t n) noexcept {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += difference * difference;
  }
  return sum;
}

int64_t pair_count(int64_t classes) { return classes * (classes - 1) / 2; }

// The kernels of x with every vector.
std::vector<double> products(const Svm& svm, const float* x) {
  std::vector<double> made(svm.vectors.size() / static_cast<size_t>(svm.features));
  for (size_t v = 0; v < made.size(); ++v)
    made[v] = svm_product(svm, x, svm.vectors.data() + static_cast<int64_t>(v) * svm.features);
  return made;
}

// One score per pair of classes, and how many pairs each class won.
std::vector<double> pair_scores(const Svm& svm, const float* x, std::vector<int64_t>* votes) {
  const std::vector<double> kernels = products(svm, x);
  const int64_t classes = svm.classes(), count = static_cast<int64_t>(kernels.size());
  std::vector<int64_t> start(classes + 1, 0);
  std::partial_sum(svm.class_sizes.begin(), svm.class_sizes.end(), start.begin() + 1);
  std::vector<double> scores;
  const auto weighted = [&](int64_t of_class, int64_t row) {
    double sum = 0;
    for (int64_t v = start[of_class]; v < start[of_class + 1]; ++v)
      sum += static_cast<double>(svm.coefficients[row * count + v]) * kernels[v];
    return sum;
  };
  for (int64_t i = 0; i < classes; ++i)
    for (int64_t j = i + 1; j < classes; ++j) {
      const double rho = static_cast<double>(svm.rho[scores.size()]);
      scores.push_back(weighted(i, j - 1) + weighted(j, i) + rho);
      ++(*votes)[scores.back() > 0 ? i : j];
    }
  return scores;
}

// Probabilities of n classes from those of the pairs, r(i, j) that it is i where it is i or j (Wu, Lin and Weng,
// "Probability Estimates for Multi-class Classification by Pairwise Coupling", second method). Where the steps end
// depends on rounding: float32, as in ONNX Runtime.
void couple(const std::vector<float>& r, std::span<float> p) {
  const size_t n = p.size();
  constexpr int kStepsMax = 100;
  const float close = 0.005f / static_cast<float>(n);
  std::vector<float> q(n * n, 0.0f), qp(n);
  for (size_t i = 0; i < n; ++i) {
    p[i] = 1.0f / static_cast<float>(n);
    for (size_t j = 0; j < n; ++j) {
      if (j == i) continue;
      q[i * n + i] += r[j * n + i] * r[j * n + i];
      q[i * n + j] = -r[j * n + i] * r[i * n + j];
    }
  }
  for (int step = 0; step < kStepsMax; ++step) {
    float pqp = 0, error = 0;
    for (size_t i = 0; i < n; ++i) {
      qp[i] = 0;
      for (size_t j = 0; j < n; ++j) qp[i] += q[i * n + j] * p[j];
      pqp += p[i] * qp[i];
    }
    for (size_t i = 0; i < n; ++i) error = std::max(error, std::fabs(qp[i] - pqp));
    if (error < close) return;
    for (size_t i = 0; i < n; ++i) {
      const float diagonal = q[i * n + i], change = (pqp - qp[i]) / diagonal, scale = 1 + change;
      p[i] += change;
      pqp = (pqp + change * (change * diagonal + 2 * qp[i])) / scale / scale;
      for (size_t j = 0; j < n; ++j) {
        qp[j] = (qp[j] + change * q[i * n + j]) / scale;
        p[j] /= scale;
      }
    }
  }
}

void probabilities(const Svm& svm, const std::vector<double>& scores, std::span<float> p) {
  const size_t n = p.size();
  std::vector<float> r(n * n, 0.0f);
  size_t pair = 0;
  for (size_t i = 0; i < n; ++i)
    for (size_t j = i + 1; j < n; ++j, ++pair) {
      const double at = scores[pair] * static_cast<double>(svm.prob_a[pair]) + static_cast<double>(svm.prob_b[pair]);
      const float first = static_cast<float>(1 / (1 + std::exp(at)));
      r[i * n + j] = std::clamp(first, 1e-7f, 1 - 1e-7f);
      r[j * n + i] = 1 - r[i * n + j];
    }
  couple(r, p);
}

// Of two classes the single score stands for both: as margins of opposite sign, or a probability and its opposite.
// PROBIT leaves the second one undefined in ONNX Runtime: 0 here.
void expand_pair(PostTransform transform, float score, std::span<float> z) {
  z[0] = transform == PostTransform::kSoftmax || transform == PostTransform::kSoftmaxZero ? 1 - score : -score;
  z[1] = score;
  if (transform == PostTransform::kLogistic) apply_post_transform(transform, z);
  if (transform != PostTransform::kProbit) return;
  z[0] = score, z[1] = 0;
  apply_post_transform(transform, z.first(1));
}

// One linear function per class. Of two classes the second wins as soon as any score passes 0 (where no coefficient is
// negative: 0.5), as in ONNX Runtime.
int64_t classify_linear(const Svm& svm, const float* x, std::span<float> scores) {
  for (size_t k = 0; k < scores.size(); ++k)
    scores[k] =
        static_cast<float>(dot(x, svm.coefficients.data() + static_cast<int64_t>(k) * svm.features, svm.features) +
                           static_cast<double>(svm.rho[0]));
  const auto best = std::max_element(scores.begin(), scores.end());
  const int64_t winner = best - scores.begin();
  if (scores.size() != 2) return svm.labels[winner];
  const bool positive = std::all_of(svm.coefficients.begin(), svm.coefficients.end(), [](float w) { return w >= 0; });
  return svm.labels[(positive ? *best >= 0.5f : *best > 0) ? 1 : winner];
}

}  // namespace

std::optional<SvmKernel> svm_kernel_from_name(std::string_view name) {
  constexpr std::array<std::string_view, 4> kNames = {"LINEAR", "POLY", "RBF", "SIGMOID"};
  const auto it = std::find(kNames.begin(), kNames.end(), name);
  if (it == kNames.end()) return std::nullopt;
  return static_cast<SvmKernel>(it - kNames.begin());
}

int64_t Svm::width() const {
  return vectors.empty() || !prob_a.empty() || classes() <= 2 ? classes() : pair_count(classes());
}

double svm_product(const Svm& svm, const float* x, const float* v) noexcept {
  switch (svm.kernel) {
    case SvmKernel::kLinear:
      return dot(x, v, svm.features);
    case SvmKernel::kPoly:
      return std::pow(svm.gamma * dot(x, v, svm.features) + svm.coef0, svm.degree);
    case SvmKernel::kSigmoid:
      return std::tanh(svm.gamma * dot(x, v, svm.features) + svm.coef0);
    case SvmKernel::kRbf:
      break;
  }
  return std::exp(-svm.gamma * squared_distance(x, v, svm.features));
}

float svm_regress(const Svm& svm, const float* x) noexcept {
  double sum = static_cast<double>(svm.rho[0]);
  if (svm.vectors.empty()) return static_cast<float>(sum + dot(x, svm.coefficients.data(), svm.features));
  for (size_t v = 0; v < svm.coefficients.size(); ++v)
    sum += static_cast<double>(svm.coefficients[v]) *
           svm_product(svm, x, svm.vectors.data() + static_cast<int64_t>(v) * svm.features);
  return static_cast<float>(sum);
}

int64_t svm_classify(const Svm& svm, const float* x, std::span<float> scores) {
  if (svm.vectors.empty()) {
    const int64_t label = classify_linear(svm, x, scores);
    if (scores.size() > 1 || svm.transform == PostTransform::kProbit) apply_post_transform(svm.transform, scores);
    return label;
  }
  std::vector<int64_t> votes(svm.labels.size(), 0);
  const std::vector<double> pairs = pair_scores(svm, x, &votes);
  const int64_t label = svm.labels[std::max_element(votes.begin(), votes.end()) - votes.begin()];
  if (!svm.prob_a.empty()) {
    probabilities(svm, pairs, scores);
    apply_post_transform(svm.transform, scores);
  } else if (pairs.size() > 1) {
    std::transform(pairs.begin(), pairs.end(), scores.begin(), [](double s) { return static_cast<float>(s); });
    apply_post_transform(svm.transform, scores);
  } else {
    expand_pair(svm.transform, static_cast<float>(pairs[0]), scores);
  }
  return label;
}

}  // namespace hayate::kernels
