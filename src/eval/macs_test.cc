#include "eval/macs.h"

#include <gtest/gtest.h>

namespace hayate {
namespace {

int64_t macs(const Node& node, const std::map<std::string, Shape>& shapes) {
  Facts facts;
  for (const auto& [name, shape] : shapes) facts.emplace(name, Fact{{Type::kFloat32, shape}, std::nullopt});
  return macs_of(node, facts);
}

TEST(Macs, OfEachKindOfLayer) {
  EXPECT_EQ(macs({"", "", "Gemm", {"x", "w"}, {"y"}, {}}, {{"x", {2, 40}}, {"w", {40, 64}}, {"y", {2, 64}}}),
            2 * 40 * 64);
  EXPECT_EQ(macs({"", "", "Gemm", {"x", "w"}, {"y"}, {{"transA", int64_t{1}}}},
                 {{"x", {40, 2}}, {"w", {40, 64}}, {"y", {2, 64}}}),
            2 * 40 * 64);
  EXPECT_EQ(macs({"", "", "MatMul", {"x", "w"}, {"y"}, {}}, {{"x", {4, 3, 5}}, {"w", {4, 5, 7}}, {"y", {4, 3, 7}}}),
            4 * 3 * 5 * 7);
  EXPECT_EQ(macs({"", "", "Conv", {"x", "w"}, {"y"}, {}}, {{"x", {1, 8, 10}}, {"w", {16, 4, 3}}, {"y", {1, 16, 8}}}),
            16 * 8 * 4 * 3);  // two groups of 4 channels
  EXPECT_EQ(macs({"", "", "ConvTranspose", {"x", "w"}, {"y"}, {}},
                 {{"x", {1, 8, 10}}, {"w", {8, 16, 3}}, {"y", {1, 16, 12}}}),
            8 * 10 * 16 * 3);
  EXPECT_EQ(macs({"", "", "LSTM", {"x", "w", "r"}, {"y"}, {}},
                 {{"x", {50, 1, 100}}, {"w", {1, 400, 100}}, {"r", {1, 400, 100}}, {"y", {50, 1, 1, 100}}}),
            50 * 2 * 400 * 100);
  EXPECT_EQ(macs({"", "", "Relu", {"x"}, {"y"}, {}}, {{"x", {9}}, {"y", {9}}}), 0);
}

}  // namespace
}  // namespace hayate
