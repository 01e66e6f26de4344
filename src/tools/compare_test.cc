#include "tools/compare.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace hayate {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();

Difference between(const std::vector<float>& got, const std::vector<float>& wanted, const Tolerance& tolerance = {}) {
  const Shape shape{static_cast<int64_t>(got.size())};
  return difference(Tensor::of<float>(shape, got), Tensor::of<float>(shape, wanted), tolerance);
}

TEST(Compare, TakesTheLargestDifference) {
  const Difference d = between({1, 2.5, 3}, {1, 2, 3.25});
  EXPECT_EQ(d.max_absolute, 0.5);
  EXPECT_EQ(d.max_relative, 0.25);
  EXPECT_EQ(d.outside, 2);
  EXPECT_EQ(d.count, 3);
}

// Wherever it stands: a difference behind it must not take its place.
TEST(Compare, ANanOnOneSideIsInfinitelyFar) {
  for (const auto& [got, wanted] :
       {std::pair<float, float>{kNan, 1}, {1, kNan}, {kNan, kInfinity}, {kInfinity, kNan}}) {
    for (const Difference& d : {between({got, 2, 3}, {wanted, 2, 3.5}), between({2, 3, got}, {2, 3.5, wanted})}) {
      EXPECT_TRUE(std::isinf(d.max_absolute)) << got << " for " << wanted;
      EXPECT_TRUE(std::isinf(d.max_relative)) << got << " for " << wanted;
      EXPECT_EQ(d.outside, 2) << got << " for " << wanted;
    }
    EXPECT_EQ(between({got}, {wanted}, {kInfinity, kInfinity}).outside, 1) << "no tolerance allows it";
  }
}

TEST(Compare, NanEqualsNanAndInfinityItself) {
  const Difference d = between({kNan, kInfinity, -kInfinity, 1}, {kNan, kInfinity, -kInfinity, 1});
  EXPECT_EQ(d.outside, 0);
  EXPECT_EQ(d.max_absolute, 0);
}

TEST(Compare, NoFiniteNumberIsNearAnInfiniteOne) {
  for (const auto& [got, wanted] : {std::pair<float, float>{1, kInfinity}, {kInfinity, 1}, {-kInfinity, kInfinity}}) {
    const Difference d = between({got}, {wanted});
    EXPECT_EQ(d.outside, 1) << got << " for " << wanted;
    EXPECT_TRUE(std::isinf(d.max_absolute));
  }
}

}  // namespace
}  // namespace hayate
