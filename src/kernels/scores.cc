#include "kernels/scores.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace hayate::kernels {
namespace {

constexpr std::array kObjectiveNames = {"identity", "sigmoid",  "clamped_sigmoid", "softmax",       "argmax",
                                        "exp",      "wide_exp", "log1p_exp",       "signed_square", "step"};

template <typename T>
T clamped_sigmoid(T x) {
  const T exponent = std::min(-x, static_cast<T>(88.7f));  // beyond it expf overflows
  return T{1} / (std::exp(exponent) + T{1} + static_cast<T>(1e-16f));
}

template <typename T>
T transformed(Objective objective, double scale, T x) {
  switch (objective) {
    case Objective::kSigmoid:
      return T{1} / (T{1} + std::exp(static_cast<T>(-scale) * x));
    case Objective::kClampedSigmoid:
      return clamped_sigmoid(x);
    case Objective::kWideExp:
      return static_cast<T>(std::exp(static_cast<double>(x)));
    case Objective::kExp:
      return std::exp(x);
    case Objective::kLog1pExp:
      return std::log1p(std::exp(x));
    case Objective::kSignedSquare:
      return static_cast<T>((x > 0) - (x < 0)) * x * x;
    case Objective::kStep:
      return x > 0 ? T{1} : T{0};
    default:
      return x;
  }
}

// A NaN never becomes the largest, as in the libraries' comparisons, except where it comes first.
template <typename T>
void softmax(const T* x, int64_t n, T* y) {
  T highest = x[0];
  for (int64_t i = 1; i < n; ++i)
    highest = std::is_same_v<T, float> ? std::fmax(x[i], highest) : std::max(x[i], highest);
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    y[i] = std::exp(x[i] - highest);
    sum += static_cast<double>(y[i]);
  }
  for (int64_t i = 0; i < n; ++i) y[i] /= static_cast<T>(sum);
}

}  // namespace

const char* objective_name(Objective objective) { return kObjectiveNames[static_cast<size_t>(objective)]; }

std::optional<Objective> objective_from_name(std::string_view name) {
  const auto it = std::find(kObjectiveNames.begin(), kObjectiveNames.end(), name);
  if (it == kObjectiveNames.end()) return std::nullopt;
  return static_cast<Objective>(it - kObjectiveNames.begin());
}

template <typename T>
void apply_objective(Objective objective, double scale, const T* x, int64_t rows, int64_t n, T* y) {
  for (int64_t r = 0; r < rows; ++r) {
    const T* row = x + r * n;
    if (objective == Objective::kSoftmax)
      softmax(row, n, y + r * n);
    else if (objective == Objective::kArgmax)
      y[r] = static_cast<T>(std::max_element(row, row + n) - row);
    else
      for (int64_t i = 0; i < n; ++i) y[r * n + i] = transformed(objective, scale, row[i]);
  }
}
template void apply_objective<float>(Objective, double, const float*, int64_t, int64_t, float*);
template void apply_objective<double>(Objective, double, const double*, int64_t, int64_t, double*);

void linear_booster(const float* weights, const float* x, int64_t rows, int64_t features, int64_t outputs,
                    float* out) noexcept {
  const float* bias = weights + features * outputs;
  for (int64_t r = 0; r < rows; ++r, x += features, out += outputs) {
    std::copy(bias, bias + outputs, out);
    for (int64_t f = 0; f < features; ++f) {
      if (std::isnan(x[f])) continue;
      for (int64_t k = 0; k < outputs; ++k) out[k] += x[f] * weights[f * outputs + k];
    }
  }
}

std::optional<PostTransform> post_transform_from_name(std::string_view name) {
  constexpr std::array<std::string_view, 5> kNames = {"NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"};
  const auto it = std::find(kNames.begin(), kNames.end(), name);
  if (it == kNames.end()) return std::nullopt;
  return static_cast<PostTransform>(it - kNames.begin());
}

namespace {

float logistic(float x) {
  const float v = 1 / (1 + std::exp(-std::abs(x)));
  return x < 0 ? 1 - v : v;
}

// Winitzki's approximation of the inverse error function with a = 0.147.
float erf_inverse(float x) {
  const float sign = x < 0 ? -1.0f : 1.0f;
  const float log = std::log((1 - x) * (1 + x));
  const float v = 2 / (static_cast<float>(M_PI) * 0.147f) + 0.5f * log;
  return sign * std::sqrt(-v + std::sqrt(v * v - 1 / 0.147f * log));
}

float probit(float x) { return static_cast<float>(M_SQRT2) * erf_inverse(2 * x - 1); }

// With skip_zeros values next to zero stay there: they are scaled, not exponentiated.
template <typename T>
void onnx_softmax(std::span<T> z, bool skip_zeros) {
  T highest = -std::numeric_limits<T>::max(), sum = 0;
  for (const T v : z)
    if (v > highest) highest = v;
  const T zero_scale = std::exp(-highest), small = static_cast<T>(0.0000001f);
  for (T& v : z) {
    if (skip_zeros && !(v > small || v < -small)) {
      v *= zero_scale;
      continue;
    }
    v = std::exp(v - highest);
    sum += v;
  }
  for (T& v : z) v /= sum;
}

}  // namespace

template <typename T>
void apply_post_transform(PostTransform transform, std::span<T> z) {
  const auto in_float = [](auto function) {
    return [=](T x) { return static_cast<T>(function(static_cast<float>(x))); };
  };
  switch (transform) {
    case PostTransform::kNone:
      return;
    case PostTransform::kLogistic:
      std::transform(z.begin(), z.end(), z.begin(), in_float(logistic));
      return;
    case PostTransform::kProbit:
      std::transform(z.begin(), z.end(), z.begin(), in_float(probit));
      return;
    case PostTransform::kSoftmax:
      return onnx_softmax(z, false);
    case PostTransform::kSoftmaxZero:
      return onnx_softmax(z, true);
  }
}
template void apply_post_transform<float>(PostTransform, std::span<float>);
template void apply_post_transform<double>(PostTransform, std::span<double>);

namespace {

// The label of two classes from the score that decides.
template <typename S>
int64_t binary_label(const Classifier& c, S decisive) {
  if (!c.one_weighted_class) return decisive > 0 ? 1 : 0;
  const bool positive = c.weights_all_positive ? decisive > static_cast<S>(0.5) : decisive > 0;
  return c.labels[positive ? 1 : 0];
}

// Only the first class was scored: the second one's value is made up. Whether as the opposite probability or
// the opposite margin depends on the signs of the weights. (PROBIT leaves the second value undefined in ONNX
// Runtime: 0 here.)
template <typename S>
void expand_single(const Classifier& c, S score, std::span<float> z) {
  const float value = static_cast<float>(score);
  if (c.transform == PostTransform::kProbit)
    z[0] = probit(value), z[1] = 0;
  else if (!c.one_weighted_class && !c.base.empty())
    z[0] = value, z[1] = 0;
  else if (c.transform == PostTransform::kLogistic)
    z[0] = logistic(-value), z[1] = logistic(value);
  else
    z[0] = c.weights_all_positive && c.one_weighted_class ? static_cast<float>(1 - score) : -value, z[1] = value;
}

// As ONNX Runtime has it: of two base values the second replaces the second score, and what no leaf touched
// is written as 0 whatever was added to it.
template <typename S>
int64_t classify_two(const Classifier& c, std::span<S> scores, std::span<uint8_t> touched, std::span<float> z) {
  const bool second = touched[1] != 0, two_bases = c.base.size() == 2;
  if (two_bases && second) {
    scores[1] = static_cast<S>(c.base[1]) + scores[0];
    scores[0] = -scores[1];
  } else if (!c.base.empty()) {
    scores[0] += static_cast<S>(c.base[0]);
  }
  const S decisive = second ? scores[1] : touched[0] != 0 ? scores[0] : S{0};
  const int64_t label = binary_label(c, decisive);
  if (!second && !two_bases) {
    expand_single(c, scores[0], z);
    return label;
  }
  for (const size_t k : {0, 1}) z[k] = touched[k] != 0 ? static_cast<float>(scores[k]) : 0.0f;
  apply_post_transform(c.transform, z);
  return label;
}

}  // namespace

template <typename S>
int64_t classify(const Classifier& c, std::span<S> scores, std::span<uint8_t> touched, std::span<float> z) {
  if (scores.size() == 2) return classify_two(c, scores, touched, z);
  for (size_t k = 0; k < std::min(c.base.size(), scores.size()); ++k) {
    scores[k] = touched[k] != 0 ? scores[k] + static_cast<S>(c.base[k]) : static_cast<S>(c.base[k]);
    touched[k] = 1;
  }
  int64_t best = -1;
  for (size_t k = 0; k < scores.size(); ++k)
    if (touched[k] != 0 && (best < 0 || scores[k] > scores[best])) best = static_cast<int64_t>(k);
  for (size_t k = 0; k < scores.size(); ++k) z[k] = static_cast<float>(scores[k]);
  apply_post_transform(c.transform, z);
  return c.labels[std::max<int64_t>(best, 0)];
}
template int64_t classify<float>(const Classifier&, std::span<float>, std::span<uint8_t>, std::span<float>);
template int64_t classify<double>(const Classifier&, std::span<double>, std::span<uint8_t>, std::span<float>);

}  // namespace hayate::kernels
