// The program's commands around the native engine: bench, verify, dump --after, and what they refuse.
#include <gtest/gtest.h>
#include <simdjson.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>

#include "hardware/machine.h"
#include "tune/peaks.h"

namespace {

namespace fs = std::filesystem;

struct Said {
  int status;
  std::string text;
};

Said hayate(const std::string& arguments, const std::string& environment = "") {
  std::FILE* pipe = popen((environment + " " + HAYATE_PROGRAM + " " + arguments + " 2>&1").c_str(), "r");
  std::string text;
  std::array<char, 4096> buffer;
  for (size_t got; (got = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) text.append(buffer.data(), got);
  const int status = pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text};
}

std::string sample(const std::string& name) { return std::string(HAYATE_SOURCE_DIR) + "/models/" + name; }

TEST(Engine, BenchWritesOneResultPerModelBackendAndBatch) {
  const std::string json = fs::temp_directory_path() / ("hayate-bench-test-" + std::to_string(getpid()) + ".json");
  const Said said = hayate("bench " + sample("mlp_small.onnx") + " " + sample("logistic.onnx") +
                           " --backend native --batch 1,7 --seconds 0.02 --json " + json);
  ASSERT_EQ(said.status, 0) << said.text;
  simdjson::dom::parser parser;
  simdjson::dom::element read;
  ASSERT_EQ(parser.load(json).get(read), simdjson::SUCCESS);
  simdjson::dom::array results;
  ASSERT_EQ(read["results"].get(results), simdjson::SUCCESS);
  EXPECT_EQ(results.size(), 4u);
  for (const simdjson::dom::element each : results) {
    for (const char* key : {"model", "backend", "precision"}) EXPECT_TRUE(each[key].is_string()) << key;
    for (const char* key : {"batch", "threads", "count", "p50_us", "p99_us", "p999_us", "max_us", "rows_per_s",
                            "max_abs_error", "max_rel_error", "peak_rss_mb", "load_ms", "compile_ms"})
      EXPECT_TRUE(each[key].is_number()) << key;
    double p50 = 0, p99 = 0, max = 0, error = 1, memory = 0;
    ASSERT_EQ(each["p50_us"].get(p50), simdjson::SUCCESS);
    ASSERT_EQ(each["p99_us"].get(p99), simdjson::SUCCESS);
    ASSERT_EQ(each["max_us"].get(max), simdjson::SUCCESS);
    ASSERT_EQ(each["max_abs_error"].get(error), simdjson::SUCCESS);
    ASSERT_EQ(each["peak_rss_mb"].get(memory), simdjson::SUCCESS);
    EXPECT_GT(p50, 0);
    EXPECT_LE(p50, p99);
    EXPECT_LE(p99, max);
    EXPECT_LT(error, 1e-5);
    EXPECT_GT(memory, 1);
  }
  EXPECT_TRUE(read["machine"].is_object());
  fs::remove(json);
}

// Of peaks so low that every precision's bound is its multiply-adds: 6,848 at 1, 2 and 4 a nanosecond.
TEST(Engine, BenchBoundsEveryPrecisionByItsOwnPeak) {
  const fs::path folder = fs::temp_directory_path() / ("hayate-bound-test-" + std::to_string(getpid()));
  hayate::Peaks peaks;
  peaks.fingerprint = hayate::fingerprint(hayate::find_machine());
  peaks.levels = {{"memory", int64_t{1} << 40, 1000}};
  peaks.fp32_gmacs = 1, peaks.bf16_gmacs = 2, peaks.int8_gmacs = 4, peaks.function_ns = 1, peaks.float64_add_ns = 1;
  ASSERT_TRUE(hayate::store_peaks(peaks, folder / "hayate/peaks.json").ok());
  const std::string json = folder / "bench.json";
  const Said said = hayate("bench " + sample("mlp_small.onnx") +
                               " --backend native --precision fp32,bf16,int8 --seconds 0.02 --json " + json,
                           "XDG_CACHE_HOME=" + folder.string());
  ASSERT_EQ(said.status, 0) << said.text;
  EXPECT_NE(said.text.find("made-up normal rows"), std::string::npos) << said.text;
  simdjson::dom::parser parser;
  simdjson::dom::element read;
  ASSERT_EQ(parser.load(json).get(read), simdjson::SUCCESS);
  double peak = 1;
  for (const simdjson::dom::element each : simdjson::dom::array(read["results"])) {
    double bound = 0;
    ASSERT_EQ(each["bound_us"].get(bound), simdjson::SUCCESS);
    EXPECT_NEAR(bound, 6.848 / peak + 0.003, 0.001);  // and the softmax's three functions
    peak *= 2;
  }
  EXPECT_EQ(peak, 8);
  fs::remove_all(folder);
}

TEST(Engine, BenchListsTheStepsOfAnAnswer) {
  const std::string stream = " --backend native --stream --window 50 --seconds 0.01 --steps";
  const Said cut = hayate("bench " + sample("gru.onnx") + stream),
             whole = hayate("bench " + sample("transformer.onnx") + stream);
  ASSERT_EQ(cut.status, 0) << cut.text;
  EXPECT_NE(cut.text.find("steps of an answer of"), std::string::npos) << cut.text;
  EXPECT_NE(cut.text.find("RecurrentSteps"), std::string::npos) << cut.text;
  // One that is not cut runs the model's own.
  ASSERT_EQ(whole.status, 0) << whole.text;
  EXPECT_EQ(whole.text.find("steps of an answer of"), std::string::npos) << whole.text;
  EXPECT_NE(whole.text.find("attention"), std::string::npos) << whole.text;
}

TEST(Engine, BenchSaysWhenItsFileCannotBeWritten) {
  const Said said =
      hayate("bench " + sample("logistic.onnx") + " --backend native --seconds 0.01 --json /nowhere/out.json");
  EXPECT_EQ(said.status, 1);
  EXPECT_NE(said.text.find("/nowhere/out.json"), std::string::npos) << said.text;
}

TEST(Engine, DumpShowsTheGraphAfterAPass) {
  const Said before = hayate("dump " + sample("lstm_a.onnx")),
             after = hayate("dump " + sample("lstm_a.onnx") + " --after all"),
             unknown = hayate("dump " + sample("lstm_a.onnx") + " --after nothing");
  EXPECT_NE(before.text.find("Shape("), std::string::npos);
  EXPECT_EQ(after.status, 0);
  EXPECT_EQ(after.text.find("Shape("), std::string::npos) << after.text;
  EXPECT_NE(after.text.find("LSTM("), std::string::npos);
  EXPECT_EQ(unknown.status, 1);
  EXPECT_NE(unknown.text.find("drop_dead"), std::string::npos) << unknown.text;
}

TEST(Engine, WrongShapesAndInstructionSetsAreNamed) {
  for (const auto& [arguments, wanted] : std::initializer_list<std::pair<std::string, std::string>>{
           {"dump " + sample("gru.onnx") + " --shape input", "NAME:D1,D2"},
           {"dump " + sample("gru.onnx") + " --shape inptu:1,50,40",
            "no input 'inptu'; its inputs are: input float32 [batch, 50, 40]"},
           {"dump " + sample("gru.onnx") + " --shape input:1,x,40", "'x' is no extent"},
           {"dump " + sample("gru.onnx") + " --shape input:1,51,40",
            "does not fit input input float32 [batch, 50, 40]"},
           {"bench " + sample("gru.onnx") + " --isa mmx --backend native",
            "isa 'mmx': is not what this processor runs"}}) {
    const Said said = hayate(arguments);
    EXPECT_EQ(said.status, 1) << arguments;
    EXPECT_NE(said.text.find(wanted), std::string::npos) << said.text;
  }
}

TEST(Engine, RunPrintsItsPeakMemory) {
  const std::string inputs = fs::temp_directory_path() / ("hayate-memory-" + std::to_string(getpid()) + ".npy");
  std::FILE* file = std::fopen(inputs.c_str(), "wb");
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 40), }";
  header.resize(117, ' ');
  header += '\n';
  const std::string magic("\x93NUMPY\x01\x00\x76\x00", 10);
  std::fwrite(magic.data(), 1, magic.size(), file);
  std::fwrite(header.data(), 1, header.size(), file);
  const std::array<float, 40> zeros{};
  std::fwrite(zeros.data(), 4, zeros.size(), file);
  std::fclose(file);
  const Said said = hayate("run " + sample("mlp_small.onnx") + " --inputs " + inputs + " --memory");
  EXPECT_EQ(said.status, 0) << said.text;
  const size_t at = said.text.find("peak memory ");
  ASSERT_NE(at, std::string::npos) << said.text;
#ifndef HAYATE_SANITIZED
  EXPECT_LT(std::stod(said.text.substr(at + 12)), 20) << said.text;
#endif
  fs::remove(inputs);
}

}  // namespace
