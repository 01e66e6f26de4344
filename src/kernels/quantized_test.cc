#include "kernels/quantized.h"

#include <gtest/gtest.h>

#include <vector>

namespace hayate::kernels {
namespace {

TEST(Quantized, RoundsHalfToEvenAndSaturates) {
  EXPECT_EQ(saturated<uint8_t>(0.5f, 0), 0);
  EXPECT_EQ(saturated<uint8_t>(1.5f, 0), 2);
  EXPECT_EQ(saturated<uint8_t>(2.5f, 10), 12);
  EXPECT_EQ(saturated<int8_t>(-2.5f, 0), -2);
  EXPECT_EQ(saturated<int8_t>(1e30f, 5), 127);
  EXPECT_EQ(saturated<int8_t>(-std::numeric_limits<float>::infinity(), 5), -128);
  EXPECT_EQ(saturated<uint8_t>(std::numeric_limits<float>::quiet_NaN(), 7), 0);
  EXPECT_EQ(saturated<uint16_t>(1e9f, 0), 65535);
}

TEST(Quantized, ScalesPerPlaceAndPerBlock) {
  const float x[] = {1, 2, 3, 4, 5, 6}, scale[] = {1, 0.5f, 2};
  int8_t y[6];
  quantize<int8_t>({.outer = 1, .along = 3, .inner = 2, .per_place = true}, x, scale, nullptr, y);
  EXPECT_EQ(std::vector<int>(y, y + 6), (std::vector<int>{1, 2, 6, 8, 2, 3}));
  const float blocks[] = {1, 10};
  float back[3];
  dequantize<int8_t>({.outer = 1, .along = 3, .inner = 1, .block = 2}, y, blocks, nullptr, back);
  EXPECT_EQ(std::vector<float>(back, back + 3), (std::vector<float>{1, 2, 60}));
}

TEST(Quantized, TheDynamicRangeHoldsZero) {
  const float positive[] = {1, 3}, mixed[] = {-1, 4.1f}, zeros[] = {0, 0};
  EXPECT_EQ(dynamic_range(positive, 2).zero_point, 0);
  EXPECT_EQ(dynamic_range(positive, 2).scale, 3.0f / 255);
  EXPECT_EQ(dynamic_range(mixed, 2).zero_point, 50);
  EXPECT_EQ(dynamic_range(zeros, 2).scale, 1);
}

TEST(Quantized, ProductsWrap) {
  const std::vector<uint8_t> a(40000, 255);
  const std::vector<int8_t> b(40000, -128);
  int32_t y = 0;
  integer_matmul<uint8_t, int8_t>(1, 1, 40000, a.data(), nullptr, 0, b.data(), nullptr, 0, &y);
  EXPECT_EQ(y, 40000 * 255 * -128);
  const uint8_t zero_a[] = {5};
  const int8_t zero_b[] = {1};
  integer_matmul<uint8_t, int8_t>(1, 1, 2, a.data(), zero_a, 0, b.data(), zero_b, 1, &y);
  EXPECT_EQ(y, 2 * 250 * -129);
}

TEST(Quantized, PaddingIsWorthNothing) {
  IntegerWindow g;
  g.input[2] = g.output[2] = 3, g.kernel[2] = 3, g.pad[2] = 1;
  const uint8_t x[] = {10, 20, 30};
  const int8_t w[] = {1, 1, 1};
  int32_t y[3];
  integer_conv<uint8_t, int8_t>(g, 1, 1, 1, 1, x, 10, w, nullptr, 0, y);
  EXPECT_EQ(std::vector<int>(y, y + 3), (std::vector<int>{10, 30, 30}));
}

}  // namespace
}  // namespace hayate::kernels
