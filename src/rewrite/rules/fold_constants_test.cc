#include <gtest/gtest.h>

#include "rewrite/rules/rule_cases.h"
#include "rewrite/rules/rules.h"

namespace hayate::rule_cases {
namespace {

TEST(FoldConstants, ArithmeticOfConstantsAndShapeChains) {
  expect_becomes({{{"x", {2, 3}}}, {{"c", number(2)}}, "d = Add(c, c)\n y = Mul(x, d)"}, fold_constants,
                 "y = Mul(x, d)");
  // Shape - Gather - Concat - Reshape, as exporters keep the batch: all of it is known once shapes are bound.
  expect_becomes({{{"x", {4, 2, 3}}},
                  {{"zero", Tensor::of<int64_t>({}, {0})}, {"axis", integers({0})}, {"rest", integers({-1})}},
                  R"(shape = Shape(x)
                     n = Gather(shape, zero) axis=0
                     first = Unsqueeze(n, axis)
                     target = Concat(first, rest) axis=0
                     y = Reshape(x, target))"},
                 fold_constants, "y = Reshape(x, target)");
}

TEST(FoldConstants, WhatIsFedStays) { expect_kept({{{"x", {2, 3}}}, {}, "y = Add(x, x)"}, fold_constants); }

}  // namespace
}  // namespace hayate::rule_cases
