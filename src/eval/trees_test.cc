#include "eval/trees.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "eval/evaluate.h"

namespace hayate {
namespace {

using Ints = std::vector<int64_t>;
using Floats = std::vector<float>;

// x0 <= 0.5 ? 1 : 2 in one tree, as ONNX writes it.
Node regressor() {
  Node node{"t", "ai.onnx.ml", "TreeEnsembleRegressor", {"x"}, {"y"}, {}};
  auto& a = node.attributes;
  a["nodes_treeids"] = Ints{0, 0, 0}, a["nodes_nodeids"] = Ints{0, 1, 2}, a["nodes_featureids"] = Ints{0, 0, 0};
  a["nodes_truenodeids"] = Ints{1, 0, 0}, a["nodes_falsenodeids"] = Ints{2, 0, 0},
  a["nodes_values"] = Floats{0.5f, 0, 0};
  a["nodes_modes"] = std::vector<std::string>{"BRANCH_LEQ", "LEAF", "LEAF"};
  a["target_treeids"] = Ints{0, 0}, a["target_nodeids"] = Ints{1, 2}, a["target_ids"] = Ints{0, 0},
  a["target_weights"] = Floats{1, 2};
  a["n_targets"] = int64_t{1};
  return node;
}

Result<std::vector<Tensor>> run(const Node& node, const Tensor& x) { return run_node(node, 17, {&x}); }

TEST(TreeNodes, Regressor) {
  const auto out = run(regressor(), Tensor::of<float>({3, 2}, {0.5f, 9, 0.6f, 9, -1, 9}));
  ASSERT_TRUE(out.ok()) << out.error().text();
  EXPECT_EQ(to_doubles(out.value()[0]), (std::vector<double>{1, 2, 1}));
  EXPECT_EQ(out.value()[0].shape(), (Shape{3, 1}));
}

TEST(TreeNodes, IntegersAndNoRows) {
  const auto out = run(regressor(), Tensor::of<int64_t>({2, 1}, {0, 1}));
  ASSERT_TRUE(out.ok()) << out.error().text();
  EXPECT_EQ(to_doubles(out.value()[0]), (std::vector<double>{1, 2}));
  const auto none = run(regressor(), Tensor(Type::kFloat32, {0, 2}));
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(none.value()[0].shape(), (Shape{0, 1}));
}

void expect_error(const Node& node, const std::string& what) {
  const auto out = run(node, Tensor::of<float>({1, 2}, {0, 0}));
  ASSERT_FALSE(out.ok()) << what;
  EXPECT_NE(out.error().text().find(what), std::string::npos) << out.error().text();
}

TEST(TreeNodes, FaultsAreNamed) {
  const auto spoiled = [](const char* key, Attribute value) {
    Node node = regressor();
    node.attributes[key] = std::move(value);
    return node;
  };
  expect_error(spoiled("nodes_truenodeids", Ints{0, 0, 0}), "another parent");
  expect_error(spoiled("nodes_truenodeids", Ints{2, 0, 0}), "another parent");
  expect_error(spoiled("nodes_truenodeids", Ints{3, 0, 0}), "tree 0, node 0: its child 3 does not exist");
  expect_error(spoiled("nodes_truenodeids", Ints{-1, 0, 0}), "child -1");
  expect_error(spoiled("nodes_featureids", Ints{2, 0, 0}), "feature 2 of 2");
  expect_error(spoiled("nodes_featureids", Ints{int64_t{1} << 40, 0, 0}), "feature 1099511627776 of 2");
  expect_error(spoiled("nodes_nodeids", Ints{0, 1, 1}), "two nodes 1");
  expect_error(spoiled("nodes_values", Floats{0.5f}), "differ in length");
  expect_error(spoiled("nodes_modes", std::vector<std::string>{"BRANCH_MEMBER", "LEAF", "LEAF"}),
               "'BRANCH_MEMBER' is unknown");
  expect_error(spoiled("target_ids", Ints{0, 1}), "output 1 of 1");
  expect_error(spoiled("target_nodeids", Ints{1, 1}), "node 2: a leaf without weight");
  expect_error(spoiled("target_nodeids", Ints{1, 7}), "which does not exist");
  expect_error(spoiled("n_targets", int64_t{0}), "n_targets is 0");
  expect_error(spoiled("n_targets", int64_t{1} << 40), "n_targets is");
  expect_error(spoiled("post_transform", std::string("MAGIC")), "post_transform 'MAGIC' is unknown");
  expect_error(spoiled("aggregate_function", std::string("MEDIAN")), "'MEDIAN' is unknown");
}

// x0 in {1.5, 8} ? 1 : x0 in {7} ? 2 : 3, as ai.onnx.ml 5 writes it.
Node member_ensemble() {
  Node node{"t", "ai.onnx.ml", "TreeEnsemble", {"x"}, {"y"}, {}};
  auto& a = node.attributes;
  a["nodes_modes"] = Tensor::of<uint8_t>({2}, {6, 6});
  a["nodes_featureids"] = Ints{0, 0}, a["nodes_splits"] = Tensor::of<float>({2}, {0, 0});
  a["nodes_truenodeids"] = Ints{0, 1}, a["nodes_trueleafs"] = Ints{1, 1};
  a["nodes_falsenodeids"] = Ints{1, 2}, a["nodes_falseleafs"] = Ints{0, 1};
  a["membership_values"] = Tensor::of<float>({4}, {8, 1.5f, std::numeric_limits<float>::quiet_NaN(), 7});
  a["tree_roots"] = Ints{0}, a["leaf_targetids"] = Ints{0, 0, 0};
  a["leaf_weights"] = Tensor::of<float>({3}, {1, 2, 3}), a["n_targets"] = int64_t{1};
  return node;
}

TEST(TreeNodes, MembershipIsEqualityWithAnyOfAList) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor x = Tensor::of<float>({6, 1}, {1.5f, 8, 7, 1, 7.25f, nan});
  const auto out = run(member_ensemble(), x);
  ASSERT_TRUE(out.ok()) << out.error().text();
  EXPECT_EQ(to_doubles(out.value()[0]), (std::vector<double>{1, 1, 2, 3, 3, 3}));
  Node tracking = member_ensemble();
  tracking.attributes["nodes_missing_value_tracks_true"] = Ints{0, 1};
  EXPECT_EQ(to_doubles(run(tracking, x).value()[0])[5], 2);
  Node unknown = member_ensemble();
  unknown.attributes["nodes_modes"] = Tensor::of<uint8_t>({2}, {6, 7});
  expect_error(unknown, "node 1: nodes_modes 7 is unknown; 0 (BRANCH_LEQ) to 6 (BRANCH_MEMBER) are");
}

TEST(TreeNodes, TransformsOfFloat64Sums) {
  Node node = member_ensemble();
  auto& a = node.attributes;
  a["nodes_splits"] = Tensor::of<double>({2}, {0, 0}), a["leaf_weights"] = Tensor::of<double>({3}, {1, 2, 3});
  a["leaf_targetids"] = Ints{0, 1, 1}, a["n_targets"] = int64_t{2}, a["post_transform"] = int64_t{2};
  const auto out = run(node, Tensor::of<double>({2, 1}, {8, 7}));
  ASSERT_TRUE(out.ok()) << out.error().text();
  const std::vector<double> y = to_doubles(out.value()[0]);
  EXPECT_DOUBLE_EQ(y[0], 1 / (1 + std::exp(-1.0)));
  EXPECT_DOUBLE_EQ(y[3], 1 / (1 + std::exp(-2.0)));
}

TEST(TreeNodes, OwnNodesComeBackAsTheyWere) {
  kernels::Trees t;
  t.features = 2, t.outputs = 2, t.float64_sum = false, t.base = {0.5, 0.25}, t.base_first = true;
  const uint32_t word = 5;
  const int32_t a = t.add_leaf(1, 0), b = t.add_leaf(2, 1);
  t.roots = {
      t.add_node(static_cast<uint8_t>(kernels::Split::kInSet) | kernels::kNanTrue, 1, t.add_set(&word, 1), a, b)};
  const Result<kernels::Trees> back = trees_from(tree_ensemble_node(t, false, "x", "y"), {Type::kFloat32, {1, 2}});
  ASSERT_TRUE(back.ok()) << back.error().text();
  EXPECT_EQ(back.value().kind, t.kind);
  EXPECT_EQ(back.value().threshold, t.threshold);
  EXPECT_EQ(back.value().set_words, t.set_words);
  EXPECT_EQ(back.value().base, t.base);
  EXPECT_EQ(back.value().base_first, true);
  const auto out = run(tree_ensemble_node(t, false, "x", "y"), Tensor::of<float>({2, 2}, {0, 2, 0, 1}));
  ASSERT_TRUE(out.ok()) << out.error().text();
  EXPECT_EQ(to_doubles(out.value()[0]), (std::vector<double>{1.5, 0.25, 0.5, 2.25}));
  EXPECT_FALSE(run(tree_ensemble_node(t, false, "x", "y"), Tensor::of<float>({1, 3}, {0, 0, 0})).ok());
  EXPECT_FALSE(run(tree_ensemble_node(t, false, "x", "y"), Tensor::of<double>({1, 2}, {0, 0})).ok())
      << "float32 thresholds";
}

TEST(TreeNodes, ObjectiveChecksItsKind) {
  Node node = objective_node(kernels::Objective::kArgmax, 1, "x", "y");
  const auto out = run(node, Tensor::of<float>({2, 2}, {0, 1, 1, 0}));
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(out.value()[0].shape(), (Shape{2, 1}));
  node.attributes["kind"] = std::string("mystery");
  expect_error(node, "'mystery' is unknown");
}

TEST(MlNodes, StringLabelsAreRefused) {
  Node node = regressor();
  node.op = "TreeEnsembleClassifier", node.outputs = {"label", "scores"};
  node.attributes["classlabels_strings"] = std::vector<std::string>{"a", "b"};
  expect_error(node, "string labels");
}

TEST(MlNodes, FeatureExtractorChecksIndices) {
  const Node node{"f", "ai.onnx.ml", "ArrayFeatureExtractor", {"x", "i"}, {"y"}, {}};
  const Tensor x = Tensor::of<float>({1, 3}, {4, 5, 6}), good = Tensor::of<int64_t>({2}, {2, 0}),
               bad = Tensor::of<int64_t>({1}, {3});
  const auto out = run_node(node, 17, {&x, &good});
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(to_doubles(out.value()[0]), (std::vector<double>{6, 4}));
  EXPECT_FALSE(run_node(node, 17, {&x, &bad}).ok());
}

TEST(QuantNodes, ShapesAreChecked) {
  const Node node{"q", "", "QuantizeLinear", {"x", "s"}, {"y"}, {}};
  const Tensor x = Tensor::of<float>({1, 3}, {4, 5, 6}), good = Tensor::of<float>({3}, {1, 2, 3}),
               bad = Tensor::of<float>({2}, {1, 2});
  const auto out = run_node(node, 17, {&x, &good});
  ASSERT_TRUE(out.ok()) << out.error().text();
  EXPECT_EQ(to_doubles(out.value()[0]), (std::vector<double>{4, 2, 2}));
  EXPECT_FALSE(run_node(node, 17, {&x, &bad}).ok());
}

}  // namespace
}  // namespace hayate
