#include <gtest/gtest.h>

#include "rewrite/rules/rule_cases.h"
#include "rewrite/rules/rules.h"

namespace hayate::rule_cases {
namespace {

TEST(RecogniseGelu, EveryOrderOfTheExactForm) {
  const std::string erf = "d = Div(x, root2)\n e = Erf(d)\n a = Add(e, one)\n ",
                    mul = "d = Mul(root_half, x)\n e = Erf(d)\n ";
  for (const std::string& spelled : {erf + "m = Mul(x, a)\n y = Mul(m, half)", erf + "h = Mul(x, half)\n y = Mul(h, a)",
                                     erf + "h = Mul(half, a)\n y = Mul(x, h)", erf + "m = Mul(a, x)\n y = Div(m, two)",
                                     mul + "a = Add(one, e)\n m = Mul(x, a)\n y = Mul(half, m)",
                                     mul + "h = Mul(e, half)\n a = Add(h, half)\n y = Mul(a, x)"})
    expect_becomes(of_x(spelled), recognise_gelu, "y = Gelu(x)");
}

TEST(RecogniseGelu, EveryOrderOfTheTanhForm) {
  const std::string inner[] = {"p = Pow(x, three)\n q = Mul(p, c)\n s = Add(x, q)\n u = Mul(s, k)\n ",
                               "p = Mul(x, x)\n r = Mul(p, x)\n q = Mul(c, r)\n s = Add(q, x)\n u = Mul(k, s)\n ",
                               "p = Mul(x, x)\n q = Mul(p, c)\n r = Add(q, one)\n v = Mul(x, k)\n u = Mul(v, r)\n "};
  const std::string outer[] = {"t = Tanh(u)\n a = Add(t, one)\n h = Mul(x, half)\n y = Mul(h, a)",
                               "t = Tanh(u)\n a = Add(one, t)\n m = Mul(x, a)\n y = Mul(m, half)",
                               "t = Tanh(u)\n a = Add(one, t)\n m = Mul(half, a)\n y = Mul(m, x)"};
  for (const std::string& first : inner)
    for (const std::string& second : outer)
      expect_becomes(of_x(first + second), recognise_gelu, "y = Gelu(x) approximate=\"tanh\"");
}

TEST(RecogniseGelu, NearMissesStay) {
  expect_kept(of_x("d = Div(x, two)\n e = Erf(d)\n a = Add(e, one)\n m = Mul(x, a)\n y = Mul(m, half)"),
              recognise_gelu);
  expect_kept(of_x("d = Div(x, root2)\n e = Erf(d)\n a = Add(e, two)\n m = Mul(x, a)\n y = Mul(m, half)"),
              recognise_gelu);
  expect_kept(of_x("d = Div(x, root2)\n e = Erf(d)\n a = Add(e, one)\n m = Mul(x, a)\n y = Mul(m, two)"),
              recognise_gelu);
  expect_kept(of_x("d = Div(x, root2)\n e = Erf(d)\n a = Add(e, one)\n m = Mul(x, a)\n y = Mul(m, half)", {"y", "e"}),
              recognise_gelu);
  expect_kept({{{"x", {2, 3}}, {"w", {2, 3}}},
               numbers(),
               "d = Div(x, root2)\n e = Erf(d)\n a = Add(e, one)\n m = Mul(w, a)\n y = Mul(m, half)"},
              recognise_gelu);
}

}  // namespace
}  // namespace hayate::rule_cases
