// What every backend promises through backends/backend.h, whatever it computes: written once, run on all of them.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <thread>

#include "backends/backend.h"
#include "import/import.h"

namespace hayate {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kRows = 21;  // two sizes of native's programs and a remainder

// A model that the backend takes: x [batch, ...] -> y, one row for each.
struct Subject {
  Graph graph;
  InputTypes types;
};

// The skeleton refuses everything but chains of Relu, Neg and Identity; the others run a real sample.
Subject subject_for(const std::string& backend) {
  Subject subject;
  if (backend == "skeleton") {
    subject.graph.source = "chain", subject.graph.opset = 17;
    ValueInfo port;
    port.name = "x", port.has_shape = true, port.dims = {{-1, "batch"}, {3, ""}};
    subject.graph.inputs = {port};
    port.name = "y";
    subject.graph.outputs = {port};
    subject.graph.nodes = {{"negate", "", "Neg", {"x"}, {"h"}, {}}, {"rectify", "", "Relu", {"h"}, {"y"}, {}}};
  } else {
    Result<Graph> graph = import_model(fs::path(HAYATE_SOURCE_DIR) / "models/mlp_small.onnx");
    EXPECT_TRUE(graph.ok()) << graph.error().text();
    subject.graph = std::move(graph).value();
  }
  subject.types = declared_types(subject.graph, kRows).value();
  return subject;
}

class Interface : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    subject_ = subject_for(GetParam());
    Plan plan;
    plan.backend = GetParam();
    const auto compiled = compile_graph(subject_.graph, subject_.types, plan);
    if (!compiled.ok() && compiled.error().code == Code::kNotFound) GTEST_SKIP() << compiled.error().text();
    ASSERT_TRUE(compiled.ok()) << compiled.error().text();
    compiled_ = compiled.value();
  }

  static void fill(State* state, float shift) {
    const PortType& port = state->compiled().inputs()[0];
    float* x = reinterpret_cast<float*>(state->input(0));
    for (int64_t i = 0; i < kRows * port.row_bytes / 4; ++i) x[i] = std::sin(static_cast<float>(i) + shift);
  }
  std::vector<float> answers(State* state, int64_t rows) const {
    const int64_t count = rows * compiled_->outputs()[0].row_bytes / 4;
    const float* y = reinterpret_cast<const float*>(state->output(0));
    return {y, y + count};
  }

  Subject subject_;
  std::shared_ptr<const Compiled> compiled_;
};

TEST_P(Interface, PortsSayTypeShapeAndBytesOfARow) {
  ASSERT_EQ(compiled_->inputs().size(), 1u);
  ASSERT_EQ(compiled_->outputs().size(), 1u);
  EXPECT_EQ(compiled_->batch().rows, kRows);
  EXPECT_EQ(compiled_->batch().fixed, "");
  for (const PortType& port : {compiled_->inputs()[0], compiled_->outputs()[0]}) {
    EXPECT_EQ(port.type.type, Type::kFloat32);
    EXPECT_EQ(port.type.shape[0], kRows);
    EXPECT_EQ(port.row_bytes * kRows, checked_count(port.type.shape).value() * 4);
  }
  EXPECT_NE(compiled_->text(), "");
}

TEST_P(Interface, RowsDoNotDependOnHowManyRun) {
  const std::unique_ptr<State> all = compiled_->state(), part = compiled_->state();
  fill(all.get(), 0), fill(part.get(), 0);
  ASSERT_TRUE(all->run(kRows).ok());
  const std::vector<float> wanted = answers(all.get(), kRows);
  for (const int64_t rows : {int64_t{1}, int64_t{4}, int64_t{7}, kRows}) {
    ASSERT_TRUE(part->run(rows).ok());
    const std::vector<float> got = answers(part.get(), rows);
    for (size_t i = 0; i < got.size(); ++i)
      EXPECT_NEAR(got[i], wanted[i], 1e-6) << rows << " rows, element " << i;  // ONNX Runtime's bits may differ
  }
}

TEST_P(Interface, ZeroRowsTouchNothing) {
  const std::unique_ptr<State> state = compiled_->state();
  fill(state.get(), 0);
  ASSERT_TRUE(state->run(kRows).ok());
  const std::vector<float> before = answers(state.get(), kRows);
  fill(state.get(), 1);
  EXPECT_TRUE(state->run(0).ok());
  EXPECT_EQ(answers(state.get(), kRows), before);
  EXPECT_EQ(state->made(0, 0).shape[0], 0);
}

TEST_P(Interface, TensorsOfFewerRowsGiveFewerRows) {
  const std::unique_ptr<State> state = compiled_->state();
  fill(state.get(), 0);
  ASSERT_TRUE(state->run(kRows).ok());
  const std::vector<float> wanted = answers(state.get(), kRows);
  const PortType& port = compiled_->inputs()[0];
  for (const int64_t rows : {int64_t{0}, int64_t{1}, int64_t{7}, kRows}) {
    Shape shape = port.type.shape;
    shape[0] = rows;
    Tensor x(Type::kFloat32, shape);
    for (int64_t i = 0; i < x.count(); ++i) x.data<float>()[i] = std::sin(static_cast<float>(i));
    const auto made = run_on(state.get(), {{port.name, x}});
    ASSERT_TRUE(made.ok()) << made.error().text();
    const Tensor& y = made.value().at(compiled_->outputs()[0].name);
    ASSERT_EQ(y.shape()[0], rows);
    for (int64_t i = 0; i < y.count(); ++i) ASSERT_NEAR(y.data<float>()[i], wanted[static_cast<size_t>(i)], 1e-6);
  }
}

TEST_P(Interface, RowsOutOfRangeAreAStatusInWords) {
  const std::unique_ptr<State> state = compiled_->state();
  for (const int64_t rows : {kRows + 1, int64_t{-1}}) {
    const Status status = state->run(rows);
    EXPECT_EQ(status.code, Status::kBatch);
    EXPECT_NE(state->text(status).find("0 to 21 are accepted"), std::string::npos) << state->text(status);
  }
}

TEST_P(Interface, BoundMemoryIsReadAndWritten) {
  const std::unique_ptr<State> own = compiled_->state(), bound = compiled_->state();
  fill(own.get(), 2);
  Tensor x(Type::kFloat32, compiled_->inputs()[0].type.shape), y(Type::kFloat32, compiled_->outputs()[0].type.shape);
  std::memcpy(x.bytes(), own->input(0), x.byte_count());
  bound->bind_input(0, x.bytes());
  bound->bind_output(0, y.bytes());
  ASSERT_TRUE(own->run(kRows).ok() && bound->run(kRows).ok());
  EXPECT_EQ(std::memcmp(y.bytes(), own->output(0), y.byte_count()), 0);
  bound->bind_output(0, nullptr);  // its own again
  std::memset(y.bytes(), 0, y.byte_count());
  ASSERT_TRUE(bound->run(kRows).ok());
  EXPECT_EQ(answers(bound.get(), kRows), answers(own.get(), kRows));
  EXPECT_EQ(y.data<float>()[0], 0.0f);
}

TEST_P(Interface, SubmittedWorkIsWaitedFor) {
  const std::unique_ptr<State> straight = compiled_->state(), halves = compiled_->state();
  fill(straight.get(), 3), fill(halves.get(), 3);
  ASSERT_TRUE(straight->run(5).ok());
  halves->submit(5);
  ASSERT_TRUE(halves->wait().ok());
  EXPECT_EQ(answers(halves.get(), 5), answers(straight.get(), 5));
}

TEST_P(Interface, StatesOnOtherThreadsDoNotMeet) {
  const std::unique_ptr<State> first = compiled_->state();
  fill(first.get(), 4);
  ASSERT_TRUE(first->run(kRows).ok());
  const std::vector<float> wanted = answers(first.get(), kRows);
  std::vector<int> equal(4, 0);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < equal.size(); ++t)
    threads.emplace_back([&, t] {
      const std::unique_ptr<State> state = compiled_->state();
      fill(state.get(), 4);
      bool same = true;
      for (int i = 0; i < 20; ++i) same = same && state->run(kRows).ok() && answers(state.get(), kRows) == wanted;
      equal[t] = same;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(equal, std::vector<int>(4, 1));
}

std::vector<std::string> names() {
  std::vector<std::string> names{"skeleton"};
  for (const Backend* backend : backends()) names.emplace_back(backend->name());
  return names;
}
INSTANTIATE_TEST_SUITE_P(Every, Interface, testing::ValuesIn(names()), [](const auto& info) { return info.param; });

TEST(Skeleton, RefusesByName) {
  Graph graph = subject_for("skeleton").graph;
  graph.nodes[1].op = "Tanh";
  Plan plan;
  plan.backend = "skeleton";
  const auto compiled = compile_graph(graph, declared_types(graph, 1).value(), plan);
  ASSERT_FALSE(compiled.ok());
  EXPECT_EQ(compiled.error().text(), "chain: node 'rectify' (Tanh): skeleton runs Relu, Neg and Identity");
}

}  // namespace
}  // namespace hayate
