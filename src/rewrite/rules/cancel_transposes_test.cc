#include <gtest/gtest.h>

#include "rewrite/rules/rule_cases.h"
#include "rewrite/rules/rules.h"

namespace hayate::rule_cases {
namespace {

TEST(CancelTransposes, ThroughFunctionsAndConstants) {
  expect_becomes({{{"x", {2, 3, 4}}},
                  {{"c", noise({4})}, {"two", number(2)}},
                  R"(t = Transpose(x) perm=[0, 2, 1]
                     a = Relu(t)
                     m = Mul(a, two)
                     u = Transpose(m) perm=[0, 2, 1]
                     y = Exp(u))"},
                 cancel_transposes, "a = Relu(x)\n m = Mul(a, two)\n y = Exp(m)");
  // A bias of the last axis is one of the axis that this was.
  expect_becomes({{{"x", {2, 3, 4}}},
                  {{"c", noise({3})}},
                  "t = Transpose(x) perm=[0, 2, 1]\n a = Add(t, c)\n y = Transpose(a) perm=[0, 2, 1]"},
                 cancel_transposes, "y = Add(x, c/back#0)");
  // Both sides of a sum; and where they do not undo each other, one stays.
  expect_becomes({{{"w", {2, 3, 4}}, {"x", {2, 3, 4}}},
                  {},
                  R"(t = Transpose(x) perm=[1, 2, 0]
                     u = Transpose(w) perm=[1, 2, 0]
                     a = Add(t, u)
                     y = Transpose(a) perm=[1, 2, 0])"},
                 cancel_transposes, "a = Add(x, w)\n y = Transpose(a) perm=[2, 0, 1]");
}

TEST(CancelTransposes, OtherReadersAndOtherOperandsKeepThem) {
  expect_kept(
      {{{"x", {2, 3}}}, {}, "t = Transpose(x) perm=[1, 0]\n a = Relu(t)\n y = Transpose(a) perm=[1, 0]", {"y", "a"}},
      cancel_transposes);
  expect_kept({{{"x", {2, 3}}, {"w", {3, 2}}},
               {},
               "t = Transpose(x) perm=[1, 0]\n a = Add(t, w)\n y = Transpose(a) perm=[1, 0]"},
              cancel_transposes);
  expect_kept({{{"x", {2, 3}}}, {}, "t = Transpose(x) perm=[1, 0]\n a = Softmax(t)\n y = Transpose(a) perm=[1, 0]"},
              cancel_transposes);
}

}  // namespace
}  // namespace hayate::rule_cases
