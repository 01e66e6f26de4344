#include <gtest/gtest.h>

#include "rewrite/rules/rule_cases.h"
#include "rewrite/rules/rules.h"

namespace hayate::rule_cases {
namespace {

TEST(RecogniseSoftplus, LogOfOnePlusExp) {
  expect_becomes(of_x("e = Exp(x)\n s = Add(e, one)\n y = Log(s)"), recognise_softplus, "y = Softplus(x)");
  expect_becomes(of_x("s = Softplus(x)\n t = Tanh(s)\n y = Mul(x, t)"), recognise_softplus, "y = Mish(x)");
  expect_becomes(of_x("e = Exp(x)\n s = Add(one, e)\n l = Log(s)\n t = Tanh(l)\n y = Mul(t, x)"), recognise_softplus,
                 "y = Mish(x)");
}

TEST(RecogniseSoftplus, WithAThresholdFarOut) {
  const std::string text = "s = Softplus(x)\n g = Greater(x, t)\n y = Where(g, x, s)";
  const auto with = [&](float threshold) {
    return Case{{{"x", {2, 3}}}, {{"t", Tensor::of<float>({}, {threshold})}}, text};
  };
  expect_becomes(with(20), recognise_softplus, "y = Softplus(x)");
  expect_kept(with(2), recognise_softplus);
}

TEST(RecogniseSoftplus, OtherSumsStay) {
  expect_kept(of_x("e = Exp(x)\n s = Add(e, two)\n y = Log(s)"), recognise_softplus);
  expect_kept(of_x("s = Softplus(x)\n t = Tanh(s)\n y = Mul(t, s)"), recognise_softplus);
}

}  // namespace
}  // namespace hayate::rule_cases
