#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <random>
#include <thread>

#include "hayate/executable.h"

namespace hayate {
namespace {

namespace fs = std::filesystem;

std::string sample(const std::string& name) { return fs::path(HAYATE_SOURCE_DIR) / "models" / name; }

std::vector<std::string> samples() {
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(fs::path(HAYATE_SOURCE_DIR) / "models"))
    if (entry.path().extension() == ".onnx") paths.push_back(entry.path());
  return paths;
}

Session ready(const Executable& executable, int64_t rows, uint64_t seed) {
  Session session = executable.session();
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  float* x = static_cast<float*>(session.input(0));
  for (int64_t i = 0; i < rows * executable.inputs()[0].row_bytes / 4; ++i) x[i] = normal(random);
  return session;
}

TEST(Runtime, RowsOfEverySampleHaveTheSameBitsInEveryBatch) {
  for (const std::string& path : samples()) {
    const Result<Model> model = Model::load(path);
    ASSERT_TRUE(model.ok()) << model.error().text();
    Plan plan = Plan::defaults(model.value());
    plan.batch_max = 32;
    const Result<Executable> executable = compile(model.value(), plan);
    ASSERT_TRUE(executable.ok()) << executable.error().text();
    ASSERT_EQ(executable.value().fixed_batch(), "") << path;
    Session all = ready(executable.value(), 32, 3), part = ready(executable.value(), 32, 3);
    ASSERT_TRUE(all.run(32).ok());
    for (const int64_t n : {int64_t{1}, int64_t{7}}) {
      ASSERT_TRUE(part.run(n).ok());
      for (size_t i = 0; i < executable.value().outputs().size(); ++i)
        EXPECT_EQ(std::memcmp(part.output(i), all.output(i),
                              static_cast<size_t>(n * executable.value().outputs()[i].row_bytes)),
                  0)
            << path << " at " << n;
    }
  }
}

TEST(Runtime, SixteenThreadsWithASessionEachGiveTheSameBits) {
  const Result<Model> model = Model::load(sample("lstm_a.onnx"));
  ASSERT_TRUE(model.ok());
  Plan plan;
  plan.batch_max = 5;
  const Result<Executable> executable = compile(model.value(), plan);
  ASSERT_TRUE(executable.ok());
  Session wanted = ready(executable.value(), 5, 1);
  ASSERT_TRUE(wanted.run(5).ok());
  std::vector<std::thread> threads;
  std::vector<int> equal(16, 0);
  for (size_t t = 0; t < 16; ++t)
    threads.emplace_back([&, t] {
      Session session = ready(executable.value(), 5, 1);
      bool same = true;
      for (int i = 0; i < 20; ++i)
        same = same && session.run(5).ok() &&
               std::memcmp(session.output(0), wanted.output(0),
                           static_cast<size_t>(5 * executable.value().outputs()[0].row_bytes)) == 0;
      equal[t] = same;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(std::count(equal.begin(), equal.end(), 1), 16);
}

TEST(Runtime, RowsOutsideTheBatchAreAStatus) {
  const Result<Model> model = Model::load(sample("mlp_small.onnx"));
  ASSERT_TRUE(model.ok());
  const Result<Executable> executable = compile(model.value(), {});
  ASSERT_TRUE(executable.ok());
  Session session = executable.value().session();
  EXPECT_TRUE(session.run(0).ok());
  EXPECT_TRUE(session.run(1).ok());
  for (const int64_t n : {int64_t{2}, int64_t{-1}}) {
    const Status status = session.run(n);
    EXPECT_FALSE(status.ok());
    EXPECT_NE(session.text(status).find("0 to 1 are accepted"), std::string::npos) << session.text(status);
  }
}

TEST(Runtime, BoundMemoryIsReadAndWritten) {
  const Result<Model> model = Model::load(sample("mlp_small.onnx"));
  ASSERT_TRUE(model.ok());
  const Result<Executable> executable = compile(model.value(), {});
  ASSERT_TRUE(executable.ok());
  Session own = ready(executable.value(), 1, 9), bound = executable.value().session();
  alignas(64) float x[40], y[16] = {};
  std::memcpy(x, own.input(0), sizeof x);
  bound.bind_input(0, x);
  bound.bind_output(0, y);
  ASSERT_TRUE(own.run(1).ok() && bound.run(1).ok());
  EXPECT_EQ(std::memcmp(y, own.output(0), 12), 0);
}

TEST(Runtime, PlansTravelAsJson) {
  Plan plan;
  plan.backend = "onnxruntime", plan.isa = "avx2", plan.batch_max = 7, plan.threads = 3;
  plan.ort_library = "/a \"quoted\" path", plan.ort_optimisation = "basic", plan.ort_provider = "CUDA";
  const Result<Plan> read = Plan::from_json(plan.to_json());
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_EQ(read.value(), plan);
  for (const char* bad :
       {"", "[]", "{\"version\": 2}", "{\"version\": 1, \"colour\": 3}", "{\"version\": 1, \"batch_max\": \"x\"}"})
    EXPECT_FALSE(Plan::from_json(bad).ok()) << bad;
}

TEST(Runtime, WrongPlansAreNamed) {
  const Result<Model> model = Model::load(sample("mlp_small.onnx"));
  ASSERT_TRUE(model.ok());
  const auto changed = [](auto change) {
    Plan plan;
    change(&plan);
    return plan;
  };
  const std::vector<std::pair<Plan, std::string>> wrong = {
      {changed([](Plan* plan) { plan->isa = "mmx"; }), "isa 'mmx'"},
      {changed([](Plan* plan) { plan->batch_max = 0; }), "batch_max is 0"},
      {changed([](Plan* plan) { plan->threads = 0; }), "threads is 0"},
      {changed([](Plan* plan) { plan->backend = "abacus"; }), "backend 'abacus' is not known; there are native"}};
  for (const auto& [plan, said] : wrong) {
    const Result<Executable> executable = compile(model.value(), plan);
    ASSERT_FALSE(executable.ok());
    EXPECT_NE(executable.error().text().find(said), std::string::npos) << executable.error().text();
  }
}

}  // namespace
}  // namespace hayate
