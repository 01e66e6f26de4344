#include "tensor/tensor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/memory_budget.h"

namespace hayate {
namespace {

TEST(Tensor, MadeInAScopeCountsUntilItGoes) {
  const auto budget = std::make_shared<MemoryBudget>(1 << 20);
  const int64_t before = MemoryBudget::process()->used();
  {
    const MemoryScope scope(budget);
    const Tensor tensor(Type::kFloat32, {1000}), copy = tensor;
    EXPECT_GE(budget->used(), 4000);
    EXPECT_LT(budget->used(), 5000);
    EXPECT_EQ(MemoryBudget::process()->used(), before);
  }
  EXPECT_EQ(budget->used(), 0);
}

TEST(Tensor, MayOutliveItsScope) {
  const auto budget = std::make_shared<MemoryBudget>(1 << 20);
  Tensor kept;
  {
    const MemoryScope scope(budget);
    kept = Tensor(Type::kUInt8, {4096});
  }
  EXPECT_EQ(budget->used(), 4096);
  kept = Tensor();
  EXPECT_EQ(budget->used(), 0);
}

TEST(Tensor, ShapesFromOutsideAreCheckedFirst) {
  const MemoryScope scope(std::make_shared<MemoryBudget>(1 << 20));
  EXPECT_TRUE(Tensor::make(Type::kFloat32, {1 << 18}, "x").ok());
  for (const Shape& shape :
       {Shape{(1 << 18) + 1}, Shape{int64_t{1} << 40}, Shape{-1}, Shape{1 << 30, 1 << 30, 1 << 30}, Shape(65, 1)}) {
    const Result<Tensor> none = Tensor::make(Type::kFloat32, shape, "file: value 'x'");
    ASSERT_FALSE(none.ok()) << shape_text(shape);
    EXPECT_EQ(none.error().where, "file: value 'x'");
  }
  EXPECT_TRUE(Tensor::make(Type::kFloat32, Shape(64, 1), "x").ok()) << "as many axes as NumPy's files hold";
}

TEST(Tensor, IntegersOfFloatsStayInTheirRange) {
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(to_int64s(Tensor::of<double>({6}, {-inf, inf, std::nan(""), 0x1p63, -0x1p63, -2.75})),
            (std::vector<int64_t>{INT64_MIN, INT64_MAX, 0, INT64_MAX, INT64_MIN, -2}));
}

TEST(Tensor, IntegersAreExactAndFloatsTheNearest) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(to_integers(Tensor::of<int64_t>({3}, {kMost, -kMost - 1, 5})),
            (std::vector<int64_t>{kMost, -kMost - 1, 5}));
  EXPECT_EQ(to_integers(Tensor::of<uint64_t>({2}, {std::numeric_limits<uint64_t>::max(), 7})),
            (std::vector<int64_t>{kMost, 7}));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(to_integers(Tensor::of<float>({5}, {1e30f, -1e30f, nan, 2.9f, -2.9f})),
            (std::vector<int64_t>{kMost, -kMost - 1, 0, 2, -2}));
}

}  // namespace
}  // namespace hayate
