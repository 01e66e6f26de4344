// Which extents count rows.
#include "backends/batch.h"

#include <gtest/gtest.h>

namespace hayate {
namespace {

ValueInfo port(const std::string& name, std::vector<Dim> dims) {
  ValueInfo info;
  info.name = name, info.has_shape = true, info.dims = std::move(dims);
  return info;
}

// y = a + b
Graph sum(std::vector<Dim> a, std::vector<Dim> b, std::vector<Dim> y) {
  Graph graph;
  graph.source = "sum", graph.opset = 17;
  graph.inputs = {port("a", std::move(a)), port("b", std::move(b))};
  graph.outputs = {port("y", std::move(y))};
  graph.nodes = {{"add", "", "Add", {"a", "b"}, {"y"}, {}}};
  return graph;
}

InputTypes types(const Shape& a, const Shape& b) { return {{"a", {Type::kFloat32, a}}, {"b", {Type::kFloat32, b}}}; }

TEST(Batch, IsTheOpenFirstExtent) {
  const Dim n{-1, "N"}, three{3, ""};
  const Batch batch = find_batch(sum({n, three}, {n, three}, {n, three}), types({8, 3}, {8, 3}));
  EXPECT_EQ(batch.rows, 8);
  EXPECT_EQ(batch.fixed, "");
  EXPECT_EQ(batch.types_at(2).at("b").shape, (Shape{2, 3}));
}

TEST(Batch, RowsThatMeetFixIt) {
  const Dim n{-1, "N"}, three{3, ""};
  Graph graph = sum({n, three}, {n, three}, {n, three});
  graph.nodes[0] = {"mix", "", "Concat", {"a", "b"}, {"y"}, {{"axis", int64_t{0}}}};
  const Batch batch = find_batch(graph, types({8, 3}, {8, 3}));
  EXPECT_NE(batch.fixed.find("mix"), std::string::npos) << batch.fixed;
}

TEST(Batch, NothingOpenIsOneRow) {
  const Dim two{2, ""}, three{3, ""};
  const Batch batch = find_batch(sum({two, three}, {two, three}, {two, three}), types({2, 3}, {2, 3}));
  EXPECT_EQ(batch.rows, 1);
  EXPECT_EQ(batch.fixed, "no input has an open first axis");
}

TEST(Batch, ZeroRowsAreRunByAnyProgram) {
  const Dim n{-1, "N"}, three{3, ""};
  const Batch batch = find_batch(sum({n, three}, {n, three}, {n, three}), types({0, 3}, {0, 3}));
  EXPECT_EQ(batch.rows, 1);
  EXPECT_EQ(batch.types.at("a").shape, (Shape{1, 3}));
}

TEST(Batch, OtherOpenExtentsAskForAShape) {
  const Dim n{-1, "N"}, t{-1, "T"};
  const Result<InputTypes> types = declared_types(sum({n, t}, {n, t}, {n, t}), 1);
  ASSERT_FALSE(types.ok());
  EXPECT_NE(types.error().text().find("--shape a:D1,D2"), std::string::npos) << types.error().text();
}

}  // namespace
}  // namespace hayate
