// --max-memory as a user gives it: files, parsed messages, tensors, packed weights, arrays and unrolled loops are held
// against it before they are allocated.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
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

void add_node(schema::Graph* graph, const std::string& op, std::initializer_list<const char*> inputs,
              const std::string& output) {
  auto* node = graph->add_node();
  node->set_op_type(op);
  for (const char* name : inputs) node->add_input(name);
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
    EXPECT_NE(ran.output.find(fmt::format("the memory limit is {}.0 MB (--max-memory MB)", limit)), std::string::npos)
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
