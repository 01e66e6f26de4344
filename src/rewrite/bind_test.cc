#include "rewrite/bind.h"

#include <gtest/gtest.h>

namespace hayate {
namespace {

ValueInfo scalar(const std::string& name, Type type) { return {name, type, true, {}}; }

// y = flag ? x + x : x * x
Graph branching() {
  const auto body = [](const std::string& op) {
    Graph graph;
    graph.opset = 17;
    graph.nodes = {{op, "", op, {"x", "x"}, {"z"}, {}}};
    graph.outputs = {scalar("z", Type::kFloat32)};
    return std::make_shared<const Graph>(graph);
  };
  Graph graph;
  graph.source = "made";
  graph.opset = 17;
  graph.inputs = {scalar("x", Type::kFloat32), scalar("flag", Type::kBool)};
  graph.nodes = {{"choice", "", "If", {"flag"}, {"y"}, {{"then_branch", body("Add")}, {"else_branch", body("Mul")}}}};
  graph.outputs = {scalar("y", Type::kFloat32)};
  return graph;
}

const std::map<std::string, TensorType> kFed = {{"x", {Type::kFloat32, {}}}, {"flag", {Type::kBool, {}}}};

TEST(Bind, BranchFollowsTheBoundInput) {
  for (const bool flag : {true, false}) {
    Graph graph = branching();
    ASSERT_TRUE(bind_input(&graph, "flag", flag ? "1" : "0").ok());
    const Result<Graph> resolved = resolve_branches(graph, kFed);
    ASSERT_TRUE(resolved.ok()) << resolved.error().text();
    const auto answers = evaluate(resolved.value(), {{"x", Tensor::of<float>({}, {3.0f})}});
    ASSERT_TRUE(answers.ok()) << answers.error().text();
    EXPECT_EQ(answers.value().at("y").data<float>()[0], flag ? 6.0f : 9.0f);
  }
}

TEST(Bind, UnboundBranchIsRefusedWithTheHint) {
  const Result<Graph> resolved = resolve_branches(branching(), kFed);
  ASSERT_FALSE(resolved.ok());
  EXPECT_NE(resolved.error().text().find("--set NAME=VALUE"), std::string::npos);
  EXPECT_NE(resolved.error().text().find("'choice' (If)"), std::string::npos);
}

TEST(Bind, UnknownNamesAndValuesAreErrors) {
  Graph graph = branching();
  const Result<bool> name = bind_input(&graph, "rate", "1"), value = bind_input(&graph, "flag", "yes");
  ASSERT_FALSE(name.ok());
  EXPECT_NE(name.error().text().find("flag bool"), std::string::npos) << name.error().text();
  ASSERT_FALSE(value.ok());
  EXPECT_EQ(graph.inputs.size(), 2u);
}

TEST(Bind, ScanIsUnrolledStepByStep) {  // running sums: state' = state + row, row out = state'
  Graph body;
  body.opset = 17;
  body.inputs = {scalar("s", Type::kFloat32), scalar("r", Type::kFloat32)};
  body.nodes = {{"sum", "", "Add", {"s", "r"}, {"t"}, {}}, {"same", "", "Identity", {"t"}, {"u"}, {}}};
  body.outputs = {scalar("t", Type::kFloat32), scalar("u", Type::kFloat32)};
  Graph graph;
  graph.source = "made";
  graph.opset = 17;
  graph.inputs = {scalar("start", Type::kFloat32), {"rows", Type::kFloat32, true, {{4, ""}}}};
  graph.nodes = {{"scan",
                  "",
                  "Scan",
                  {"start", "rows"},
                  {"last", "sums"},
                  {{"body", std::make_shared<const Graph>(body)}, {"num_scan_inputs", int64_t{1}}}}};
  graph.outputs = {scalar("last", Type::kFloat32), {"sums", Type::kFloat32, true, {{4, ""}}}};
  const Result<Graph> resolved =
      resolve_branches(graph, {{"start", {Type::kFloat32, {}}}, {"rows", {Type::kFloat32, {4}}}});
  ASSERT_TRUE(resolved.ok()) << resolved.error().text();
  const auto answers = evaluate(
      resolved.value(), {{"start", Tensor::of<float>({}, {1})}, {"rows", Tensor::of<float>({4}, {1, 2, 3, 4})}});
  ASSERT_TRUE(answers.ok()) << answers.error().text();
  EXPECT_EQ(answers.value().at("last").data<float>()[0], 11.0f);
  EXPECT_EQ(to_doubles(answers.value().at("sums")), (std::vector<double>{2, 4, 7, 11}));
}

}  // namespace
}  // namespace hayate
