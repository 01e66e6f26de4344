// What a stream keeps between rows: windows that lag behind bursts, snapshots, states that the model carries itself.
#include <algorithm>
#include <cstring>
#include <optional>

#include "import/onnx/onnx_writer.h"
#include "streamed.h"

namespace hayate {
namespace {

#ifdef HAYATE_SANITIZED  // kernels that are not optimised take minutes for the others
constexpr std::pair<const char*, int64_t> kRecurrent[] = {{"gru", 50}};
constexpr const char* kPrecisions[] = {"fp32"};
#else
constexpr const char* kPrecisions[] = {"fp32", "bf16", "int8"};
constexpr std::pair<const char*, int64_t> kRecurrent[] = {{"gru", 50}, {"lstm_a", 50}, {"deeplob", 100}};
#endif

// Rows that come before anything has settled, and in between slices of it: windows lag, some take their steps alone,
// some are about to be too late.
TEST(StreamState, BurstsEqualTheFullWindow) {
  for (const auto& [name, window] : kRecurrent) {
    const Model model = loaded(sample(name));
    expect_equal(model, window, window + 80, std::string(name) + " never settled", "fp32", 0, [](Stream*, int64_t) {});
    std::mt19937 random(5);
    expect_equal(
        model, window, 3 * window, std::string(name) + " in slices", "fp32", 0, [&](Stream* stream, int64_t r) {
          const int64_t slices = r % 40 < 25 ? static_cast<int64_t>(random() % 2) : static_cast<int64_t>(random() % 12);
          Status status;
          for (int64_t i = 0; i < slices && stream->settle_slice(&status); ++i) ASSERT_TRUE(status.ok());
        });
  }
}

TEST(StreamState, SlicesEnd) {
  Stream stream = streamed(loaded(sample("gru")), 50).stream();
  const std::vector<float> row = noise(40, 1);
  Status status;
  ASSERT_TRUE(stream.push(row.data()).ok());
  int slices = 0;
  while (stream.settle_slice(&status)) ASSERT_LT(++slices, 100);
  EXPECT_TRUE(status.ok());
  EXPECT_GT(slices, 3);  // several blocks, the next answer's window, the caches
  EXPECT_FALSE(stream.settle_slice(&status));
}

TEST(StreamState, RandomModelsInBurstsEqualTheFullWindow) {
  const std::string path = scratch_file("stream-bursts");
#ifdef HAYATE_SANITIZED
  constexpr unsigned kModels = 10;
#else
  constexpr unsigned kModels = 60;
#endif
  for (unsigned seed = 500; seed < 500 + kModels; ++seed) {
    const RandomModel random(seed);
    std::mt19937 slices(seed);
    expect_equal(loaded(random.graph(), path), random.window, 3 * random.window, "seed " + std::to_string(seed), "fp32",
                 0, [&](Stream* stream, int64_t) {
                   Status status;
                   for (unsigned i = slices() % 4; i > 0 && stream->settle_slice(&status); --i)
                     ASSERT_TRUE(status.ok());
                 });
    if (HasFatalFailure()) return;
  }
}

TEST(StreamState, ASnapshotGoesOnElsewhere) {
  for (const auto& [name, window] : {std::pair<const char*, int64_t>{"gru", 50}, {"tcn", 64}, {"tcn_long", 64}}) {
    const StreamExecutable executable = streamed(loaded(sample(name)), window);
    Stream one = executable.stream(), other = executable.stream();
    const int64_t width = executable.row_bytes() / 4;
    const std::vector<float> x = noise(100 * width, 8);
    std::string taken;
    for (int64_t r = 0; r < 100; ++r) {
      if (r == 70) {
        taken = one.snapshot();
        ASSERT_TRUE(other.restore(taken).ok());
        EXPECT_EQ(other.rows(), 70);
        EXPECT_EQ(std::memcmp(one.output(0), other.output(0), static_cast<size_t>(executable.outputs()[0].row_bytes)),
                  0);
      }
      ASSERT_TRUE(one.push(x.data() + r * width).ok());
      if (r % 2 == 0) {  // so that windows lag when the snapshot is taken
        ASSERT_TRUE(one.settle().ok());
      }
      if (r < 70) continue;
      ASSERT_TRUE(other.push(x.data() + r * width).ok());
      ASSERT_EQ(std::memcmp(one.output(0), other.output(0), static_cast<size_t>(executable.outputs()[0].row_bytes)), 0)
          << name << " row " << r;
    }
    // Back to where it was taken, by the same stream.
    ASSERT_TRUE(one.restore(taken).ok());
    ASSERT_TRUE(one.push(x.data() + 70 * width).ok());
    Stream third = executable.stream();
    ASSERT_TRUE(third.restore(taken).ok());
    ASSERT_TRUE(third.push(x.data() + 70 * width).ok());
    EXPECT_EQ(std::memcmp(one.output(0), third.output(0), static_cast<size_t>(executable.outputs()[0].row_bytes)), 0);
  }
}

// After a gap: the last rows at once, and from there on as if none had been missed.
TEST(StreamState, ARefilledStreamAnswersForItsRows) {
  std::vector<std::pair<const char*, int64_t>> models(std::begin(kRecurrent), std::end(kRecurrent));
  models.insert(models.end(), {{"tcn", 64}, {"transformer", 50}});
  for (const auto& [name, window] : models) {
    const StreamExecutable executable = streamed(loaded(sample(name)), window);
    const int64_t width = executable.row_bytes() / 4, rows = 3 * window;
    const auto bytes = static_cast<size_t>(executable.outputs()[0].row_bytes);
    const std::vector<float> x = noise(rows * width, 17);
    Stream whole = executable.stream(), gapped = executable.stream();
    int64_t gapped_at = 0;
    for (int64_t r = 0; r < rows; ++r) {
      ASSERT_TRUE(whole.push(x.data() + r * width).ok());
      if (r == 60) {  // more than the window: the last of them count
        ASSERT_TRUE(gapped.refill(x.data(), r + 1).ok());
      } else if (r == 100) {
        ASSERT_TRUE(gapped.refill(x.data() + (r + 1 - window) * width, window).ok());
      } else if (r < 20 || (r > 60 && r < 90) || r > 100) {
        ASSERT_TRUE(gapped.push(x.data() + r * width).ok());
      } else {
        continue;  // a gap
      }
      ASSERT_EQ(std::memcmp(gapped.output(0), whole.output(0), bytes), 0) << name << " row " << r;
      if (r % 3 == 0) {
        ASSERT_TRUE(gapped.settle().ok());
      }
      ++gapped_at;
    }
    ASSERT_GT(gapped_at, 50);
    EXPECT_EQ(gapped.rows(), window + rows - 101);
    // Fewer than the window: those before them are zeros.
    Stream fresh = executable.stream();
    for (int64_t r = 0; r < 7; ++r) ASSERT_TRUE(fresh.push(x.data() + r * width).ok());
    ASSERT_TRUE(gapped.refill(x.data(), 7).ok());
    EXPECT_EQ(gapped.rows(), 7);
    EXPECT_FALSE(gapped.ready());
    EXPECT_EQ(std::memcmp(gapped.output(0), fresh.output(0), bytes), 0) << name;
    EXPECT_EQ(gapped.refill(x.data(), -1).code, Status::kBatch);
    EXPECT_EQ(gapped.rows(), 7);
  }
}

TEST(StreamState, RandomModelsAreRefilledToTheBitsOfRowsThatCame) {
  const std::string path = scratch_file("stream-refilled");
#ifdef HAYATE_SANITIZED
  constexpr unsigned kModels = 20;
#else
  constexpr unsigned kModels = 120;
#endif
  for (unsigned seed = 1300; seed < 1300 + kModels; ++seed) {
    const RandomModel random(seed);
    const StreamExecutable executable = streamed(loaded(random.graph(), path), random.window);
    const int64_t width = executable.row_bytes() / 4, rows = 3 * random.window;
    const std::vector<float> x = noise(rows * width, seed);
    Stream whole = executable.stream(), gapped = executable.stream();
    std::mt19937 gaps(seed);
    for (int64_t r = 0; r < rows; ++r) {
      ASSERT_TRUE(whole.push(x.data() + r * width).ok());
      if (gaps() % 5 == 0) {
        const int64_t count = std::min<int64_t>(r + 1, random.window + static_cast<int64_t>(gaps() % 4));
        ASSERT_TRUE(gapped.refill(x.data() + (r + 1 - count) * width, count).ok());
      } else {
        ASSERT_TRUE(gapped.push(x.data() + r * width).ok());
      }
      ASSERT_EQ(std::memcmp(gapped.output(0), whole.output(0), 12), 0) << "seed " << seed << " row " << r;
      Status status;
      for (auto slices = gaps() % 4; slices > 0 && gapped.settle_slice(&status); --slices) ASSERT_TRUE(status.ok());
    }
  }
}

// Whatever comes behind a refill, and however little of it has settled, has the full window's answers: single rows and
// bursts, further refills, snapshots taken while rows are behind.
void expect_refilled(const Model& model, int64_t window, const std::string& what, const std::string& precision,
                     double tolerance, unsigned seed) {
  const StreamExecutable executable = streamed(model, window, precision);
  const int64_t width = executable.row_bytes() / 4, answers = executable.outputs()[0].row_bytes / 4, rows = 6 * window;
  Whole whole(model, window, width, precision);
  Stream stream = executable.stream(), other = executable.stream();
  const std::vector<float> x = noise(rows * width, seed);
  std::vector<float> seen(x.size(), 0.0f);  // rows that a refill has made forget are zeros
  std::mt19937 random(seed);
  const auto pick = [&](int64_t n) { return static_cast<int64_t>(random() % static_cast<uint64_t>(n)); };
  int64_t burst = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const bool refills = r == 0 || pick(40) == 0;
    if (refills) {
      const int64_t count =
          pick(3) == 0 ? 1 + pick(std::min<int64_t>(r + 1, window)) : std::min(r + 1, window + pick(3));
      std::fill(seen.begin(), seen.begin() + (r + 1 - count) * width, 0.0f);
      std::copy_n(x.data() + (r + 1 - count) * width, count * width, seen.data() + (r + 1 - count) * width);
      ASSERT_TRUE(stream.refill(x.data() + (r + 1 - count) * width, count).ok());
      EXPECT_EQ(stream.rows(), count);
      burst = pick(3) == 0 ? 0 : pick(window);
    } else {
      std::copy_n(x.data() + r * width, width, seen.data() + r * width);
      ASSERT_TRUE(stream.push(x.data() + r * width).ok());
    }
    const float *wanted = whole.at(seen, r), *got = static_cast<const float*>(stream.output(0));
    for (int64_t i = 0; i < answers; ++i)
      ASSERT_LE(std::fabs(got[i] - wanted[i]), tolerance == 0 ? 0 : tolerance + 1e-5 * std::fabs(wanted[i]))
          << what << " row " << r << (refills ? " refilled" : "") << " output " << i;
    if (burst-- > 0) continue;
    Status status;
    for (int64_t slices = pick(4); slices > 0 && stream.settle_slice(&status); --slices) ASSERT_TRUE(status.ok());
    if (pick(30) == 0) {
      ASSERT_TRUE(stream.settle().ok());
    }
    if (pick(15) == 0) {
      ASSERT_TRUE(other.restore(stream.snapshot()).ok());
      std::swap(stream, other);
    }
  }
}

TEST(StreamState, RowsBehindARefillHaveTheFullWindowsBits) {
  std::vector<std::pair<const char*, int64_t>> models(std::begin(kRecurrent), std::end(kRecurrent));
  models.emplace_back("tcn", 64);
  unsigned seed = 40;
  for (const auto& [name, window] : models)
    for (const char* precision : kPrecisions)
      expect_refilled(loaded(sample(name)), window, std::string(name) + " " + precision, precision, 0, seed++);
}

TEST(StreamState, RowsBehindARefillOfRandomModelsHaveTheFullWindowsAnswers) {
  const std::string path = scratch_file("stream-behind");
#ifdef HAYATE_SANITIZED
  constexpr unsigned kModels = 15;
#else
  constexpr unsigned kModels = 150;
#endif
  for (unsigned seed = 2100; seed < 2100 + kModels; ++seed) {
    const RandomModel random(seed);
    expect_refilled(loaded(random.graph(), path), random.window, "seed " + std::to_string(seed), "fp32", 0, seed);
    if (HasFatalFailure()) return;
  }
}

// Rows before the window is full are taken, and not answered.
TEST(StreamState, AStreamMayWaitForItsWindow) {
  for (const auto& [name, window] : {std::pair<const char*, int64_t>{"gru", 50}, {"transformer", 50}}) {
    const Model model = loaded(sample(name));
    Plan plan = Plan::defaults(model);
    plan.window = window, plan.warm_up = "wait";
    const Result<Plan> read = Plan::from_json(plan.to_json());
    ASSERT_TRUE(read.ok());
    EXPECT_EQ(read.value(), plan);
    const Result<StreamExecutable> waiting = compile_stream(model, plan);
    ASSERT_TRUE(waiting.ok()) << waiting.error().text();
    Stream stream = waiting.value().stream(), zeros = streamed(model, window).stream();
    const int64_t width = waiting.value().row_bytes() / 4;
    const auto bytes = static_cast<size_t>(waiting.value().outputs()[0].row_bytes);
    const std::vector<float> x = noise(2 * window * width, 14);
    for (int64_t r = 0; r < window + 5; ++r) {
      const Status status = stream.push(x.data() + r * width);
      ASSERT_TRUE(zeros.push(x.data() + r * width).ok());
      EXPECT_EQ(stream.rows(), r + 1);
      EXPECT_EQ(stream.ready(), status.ok());
      ASSERT_EQ(status.code, r + 1 < window ? Status::kNotReady : Status::kOk) << name << " row " << r;
      ASSERT_EQ(status.value, r + 1 < window ? window - 1 - r : 0);
      ASSERT_EQ(std::memcmp(stream.output(0), zeros.output(0), bytes), 0) << name << " row " << r;
      ASSERT_TRUE(stream.settle().ok());
    }
    const Status some = stream.refill(x.data(), window - 3);
    EXPECT_EQ(some.code, Status::kNotReady);
    EXPECT_EQ(some.value, 3);
    EXPECT_TRUE(stream.refill(x.data(), window).ok());
    ASSERT_TRUE(zeros.refill(x.data(), window).ok());
    EXPECT_EQ(std::memcmp(stream.output(0), zeros.output(0), bytes), 0) << name;
    stream.reset();
    EXPECT_EQ(stream.push(x.data()).code, Status::kNotReady);
    ASSERT_TRUE(stream.restore(zeros.snapshot()).ok());  // how answers are given is no part of what is kept
    EXPECT_TRUE(stream.push(x.data()).ok());
    Result<StreamGroup> group = waiting.value().group(5);
    ASSERT_TRUE(group.ok()) << group.error().text();
    EXPECT_EQ(group.value()[1].refill(x.data(), window - 1).value, 1);
    const std::vector<const void*> rows(5, x.data());
    const std::vector<size_t> which{0, 1, 2, 3, 4}, full{1};
    const Status status = group.value().push(5, which.data(), rows.data());
    EXPECT_EQ(status.code, Status::kNotReady);
    EXPECT_EQ(status.value, window - 1);
    for (size_t i = 0; i < 5; ++i) EXPECT_EQ(group.value()[i].rows(), i == 1 ? window : 1);
    EXPECT_TRUE(group.value().push(1, full.data(), rows.data()).ok());
    plan.warm_up = "guess";
    const Result<StreamExecutable> refused = compile_stream(model, plan);
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.error().text().find("warm_up is 'guess'; 'zeros' and 'wait' are accepted"), std::string::npos);
  }
}

TEST(StreamState, MemoryOfStreamsCountsAgainstTheModels) {
  LoadOptions limited;
  limited.memory_max = 2 << 20;
  const Result<Model> model = Model::load(sample("gru"), limited);
  ASSERT_TRUE(model.ok()) << model.error().text();
  const StreamExecutable executable = streamed(model.value(), 50);
  ASSERT_GT(executable.stream_bytes(), 10'000);
  std::vector<Stream> streams;
  while (streams.size() < 1000 && executable.room_for_streams().ok()) streams.push_back(executable.stream());
  const Result<bool> room = executable.room_for_streams();
  ASSERT_FALSE(room.ok());
  EXPECT_NE(room.error().text().find(": a stream: needs"), std::string::npos) << room.error().text();
  EXPECT_NE(room.error().text().find("the memory limit is 2.0 MB (memory_max"), std::string::npos);
  ASSERT_GT(streams.size(), 2u);
  EXPECT_LE(static_cast<int64_t>(streams.size()) * executable.stream_bytes(), limited.memory_max);
  streams.pop_back(), streams.pop_back();  // what is freed can be taken again, by two and not by three
  EXPECT_TRUE(executable.room_for_streams(2).ok());
  EXPECT_FALSE(executable.room_for_streams(4).ok());
  EXPECT_FALSE(executable.room_for_streams(SIZE_MAX).ok());
  // Where not even one fits, compiling says so: a run of this model takes less, its stream keeps the rows too.
  Graph graph;
  graph.source = "negated", graph.opset = 17;
  graph.inputs = {{"x", Type::kFloat32, true, {{-1, "N"}, {4096, ""}, {100, ""}}}};
  graph.nodes = {{"n", "", "Neg", {"x"}, {"y"}, {}}};
  graph.outputs = {{"y", Type::kFloat32, false, {}}};
  const std::string path = scratch_file("negated");
  ASSERT_TRUE(export_onnx(graph, path).ok());
  limited.memory_max = 4'000'000;
  const Result<Model> tight = Model::load(path, limited);
  ASSERT_TRUE(tight.ok()) << tight.error().text();
  Plan plan;
  plan.window = 4096;
  ASSERT_TRUE(compile(tight.value(), Plan()).ok());
  const Result<StreamExecutable> refused = compile_stream(tight.value(), plan);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().text().find(": a stream: needs"), std::string::npos) << refused.error().text();
}

// The full window's program is for speed: where it alone is what does not fit, a stream goes without it.
TEST(StreamState, AStreamFitsWithoutTheFullWindowsProgram) {
#ifdef HAYATE_SANITIZED  // a thousand windows in flight take minutes
  constexpr bool kModels[] = {false};
#else
  constexpr bool kModels[] = {false, true};
#endif
  for (const bool recurrent : kModels) {
    constexpr int64_t kWindow = 1024, kWidth = 16;
    Graph graph;
    graph.source = "tight", graph.opset = 17;
    graph.inputs = {{"x", Type::kFloat32, true, {{1, ""}, {kWindow, ""}, {kWidth, ""}}}};
    const auto constant = [&](const std::string& name, const Shape& shape) {
      Tensor made(Type::kFloat32, shape);
      const std::vector<float> values = noise(made.count(), static_cast<unsigned>(graph.constants.size()) + 1);
      std::transform(values.begin(), values.end(), made.data<float>(), [](float v) { return 0.1f * v; });
      graph.constants.emplace(name, made);
    };
    constant("k", {128, kWidth, 3}), constant("k2", {4, 128, 3}), constant("w", {1, 8, 4}), constant("r", {1, 8, 8});
    graph.nodes = {{"t", "", "Transpose", {"x"}, {"t"}, {{"perm", Shape{0, 2, 1}}}},
                   {"a", "", "Conv", {"t", "k"}, {"a"}, {}},
                   {"b", "", "Tanh", {"a"}, {"b"}, {}},
                   {"c", "", "Conv", {"b", "k2"}, {"c"}, {}}};
    if (recurrent) {
      graph.nodes.push_back({"s", "", "Transpose", {"c"}, {"s"}, {{"perm", Shape{2, 0, 1}}}});
      graph.nodes.push_back({"d", "", "RNN", {"s", "w", "r"}, {"", "y"}, {{"hidden_size", int64_t{8}}}});
    } else {
      graph.nodes.push_back({"d", "", "ReduceMax", {"c"}, {"y"}, {{"axes", Shape{2}}, {"keepdims", int64_t{0}}}});
    }
    graph.outputs = {{"y", Type::kFloat32, false, {}}};
    const std::string path = scratch_file("stream-tight");
    const StreamExecutable roomy = streamed(loaded(graph, path), kWindow);
    ASSERT_TRUE(roomy.gains()) << roomy.explain();
    std::optional<StreamExecutable> tight;
    for (LoadOptions limited; !tight; limited.memory_max += 16384) {
      ASSERT_LT(limited.memory_max, 16 << 20);
      if (limited.memory_max == 0) continue;
      const Result<Model> model = Model::load(path, limited);
      if (!model.ok()) continue;
      Plan plan = Plan::defaults(model.value());
      plan.window = kWindow;
      const Result<StreamExecutable> made = compile_stream(model.value(), plan);
      if (made.ok()) tight = made.value();
    }
    EXPECT_LT(tight->stream_bytes(), roomy.stream_bytes());
    for (const char* words : {"After a gap rows are taken one by one", "needs", "the memory limit is"})
      EXPECT_NE(tight->explain().find(words), std::string::npos) << tight->explain();
    EXPECT_EQ(roomy.explain().find("After a gap"), std::string::npos) << roomy.explain();
    // Refilled, and handed over while rows are left to take, it answers as the other does.
    Stream one = roomy.stream(), other = tight->stream();
    const std::vector<float> x = noise(3 * kWindow * kWidth, 8);
    const auto same = [&](int64_t r) {
      ASSERT_EQ(std::memcmp(one.output(0), other.output(0), static_cast<size_t>(roomy.outputs()[0].row_bytes)), 0)
          << "row " << r;
    };
    int64_t r = 0;
    for (const int64_t gap : {kWindow, int64_t{5}, kWindow + 9}) {
      ASSERT_TRUE(one.refill(x.data() + r * kWidth, gap).ok() && other.refill(x.data() + r * kWidth, gap).ok());
      same(r);
      for (const int64_t end = r + 60; r < end; ++r) {
        const float* row = x.data() + (r + gap) * kWidth;
        ASSERT_TRUE(one.push(row).ok() && other.push(row).ok());
        same(r);
        if (r % 5 == 4) {
          ASSERT_TRUE(one.settle().ok() && other.settle().ok());
        }
        if (r % 7 == 1) {
          ASSERT_TRUE(other.restore(one.snapshot()).ok());
        }
      }
    }
  }
}

TEST(StreamState, OtherSnapshotsAreRefusedAndChangeNothing) {
  const Model gru = loaded(sample("gru"));
  const StreamExecutable executable = streamed(gru, 50);
  Stream stream = executable.stream(), twin = executable.stream();
  const std::vector<float> x = noise(60 * 40, 3);
  for (int64_t r = 0; r < 30; ++r)
    ASSERT_TRUE(stream.push(x.data() + r * 40).ok() && twin.push(x.data() + r * 40).ok());
  const std::string good = stream.snapshot();
  const auto refusal = [&](const std::string& bytes) {
    const Result<bool> restored = stream.restore(bytes);
    return restored.ok() ? std::string("was taken") : restored.error().text();
  };
  EXPECT_NE(refusal("").find("0 bytes is none of a stream"), std::string::npos);
  EXPECT_NE(refusal(std::string(1000, 'x')).find("none of a stream"), std::string::npos);
  for (size_t cut = 1; cut < good.size(); cut = cut * 3 / 2 + 1)
    EXPECT_NE(refusal(good.substr(0, cut)), "was taken") << cut;
  EXPECT_NE(refusal(good + "x").find("are accepted"), std::string::npos);
  for (size_t at = 0; at < good.size(); at = at < 80 ? at + 1 : at * 5 / 4) {
    std::string flipped = good;
    flipped[at] = static_cast<char>(flipped[at] ^ 16);
    EXPECT_NE(refusal(flipped), "was taken") << "byte " << at;
  }
  const std::string another = "is of another model, window, time axis, states, precision or backend";
  EXPECT_NE(refusal(streamed(gru, 50, "bf16").stream().snapshot()).find(another), std::string::npos);
  EXPECT_NE(refusal(streamed(loaded(sample("lstm_a")), 50).stream().snapshot()).find(another), std::string::npos);
  for (int64_t r = 30; r < 60; ++r) {  // nothing of that has changed it
    ASSERT_TRUE(stream.push(x.data() + r * 40).ok() && twin.push(x.data() + r * 40).ok());
    ASSERT_EQ(std::memcmp(stream.output(0), twin.output(0), static_cast<size_t>(executable.outputs()[0].row_bytes)), 0);
  }
}

// One step of a recurrence that takes its state as an input and gives it back: h' = tanh(x w + h r), y = h' v.
Model carrying(const std::string& name, bool same_shape = true) {
  Graph graph;
  graph.source = name, graph.opset = 17;
  unsigned seed = 1;
  const auto input = [&](const std::string& of, int64_t n) {
    graph.inputs.push_back({of, Type::kFloat32, true, {{1, ""}, {n, ""}}});
  };
  const auto constant = [&](const std::string& of, const Shape& shape) {
    Tensor made(Type::kFloat32, shape);
    const std::vector<float> values = noise(made.count(), seed++);
    std::copy(values.begin(), values.end(), made.data<float>());
    graph.constants.emplace(of, made);
  };
  input("x", 3), input("h", same_shape ? 4 : 1);
  constant("w", {3, 4}), constant("r", {same_shape ? 4 : 1, 4}), constant("v", {4, 2});
  graph.nodes = {{"a", "", "MatMul", {"x", "w"}, {"a"}, {}},
                 {"b", "", "MatMul", {"h", "r"}, {"b"}, {}},
                 {"c", "", "Add", {"a", "b"}, {"c"}, {}},
                 {"d", "", "Tanh", {"c"}, {"h_next"}, {}},
                 {"e", "", "MatMul", {"h_next", "v"}, {"y"}, {}}};
  graph.outputs = {{"h_next", Type::kFloat32, false, {}}, {"y", Type::kFloat32, false, {}}};
  const std::string path = scratch_file(name);
  return loaded(graph, path);
}

TEST(StreamState, AModelCarriesItsOwnState) {
  const Model model = carrying("carrying");
  Plan plan = Plan::defaults(model);
  plan.window = 0, plan.states = {"h=h_next"};
  const Result<StreamExecutable> executable = compile_stream(model, plan);
  ASSERT_TRUE(executable.ok()) << executable.error().text();
  ASSERT_EQ(executable.value().outputs().size(), 1u);
  EXPECT_EQ(executable.value().outputs()[0].name, "y");
  EXPECT_EQ(executable.value().row_bytes(), 12);
  EXPECT_FALSE(executable.value().gains());
  EXPECT_NE(executable.value().explain().find("input 'h' takes output 'h_next'"), std::string::npos);
  const Result<Executable> whole = compile(model, Plan::defaults(model));
  ASSERT_TRUE(whole.ok());
  Session session = whole.value().session();
  Stream stream = executable.value().stream();
  std::vector<float> h(4, 0.0f);
  const std::vector<float> x = noise(300, 6);
  for (int turn = 0; turn < 2; ++turn) {
    std::fill(h.begin(), h.end(), 0.0f);
    for (int64_t r = 0; r < 100; ++r) {
      std::memcpy(session.input(0), x.data() + r * 3, 12);
      std::memcpy(session.input(1), h.data(), 16);
      ASSERT_TRUE(session.run(1).ok() && stream.push(x.data() + r * 3).ok());
      std::memcpy(h.data(), session.output(0), 16);
      ASSERT_EQ(std::memcmp(stream.output(0), session.output(1), 8), 0) << "row " << r;
    }
    stream.reset();
  }
}

TEST(StreamState, SaysWhatIsNoState) {
  const Model model = carrying("carrying");
  const auto refusal = [&](const Model& of, int64_t window, std::vector<std::string> states) {
    Plan plan = Plan::defaults(of);
    plan.window = window, plan.states = std::move(states);
    const Result<StreamExecutable> made = compile_stream(of, plan);
    return made.ok() ? std::string("was taken") : made.error().text();
  };
  EXPECT_NE(refusal(model, 0, {}).find("window is 0 and no state is named"), std::string::npos);
  EXPECT_NE(refusal(model, -1, {}).find("window is -1"), std::string::npos);
  EXPECT_NE(refusal(model, 3, {"h=h_next"}).find("takes window 0"), std::string::npos);
  EXPECT_NE(refusal(model, 0, {"h"}).find("state 'h' is no IN=OUT"), std::string::npos);
  EXPECT_NE(refusal(model, 0, {"g=h_next"}).find("names no input; 'x', 'h' are there"), std::string::npos);
  EXPECT_NE(refusal(model, 0, {"h=g"}).find("names no output; 'h_next', 'y' are there"), std::string::npos);
  EXPECT_NE(refusal(model, 0, {"h=y"}).find("both must be one type"), std::string::npos);
  EXPECT_NE(refusal(model, 0, {"h=h_next", "h=h_next"}).find("names an input again"), std::string::npos);
  EXPECT_NE(refusal(carrying("other", false), 0, {"h=h_next"}).find("both must be one type"), std::string::npos);
}

}  // namespace
}  // namespace hayate
