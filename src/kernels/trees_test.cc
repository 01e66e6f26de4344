#include "kernels/trees.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace hayate::kernels {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

uint8_t kind(Split split, int flags = 0) { return static_cast<uint8_t>(static_cast<int>(split) | flags); }

// One split on column 0 with leaves 1 (true) and 2 (false).
Trees stump(uint8_t node_kind, double threshold) {
  Trees t;
  t.features = 1;
  t.roots = {t.add_node(node_kind, 0, threshold, 1, 2)};
  t.add_leaf(1, 0), t.add_leaf(2, 0);
  return t;
}

double score(const Trees& t, double x) {
  EXPECT_EQ(fault(t), "");
  double out = 0;
  evaluate_trees<double, double>(t, &x, 1, &out, nullptr);
  return out;
}

TEST(Trees, EverySplitComparesAsItsNameSays) {
  const struct {
    Split split;
    double below, at, above;
  } kCases[] = {{Split::kLessEqual, 1, 1, 2}, {Split::kLess, 1, 2, 2},  {Split::kGreaterEqual, 2, 1, 1},
                {Split::kGreater, 2, 2, 1},   {Split::kEqual, 2, 1, 2}, {Split::kNotEqual, 1, 2, 1}};
  for (const auto& c : kCases) {
    const Trees t = stump(kind(c.split), 0.5);
    EXPECT_EQ(score(t, std::nextafter(0.5, -kInfinity)), c.below);
    EXPECT_EQ(score(t, 0.5), c.at);
    EXPECT_EQ(score(t, std::nextafter(0.5, kInfinity)), c.above);
  }
}

TEST(Trees, MissingGoesWhereTheNodeSays) {
  for (const Split split : {Split::kLessEqual, Split::kLess, Split::kGreater, Split::kInSet}) {
    Trees t = stump(kind(split), 0);
    const uint32_t word = 1;
    t.add_set(&word, 1);
    EXPECT_EQ(score(t, kNan), 2);
    t.kind[0] |= kNanTrue;
    EXPECT_EQ(score(t, kNan), 1);
  }
}

TEST(Trees, LinearLeavesAddTheirTermsAndGiveWayToNan) {
  Trees t = stump(kind(Split::kLessEqual), 0.5);
  t.add_terms({0}, {10}, 7);
  t.add_terms({}, {}, 9);
  EXPECT_EQ(score(t, 0.25), 3.5);
  EXPECT_EQ(score(t, 1e-36), 1);  // read as 0
  EXPECT_EQ(score(t, 4), 2);
  EXPECT_EQ(score(t, kNan), 2);  // goes to the leaf without terms
  t.kind[0] |= kNanTrue;
  EXPECT_EQ(score(t, kNan), 7);
  t.linear_feature[0] = 1;
  EXPECT_NE(fault(t).find("feature 1 of 1"), std::string::npos) << fault(t);
  t.linear_feature[0] = 0, t.linear_bounds[1] = 5;
  EXPECT_NE(fault(t), "");
}

TEST(Trees, ZeroMayCountAsMissing) {
  const Trees t = stump(kind(Split::kLessEqual, kZeroMissing), 10);
  EXPECT_EQ(score(t, 0.0), 2);
  EXPECT_EQ(score(t, -kZeroBound), 2);
  EXPECT_EQ(score(t, std::nextafter(kZeroBound, 1.0)), 1);
  EXPECT_EQ(score(stump(kind(Split::kLessEqual, kZeroMissing | kNanTrue), -10), 0.0), 1);
}

TEST(Trees, SetsHoldCategories) {
  for (const int truncate : {0, static_cast<int>(kTruncate)}) {
    Trees t = stump(kind(Split::kInSet, truncate), 0);
    const uint32_t words[] = {1u | 1u << 31, 2u};  // 0, 31, 33
    t.add_set(words, 2);
    for (const double in : {0.0, 0.99, 31.5, 33.0}) EXPECT_EQ(score(t, in), 1) << in;
    for (const double out : {1.0, 30.0, 32.0, 34.0, 64.0, 1e6, 1e12, -1.0, -33.0, kInfinity, -kInfinity})
      EXPECT_EQ(score(t, out), 2) << out;
    EXPECT_EQ(score(t, -0.5), truncate != 0 ? 1 : 2);
  }
}

// Two stumps on one output; the sum rounds in the type of the sum, in order.
Trees pair(double first, double second) {
  Trees t = stump(kind(Split::kLessEqual), 0);
  t.weight[0] = first;
  const int32_t root = t.add_node(kind(Split::kLessEqual), 0, 0, 4, 5);
  t.roots.push_back(root);
  t.add_leaf(second, 0), t.add_leaf(7, 0);
  return t;
}

TEST(Trees, SumsRoundInTheirTypeAndOrder) {
  Trees t = pair(0x1p24, 1);
  t.base = {1};
  t.base_first = true;
  EXPECT_EQ(score(t, 0), 0x1p24 + 2);
  t.float64_sum = false;
  EXPECT_EQ(score(t, 0), 0x1p24);  // 1 + 2^24 rounds to even, twice
  t.base_first = false;
  EXPECT_EQ(score(t, 0), 0x1p24);
}

TEST(Trees, Aggregates) {
  Trees t = pair(3, 5);
  t.aggregate = Aggregate::kAverage, t.divisor = 2;
  EXPECT_EQ(score(t, 0), 4);
  t.aggregate = Aggregate::kMin;
  EXPECT_EQ(score(t, 0), 3);
  t.aggregate = Aggregate::kMax;
  t.base = {0.5};
  EXPECT_EQ(score(t, 0), 5.5);
}

TEST(Trees, TouchedOutputsAreTold) {
  Trees t = stump(kind(Split::kLessEqual), 0);
  t.outputs = 2;
  t.weight_output = {0, 1};
  const float x[] = {-1, 1};
  float out[4];
  uint8_t touched[4];
  evaluate_trees(t, x, 2, out, touched);
  EXPECT_EQ(std::vector<float>(out, out + 4), (std::vector<float>{1, 0, 0, 2}));
  EXPECT_EQ(std::vector<int>(touched, touched + 4), (std::vector<int>{1, 0, 0, 1}));
}

TEST(Trees, NoRowsAndNoTrees) {
  Trees t;
  t.features = 3;
  EXPECT_EQ(fault(t), "");
  evaluate_trees<double, double>(t, nullptr, 0, nullptr, nullptr);
  const double x[3] = {1, 2, 3};
  double out = 9;
  evaluate_trees(t, x, 1, &out, nullptr);
  EXPECT_EQ(out, 0);
}

TEST(Trees, FaultsAreFound) {
  const Trees good = stump(kind(Split::kLessEqual), 0);
  const auto expect = [&](const char* what, auto&& spoil) {
    Trees t = good;
    spoil(&t);
    EXPECT_NE(fault(t).find(what), std::string::npos) << what << " / " << fault(t);
  };
  expect("feature 1 of 1", [](Trees* t) { t->feature[0] = 1; });
  expect("feature -1", [](Trees* t) { t->feature[0] = -1; });
  expect("child 3 of 3", [](Trees* t) { t->on_true[0] = 3; });
  expect("child 0 has another parent", [](Trees* t) { t->on_true[0] = 0; });
  expect("child 1 has another parent", [](Trees* t) { t->on_false[0] = 1; });
  expect("root 3", [](Trees* t) { t->roots[0] = 3; });
  expect("root of two", [](Trees* t) { t->roots.push_back(0); });
  expect("its weights", [](Trees* t) { t->on_false[1] = 3; });
  expect("output 1 of 1", [](Trees* t) { t->weight_output[0] = 1; });
  expect("differ in length", [](Trees* t) { t->threshold.pop_back(); });
  expect("category set 0 of 0", [](Trees* t) { t->kind[0] = kind(Split::kInSet); });
  expect("category set", [](Trees* t) { t->kind[0] = kind(Split::kInSet), t->threshold[0] = kNan; });
  expect("outside its words", [](Trees* t) { t->set_bounds = {0, 2}; });
  expect("base values", [](Trees* t) { t->base = {1, 2}; });
  expect("out of range", [](Trees* t) { t->outputs = 0; });
}

}  // namespace
}  // namespace hayate::kernels
