#include "eval/rows.h"

#include <gtest/gtest.h>

namespace hayate {
namespace {

// Whether rows stay apart in y = node(x [n, 4], w).
std::string verdict(std::vector<Node> nodes, std::map<std::string, Tensor> constants = {},
                    const std::vector<std::string>& deciding = {}) {
  Graph graph;
  graph.source = "made";
  graph.opset = 17;
  graph.inputs = {{"x", Type::kFloat32, true, {{-1, "n"}, {4, ""}}}};
  graph.outputs = {{"y", Type::kFloat32, false, {}}};
  graph.nodes = std::move(nodes);
  graph.constants = std::move(constants);
  return rows_depend(graph, {{"x", {Type::kFloat32, {3, 4}}}}, {{"x", {Type::kFloat32, {5, 4}}}}, deciding);
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
           {node("Squeeze", {"x"}, "y")},
           {node("Transpose", {"x"}, "a", {{"perm", kSwap}}), node("Reshape", {"a", "shape"}, "y")}}) {
    const std::string why =
        verdict(nodes, {{"zero", Tensor::of<int64_t>({}, {0})}, {"shape", Tensor::of<int64_t>({2}, {-1, 4})}});
    EXPECT_NE(why, "") << nodes.back().op;
  }
}

// At 3 rows and at 5 alike, at 4 otherwise.
TEST(Rows, ANumberOfRowsThatIsComparedDecides) {
  const std::map<std::string, Tensor> constants{{"zero", Tensor::of<int64_t>({}, {0})},
                                                {"four", Tensor::of<int64_t>({}, {4})},
                                                {"as_is", Tensor::of<int64_t>({2}, {-1, -1})},
                                                {"ones", Tensor::of<int64_t>({2}, {1, 1})},
                                                {"row", Tensor(Type::kFloat32, {1, 4})}};
  const std::vector<Node> rows{node("Shape", {"x"}, "shape"), node("Gather", {"shape", "zero"}, "n"),
                               node("Neg", {"x"}, "other")};
  const auto with = [&](std::vector<Node> more) {
    more.insert(more.begin(), rows.begin(), rows.end());
    return more;
  };
  for (const char* op : {"Equal", "Less", "GreaterOrEqual"}) {
    EXPECT_NE(verdict(with({node(op, {"n", "four"}, "c"), node("Where", {"c", "x", "other"}, "y")}), constants), "")
        << op;
    EXPECT_NE(verdict(with({node(op, {"n", "four"}, "c"), node("Relu", {"x"}, "y")}), constants, {"c"}), "") << op;
    EXPECT_EQ(verdict(with({node(op, {"n", "zero"}, "c"), node("Relu", {"x"}, "y")}), constants, {"c"}), "") << op;
  }
  EXPECT_NE(verdict(with({node("Div", {"n", "four"}, "d"), node("Cast", {"d"}, "f", {{"to", int64_t{1}}}),
                          node("Add", {"x", "f"}, "y")}),
                    constants),
            "");
  // Expand as exporters write it.
  EXPECT_EQ(verdict(with({node("Equal", {"shape", "as_is"}, "c"), node("Where", {"c", "ones", "shape"}, "wide"),
                          node("Expand", {"row", "wide"}, "e"), node("Add", {"x", "e"}, "y")}),
                    constants),
            "");
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

TEST(Rows, PlacesInAPoolCountThroughTheBatch) {
  const std::map<std::string, Tensor> constants{{"image", Tensor::of<int64_t>({3}, {-1, 1, 4})}};
  Node pool = node("MaxPool", {"a"}, "y", {{"kernel_shape", std::vector<int64_t>{2}}});
  EXPECT_EQ(verdict({node("Reshape", {"x", "image"}, "a"), pool}, constants), "");
  pool.outputs = {"v", "y"};
  EXPECT_NE(verdict({node("Reshape", {"x", "image"}, "a"), pool}, constants), "");
}

TEST(Rows, PlacesThatNobodyReadsDoNotMixThem) {
  Node pool = node("MaxPool", {"a"}, "p", {{"kernel_shape", std::vector<int64_t>{2}}});
  pool.outputs.push_back("places");
  const std::map<std::string, Tensor> constants{{"one", Tensor::of<int64_t>({1}, {1})}};
  const Node image = node("Unsqueeze", {"x", "one"}, "a");
  EXPECT_EQ(verdict({image, pool, node("Relu", {"p"}, "y")}, constants), "");
  EXPECT_NE(verdict({image, pool, node("Cast", {"places"}, "y", {{"to", int64_t{1}}})}, constants), "");
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

TEST(Rows, TheNumberOfRowsMayDecideShapesAlone) {
  const std::map<std::string, Tensor> constants{{"first", Tensor::of<int64_t>({1}, {0})},
                                                {"four", Tensor::of<int64_t>({1}, {4})}};
  const std::vector<Node> count{node("Shape", {"x"}, "s"), node("Gather", {"s", "first"}, "n")};
  const auto after_count = [&](std::vector<Node> more) {
    more.insert(more.begin(), count.begin(), count.end());
    return verdict(more, constants);
  };
  const Node cast = node("Cast", {"n"}, "f", {{"to", int64_t{1}}});
  const Node wide = node("Concat", {"n", "four"}, "wide", {{"axis", int64_t{0}}});
  EXPECT_EQ(after_count({wide, node("Reshape", {"x", "wide"}, "y")}), "");
  EXPECT_NE(after_count({cast, node("Mul", {"x", "f"}, "y")}), "");
  EXPECT_NE(after_count({cast, wide, node("Expand", {"f", "wide"}, "all"), node("Mul", {"x", "all"}, "y")}), "");
}

TEST(Rows, RowsOfATableByNumberStayApart) {
  const std::map<std::string, Tensor> constants{{"table", Tensor(Type::kFloat32, {7, 2})}};
  const Node cast = node("Cast", {"x"}, "i", {{"to", int64_t{7}}});
  EXPECT_EQ(verdict({cast, node("Gather", {"table", "i"}, "y")}, constants), "");
  EXPECT_NE(verdict({cast, node("Gather", {"table", "i"}, "y", {{"axis", int64_t{1}}})}, constants), "")
      << "the batch is not the first axis";
  EXPECT_NE(verdict({cast, node("Gather", {"x", "i"}, "y")}), "");
}

TEST(Rows, TheSameElementsOfEachRowStayApart) {
  const std::map<std::string, Tensor> constants{{"at", Tensor::of<int64_t>({3, 1}, {0, 0, 2})}};
  const Node turned = node("Transpose", {"x"}, "a", {{"perm", kSwap}}), gathered = node("GatherND", {"a", "at"}, "b"),
             back = node("Transpose", {"b"}, "y", {{"perm", kSwap}});
  EXPECT_EQ(verdict({turned, gathered, back}, constants), "");
  EXPECT_NE(verdict({node("GatherND", {"x", "at"}, "y")}, constants), "") << "these are rows";
}

// x as [n, 2, 2], through the node as h -> z, and back.
std::string verdict_on_planes(Node through, std::map<std::string, Tensor> constants = {}) {
  constants.emplace("planes", Tensor::of<int64_t>({3}, {-1, 2, 2}));
  constants.emplace("flat", Tensor::of<int64_t>({2}, {-1, 4}));
  return verdict({node("Reshape", {"x", "planes"}, "h"), std::move(through), node("Reshape", {"z", "flat"}, "y")},
                 std::move(constants));
}

TEST(Rows, NormalisationsAndPoolsOfEachRow) {
  const Tensor pair(Type::kFloat32, {2});
  const std::map<std::string, Tensor> constants{
      {"s", pair}, {"b", pair}, {"scales", Tensor::of<float>({3}, {1, 1, 1})}, {"none", Tensor(Type::kFloat32, {0})}};
  const std::vector<int64_t> kLast{1, 2}, kAll{0, 2};
  for (const Node& each : {node("InstanceNormalization", {"h", "s", "b"}, "z"),
                           node("GroupNormalization", {"h", "s", "b"}, "z", {{"num_groups", int64_t{2}}}),
                           node("RMSNormalization", {"h", "s"}, "z"), node("LRN", {"h"}, "z", {{"size", int64_t{3}}}),
                           node("LpPool", {"h"}, "z", {{"kernel_shape", std::vector<int64_t>{1}}}),
                           node("LpNormalization", {"h"}, "z", {{"axis", int64_t{1}}}),
                           node("MeanVarianceNormalization", {"h"}, "z", {{"axes", kLast}}),
                           node("Resize", {"h", "none", "scales"}, "z", {{"mode", std::string("linear")}})})
    EXPECT_EQ(verdict_on_planes(each, constants), "") << each.op;
  for (const Node& each : {node("LpNormalization", {"h"}, "z", {{"axis", int64_t{0}}}),
                           node("MeanVarianceNormalization", {"h"}, "z", {{"axes", kAll}}),
                           node("RMSNormalization", {"h", "s"}, "z", {{"axis", int64_t{0}}}),
                           node("Resize", {"h", "none", "scales"}, "z",
                                {{"coordinate_transformation_mode", std::string("tf_crop_and_resize")}})})
    EXPECT_NE(verdict_on_planes(each, constants), "") << each.op;
}

TEST(Rows, EachRowAttendsToItsOwn) {
  const std::map<std::string, Attribute> one{{"q_num_heads", int64_t{1}}, {"kv_num_heads", int64_t{1}}};
  EXPECT_EQ(verdict_on_planes(node("Attention", {"h", "h", "h"}, "z", one)), "");
  EXPECT_EQ(verdict_on_planes(node("Attention", {"h", "h", "h", "mask"}, "z", one),
                              {{"mask", Tensor(Type::kFloat32, {2, 2})}}),
            "");
  // Places for rows: the batch lies in the queries' second axis.
  EXPECT_NE(verdict({node("Unsqueeze", {"x", "zero"}, "h"), node("Attention", {"h", "h", "h"}, "z", one),
                     node("Squeeze", {"z", "zero"}, "y")},
                    {{"zero", Tensor::of<int64_t>({1}, {0})}}),
            "");
  const Tensor turns(Type::kFloat32, {9, 1});
  EXPECT_NE(verdict_on_planes(node("RotaryEmbedding", {"h", "h", "h"}, "z", {{"num_heads", int64_t{1}}})), "");
  EXPECT_EQ(verdict({node("Reshape", {"x", "planes"}, "h"), node("Cast", {"h"}, "i", {{"to", int64_t{7}}}),
                     node("ReduceMax", {"i"}, "p", {{"axes", std::vector<int64_t>{2}}, {"keepdims", int64_t{0}}}),
                     node("RotaryEmbedding", {"h", "turns", "turns", "p"}, "z", {{"num_heads", int64_t{1}}}),
                     node("Reshape", {"z", "flat"}, "y")},
                    {{"planes", Tensor::of<int64_t>({3}, {-1, 2, 2})},
                     {"flat", Tensor::of<int64_t>({2}, {-1, 4})},
                     {"turns", turns}}),
            "");
}

TEST(Rows, WhatIsTheSameForEachRowIsFollowed) {
  const std::map<std::string, Tensor> constants{{"token", Tensor::of<float>({1, 4}, {1, 2, 3, 4})},
                                                {"four", Tensor::of<int64_t>({1}, {4})},
                                                {"first", Tensor::of<int64_t>({1}, {0})},
                                                {"w", Tensor::of<float>({4, 4}, std::vector<float>(16, 2))},
                                                {"zero", Tensor::of<int64_t>({}, {0})},
                                                {"one", Tensor::of<int64_t>({}, {1})},
                                                {"flat", Tensor::of<int64_t>({2}, {-1, 1})}};
  const std::vector<Node> shape{node("Shape", {"x"}, "s"), node("Gather", {"s", "first"}, "n"),
                                node("Concat", {"n", "four"}, "wide", {{"axis", int64_t{0}}})};
  const auto after_shape = [&](std::vector<Node> more) {
    more.insert(more.begin(), shape.begin(), shape.end());
    return verdict(more, constants);
  };
  // A token beside each row.
  EXPECT_EQ(
      after_shape({node("Expand", {"token", "wide"}, "t"), node("Concat", {"t", "x"}, "y", {{"axis", int64_t{1}}})}),
      "");
  // A state of zeros through a layer.
  const Node zeros = node("ConstantOfShape", {"wide"}, "h");
  EXPECT_EQ(after_shape({zeros, node("Add", {"token", "h"}, "a"), node("MatMul", {"a", "w"}, "b"),
                         node("Add", {"b", "x"}, "y")}),
            "");
  // Summed up along the rows it is another for each.
  EXPECT_NE(after_shape({zeros, node("Add", {"token", "h"}, "a"), node("CumSum", {"a", "zero"}, "b"),
                         node("Add", {"b", "x"}, "y")}),
            "");
  // So is a count of them.
  EXPECT_NE(after_shape({node("Squeeze", {"n"}, "count"), node("Range", {"zero", "count", "one"}, "r"),
                         node("Cast", {"r"}, "f", {{"to", int64_t{1}}}), node("Reshape", {"f", "flat"}, "c"),
                         node("Add", {"c", "x"}, "y")}),
            "");
}

TEST(Rows, EqualNumbersThatFollowFromTheBatchCountIt) {
  const std::vector<Node> nodes{node("Shape", {"x"}, "s"), node("ConstantOfShape", {"s"}, "zeros"),
                                node("LogSoftmax", {"zeros"}, "l", {{"axis", int64_t{0}}}),  // -log of the rows
                                node("Add", {"x", "l"}, "y")};
  EXPECT_NE(verdict(nodes).find("counts rows"), std::string::npos) << verdict(nodes);
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
