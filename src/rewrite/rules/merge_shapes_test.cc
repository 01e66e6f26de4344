#include <gtest/gtest.h>

#include "rewrite/rules/rule_cases.h"
#include "rewrite/rules/rules.h"

namespace hayate::rule_cases {
namespace {

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

}  // namespace
}  // namespace hayate::rule_cases
