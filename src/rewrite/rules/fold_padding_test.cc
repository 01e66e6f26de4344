#include <gtest/gtest.h>

#include "rewrite/rules/rule_cases.h"
#include "rewrite/rules/rules.h"

namespace hayate::rule_cases {
namespace {

TEST(FoldPadding, ZerosAroundAConv) {
  Case given = image("p = Pad(x, pads)\n y = Conv(p, k) group=2 pads=[0, 1, 0, 0]");
  given.constants["pads"] = integers({0, 0, 2, 0, 0, 0, 1, 1});
  expect_becomes(given, fold_padding, "y = Conv(x, k) auto_pad=\"NOTSET\" group=2 pads=[2, 1, 1, 1]");
}

TEST(FoldPadding, ZerosThatAreQuantisedBetween) {
  Case given = image(
      "p = Pad(x, pads)\n q = QuantizeLinear(p, half, point)\n d = DequantizeLinear(q, half, point)\n"
      "y = Conv(d, k) group=2");
  given.constants["pads"] = integers({0, 0, 2, 0, 0, 0, 1, 1});
  given.constants["half"] = number(0.5f);
  given.constants["point"] = Tensor::of<uint8_t>({}, {3});
  expect_becomes(given, fold_padding,
                 "q#0 = QuantizeLinear(x, half, point)\n d#0 = DequantizeLinear(q#0, half, point)\n"
                 "y = Conv(d#0, k) auto_pad=\"NOTSET\" group=2 pads=[2, 0, 1, 1]");
  Case other = given;
  other.constants["point2"] = Tensor::of<uint8_t>({}, {4});
  other.nodes =
      "p = Pad(x, pads)\n q = QuantizeLinear(p, half, point)\n d = DequantizeLinear(q, half, point2)\n"
      "y = Conv(d, k) group=2";
  expect_kept(other, fold_padding);
}

TEST(FoldPadding, OtherValuesAndAxesStay) {
  Case ones = image("p = Pad(x, pads, two)\n y = Conv(p, k) group=2");
  ones.constants["pads"] = integers({0, 0, 2, 0, 0, 0, 1, 1});
  expect_kept(ones, fold_padding);
  Case channels{{{"x", {2, 2, 6, 5}}}, weights(), "p = Pad(x, pads)\n y = Conv(p, k) group=2"};
  channels.constants["pads"] = integers({0, 2, 0, 0, 0, 0, 0, 0});
  expect_kept(channels, fold_padding);
}

}  // namespace
}  // namespace hayate::rule_cases
