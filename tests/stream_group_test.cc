// Groups: rows of several streams that come together have the bits of streams that are alone.
#include <cstring>
#include <numeric>

#include "guard.h"
#include "streamed.h"

namespace hayate {
namespace {

StreamGroup grouped(const StreamExecutable& executable, size_t count) {
  Result<StreamGroup> made = executable.group(count);
  EXPECT_TRUE(made.ok()) << made.error().text();
  return std::move(made).value();
}

// Rows come for some of the streams, in any order and now and then twice for one; between them windows lag, all is
// settled or slices are, streams are reset, refilled, or go on from a snapshot of another.
void expect_lone_answers(const StreamExecutable& executable, size_t count, int turns, const std::string& what) {
  StreamGroup group = grouped(executable, count);
  std::vector<Stream> alone;
  for (size_t i = 0; i < count; ++i) alone.push_back(executable.stream());
  const int64_t width = executable.row_bytes() / 4, window = executable.window();
  const std::vector<float> x = noise(512 * width, 12);
  std::mt19937 random(3);
  const auto pick = [&](size_t n) { return static_cast<size_t>(random() % n); };
  for (int turn = 0; turn < turns; ++turn) {
    std::vector<size_t> which(count);
    std::iota(which.begin(), which.end(), 0);
    std::shuffle(which.begin(), which.end(), random);
    which.resize(pick(count) + 1);
    if (pick(4) == 0) which.push_back(which[pick(which.size())]);
    std::vector<const void*> rows;
    for (const size_t i : which) {
      rows.push_back(x.data() + static_cast<int64_t>(pick(512)) * width);
      ASSERT_TRUE(alone[i].push(rows.back()).ok());
    }
    ASSERT_TRUE(group.push(which.size(), which.data(), rows.data()).ok());
    for (size_t i = 0; i < count; ++i) {
      ASSERT_EQ(group[i].rows(), alone[i].rows());
      for (size_t o = 0; o < executable.outputs().size(); ++o)
        ASSERT_EQ(
            std::memcmp(group[i].output(o), alone[i].output(o), static_cast<size_t>(executable.outputs()[o].row_bytes)),
            0)
            << what << " turn " << turn << " stream " << i;
    }
    Status status;
    const size_t then = pick(12), one = pick(count), other = pick(count);
    if (then < 3) {
      ASSERT_TRUE(group.settle().ok());
      EXPECT_FALSE(group.settle_slice(&status));
    } else if (then < 7) {
      for (size_t slices = pick(6); slices > 0 && group.settle_slice(&status); --slices) ASSERT_TRUE(status.ok());
    } else if (then == 8 && turn % 3 == 0) {
      group[one].reset(), alone[one].reset();
    } else if (then == 9 && window > 0) {
      ASSERT_TRUE(group[one].refill(x.data(), window).ok() && alone[one].refill(x.data(), window).ok());
    } else if (then == 10) {
      ASSERT_TRUE(group[one].restore(alone[other].snapshot()).ok());
      ASSERT_TRUE(alone[one].restore(group[other].snapshot()).ok() || one == other);
    } else if (then == 11 && turn % 2 == 0) {
      group[one].settle_elsewhere();
    } else if (then == 11) {
      for (size_t i = 0; i < count; ++i) group[i].settle_here();
    }
  }
}

#ifdef HAYATE_SANITIZED  // kernels that are not optimised take minutes for the others
constexpr std::pair<const char*, int64_t> kSamples[] = {{"gru", 50}};
constexpr unsigned kModels = 60;
constexpr int kTurns = 100;
#else
constexpr std::pair<const char*, int64_t> kSamples[] = {{"gru", 50}, {"lstm_a", 50}, {"tcn", 64}, {"deeplob", 100}};
constexpr unsigned kModels = 240;
constexpr int kTurns = 200;
#endif

TEST(StreamGroups, SamplesHaveTheBitsOfLoneStreams) {
  for (const auto& [name, window] : kSamples)
    for (const char* precision : {"fp32", "bf16", "int8"}) {
      const StreamExecutable executable = streamed(loaded(sample(name)), window, precision);
      const bool recurrent = std::string(name) == "gru" || std::string(name) == "lstm_a";
      EXPECT_EQ(grouped(executable, 5).rows_at_once(), recurrent ? 4 : 1) << name << " " << precision;
      expect_lone_answers(executable, 7, kTurns, std::string(name) + " " + precision);
      if (HasFatalFailure()) return;
    }
}

TEST(StreamGroups, RandomModelsHaveTheBitsOfLoneStreams) {
  const std::string path = scratch_file("stream-group");
  int at_once = 0;
  for (unsigned seed = 900; seed < 900 + kModels; ++seed) {
    const RandomModel random(seed);
    const StreamExecutable executable = streamed(loaded(random.graph(), path), random.window);
    at_once += grouped(executable, 5).rows_at_once() == 4;
    expect_lone_answers(executable, 5, 60, "seed " + std::to_string(seed));
    if (HasFatalFailure()) return;
  }
  EXPECT_GE(at_once, static_cast<int>(kModels) / 40);
}

TEST(StreamGroups, PushAndSettleAllocateLockAndCallNothing) {
  if (!guard::counts()) GTEST_SKIP() << "sanitizers allocate and lock on their own";
  for (const char* name : {"lstm_a", "gru"}) {
    const StreamExecutable executable = streamed(loaded(sample(name)), 50);
    StreamGroup group = grouped(executable, 7);
    const std::vector<float> x = noise(executable.row_bytes() / 4, 2);
    const std::vector<const void*> rows(7, x.data());
    const std::vector<size_t> which{4, 1, 0, 6, 2, 3, 5};
    bool failed = false;
    const guard::Counts counts =
        guard::counted([&] { return group.push(7, which.data(), rows.data()).ok() && group.settle().ok(); }, &failed);
    EXPECT_FALSE(failed);
    EXPECT_TRUE(counts.nothing()) << name << ": " << counts.text();
  }
}

TEST(StreamGroups, SayWhatIsNoStreamAndWhatHasNoRoom) {
  const StreamExecutable executable = streamed(loaded(sample("gru")), 50);
  StreamGroup group = grouped(executable, 3);
  EXPECT_EQ(group.size(), 3u);
  EXPECT_EQ(group.rows_at_once(), 2);
  EXPECT_EQ(grouped(executable, 1).rows_at_once(), 1);
  const std::vector<float> x = noise(40, 1);
  const std::vector<size_t> which{0, 2, 3, 1};
  const std::vector<const void*> rows(4, x.data());
  const Status status = group.push(4, which.data(), rows.data());
  EXPECT_EQ(status.code, Status::kBatch);
  EXPECT_EQ(status.value, 3);
  EXPECT_EQ(group[0].rows() + group[2].rows(), 2);  // those before it
  EXPECT_EQ(group[1].rows(), 0);
  LoadOptions limited;
  limited.memory_max = 2 << 20;
  const Result<Model> model = Model::load(sample("gru"), limited);
  ASSERT_TRUE(model.ok());
  const Result<StreamGroup> refused = streamed(model.value(), 50).group(1000);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().text().find("1000 streams: needs"), std::string::npos) << refused.error().text();
}

// h' = h + t[x], y = -h': a model that carries its state, and takes no x beyond the table.
TEST(StreamGroups, ARowThatFailsLeavesTheOthersAsTheyWere) {
  Graph graph;
  graph.source = "made", graph.opset = 17;
  graph.inputs = {{"x", Type::kInt64, true, {{-1, "N"}, {1, ""}}},
                  {"h", Type::kFloat32, true, {{-1, "N"}, {1, ""}, {4, ""}}}};
  Tensor table(Type::kFloat32, {5, 4});
  const std::vector<float> values = noise(20, 4);
  std::copy(values.begin(), values.end(), table.data<float>());
  graph.constants.emplace("t", table);
  graph.nodes = {{"g", "", "Gather", {"t", "x"}, {"r"}, {}},
                 {"a", "", "Add", {"h", "r"}, {"h_next"}, {}},
                 {"n", "", "Neg", {"h_next"}, {"y"}, {}}};
  graph.outputs = {{"h_next", Type::kFloat32, false, {}}, {"y", Type::kFloat32, false, {}}};
  const std::string path = scratch_file("stream-group-table");
  Plan plan;
  plan.window = 0, plan.states = {"h=h_next"};
  const Result<StreamExecutable> executable = compile_stream(loaded(graph, path), plan);
  ASSERT_TRUE(executable.ok()) << executable.error().text();
  StreamGroup group = grouped(executable.value(), 4);
  EXPECT_EQ(group.rows_at_once(), 4);
  std::vector<Stream> alone;
  for (int i = 0; i < 4; ++i) alone.push_back(executable.value().stream());
  const std::vector<size_t> which{2, 0, 3, 1};
  for (int64_t turn = 0; turn < 20; ++turn) {
    const bool fails = turn == 7 || turn == 12;
    const std::vector<int64_t> x{turn % 5, (turn + 1) % 5, fails ? 9 : 2, turn * 3 % 5};
    std::vector<const void*> rows;
    for (size_t i = 0; i < 4; ++i) rows.push_back(&x[i]);
    EXPECT_EQ(group.push(4, which.data(), rows.data()).code, fails ? Status::kValue : Status::kOk) << turn;
    for (size_t i = 0; i < (fails ? 2u : 4u); ++i) ASSERT_TRUE(alone[which[i]].push(rows[i]).ok());
    for (size_t i = 0; i < 4; ++i) {
      ASSERT_EQ(group[i].rows(), alone[i].rows());
      ASSERT_EQ(std::memcmp(group[i].output(0), alone[i].output(0), 16), 0) << "turn " << turn << " stream " << i;
    }
  }
}

// h' = h + x, which of four rows alone takes another branch.
TEST(StreamGroups, WhereTheirNumberDecidesRowsGoOneAfterAnother) {
  Graph graph, four, other;
  four.source = other.source = "branch", graph.source = "fours", graph.opset = four.opset = other.opset = 17;
  for (const char* name : {"x", "h"}) graph.inputs.push_back({name, Type::kFloat32, true, {{-1, "N"}, {4, ""}}});
  graph.constants.emplace("first", Tensor::of<int64_t>({}, {0}));
  graph.constants.emplace("four", Tensor::of<int64_t>({}, {4}));
  four.constants.emplace("shape", Tensor::of<int64_t>({2}, {3, 4}));
  four.nodes = {{"r", "", "Reshape", {"h_next", "shape"}, {"r"}, {}}};
  other.nodes = {{"i", "", "Identity", {"h_next"}, {"i"}, {}}};
  four.outputs = {{"r", Type::kFloat32, false, {}}}, other.outputs = {{"i", Type::kFloat32, false, {}}};
  graph.nodes = {
      {"a", "", "Add", {"h", "x"}, {"h_next"}, {}},
      {"s", "", "Shape", {"x"}, {"s"}, {}},
      {"n", "", "Gather", {"s", "first"}, {"n"}, {}},
      {"e", "", "Equal", {"n", "four"}, {"e"}, {}},
      {"f",
       "",
       "If",
       {"e"},
       {"y"},
       {{"then_branch", std::make_shared<const Graph>(four)}, {"else_branch", std::make_shared<const Graph>(other)}}}};
  graph.outputs = {{"h_next", Type::kFloat32, false, {}}, {"y", Type::kFloat32, false, {}}};
  const std::string path = scratch_file("stream-group-fours");
  Plan plan;
  plan.window = 0, plan.states = {"h=h_next"};
  const Result<StreamExecutable> executable = compile_stream(loaded(graph, path), plan);
  ASSERT_TRUE(executable.ok()) << executable.error().text();
  EXPECT_EQ(grouped(executable.value(), 5).rows_at_once(), 1);
  expect_lone_answers(executable.value(), 5, 60, "one by one");
}

}  // namespace
}  // namespace hayate
