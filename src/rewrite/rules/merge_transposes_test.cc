#include <gtest/gtest.h>

#include "rewrite/rules/rule_cases.h"
#include "rewrite/rules/rules.h"

namespace hayate::rule_cases {
namespace {

TEST(MergeTransposes, TwoAreOneOrNone) {
  expect_becomes({{{"x", {2, 3, 4}}}, {}, "a = Transpose(x) perm=[1, 2, 0]\n y = Transpose(a) perm=[1, 2, 0]"},
                 merge_transposes, "y = Transpose(x) perm=[2, 0, 1]");
  expect_becomes({{{"x", {2, 3}}}, {}, "a = Transpose(x) perm=[1, 0]\n b = Transpose(a) perm=[1, 0]\n y = Relu(b)"},
                 merge_transposes, "y = Relu(x)");
}

TEST(MergeTransposes, OneAloneStays) {
  expect_kept({{{"x", {2, 3}}}, {}, "a = Transpose(x) perm=[1, 0]\n y = Relu(a)"}, merge_transposes);
}

}  // namespace
}  // namespace hayate::rule_cases
