#include <gtest/gtest.h>

#include "rewrite/rules/rule_cases.h"
#include "rewrite/rules/rules.h"

namespace hayate::rule_cases {
namespace {

TEST(MergeSlices, RangesCompose) {
  const std::map<std::string, Tensor> constants = {
      {"s", integers({1})},   {"e", integers({9})},      {"a0", integers({0})},   {"a1", integers({1})},
      {"two", integers({2})}, {"end", integers({1000})}, {"last", integers({-1})}};
  expect_becomes({{{"x", {10, 6}}}, constants, "a = Slice(x, s, e, a0, two)\n y = Slice(a, s, end, a0, two)"},
                 merge_slices, "y = Slice(x, y/starts#0, y/ends#0, y/axes#0, y/steps#0)");
  expect_becomes({{{"x", {10, 6}}}, constants, "a = Slice(x, last, end, a0)\n y = Slice(a, s, last, a1)"}, merge_slices,
                 "y = Slice(x, y/starts#0, y/ends#0, y/axes#0, y/steps#0)");
}

TEST(MergeSlices, BackwardsAndFedRangesStay) {
  const std::map<std::string, Tensor> constants = {{"s", integers({8})},
                                                   {"e", integers({0})},
                                                   {"a0", integers({0})},
                                                   {"back", integers({-1})},
                                                   {"one", integers({1})}};
  expect_kept({{{"x", {10, 6}}}, constants, "a = Slice(x, s, e, a0, back)\n y = Slice(a, one, s, a0)"}, merge_slices);
}

}  // namespace
}  // namespace hayate::rule_cases
