#include <gtest/gtest.h>

#include <cmath>

#include "eval/evaluate.h"

namespace hayate {
namespace {

using Floats = std::vector<float>;
using Ints = std::vector<int64_t>;
using Values = std::vector<double>;
using Attributes = std::map<std::string, Attribute>;

Node node(const std::string& op, Attributes attributes) {
  const bool classifies = op == "SVMClassifier";
  return {"n",
          "ai.onnx.ml",
          op,
          {"x"},
          classifies ? std::vector<std::string>{"y", "z"} : std::vector<std::string>{"y"},
          std::move(attributes)};
}

Values values(const Result<std::vector<Tensor>>& out, size_t which = 0) {
  EXPECT_TRUE(out.ok()) << out.error().text();
  return out.ok() ? to_doubles(out.value()[which]) : Values();
}

Attributes two_vectors(const std::string& kernel) {
  return {{"kernel_type", kernel},         {"kernel_params", Floats{0.5f, 1, 3}},
          {"n_supports", int64_t{2}},      {"support_vectors", Floats{1, 0, 0, 2}},
          {"coefficients", Floats{1, -2}}, {"rho", Floats{0.25f}}};
}

TEST(Svm, RegressorOfEveryKernel) {
  const Tensor x = Tensor::of<float>({1, 2}, {3, 1});
  const auto of = [&](const char* kernel) {
    return values(run_node(node("SVMRegressor", two_vectors(kernel)), 17, {&x}))[0];
  };
  EXPECT_NEAR(of("LINEAR"), 0.25 + 3 - 2 * 2, 1e-6);
  EXPECT_NEAR(of("POLY"), 0.25 + std::pow(2.5, 3) - 2 * std::pow(2.0, 3), 1e-5);
  EXPECT_NEAR(of("RBF"), 0.25 + std::exp(-2.5) - 2 * std::exp(-5.0), 1e-6);
  EXPECT_NEAR(of("SIGMOID"), 0.25 + std::tanh(2.5) - 2 * std::tanh(2.0), 1e-6);
}

TEST(Svm, RegressorWithoutVectorsIsLinearAndOneClassIsASign) {
  const Tensor x = Tensor::of<float>({2, 2}, {3, 1, -3, 1});
  Attributes linear = {{"kernel_type", std::string("RBF")}, {"coefficients", Floats{2, 1}}, {"rho", Floats{0.5f}}};
  EXPECT_EQ(values(run_node(node("SVMRegressor", linear), 17, {&x})), (Values{7.5, -4.5}));
  linear["one_class"] = int64_t{1};
  EXPECT_EQ(values(run_node(node("SVMRegressor", linear), 17, {&x})), (Values{1, -1}));
}

// Three classes of one vector each on a line; pair (i, j) weighs its two vectors.
Attributes three_classes() {
  return {{"kernel_type", std::string("LINEAR")},        {"classlabels_ints", Ints{10, 20, 30}},
          {"vectors_per_class", Ints{1, 1, 1}},          {"support_vectors", Floats{-1, 1, 2}},
          {"coefficients", Floats{1, -1, -2, 3, 4, -4}}, {"rho", Floats{0.5f, 0, -1}}};
}

TEST(Svm, ClassifierVotesByPairs) {
  const Tensor x = Tensor::of<float>({2, 1}, {1, -1});
  const auto out = run_node(node("SVMClassifier", three_classes()), 17, {&x});
  // (0, 1): 1 * -x + -1 * x + 0.5; (0, 2): 3 * -x + -2 * 2x; (1, 2): 4 * x + -4 * 2x - 1.
  EXPECT_EQ(values(out, 1), (Values{-1.5, -7, -5, 2.5, 7, 3}));
  EXPECT_EQ(values(out, 0), (Values{30, 10}));
}

TEST(Svm, ProbabilitiesSumToOneAndFollowThePairs) {
  Attributes a = three_classes();
  a["prob_a"] = Floats{-1, -1, -1}, a["prob_b"] = Floats{0, 0, 0};
  const Tensor x = Tensor::of<float>({1, 1}, {1});
  const Values p = values(run_node(node("SVMClassifier", a), 17, {&x}), 1);
  ASSERT_EQ(p.size(), 3u);
  EXPECT_NEAR(p[0] + p[1] + p[2], 1, 1e-6);
  EXPECT_GT(p[2], p[1]);
  EXPECT_GT(p[1], p[0]);
}

TEST(Svm, TwoClassesGiveTheScoreAndItsOpposite) {
  const Attributes a = {{"classlabels_ints", Ints{7, 8}},
                        {"vectors_per_class", Ints{1, 1}},
                        {"support_vectors", Floats{-1, 1}},
                        {"coefficients", Floats{1, -1}},
                        {"rho", Floats{0.5f}}};
  const Tensor x = Tensor::of<float>({1, 1}, {2});
  const auto out = run_node(node("SVMClassifier", a), 17, {&x});
  EXPECT_EQ(values(out, 1), (Values{3.5, -3.5}));
  EXPECT_EQ(values(out, 0), (Values{8}));
  Attributes logistic = a;
  logistic["post_transform"] = std::string("LOGISTIC");
  const Values p = values(run_node(node("SVMClassifier", logistic), 17, {&x}), 1);
  EXPECT_NEAR(p[0], 1 / (1 + std::exp(-3.5)), 1e-6);
  EXPECT_NEAR(p[1], 1 / (1 + std::exp(3.5)), 1e-6);
}

TEST(Svm, RefusesWhatDoesNotFit) {
  const Tensor x = Tensor::of<float>({1, 2}, {3, 1});
  const auto refusal = [&](const std::string& op, Attributes a, const std::string& key, const Attribute& value) {
    a[key] = value;
    const auto out = run_node(node(op, a), 17, {&x});
    return out.ok() ? "" : out.error().what;
  };
  const Attributes regressor = two_vectors("RBF");
  EXPECT_NE(refusal("SVMRegressor", regressor, "kernel_type", std::string("CHI")).find("LINEAR, POLY"),
            std::string::npos);
  EXPECT_NE(refusal("SVMRegressor", regressor, "kernel_params", Floats{1}).find("gamma"), std::string::npos);
  EXPECT_NE(refusal("SVMRegressor", regressor, "n_supports", int64_t{3}).find("3 vectors of 2"), std::string::npos);
  EXPECT_NE(refusal("SVMRegressor", regressor, "rho", Floats{}).find("rho holds 0"), std::string::npos);
  EXPECT_NE(refusal("SVMRegressor", regressor, "n_supports", INT64_MAX).find("vectors"), std::string::npos);
  EXPECT_NE(refusal("SVMClassifier", three_classes(), "rho", Floats{}).find("3 vectors of 2"), std::string::npos);
  EXPECT_NE(refusal("SVMClassifier", three_classes(), "vectors_per_class", Ints{-1, 2, 2}).find("more support vectors"),
            std::string::npos);
  EXPECT_NE(
      refusal("SVMClassifier", three_classes(), "classlabels_strings", std::vector<std::string>{"a"}).find("string"),
      std::string::npos);
}

}  // namespace
}  // namespace hayate
