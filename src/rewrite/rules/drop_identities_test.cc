#include <gtest/gtest.h>

#include "rewrite/rules/rule_cases.h"
#include "rewrite/rules/rules.h"

namespace hayate::rule_cases {
namespace {

TEST(DropIdentities, WhatGivesItsInputGoes) {
  const std::map<std::string, Tensor> constants = {
      {"one", number(1)}, {"zero", number(0)}, {"shape", integers({2, 3})}};
  for (const char* nothing :
       {"Identity(a)", "Transpose(a) perm=[0, 1]", "Mul(a, one)", "Mul(one, a)", "Div(a, one)", "Add(a, zero)",
        "Sub(a, zero)", "Pow(a, one)", "Reshape(a, shape)", "Concat(a) axis=0", "Dropout(a)"})
    expect_becomes({{{"x", {2, 3}}}, constants, std::string("a = Relu(x)\n b = ") + nothing + "\n y = Tanh(b)"},
                   drop_identities, "a = Relu(x)\n y = Tanh(a)");
  expect_becomes({{{"x", {2, 3}}}, {}, "a = Relu(x)\n y = Identity(a)"}, drop_identities, "y = Relu(x)");
}

TEST(DropIdentities, WhatChangesShapeOrValueStays) {
  const std::map<std::string, Tensor> constants = {{"one", noise({1, 1, 1})}, {"two", number(2)}};
  expect_kept({{{"x", {2, 3}}}, constants, "y = Identity(x)"}, drop_identities);  // from input to output
  expect_kept({{{"x", {2, 3}}}, constants, "a = Mul(x, two)\n y = Relu(a)"}, drop_identities);
  expect_kept({{{"x", {2, 3}}}, {{"one", Tensor::of<float>({1, 1, 1}, {1})}}, "a = Mul(x, one)\n y = Relu(a)"},
              drop_identities);  // a rank more
  expect_kept({{{"x", {2, 3}}}, constants, "a = Transpose(x) perm=[1, 0]\n y = Relu(a)"}, drop_identities);
  expect_kept({{{"x", {2, 3}}}, {{"one", number(1)}}, "a = Div(one, x)\n y = Relu(a)"}, drop_identities);
}

}  // namespace
}  // namespace hayate::rule_cases
