// Recurrent layers on several threads, one behind the other: the bits of one thread, and which layers go so.
#include "backends/native/pipeline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <random>

#include "base/team.h"
#include "compress/ranges.h"
#include "guard.h"
#include "one_node.h"

namespace hayate {
namespace {

// Of LSTM, GRU (linear_before_reset = 1), GRU0 (= 0), RNN and RELU (an RNN with that function).
struct Stack {
  std::vector<std::string> ops;  // of the layers
  int64_t steps = 50, rows = 1;
  std::vector<int64_t> hidden = {16, 33, 20};  // in turn
  std::string directions = {};                 // of the layers: f, r or b; f behind the last
  std::string states = {};                     // the same: n none given, c constants, i inputs, h an input but no c
  size_t continued = SIZE_MAX;                 // a layer whose first h is the last of the layer before
  size_t kept = SIZE_MAX;                      // a layer whose first c is the last of the layer before
  bool every_layer = false;                    // is an output too
  std::string asked = {};                      // outputs of the layers: 1 every h + 2 the last h + 4 the last c

  char direction(size_t i) const { return i < directions.size() ? directions[i] : 'f'; }
  char state(size_t i) const { return i < states.size() ? states[i] : 'n'; }
  bool asks(size_t i, int bit) const {
    if (bit == 1 && (every_layer || (asked.empty() && i + 1 == ops.size()))) return true;
    if ((bit == 2 && continued == i + 1) || (bit == 4 && kept == i + 1)) return true;
    return i < asked.size() && ((asked[i] - '0') & bit) != 0;
  }

  Graph graph() const {
    Graph made;
    made.source = "stack", made.opset = 17;
    made.inputs.push_back({"x", Type::kFloat32, true, {{steps, ""}, {rows, ""}, {7, ""}}});
    made.constants.emplace("axes", Tensor::of<int64_t>({1}, {1}));
    made.constants.emplace("merged", Tensor::of<int64_t>({3}, {0, 0, -1}));
    std::string x = "x";
    int64_t in = 7;
    for (size_t i = 0; i < ops.size(); ++i) {
      const bool takes_state = continued == i || kept == i;
      const int64_t units = takes_state ? in : hidden[i % hidden.size()];
      add_layer(i, units, in, x, &made);
      x = name_of(i) + "x", in = units * ways(i);
    }
    return made;
  }

  static std::string name_of(size_t layer) { return "l" + std::to_string(layer); }
  int64_t ways(size_t i) const { return direction(i) == 'b' ? 2 : 1; }

  static std::string constant(size_t i, const std::string& what, const Shape& shape, double scale, Graph* made) {
    made->constants.emplace(name_of(i) + what,
                            random_floats(shape, static_cast<unsigned>(3 * i + shape.size()), scale));
    return name_of(i) + what;
  }

  // Layer i over x [steps, rows, in], and its answers as [steps, rows, units of each direction].
  void add_layer(size_t i, int64_t units, int64_t in, const std::string& x, Graph* made) const {
    const std::string name = name_of(i);
    const bool lstm = ops[i] == "LSTM", gru = ops[i].starts_with("GRU"), relu = ops[i] == "RELU";
    const int64_t directions = ways(i), width = (lstm ? 4 : gru ? 3 : 1) * units;
    const double scale = relu ? 0.1 : 0.4;  // nothing bounds what relu makes
    Node node{name, "", lstm ? "LSTM" : gru ? "GRU" : "RNN", {x}, {}, {{"hidden_size", units}}};
    node.inputs.push_back(constant(i, "w", {directions, width, in}, scale, made));
    node.inputs.push_back(constant(i, "r", {directions, width, units}, scale, made));
    node.inputs.push_back(constant(i, "b", {directions, 2 * width}, scale, made));
    if (ops[i] == "GRU") node.attributes.emplace("linear_before_reset", int64_t{1});
    if (relu) node.attributes.emplace("activations", std::vector<std::string>(static_cast<size_t>(directions), "Relu"));
    if (direction(i) == 'r') node.attributes.emplace("direction", std::string("reverse"));
    if (direction(i) == 'b') node.attributes.emplace("direction", std::string("bidirectional"));
    add_first_states(i, {directions, rows, units}, &node, made);
    const bool y = asks(i, 1) || i + 1 < ops.size(), h = asks(i, 2), c = lstm && asks(i, 4);
    node.outputs = {y ? name + "y" : "", h ? name + "h" : ""};
    if (lstm) node.outputs.push_back(c ? name + "c" : "");
    made->nodes.push_back(node);
    if (y && directions == 2) {
      made->nodes.push_back(
          {name + "turn", "", "Transpose", {name + "y"}, {name + "turned"}, {{"perm", Shape{0, 2, 1, 3}}}});
      made->nodes.push_back({name + "merge", "", "Reshape", {name + "turned", "merged"}, {name + "x"}, {}});
    } else if (y) {
      made->nodes.push_back({name + "squeeze", "", "Squeeze", {name + "y", "axes"}, {name + "x"}, {}});
    }
    if (asks(i, 1)) made->outputs.push_back({name + "x", Type::kFloat32, false, {}});
    if (h && continued != i + 1) made->outputs.push_back({name + "h", Type::kFloat32, false, {}});
    if (c && kept != i + 1) made->outputs.push_back({name + "c", Type::kFloat32, false, {}});
  }

  void add_first_states(size_t i, const Shape& shape, Node* node, Graph* made) const {
    if (state(i) != 'n' || continued == i || kept == i) node->inputs.resize(node->op == "LSTM" ? 7 : 6);
    for (size_t at = 5; at < node->inputs.size(); ++at) {
      const std::string what = at == 5 ? "first_h" : "first_c";
      if (state(i) == 'c') node->inputs[at] = constant(i, what, shape, 0.4, made);
      if (state(i) != 'i' && (state(i) != 'h' || at != 5)) continue;
      node->inputs[at] = name_of(i) + what;
      made->inputs.push_back({node->inputs[at], Type::kFloat32, true, {}});
      for (const int64_t extent : shape) made->inputs.back().dims.push_back({extent, ""});
    }
    if (continued == i) node->inputs[5] = name_of(i - 1) + "h";
    if (kept == i) node->inputs[6] = name_of(i - 1) + "c";
  }

  // In the graph's order.
  std::vector<Tensor> inputs() const {
    std::vector<Tensor> made;
    for (const ValueInfo& info : graph().inputs) {
      Shape shape;
      for (const Dim& dim : info.dims) shape.push_back(dim.value);
      made.push_back(random_floats(shape, static_cast<unsigned>(11 + made.size())));
    }
    return made;
  }
};

using Compiled = std::shared_ptr<const native::NativeExecutable>;

enum class Precision { kFloat32, kBf16, kInt8 };

Compiled compiled(const Stack& stack, int threads, Precision precision) {
  native::NativeOptions options;
  options.threads = threads, options.bf16 = precision == Precision::kBf16;
  const Graph graph = stack.graph();
  const std::vector<Tensor> inputs = stack.inputs();
  std::map<std::string, Tensor> feeds;
  std::map<std::string, TensorType> types;
  for (size_t i = 0; i < inputs.size(); ++i) {
    feeds.emplace(graph.inputs[i].name, inputs[i]);
    types[graph.inputs[i].name] = {inputs[i].type(), inputs[i].shape()};
  }
  if (precision == Precision::kInt8) {
    Result<Ranges> ranges = find_ranges(graph, feeds);
    EXPECT_TRUE(ranges.ok()) << ranges.error().text();
    options.integers = std::make_shared<const Ranges>(std::move(ranges).value());
  }
  const auto made = native::NativeExecutable::compile(graph, types, options);
  EXPECT_TRUE(made.ok()) << made.error().text();
  return made.value();
}

#ifdef HAYATE_SANITIZED  // kernels that are not optimised take minutes for more
constexpr int kRuns = 2, kStacks = 8;
constexpr int64_t kSteps[] = {13, 50};
#else
constexpr int kRuns = 20, kStacks = 40;
constexpr int64_t kSteps[] = {13, 50, 64};
#endif

// A hand-over this dear is none that steps so small pay for, though a turn does.
constexpr int64_t kPieceMacs = 4'000;

std::vector<std::string> answers(const Compiled& executable, const std::vector<Tensor>& inputs, Team* team,
                                 int64_t piece_macs) {
  native::NativeState state(executable);
  state.set_team(team, piece_macs);
  std::vector<std::string> made;
  for (int again = 0; again < (team == nullptr ? 1 : kRuns); ++again) {
    for (size_t i = 0; i < inputs.size(); ++i) std::memcpy(state.input(i), inputs[i].bytes(), inputs[i].byte_count());
    EXPECT_TRUE(state.run().ok());
    std::vector<std::string> now;
    for (size_t i = 0; i < executable->outputs().size(); ++i) {
      const Tensor shape(executable->outputs()[i].type.type, executable->outputs()[i].type.shape);
      now.emplace_back(reinterpret_cast<const char*>(state.output(i)), shape.byte_count());
      std::memset(state.output(i), 0xFF, shape.byte_count());
    }
    if (again > 0) {
      EXPECT_EQ(now, made) << "another answer at run " << again;
    }
    made = now;
  }
  return made;
}

// How many layers go one behind the other, group by group; "d": two directions at once.
std::string groups(const Compiled& executable) {
  std::string made;
  for (const std::string& name : executable->program().names) {
    if (name.starts_with("pipeline of ")) made += name.substr(12, name.find(' ', 12) - 12) + " ";
    if (name.starts_with("two directions: ")) made += "d ";
  }
  return made;
}

// Of groups that two or three threads did not run step by step, in both.
struct Used {
  int pipelines = 0, directions = 0;
};

void expect_same(const Stack& stack, const std::string& wanted_groups, Used* used = nullptr) {
  const std::vector<Tensor> inputs = stack.inputs();
  for (const Precision precision : {Precision::kFloat32, Precision::kBf16, Precision::kInt8}) {
    const Compiled alone = compiled(stack, 1, precision), shared = compiled(stack, 3, precision);
    EXPECT_EQ(groups(alone), "");
    EXPECT_EQ(groups(shared), wanted_groups);
    const std::vector<std::string> wanted = answers(alone, inputs, nullptr, 1);
    EXPECT_EQ(answers(shared, inputs, nullptr, 1), wanted) << "nobody helps";
    for (const int threads : {1, 2, 3})
      for (const int64_t piece_macs : {int64_t{1}, kPieceMacs}) {
        Team team(threads, std::chrono::microseconds(100));
        EXPECT_EQ(answers(shared, inputs, &team, piece_macs), wanted)
            << threads << " threads, precision " << static_cast<int>(precision) << ", pieces of " << piece_macs;
        if (used == nullptr) continue;
        const uint64_t quicker = native::quicker_pipelines(shared->program(), threads, piece_macs);
        for (const native::Step& step : shared->program().steps) {
          const bool directions = step.run == native::run_directions;
          if (directions || step.run == native::run_pipeline)
            (directions ? used->directions : used->pipelines) +=
                static_cast<int>(quicker >> step.as<native::PipelineArgs>().place & 1);
        }
      }
  }
}

// Whether so many threads run the first group as such, or share each step.
bool goes_as_pipeline(const Compiled& executable, int threads, int64_t piece_macs) {
  EXPECT_NE(groups(executable), "");
  return (native::quicker_pipelines(executable->program(), threads, piece_macs) & 1) != 0;
}

TEST(Pipeline, LayersOneBehindTheOtherHaveTheBitsOfOneThread) {
  for (const int64_t steps : kSteps)
    for (const int64_t rows : {1, 3}) {
      expect_same({.ops = {"LSTM", "LSTM"}, .steps = steps, .rows = rows}, "2 ");
      expect_same({.ops = {"GRU", "LSTM", "GRU"}, .steps = steps, .rows = rows}, "3 ");
      expect_same({.ops = {"LSTM", "LSTM", "LSTM"}, .steps = steps, .rows = rows, .every_layer = true}, "3 ");
    }
}

TEST(Pipeline, EveryKindAndEitherWalkGoesSo) {
  expect_same({.ops = {"RNN", "RNN"}, .rows = 3}, "2 ");
  expect_same({.ops = {"GRU0", "GRU0"}}, "2 ");
  expect_same({.ops = {"RELU", "GRU0", "LSTM", "RNN", "GRU"}, .every_layer = true}, "5 ");
  expect_same({.ops = {"LSTM", "GRU0", "RNN"}, .rows = 3, .directions = "rrr", .asked = "666"}, "3 ");
  expect_same({.ops = {"LSTM", "GRU", "RNN"}, .rows = 3, .directions = "bbb", .states = "ici"}, "d d d ");
}

// Any kinds, directions, first states and outputs.
TEST(Pipeline, RandomStacksHaveTheBitsOfOneThread) {
  std::mt19937 random(7);
  const auto one_of = [&](const auto& values) { return values[random() % std::size(values)]; };
  Used used;
  for (int i = 0; i < kStacks; ++i) {
    Stack stack;
    const size_t layers = 1 + random() % 4;
    stack.steps = one_of(std::array<int64_t, 3>{13, 31, 50}), stack.rows = one_of(std::array<int64_t, 3>{1, 1, 3});
    stack.hidden.clear();
    const std::string ways = one_of(std::array<std::string, 5>{"f", "r", "b", "fr", "fffrb"});
    for (size_t layer = 0; layer < layers; ++layer) {
      stack.ops.push_back(one_of(std::array<std::string, 5>{"LSTM", "GRU", "GRU0", "RNN", "RELU"}));
      stack.hidden.push_back(static_cast<int64_t>(8 + random() % 40));
      stack.directions += one_of(ways), stack.states += one_of(std::string("nncih"));
      stack.asked += static_cast<char>('0' + random() % 8);
    }
    if (stack.asked.back() == '0' || (stack.asked.back() == '4' && stack.ops.back() != "LSTM"))
      stack.asked.back() = '2';
    std::string wanted;
    for (size_t first = 0; first < layers;) {
      size_t end = first + 1;
      while (end < layers && stack.direction(first) != 'b' && stack.direction(end) == stack.direction(first)) ++end;
      if (stack.direction(first) == 'b') wanted += "d ";
      if (end - first > 1) wanted += std::to_string(end - first) + " ";
      first = end;
    }
    SCOPED_TRACE("stack " + std::to_string(i) + ": " + stack.directions + " " + stack.states + " " + stack.asked);
    expect_same(stack, wanted, &used);
  }
  EXPECT_GE(used.pipelines, 2 * kStacks);
  EXPECT_GE(used.directions, 2 * kStacks);
}

// What the caller does: the work counted is a child's of this process, where the helpers are not.
TEST(Pipeline, WarmRunsAllocateLockAndCallNothing) {
  if (!guard::counts()) GTEST_SKIP() << "sanitizers allocate and lock on their own";
  for (const Stack& stack : {Stack{.ops = {"LSTM", "GRU0", "RNN"}, .hidden = {32}, .directions = "rrr"},
                             Stack{.ops = {"LSTM", "GRU0", "RNN"}, .hidden = {32}, .directions = "bbb"}})
    for (const Precision precision : {Precision::kFloat32, Precision::kBf16, Precision::kInt8}) {
      const Compiled executable = compiled(stack, 2, precision);
      EXPECT_TRUE(goes_as_pipeline(executable, 2, 1'000));
      Team team(2, std::chrono::seconds(10));
      native::NativeState state(executable);
      state.set_team(&team, 1'000);
      const Tensor x = stack.inputs()[0];
      std::memcpy(state.input(0), x.bytes(), x.byte_count());
      EXPECT_TRUE(state.run().ok());
      bool failed = false;
      const guard::Counts counts = guard::counted([&] { return state.run().ok() && state.run().ok(); }, &failed);
      EXPECT_FALSE(failed);
      EXPECT_TRUE(counts.nothing()) << counts.text();
    }
}

TEST(Pipeline, MoreLayersThanOneTakesGoInSeveral) {
  expect_same({.ops = std::vector<std::string>(11, "GRU"), .hidden = {8}}, "8 3 ");
}

TEST(Pipeline, WhatNeedsAWholeLayerWaitsForIt) {
  expect_same({.ops = {"LSTM", "LSTM", "LSTM"}, .directions = "frf"}, "");
  expect_same({.ops = {"LSTM", "LSTM", "LSTM", "LSTM"}, .directions = "rfff"}, "3 ");
  expect_same({.ops = {"LSTM", "LSTM", "LSTM"}, .continued = 1}, "2 ");
  expect_same({.ops = {"LSTM", "LSTM", "LSTM"}, .continued = 2}, "2 ");
  expect_same({.ops = {"LSTM", "LSTM", "LSTM"}, .hidden = {20}, .kept = 1}, "2 ");
  expect_same({.ops = {"LSTM", "LSTM", "LSTM"}, .hidden = {20}, .kept = 2}, "2 ");
  expect_same({.ops = {"LSTM", "GRU", "LSTM", "LSTM"}, .directions = "fbff"}, "d 2 ");
  expect_same({.ops = {"LSTM", "LSTM", "LSTM"}, .directions = "ffb"}, "2 d ");
  expect_same({.ops = {"LSTM", "LSTM"}, .steps = 6}, "");  // one turn
  expect_same({.ops = {"LSTM"}}, "");
}

// By what was measured on two cores, where steps of 32,768 multiply-adds a piece gain: lstm_a 224 us alone, 150 as a
// pipeline, with 187 the most that shared projections give, and an LSTM of 100 units in two directions 178 and 104;
// where one layer is most of it, or there are few turns, or threads enough for each step, steps are shared.
TEST(Pipeline, LayersGoOneBehindTheOtherWhereThatIsQuicker) {
  constexpr int64_t kMeasured = 32'768;
  const auto goes = [&](const Stack& stack, int threads) {
    return goes_as_pipeline(compiled(stack, 2, Precision::kFloat32), threads, kMeasured);
  };
  EXPECT_TRUE(goes({.ops = {"LSTM", "LSTM"}, .hidden = {100}}, 2));
  EXPECT_TRUE(goes({.ops = {"LSTM", "LSTM", "LSTM"}, .hidden = {100}}, 2));
  for (const std::string op : {"GRU0", "RNN"}) {
    EXPECT_TRUE(goes({.ops = {op, op}, .hidden = {128}}, 2)) << op;
    EXPECT_TRUE(goes({.ops = {op, op}, .hidden = {128}, .directions = "rr"}, 2)) << op;
    EXPECT_TRUE(goes({.ops = {op}, .hidden = {128}, .directions = "b"}, 2)) << op;
  }
  EXPECT_TRUE(goes({.ops = {"LSTM"}, .hidden = {100}, .directions = "b"}, 2));
  EXPECT_TRUE(goes({.ops = {"LSTM"}, .hidden = {256}, .directions = "b"}, 2));
  EXPECT_FALSE(goes({.ops = {"LSTM"}, .hidden = {256}, .directions = "b"}, 8));
  EXPECT_FALSE(goes({.ops = {"LSTM"}, .hidden = {512}, .directions = "b"}, 2)) << "half the weights fit a core's cache";
  EXPECT_FALSE(goes({.ops = {"RNN", "RNN"}, .hidden = {512}}, 2)) << "each turn would read the weights again";
  EXPECT_FALSE(goes({.ops = {"RNN"}, .steps = 20, .hidden = {16}, .directions = "b"}, 2)) << "too small for either";
  EXPECT_FALSE(goes({.ops = {"LSTM", "LSTM"}, .hidden = {512, 64}}, 2));
  EXPECT_FALSE(goes({.ops = {"LSTM", "LSTM"}, .steps = 12, .hidden = {256}}, 2));
  EXPECT_FALSE(goes({.ops = {"LSTM", "LSTM"}, .hidden = {256}}, 8));
  EXPECT_FALSE(goes({.ops = {"LSTM", "LSTM"}, .hidden = {8}}, 2)) << "too small for either";
  EXPECT_TRUE(goes_as_pipeline(compiled({.ops = {"LSTM", "LSTM"}}, 2, Precision::kFloat32), 2, kPieceMacs));
}

}  // namespace
}  // namespace hayate
