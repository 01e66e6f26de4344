#include <fmt/format.h>
#include <gtest/gtest.h>

#include "rewrite/rules/rule_cases.h"
#include "rewrite/rules/rules.h"

namespace hayate::rule_cases {
namespace {

TEST(MergeCasts, OnlyThroughATypeThatHoldsAll) {
  constexpr int kDouble = 11, kFloat = 1, kInt = 7;
  expect_becomes({{{"x", {2, 3}}},
                  {},
                  fmt::format("a = Cast(x) to={}\n b = Cast(a) to={}\n y = Cast(b) to={}", kDouble, kInt, kFloat)},
                 merge_casts, "b = Cast(x) to=7\n y = Cast(b) to=1");
  expect_kept({{{"x", {2, 3}}}, {}, fmt::format("a = Cast(x) to={}\n y = Cast(a) to={}", kInt, kFloat)}, merge_casts);
}

}  // namespace
}  // namespace hayate::rule_cases
