#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "backends/backend.h"
#include "backends/onnxruntime/ort_library.h"
#include "import/import.h"
#include "tensor/npy.h"

namespace hayate {
namespace {

namespace fs = std::filesystem;

const std::string kSample = HAYATE_SOURCE_DIR "/models/mlp_small.onnx";

bool library_is_there() { return OrtLibrary::open("").ok(); }

Result<std::shared_ptr<const Compiled>> compile(const std::string& path, const Plan& given = {}) {
  const Result<Graph> graph = import_model(path);
  if (!graph.ok()) return graph.error();
  Plan plan = given;
  plan.backend = "onnxruntime";
  const Result<InputTypes> types = declared_types(graph.value(), 3);
  return types.ok() ? compile_graph(graph.value(), types.value(), plan) : types.error();
}

void expect_error(const Plan& plan, const std::string& said) {
  const auto compiled = compile(kSample, plan);
  ASSERT_FALSE(compiled.ok());
  EXPECT_NE(compiled.error().text().find(said), std::string::npos) << compiled.error().text();
}

TEST(Ort, LibrariesThatAreNoneAreErrors) {
  Plan plan;
  plan.ort_library = "/nowhere/libonnxruntime.so";
  expect_error(plan, "pip install onnxruntime, or --ort-library");
  plan.ort_library = "libm.so.6";
  expect_error(plan, "is no ONNX Runtime library");
}

TEST(Ort, AnOldLibraryIsRefusedByItsVersion) {
  Plan plan;
  plan.ort_library = HAYATE_OLD_ORT;  // built by the tests: offers API version 1 alone
  expect_error(plan, "ONNX Runtime 1.0.0 is too old: it does not offer C API version 12; 1.12 or newer does");
}

TEST(Ort, ProvidersAndLevelsAreCalledByName) {
  if (!library_is_there()) GTEST_SKIP() << OrtLibrary::open("").error().text();
  Plan plan;
  plan.ort_provider = "Abacus";
  expect_error(plan, "execution provider 'Abacus': is not in ");
  plan.ort_provider = "AbacusExecutionProvider";
  expect_error(plan, "CPU");
  plan = {};
  plan.ort_optimisation = "most";
  expect_error(plan, "none, basic, extended and all are");
  for (const char* level : {"none", "basic", "extended", "all"}) {
    plan.ort_optimisation = level;
    EXPECT_TRUE(compile(kSample, plan).ok()) << level;
  }
  plan.ort_provider = "CPUExecutionProvider";
  EXPECT_TRUE(compile(kSample, plan).ok());
}

TEST(Ort, AnswersLikeTheReference) {
  if (!library_is_there()) GTEST_SKIP() << OrtLibrary::open("").error().text();
  const auto compiled = compile(kSample);
  ASSERT_TRUE(compiled.ok()) << compiled.error().text();
  const std::unique_ptr<State> state = compiled.value()->state();
  Tensor rows(Type::kFloat32, {3, 40});
  for (int64_t i = 0; i < rows.count(); ++i)
    rows.data<float>()[i] = static_cast<float>((i * 7919) % 2003) / 1000.0f - 1.0f;
  const auto got = run_on(state.get(), {{"input", rows}});
  ASSERT_TRUE(got.ok()) << got.error().text();
  const Result<Graph> graph = import_model(kSample);
  const auto wanted = evaluate(graph.value(), {{"input", rows}});
  ASSERT_TRUE(wanted.ok());
  for (int64_t i = 0; i < 9; ++i)
    EXPECT_NEAR(got.value().at("output").data<float>()[i], wanted.value().at("output").data<float>()[i], 2e-6);
}

// CatBoost's classifiers end in ZipMap, its regressors declare [N] for [N, 1].
TEST(Ort, FilesWithMapsOrWrongShapesGiveTensors) {
  if (!library_is_there()) GTEST_SKIP() << OrtLibrary::open("").error().text();
  for (const char* name : {"catboost_classifier", "catboost_regressor", "lightgbm_multiclass"}) {
    const std::string path = std::string(HAYATE_SOURCE_DIR "/tests/data/exported/sklearn/") + name + "/model.onnx";
    const Result<Graph> graph = import_model(path);
    ASSERT_TRUE(graph.ok()) << graph.error().text();
    const auto compiled = compile(path);
    ASSERT_TRUE(compiled.ok()) << compiled.error().text();
    Tensor rows(Type::kFloat32, {3, 8});
    for (int64_t i = 0; i < rows.count(); ++i)
      rows.data<float>()[i] = static_cast<float>((i * 7919) % 2003) / 500.0f - 2.0f;
    const std::string input = graph.value().inputs[0].name;
    const std::unique_ptr<State> state = compiled.value()->state();
    const auto got = run_on(state.get(), {{input, rows}});
    ASSERT_TRUE(got.ok()) << name << " " << got.error().text();
    const auto wanted = evaluate(graph.value(), {{input, rows}});
    ASSERT_TRUE(wanted.ok()) << name;
    for (const auto& [output, tensor] : wanted.value()) {
      ASSERT_EQ(got.value().at(output).shape(), tensor.shape()) << name << " " << output;
      const std::vector<double> have = to_doubles(got.value().at(output)), want = to_doubles(tensor);
      for (size_t i = 0; i < have.size(); ++i) EXPECT_NEAR(have[i], want[i], 1e-5) << name << " " << output;
    }
  }
}

TEST(Ort, ABrokenFileIsItsError) {
  if (!library_is_there()) GTEST_SKIP() << OrtLibrary::open("").error().text();
  Result<Graph> graph = import_model(kSample);
  ASSERT_TRUE(graph.ok());
  const std::string broken = fs::temp_directory_path() / ("hayate-broken-" + std::to_string(getpid()) + ".onnx");
  std::ofstream(broken, std::ios::binary) << read_file(kSample).value().substr(0, 100);
  graph.value().source = broken;  // the file changed after it was read
  Plan plan;
  plan.backend = "onnxruntime";
  const auto compiled = compile_graph(graph.value(), declared_types(graph.value(), 1).value(), plan);
  fs::remove(broken);
  ASSERT_FALSE(compiled.ok());
  EXPECT_NE(compiled.error().text().find(broken), std::string::npos) << compiled.error().text();
}

TEST(Ort, TextTreesAreRefused) {
  const auto compiled = compile(HAYATE_SOURCE_DIR "/models/lightgbm_500x31.txt");
  ASSERT_FALSE(compiled.ok());
  EXPECT_NE(compiled.error().text().find("reads ONNX files alone"), std::string::npos) << compiled.error().text();
}

}  // namespace
}  // namespace hayate
