// --max-memory as a user gives it: files, parsed messages, tensors, packed weights, arrays and unrolled loops are held
// against it before they are allocated.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <set>

#include "backends/backend.h"
#include "base/memory_budget.h"
#include "import/import.h"
#include "onnx.pb.h"
#include "program.h"
#include "tensor/npy.h"

namespace hayate {
namespace {

namespace fs = std::filesystem;
namespace schema = onnx_schema;

void set_port(schema::ValueInfo* info, const std::string& name, int64_t columns) {
  info->set_name(name);
  auto* type = info->mutable_type()->mutable_tensor_type();
  type->set_elem_type(1);
  type->mutable_shape()->add_dim()->set_dim_param("N");
  type->mutable_shape()->add_dim()->set_dim_value(columns);
}

void add_node(schema::Graph* graph, const std::string& op, std::initializer_list<std::string> inputs,
              const std::string& output) {
  auto* node = graph->add_node();
  node->set_op_type(op);
  for (const std::string& name : inputs) node->add_input(name);
  node->add_output(output);
}

class MemoryLimit : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / fmt::format("hayate_memory_{}", getpid());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string file(const std::string& name) const { return folder_ / name; }
  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
  }
  Ran run(const std::string& model, int megabytes) const {
    return call(fmt::format("run {} --inputs {} --max-memory {}", file(model), file("in.npz"), megabytes));
  }

  fs::path folder_;
};

// y = x w with w float32 [n, n].
std::string dense_model(int64_t n) {
  schema::Model model;
  model.set_ir_version(8);
  model.add_opset_import()->set_version(17);
  auto* graph = model.mutable_graph();
  set_port(graph->add_input(), "x", n);
  set_port(graph->add_output(), "y", n);
  auto* w = graph->add_initializer();
  w->set_name("w"), w->set_data_type(1), w->add_dims(n), w->add_dims(n);
  w->set_raw_data(std::string(static_cast<size_t>(4 * n * n), '\0'));
  add_node(graph, "MatMul", {"x", "w"}, "y");
  return model.SerializeAsString();
}

// A model of 4 MB of weights: each station of its way refuses at some limit, and 32 MB are enough.
TEST_F(MemoryLimit, EachStationRefusesBeforeItAllocates) {
  write("dense.onnx", dense_model(1024));
  ASSERT_TRUE(write_npz(file("in.npz"), {{"x", Tensor(Type::kFloat32, {1, 1024})}}).ok());
  std::set<std::string> refusals;
  int limit = 1;
  for (; limit <= 32; ++limit) {
    const Ran ran = run("dense.onnx", limit);
    if (ran.exit_code == 0) break;
    EXPECT_EQ(ran.exit_code, 1) << ran.output;
    EXPECT_NE(ran.output.find(fmt::format("the memory limit is {}.0 MB (memory_max, or --max-memory)", limit)),
              std::string::npos)
        << ran.output;
    for (const char* who : {"dense.onnx: needs", "initializer 'w': needs"})
      if (ran.output.find(who) != std::string::npos) refusals.insert(who);
  }
  EXPECT_LE(limit, 32);
  EXPECT_GT(limit, 8) << "weights and packed weights are 8 MB";
  EXPECT_EQ(refusals.size(), 2u);
}

// Once read, the weights take 4 MB; packing them asks for as much again.
TEST_F(MemoryLimit, PackedWeightsAreHeldAgainstIt) {
  const Result<Graph> graph = import_model(std::string_view(dense_model(1024)), "dense.onnx");
  ASSERT_TRUE(graph.ok()) << graph.error().text();
  const MemoryScope scope(std::make_shared<MemoryBudget>(1 << 20));
  const auto compiled = compile_graph(graph.value(), declared_types(graph.value(), 1).value(), Plan());
  ASSERT_FALSE(compiled.ok());
  EXPECT_NE(compiled.error().text().find("(MatMul): packed weights: needs 4.0 MB"), std::string::npos)
      << compiled.error().text();
  EXPECT_EQ(MemoryBudget::current()->used(), 0);
}

TEST_F(MemoryLimit, InputArraysAreHeldAgainstIt) {
  write("dense.onnx", dense_model(16));
  ASSERT_TRUE(write_npz(file("in.npz"), {{"x", Tensor(Type::kFloat32, {1 << 15, 16})}}).ok());
  const Ran ran = run("dense.onnx", 1);
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_NE(ran.output.find("in.npz: needs 2.0 MB"), std::string::npos) << ran.output;
}

TEST_F(MemoryLimit, TextTreesAreHeldAgainstIt) {
  std::string json = "{\"a\":[{}";
  for (int i = 0; i < 100'000; ++i) json += ",{}";
  json += "]}";
  write("trees.json", json);
  ASSERT_TRUE(write_npz(file("in.npz"), {{"input", Tensor(Type::kFloat32, {1, 1})}}).ok());
  const Ran ran = run("trees.json", 4);
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_NE(ran.output.find("trees.json: needs"), std::string::npos) << ran.output;
}

// at(0), at(1) ... one behind the other.
std::string listed(int count, const std::function<std::string(int)>& at, const char* between = " ") {
  std::string text;
  for (int i = 0; i < count; ++i) text += i == 0 ? "" : between, text += at(i);
  return text;
}

// Trees that are chains: split i has leaf i and split i + 1 below it.
std::string lightgbm_text(int trees, int leaves) {
  std::string text =
      "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=3\nobjective=regression\n\n";
  const auto line = [&](const char* key, int n, const std::function<std::string(int)>& at) {
    return std::string(key) + "=" + listed(n, at) + "\n";
  };
  const int splits = leaves - 1;
  std::string tree = fmt::format("num_leaves={}\nnum_cat=0\n", leaves);
  tree += line("split_feature", splits, [](int i) { return std::to_string(i % 4); });
  tree += line("threshold", splits, [](int i) { return fmt::format("{}.5", i); });
  tree += line("left_child", splits, [](int i) { return std::to_string(~i); });
  tree += line("right_child", splits, [&](int i) { return std::to_string(i + 1 < splits ? i + 1 : ~splits); });
  tree += line("leaf_value", leaves, [](int i) { return fmt::format("0.{}", i); });
  for (int t = 0; t < trees; ++t) text += fmt::format("Tree={}\n", t) + tree + "\n";
  return text + "end of trees\n";
}

// The same: split i is node 2 i, with its leaf and the next split (or the last leaf) behind it.
std::string xgboost_json(int trees, int leaves) {
  const int splits = leaves - 1, nodes = 2 * splits + 1;
  const auto split = [&](int node) { return node % 2 == 0 && node < nodes - 1; };
  const auto list = [&](const char* key, const std::function<std::string(int)>& at) {
    return fmt::format("\"{}\":[{}]", key, listed(nodes, at, ","));
  };
  std::string tree = "{";
  tree += list("left_children", [&](int i) { return std::to_string(split(i) ? i + 1 : -1); }) + ",";
  tree += list("right_children", [&](int i) { return std::to_string(split(i) ? i + 2 : -1); }) + ",";
  tree += list("split_indices", [](int i) { return std::to_string(i % 4); }) + ",";
  tree += list("split_conditions", [](int i) { return fmt::format("{}.5", i); }) + ",";
  tree += list("default_left", [](int) { return "0"; }) + "}";
  const auto same = [&](int) { return tree; };
  const auto zero = [](int) { return std::string("0"); };
  return fmt::format(
      "{{\"learner\":{{\"learner_model_param\":{{\"num_feature\":\"4\",\"base_score\":\"5E-1\"}},"
      "\"objective\":{{\"name\":\"reg:squarederror\"}},\"gradient_booster\":{{\"name\":\"gbtree\",\"model\":"
      "{{\"trees\":[{}],\"tree_info\":[{}]}}}}}}}}",
      listed(trees, same, ","), listed(trees, zero, ","));
}

schema::Graph* begin_model(schema::Model* model, int64_t columns) {
  model->set_ir_version(8);
  model->add_opset_import()->set_version(17);
  set_port(model->mutable_graph()->add_input(), "x", columns);
  set_port(model->mutable_graph()->add_output(), "y", columns);
  return model->mutable_graph();
}

std::string chain_model(int nodes) {
  schema::Model model;
  schema::Graph* graph = begin_model(&model, 4);
  std::string last = "x";
  for (int i = 0; i < nodes; ++i) {
    const std::string made = i + 1 == nodes ? "y" : fmt::format("v{}", i);
    add_node(graph, i % 2 == 0 ? "Relu" : "Neg", {last}, made);
    last = made;
  }
  return model.SerializeAsString();
}

// Two bytes for each node.
std::string empty_nodes(int nodes) {
  schema::Model model;
  schema::Graph* graph = begin_model(&model, 4);
  for (int i = 0; i < nodes; ++i) graph->add_node();
  return model.SerializeAsString();
}

std::string loop_model(int64_t trips) {
  schema::Model model;
  schema::Graph* graph = begin_model(&model, 4);
  auto* count = graph->add_initializer();
  count->set_name("trips"), count->set_data_type(7), count->add_int64_data(trips);
  add_node(graph, "Loop", {"trips", "", "x"}, "y");
  auto* attribute = graph->mutable_node(0)->add_attribute();
  attribute->set_name("body"), attribute->set_type(5);
  auto* body = attribute->mutable_g();
  for (const char* name : {"i", "c", "s"}) body->add_input()->set_name(name);
  add_node(body, "Identity", {"c"}, "go");
  add_node(body, "Neg", {"s"}, "n");
  for (const char* name : {"go", "n"}) body->add_output()->set_name(name);
  return model.SerializeAsString();
}

// What the program itself, its libraries, and pages that the allocator holds take beside what is counted.
[[maybe_unused]] constexpr double kSlackMb = 32;

// Whatever the model, and whether it runs or is refused, the process stays within the limit and a slack.
TEST_F(MemoryLimit, ThePeakOfAProcessKeepsToTheLimit) {
  struct Case {
    const char* name;
    std::string bytes;
    const char* input;
    Type type;
    int64_t columns;
    int enough;  // MB that it runs with; 0: it never does
  };
  const Case cases[] = {{"dense", dense_model(2048), "x", Type::kFloat32, 2048, 128},
                        {"lightgbm", lightgbm_text(100, 1000), "input", Type::kFloat64, 4, 256},
                        {"xgboost", xgboost_json(100, 1000), "input", Type::kFloat32, 4, 512},
                        {"chain", chain_model(20'000), "x", Type::kFloat32, 4, 512},
                        {"empty_nodes", empty_nodes(500'000), "x", Type::kFloat32, 4, 0},
                        {"loop", loop_model(9'000), "x", Type::kFloat32, 4, 512}};
  for (const Case& each : cases) {
    write(each.name, each.bytes);
    ASSERT_TRUE(write_npz(file("in.npz"), {{each.input, Tensor(each.type, {1, each.columns})}}).ok());
#ifdef HAYATE_SANITIZED  // whose own memory hides the peak: that a limit is an error or none
    const std::vector<int> limits{4, 64, 512};
#else
    const std::vector<int> limits{1, 4, 16, 32, 64, 128, 256, 512};
#endif
    for (const int limit : limits) {
      const Ran ran =
          call(fmt::format("run {} --inputs {} --memory --max-memory {}", file(each.name), file("in.npz"), limit));
      const std::string about = fmt::format("{} within {} MB: {}", each.name, limit, ran.output);
      if (each.enough != 0 && limit >= each.enough) {
        EXPECT_EQ(ran.exit_code, 0) << about;
      } else if (ran.exit_code != 0) {
        EXPECT_TRUE(each.enough == 0 || ran.output.find("the memory limit is") != std::string::npos) << about;
      }
      const size_t at = ran.output.find("peak memory ");
      ASSERT_NE(at, std::string::npos) << about;
#ifndef HAYATE_SANITIZED
      EXPECT_LE(std::stod(ran.output.substr(at + 12)), limit + kSlackMb) << about;
#endif
    }
  }
}

// A session has a program for each tile of rows, of which one runs at a time.
TEST_F(MemoryLimit, ASessionHasOneMemoryForAllItsPrograms) {
  Graph graph;
  graph.source = "made", graph.opset = 17;
  graph.inputs = {{"x", Type::kFloat32, true, {{-1, "N"}, {3, ""}}}};
  graph.outputs = {{"y", Type::kFloat32, false, {}}};
  constexpr int64_t kCount = int64_t{1} << 22;
  graph.constants.emplace("s", Tensor::of<int64_t>({1}, {kCount}));
  graph.nodes = {{"c", "", "ConstantOfShape", {"s"}, {"c"}, {}},
                 {"r", "", "ReduceMax", {"c"}, {"r"}, {{"keepdims", int64_t{0}}}},
                 {"a", "", "Add", {"x", "r"}, {"y"}, {}}};
  const auto compiled = compile_graph(graph, {{"x", {Type::kFloat32, {5, 3}}}}, {});
  ASSERT_TRUE(compiled.ok()) << compiled.error().text();
  EXPECT_EQ(compiled.value()->batch().fixed, "");
  EXPECT_GE(compiled.value()->session_bytes(), kCount * 4);
  EXPECT_LT(compiled.value()->session_bytes(), kCount * 6);
  const auto made =
      run_on(compiled.value()->state().get(), {{"x", Tensor::of<float>({5, 3}, std::vector<float>(15, 1))}});
  ASSERT_TRUE(made.ok()) << made.error().text();
  EXPECT_EQ(to_doubles(made.value().at("y")), std::vector<double>(15, 1));
}

TEST_F(MemoryLimit, ASmallFileThatAsksForMuchIsRefused) {
  schema::Model model;
  model.set_ir_version(8);
  model.add_opset_import()->set_version(17);
  auto* graph = model.mutable_graph();
  set_port(graph->add_input(), "x", 1);
  set_port(graph->add_output(), "y", 1);
  auto* shape = graph->add_initializer();
  shape->set_name("s"), shape->set_data_type(7), shape->add_dims(2);
  shape->add_int64_data(1 << 15), shape->add_int64_data(1 << 15);
  add_node(graph, "Expand", {"x", "s"}, "y");
  write("expand.onnx", model.SerializeAsString());
  ASSERT_TRUE(write_npz(file("in.npz"), {{"x", Tensor(Type::kFloat32, {1, 1})}}).ok());
  const Ran ran = run("expand.onnx", 256);
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_NE(ran.output.find("the memory of one run: needs 4096.0 MB"), std::string::npos) << ran.output;
}

}  // namespace
}  // namespace hayate
