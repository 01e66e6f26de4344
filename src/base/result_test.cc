#include "hayate/result.h"

#include <gtest/gtest.h>

#include <memory>

namespace hayate {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return Error{Code::kInvalidArgument, "half", "an even number is accepted"};
  return n / 2;
}

TEST(Result, HoldsAValue) {
  ASSERT_TRUE(half(8).ok());
  EXPECT_EQ(half(8).value(), 4);
}

TEST(Result, HoldsAnError) {
  const Result<int> r = half(7);
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().code, Code::kInvalidArgument);
  EXPECT_EQ(r.error().text(), "half: an even number is accepted");
}

TEST(Result, MovesAMoveOnlyValueOut) {
  Result<std::unique_ptr<int>> r(std::make_unique<int>(3));
  const std::unique_ptr<int> p = std::move(r).value();
  EXPECT_EQ(*p, 3);
}

}  // namespace
}  // namespace hayate
