#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "eval/evaluate.h"

namespace hayate {
namespace {

using Floats = std::vector<float>;
using Ints = std::vector<int64_t>;
using Values = std::vector<double>;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

Node node(const std::string& op, std::map<std::string, Attribute> attributes, std::vector<std::string> inputs = {"x"}) {
  return {"n", "ai.onnx.ml", op, std::move(inputs), {"y"}, std::move(attributes)};
}

Values values(const Result<std::vector<Tensor>>& out) {
  EXPECT_TRUE(out.ok()) << out.error().text();
  return out.ok() ? to_doubles(out.value()[0]) : Values();
}

TEST(MlOperators, Imputer) {
  const Tensor x = Tensor::of<float>({2, 2}, {1, kNan, kNan, -1});
  EXPECT_EQ(values(run_node(node("Imputer", {{"imputed_value_floats", Floats{5, 6}}, {"replaced_value_float", kNan}}),
                            17, {&x})),
            (Values{1, 6, 5, -1}));
  EXPECT_EQ(values(run_node(node("Imputer", {{"imputed_value_floats", Floats{9}}, {"replaced_value_float", -1.0f}}), 17,
                            {&x}))[3],
            9);
  const Tensor ints = Tensor::of<int64_t>({1, 3}, {7, 8, 7});
  EXPECT_EQ(
      values(run_node(node("Imputer", {{"imputed_value_int64s", Ints{1, 2, 3}}, {"replaced_value_int64", int64_t{7}}}),
                      17, {&ints})),
      (Values{1, 8, 3}));
  EXPECT_FALSE(run_node(node("Imputer", {{"imputed_value_floats", Floats{1, 2, 3}}}), 17, {&x}).ok());
}

TEST(MlOperators, Binarizer) {
  const Tensor x = Tensor::of<float>({1, 4}, {0.5f, 0.6f, kNan, -1});
  EXPECT_EQ(values(run_node(node("Binarizer", {{"threshold", 0.5f}}), 17, {&x})), (Values{0, 1, 0, 0}));
}

TEST(MlOperators, FeatureVectorizer) {
  const Tensor a = Tensor::of<float>({2, 1}, {1, 2}), b = Tensor::of<int64_t>({2, 2}, {3, 4, 5, 6});
  const auto of = [](Ints sizes) { return node("FeatureVectorizer", {{"inputdimensions", sizes}}, {"a", "b"}); };
  EXPECT_EQ(values(run_node(of({1, 2}), 17, {&a, &b})), (Values{1, 3, 4, 2, 5, 6}));
  EXPECT_FALSE(run_node(of({1, 3}), 17, {&a, &b}).ok());
}

}  // namespace
}  // namespace hayate
