// Recurrent layers on several threads, one behind the other: the bits of one thread, and which layers go so.
#include "backends/native/pipeline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "base/team.h"
#include "compress/ranges.h"
#include "one_node.h"

namespace hayate {
namespace {

struct Stack {
  std::vector<std::string> ops;  // of the layers
  int64_t steps = 50, rows = 1;
  std::vector<int64_t> hidden = {16, 33, 20};  // in turn
  size_t reversed = SIZE_MAX;                  // a layer
  size_t continued = SIZE_MAX;                 // a layer whose first h is the last of the layer before
  size_t kept = SIZE_MAX;                      // a layer whose first c is the last of the layer before
  size_t two_ways = SIZE_MAX;                  // a layer of both directions
  bool every_layer = false;                    // is an output too

  Graph graph() const {
    Graph made;
    made.source = "stack", made.opset = 17;
    made.inputs.push_back({"x", Type::kFloat32, true, {{steps, ""}, {rows, ""}, {7, ""}}});
    made.constants.emplace("axes", Tensor::of<int64_t>({1}, {1}));
    std::string x = "x";
    int64_t in = 7;
    made.constants.emplace("merged", Tensor::of<int64_t>({3}, {0, 0, -1}));
    for (size_t i = 0; i < ops.size(); ++i) {
      const std::string name = "l" + std::to_string(i), before = "l" + std::to_string(i - 1);
      const bool lstm = ops[i] == "LSTM", takes_state = continued == i || kept == i;
      const int64_t units = takes_state ? in : hidden[i % hidden.size()], gates = lstm ? 4 : 3,
                    directions = two_ways == i ? 2 : 1;
      const auto constant = [&](const char* what, const Shape& shape) {
        made.constants.emplace(name + what, random_floats(shape, static_cast<unsigned>(3 * i + shape.size()), 0.4));
        return name + what;
      };
      const std::string w = constant("w", {directions, gates * units, in}),
                        r = constant("r", {directions, gates * units, units}),
                        bias = constant("b", {directions, 2 * gates * units});
      Node node{name, "", ops[i], {x, w, r, bias}, {name + "y", name + "h"}, {{"hidden_size", units}}};
      if (lstm) node.outputs.push_back(name + "c");
      if (!lstm) node.attributes.emplace("linear_before_reset", int64_t{1});
      if (reversed == i) node.attributes.emplace("direction", std::string("reverse"));
      if (two_ways == i) node.attributes.emplace("direction", std::string("bidirectional"));
      if (takes_state) node.inputs.resize(kept == i ? 7 : 6);
      if (continued == i) node.inputs[5] = before + "h";
      if (kept == i) node.inputs[6] = before + "c";
      made.nodes.push_back(node);
      if (two_ways == i) {
        made.nodes.push_back(
            {name + "turn", "", "Transpose", {name + "y"}, {name + "turned"}, {{"perm", Shape{0, 2, 1, 3}}}});
        made.nodes.push_back({name + "merge", "", "Reshape", {name + "turned", "merged"}, {name + "x"}, {}});
      } else {
        made.nodes.push_back({name + "squeeze", "", "Squeeze", {name + "y", "axes"}, {name + "x"}, {}});
      }
      if (every_layer || i + 1 == ops.size()) made.outputs.push_back({name + "x", Type::kFloat32, false, {}});
      x = name + "x", in = units * directions;
    }
    return made;
  }
};

using Compiled = std::shared_ptr<const native::NativeExecutable>;

enum class Precision { kFloat32, kBf16, kInt8 };

Compiled compiled(const Stack& stack, int threads, Precision precision) {
  native::NativeOptions options;
  options.threads = threads, options.bf16 = precision == Precision::kBf16;
  if (precision == Precision::kInt8) {
    Result<Ranges> ranges = find_ranges(stack.graph(), {{"x", random_floats({stack.steps, stack.rows, 7}, 12)}});
    EXPECT_TRUE(ranges.ok()) << ranges.error().text();
    options.integers = std::make_shared<const Ranges>(std::move(ranges).value());
  }
  const auto made = native::NativeExecutable::compile(stack.graph(),
                                                      {{"x", {Type::kFloat32, {stack.steps, stack.rows, 7}}}}, options);
  EXPECT_TRUE(made.ok()) << made.error().text();
  return made.value();
}

#ifdef HAYATE_SANITIZED  // kernels that are not optimised take minutes for more
constexpr int kRuns = 2;
#else
constexpr int kRuns = 20;
#endif

// A hand-over this dear is none that steps so small pay for, though a turn does.
constexpr int64_t kPieceMacs = 4'000;

std::vector<std::string> answers(const Compiled& executable, const Tensor& x, Team* team, int64_t piece_macs) {
  native::NativeState state(executable);
  state.set_team(team, piece_macs);
  std::vector<std::string> made;
  for (int again = 0; again < (team == nullptr ? 1 : kRuns); ++again) {
    std::memcpy(state.input(0), x.bytes(), x.byte_count());
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

// How many layers go one behind the other, group by group.
std::string groups(const Compiled& executable) {
  std::string made;
  for (const std::string& name : executable->program().names)
    if (name.starts_with("pipeline of ")) made += name.substr(12, name.find(' ', 12) - 12) + " ";
  return made;
}

void expect_same(const Stack& stack, const std::string& wanted_groups) {
  const Tensor x = random_floats({stack.steps, stack.rows, 7}, 11);
  for (const Precision precision : {Precision::kFloat32, Precision::kBf16, Precision::kInt8}) {
    const Compiled alone = compiled(stack, 1, precision), shared = compiled(stack, 3, precision);
    EXPECT_EQ(groups(alone), "");
    EXPECT_EQ(groups(shared), wanted_groups);
    const std::vector<std::string> wanted = answers(alone, x, nullptr, 1);
    EXPECT_EQ(answers(shared, x, nullptr, 1), wanted) << "nobody helps";
    for (const int threads : {1, 2, 3})
      for (const int64_t piece_macs : {int64_t{1}, kPieceMacs}) {
        Team team(threads, std::chrono::microseconds(100));
        EXPECT_EQ(answers(shared, x, &team, piece_macs), wanted)
            << threads << " threads, precision " << static_cast<int>(precision) << ", pieces of " << piece_macs;
      }
  }
}

// Whether so many threads go one behind the other, or share each step.
bool goes_as_pipeline(const Compiled& executable, int threads, int64_t piece_macs) {
  for (const native::Step& step : executable->program().steps)
    if (step.run == native::run_pipeline) {
      const auto& args = step.as<native::PipelineArgs>();
      return pipelined_cost(args, threads, piece_macs) < shared_cost(args, threads, piece_macs);
    }
  ADD_FAILURE() << "no pipeline";
  return false;
}

TEST(Pipeline, LayersOneBehindTheOtherHaveTheBitsOfOneThread) {
  for (const int64_t steps : {13, 50, 64})
    for (const int64_t rows : {1, 3}) {
      expect_same({.ops = {"LSTM", "LSTM"}, .steps = steps, .rows = rows}, "2 ");
      expect_same({.ops = {"GRU", "LSTM", "GRU"}, .steps = steps, .rows = rows}, "3 ");
      expect_same({.ops = {"LSTM", "LSTM", "LSTM"}, .steps = steps, .rows = rows, .every_layer = true}, "3 ");
    }
}

TEST(Pipeline, MoreLayersThanOneTakesGoInSeveral) {
  expect_same({.ops = std::vector<std::string>(11, "GRU"), .hidden = {8}}, "8 3 ");
}

TEST(Pipeline, WhatNeedsAWholeLayerWaitsForIt) {
  expect_same({.ops = {"LSTM", "LSTM", "LSTM"}, .reversed = 1}, "");
  expect_same({.ops = {"LSTM", "LSTM", "LSTM", "LSTM"}, .reversed = 0}, "3 ");
  expect_same({.ops = {"LSTM", "LSTM", "LSTM"}, .continued = 1}, "2 ");
  expect_same({.ops = {"LSTM", "LSTM", "LSTM"}, .continued = 2}, "2 ");
  expect_same({.ops = {"LSTM", "LSTM", "LSTM"}, .hidden = {20}, .kept = 1}, "2 ");
  expect_same({.ops = {"LSTM", "LSTM", "LSTM"}, .hidden = {20}, .kept = 2}, "2 ");
  expect_same({.ops = {"LSTM", "GRU", "LSTM", "LSTM"}, .two_ways = 1}, "2 ");
  expect_same({.ops = {"LSTM", "LSTM", "LSTM"}, .two_ways = 2}, "2 ");
  expect_same({.ops = {"LSTM", "LSTM"}, .steps = 6}, "");  // one turn
  expect_same({.ops = {"LSTM"}}, "");
}

// By what was measured on two cores, where steps of 32,768 multiply-adds a piece gain: lstm_a 224 us alone, 150 as a
// pipeline, with 187 the most that shared projections give; where one layer is most of it, or there are few turns, or
// threads enough for each step, steps are shared.
TEST(Pipeline, LayersGoOneBehindTheOtherWhereThatIsQuicker) {
  constexpr int64_t kMeasured = 32'768;
  const auto goes = [&](const Stack& stack, int threads) {
    return goes_as_pipeline(compiled(stack, 2, Precision::kFloat32), threads, kMeasured);
  };
  EXPECT_TRUE(goes({.ops = {"LSTM", "LSTM"}, .hidden = {100}}, 2));
  EXPECT_TRUE(goes({.ops = {"LSTM", "LSTM", "LSTM"}, .hidden = {100}}, 2));
  EXPECT_FALSE(goes({.ops = {"LSTM", "LSTM"}, .hidden = {512, 64}}, 2));
  EXPECT_FALSE(goes({.ops = {"LSTM", "LSTM"}, .steps = 12, .hidden = {256}}, 2));
  EXPECT_FALSE(goes({.ops = {"LSTM", "LSTM"}, .hidden = {256}}, 8));
  EXPECT_FALSE(goes({.ops = {"LSTM", "LSTM"}, .hidden = {8}}, 2)) << "too small for either";
  EXPECT_TRUE(goes_as_pipeline(compiled({.ops = {"LSTM", "LSTM"}}, 2, Precision::kFloat32), 2, kPieceMacs));
}

}  // namespace
}  // namespace hayate
