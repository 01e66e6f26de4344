#include "kernels/scores.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace hayate::kernels {
namespace {

TEST(Objective, NamesGoBothWays) {
  for (int i = 0; i <= static_cast<int>(Objective::kStep); ++i) {
    const auto objective = static_cast<Objective>(i);
    EXPECT_EQ(objective_from_name(objective_name(objective)), objective);
  }
  EXPECT_FALSE(objective_from_name("mystery"));
}

TEST(Objective, SoftmaxOverEachRow) {
  const double x[] = {1, 2, 3, 5, 5, 5};
  double y[6];
  apply_objective(Objective::kSoftmax, 1, x, 2, 3, y);
  const double sum = std::exp(-2.0) + std::exp(-1.0) + 1;
  EXPECT_EQ(y[0], std::exp(-2.0) / sum);
  EXPECT_EQ(y[2], 1 / sum);
  EXPECT_EQ(y[3], 1.0 / 3);
}

TEST(Objective, ArgmaxTakesTheFirst) {
  const float x[] = {1, 3, 3, 0, -1, -2};
  float y[2];
  apply_objective(Objective::kArgmax, 1, x, 2, 3, y);
  EXPECT_EQ(y[0], 1);
  EXPECT_EQ(y[1], 0);
}

TEST(Objective, InPlaceAndExtremes) {
  float x[] = {-1000, 1000, 0, std::numeric_limits<float>::quiet_NaN()};
  apply_objective(Objective::kClampedSigmoid, 1, x, 4, 1, x);
  EXPECT_EQ(x[0], 1.0f / (std::exp(88.7f) + 1.0f));
  EXPECT_EQ(x[1], 1.0f);
  EXPECT_EQ(x[2], 0.5f);
  EXPECT_TRUE(std::isnan(x[3]));
  double signed_square[] = {-3, 2, 0};
  apply_objective(Objective::kSignedSquare, 1, signed_square, 3, 1, signed_square);
  EXPECT_EQ(signed_square[0], -9);
  EXPECT_EQ(signed_square[1], 4);
}

TEST(PostTransform, SoftmaxZeroLeavesZerosAlone) {
  float z[] = {0, 1, 2};
  apply_post_transform(PostTransform::kSoftmaxZero, z);
  EXPECT_EQ(z[0], 0);
  EXPECT_FLOAT_EQ(z[1] + z[2], 1);
}

struct Classified {
  int64_t label;
  std::vector<float> z;
};
Classified classified(const Classifier& c, std::vector<float> scores, std::vector<uint8_t> touched) {
  std::vector<float> z(scores.size());
  const int64_t label = classify<float>(c, scores, touched, z);
  return {label, z};
}

TEST(Classifier, LargestOfManyAmongThoseTouched) {
  const Classifier c{.labels = {7, 8, 9}};
  EXPECT_EQ(classified(c, {-1, 0, -2}, {1, 0, 1}).label, 7) << "0 that nobody gave is no score";
  EXPECT_EQ(classified(c, {-1, -0.5f, -2}, {1, 1, 1}).label, 8);
}

TEST(Classifier, OneWeightedClassOfTwo) {
  Classifier c{.labels = {4, 6}, .one_weighted_class = true, .weights_all_positive = true};
  EXPECT_EQ(classified(c, {0.75f, 0}, {1, 0}).label, 6);
  EXPECT_EQ(classified(c, {0.75f, 0}, {1, 0}).z, (std::vector<float>{0.25f, 0.75f}));
  EXPECT_EQ(classified(c, {0.25f, 0}, {1, 0}).label, 4);
  c.weights_all_positive = false;
  EXPECT_EQ(classified(c, {0.25f, 0}, {1, 0}).z, (std::vector<float>{-0.25f, 0.25f}));
  c.transform = PostTransform::kLogistic;
  EXPECT_FLOAT_EQ(classified(c, {0.25f, 0}, {1, 0}).z[1], 1 / (1 + std::exp(-0.25f)));
}

}  // namespace
}  // namespace hayate::kernels
