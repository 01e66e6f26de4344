#include "eval/rows.h"

#include <gtest/gtest.h>

namespace hayate {
namespace {

// Whether rows stay apart in y = node(x [n, 4], w).
std::string verdict(std::vector<Node> nodes, std::map<std::string, Tensor> constants = {}) {
  Graph graph;
  graph.source = "made";
  graph.opset = 17;
  graph.inputs = {{"x", Type::kFloat32, true, {{-1, "n"}, {4, ""}}}};
  graph.outputs = {{"y", Type::kFloat32, false, {}}};
  graph.nodes = std::move(nodes);
  graph.constants = std::move(constants);
  return rows_depend(graph, {{"x", {Type::kFloat32, {3, 4}}}}, {{"x", {Type::kFloat32, {5, 4}}}});
}

Node node(const std::string& op, std::vector<std::string> inputs, const std::string& output,
          std::map<std::string, Attribute> attributes = {}) {
  return {op + "_" + output, "", op, std::move(inputs), {output}, std::move(attributes)};
}

const std::vector<int64_t> kSwap{1, 0};

TEST(Rows, StayApartInLayersAndWhatMovesWholeRows) {
  EXPECT_EQ(verdict({node("Softmax", {"x"}, "a", {{"axis", int64_t{-1}}}), node("Relu", {"a"}, "y")}), "");
  EXPECT_EQ(verdict({node("MatMul", {"x", "w"}, "y")}, {{"w", Tensor(Type::kFloat32, {4, 2})}}), "");
  // Column-major and back, with the batch inside a merged axis on the way.
  EXPECT_EQ(verdict({node("Transpose", {"x"}, "a", {{"perm", kSwap}}), node("Reshape", {"a", "flat"}, "b"),
                     node("Relu", {"b"}, "c"), node("Reshape", {"c", "back"}, "d"),
                     node("Transpose", {"d"}, "y", {{"perm", kSwap}})},
                    {{"flat", Tensor::of<int64_t>({1}, {-1})}, {"back", Tensor::of<int64_t>({2}, {4, -1})}}),
            "");
}

TEST(Rows, MixWhereAnOperatorReadsAcrossThem) {
  for (const auto& nodes : std::vector<std::vector<Node>>{
           {node("Softmax", {"x"}, "y", {{"axis", int64_t{0}}})},
           {node("Transpose", {"x"}, "a", {{"perm", kSwap}}), node("MatMul", {"x", "a"}, "y")},
           {node("ReduceMean", {"x"}, "a", {{"axes", std::vector<int64_t>{0}}}), node("Add", {"x", "a"}, "y")},
           {node("CumSum", {"x", "zero"}, "y")},
           {node("Transpose", {"x"}, "a", {{"perm", kSwap}}), node("Reshape", {"a", "shape"}, "y")}}) {
    const std::string why =
        verdict(nodes, {{"zero", Tensor::of<int64_t>({}, {0})}, {"shape", Tensor::of<int64_t>({2}, {-1, 4})}});
    EXPECT_NE(why, "") << nodes.back().op;
  }
}

TEST(Rows, OperatorsAlongAnotherAxisKeepThem) {
  const std::map<std::string, Tensor> constants{
      {"one", Tensor::of<int64_t>({}, {1})},      {"zero", Tensor::of<int64_t>({}, {0})},
      {"two", Tensor::of<int64_t>({1}, {2})},     {"wide", Tensor::of<int64_t>({2}, {1, 3})},
      {"tall", Tensor::of<int64_t>({2}, {2, 1})}, {"some", Tensor::of<bool>({4}, {true, false, true, true})},
      {"pads", Tensor::of<int64_t>({2}, {1, 1})}, {"axis", Tensor::of<int64_t>({1}, {-1})},
      {"w", Tensor(Type::kFloat32, {4, 2})}};
  const auto topk = [](int64_t axis) {
    Node made = node("TopK", {"x", "two"}, "y", {{"axis", axis}});
    made.outputs.push_back("indices");
    return made;
  };
  for (const Node& good :
       {node("CumSum", {"x", "one"}, "y"), topk(-1), node("Hardmax", {"x"}, "y"), node("Tile", {"x", "wide"}, "y"),
        node("Compress", {"x", "some"}, "y", {{"axis", int64_t{1}}}), node("Swish", {"x"}, "y"),
        node("Pad", {"x", "pads", "", "axis"}, "y"),
        node("Einsum", {"x", "w"}, "y", {{"equation", std::string("bi, ij -> bj")}}),
        node("Einsum", {"x", "x"}, "y", {{"equation", std::string("bi,bi->b")}})})
    EXPECT_EQ(verdict({good}, constants), "") << good.op;
  for (const Node& bad :
       {node("CumSum", {"x", "zero"}, "y"), topk(0), node("Hardmax", {"x"}, "y", {{"axis", int64_t{0}}}),
        node("Tile", {"x", "tall"}, "y"), node("Einsum", {"x", "x"}, "y", {{"equation", std::string("bi,ci->bc")}}),
        node("Einsum", {"x", "w"}, "y", {{"equation", std::string("bi,ij->j")}})})
    EXPECT_NE(verdict({bad}, constants), "") << bad.op;
}

TEST(Rows, ASliceThatTakesAllOfFewRowsMayNotTakeAllOfMany) {
  const auto slice = [](int64_t start, int64_t end) {
    return verdict({node("Slice", {"x", "start", "end", "axes"}, "y")}, {{"start", Tensor::of<int64_t>({1}, {start})},
                                                                         {"end", Tensor::of<int64_t>({1}, {end})},
                                                                         {"axes", Tensor::of<int64_t>({1}, {0})}});
  };
  EXPECT_EQ(slice(0, INT64_MAX), "");
  EXPECT_NE(slice(0, 13), "");
  EXPECT_NE(slice(-13, INT64_MAX), "");
}

TEST(Rows, CountingTheBatchIsSeen) {
  const std::string why = verdict({node("Shape", {"x"}, "s", {{"end", int64_t{1}}}), node("Squeeze", {"s"}, "n"),
                                   node("Range", {"zero", "n", "one"}, "r"), node("Unsqueeze", {"r", "axis"}, "u"),
                                   node("Cast", {"u"}, "f", {{"to", int64_t{1}}}), node("Add", {"x", "f"}, "y")},
                                  {{"zero", Tensor::of<int64_t>({}, {0})},
                                   {"one", Tensor::of<int64_t>({}, {1})},
                                   {"axis", Tensor::of<int64_t>({1}, {1})}});
  EXPECT_NE(why.find("counts rows"), std::string::npos) << why;
}

}  // namespace
}  // namespace hayate
