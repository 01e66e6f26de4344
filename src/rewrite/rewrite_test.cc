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
  const Graph graph = graph_of({{"a", "", "Tanh", {"x"}, {"a"}, {}},
                                {"b", "", "Tanh", {"x"}, {"b"}, {}},
                                {"c", "", "Add", {"a", "b"}, {"y"}, {}}});
  EXPECT_EQ(ops(after_rule(graph, share_equal_nodes)), "Tanh Add ");
}

TEST(Rewrite, NodesThatDifferInAnAttributeAreNotShared) {
  const Graph graph = graph_of({{"a", "", "LeakyRelu", {"x"}, {"a"}, {{"alpha", 0.1f}}},
                                {"b", "", "LeakyRelu", {"x"}, {"b"}, {{"alpha", 0.2f}}},
                                {"c", "", "Add", {"a", "b"}, {"y"}, {}}});
  EXPECT_EQ(ops(after_rule(graph, share_equal_nodes)), "LeakyRelu LeakyRelu Add ");
}

TEST(Rewrite, TransposesMergeAndCancel) {
  const std::vector<int64_t> swap{1, 0};
  const Graph graph = graph_of({{"a", "", "Transpose", {"x"}, {"a"}, {{"perm", swap}}},
                                {"b", "", "Transpose", {"a"}, {"b"}, {{"perm", swap}}},
                                {"c", "", "Relu", {"b"}, {"y"}, {}}});
  const Graph merged = after_rule(graph, merge_transposes);
  EXPECT_EQ(ops(after_rule(merged, drop_dead)), "Relu ");
}

TEST(Rewrite, DeadNodesAndConstantsGo) {
  const Graph graph = graph_of({{"a", "", "Exp", {"x"}, {"unused"}, {}}, {"b", "", "Relu", {"x"}, {"y"}, {}}},
                               {{"c", Tensor::of<float>({1}, {2.0f})}});
  const Graph left = after_rule(graph, drop_dead);
  EXPECT_EQ(ops(left), "Relu ");
  EXPECT_TRUE(left.constants.empty());
}

// As after_rule, for rules that round differently.
Graph after_rounding_rule(const Graph& graph, Rule rule) {
  const Tensor x = Tensor::of<float>({2, 3}, {1, -2, 3, -4, 5, 0.5f});
  const Result<Graph> changed = apply_rule(graph, kFed, rule);
  EXPECT_TRUE(changed.ok()) << changed.error().text();
  const auto before = evaluate(graph, {{"x", x}}), after = evaluate(changed.value(), {{"x", x}});
  EXPECT_TRUE(before.ok() && after.ok());
  EXPECT_EQ(before.value().at("y").shape(), after.value().at("y").shape());
  const std::vector<double> a = to_doubles(before.value().at("y")), b = to_doubles(after.value().at("y"));
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-5) << i;
  const Result<Graph> left = apply_rule(changed.value(), kFed, drop_dead);
  EXPECT_TRUE(left.ok()) << left.error().text();
  return left.value();
}

Tensor number(float value) { return Tensor::of<float>({}, {value}); }

TEST(Rewrite, LayerNormIsRecognised) {
  for (const bool affine : {false, true}) {
    std::vector<Node> nodes = {{"m", "", "ReduceMean", {"x"}, {"mean"}, {{"axes", std::vector<int64_t>{-1}}}},
                               {"s", "", "Sub", {"x", "mean"}, {"d"}, {}},
                               {"p", "", "Pow", {"d", "two"}, {"square"}, {}},
                               {"v", "", "ReduceMean", {"square"}, {"variance"}, {{"axes", std::vector<int64_t>{1}}}},
                               {"a", "", "Add", {"variance", "epsilon"}, {"sum"}, {}},
                               {"r", "", "Sqrt", {"sum"}, {"root"}, {}},
                               {"q", "", "Div", {"d", "root"}, {affine ? "n" : "y"}, {}}};
    if (affine)
      nodes.push_back({"w", "", "Mul", {"n", "scale"}, {"nw"}, {}}),
          nodes.push_back({"b", "", "Add", {"nw", "bias"}, {"y"}, {}});
    const Graph graph = graph_of(nodes, {{"two", number(2)},
                                         {"epsilon", number(1e-5f)},
                                         {"scale", Tensor::of<float>({3}, {1, 2, 3})},
                                         {"bias", Tensor::of<float>({3}, {4, 5, 6})}});
    EXPECT_EQ(ops(after_rounding_rule(graph, recognise_layer_norm)), "LayerNormalization ");
  }
}

TEST(Rewrite, ANormOverAnotherAxisIsLeft) {
  const Graph graph = graph_of({{"m", "", "ReduceMean", {"x"}, {"mean"}, {{"axes", std::vector<int64_t>{0}}}},
                                {"s", "", "Sub", {"x", "mean"}, {"d"}, {}},
                                {"p", "", "Mul", {"d", "d"}, {"square"}, {}},
                                {"v", "", "ReduceMean", {"square"}, {"variance"}, {{"axes", std::vector<int64_t>{0}}}},
                                {"a", "", "Add", {"variance", "epsilon"}, {"sum"}, {}},
                                {"r", "", "Sqrt", {"sum"}, {"root"}, {}},
                                {"q", "", "Div", {"d", "root"}, {"y"}, {}}},
                               {{"epsilon", number(1e-5f)}});
  EXPECT_EQ(ops(after_rounding_rule(graph, recognise_layer_norm)).find("LayerNormalization"), std::string::npos);
}

TEST(Rewrite, GeluIsRecognisedInTheOrdersThatExportersWrite) {
  const std::map<std::string, Tensor> constants = {
      {"root", number(1.41421354f)}, {"inverse", number(0.70710678f)}, {"one", number(1)}, {"half", number(0.5f)}};
  const std::vector<Node> erf = {{"d", "", "Div", {"x", "root"}, {"z"}, {}},
                                 {"e", "", "Erf", {"z"}, {"e"}, {}},
                                 {"a", "", "Add", {"e", "one"}, {"a"}, {}}};
  std::vector<Node> torch = erf, halved = erf, inner = erf;
  torch.push_back({"m", "", "Mul", {"x", "a"}, {"m"}, {}}), torch.push_back({"h", "", "Mul", {"m", "half"}, {"y"}, {}});
  halved.push_back({"h", "", "Mul", {"x", "half"}, {"h"}, {}}),
      halved.push_back({"m", "", "Mul", {"h", "a"}, {"y"}, {}});
  inner.push_back({"h", "", "Mul", {"half", "a"}, {"h"}, {}}), inner.push_back({"m", "", "Mul", {"x", "h"}, {"y"}, {}});
  for (const auto& nodes : {torch, halved, inner})
    EXPECT_EQ(ops(after_rounding_rule(graph_of(nodes, constants), recognise_gelu)), "Gelu ");
}

TEST(Rewrite, BatchNormFoldsIntoGemm) {
  for (const int64_t transposed : {0, 1}) {
    const Graph graph =
        graph_of({{"g", "", "Gemm", {"x", "w", "b"}, {"g"}, {{"transB", transposed}}},
                  {"n", "", "BatchNormalization", {"g", "scale", "shift", "mean", "variance"}, {"y"}, {}}},
                 {{"w", transposed != 0 ? Tensor::of<float>({2, 3}, {1, 2, 3, 4, 5, 6})
                                        : Tensor::of<float>({3, 2}, {1, 2, 3, 4, 5, 6})},
                  {"b", Tensor::of<float>({2}, {0.5f, -1})},
                  {"scale", Tensor::of<float>({2}, {2, 3})},
                  {"shift", Tensor::of<float>({2}, {1, 2})},
                  {"mean", Tensor::of<float>({2}, {3, -3})},
                  {"variance", Tensor::of<float>({2}, {4, 9})}});
    EXPECT_EQ(ops(after_rounding_rule(graph, fold_batch_norm)), "Gemm ");
  }
}

TEST(Rewrite, BatchNormFoldsIntoConv) {
  const Graph graph =
      graph_of({{"u", "", "Unsqueeze", {"x", "axis"}, {"image"}, {}},
                {"c", "", "Conv", {"image", "w"}, {"c"}, {}},
                {"n", "", "BatchNormalization", {"c", "scale", "shift", "mean", "variance"}, {"y"}, {}}},
               {{"axis", Tensor::of<int64_t>({1}, {0})},
                {"w", Tensor::of<float>({2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8})},
                {"scale", Tensor::of<float>({2}, {2, 3})},
                {"shift", Tensor::of<float>({2}, {1, 2})},
                {"mean", Tensor::of<float>({2}, {3, -3})},
                {"variance", Tensor::of<float>({2}, {4, 9})}});
  EXPECT_EQ(ops(after_rounding_rule(graph, fold_batch_norm)), "Unsqueeze Conv ");
}

TEST(Rewrite, MatMulAndAddBecomeGemm) {
  const std::map<std::string, Tensor> constants = {{"w", Tensor::of<float>({3, 2}, {1, 2, 3, 4, 5, 6})},
                                                   {"b", Tensor::of<float>({2}, {0.5f, -1})},
                                                   {"axis", Tensor::of<int64_t>({1}, {0})}};
  EXPECT_EQ(
      ops(after_rounding_rule(
          graph_of({{"m", "", "MatMul", {"x", "w"}, {"m"}, {}}, {"a", "", "Add", {"b", "m"}, {"y"}, {}}}, constants),
          matmul_to_gemm)),
      "Gemm ");
  const Graph deep = graph_of({{"u", "", "Unsqueeze", {"x", "axis"}, {"u"}, {}},
                               {"m", "", "MatMul", {"u", "w"}, {"m"}, {}},
                               {"a", "", "Add", {"m", "b"}, {"y"}, {}}},
                              constants);
  EXPECT_EQ(ops(after_rounding_rule(deep, matmul_to_gemm)), "Unsqueeze Reshape Gemm Reshape ");
}

TEST(Rewrite, ZerosAroundAConvFoldIntoIt) {
  const Graph graph = graph_of({{"u", "", "Unsqueeze", {"x", "axis"}, {"image"}, {}},
                                {"p", "", "Pad", {"image", "pads"}, {"padded"}, {}},
                                {"c", "", "Conv", {"padded", "w"}, {"y"}, {{"pads", std::vector<int64_t>{0, 1}}}}},
                               {{"axis", Tensor::of<int64_t>({1}, {0})},
                                {"pads", Tensor::of<int64_t>({6}, {0, 0, 2, 0, 0, 0})},
                                {"w", Tensor::of<float>({1, 2, 2}, {1, 2, 3, 4})}});
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
