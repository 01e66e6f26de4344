#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
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

#ifdef HAYATE_SANITIZED  // kernels that are not optimised take minutes for more
constexpr int kRunsPerThread = 2;
constexpr int64_t kBatch = 8;
#else
constexpr int kRunsPerThread = 20;
constexpr int64_t kBatch = 32;
#endif

TEST(Runtime, RowsOfEverySampleHaveTheSameBitsInEveryBatch) {
  for (const std::string& path : samples()) {
    const Result<Model> model = Model::load(path);
    ASSERT_TRUE(model.ok()) << model.error().text();
    Plan plan = Plan::defaults(model.value());
    plan.batch_max = kBatch;
    const Result<Executable> executable = compile(model.value(), plan);
    ASSERT_TRUE(executable.ok()) << executable.error().text();
    ASSERT_EQ(executable.value().fixed_batch(), "") << path;
    Session all = ready(executable.value(), kBatch, 3), part = ready(executable.value(), kBatch, 3);
    ASSERT_TRUE(all.run(kBatch).ok());
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

TEST(Runtime, SamplesHaveTheSameBitsOnEveryInstructionSetThatFuses) {
  for (const std::string& path : samples()) {
    const Result<Model> model = Model::load(path);
    ASSERT_TRUE(model.ok()) << model.error().text();
    std::vector<std::string> wanted;
    for (const char* isa : {"avx512", "avx2", "neon"}) {
      Plan plan = Plan::defaults(model.value());
      plan.batch_max = 3, plan.isa = isa;
      const Result<Executable> executable = compile(model.value(), plan);
      if (!executable.ok()) {
        ASSERT_NE(executable.error().text().find("isa"), std::string::npos) << executable.error().text();
        continue;
      }
      Session session = ready(executable.value(), 3, 5);
      ASSERT_TRUE(session.run(3).ok());
      std::vector<std::string> got;
      for (size_t i = 0; i < executable.value().outputs().size(); ++i)
        got.emplace_back(static_cast<const char*>(session.output(i)),
                         static_cast<size_t>(3 * executable.value().outputs()[i].row_bytes));
      if (wanted.empty()) wanted = got;
      EXPECT_TRUE(got == wanted) << path << " with " << isa;
    }
  }
}

TEST(Runtime, HelperThreadsDoNotChangeABit) {
  for (const std::string& path : samples()) {
    const Result<Model> model = Model::load(path);
    ASSERT_TRUE(model.ok()) << model.error().text();
    for (const auto& [precision, piece_macs] : std::vector<std::pair<const char*, int64_t>>{
             {"fp32", Plan().piece_macs}, {"fp32", 1}, {"bf16", Plan().piece_macs}, {"int8", 1}}) {
      Plan plan = Plan::defaults(model.value());
      plan.batch_max = kBatch, plan.precision = precision, plan.piece_macs = piece_macs;
      const Result<Executable> alone = compile(model.value(), plan);
      if (!alone.ok()) continue;  // no layer that takes integers; precision_test has these
      plan.threads = 3;
      const Result<Executable> shared = compile(model.value(), plan);
      ASSERT_TRUE(shared.ok()) << shared.error().text();
      Session wanted = ready(alone.value(), kBatch, 3), got = ready(shared.value(), kBatch, 3);
      for (const int64_t n : {int64_t{1}, int64_t{7}, kBatch})
        for (int again = 0; again < kRunsPerThread / 2; ++again) {
          ASSERT_TRUE(wanted.run(n).ok());
          ASSERT_TRUE(got.run(n).ok());
          for (size_t i = 0; i < alone.value().outputs().size(); ++i)
            ASSERT_EQ(std::memcmp(got.output(i), wanted.output(i),
                                  static_cast<size_t>(n * alone.value().outputs()[i].row_bytes)),
                      0)
                << path << " " << precision << " at " << n << ", pieces of " << piece_macs;
        }
    }
  }
}

int64_t threads_of_this_process() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/task"), std::filesystem::directory_iterator());
}

TEST(Runtime, NoHelpersWhereNoStepIsShared) {
  const Result<Model> model = Model::load(sample("mlp_medium.onnx"));
  ASSERT_TRUE(model.ok());
  Plan plan;
  plan.threads = 3;
  const int64_t before = threads_of_this_process();
  for (const int64_t helpers : {int64_t{0}, int64_t{2}}) {
    plan.piece_macs = helpers == 0 ? 0 : 16'384;
    const Result<Executable> executable = compile(model.value(), plan);
    ASSERT_TRUE(executable.ok()) << executable.error().text();
    Session session = ready(executable.value(), 1, 1);
    EXPECT_TRUE(session.run(1).ok());
    EXPECT_EQ(threads_of_this_process() - before, helpers);
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
      for (int i = 0; i < kRunsPerThread; ++i)
        same = same && session.run(5).ok() &&
               std::memcmp(session.output(0), wanted.output(0),
                           static_cast<size_t>(5 * executable.value().outputs()[0].row_bytes)) == 0;
      equal[t] = same;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(std::count(equal.begin(), equal.end(), 1), 16);
}

TEST(Runtime, ThreadsLoadAndCompileTheirOwnModels) {
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  const std::vector<std::string> names = {"mlp_small.onnx", "tcn.onnx", "xgboost_200x6.ubj", "mlp_small.onnx",
                                          "logistic.onnx",  "gru.onnx", "xgboost_200x6.onnx"};
  for (const std::string& name : names)
    threads.emplace_back([&good, path = sample(name)] {
      const Result<Model> model = Model::load(path);
      const Result<Executable> executable = model.ok() ? compile(model.value(), {}) : model.error();
      good += executable.ok() && executable.value().session().run(1).ok();
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, static_cast<int>(names.size()));
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
  plan.backend = "onnxruntime", plan.isa = "avx2", plan.batch_max = 7, plan.threads = 3, plan.piece_macs = 0,
  plan.trees = "trees_walk";
  plan.machine = "somewhere", plan.ort_library = "/a \"quoted\" path", plan.ort_optimisation = "basic",
  plan.ort_provider = "CUDA";
  plan.shapes = {{"a:*,5", "b:*,5"}, {}, {"a:*,9"}}, plan.shapes_max = 3;
  const Result<Plan> read = Plan::from_json(plan.to_json());
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_EQ(read.value(), plan);
  for (const char* bad :
       {"", "[]", "{\"version\": 2}", "{\"version\": 1, \"colour\": 3}", "{\"version\": 1, \"batch_max\": \"x\"}",
        "{\"version\": 1, \"shapes\": [\"x:1\"]}", "{\"version\": 1, \"shapes\": [[1]]}",
        "{\"version\": 1, \"shapes\": 7}", "{\"version\": 1, \"machine\": 5}", "{\"batch_max\": 2}"})
    EXPECT_FALSE(Plan::from_json(bad).ok()) << bad;
}

TEST(Runtime, APlanOfAnotherMachineIsRefusedWhereItDependsOnIt) {
  const Result<Model> model = Model::load(sample("mlp_small.onnx"));
  ASSERT_TRUE(model.ok());
  Plan plan = Plan::defaults(model.value());
  plan.machine = "x86_64-0000000000000000", plan.batch_max = 3;
  EXPECT_TRUE(compile(model.value(), plan).ok());  // nothing in it is of that machine
  plan.isa = "plain";
  const Result<Executable> refused = compile(model.value(), plan);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(
      refused.error().text().find("was made for machine x86_64-0000000000000000, this one is " + Plan::this_machine()),
      std::string::npos)
      << refused.error().text();
  plan.machine = Plan::this_machine();
  EXPECT_TRUE(compile(model.value(), plan).ok());
  plan.machine.clear();
  EXPECT_TRUE(compile(model.value(), plan).ok());
  for (const auto& change :
       std::vector<void (*)(Plan*)>{[](Plan* p) { p->threads = 4; }, [](Plan* p) { p->ort_library = "/a/library.so"; },
                                    [](Plan* p) { p->ort_provider = "CUDA"; }, [](Plan* p) { p->isa = "avx2"; }}) {
    Plan other;
    EXPECT_FALSE(other.depends_on_machine());
    change(&other);
    EXPECT_TRUE(other.depends_on_machine());
  }
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
      {changed([](Plan* plan) { plan->piece_macs = -1; }), "piece_macs is -1"},
      {changed([](Plan* plan) { plan->trees = "trees_climb"; }), "trees is 'trees_climb'; measured, trees_plain"},
      {changed([](Plan* plan) { plan->backend = "abacus"; }), "backend 'abacus' is not known; there are native"}};
  for (const auto& [plan, said] : wrong) {
    const Result<Executable> executable = compile(model.value(), plan);
    ASSERT_FALSE(executable.ok());
    EXPECT_NE(executable.error().text().find(said), std::string::npos) << executable.error().text();
  }
}

TEST(Runtime, TreesRunByTheMethodThatIsAskedForWithTheSameBits) {
  for (const char* name : {"lightgbm_500x31.txt", "xgboost_200x6.ubj", "random_forest.onnx"}) {
    const Result<Model> model = Model::load(sample(name));
    ASSERT_TRUE(model.ok()) << model.error().text();
    Plan plan;
    plan.batch_max = kBatch;
    const Result<Executable> wanted = compile(model.value(), plan);
    ASSERT_TRUE(wanted.ok()) << wanted.error().text();
    Session all = ready(wanted.value(), kBatch, 3);
    ASSERT_TRUE(all.run(kBatch).ok());
    for (const char* trees : {"measured", "trees_walk", "trees_masks", "trees_plain"}) {
      plan.trees = trees;
      const Result<Executable> executable = compile(model.value(), plan);
      ASSERT_TRUE(executable.ok()) << executable.error().text();
      const std::string text = executable.value().text();
      EXPECT_EQ(text.find(plan.trees) != std::string::npos, plan.trees != "measured") << text;
      Session session = ready(executable.value(), kBatch, 3);
      ASSERT_TRUE(session.run(kBatch).ok());
      for (size_t i = 0; i < executable.value().outputs().size(); ++i)
        EXPECT_EQ(std::memcmp(session.output(i), all.output(i),
                              static_cast<size_t>(kBatch * executable.value().outputs()[i].row_bytes)),
                  0)
            << name << " with " << trees;
    }
  }
  const Result<Model> model = Model::load(sample("lightgbm_500x31.txt"));
  Plan plan;
  plan.isa = "plain", plan.trees = "trees_masks_avx512";
  const Result<Executable> refused = compile(model.value(), plan);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(
      refused.error().text().find("does not run with trees 'trees_masks_avx512'; measured, trees_plain, trees_walk"),
      std::string::npos)
      << refused.error().text();
}

// ---- shapes

// The mean over an open time axis: [N, T, 3] to [N, 3].
class Shapes : public testing::Test {
 protected:
  static Result<Model> model() { return Model::load(fs::path(HAYATE_SOURCE_DIR) / "tests/data/open_time.onnx"); }
  static Plan plan() {
    Plan made;
    made.batch_max = 4;
    made.shapes = {{"x:*,5,3"}, {"x:*,8,3"}};
    made.shapes_max = 2;
    return made;
  }
};

TEST_F(Shapes, BucketsAreCompiledAndOthersWhenAsked) {
  const Result<Model> loaded = model();
  ASSERT_TRUE(loaded.ok()) << loaded.error().text();
  const Result<Executable> made = compile(loaded.value(), plan());
  ASSERT_TRUE(made.ok()) << made.error().text();
  EXPECT_EQ(made.value().inputs()[0].shape, (std::vector<int64_t>{4, 5, 3}));
  EXPECT_EQ(made.value().fixed_batch(), "");
  ASSERT_TRUE(made.value().ready({"x:*,8,3"}).has_value());
  EXPECT_EQ(made.value().ready({"x:*,8,3"})->inputs()[0].shape, (std::vector<int64_t>{4, 8, 3}));
  EXPECT_FALSE(made.value().ready({"x:*,9,3"}).has_value());
  for (const char* shape : {"x:*,9,3", "x:*,10,3", "x:*,9,3", "x:*,11,3"})
    ASSERT_TRUE(made.value().at({shape}).ok()) << shape;
  EXPECT_TRUE(made.value().ready({"x:*,9,3"}).has_value());
  EXPECT_FALSE(made.value().ready({"x:*,10,3"}).has_value()) << "the one unused for longest was to go";
  EXPECT_TRUE(made.value().ready({"x:*,11,3"}).has_value());
  EXPECT_TRUE(made.value().ready({"x:*,5,3"}).has_value()) << "the plan lists it";
}

TEST_F(Shapes, EachGivesTheAnswerOfItsShape) {
  const Result<Model> loaded = model();
  const Result<Executable> made = compile(loaded.value(), plan());
  ASSERT_TRUE(made.ok()) << made.error().text();
  for (const int64_t length : {5, 8, 12}) {
    const auto shaped = made.value().at({"x:*," + std::to_string(length) + ",3"});
    ASSERT_TRUE(shaped.ok()) << shaped.error().text();
    Session session = shaped.value().session();
    float* x = static_cast<float*>(session.input(0));
    for (int64_t i = 0; i < 2 * length * 3; ++i) x[i] = static_cast<float>(i);
    ASSERT_TRUE(session.run(2).ok());
    const float* y = static_cast<const float*>(session.output(0));
    for (int64_t row = 0; row < 2; ++row)
      for (int64_t f = 0; f < 3; ++f)  // the mean over time
        EXPECT_EQ(y[row * 3 + f], static_cast<float>(row * length * 3 + f) + 3.0f * static_cast<float>(length - 1) / 2);
  }
}

TEST_F(Shapes, BadOnesAreErrors) {
  const Result<Model> loaded = model();
  Plan wrong = plan();
  EXPECT_NE(compile(loaded.value(), Plan()).error().text().find("axis 1 is open"), std::string::npos);
  wrong.shapes = {{"y:*,5,3"}};
  EXPECT_NE(compile(loaded.value(), wrong).error().text().find("has no input 'y'"), std::string::npos);
  wrong.shapes = {{"x:*,5"}};
  EXPECT_NE(compile(loaded.value(), wrong).error().text().find("does not fit"), std::string::npos);
  wrong.shapes.assign(65, {"x:*,5,3"});
  EXPECT_NE(compile(loaded.value(), wrong).error().text().find("65 buckets"), std::string::npos);
  wrong = plan(), wrong.shapes_max = -1;
  EXPECT_NE(compile(loaded.value(), wrong).error().text().find("shapes_max"), std::string::npos);
  const Result<Executable> made = compile(loaded.value(), plan());
  EXPECT_NE(made.value().at({"x:*,5,four"}).error().text().find("'four' is no extent"), std::string::npos);
  EXPECT_FALSE(made.value().ready({"x:*,5,four"}).has_value());
}

TEST_F(Shapes, ManyThreadsAskForMany) {
  const Result<Model> loaded = model();
  const Result<Executable> made = compile(loaded.value(), plan());
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        const int64_t length = 5 + (i + t) % 6;
        const auto shaped = made.value().at({"x:*," + std::to_string(length) + ",3"});
        right += shaped.ok() && shaped.value().inputs()[0].shape[1] == length ? 1 : 0;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 8 * 20);
}

}  // namespace
}  // namespace hayate
