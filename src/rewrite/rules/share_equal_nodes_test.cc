#include <gtest/gtest.h>

#include "rewrite/rules/rule_cases.h"
#include "rewrite/rules/rules.h"

namespace hayate::rule_cases {
namespace {

TEST(ShareEqualNodes, EqualNodesAreOne) {
  expect_becomes({{{"x", {2, 3}}}, {}, "a = Tanh(x)\n b = Tanh(x)\n y = Add(a, b)"}, share_equal_nodes,
                 "a = Tanh(x)\n y = Add(a, a)");
  // What becomes equal by that is shared in the same pass.
  expect_becomes({{{"x", {2, 3}}}, {}, "a = Tanh(x)\n b = Tanh(x)\n c = Exp(a)\n d = Exp(b)\n y = Add(c, d)"},
                 share_equal_nodes, "a = Tanh(x)\n c = Exp(a)\n y = Add(c, c)");
}

TEST(ShareEqualNodes, OtherAttributesAndOutputsAreNot) {
  expect_kept({{{"x", {2, 3}}}, {}, "a = LeakyRelu(x) alpha=0.1\n b = LeakyRelu(x) alpha=0.2\n y = Add(a, b)"},
              share_equal_nodes);
  expect_kept({{{"x", {2, 3}}}, {}, "y = Tanh(x)\n z = Tanh(x)", {"y", "z"}}, share_equal_nodes);
}

}  // namespace
}  // namespace hayate::rule_cases
