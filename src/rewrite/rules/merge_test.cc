// The rules that tidy: constants, identities, equal nodes, and layout after layout.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "rewrite/rules/rule_cases.h"
#include "rewrite/rules/rules.h"

namespace hayate::rule_cases {
namespace {

TEST(FoldConstants, ArithmeticOfConstantsAndShapeChains) {
  expect_becomes({{{"x", {2, 3}}}, {{"c", number(2)}}, "d = Add(c, c)\n y = Mul(x, d)"}, fold_constants,
                 "y = Mul(x, d)");
  // Shape - Gather - Concat - Reshape, as exporters keep the batch: all of it is known once shapes are bound.
  expect_becomes({{{"x", {4, 2, 3}}},
                  {{"zero", Tensor::of<int64_t>({}, {0})}, {"axis", integers({0})}, {"rest", integers({-1})}},
                  R"(shape = Shape(x)
                     n = Gather(shape, zero) axis=0
                     first = Unsqueeze(n, axis)
                     target = Concat(first, rest) axis=0
                     y = Reshape(x, target))"},
                 fold_constants, "y = Reshape(x, target)");
}

TEST(FoldConstants, WhatIsFedStays) { expect_kept({{{"x", {2, 3}}}, {}, "y = Add(x, x)"}, fold_constants); }

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

TEST(MergeTransposes, TwoAreOneOrNone) {
  expect_becomes({{{"x", {2, 3, 4}}}, {}, "a = Transpose(x) perm=[1, 2, 0]\n y = Transpose(a) perm=[1, 2, 0]"},
                 merge_transposes, "y = Transpose(x) perm=[2, 0, 1]");
  expect_becomes({{{"x", {2, 3}}}, {}, "a = Transpose(x) perm=[1, 0]\n b = Transpose(a) perm=[1, 0]\n y = Relu(b)"},
                 merge_transposes, "y = Relu(x)");
}

TEST(MergeTransposes, OneAloneStays) {
  expect_kept({{{"x", {2, 3}}}, {}, "a = Transpose(x) perm=[1, 0]\n y = Relu(a)"}, merge_transposes);
}

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

TEST(MergeShapes, TheLastShapeCounts) {
  const std::map<std::string, Tensor> constants = {{"axis", integers({1})}, {"flat", integers({-1})}};
  expect_becomes({{{"x", {2, 1, 3}}}, constants, "a = Squeeze(x, axis)\n b = Unsqueeze(a, axis)\n y = Relu(b)"},
                 merge_shapes, "b = Reshape(x, b/shape#0)\n y = Relu(b)");
  expect_becomes(
      {{{"x", {2, 1, 3}}}, constants, "a = Reshape(x, flat)\n b = Unsqueeze(a, axis)\n y = Flatten(b) axis=0"},
      merge_shapes, "y = Reshape(x, y/shape#0)");
}

TEST(MergeShapes, OneAloneAndWhatMovesElementsStay) {
  const std::map<std::string, Tensor> constants = {{"flat", integers({-1})}};
  expect_kept({{{"x", {2, 3}}}, constants, "y = Reshape(x, flat)"}, merge_shapes);
  expect_kept({{{"x", {2, 3}}}, constants, "a = Transpose(x) perm=[1, 0]\n y = Reshape(a, flat)"}, merge_shapes);
}

TEST(MergeSlices, RangesCompose) {
  const std::map<std::string, Tensor> constants = {
      {"s", integers({1})},   {"e", integers({9})},      {"a0", integers({0})},   {"a1", integers({1})},
      {"two", integers({2})}, {"end", integers({1000})}, {"last", integers({-1})}};
  expect_becomes({{{"x", {10, 6}}}, constants, "a = Slice(x, s, e, a0, two)\n y = Slice(a, s, end, a0, two)"},
                 merge_slices, "y = Slice(x, y/starts#0, y/ends#0, y/axes#0, y/steps#0)");
  expect_becomes({{{"x", {10, 6}}}, constants, "a = Slice(x, last, end, a0)\n y = Slice(a, s, last, a1)"}, merge_slices,
                 "y = Slice(x, y/starts#0, y/ends#0, y/axes#0, y/steps#0)");
}

TEST(MergeSlices, BackwardsAndFedRangesStay) {
  const std::map<std::string, Tensor> constants = {{"s", integers({8})},
                                                   {"e", integers({0})},
                                                   {"a0", integers({0})},
                                                   {"back", integers({-1})},
                                                   {"one", integers({1})}};
  expect_kept({{{"x", {10, 6}}}, constants, "a = Slice(x, s, e, a0, back)\n y = Slice(a, one, s, a0)"}, merge_slices);
}

TEST(MergeCasts, OnlyThroughATypeThatHoldsAll) {
  constexpr int kDouble = 11, kFloat = 1, kInt = 7;
  expect_becomes({{{"x", {2, 3}}},
                  {},
                  fmt::format("a = Cast(x) to={}\n b = Cast(a) to={}\n y = Cast(b) to={}", kDouble, kInt, kFloat)},
                 merge_casts, "b = Cast(x) to=7\n y = Cast(b) to=1");
  expect_kept({{{"x", {2, 3}}}, {}, fmt::format("a = Cast(x) to={}\n y = Cast(a) to={}", kInt, kFloat)}, merge_casts);
}

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
