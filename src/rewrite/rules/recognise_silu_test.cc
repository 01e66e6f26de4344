#include <gtest/gtest.h>

#include "rewrite/rules/rule_cases.h"
#include "rewrite/rules/rules.h"

namespace hayate::rule_cases {
namespace {

TEST(RecogniseSilu, ProductWithItsSigmoid) {
  expect_becomes(of_x("s = Sigmoid(x)\n y = Mul(x, s)"), recognise_silu, "y = Swish(x)");
  expect_becomes(of_x("s = Sigmoid(x)\n y = Mul(s, x)"), recognise_silu, "y = Swish(x)");
}

TEST(RecogniseSilu, GatesOfOthersStay) {
  expect_kept({{{"x", {2, 3}}, {"w", {2, 3}}}, {}, "s = Sigmoid(x)\n y = Mul(w, s)"}, recognise_silu);
  expect_kept(of_x("s = Sigmoid(x)\n y = Mul(x, s)", {"y", "s"}), recognise_silu);
}

}  // namespace
}  // namespace hayate::rule_cases
