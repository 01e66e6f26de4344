#include <gtest/gtest.h>

#include <limits>

#include "eval/evaluate.h"

namespace hayate {
namespace {

using Floats = std::vector<float>;
using Ints = std::vector<int64_t>;
using Values = std::vector<double>;
using Attributes = std::map<std::string, Attribute>;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

Result<std::vector<Tensor>> ran(const std::string& op, Attributes attributes, const Tensor& x) {
  return run_node({"n", "ai.onnx.ml", op, {"x"}, {"y"}, std::move(attributes)}, 17, {&x});
}

Values values(const Result<std::vector<Tensor>>& out) {
  EXPECT_TRUE(out.ok()) << out.error().text();
  return out.ok() ? to_doubles(out.value()[0]) : Values();
}

std::string refusal(const Result<std::vector<Tensor>>& out) { return out.ok() ? "" : out.error().what; }

TEST(Labels, EncoderOfLists) {
  const Tensor ints = Tensor::of<int64_t>({2, 2}, {3, 4, 5, 3});
  const auto out = ran("LabelEncoder", {{"keys_int64s", Ints{3, 4, 3}}, {"values_floats", Floats{0.5f, 2, 9}}}, ints);
  EXPECT_EQ(values(out), (Values{0.5, 2, 0, 0.5}));  // of equal keys the first counts
  EXPECT_EQ(out.value()[0].type(), Type::kFloat32);
  EXPECT_EQ(out.value()[0].shape(), (Shape{2, 2}));
  EXPECT_EQ(values(ran("LabelEncoder", {{"keys_int64s", Ints{3}}, {"values_int64s", Ints{7}}}, ints)),
            (Values{7, -1, -1, 7}));
  EXPECT_EQ(values(ran("LabelEncoder",
                       {{"keys_int64s", Ints{3}}, {"values_floats", Floats{7}}, {"default_float", 2.5f}}, ints)),
            (Values{7, 2.5, 2.5, 7}));
}

TEST(Labels, EncoderFindsNanAndBothZeros) {
  const Tensor x = Tensor::of<float>({4}, {kNan, -0.0f, 1, 2});
  EXPECT_EQ(values(ran("LabelEncoder", {{"keys_floats", Floats{0, kNan, 2}}, {"values_int64s", Ints{5, 6, 7}}}, x)),
            (Values{6, 5, -1, 7}));
}

TEST(Labels, EncoderOfTensors) {
  const Tensor x = Tensor::of<double>({3}, {0.1, 0.2, 0.3});
  const Attributes a = {{"keys_tensor", Tensor::of<double>({2}, {0.1, 0.3})},
                        {"values_tensor", Tensor::of<int16_t>({2}, {10, 30})},
                        {"default_tensor", Tensor::of<int16_t>({1}, {-5})}};
  const auto out = ran("LabelEncoder", a, x);
  EXPECT_EQ(values(out), (Values{10, -5, 30}));
  EXPECT_EQ(out.value()[0].type(), Type::kInt16);
}

TEST(Labels, EncoderRefusesWhatDoesNotFit) {
  const Tensor x = Tensor::of<float>({1}, {1});
  EXPECT_NE(refusal(ran("LabelEncoder", {{"keys_floats", Floats{1, 2}}, {"values_int64s", Ints{1}}}, x)).find("2 keys"),
            std::string::npos);
  EXPECT_NE(
      refusal(ran("LabelEncoder", {{"keys_int64s", Ints{1}}, {"values_int64s", Ints{1}}}, x)).find("its keys are"),
      std::string::npos);
  EXPECT_NE(refusal(ran("LabelEncoder", {{"keys_floats", Floats{1}}}, x)).find("has no values"), std::string::npos);
  const Attributes texts = {{"keys_strings", std::vector<std::string>{"a"}}, {"values_int64s", Ints{1}}};
  EXPECT_NE(refusal(ran("LabelEncoder", texts, x)).find("texts"), std::string::npos);
  const Attributes mixed = {
      {"keys_floats", Floats{1}}, {"values_int64s", Ints{1}}, {"default_tensor", Tensor::of<float>({1}, {1})}};
  EXPECT_NE(refusal(ran("LabelEncoder", mixed, x)).find("default_tensor"), std::string::npos);
}

TEST(Labels, OneHot) {
  const Tensor x = Tensor::of<float>({2, 1}, {3.7f, kNan});
  const auto out = ran("OneHotEncoder", {{"cats_int64s", Ints{3, 5}}}, x);
  EXPECT_EQ(values(out), (Values{1, 0, 0, 0}));
  EXPECT_EQ(out.value()[0].shape(), (Shape{2, 1, 2}));
  EXPECT_NE(refusal(ran("OneHotEncoder", {{"cats_int64s", Ints{3, 5}}, {"zeros", int64_t{0}}}, x)).find("element 1"),
            std::string::npos);
  EXPECT_NE(refusal(ran("OneHotEncoder", {{"cats_strings", std::vector<std::string>{"a"}}}, x)).find("texts"),
            std::string::npos);
  EXPECT_FALSE(ran("OneHotEncoder", {}, x).ok());
}

TEST(Labels, WhatIsTextsOnlyIsRefusedByName) {
  const Tensor x = Tensor::of<int64_t>({1}, {1});
  EXPECT_NE(refusal(ran("CategoryMapper", {}, x)).find("ai.onnx.ml.CategoryMapper is not supported"),
            std::string::npos);
}

}  // namespace
}  // namespace hayate
