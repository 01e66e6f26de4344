#include "rewrite/deciding.h"

#include <gtest/gtest.h>

namespace hayate {
namespace {

// x [4, 2] split along its first axis into the parts that `sizes` names; `flag` decides nothing.
Graph splitting() {
  Graph graph;
  graph.source = "made";
  graph.opset = 17;
  graph.inputs = {{"flag", Type::kBool, true, {}},
                  {"x", Type::kFloat32, true, {{4, ""}, {2, ""}}},
                  {"sizes", Type::kInt64, true, {{2, ""}}}};
  graph.nodes = {{"split", "", "Split", {"x", "sizes"}, {"a", "b"}, {}}, {"not", "", "Not", {"flag"}, {"c"}, {}}};
  for (const char* name : {"a", "b", "c"}) graph.outputs.push_back({name, Type::kFloat32, false, {}});
  return graph;
}

std::map<std::string, Tensor> fed() {
  return {{"x", Tensor(Type::kFloat32, {4, 2})},
          {"sizes", Tensor::of<int64_t>({2}, {1, 3})},
          {"flag", Tensor::of<bool>({}, {true})}};
}

TEST(Deciding, AsFewInputsAsDecideAreBound) {
  Graph graph = splitting();
  EXPECT_EQ(bind_deciding(&graph, fed()), std::vector<std::string>{"sizes"});
  ASSERT_EQ(graph.inputs.size(), 2u);
  EXPECT_EQ(to_doubles(*graph.constant("sizes")), (std::vector<double>{1, 3}));
}

TEST(Deciding, NothingIsBoundWhereShapesFollow) {
  Graph graph = splitting();
  graph.nodes[0].inputs.pop_back();  // two equal parts
  EXPECT_TRUE(bind_deciding(&graph, fed()).empty());
  EXPECT_EQ(graph.inputs.size(), 3u);
}

TEST(Deciding, NothingIsBoundWhereThatDoesNotHelp) {
  Graph wrong = splitting();
  auto parts = fed();
  parts["sizes"] = Tensor::of<int64_t>({2}, {1, 1});  // do not fit x
  EXPECT_TRUE(bind_deciding(&wrong, parts).empty());
}

TEST(Deciding, TheOnlyInputMayDecide) {
  Graph alone;
  alone.source = "made", alone.opset = 17;
  alone.inputs = {{"sizes", Type::kInt64, true, {{2, ""}}}};
  alone.nodes = {{"zeros", "", "ConstantOfShape", {"sizes"}, {"a"}, {}}};
  alone.outputs = {{"a", Type::kFloat32, false, {}}};
  EXPECT_EQ(bind_deciding(&alone, {{"sizes", Tensor::of<int64_t>({2}, {1, 3})}}).size(), 1u);
  EXPECT_TRUE(alone.inputs.empty());
}

}  // namespace
}  // namespace hayate
