#include <gtest/gtest.h>

#include "rewrite/rules/rule_cases.h"
#include "rewrite/rules/rules.h"

namespace hayate::rule_cases {
namespace {

TEST(RecogniseClip, MinAndMaxWithNumbers) {
  expect_becomes(of_x("a = Max(x, minus)\n y = Min(a, two)"), recognise_clip, "y = Clip(x, y/low#0, y/high#0)");
  expect_becomes(of_x("y = Max(zero, x)"), recognise_clip, "y = Relu(x)");
  expect_becomes(of_x("a = Relu(x)\n y = Clip(a, , two)"), recognise_clip, "y = Clip(x, y/low#0, y/high#0)");
  Case old = of_x("a = Clip(x) min=-1.0 max=3.0\n y = Min(a, two)");
  old.opset = 10;
  expect_becomes(old, recognise_clip, "y = Clip(x) max=2 min=-1");
}

TEST(RecogniseClip, CrossedBoundsAndFedBoundsStay) {
  expect_kept({{{"x", {2, 3}}, {"w", {2, 3}}}, {}, "y = Max(x, w)"}, recognise_clip);
  expect_becomes(of_x("a = Min(x, minus)\n y = Max(a, two)"), recognise_clip,
                 "a = Clip(x, a/low#0, a/high#0)\n y = Clip(a, y/low#0, y/high#0)");
  expect_kept({{{"x", {3}}}, {{"b", Tensor::of<float>({3}, {1, 2, 3})}}, "y = Max(x, b)"}, recognise_clip);
}

}  // namespace
}  // namespace hayate::rule_cases
