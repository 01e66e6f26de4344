// Streams against the full window: the samples, and models nobody wrote, of the layers that a stream cuts.
#include <chrono>
#include <cstring>
#include <limits>
#include <thread>

#include "backends/calibration.h"
#include "guard.h"
#include "import/import.h"
#include "streamed.h"

namespace hayate {
namespace {

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
constexpr Sample kSamples[] = {{"lstm_a", 50, true},   {"gru", 50, true},          {"tcn", 64, true},
                               {"tcn_long", 64, true}, {"transformer", 50, false}, {"deeplob", 100, true}};
#endif

TEST(Stream, SamplesEqualTheFullWindow) {
  for (const Sample& each : kSamples) {
    const Result<Model> model = Model::load(sample(each.name));
    ASSERT_TRUE(model.ok());
    const StreamExecutable executable = streamed(model.value(), each.window);
    EXPECT_EQ(executable.gains(), each.gains) << each.name << ": " << executable.why_not();
    expect_equal(model.value(), each.window, each.gains ? kWindows * each.window + 2 : 12, each.name, "fp32", 0);
    for (const char* precision : {"bf16", "int8"})
      if (each.gains) expect_equal(model.value(), each.window, each.window + 5, each.name, precision, 0);
  }
}

TEST(Stream, TheReferenceStreamsToo) {
  for (const auto& [name, window] : {std::pair<const char*, int64_t>{"gru", 50}, {"tcn", 64}}) {
    const Result<Model> model = Model::load(sample(name));
    ASSERT_TRUE(model.ok());
    Plan plan = Plan::defaults(model.value());
    plan.window = window, plan.backend = "reference";
    const Result<StreamExecutable> executable = compile_stream(model.value(), plan);
    ASSERT_TRUE(executable.ok()) << executable.error().text();
    Stream own = streamed(model.value(), window).stream(), stream = executable.value().stream();
    const std::vector<float> x = noise(10 * 40, 5);
    for (int64_t r = 0; r < 10; ++r) {
      ASSERT_TRUE(own.push(x.data() + r * 40).ok() && stream.push(x.data() + r * 40).ok());
      ASSERT_NEAR(*static_cast<const float*>(stream.output(0)), *static_cast<const float*>(own.output(0)), 2e-6)
          << name;
    }
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
    const std::vector<float> window = noise(each.window * executable.row_bytes() / 4, 3);
    const guard::Counts refilled = guard::counted(
        [&] {
          return stream.refill(window.data(), each.window).ok() && stream.push(x.data()).ok() && stream.settle().ok();
        },
        &failed);
    EXPECT_FALSE(failed);
    EXPECT_TRUE(refilled.nothing()) << each.name << ", refilled: " << refilled.text();
  }
}

// The work counted is a child's of this process, where the helper is not: it is what the caller does.
TEST(Stream, APushThatIsSettledElsewhereAllocatesLocksAndCallsNothing) {
  if (!guard::counts()) GTEST_SKIP() << "sanitizers allocate and lock on their own";
  const Result<Model> model = Model::load(sample("gru"));
  ASSERT_TRUE(model.ok());
  const StreamExecutable executable = streamed(model.value(), 50);
  Stream stream = executable.stream();
  stream.settle_elsewhere();
  const std::vector<float> x = noise(executable.row_bytes() / 4, 2);
  for (int r = 0; r < 60; ++r) ASSERT_TRUE(stream.push(x.data()).ok());
  ASSERT_TRUE(stream.settle().ok());
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // the helper has seen that nothing is left
  bool failed = false;
  const guard::Counts counts = guard::counted(
      [&] {
        bool good = true;
        for (int r = 0; r < 60; ++r) good = good && stream.push(x.data()).ok();
        return good;
      },
      &failed);
  EXPECT_FALSE(failed);
  EXPECT_TRUE(counts.nothing()) << counts.text();
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
  EXPECT_NE(refusal([](Plan* plan) { plan->backend = "onnxruntime"; }).find("streams run on native and reference"),
            std::string::npos);
  EXPECT_NE(refusal([](Plan* plan) { plan->window = 49; }).find("no axis has the window's 49 places"),
            std::string::npos);
  EXPECT_NE(refusal([](Plan* plan) { plan->time_axis = "input:2"; }).find("axis 2 has 40 places"), std::string::npos);
  EXPECT_NE(refusal([](Plan* plan) { plan->time_axis = "x:1"; }).find("'x:1' is no NAME:AXIS"), std::string::npos);
}

TEST(Stream, RandomModelsEqualTheFullWindow) {
  int gained = 0;
#ifdef HAYATE_SANITIZED
  constexpr int kModels = 25;
#else
  constexpr int kModels = 120;
#endif
  const std::string path = scratch_file("stream-random");
  for (unsigned seed = 0; seed < kModels; ++seed) {
    const RandomModel random(seed);
    const Model model = loaded(random.graph(), path);
    expect_equal(model, random.window, 3 * random.window, "seed " + std::to_string(seed), "fp32", 0);
    if (HasFatalFailure()) return;
    gained += streamed(model, random.window).gains();
  }
  EXPECT_GT(gained, kModels / 2);
}

// Branches of different reach, averages, recurrences of both directions, z-scores: some are cut, all are right.
TEST(Stream, RandomModelsOfMoreLayersEqualTheFullWindow) {
#ifdef HAYATE_SANITIZED
  constexpr unsigned kModels = 25;
#else
  constexpr unsigned kModels = 200;
#endif
  const std::string path = scratch_file("stream-more");
  unsigned gained = 0;
  for (unsigned seed = 0; seed < kModels; ++seed) {
    const RandomModel random(seed, true);
    const Model model = loaded(random.graph(), path);
    std::mt19937 slices(seed);
    expect_equal(model, random.window, 3 * random.window, "seed " + std::to_string(seed), "fp32", 0,
                 [&](Stream* stream, int64_t) {
                   Status status;
                   for (unsigned i = slices() % 4; i > 0 && stream->settle_slice(&status); --i)
                     ASSERT_TRUE(status.ok());
                 });
    if (HasFatalFailure()) return;
    gained += streamed(model, random.window).gains();
  }
  EXPECT_GT(gained, kModels / 3);
}

// [1, T, F] to its channels first.
struct Written {
  Graph graph;
  std::string name = "x";
  unsigned seed = 1;

  Written(int64_t window, int64_t width) {
    graph.source = "written", graph.opset = 17;
    graph.inputs = {{"x", Type::kFloat32, true, {{1, ""}, {window, ""}, {width, ""}}}};
  }
  std::string constant(const Shape& shape) {
    Tensor made(Type::kFloat32, shape);
    const std::vector<float> values = noise(made.count(), seed++);
    std::copy(values.begin(), values.end(), made.data<float>());
    const std::string key = "c" + std::to_string(seed);
    graph.constants.emplace(key, made);
    return key;
  }
  void add(const std::string& op, std::vector<std::string> inputs, Attributes attributes = {}) {
    name = "v" + std::to_string(graph.nodes.size());
    graph.nodes.push_back({name, "", op, std::move(inputs), {name}, std::move(attributes)});
  }
  std::string integers(const Shape& values) {
    const std::string key = "n" + std::to_string(seed++);
    graph.constants.emplace(key, Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values));
    return key;
  }
  void slice(const std::string& from, int64_t begin, int64_t end, int64_t axis) {
    const std::string first = integers({begin}), last = integers({end}), along = integers({axis});
    add("Slice", {from, first, last, along});
  }
  Model model() {
    graph.outputs = {{name, Type::kFloat32, false, {}}};
    const std::string path = scratch_file("stream-written");
    return loaded(graph, path);
  }
};

TEST(Stream, SaysWhichAxesMayBeTime) {
  Written square(12, 12);
  square.add("MatMul", {"x", square.constant({12, 3})});
  square.add("ReduceMax", {square.name}, {{"axes", Shape{1}}, {"keepdims", int64_t{0}}});
  const Model model = square.model();
  Plan plan = Plan::defaults(model);
  plan.window = 12;
  const Result<StreamExecutable> refused = compile_stream(model, plan);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().text().find("several axes have the window's 12 places: say which with the time axis"),
            std::string::npos)
      << refused.error().text();
  plan.time_axis = "x:1";
  EXPECT_TRUE(compile_stream(model, plan).ok());
}

// What each row is reduced to, or takes of its own places, before a recurrence and behind it.
TEST(Stream, RowsAreReducedAndPicked) {
  for (const char* op : {"ReduceMean", "ReduceSum", "ReduceMax", "ReduceL2"})
    for (const bool keeps : {true, false})
      for (const bool padded : {true, false}) {
        Written written(24, 6);
        if (padded) {
          written.add("Transpose", {"x"}, {{"perm", Shape{0, 2, 1}}});
          written.add("Conv", {written.name, written.constant({6, 6, 3})}, {{"pads", Shape{2, 0}}});
          written.add("Transpose", {written.name}, {{"perm", Shape{0, 2, 1}}});
        }
        const std::string x = written.name, axis = written.integers({2});
        if (std::string(op) == "ReduceSum")
          written.add(op, {x, axis}, {{"keepdims", int64_t{keeps}}});
        else
          written.add(op, {x}, {{"axes", Shape{2}}, {"keepdims", int64_t{keeps}}});
        if (!keeps) written.add("Unsqueeze", {written.name, axis});
        written.add("Sub", {x, written.name});
        const std::string some = written.integers({4, 0, 1, 4});
        written.add("Gather", {written.name, some}, {{"axis", int64_t{-1}}});
        written.add("Transpose", {written.name}, {{"perm", Shape{1, 0, 2}}});
        written.add("GRU", {written.name, written.constant({1, 15, 4}), written.constant({1, 15, 5})},
                    {{"hidden_size", int64_t{5}}, {"linear_before_reset", int64_t{1}}});
        const std::string one = written.integers({1});
        written.add("Squeeze", {written.name, one});
        const std::string y = written.name, last = written.integers({-1}), few = written.integers({3, 1});
        written.add("ReduceMax", {y}, {{"axes", Shape{2}}, {"keepdims", int64_t{1}}});
        written.add("Sub", {y, written.name});
        written.add("Gather", {written.name, few}, {{"axis", int64_t{2}}});
        written.add("Gather", {written.name, last}, {{"axis", int64_t{0}}});
        const Model model = written.model();
        const StreamExecutable executable = streamed(model, 24);
        EXPECT_TRUE(executable.gains()) << executable.explain();
        EXPECT_EQ(executable.explain().find("On all of the window"), std::string::npos) << executable.explain();
        expect_equal(model, 24, 80, std::string(op) + (keeps ? ", kept" : "") + (padded ? ", padded" : ""), "fp32", 0);
      }
  Written channels(24, 6);  // an extreme over what lies before time is exact, a sum is not
  channels.add("Transpose", {"x"}, {{"perm", Shape{0, 2, 1}}});
  channels.add("Conv", {channels.name, channels.constant({6, 6, 3})}, {{"pads", Shape{2, 0}}});
  for (const char* op : {"ReduceMax", "ReduceMean"}) {
    Written own = channels;
    own.add(op, {own.name}, {{"axes", Shape{1}}, {"keepdims", int64_t{0}}});
    own.add("ReduceMax", {own.name}, {{"axes", Shape{1}}, {"keepdims", int64_t{0}}});
    const Model model = own.model();
    const bool kept = streamed(model, 24).explain().find("(ReduceMax) reduces over time") != std::string::npos;
    EXPECT_EQ(kept, std::string(op) == "ReduceMax") << streamed(model, 24).explain();
    expect_equal(model, 24, 80, std::string(op) + " over channels", "fp32", 0);
  }
  // Behind what is added up lies the axis of the windows in flight: several in one part, one in another.
  Written turned(24, 6);
  turned.add("Transpose", {"x"}, {{"perm", Shape{1, 0, 2}}});
  const auto gru = [&](int64_t inputs) {
    turned.add("GRU", {turned.name, turned.constant({1, 15, inputs}), turned.constant({1, 15, 5})},
               {{"hidden_size", int64_t{5}}, {"linear_before_reset", int64_t{1}}});
    const std::string one = turned.integers({1});
    turned.add("Squeeze", {turned.name, one});
  };
  gru(6);
  turned.add("Transpose", {turned.name}, {{"perm", Shape{0, 2, 1}}});
  const std::string y = turned.name;
  turned.add("ReduceMean", {y}, {{"axes", Shape{1}}, {"keepdims", int64_t{1}}});
  turned.add("Sub", {y, turned.name});
  turned.add("Transpose", {turned.name}, {{"perm", Shape{0, 2, 1}}});
  gru(5);
  const std::string last = turned.integers({-1});
  turned.add("Gather", {turned.name, last}, {{"axis", int64_t{0}}});
  expect_equal(turned.model(), 24, 80, "a mean before the windows in flight", "fp32", 0);
}

// QuantizeLinear and DequantizeLinear around its layers: the integers are kept.
Model quantised(const Graph& graph, const std::string& path) {
  const Result<InputTypes> types = declared_types(graph, 1);
  EXPECT_TRUE(types.ok());
  Plan plan;
  plan.precision = "int8";
  const Result<Graph> made = quantised_model(graph, find_batch(graph, types.value()), plan);
  EXPECT_TRUE(made.ok()) << made.error().text();
  return loaded(made.value(), path);
}

TEST(Stream, QuantisedModelsAreCut) {
  const std::string path = scratch_file("stream-quantised");
  for (const Sample& each : kSamples) {
    if (!each.gains) continue;
    const Result<Graph> graph = import_model(sample(each.name));
    ASSERT_TRUE(graph.ok()) << graph.error().text();
    const Model model = quantised(graph.value(), path);
    const StreamExecutable executable = streamed(model, each.window);
    EXPECT_TRUE(executable.gains()) << each.name << ": " << executable.why_not();
    expect_equal(model, each.window, each.window + 20, std::string(each.name) + ", quantised", "fp32", 0);
  }
#ifdef HAYATE_SANITIZED
  constexpr unsigned kModels = 10;
#else
  constexpr unsigned kModels = 80;
#endif
  unsigned gained = 0;
  for (unsigned seed = 3000; seed < 3000 + kModels; ++seed) {
    const RandomModel random(seed, seed % 2 == 0);
    const Model model = quantised(random.graph(), path);
    gained += streamed(model, random.window).gains();
    std::mt19937 slices(seed);
    expect_equal(model, random.window, 3 * random.window, "quantised, seed " + std::to_string(seed), "fp32", 0,
                 [&](Stream* stream, int64_t) {
                   Status status;
                   for (unsigned i = slices() % 4; i > 0 && stream->settle_slice(&status); --i)
                     ASSERT_TRUE(status.ok());
                 });
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(gained, kModels / 3);
}

// Behind strides columns lie several rows apart: every phase of them is kept.
TEST(Stream, StridesKeepEveryPhase) {
  for (const int64_t pad : {0, 1}) {
    Written written(40, 3);
    written.add("Transpose", {"x"}, {{"perm", std::vector<int64_t>{0, 2, 1}}});
    written.add("Conv", {written.name, written.constant({8, 3, 3})},
                {{"strides", std::vector<int64_t>{2}}, {"pads", std::vector<int64_t>{0, pad}}});
    written.add("Relu", {written.name});
    written.add("Conv", {written.name, written.constant({8, 8, 3})}, {{"strides", std::vector<int64_t>{3}}});
    written.add("MaxPool", {written.name}, {{"kernel_shape", std::vector<int64_t>{2}}});
    written.add("ReduceMax", {written.name}, {{"axes", std::vector<int64_t>{2}}, {"keepdims", int64_t{0}}});
    const Model model = written.model();
    const StreamExecutable executable = streamed(model, 40);
    EXPECT_TRUE(executable.gains()) << executable.explain();
    EXPECT_NE(executable.explain().find("6 rows apart"), std::string::npos) << executable.explain();
    expect_equal(model, 40, 130, "strides, " + std::to_string(pad), "fp32", 0);
  }
}

// A full window whose last place alone is asked for reads neighbours, a kept column taps far apart: sums in one order.
TEST(Stream, TapsOfDilatedConvolutionsAreAddedInOneOrder) {
  for (const int64_t channels : {5, 8, 16, 24, 32}) {
    Written written(30, 3);
    written.add("Transpose", {"x"}, {{"perm", Shape{0, 2, 1}}});
    written.add("Conv", {written.name, written.constant({channels, 3, 2})}, {{"pads", Shape{1, 0}}});
    written.add("Conv", {written.name, written.constant({70, channels, 3})},
                {{"pads", Shape{8, 0}}, {"dilations", Shape{4}}});
    written.graph.constants.emplace("last", Tensor::of<int64_t>({}, {-1}));
    written.add("Gather", {written.name, "last"}, {{"axis", int64_t{2}}});
    const Model model = written.model();
    for (const char* precision : {"fp32", "bf16", "int8"})
      expect_equal(model, 30, 80, std::to_string(channels) + " channels, " + precision, precision, 0);
  }
}

// A layer that reads the whole window has one column, which is an output, or what a head reads.
TEST(Stream, AConvolutionOverTheWholeWindowIsATail) {
  for (const bool head : {false, true}) {
    Written written(16, 4);
    written.add("Transpose", {"x"}, {{"perm", Shape{0, 2, 1}}});
    written.add("Conv", {written.name, written.constant({16, 4, 3})}, {{"pads", Shape{2, 0}}});
    written.add("Conv", {written.name, written.constant({5, 16, 16})});
    if (head) written.add("Tanh", {written.name});
    const Model model = written.model();
    EXPECT_TRUE(streamed(model, 16).gains());
    for (const char* precision : {"fp32", "int8"}) expect_equal(model, 16, 60, head ? "head" : "output", precision, 0);
  }
}

// A slice between a convolution and a product with a constant keeps that out of the weights. A stream has no slice, and
// must not put it there either.
TEST(Stream, ConstantsStayWhereTheFullWindowHasThem) {
  for (const int64_t left : {0, 2}) {
    Written written(26, 3);
    written.add("Transpose", {"x"}, {{"perm", Shape{0, 2, 1}}});
    written.add("Conv", {written.name, written.constant({7, 3, 4})}, {{"pads", Shape{6, 0}}, {"dilations", Shape{2}}});
    written.add("Sigmoid", {written.name});
    written.add("Conv", {written.name, written.constant({32, 7, 1}), written.constant({32})});
    written.slice(written.name, left, 26, 2);
    written.add("Mul", {written.name, written.constant({1})});
    expect_equal(written.model(), 26, 90, "from " + std::to_string(left), "fp32", 0);
  }
}

// Behind strides a recurrence has as many sets of windows in flight as there are rows between its steps.
TEST(Stream, RecurrencesBehindStridesAreAdvancedInTheirPhase) {
  for (const int64_t stride : {2, 3}) {
    for (const bool pooled : {false, true}) {
      Written written(48, 6);
      written.add("Transpose", {"x"}, {{"perm", Shape{0, 2, 1}}});
      written.add("Conv", {written.name, written.constant({8, 6, 4})}, {{"strides", Shape{stride}}});
      written.add("Tanh", {written.name});
      if (pooled) written.add("MaxPool", {written.name}, {{"kernel_shape", Shape{2}}, {"strides", Shape{2}}});
      written.add("Transpose", {written.name}, {{"perm", Shape{2, 0, 1}}});
      for (const int64_t from : {8, 5}) {
        const std::string lstm = written.name;
        written.add("LSTM", {lstm, written.constant({1, 20, from}), written.constant({1, 20, 5})},
                    {{"hidden_size", int64_t{5}}});
        written.graph.constants.emplace("one", Tensor::of<int64_t>({1}, {1}));
        written.add("Squeeze", {written.name, "one"});
      }
      written.graph.constants.emplace("last", Tensor::of<int64_t>({}, {-1}));
      written.add("Gather", {written.name, "last"}, {{"axis", int64_t{0}}});
      const Model model = written.model();
      const std::string what = "stride " + std::to_string(stride) + (pooled ? ", pooled" : ""),
                        phases = " of one of " + std::to_string(stride * (pooled ? 2 : 1)) + " phases";
      EXPECT_NE(streamed(model, 48).explain().find(phases), std::string::npos) << streamed(model, 48).explain();
      for (const char* precision : {"fp32", "bf16", "int8"}) expect_equal(model, 48, 150, what, precision, 0);
      expect_equal(model, 48, 200, what + ", never settled", "fp32", 0, [](Stream*, int64_t) {});
      std::mt19937 random(9);
      expect_equal(model, 48, 300, what + ", in slices", "fp32", 0, [&](Stream* stream, int64_t r) {
        Status status;
        for (auto slices = random() % 6; slices > 0 && stream->settle_slice(&status); --slices)
          ASSERT_TRUE(status.ok());
        if (r % 23 == 22) {
          ASSERT_TRUE(stream->restore(stream->snapshot()).ok());
        }
      });
    }
  }
}

// Rows of numbers that are looked up in a table.
TEST(Stream, RowsOfIds) {
  Written written(20, 1);
  written.graph.inputs = {{"x", Type::kInt64, true, {{1, ""}, {20, ""}}}};
  written.add("Gather", {written.constant({9, 6}), "x"});
  written.add("Transpose", {written.name}, {{"perm", Shape{0, 2, 1}}});
  written.add("Conv", {written.name, written.constant({4, 6, 3})}, {{"pads", Shape{2, 0}}});
  written.add("Transpose", {written.name}, {{"perm", Shape{2, 0, 1}}});
  written.add("GRU", {written.name, written.constant({1, 12, 4}), written.constant({1, 12, 4})},
              {{"hidden_size", int64_t{4}}, {"linear_before_reset", int64_t{1}}});
  written.graph.constants.emplace("last", Tensor::of<int64_t>({}, {-1}));
  written.add("Gather", {written.name, "last"}, {{"axis", int64_t{0}}});
  const Model model = written.model();
  const StreamExecutable executable = streamed(model, 20);
  EXPECT_TRUE(executable.gains()) << executable.explain();
  EXPECT_EQ(executable.row_type(), "int64");
  const Result<Executable> compiled = compile(model, Plan::defaults(model));
  ASSERT_TRUE(compiled.ok());
  Session whole = compiled.value().session();
  Stream stream = executable.stream();
  std::vector<int64_t> rows(19, 0);
  std::mt19937 random(3);
  for (int64_t r = 0; r < 80; ++r) {
    rows.push_back(static_cast<int64_t>(random() % 9));
    ASSERT_TRUE(stream.push(&rows.back()).ok());
    std::memcpy(whole.input(0), rows.data() + r, 20 * sizeof(int64_t));
    ASSERT_TRUE(whole.run(1).ok());
    ASSERT_EQ(std::memcmp(stream.output(0), whole.output(0), 4 * sizeof(float)), 0) << "row " << r;
    if (r == 40) {  // a number that the table does not have: the row has not come
      const int64_t none = 9;
      EXPECT_EQ(stream.push(&none).code, Status::kValue);
      EXPECT_EQ(stream.rows(), 41);
    }
    if (r % 3 == 0) {
      ASSERT_TRUE(stream.settle().ok());
    }
  }
}

// An output that holds every place of the window: of columns those that are kept come from their history.
TEST(Stream, SequencesAreAnswersToo) {
  for (const bool padded : {false, true}) {
    Written written(24, 5);
    written.add("Transpose", {"x"}, {{"perm", Shape{0, 2, 1}}});
    written.add("Conv", {written.name, written.constant({8, 5, 3})}, {{"pads", Shape{padded ? 2 : 0, padded ? 1 : 0}}});
    written.add("Tanh", {written.name});
    written.add("Conv", {written.name, written.constant({8, 8, 3})}, {{"pads", Shape{2, 0}}, {"dilations", Shape{1}}});
    const Model model = written.model();
    EXPECT_TRUE(streamed(model, 24).gains()) << streamed(model, 24).explain();
    expect_equal(model, 24, 80, padded ? "a padded sequence" : "a sequence", "fp32", 0);
  }
  Written steps(24, 5);
  steps.add("Transpose", {"x"}, {{"perm", Shape{1, 0, 2}}});
  steps.add("RNN", {steps.name, steps.constant({1, 4, 5}), steps.constant({1, 4, 4})}, {{"hidden_size", int64_t{4}}});
  const Model model = steps.model();
  EXPECT_NE(streamed(model, 24).why_not().find("holds every step of a recurrence, and each window has its own"),
            std::string::npos)
      << streamed(model, 24).why_not();
  expect_equal(model, 24, 80, "all steps", "fp32", 0);
}

// Convolutions and pools that reach over the window's start, or over all of it: residual branches, strides, zeros on
// either side; of what they make the last place, some place, all places at once.
Written deep(unsigned seed, int64_t* window) {
  std::mt19937 random(seed);
  const auto pick = [&](int64_t n) { return static_cast<int64_t>(random() % static_cast<uint64_t>(n)); };
  const int64_t channels = pick(3) == 0 ? 8 : 3 + pick(4);
  *window = 16 + pick(30);
  Written made(*window, channels);
  made.seed = seed * 64 + 1;
  int64_t length = *window;
  made.add("Transpose", {"x"}, {{"perm", Shape{0, 2, 1}}});
  for (int64_t layers = 2 + pick(4), layer = 0; layer < layers; ++layer) {
    const int64_t kernel = 2 + pick(2), dilation = int64_t{1} << pick(std::min<int64_t>(layer + 2, 5)),
                  reach = (kernel - 1) * dilation, kind = pick(6), stride = pick(7) == 0 ? 2 : 1;
    const int64_t before = kind < 4 ? reach : kind == 4 ? reach / 2 : 0, after = kind == 4 ? reach - before : 0;
    if ((length + before + after - reach - 1) / stride < 4) continue;
    const std::string from = made.name;
    made.add("Conv", {from, made.constant({channels, channels, kernel})},
             {{"dilations", Shape{dilation}}, {"pads", Shape{before, after}}, {"strides", Shape{stride}}});
    made.add("Tanh", {made.name});
    length = (length + before + after - reach - 1) / stride + 1;
    if (kind < 5 && stride == 1 && pick(2) == 0) made.add("Add", {made.name, from});
    if (kind < 5 && stride == 1 && pick(6) == 0) made.add("Sub", {from, made.name});
    if (pick(5) == 0 && length > 8) {
      const int64_t zeros = pick(2);
      made.add(pick(2) == 0 ? "MaxPool" : "AveragePool", {made.name},
               {{"kernel_shape", Shape{2}}, {"pads", Shape{zeros, 0}}});
      length += zeros - 1;
    }
    const int64_t part = pick(8), axis = pick(2) == 0 ? 2 : -1;
    const Shape none{0, -length, -length - 3}, all{length, length + 7, INT64_MAX};
    if (part == 0) made.slice(made.name, none[static_cast<size_t>(pick(3))], all[static_cast<size_t>(pick(3))], axis);
    if (part == 1 && length > 6) {  // all but the last of it
      const int64_t cut = 1 + pick(3);
      made.slice(made.name, none[static_cast<size_t>(pick(3))], pick(2) == 0 ? -cut : length - cut, axis);
      length -= cut;
    }
    if (part == 2 && length > 6) {  // what changes from place to place
      const std::string x = made.name;
      made.slice(x, none[static_cast<size_t>(pick(3))], -1, axis);
      const std::string before = made.name;
      made.slice(x, pick(2) == 0 ? 1 : 1 - length, all[static_cast<size_t>(pick(3))], axis);
      made.add("Sub", {made.name, before});
      --length;
    }
  }
  const auto number = [&](Shape value, const Shape& shape) {
    Tensor tensor(Type::kInt64, shape);
    std::copy(value.begin(), value.end(), tensor.data<int64_t>());
    const std::string key = "n" + std::to_string(made.seed++);
    made.graph.constants.emplace(key, tensor);
    return key;
  };
  made.add("Transpose", {made.name}, {{"perm", Shape{0, 2, 1}}});  // [1, T, C]
  if (pick(3) == 0) {
    made.add("MatMul", {made.name, made.constant({channels, channels})});
    made.add("Relu", {made.name});
  }
  const int64_t end = pick(6);
  if (end == 0 && length > 3) {  // all but the first of the last
    const int64_t begin = 1 + pick(length - 2);
    made.add("Slice", {made.name, number({begin}, {1}), number({length}, {1}), number({1}, {1})});
    length -= begin;
  }
  if (end == 1) {
    const std::string x = made.name;
    made.add("Transpose", {x}, {{"perm", Shape{0, 2, 1}}});
    made.add("MatMul", {x, made.name});
    made.add("Softmax", {made.name}, {{"axis", int64_t{-1}}});
    made.add("MatMul", {made.name, x});
  }
  if (end == 2) {
    made.add("Transpose", {made.name}, {{"perm", Shape{1, 0, 2}}});
    made.add("GRU", {made.name, made.constant({1, 12, channels}), made.constant({1, 12, 4})},
             {{"hidden_size", int64_t{4}}, {"linear_before_reset", int64_t{1}}});
    made.add("Gather", {made.name, number({-1}, {})}, {{"axis", int64_t{0}}});
  } else if (end < 2 || pick(3) == 0) {
    made.add(pick(2) == 0 ? "ReduceMean" : "ReduceMax", {made.name}, {{"axes", Shape{1}}, {"keepdims", int64_t{0}}});
  } else {
    made.add("Gather", {made.name, number({pick(2) == 0 ? -1 : pick(length)}, {})}, {{"axis", int64_t{1}}});
  }
  return made;
}

TEST(Stream, ColumnsThatSeeTheWindowsStartAreMadeAgain) {
#ifdef HAYATE_SANITIZED
  constexpr unsigned kModels = 30;
#else
  constexpr unsigned kModels = 400;
#endif
  unsigned edges = 0, gained = 0;
  for (unsigned seed = 0; seed < kModels; ++seed) {
    int64_t window = 0;
    const Model model = deep(seed, &window).model();
    const StreamExecutable executable = streamed(model, window);
    edges += executable.explain().find("that see the window's start are made for every row") != std::string::npos;
    gained += executable.gains();
    std::mt19937 slices(seed);
    expect_equal(model, window, 3 * window, "seed " + std::to_string(seed), "fp32", 0, [&](Stream* stream, int64_t r) {
      Status status;
      for (unsigned i = slices() % 3; i > 0 && stream->settle_slice(&status); --i) ASSERT_TRUE(status.ok());
      if (r % 31 == 30) {  // a stream goes on from its snapshot
        ASSERT_TRUE(stream->restore(stream->snapshot()).ok());
      }
    });
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(edges, kModels / 3) << edges << " of " << gained << " that gain";
}

// Parts of the window that are cut off, however they are spelled, where the start of it is made again.
TEST(Stream, PartsOfColumnsThatSeeTheWindowsStart) {
  constexpr int64_t kWindow = 20;
  const auto answer = [](Written* made) {
    made->add("ReduceMean", {made->name}, {{"axes", Shape{2}}, {"keepdims", int64_t{0}}});
    made->add("MatMul", {made->name, made->constant({4, 2})});
    return made->model();
  };
  const auto expect = [&](Written made, const std::string& what) {
    const Model model = answer(&made);
    const std::string text = streamed(model, kWindow).explain();
    EXPECT_NE(text.find("that see the window's start are made for every row"), std::string::npos) << text;
    expect_equal(model, kWindow, 60, what, "fp32", 0);
  };
  Written padded(kWindow, 3);
  padded.add("Transpose", {"x"}, {{"perm", Shape{0, 2, 1}}});
  padded.add("Conv", {padded.name, padded.constant({4, 3, 3})}, {{"pads", Shape{2, 0}}});
  const std::string y = padded.name;
  for (const int64_t begin : {int64_t{0}, -kWindow, -kWindow - 5, INT64_MIN + 1})
    for (const int64_t end : {int64_t{-1}, kWindow - 1}) {
      Written made = padded;  // y[:, :, 1:] - y[:, :, :-1]
      made.slice(y, begin, end, 2);
      const std::string before = made.name;
      made.slice(y, 1, INT64_MAX, -1);
      made.add("Sub", {made.name, before});
      expect(made, "differences, " + std::to_string(begin) + " to " + std::to_string(end));
    }
  for (const int64_t end : {kWindow, kWindow + 5, int64_t{INT64_MAX}, int64_t{-3}}) {
    Written made = padded;
    made.slice(y, 0, end, 2);
    made.add("Tanh", {made.name});
    expect(made, "to " + std::to_string(end));
  }
  for (const int64_t end : {int64_t{-1}, int64_t{INT64_MAX}}) {  // of channels: no part of the window
    Written made = padded;
    made.add("Conv", {y, made.constant({5, 4, 3})}, {{"pads", Shape{2, 0}}});
    made.slice(made.name, 0, end, 1);
    if (end != -1) made.slice(made.name, 1, end, 1);
    expect(made, "channels to " + std::to_string(end));
  }
}

// Nodes of several outputs, of which columns at the window's start would have to be made again.
TEST(Stream, SeveralOutputsOverTheWindowsStart) {
  for (const bool padded : {true, false})
    for (const bool split : {true, false})
      for (const bool first : {true, false}) {  // whether the first output is read too
        Written made(24, 6);
        made.add("Transpose", {"x"}, {{"perm", Shape{0, 2, 1}}});
        for (const int64_t from : {6, 8})
          made.add("Conv", {made.name, made.constant({8, from, 3})}, {{"pads", Shape{padded ? 2 : 0, 0}}});
        made.add("Transpose", {made.name}, {{"perm", Shape{0, 2, 1}}});
        const std::string x = made.name;
        if (split) {
          const std::string sizes = made.integers({4, 4});
          made.graph.nodes.push_back({"several", "", "Split", {x, sizes}, {"a", "b"}, {{"axis", int64_t{2}}}});
        } else {
          made.graph.nodes.push_back(
              {"several", "", "LayerNormalization", {x, made.constant({8})}, {"a", "b"}, {{"axis", int64_t{-1}}}});
        }
        if (first) {
          made.add("Add", {"a", "b"});
        } else {
          made.add("Tanh", {"b"});
        }
        made.add("ReduceMean", {made.name}, {{"axes", Shape{1}}, {"keepdims", int64_t{0}}});
        const Model model = made.model();
        const std::string what = std::string(padded ? "padded" : "unpadded") + (split ? ", split" : ", normalised") +
                                 (first ? ", both" : ", the second");
        const StreamExecutable executable = streamed(model, 24);
        EXPECT_TRUE(executable.gains()) << what << "\n" << executable.explain();
        if (!split) {
          EXPECT_EQ(executable.explain().find("has several outputs over columns that see the window's start") !=
                        std::string::npos,
                    padded)
              << what << "\n"
              << executable.explain();
        }
        expect_equal(model, 24, 80, what, "fp32", 0);
      }
}

// As deep as no stack would hold a call for each node.
TEST(Stream, LongChainsBehindPaddingAreCut) {
#ifdef HAYATE_SANITIZED
  constexpr int kNodes = 2'000;
#else
  constexpr int kNodes = 20'000;
#endif
  constexpr const char* kOps[] = {"Tanh", "Neg", "Sin", "Abs"};
  Written made(12, 4);
  made.add("Transpose", {"x"}, {{"perm", Shape{0, 2, 1}}});
  made.add("Conv", {made.name, made.constant({4, 4, 3})}, {{"pads", Shape{2, 0}}});
  for (int i = 0; i < kNodes; ++i) made.add(kOps[i % 4], {made.name});
  made.add("ReduceMax", {made.name}, {{"axes", Shape{2}}, {"keepdims", int64_t{0}}});
  const Model model = made.model();
  const StreamExecutable executable = streamed(model, 12);
  EXPECT_TRUE(executable.gains()) << executable.why_not();
  const std::string text = executable.explain();
  EXPECT_NE(text.find("that see the window's start are made for every row"), std::string::npos)
      << text.substr(text.size() - 400);
  const std::vector<float> x = noise(30 * 4, 3);
  Whole whole(model, 12, 4);
  Stream stream = executable.stream();
  for (int64_t r = 0; r < 30; ++r) {
    ASSERT_TRUE(stream.push(x.data() + r * 4).ok());
    ASSERT_EQ(std::memcmp(stream.output(0), whole.at(x, r), 4 * sizeof(float)), 0) << "row " << r;
  }
}

// Found by reading: parts of the right edge alone, a softmax of an old opset, types taken from a value, batches.
TEST(Stream, PartsOfTheRightEdgeAlone) {
  Written written(20, 3);
  written.add("Transpose", {"x"}, {{"perm", std::vector<int64_t>{0, 2, 1}}});
  written.add("Conv", {written.name, written.constant({4, 3, 7})}, {{"pads", std::vector<int64_t>{3, 3}}});
  for (const Shape& perm : {Shape{2, 0, 1}, Shape{1, 0, 2}}) {
    Written own = written;
    own.add("Transpose", {own.name}, {{"perm", perm}});
    const int64_t axis = perm[0] == 2 ? 0 : 2;
    const auto number = [&](int64_t value) {
      const std::string key = "n" + std::to_string(own.seed++);
      own.graph.constants.emplace(key, Tensor::of<int64_t>({1}, {value}));
      return key;
    };
    own.add("Slice", {own.name, number(-2), number(100), number(axis)});
    own.add("ReduceMean", {own.name}, {{"axes", std::vector<int64_t>{axis}}, {"keepdims", int64_t{0}}});
    expect_equal(own.model(), 20, 50, "the right edge along " + std::to_string(axis), "fp32", 0);
  }
}

TEST(Stream, AnOldSoftmaxIsOverAllThatFollows) {
  Written written(12, 4);
  written.graph.opset = 11;
  written.add("Softmax", {"x"});
  const std::string last = "last";
  written.graph.constants.emplace(last, Tensor::of<int64_t>({}, {-1}));
  written.add("Gather", {written.name, last}, {{"axis", int64_t{1}}});
  expect_equal(written.model(), 12, 40, "softmax", "fp32", 0);
}

TEST(Stream, LayersThatMixTheBatchRunWhole) {
  Written written(12, 4);  // the features as rows of a batch
  written.add("Transpose", {"x"}, {{"perm", std::vector<int64_t>{1, 2, 0}}});
  written.add("RNN", {written.name, written.constant({1, 5, 1}), written.constant({1, 5, 5})},
              {{"hidden_size", int64_t{5}}});
  const std::string last = "last";
  written.graph.constants.emplace(last, Tensor::of<int64_t>({}, {-1}));
  written.add("Gather", {written.name, last}, {{"axis", int64_t{0}}});
  const Model model = written.model();
  EXPECT_FALSE(streamed(model, 12).gains());
  expect_equal(model, 12, 40, "a batch of features", "fp32", 0);

  Written norm(12, 4);  // normalised over the axis of the windows in flight
  norm.add("Transpose", {"x"}, {{"perm", std::vector<int64_t>{1, 0, 2}}});
  norm.add("RNN", {norm.name, norm.constant({1, 5, 4}), norm.constant({1, 5, 5})}, {{"hidden_size", int64_t{5}}});
  norm.graph.constants.emplace("one", Tensor::of<int64_t>({1}, {1}));
  norm.add("Squeeze", {norm.name, "one"});
  norm.add("LayerNormalization", {norm.name, norm.constant({1, 5})}, {{"axis", int64_t{1}}});
  norm.add("RNN", {norm.name, norm.constant({1, 5, 5}), norm.constant({1, 5, 5})}, {{"hidden_size", int64_t{5}}});
  norm.graph.constants.emplace(last, Tensor::of<int64_t>({}, {-1}));
  norm.add("Gather", {norm.name, last}, {{"axis", int64_t{0}}});
  const Model mixed = norm.model();
  EXPECT_FALSE(streamed(mixed, 12).gains());
  expect_equal(mixed, 12, 40, "normalised over windows", "fp32", 0);
}

// What attention reads is kept by row; what it makes belongs to the window.
TEST(Stream, AttentionReadsKeptRows) {
  Written written(30, 16);
  for (const int64_t to : {64, 64, 16}) {
    written.add("MatMul", {written.name, written.constant({written.name == "x" ? 16 : 64, to})});
    written.add("Tanh", {written.name});
  }
  const std::string x = written.name;
  written.add("Transpose", {x}, {{"perm", std::vector<int64_t>{0, 2, 1}}});
  written.add("MatMul", {x, written.name});
  written.add("Softmax", {written.name}, {{"axis", int64_t{-1}}});
  written.add("MatMul", {written.name, x});
  written.add("ReduceMean", {written.name}, {{"axes", std::vector<int64_t>{1}}, {"keepdims", int64_t{0}}});
  const Model model = written.model();
  const StreamExecutable executable = streamed(model, 30);
  EXPECT_TRUE(executable.gains()) << executable.explain();
  EXPECT_NE(executable.explain().find("On all of the window, for the answer alone"), std::string::npos);
  expect_equal(model, 30, 100, "attention", "fp32", 0);
}

// Nothing is summed up across rows: the last answers are as the first. Rows go round in a pool that no window divides.
TEST(Stream, NoErrorGrowsOverManyRows) {
#ifdef HAYATE_SANITIZED
  constexpr std::tuple<const char*, int64_t, int64_t> kModels[] = {{"gru", 50, 300}};
#else
  constexpr std::tuple<const char*, int64_t, int64_t> kModels[] = {{"gru", 50, 50'000}, {"tcn", 64, 1'000'000}};
#endif
  for (const auto& [name, window, rows] : kModels) {
    const Result<Model> model = Model::load(sample(name));
    ASSERT_TRUE(model.ok());
    const StreamExecutable executable = streamed(model.value(), window);
    Whole whole(model.value(), window, 40);
    Stream stream = executable.stream();
    constexpr int64_t kPool = 10'007;
    std::vector<float> x = noise(kPool * 40, 33);
    x.insert(x.end(), x.begin(), x.begin() + window * 40);
    for (int64_t r = 0; r < rows; ++r) {
      ASSERT_TRUE(stream.push(x.data() + r % kPool * 40).ok() && stream.settle().ok());
      if (r > window && (r % 101 == 0 || r + 20 > rows)) {
        const int64_t at = r % kPool < window ? r % kPool + kPool : r % kPool;
        ASSERT_EQ(*static_cast<const float*>(stream.output(0)), *whole.at(x, at)) << name << " row " << r;
      }
    }
  }
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
  const std::string path = scratch_file("stream-alone");
  expect_equal(loaded(graph, path), 3, 12, "alone", "fp32", 0);
}

// [1, T, F] -> (a causal convolution) -> GRU -> all its steps as one -> head.
Model reduced(const std::string& op, bool keeps, bool batch_first, bool convolved, bool axes_as_input,
              int64_t window = 14, bool head = true) {
  Written made(window, 4);
  made.graph.opset = axes_as_input ? 18 : 17;
  const auto integers = [&](const std::string& name, const std::vector<int64_t>& values) {
    made.graph.constants.emplace(name, Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values));
    return name;
  };
  const int64_t time = batch_first ? 1 : 0;
  if (convolved) {
    made.add("Transpose", {made.name}, {{"perm", Shape{0, 2, 1}}});
    made.add("Conv", {made.name, made.constant({4, 4, 3})}, {{"pads", Shape{2, 0}}, {"kernel_shape", Shape{3}}});
    made.add("Transpose", {made.name}, {{"perm", Shape{2, 0, 1}}});
  } else {
    made.add("Transpose", {made.name}, {{"perm", Shape{1, 0, 2}}});
  }
  made.add("GRU", {made.name, made.constant({1, 15, 4}), made.constant({1, 15, 5}), made.constant({1, 30})},
           {{"hidden_size", int64_t{5}}, {"linear_before_reset", int64_t{1}}});
  made.add("Squeeze", {made.name, integers("one", {1})});
  if (batch_first) made.add("Transpose", {made.name}, {{"perm", Shape{1, 0, 2}}});
  Attributes attributes{{"keepdims", int64_t{keeps}}};
  std::vector<std::string> inputs{made.name};
  if (axes_as_input || op == "ReduceSum")
    inputs.push_back(integers("axes", {time}));
  else
    attributes.emplace("axes", Shape{time});
  made.add(op, inputs, attributes);
  if (head) made.add("MatMul", {made.name, made.constant({5, 3})});
  return made.model();
}

TEST(Stream, WhatIsReducedOverStepsIsCarriedByEachWindow) {
  for (const char* op : {"ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"})
    for (const unsigned kind : {0u, 1u, 2u, 3u, 4u, 7u, 8u, 12u, 15u}) {
      const bool convolved = (kind & 4) != 0;
      const Model model = reduced(op, (kind & 1) != 0, (kind & 2) != 0, convolved, (kind & 8) != 0);
      const std::string what = std::string(op) + " " + std::to_string(kind);
      const StreamExecutable executable = streamed(model, 14);
      EXPECT_TRUE(executable.gains()) << what << ": " << executable.why_not();
      for (const char* precision : {"fp32", "bf16", "int8"}) {
        std::mt19937 random(2);
        expect_equal(model, 14, 60, what + " " + precision, precision, 0, [&](Stream* stream, int64_t) {
          Status status;
          for (auto i = random() % 4; i > 0 && stream->settle_slice(&status); --i) ASSERT_TRUE(status.ok());
        });
      }
      Result<StreamGroup> group = executable.group(4);
      ASSERT_TRUE(group.ok());
      // With its one place kept in front of the batch, the output is no batch of rows.
      EXPECT_EQ(group.value().rows_at_once(), convolved || kind == 1 ? 1 : 4) << what;
      if (HasFatalFailure()) return;
    }
}

// Full windows add up blocks of many steps: what a stream adds one after another agrees to rounding. After a refill the
// answers are the stream's own, however little has settled.
TEST(Stream, LongSumsAgreeToRounding) {
#ifdef HAYATE_SANITIZED
  constexpr const char* kPrecisions[] = {"fp32"};
#else
  constexpr const char* kPrecisions[] = {"fp32", "bf16", "int8"};
#endif
  for (const char* op : {"ReduceMean", "ReduceSum"})
    for (const char* precision : kPrecisions) {
      const Model model = reduced(op, false, false, true, false, 200, false);
      expect_equal(model, 200, 260, std::string(op) + " " + precision, precision,
                   std::string(op) == "ReduceMean" ? 2e-6 : 200 * 2e-6);
      const StreamExecutable executable = streamed(model, 200, precision);
      EXPECT_NE(executable.explain().find("not by the full window's program: it would add up steps in another order"),
                std::string::npos)
          << executable.explain();
      Stream one = executable.stream(), other = executable.stream();
      const std::vector<float> x = noise(300 * 4, 6);
      for (int64_t r = 0; r < 300; ++r) {
        ASSERT_TRUE(one.push(x.data() + r * 4).ok());
        if (r == 240) {
          ASSERT_TRUE(other.refill(x.data() + 41 * 4, 200).ok());
        }
        if (r > 240) {
          ASSERT_TRUE(other.push(x.data() + r * 4).ok());
        }
        if (r >= 240) {
          ASSERT_EQ(std::memcmp(one.output(0), other.output(0), 20), 0) << op << " " << precision << " row " << r;
        }
      }
    }
}

}  // namespace
}  // namespace hayate
