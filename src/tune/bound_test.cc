#include "tune/bound.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "import/import.h"
#include "rewrite/rewrite.h"
#include "tune/pieces.h"

namespace hayate {
namespace {

Peaks round_peaks() {
  Peaks peaks;
  peaks.fingerprint = fingerprint(find_machine());
  peaks.levels = {{"L1", 32 << 10, 400}, {"L2", 1 << 20, 100}, {"memory", int64_t{1} << 34, 10}};
  peaks.fp32_gmacs = 100, peaks.function_ns = 0.5, peaks.float64_add_ns = 2, peaks.hand_off_ns = 50,
  peaks.piece_macs = 8192;
  return peaks;
}

Work work_of_sample(const std::string& name) {
  Result<Graph> graph = import_model(std::string(HAYATE_SOURCE_DIR) + "/models/" + name, {});
  EXPECT_TRUE(graph.ok());
  std::map<std::string, TensorType> types;
  for (const ValueInfo& input : graph.value().inputs) {
    Shape shape{1};
    for (size_t i = 1; i < input.dims.size(); ++i) shape.push_back(input.dims[i].value);
    types[input.name] = {input.type, shape};
  }
  const Result<Graph> rewritten = rewrite(graph.value(), types);
  EXPECT_TRUE(rewritten.ok());
  return work_of(rewritten.value(), infer(rewritten.value(), types).value());
}

TEST(Bound, CountsWhatAModelMustDo) {
  const Work mlp = work_of_sample("mlp_small.onnx");  // 40-64-64-3
  EXPECT_EQ(mlp.macs, 40 * 64 + 64 * 64 + 64 * 3);
  EXPECT_EQ(mlp.weight_bytes, 4 * (mlp.macs + 64 + 64 + 3));
  EXPECT_TRUE(mlp.again.empty());
  EXPECT_EQ(mlp.functions, 3);                      // of the softmax
  const Work lstm = work_of_sample("lstm_a.onnx");  // 2 layers of 100 over 50 x 100
  EXPECT_GE(lstm.macs, 50 * 2 * (100 + 100) * 400);
  EXPECT_GE(lstm.functions, 50 * 2 * 100 * 5);
  ASSERT_EQ(lstm.again.size(), 2u) << "recurrent weights are read at every step";
  for (const Work::Again& again : lstm.again) EXPECT_EQ(again.bytes * again.times, 49 * 100 * 400 * 4);
  EXPECT_EQ(work_of_sample("lightgbm_500x31.txt").ordered_sums, 500);
}

// Of a recurrent layer those of its input alone, for the products with its state are there; of a convolution that has
// begun the last taps.
TEST(Bound, CountsWhatAnAnswerOfAStreamReads) {
  const auto work = [](const std::string& name, int64_t window) {
    const Result<Model> model = Model::load(std::string(HAYATE_SOURCE_DIR) + "/models/" + name);
    EXPECT_TRUE(model.ok());
    Plan plan;
    plan.window = window;
    const Result<StreamExecutable> stream = compile_stream(model.value(), plan);
    EXPECT_TRUE(stream.ok());
    const Result<Work> made = work_of_answer(stream.value());
    EXPECT_TRUE(made.ok());
    return made.value();
  };
  const Work lstm = work("lstm_a.onnx", 50);
  EXPECT_GE(lstm.weight_bytes, 2 * 100 * 400 * 4);
  EXPECT_LT(lstm.weight_bytes, 2 * 100 * 400 * 4 + 20'000) << "and biases, and the head";
  EXPECT_GE(lstm.held_bytes, 4 * 100 * 400 * 4);
  EXPECT_TRUE(lstm.again.empty());
  EXPECT_EQ(lstm.functions, 2 * 100 * 5);
  const Work tcn = work("tcn.onnx", 64);
  EXPECT_LT(tcn.weight_bytes, tcn.held_bytes / 2) << "two of three taps are behind it";
  EXPECT_EQ(tcn.macs, 9'824);
  EXPECT_EQ(work("transformer.onnx", 50).weight_bytes, work_of_sample("transformer.onnx").weight_bytes);
}

TEST(Bound, TakesTheSlowerOfReadingAndMultiplyingAndAddsTheRest) {
  const Peaks peaks = round_peaks();
  Work work;
  work.macs = 100'000, work.weight_bytes = 400'000;  // 1 us, and 4 us from L2
  EXPECT_NEAR(bound_of(work, peaks).us, 4, 1e-9);
  EXPECT_EQ(bound_of(work, peaks).of, "weights from L2");
  work.weight_bytes = 0, work.again = {{40'000, 5}, {20'000, 20}};  // 2 us from L2 and 1 from L1
  EXPECT_NEAR(bound_of(work, peaks).us, 3, 1e-9);
  work.again.pop_back();
  work.macs = 200'000;
  EXPECT_NEAR(bound_of(work, peaks).us, 2, 1e-9);
  work.functions = 10'000, work.ordered_sums = 500;  // 5 us and 1 us
  EXPECT_NEAR(bound_of(work, peaks).us, 8, 1e-9);
  EXPECT_EQ(bound_of(work, peaks).of, "functions");
}

TEST(Peaks, LevelsAreFoundBySize) {
  const Peaks peaks = round_peaks();
  EXPECT_EQ(peaks.level_of(1000).level, "L1");
  EXPECT_EQ(peaks.level_of(32 << 10).level, "L1");
  EXPECT_EQ(peaks.level_of((32 << 10) + 1).level, "L2");
  EXPECT_EQ(peaks.level_of(int64_t{1} << 40).level, "memory");
}

TEST(Peaks, MeasuredOnesAreOrderedAsTheMachineIs) {
  double last = 0;
  const Peaks peaks = measure_peaks(find_machine(), [&](double share) {
    EXPECT_GE(share, last);
    last = share;
  });
  EXPECT_EQ(last, 1);
  ASSERT_GE(peaks.levels.size(), 1u);
  EXPECT_EQ(peaks.levels.back().level, "memory");
  for (const LevelPeak& level : peaks.levels) EXPECT_GT(level.gb_per_s, 0.1) << level.level;
  for (size_t i = 1; i < peaks.levels.size(); ++i)
    EXPECT_GE(peaks.levels[i - 1].gb_per_s, peaks.levels[i].gb_per_s) << peaks.levels[i].level;
  EXPECT_GT(peaks.fp32_gmacs, 0.1);
  EXPECT_GT(peaks.function_ns, 0);
  EXPECT_GT(peaks.float64_add_ns, 0.1);
}

TEST(Pieces, PayFromTheSizeOnThatAllLargerOnesPayAt) {
  EXPECT_EQ(piece_macs_of({}), 0);
  EXPECT_EQ(piece_macs_of({{2048, 0.5}, {8192, 1.2}, {18432, 1.4}}), 8192);
  EXPECT_EQ(piece_macs_of({{2048, 1.3}, {8192, 1.0}, {18432, 1.4}}), 18432) << "one that won by chance";
  EXPECT_EQ(piece_macs_of({{2048, 1.5}, {8192, 1.5}, {18432, 1.01}}), 0);
  EXPECT_EQ(piece_macs_of({{2048, 1.5}, {8192, 1.5}}), 2048);
}

TEST(Pieces, AreTimedAloneAndShared) {
  EXPECT_TRUE(measure_shared_sizes(1).empty());
  const std::vector<SharedSize> sizes = measure_shared_sizes(2);
  ASSERT_GE(sizes.size(), 5u);
  for (size_t i = 0; i < sizes.size(); ++i) {
    EXPECT_GT(sizes[i].gain, 0) << sizes[i].piece_macs;
    EXPECT_GT(sizes[i].piece_macs, i == 0 ? 0 : sizes[i - 1].piece_macs);
  }
}

TEST(Peaks, AreKeptForThisMachineAlone) {
  const std::string path = testing::TempDir() + "hayate_peaks/peaks.json";
  std::filesystem::remove(path);
  const Machine machine = find_machine();
  EXPECT_NE(load_peaks(machine, path).error().text().find("machine --measure"), std::string::npos);
  const Peaks peaks = round_peaks();
  ASSERT_TRUE(store_peaks(peaks, path).ok());
  const Result<Peaks> read = load_peaks(machine, path);
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_EQ(to_json(read.value()), to_json(peaks));
  Peaks other = peaks;
  other.fingerprint = "another";
  ASSERT_TRUE(store_peaks(other, path).ok());
  EXPECT_NE(load_peaks(machine, path).error().text().find("another machine"), std::string::npos);
  for (const char* broken : {"", "{", "[]", "{\"version\": 3}", "{\"version\": 9}",
                             "{\"version\": 3, \"fingerprint\": \"x\", \"levels\": [], \"fp32_gmacs\": 1}"}) {
    std::ofstream(path) << broken;
    EXPECT_FALSE(load_peaks(machine, path).ok()) << broken;
  }
  EXPECT_FALSE(store_peaks(peaks, "/proc/none/peaks.json").ok());
  EXPECT_FALSE(store_peaks(peaks, "").ok());
}

}  // namespace
}  // namespace hayate
