// Streams against the full window: the samples, and models nobody wrote, of the layers that a stream cuts.
#include "hayate/stream.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>

#include "guard.h"
#include "import/onnx/onnx_writer.h"
#include "tensor/tensor.h"

namespace hayate {
namespace {

std::string sample(const std::string& name) { return std::string(HAYATE_SOURCE_DIR) + "/models/" + name + ".onnx"; }

std::vector<float> noise(int64_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> made(static_cast<size_t>(n));
  for (float& value : made) value = normal(random);
  return made;
}

StreamExecutable streamed(const Model& model, int64_t window, const std::string& precision = "fp32") {
  Plan plan = Plan::defaults(model);
  plan.window = window, plan.precision = precision;
  const Result<StreamExecutable> made = compile_stream(model, plan);
  EXPECT_TRUE(made.ok()) << made.error().text();
  return made.value();
}

// The full window's answers, time behind the batch; rows before the first are zeros.
class Whole {
 public:
  Whole(const Model& model, int64_t window, int64_t width, const std::string& precision = "fp32")
      : window_(window), width_(width), session_(made(model, precision).session()) {}

  const float* at(const std::vector<float>& rows, int64_t r) {
    auto* x = static_cast<float*>(session_.input(0));
    for (int64_t t = 0; t < window_; ++t)
      for (int64_t f = 0; f < width_; ++f)
        x[t * width_ + f] = r - window_ + 1 + t < 0 ? 0 : rows[static_cast<size_t>((r - window_ + 1 + t) * width_ + f)];
    EXPECT_TRUE(session_.run(1).ok());
    return static_cast<const float*>(session_.output(0));
  }

 private:
  static Executable made(const Model& model, const std::string& precision) {
    Plan plan = Plan::defaults(model);
    plan.precision = precision;
    const Result<Executable> executable = compile(model, plan);
    EXPECT_TRUE(executable.ok()) << executable.error().text();
    return executable.value();
  }
  int64_t window_, width_;
  Session session_;
};

void expect_equal(const Model& model, int64_t window, int64_t rows, const std::string& what,
                  const std::string& precision = "fp32", double tolerance = 1e-6) {
  const StreamExecutable executable = streamed(model, window, precision);
  const int64_t width = executable.row_bytes() / 4, answers = executable.outputs()[0].row_bytes / 4;
  Whole whole(model, window, width, precision);
  Stream stream = executable.stream();
  const std::vector<float> x = noise(rows * width, 21);
  for (int64_t r = 0; r < rows; ++r) {
    EXPECT_EQ(stream.ready(), r >= window);
    ASSERT_TRUE(stream.push(x.data() + r * width).ok());
    const float *wanted = whole.at(x, r), *got = static_cast<const float*>(stream.output(0));
    for (int64_t i = 0; i < answers; ++i)
      ASSERT_LE(std::fabs(got[i] - wanted[i]), tolerance + 1e-5 * std::fabs(wanted[i]))
          << what << " row " << r << " output " << i << "\n" << executable.explain();
    if (r % 3 == 0) {
      ASSERT_TRUE(stream.settle().ok());
    }
  }
}

struct Sample {
  const char* name;
  int64_t window;
  bool gains;
};
#ifdef HAYATE_SANITIZED  // kernels that are not optimised take minutes for the others
constexpr Sample kSamples[] = {{"gru", 50, true}, {"tcn", 64, true}};
constexpr int64_t kWindows = 1;  // that are replayed
#else
constexpr int64_t kWindows = 3;
constexpr Sample kSamples[] = {{"lstm_a", 50, true},       {"gru", 50, true},          {"tcn", 64, true},
                               {"tcn_long", 64, false},    {"transformer", 50, false}, {"deeplob", 100, true}};
#endif

TEST(Stream, SamplesEqualTheFullWindow) {
  for (const Sample& each : kSamples) {
    const Result<Model> model = Model::load(sample(each.name));
    ASSERT_TRUE(model.ok());
    const StreamExecutable executable = streamed(model.value(), each.window);
    EXPECT_EQ(executable.gains(), each.gains) << each.name << ": " << executable.why_not();
    expect_equal(model.value(), each.window, each.gains ? kWindows * each.window + 2 : 12, each.name);
    if (each.gains) expect_equal(model.value(), each.window, each.window + 5, each.name, "bf16", 0.02);
  }
}

TEST(Stream, ARowOfNaNIsForgottenWithItsWindow) {
#ifdef HAYATE_SANITIZED
  constexpr const char* kModels[] = {"gru"};
#else
  constexpr const char* kModels[] = {"lstm_a", "gru", "tcn"};
#endif
  for (const char* name : kModels) {
    const Result<Model> model = Model::load(sample(name));
    ASSERT_TRUE(model.ok());
    const int64_t window = std::string(name) == "tcn" ? 64 : 50;
    const StreamExecutable executable = streamed(model.value(), window);
    const int64_t width = executable.row_bytes() / 4, rows = 3 * window;
    std::vector<float> x = noise(rows * width, 4);
    x[static_cast<size_t>((window + 3) * width)] = std::numeric_limits<float>::quiet_NaN();
    Whole whole(model.value(), window, width);
    Stream stream = executable.stream();
    int64_t spoilt = 0;
    for (int64_t r = 0; r < rows; ++r) {
      ASSERT_TRUE(stream.push(x.data() + r * width).ok());
      const float got = *static_cast<const float*>(stream.output(0)), wanted = *whole.at(x, r);
      ASSERT_EQ(std::isnan(got), std::isnan(wanted)) << name << " row " << r;
      if (!std::isnan(got)) {
        ASSERT_NEAR(got, wanted, 2e-6) << name << " row " << r;
      }
      spoilt += std::isnan(got);
    }
    EXPECT_GT(spoilt, 40) << name;
    EXPECT_LE(spoilt, window) << name;
  }
}

TEST(Stream, ResetForgetsAllRows) {
  const Result<Model> model = Model::load(sample("gru"));
  ASSERT_TRUE(model.ok());
  const StreamExecutable executable = streamed(model.value(), 50);
  const int64_t width = executable.row_bytes() / 4;
  const std::vector<float> x = noise(60 * width, 9);
  Stream stream = executable.stream();
  std::vector<float> first;
  for (int turn = 0; turn < 2; ++turn) {
    for (int64_t r = 0; r < 60; ++r) {
      ASSERT_TRUE(stream.push(x.data() + r * width).ok());
      const float got = *static_cast<const float*>(stream.output(0));
      if (turn == 0) first.push_back(got);
      ASSERT_EQ(got, first[static_cast<size_t>(r)]) << "row " << r << " of turn " << turn;
    }
    stream.reset();
    EXPECT_FALSE(stream.ready());
  }
}

TEST(Stream, AWarmPushAllocatesLocksAndCallsNothing) {
  if (!guard::counts()) GTEST_SKIP() << "sanitizers allocate and lock on their own";
  for (const Sample& each : kSamples) {
    const Result<Model> model = Model::load(sample(each.name));
    ASSERT_TRUE(model.ok());
    const StreamExecutable executable = streamed(model.value(), each.window);
    Stream stream = executable.stream();
    const std::vector<float> x = noise(executable.row_bytes() / 4, 2);
    bool failed = false;
    const guard::Counts counts =
        guard::counted([&] { return stream.push(x.data()).ok() && stream.settle().ok(); }, &failed);
    EXPECT_FALSE(failed);
    EXPECT_TRUE(counts.nothing()) << each.name << ": " << counts.text();
  }
}

TEST(Stream, SaysWhatItCannotDo) {
  const Result<Model> model = Model::load(sample("gru"));
  ASSERT_TRUE(model.ok());
  const auto refusal = [&](auto change) {
    Plan plan = Plan::defaults(model.value());
    plan.window = 50;
    change(&plan);
    const Result<StreamExecutable> made = compile_stream(model.value(), plan);
    return made.ok() ? std::string("was taken") : made.error().text();
  };
  EXPECT_NE(refusal([](Plan* plan) { plan->window = 0; }).find("window is 0"), std::string::npos);
  EXPECT_NE(refusal([](Plan* plan) { plan->window = 49; }).find("no axis has the window's 49 places"), std::string::npos);
  EXPECT_NE(refusal([](Plan* plan) { plan->time_axis = "input:2"; }).find("axis 2 has 40 places"), std::string::npos);
  EXPECT_NE(refusal([](Plan* plan) { plan->time_axis = "x:1"; }).find("'x:1' is no NAME:AXIS"), std::string::npos);
  EXPECT_NE(refusal([](Plan* plan) { plan->precision = "int8"; }).find("not streamed yet"), std::string::npos);
}

// Models of the layers that a stream cuts, put together at random: [1, T, F] to the last place's few numbers.
class RandomModel {
 public:
  explicit RandomModel(unsigned seed) : random_(seed) {
    window = 12 + pick(20), width_ = 3 + pick(5);
    graph_.source = "random", graph_.opset = 17;
    graph_.inputs = {{"x", Type::kFloat32, true, {{1, ""}, {window, ""}, {width_, ""}}}};
    name_ = add("Transpose", {"x"}, {{"perm", std::vector<int64_t>{0, 2, 1}}});  // [1, C, T]
    length_ = window;
    for (int64_t layers = pick(4); layers > 0; --layers) convolution();
    if (pick(2) == 0) {
      name_ = add("Transpose", {name_}, {{"perm", std::vector<int64_t>{2, 0, 1}}});  // [T, 1, C]
      if (pick(3) == 0) row_layers();
      for (int64_t layers = 1 + pick(2); layers > 0; --layers) recurrence();
      take_last(0);
    } else {
      name_ = add("Transpose", {name_}, {{"perm", std::vector<int64_t>{0, 2, 1}}});  // [1, T, C]
      if (pick(2) == 0) row_layers();
      take_last(1);
    }
    const std::string w = constant({width_, 3});
    graph_.outputs = {{add("MatMul", {name_, w}), Type::kFloat32, false, {}}};
  }

  const Graph& graph() const { return graph_; }
  int64_t window = 0;

 private:
  int64_t pick(int64_t n) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(n)); }
  std::string constant(const Shape& shape) {
    Tensor made(Type::kFloat32, shape);
    std::normal_distribution<float> normal(0, 0.4f);
    for (int64_t i = 0; i < made.count(); ++i) made.data<float>()[i] = normal(random_);
    const std::string name = "c" + std::to_string(count_++);
    graph_.constants.emplace(name, made);
    return name;
  }
  std::string add(const std::string& op, std::vector<std::string> inputs, Attributes attributes = {}) {
    const std::string name = "v" + std::to_string(count_++);
    graph_.nodes.push_back({name, "", op, std::move(inputs), {name}, std::move(attributes)});
    return name;
  }
  void convolution() {
    const int64_t kernel = 1 + pick(3), dilation = 1 + pick(2), reach = (kernel - 1) * dilation;
    // Causal, none, or zeros on both sides (then nothing recurrent may follow that would start on them).
    const int64_t kind = pick(3), before = kind == 0 ? reach : 0, after = kind == 2 ? reach : 0;
    if (length_ + before + after - reach < 6) return;
    const std::string from = name_;
    const int64_t to = 4;
    name_ = add("Conv", {name_, constant({to, width_, kernel}), constant({to})},
                {{"dilations", std::vector<int64_t>{dilation}}, {"pads", std::vector<int64_t>{before, after}},
                 {"kernel_shape", std::vector<int64_t>{kernel}}, {"strides", std::vector<int64_t>{1}}});
    name_ = add(pick(2) == 0 ? "Relu" : "Tanh", {name_});
    if (before + after == reach && width_ == to && pick(2) == 0) name_ = add("Add", {name_, from});  // a residual branch
    length_ += before + after - reach;
    width_ = to;
    if (pick(4) == 0 && length_ > 8) {
      name_ = add("MaxPool", {name_}, {{"kernel_shape", std::vector<int64_t>{2}}, {"strides", std::vector<int64_t>{1}}});
      --length_;
    }
  }
  void row_layers() {
    const int64_t to = 3 + pick(4);
    name_ = add("MatMul", {name_, constant({width_, to})});
    name_ = add("Add", {name_, constant({to})});
    width_ = to;
    if (pick(2) == 0) name_ = add("LayerNormalization", {name_, constant({to}), constant({to})}, {{"axis", int64_t{-1}}});
    name_ = add("Sigmoid", {name_});
  }
  void recurrence() {
    const char* op = pick(3) == 0 ? "RNN" : pick(2) == 0 ? "GRU" : "LSTM";
    const int64_t gates = op[0] == 'L' ? 4 : op[0] == 'G' ? 3 : 1, hidden = 3 + pick(6);
    std::vector<std::string> inputs{name_, constant({1, gates * hidden, width_}), constant({1, gates * hidden, hidden}),
                                    constant({1, 2 * gates * hidden})};
    if (pick(2) == 0) inputs.insert(inputs.end(), {"", constant({1, 1, hidden})});
    Attributes attributes{{"hidden_size", hidden}};
    if (gates == 3) attributes["linear_before_reset"] = pick(2);
    const std::string y = add(op, inputs, attributes);
    Tensor axes(Type::kInt64, {1});
    *axes.data<int64_t>() = 1;
    const std::string name = "c" + std::to_string(count_++);
    graph_.constants.emplace(name, axes);
    name_ = add("Squeeze", {y, name});
    width_ = hidden;
    if (pick(3) == 0) name_ = add("Tanh", {name_});
  }
  void take_last(int64_t axis) {
    Tensor index(Type::kInt64, {});
    *index.data<int64_t>() = pick(2) == 0 ? -1 : length_ - 1;
    const std::string name = "c" + std::to_string(count_++);
    graph_.constants.emplace(name, index);
    name_ = add("Gather", {name_, name}, {{"axis", axis}});
  }

  std::mt19937 random_;
  Graph graph_;
  std::string name_;
  int64_t width_ = 0, length_ = 0;
  int count_ = 0;
};

TEST(Stream, RandomModelsEqualTheFullWindow) {
  int gained = 0;
#ifdef HAYATE_SANITIZED
  constexpr int kModels = 25;
#else
  constexpr int kModels = 120;
#endif
  const std::string path = testing::TempDir() + "/hayate-stream-random.onnx";
  for (unsigned seed = 0; seed < kModels; ++seed) {
    const RandomModel random(seed);
    const Result<bool> written = export_onnx(random.graph(), path);
    ASSERT_TRUE(written.ok()) << written.error().text();
    const Result<Model> model = Model::load(path);
    ASSERT_TRUE(model.ok()) << model.error().text() << "\n" << random.graph().text();
    expect_equal(model.value(), random.window, 3 * random.window, "seed " + std::to_string(seed), "fp32", 2e-6);
    if (HasFatalFailure()) return;
    gained += streamed(model.value(), random.window).gains();
  }
  EXPECT_GT(gained, kModels / 2);
}

// One column of the window is kept, behind two that see its zeros: no other window is in flight whose start could run.
TEST(Stream, AWindowAloneInFlightEqualsTheFullOne) {
  Graph graph;
  graph.source = "alone", graph.opset = 17;
  graph.inputs = {{"x", Type::kFloat32, true, {{1, ""}, {3, ""}, {2, ""}}}};
  unsigned seed = 1;
  const auto constant = [&](const std::string& name, const Shape& shape) {
    Tensor made(Type::kFloat32, shape);
    const std::vector<float> values = noise(made.count(), seed++);
    std::copy(values.begin(), values.end(), made.data<float>());
    graph.constants.emplace(name, made);
  };
  constant("k", {2, 2, 3}), constant("w", {1, 4, 2}), constant("r", {1, 4, 4});
  graph.nodes = {{"a", "", "Transpose", {"x"}, {"a"}, {{"perm", std::vector<int64_t>{0, 2, 1}}}},
                 {"b", "", "Conv", {"a", "k"}, {"b"}, {{"pads", std::vector<int64_t>{2, 0}}}},
                 {"c", "", "Transpose", {"b"}, {"c"}, {{"perm", std::vector<int64_t>{2, 0, 1}}}},
                 {"d", "", "RNN", {"c", "w", "r"}, {"", "d"}, {{"hidden_size", int64_t{4}}}}};
  graph.outputs = {{"d", Type::kFloat32, false, {}}};
  const std::string path = testing::TempDir() + "/hayate-stream-alone.onnx";
  ASSERT_TRUE(export_onnx(graph, path).ok());
  const Result<Model> model = Model::load(path);
  ASSERT_TRUE(model.ok()) << model.error().text();
  EXPECT_FALSE(streamed(model.value(), 3).gains());
  expect_equal(model.value(), 3, 12, "alone");
}

}  // namespace
}  // namespace hayate
