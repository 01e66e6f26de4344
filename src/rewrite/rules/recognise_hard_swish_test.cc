#include <gtest/gtest.h>

#include "rewrite/rules/rule_cases.h"
#include "rewrite/rules/rules.h"

namespace hayate::rule_cases {
namespace {

TEST(RecogniseHardSwish, EveryOrder) {
  const std::string gate = "a = Add(x, three)\n g = Clip(a, zero, six)\n ";
  for (const char* end : {"m = Mul(x, g)\n y = Div(m, six)", "m = Div(g, six)\n y = Mul(m, x)",
                          "m = Mul(g, sixth)\n y = Mul(x, m)", "h = Div(x, six)\n y = Mul(h, g)"})
    expect_becomes(of_x(gate + end), recognise_hard_swish, "y = HardSwish(x)");
  expect_becomes(of_x(gate + "y = Div(g, six)"), recognise_hard_swish, "y = HardSigmoid(x) alpha=0.16666667 beta=0.5");
  expect_becomes(of_x("g = HardSigmoid(x) alpha=0.16666667 beta=0.5\n y = Mul(x, g)"), recognise_hard_swish,
                 "y = HardSwish(x)");
}

TEST(RecogniseHardSwish, OtherNumbersAndReadersStay) {
  expect_kept(of_x("a = Add(x, two)\n g = Clip(a, zero, six)\n m = Mul(x, g)\n y = Div(m, six)"), recognise_hard_swish);
  expect_kept(of_x("a = Add(x, three)\n g = Clip(a, zero, six)\n m = Mul(x, g)\n y = Div(m, three)"),
              recognise_hard_swish);
  expect_kept(of_x("a = Add(x, three)\n g = Clip(a, zero, six)\n m = Mul(x, g)\n y = Div(m, six)", {"y", "g"}),
              recognise_hard_swish);
}

}  // namespace
}  // namespace hayate::rule_cases
