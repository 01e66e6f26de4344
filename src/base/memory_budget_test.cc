#include "base/memory_budget.h"

#include <gtest/gtest.h>

namespace hayate {
namespace {

TEST(MemoryBudget, AClaimCountsUntilItGoes) {
  const auto budget = std::make_shared<MemoryBudget>(1 << 20);
  {
    const MemoryScope scope(budget);
    MemoryClaim claim(1 << 19), moved(std::move(claim));
    EXPECT_EQ(budget->used(), 1 << 19);
    moved = MemoryClaim(100);
    EXPECT_EQ(budget->used(), 100);
  }
  EXPECT_EQ(budget->used(), 0);
}

TEST(MemoryBudget, TheLimitIsNamed) {
  const MemoryScope scope(std::make_shared<MemoryBudget>(10 << 20));
  EXPECT_TRUE(room_for(10 << 20, "value 'x'").ok());
  const Result<bool> none = room_for((10 << 20) + 1, "value 'x'");
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code, Code::kResourceExhausted);
  EXPECT_NE(none.error().text().find("value 'x': needs 10.0 MB"), std::string::npos) << none.error().text();
  EXPECT_NE(none.error().text().find("the memory limit is 10.0 MB (memory_max, or --max-memory)"), std::string::npos);
}

TEST(MemoryBudget, ScopesNestAndANullOneChangesNothing) {
  const auto outer = std::make_shared<MemoryBudget>(100), inner = std::make_shared<MemoryBudget>(50);
  const MemoryScope a(outer);
  {
    const MemoryScope b(inner), c(nullptr);
    EXPECT_EQ(MemoryBudget::current(), inner);
  }
  EXPECT_EQ(MemoryBudget::current(), outer);
}

TEST(MemoryBudget, TheProcessHasAShareOfTheMachine) {
  EXPECT_GT(MemoryBudget::process()->limit(), 64 << 20);
  EXPECT_LT(MemoryBudget::process()->limit(), int64_t{1} << 46);
}

}  // namespace
}  // namespace hayate
