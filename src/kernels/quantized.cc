#include "kernels/quantized.h"

namespace hayate::kernels {

QuantRange dynamic_range(const float* x, int64_t n) {
  float low = 0, high = 0;  // the range holds 0
  for (int64_t i = 0; i < n; ++i) low = std::min(low, x[i]), high = std::max(high, x[i]);
  const float scale = low == high ? 1.0f : (high - low) / 255.0f;
  const float zero_point = std::nearbyint(std::max(0.0f, std::min(255.0f, 0.0f - low / scale)));
  return {scale, static_cast<uint8_t>(zero_point)};
}

}  // namespace hayate::kernels
