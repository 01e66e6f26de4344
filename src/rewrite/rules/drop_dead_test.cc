#include <gtest/gtest.h>

#include "rewrite/rules/rule_cases.h"
#include "rewrite/rules/rules.h"

namespace hayate::rule_cases {
namespace {

TEST(DropDead, NodesAndConstantsThatNobodyReads) {
  const Graph left = [] {
    const Case given{{{"x", {2, 3}}}, {{"c", number(2)}}, "unused = Exp(x)\n more = Log(unused)\n y = Relu(x)"};
    return apply_rule(graph_of(given), types_of(given), drop_dead).value();
  }();
  EXPECT_EQ(nodes_text(left), "y = Relu(x)\n");
  EXPECT_TRUE(left.constants.empty());
}

TEST(DropDead, OutputsStay) { expect_kept({{{"x", {2}}}, {}, "z = Exp(x)\n y = Relu(x)", {"y", "z"}}, drop_dead); }

}  // namespace
}  // namespace hayate::rule_cases
