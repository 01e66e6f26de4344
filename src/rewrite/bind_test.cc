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

// Opset 8: two rows of three steps, the second input backwards; states and outputs have the batch first.
TEST(Bind, ScanOfOpset8RunsEachRowApart) {
  Graph body;
  body.opset = 8;
  body.inputs = {scalar("s", Type::kFloat32), scalar("a", Type::kFloat32), scalar("b", Type::kFloat32)};
  body.nodes = {{"product", "", "Mul", {"a", "b"}, {"p"}, {}}, {"sum", "", "Add", {"s", "p"}, {"t"}, {}}};
  body.outputs = {scalar("t", Type::kFloat32), scalar("p", Type::kFloat32)};
  Graph graph;
  graph.source = "made";
  graph.opset = 8;
  graph.inputs = {{"start", Type::kFloat32, true, {{2, ""}}},
                  {"x", Type::kFloat32, true, {{2, ""}, {3, ""}}},
                  {"y", Type::kFloat32, true, {{2, ""}, {3, ""}}}};
  graph.nodes = {
      {"scan",
       "",
       "Scan",
       {"", "start", "x", "y"},
       {"last", "products"},
       {{"body", std::make_shared<const Graph>(body)}, {"num_scan_inputs", int64_t{2}}, {"directions", Shape{0, 1}}}}};
  graph.outputs = {{"last", Type::kFloat32, true, {{2, ""}}}, {"products", Type::kFloat32, true, {{2, ""}, {3, ""}}}};
  const std::map<std::string, TensorType> fed = {
      {"start", {Type::kFloat32, {2}}}, {"x", {Type::kFloat32, {2, 3}}}, {"y", {Type::kFloat32, {2, 3}}}};
  const Result<Graph> resolved = resolve_branches(graph, fed);
  ASSERT_TRUE(resolved.ok()) << resolved.error().text();
  const auto answers = evaluate(resolved.value(), {{"start", Tensor::of<float>({2}, {10, 20})},
                                                   {"x", Tensor::of<float>({2, 3}, {1, 2, 3, 4, 5, 6})},
                                                   {"y", Tensor::of<float>({2, 3}, {1, 10, 100, 2, 20, 200})}});
  ASSERT_TRUE(answers.ok()) << answers.error().text();
  EXPECT_EQ(to_doubles(answers.value().at("products")), (std::vector<double>{100, 20, 3, 800, 100, 12}));
  EXPECT_EQ(answers.value().at("products").shape(), (Shape{2, 3}));
  EXPECT_EQ(to_doubles(answers.value().at("last")), (std::vector<double>{133, 932}));

  graph.nodes[0].inputs[0] = "lengths";
  graph.constants.emplace("lengths", Tensor::of<int64_t>({2}, {3, 2}));
  const Result<Graph> with_lengths = resolve_branches(graph, fed);
  ASSERT_FALSE(with_lengths.ok());
  EXPECT_NE(with_lengths.error().text().find("lengths of sequences are not supported"), std::string::npos);
}

// x' = x + i for step i, while x' < bound where there is one; every x' is joined into an output.
Graph counting(int64_t trips, std::optional<float> bound) {
  Graph body;
  body.opset = 17;
  body.inputs = {scalar("i", Type::kInt64), scalar("go", Type::kBool), scalar("x", Type::kFloat32)};
  body.nodes = {{"cast", "", "Cast", {"i"}, {"f"}, {{"to", int64_t{1}}}}, {"sum", "", "Add", {"x", "f"}, {"z"}, {}}};
  if (bound) {
    body.constants.emplace("bound", Tensor::of<float>({}, {*bound}));
    body.nodes.push_back({"less", "", "Less", {"z", "bound"}, {"on"}, {}});
  }
  body.outputs = {scalar(bound ? "on" : "go", Type::kBool), scalar("z", Type::kFloat32), scalar("z", Type::kFloat32)};
  Graph graph;
  graph.source = "made";
  graph.opset = 17;
  graph.constants.emplace("trips", Tensor::of<int64_t>({}, {trips}));
  graph.constants.emplace("start", Tensor::of<float>({}, {1}));
  if (!bound) graph.inputs = {scalar("start", Type::kFloat32)}, graph.constants.erase("start");
  graph.nodes = {
      {"loop", "", "Loop", {"trips", "", "start"}, {"last", "all"}, {{"body", std::make_shared<const Graph>(body)}}}};
  graph.outputs = {scalar("last", Type::kFloat32), {"all", Type::kFloat32, false, {}}};
  return graph;
}

TEST(Bind, LoopOfKnownLengthIsUnrolled) {
  const Result<Graph> resolved = resolve_branches(counting(4, std::nullopt), {{"start", {Type::kFloat32, {}}}});
  ASSERT_TRUE(resolved.ok()) << resolved.error().text();
  const auto answers = evaluate(resolved.value(), {{"start", Tensor::of<float>({}, {1})}});
  ASSERT_TRUE(answers.ok()) << answers.error().text();
  EXPECT_EQ(answers.value().at("last").data<float>()[0], 7.0f);
  EXPECT_EQ(to_doubles(answers.value().at("all")), (std::vector<double>{1, 2, 4, 7}));
}

// A body may take its step, and whether to go on, as lists of one element.
TEST(Bind, LoopCountsInTheShapeThatItsBodyDeclares) {
  Graph graph = counting(3, std::nullopt);
  Graph body = *graph.nodes[0].subgraph("body");
  body.inputs[0].dims = {{1, ""}}, body.inputs[1].dims = {{1, ""}};
  body.constants.emplace("axes", Tensor::of<int64_t>({1}, {0}));
  body.nodes[0].inputs = {"j"};
  body.nodes.insert(body.nodes.begin(), {"squeeze", "", "Squeeze", {"i", "axes"}, {"j"}, {}});
  graph.nodes[0].attributes.insert_or_assign("body", std::make_shared<const Graph>(body));
  const Result<Graph> resolved = resolve_branches(graph, {{"start", {Type::kFloat32, {}}}});
  ASSERT_TRUE(resolved.ok()) << resolved.error().text();
  const auto answers = evaluate(resolved.value(), {{"start", Tensor::of<float>({}, {1})}});
  ASSERT_TRUE(answers.ok()) << answers.error().text();
  EXPECT_EQ(to_doubles(answers.value().at("all")), (std::vector<double>{1, 2, 4}));
}

// Its inputs may be called as values around it are; they hide those, in what is nested in the body too.
TEST(Bind, LoopHidesNamesAroundIt) {
  Graph graph = counting(2, std::nullopt);
  graph.inputs[0].name = "x", graph.nodes[0].inputs[2] = "x";
  Graph inner = *graph.nodes[0].subgraph("body");  // a Loop of two steps in each step
  inner.nodes[0].name = "inner_cast", inner.nodes[1].name = "inner_sum";
  Graph body = inner;
  inner.nodes[0].outputs[0] = inner.nodes[1].inputs[1] = "inner_f";
  inner.nodes[1].outputs[0] = inner.outputs[1].name = inner.outputs[2].name = "inner_z";
  body.constants.emplace("two", Tensor::of<int64_t>({}, {2}));
  body.nodes = {
      {"inner", "", "Loop", {"two", "", "x"}, {"z", "rows"}, {{"body", std::make_shared<const Graph>(inner)}}}};
  graph.nodes[0].attributes.insert_or_assign("body", std::make_shared<const Graph>(body));
  ASSERT_TRUE(verify(graph).ok()) << verify(graph).error().text();
  const Result<Graph> resolved = resolve_branches(graph, {{"x", {Type::kFloat32, {}}}});
  ASSERT_TRUE(resolved.ok()) << resolved.error().text();
  const auto answers = evaluate(resolved.value(), {{"x", Tensor::of<float>({}, {1})}});
  ASSERT_TRUE(answers.ok()) << answers.error().text();
  EXPECT_EQ(to_doubles(answers.value().at("all")), (std::vector<double>{2, 3}));  // 1 + (0 + 1), + (0 + 1)
}

TEST(Bind, LoopStopsWhereItsConditionIsKnownToFail) {
  for (const auto& [trips, all] :
       std::initializer_list<std::pair<int64_t, std::vector<double>>>{{INT64_MAX, {1, 2, 4, 7}}, {2, {1, 2}}}) {
    const Result<Graph> resolved = resolve_branches(counting(trips, 5.0f), {});
    ASSERT_TRUE(resolved.ok()) << resolved.error().text();
    const auto answers = evaluate(resolved.value(), {});
    ASSERT_TRUE(answers.ok()) << answers.error().text();
    EXPECT_EQ(to_doubles(answers.value().at("all")), all);
    EXPECT_EQ(to_doubles(answers.value().at("last")).at(0), all.back());
  }
}

// Its joined rows have the shape that the body declares, as in ONNX Runtime.
TEST(Bind, LoopOfNoStepsGivesNoRows) {
  const std::pair<std::vector<Dim>, Shape> declared[] = {{{}, {0}}, {{{2, ""}, {-1, "n"}}, {0, 2, 0}}};
  Graph graph = counting(0, std::nullopt);
  Graph body = *graph.nodes[0].subgraph("body");
  for (const auto& [dims, shape] : declared) {
    body.outputs[2].dims = dims;
    graph.nodes[0].attributes.insert_or_assign("body", std::make_shared<const Graph>(body));
    const Result<Graph> resolved = resolve_branches(graph, {{"start", {Type::kFloat32, {}}}});
    ASSERT_TRUE(resolved.ok()) << resolved.error().text();
    const auto answers = evaluate(resolved.value(), {{"start", Tensor::of<float>({}, {3})}});
    ASSERT_TRUE(answers.ok()) << answers.error().text();
    EXPECT_EQ(answers.value().at("all").shape(), shape);
    EXPECT_EQ(answers.value().at("last").data<float>()[0], 3.0f);
  }
  body.outputs[2].has_type = false;
  graph.nodes[0].attributes.insert_or_assign("body", std::make_shared<const Graph>(body));
  const Result<Graph> untyped = resolve_branches(graph, {{"start", {Type::kFloat32, {}}}});
  ASSERT_FALSE(untyped.ok());
  EXPECT_NE(untyped.error().text().find("runs no step, and its body does not say of which type 'z' is"),
            std::string::npos)
      << untyped.error().text();
}

TEST(Bind, LoopsThatAreTooLongOrUnknownAreRefused) {
  const std::map<std::string, TensorType> fed = {{"start", {Type::kFloat32, {}}}, {"trips", {Type::kInt64, {}}}};
  const Result<Graph> longer = resolve_branches(counting(INT64_MAX, std::nullopt), fed);
  ASSERT_FALSE(longer.ok());
  EXPECT_NE(longer.error().text().find("too many to unroll"), std::string::npos) << longer.error().text();
  Graph open = counting(1, std::nullopt);
  open.constants.erase("trips");
  open.inputs.push_back(scalar("trips", Type::kInt64));
  const Result<Graph> unknown = resolve_branches(open, fed);
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.error().text().find("trip count 'trips' depends"), std::string::npos) << unknown.error().text();
}

}  // namespace
}  // namespace hayate
