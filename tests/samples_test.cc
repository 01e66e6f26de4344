// Every committed sample model loads, answers, and is moved by its inputs; the trees' two forms agree.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <random>
#include <string>

#include "eval/evaluate.h"
#include "import/import.h"
#include "rewrite/bind.h"

namespace hayate {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kRows = 8;

std::map<std::string, Tensor> noise_for(const Graph& graph) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::map<std::string, Tensor> inputs;
  for (const ValueInfo& input : graph.inputs) {
    Shape shape;
    for (const Dim& dim : input.dims) shape.push_back(dim.fixed() ? dim.value : kRows);
    Tensor tensor(input.type, shape);
    visit_type(input.type, [&]<typename T>() {
      for (int64_t i = 0; i < tensor.count(); ++i) tensor.data<T>()[i] = static_cast<T>(normal(random));
    });
    inputs.emplace(input.name, tensor);
  }
  return inputs;
}

Result<std::map<std::string, Tensor>> answers_of(const std::string& path) {
  const Result<Graph> graph = import_model(path);
  if (!graph.ok()) return graph.error();
  const std::map<std::string, Tensor> inputs = noise_for(graph.value());
  std::map<std::string, TensorType> types;
  for (const auto& [name, tensor] : inputs) types.emplace(name, TensorType{tensor.type(), tensor.shape()});
  const Result<Graph> resolved = resolve_branches(graph.value(), types);
  if (!resolved.ok()) return resolved.error();
  return evaluate(resolved.value(), inputs);
}

double deviation(const std::vector<double>& values) {
  double sum = 0, squares = 0;
  for (const double value : values) sum += value;
  const double mean = sum / static_cast<double>(values.size());
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size()));
}

TEST(Samples, EachAnswersAndIsMovedByItsInputs) {
  int seen = 0;
  for (const auto& entry : fs::directory_iterator(HAYATE_SOURCE_DIR "/models")) {
    const std::string path = entry.path(), extension = entry.path().extension();
    if (extension != ".onnx" && extension != ".txt" && extension != ".ubj") continue;
    ++seen;
    const auto answers = answers_of(path);
    ASSERT_TRUE(answers.ok()) << answers.error().text();
    const Tensor& output = answers.value().at("output");
    ASSERT_EQ(output.shape()[0], kRows) << path;
    for (const double value : to_doubles(output)) ASSERT_TRUE(std::isfinite(value)) << path;
    std::vector<double> first_column;
    const std::vector<double> all = to_doubles(output);
    for (int64_t row = 0; row < kRows; ++row) first_column.push_back(all[row * output.count() / kRows]);
    EXPECT_GT(deviation(first_column), 1e-3) << path;
  }
  EXPECT_GE(seen, 9);
}

TEST(Samples, TextTreesAgreeWithTheirOnnxForm) {
  const std::string folder = HAYATE_SOURCE_DIR "/models/";
  const auto text = answers_of(folder + "lightgbm_500x31.txt"), onnx = answers_of(folder + "lightgbm_500x31.onnx");
  ASSERT_TRUE(text.ok()) << text.error().text();
  ASSERT_TRUE(onnx.ok()) << onnx.error().text();
  const std::vector<double> a = to_doubles(text.value().at("output")), b = to_doubles(onnx.value().at("output"));
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i)
    EXPECT_NEAR(a[i], b[i], 1e-5 * std::fabs(a[i]) + 1e-5);  // the ONNX form sums in float32
}

}  // namespace
}  // namespace hayate
