#include "kernels/reference/resample.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace hayate::kernels::reference {
namespace {

void normalize(std::vector<double>* weights) {
  const double sum = std::accumulate(weights->begin(), weights->end(), 0.0);
  for (double& weight : *weights) weight /= sum;
}

// Keys' cubic.
double cubic(double x, double a) {
  x = std::fabs(x);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return 0;
}

// Samples of `filter`, `reach` places wide to each side before it is stretched.
template <typename F>
std::vector<double> sampled(double ratio, double stretch, double reach, F&& filter) {
  const int64_t first = static_cast<int64_t>(std::floor(-reach / stretch)) + 1, count = 2 - 2 * first;
  std::vector<double> weights;
  for (int64_t i = 0; i < count; ++i) weights.push_back(filter((static_cast<double>(first + i) - ratio) * stretch));
  if (stretch < 1) normalize(&weights);
  return weights;
}

}  // namespace

std::vector<double> linear_weights(double ratio, double stretch) {
  return sampled(ratio, stretch, 1, [](double x) { return std::max(0.0, 1 - std::fabs(x)); });
}

std::vector<double> cubic_weights(double ratio, double stretch, double a) {
  return sampled(ratio, stretch, 2, [a](double x) { return cubic(x, a); });
}

Taps taps_around(double x, int64_t extent, std::vector<double> weights, bool exclude_outside) {
  Taps taps;
  const int64_t first = static_cast<int64_t>(std::ceil(x)) - static_cast<int64_t>(weights.size()) / 2;
  for (size_t i = 0; i < weights.size(); ++i) {
    const int64_t place = first + static_cast<int64_t>(i);
    taps.places.push_back(std::clamp<int64_t>(place, 0, extent - 1));
    if (exclude_outside && taps.places.back() != place) weights[i] = 0;
  }
  if (exclude_outside) normalize(&weights);
  taps.weights = std::move(weights);
  return taps;
}

void resample(const std::vector<Taps>& taps, int64_t outer, int64_t extent, int64_t inner, const double* x, double* y) {
  for (int64_t o = 0; o < outer; ++o)
    for (const Taps& tap : taps)
      for (int64_t i = 0; i < inner; ++i) {
        double sum = 0;
        for (size_t k = 0; k < tap.places.size(); ++k)
          sum += tap.weights[k] * x[(o * extent + tap.places[k]) * inner + i];
        *y++ = sum;
      }
}

}  // namespace hayate::kernels::reference
