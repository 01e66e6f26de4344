#include "rewrite/rewrite.h"

#include <gtest/gtest.h>

#include "rewrite/rules/rules.h"

namespace hayate {
namespace {

const std::map<std::string, TensorType> kFed = {{"x", {Type::kFloat32, {2, 3}}}};

Graph graph_of(std::vector<Node> nodes, std::map<std::string, Tensor> constants = {}) {
  Graph graph;
  graph.source = "made";
  graph.opset = 17;
  graph.inputs = {{"x", Type::kFloat32, true, {{2, ""}, {3, ""}}}};
  graph.outputs = {{"y", Type::kFloat32, false, {}}};
  graph.nodes = std::move(nodes);
  graph.constants = std::move(constants);
  return graph;
}

// The graph after the rule; its answer must not have changed.
Graph after_rule(const Graph& graph, Rule rule) {
  const Tensor x = Tensor::of<float>({2, 3}, {1, -2, 3, -4, 5, 0.5f});
  const Result<Graph> changed = apply_rule(graph, kFed, rule);
  EXPECT_TRUE(changed.ok()) << changed.error().text();
  const auto before = evaluate(graph, {{"x", x}}), after = evaluate(changed.value(), {{"x", x}});
  EXPECT_TRUE(before.ok() && after.ok());
  EXPECT_EQ(before.value().at("y").shape(), after.value().at("y").shape());
  EXPECT_EQ(to_doubles(before.value().at("y")), to_doubles(after.value().at("y")));
  return changed.value();
}

std::string ops(const Graph& graph) {
  std::string text;
  for (const Node& node : graph.nodes) text += node.op + " ";
  return text;
}

TEST(Rewrite, ConstantsAndShapeChainsFold) {
  const Graph graph = graph_of({{"s", "", "Shape", {"x"}, {"shape"}, {}},
                                {"a", "", "Add", {"c", "c"}, {"c2"}, {}},
                                {"m", "", "Mul", {"x", "c2"}, {"z"}, {}},
                                {"r", "", "Reshape", {"z", "shape"}, {"y"}, {}}},
                               {{"c", Tensor::of<float>({1}, {2.0f})}});
  EXPECT_EQ(ops(after_rule(graph, fold_constants)), "Mul Reshape ");
}

TEST(Rewrite, IdentitiesGo) {
  const Graph graph = graph_of({{"r", "", "Relu", {"x"}, {"a"}, {}},
                                {"t", "", "Transpose", {"a"}, {"b"}, {{"perm", std::vector<int64_t>{0, 1}}}},
                                {"i", "", "Identity", {"b"}, {"y"}, {}}});
  EXPECT_EQ(ops(after_rule(graph, drop_identities)), "Relu ");
}

TEST(Rewrite, AnIdentityFromInputToOutputStays) {
  EXPECT_EQ(ops(after_rule(graph_of({{"i", "", "Identity", {"x"}, {"y"}, {}}}), drop_identities)), "Identity ");
}

TEST(Rewrite, EqualNodesAreShared) {
  const Graph graph = graph_of({{"a", "", "Tanh", {"x"}, {"a"}, {}}, {"b", "", "Tanh", {"x"}, {"b"}, {}}, {"c", "", "Add", {"a", "b"}, {"y"}, {}}});
  EXPECT_EQ(ops(after_rule(graph, share_equal_nodes)), "Tanh Add ");
}

TEST(Rewrite, NodesThatDifferInAnAttributeAreNotShared) {
  const Graph graph = graph_of({{"a", "", "LeakyRelu", {"x"}, {"a"}, {{"alpha", 0.1f}}}, {"b", "", "LeakyRelu", {"x"}, {"b"}, {{"alpha", 0.2f}}}, {"c", "", "Add", {"a", "b"}, {"y"}, {}}});
  EXPECT_EQ(ops(after_rule(graph, share_equal_nodes)), "LeakyRelu LeakyRelu Add ");
}

TEST(Rewrite, TransposesMergeAndCancel) {
  const std::vector<int64_t> swap{1, 0};
  const Graph graph = graph_of({{"a", "", "Transpose", {"x"}, {"a"}, {{"perm", swap}}}, {"b", "", "Transpose", {"a"}, {"b"}, {{"perm", swap}}}, {"c", "", "Relu", {"b"}, {"y"}, {}}});
  const Graph merged = after_rule(graph, merge_transposes);
  EXPECT_EQ(ops(after_rule(merged, drop_dead)), "Relu ");
}

TEST(Rewrite, DeadNodesAndConstantsGo) {
  const Graph graph = graph_of({{"a", "", "Exp", {"x"}, {"unused"}, {}}, {"b", "", "Relu", {"x"}, {"y"}, {}}}, {{"c", Tensor::of<float>({1}, {2.0f})}});
  const Graph left = after_rule(graph, drop_dead);
  EXPECT_EQ(ops(left), "Relu ");
  EXPECT_TRUE(left.constants.empty());
}

TEST(Rewrite, ZerosAroundAConvFoldIntoIt) {
  const Graph graph = graph_of({{"u", "", "Unsqueeze", {"x", "axis"}, {"image"}, {}},
                                {"p", "", "Pad", {"image", "pads"}, {"padded"}, {}},
                                {"c", "", "Conv", {"padded", "w"}, {"y"}, {{"pads", std::vector<int64_t>{0, 1}}}}},
                               {{"axis", Tensor::of<int64_t>({1}, {0})}, {"pads", Tensor::of<int64_t>({6}, {0, 0, 2, 0, 0, 0})}, {"w", Tensor::of<float>({1, 2, 2}, {1, 2, 3, 4})}});
  const Graph folded = after_rule(after_rule(graph, fold_padding), drop_dead);
  EXPECT_EQ(ops(folded), "Unsqueeze Conv ");
  EXPECT_EQ(folded.nodes[1].get<std::vector<int64_t>>("pads", {}), (std::vector<int64_t>{2, 1}));
}

TEST(Rewrite, TheDoorNamesItsPasses) {
  std::vector<PassReport> reports;
  const Graph graph = graph_of({{"b", "", "Relu", {"x"}, {"y"}, {}}});
  ASSERT_TRUE(rewrite(graph, kFed, "", &reports).ok());
  EXPECT_EQ(reports.size(), passes().size());
  const Result<Graph> unknown = rewrite(graph, kFed, "nonsense");
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.error().text().find("fold_constants"), std::string::npos);
}

}  // namespace
}  // namespace hayate
