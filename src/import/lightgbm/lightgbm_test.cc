#include "import/lightgbm/lightgbm.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "eval/evaluate.h"

namespace hayate {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::string tree(size_t number, const std::string& body) {
  return fmt::format("Tree={}\n{}shrinkage=1\n\n\n", number, body);
}

std::string model(const std::string& header, const std::vector<std::string>& bodies) {
  std::string trees;
  std::vector<size_t> sizes;
  for (const std::string& body : bodies) {
    const std::string text = tree(sizes.size(), body);
    sizes.push_back(text.size());
    trees += text;
  }
  return fmt::format(
      "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=1\n{}"
      "feature_names=a b\nfeature_infos=none none\ntree_sizes={}\n\n{}end of trees\n\nparameters:\nend of "
      "parameters\n",
      header, fmt::join(sizes, " "), trees);
}

// x0 <= 0.5 ? (x1 <= 2 ? 1 : 2) : 4
std::string numeric(const std::string& decisions = "2 2", const std::string& thresholds = "0.5 2") {
  return "num_leaves=3\nnum_cat=0\nsplit_feature=0 1\nthreshold=" + thresholds + "\ndecision_type=" + decisions +
         "\nleft_child=1 -1\nright_child=-3 -2\nleaf_value=1 2 4\n";
}

// x0 in {1, 33} ? 10 : 20
const char* const kCategorical =
    "num_leaves=2\nnum_cat=1\nsplit_feature=0\nthreshold=0\ndecision_type=1\nleft_child=-1\nright_child=-"
    "2\nleaf_value=10 20\ncat_boundaries=0 2\ncat_threshold=2 2\n";

Result<Graph> load(const std::string& text, bool raw = false) { return import_lightgbm(text, "m.txt", raw); }

std::vector<double> predict(const std::string& text, const std::vector<double>& x, bool raw = false) {
  const Result<Graph> graph = load(text, raw);
  EXPECT_TRUE(graph.ok()) << graph.error().text();
  if (!graph.ok()) return {};
  const auto out = evaluate(graph.value(), {{"input", Tensor::of<double>({static_cast<int64_t>(x.size() / 2), 2}, x)}});
  EXPECT_TRUE(out.ok()) << out.error().text();
  return out.ok() ? to_doubles(out.value().at("output")) : std::vector<double>();
}

using Values = std::vector<double>;

TEST(LightGbm, SplitsAndSums) {
  const std::string text =
      model("objective=regression\n", {numeric(), numeric(), "num_leaves=1\nnum_cat=0\nleaf_value=0.25\n"});
  EXPECT_TRUE(is_lightgbm(text));
  EXPECT_EQ(predict(text, {0.5, 2, 0.5, 2.1, 0.6, 0, 0, 0}), (Values{2.25, 4.25, 8.25, 2.25}));
}

TEST(LightGbm, MissingTypes) {
  // decision_type: 2 default left, 4 missing Zero, 8 missing NaN. The second split of each case sees 0: left.
  const auto first = [](const std::string& decision, const std::string& threshold, double x) {
    return predict(model("", {numeric(decision + " 2", threshold + " 2")}), {x, 0})[0] == 1;
  };
  EXPECT_TRUE(first("0", "0.5", kNan)) << "without a missing type NaN is 0, and 0 <= 0.5";
  EXPECT_FALSE(first("0", "-0.5", kNan));
  EXPECT_FALSE(first("2", "-0.5", kNan)) << "the default side means nothing without a missing type";
  EXPECT_TRUE(first("10", "-0.5", kNan));
  EXPECT_FALSE(first("8", "0.5", kNan));
  EXPECT_TRUE(first("8", "0.5", 0.0));
  EXPECT_TRUE(first("6", "-0.5", 0.0));
  EXPECT_TRUE(first("6", "-0.5", 1e-36)) << "as good as zero";
  EXPECT_TRUE(first("6", "-0.5", kNan)) << "NaN is zero, which is missing";
  EXPECT_FALSE(first("4", "0.5", 0.0));
}

TEST(LightGbm, TinyValuesAreZero) {
  const auto left = [](const std::string& threshold, double x) {
    return predict(model("", {numeric("2 2", threshold + " 2")}), {x, 0})[0] == 1;
  };
  EXPECT_TRUE(left("1.0000000180025095e-35", 1e-35));
  EXPECT_TRUE(left("1e-40", 1e-36));
  EXPECT_FALSE(left("1e-40", 1e-34));
  EXPECT_FALSE(left("-1e-40", -1e-36));
  EXPECT_FALSE(left("-1.0000000180025095e-35", -1e-35));
  EXPECT_TRUE(left("-1e-40", -1e-34));
}

TEST(LightGbm, Categories) {
  EXPECT_EQ(predict(model("", {kCategorical}), {1, 0, 33, 0, 0, 0, 2, 0, -1, 0, kNan, 0, 1.9, 0, 1e12, 0}),
            (Values{10, 10, 20, 20, 20, 20, 10, 20}));
}

TEST(LightGbm, ObjectivesTransformInFloat64) {
  const std::string body = "num_leaves=1\nnum_cat=0\nleaf_value=-0.75\n";
  const auto one = [&](const std::string& objective) {
    return predict(model("objective=" + objective + "\n", {body}), {0, 0})[0];
  };
  EXPECT_EQ(one("regression"), -0.75);
  EXPECT_EQ(one("regression sqrt"), -0.75 * 0.75);
  EXPECT_EQ(one("binary sigmoid:0.5"), 1 / (1 + std::exp(0.5 * 0.75)));
  EXPECT_EQ(one("poisson"), std::exp(-0.75));
  EXPECT_EQ(one("cross_entropy"), 1 / (1 + std::exp(0.75)));
  EXPECT_EQ(one("cross_entropy_lambda"), std::log1p(std::exp(-0.75)));
  EXPECT_EQ(one("lambdarank"), -0.75);
  EXPECT_EQ(predict(model("objective=poisson\n", {body}), {0, 0}, true)[0], -0.75);
}

TEST(LightGbm, ForestsAverageUnlessRaw) {
  const std::string text = model("objective=regression\naverage_output\n",
                                 {numeric(), numeric(), "num_leaves=1\nnum_cat=0\nleaf_value=7\n"});
  EXPECT_EQ(predict(text, {0, 0}), Values{3});
  EXPECT_EQ(predict(text, {0, 0}, true), Values{9});
}

TEST(LightGbm, MulticlassTakesTurns) {
  std::string text = model("objective=multiclass num_class:3\n",
                           {"num_leaves=1\nnum_cat=0\nleaf_value=1\n", "num_leaves=1\nnum_cat=0\nleaf_value=2\n",
                            "num_leaves=1\nnum_cat=0\nleaf_value=3\n"});
  for (const std::string key : {"num_class=", "num_tree_per_iteration="})
    text.replace(text.find(key + "1"), key.size() + 1, key + "3");
  EXPECT_EQ(predict(text, {0, 0}, true), (Values{1, 2, 3}));
  const Values y = predict(text, {0, 0});
  ASSERT_EQ(y.size(), 3u);
  EXPECT_EQ(y[2], 1 / (std::exp(-2.0) + std::exp(-1.0) + 1));
}

TEST(LightGbm, LineEndsMayBeTwoBytes) {
  std::string text;
  for (const char c : model("", {numeric(), kCategorical})) text += c == '\n' ? "\r\n" : std::string(1, c);
  EXPECT_EQ(predict(text, {1, 0}), Values{14});
}

void expect_error(const std::string& text, const std::string& what) {
  const Result<Graph> graph = load(text);
  ASSERT_FALSE(graph.ok()) << what;
  EXPECT_NE(graph.error().text().find(what), std::string::npos) << graph.error().text();
  EXPECT_EQ(graph.error().where.rfind("m.txt", 0), 0u);
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

TEST(LightGbm, FaultsAreNamedWithTheirLine) {
  const std::string good = model("objective=regression\n", {numeric()}), categorical = model("", {kCategorical});
  expect_error(replaced(good, "left_child=1 -1", "left_child=0 -1"), "another parent");
  expect_error(replaced(good, "left_child=1 -1", "left_child=2 -1"), "line 18: split 0: child 2 of 2 splits");
  expect_error(replaced(good, "left_child=1 -1", "left_child=1 -4"), "child -4");
  expect_error(replaced(good, "right_child=-3 -2", "right_child=-1 -2"), "another parent");
  expect_error(replaced(good, "split_feature=0 1", "split_feature=0 2"), "line 15: split 1: feature 2 of 2");
  expect_error(replaced(good, "leaf_value=1 2 4", "leaf_value=1 2"), "leaf_value holds 2 numbers, 3 are needed");
  expect_error(replaced(good, "leaf_value=1 2 4", "leaf_value=1 x 4"), "'x' is no number");
  expect_error(replaced(good, "num_leaves=3", "num_leaves=3000000000"), "num_leaves is 3000000000");
  expect_error(replaced(good, "num_class=1", "num_class=0"), "num_class is 0");
  expect_error(replaced(good, "max_feature_idx=1", "max_feature_idx=99999999999999999999"), "no number of its type");
  expect_error(replaced(good, "objective=regression", "objective=mystery"),
               "objective 'mystery' is unknown; --raw-score");
  for (const std::string name : {"multiclass", "multiclassova"})
    for (const std::string classes : {"9", "0", "x", ""})
      expect_error(replaced(good, "objective=regression", "objective=" + name + " num_class:" + classes),
                   "line 7: 'num_class:" + classes + "' of its objective is not the 1 of num_class");
  expect_error(replaced(good, "shrinkage=1", "shrinkage=abc"), "'abc' is no number");
  expect_error(replaced(good, "shrinkage=1", "is_linear=1"), "has no leaf_const");
  const std::string linear =
      "is_linear=1\nleaf_const=1 2 4\nnum_features=1 0 1\nleaf_features=0   1 \nleaf_coeff=2   3 ";
  EXPECT_TRUE(load(replaced(good, "shrinkage=1", linear)).ok());
  expect_error(replaced(good, "shrinkage=1", replaced(linear, "=1 0 1", "=1 0 2")), "leaf 2: 2 features");
  expect_error(replaced(good, "shrinkage=1", replaced(linear, "=1 0 1", "=1 0 0")), "counts 1 features");
  expect_error(replaced(good, "shrinkage=1", replaced(linear, "coeff=2   3", "coeff=2")), "leaf_coeff holds 1");
  expect_error(replaced(good, "shrinkage=1", replaced(linear, "0   1 ", "0   9 ")), "feature 9 of 2");
  expect_error(replaced(categorical, "cat_boundaries=0 2", "cat_boundaries=0 3"), "cat_boundaries 0 to 3");
  expect_error(replaced(categorical, "threshold=0", "threshold=1"), "category set 1 of 1");
  expect_error("tree\n", "holds no tree");
  expect_error("", "holds no tree");
}

TEST(LightGbm, CutAnywhereItIsAnErrorOrTheSameModel) {
  const std::string text = model("objective=binary sigmoid:1\n", {numeric("10 6"), kCategorical, numeric()});
  const Values wanted = predict(text, {1, 0, 0.2, 5});
  for (size_t length = 0; length < text.size(); ++length)
    if (const Result<Graph> graph = load(text.substr(0, length)); graph.ok()) {
      EXPECT_EQ(predict(text.substr(0, length), {1, 0, 0.2, 5}), wanted) << length;
    }
}

TEST(LightGbm, AnyChangedByteIsAnErrorOrAModel) {
  const std::string text = model("objective=binary sigmoid:1\n", {numeric("10 6"), kCategorical});
  for (size_t at = 0; at < text.size(); ++at)
    for (const int bit : {1, 2, 4, 8, 16, 64, 128}) {
      std::string changed = text;
      changed[at] = static_cast<char>(changed[at] ^ bit);
      const Result<Graph> graph = load(changed);
      if (!graph.ok() || graph.value().inputs[0].dims[1].value != 2) continue;
      (void)evaluate(graph.value(), {{"input", Tensor::of<double>({1, 2}, {1, 0})}});
    }
}

}  // namespace
}  // namespace hayate
