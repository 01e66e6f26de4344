#include <gtest/gtest.h>

#include "rewrite/rules/rule_cases.h"
#include "rewrite/rules/rules.h"

namespace hayate::rule_cases {
namespace {

TEST(RecogniseRmsNorm, RootsInEverySpelling) {
  const std::string squares = "p = Mul(x, x)\n v = ReduceMean(p) axes=[-1]\n s = Add(v, epsilon)\n ";
  for (const char* end : {"r = Sqrt(s)\n n = Div(x, r)\n y = Mul(n, scale)",
                          "r = Sqrt(s)\n i = Reciprocal(r)\n n = Mul(x, i)\n y = Mul(scale, n)"})
    expect_becomes(norm_of(squares + end), recognise_rms_norm,
                   "y = RMSNormalization(x, y/scale#0) axis=-1 epsilon=1e-05");
  expect_becomes(norm_of(squares + "i = Pow(s, minus_half)\n y = Mul(i, x)"), recognise_rms_norm,
                 "y = RMSNormalization(x, y/scale#0) axis=-1 epsilon=1e-05");
}

TEST(RecogniseRmsNorm, OtherValuesStay) {
  expect_kept(norm_of("p = Mul(x, x)\n v = ReduceMean(p) axes=[1]\n s = Add(v, epsilon)\n r = Sqrt(s)\n y = Div(x, r)"),
              recognise_rms_norm);
  expect_kept(
      norm_of("p = Mul(x, x)\n v = ReduceMean(p) axes=[-1]\n s = Add(v, epsilon)\n r = Sqrt(s)\n y = Div(p, r)"),
      recognise_rms_norm);
}

}  // namespace
}  // namespace hayate::rule_cases
