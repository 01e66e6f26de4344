#include "backends/native/native.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <thread>

#include "backends/native/lowering.h"
#include "import/import.h"

namespace hayate::native {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> samples() {
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(fs::path(HAYATE_SOURCE_DIR) / "models")) {
    const std::string extension = entry.path().extension();
    if (extension == ".onnx" || extension == ".txt" || extension == ".ubj") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

struct Loaded {
  Graph graph;
  Tensor rows;  // of the only input
};

Loaded load(const std::string& path, int64_t batch) {
  Result<Graph> graph = import_model(path, {});
  EXPECT_TRUE(graph.ok()) << graph.error().text();
  const ValueInfo& input = graph.value().inputs.at(0);
  Shape shape{batch};
  for (size_t i = 1; i < input.dims.size(); ++i) shape.push_back(input.dims[i].value);
  Tensor rows(input.type, shape);
  std::mt19937_64 random(7);
  std::normal_distribution<double> normal;
  for (int64_t i = 0; i < rows.count(); ++i) {
    if (input.type == Type::kFloat64)
      rows.data<double>()[i] = normal(random);
    else
      rows.data<float>()[i] = static_cast<float>(normal(random));
  }
  return {std::move(graph).value(), rows};
}

Tensor first_rows(const Tensor& rows, int64_t at, int64_t count) {
  Shape shape = rows.shape();
  const size_t row = rows.byte_count() / static_cast<size_t>(shape[0]);
  shape[0] = count;
  Tensor part(rows.type(), shape);
  std::memcpy(part.bytes(), rows.bytes() + static_cast<size_t>(at) * row, part.byte_count());
  return part;
}

std::vector<Tensor> run(const std::shared_ptr<const NativeExecutable>& executable, const Tensor& rows) {
  NativeState state(executable);
  std::memcpy(state.input(0), rows.bytes(), rows.byte_count());
  EXPECT_TRUE(state.run().ok());
  std::vector<Tensor> outputs;
  for (size_t i = 0; i < executable->outputs().size(); ++i) {
    const TensorType& type = executable->outputs()[i].type;
    outputs.emplace_back(type.type, type.shape);
    std::memcpy(outputs[i].bytes(), state.output(i), outputs[i].byte_count());
  }
  return outputs;
}

std::shared_ptr<const NativeExecutable> compiled(const Loaded& loaded, int64_t batch,
                                                 kernels::Isa isa = kernels::supported_isas().front()) {
  Shape shape = loaded.rows.shape();
  shape[0] = batch;
  const auto executable =
      NativeExecutable::compile(loaded.graph, {{loaded.graph.inputs[0].name, {loaded.rows.type(), shape}}}, {isa});
  EXPECT_TRUE(executable.ok()) << executable.error().text();
  return executable.value();
}

TEST(Native, EverySampleEqualsTheReferenceOnEveryInstructionSet) {
  for (const std::string& path : samples()) {
    const Loaded loaded = load(path, 3);
    const auto wanted = evaluate(loaded.graph, {{loaded.graph.inputs[0].name, loaded.rows}});
    ASSERT_TRUE(wanted.ok()) << wanted.error().text();
    for (const kernels::Isa isa : kernels::supported_isas()) {
      const auto executable = compiled(loaded, 3, isa);
      EXPECT_EQ(executable->program().plain_steps, 0) << path;
      const std::vector<Tensor> got = run(executable, loaded.rows);
      for (size_t i = 0; i < got.size(); ++i) {
        const std::vector<double> a = to_doubles(got[i]),
                                  b = to_doubles(wanted.value().at(executable->outputs()[i].name));
        ASSERT_EQ(a.size(), b.size()) << path;
        for (size_t k = 0; k < a.size(); ++k)
          ASSERT_LE(std::fabs(a[k] - b[k]), 1e-6 + 1e-5 * std::fabs(b[k]))
              << path << " " << kernels::isa_name(isa) << " element " << k;
      }
    }
  }
}

#ifdef HAYATE_SANITIZED  // kernels that are not optimised take minutes for more
constexpr int64_t kRows = 8;
#else
constexpr int64_t kRows = 32;
#endif

TEST(Native, RowsHaveTheSameBitsInEveryBatch) {
  for (const std::string& path : samples()) {
    const Loaded loaded = load(path, kRows);
    const std::vector<Tensor> all = run(compiled(loaded, kRows), loaded.rows);
    for (const int64_t batch : {1, 7}) {
      const auto executable = compiled(loaded, batch);
      for (int64_t at = 0; at + batch <= kRows; at += batch * 3) {
        const std::vector<Tensor> part = run(executable, first_rows(loaded.rows, at, batch));
        for (size_t i = 0; i < part.size(); ++i) {
          const size_t row = all[i].byte_count() / kRows;
          EXPECT_EQ(std::memcmp(part[i].bytes(), all[i].bytes() + static_cast<size_t>(at) * row, part[i].byte_count()),
                    0)
              << path << " batch " << batch << " row " << at;
        }
      }
    }
  }
}

TEST(Native, ThreadsWithAStateEachGiveTheSameBits) {
  for (const std::string& path : samples()) {
    const Loaded loaded = load(path, 2);
    const auto executable = compiled(loaded, 2);
    const std::vector<Tensor> wanted = run(executable, loaded.rows);
    std::vector<std::thread> threads;
    std::vector<int> equal(16, 0);
    for (size_t t = 0; t < equal.size(); ++t)
      threads.emplace_back([&, t] {
        const std::vector<Tensor> got = run(executable, loaded.rows);
        bool same = true;
        for (size_t i = 0; i < got.size(); ++i)
          same = same && std::memcmp(got[i].bytes(), wanted[i].bytes(), got[i].byte_count()) == 0;
        equal[t] = same;
      });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(std::count(equal.begin(), equal.end(), 1), 16) << path;
  }
}

TEST(Native, NoRowsGiveNoRows) {
  for (const std::string& path : samples()) {
    const Loaded loaded = load(path, 1);
    for (const Tensor& output : run(compiled(loaded, 0), first_rows(loaded.rows, 0, 0)))
      EXPECT_EQ(output.count(), 0) << path;
  }
}

TEST(Native, EqualWeightsAreKeptOnce) {
  Packing packing;
  const auto none = packing.keep({}), one = packing.keep({1.0f, 2.0f});
  EXPECT_EQ(packing.keep({}), none);
  EXPECT_EQ(packing.keep({1.0f, 2.0f}), one);
  EXPECT_NE(packing.keep({1.0f, 3.0f}), one);
}

TEST(Native, ProgramsShareTheirWeights) {
  const Loaded loaded = load(std::string(HAYATE_SOURCE_DIR) + "/models/mlp_medium.onnx", 16);
  const auto type = [&](int64_t rows) {
    return std::map<std::string, TensorType>{{"input", {Type::kFloat32, {rows, loaded.rows.shape()[1]}}}};
  };
  Packing packing;
  const auto one = NativeExecutable::compile(loaded.graph, type(1), {}, &packing),
             many = NativeExecutable::compile(loaded.graph, type(16), {}, &packing),
             other = NativeExecutable::compile(loaded.graph, type(1)),
             narrow = NativeExecutable::compile(loaded.graph, type(1), {.bf16 = true});
  ASSERT_TRUE(one.ok() && many.ok() && other.ok() && narrow.ok());
  int layers = 0;
  for (size_t i = 0; i < one.value()->program().steps.size(); ++i) {
    if (!one.value()->program().names[i].starts_with("dense")) continue;
    constexpr size_t kPacked = 2;
    const auto weights = [&](const auto& made) { return made.value()->program().steps[i].refs[kPacked].offset; };
    EXPECT_EQ(weights(one), weights(many));
    EXPECT_EQ(weights(one), weights(other));
    ++layers;
  }
  EXPECT_EQ(layers, 4);
  EXPECT_NE(one.value()->program().steps[0].refs[2].offset, narrow.value()->program().steps[1].refs[2].offset);
}

}  // namespace
}  // namespace hayate::native
