// Recurrent layers on several threads, one behind the other: the bits of one thread, and which layers go so.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "base/team.h"
#include "one_node.h"

namespace hayate {
namespace {

struct Stack {
  std::vector<std::string> ops;  // of the layers
  int64_t steps = 50, rows = 1;
  std::vector<int64_t> hidden = {16, 33, 20};  // in turn
  size_t reversed = SIZE_MAX;                  // a layer
  size_t continued = SIZE_MAX;                 // a layer whose first state is the last of the layer before
  bool every_layer = false;                    // is an output too

  Graph graph() const {
    Graph made;
    made.source = "stack", made.opset = 17;
    made.inputs.push_back({"x", Type::kFloat32, true, {{steps, ""}, {rows, ""}, {7, ""}}});
    made.constants.emplace("axes", Tensor::of<int64_t>({1}, {1}));
    std::string x = "x";
    int64_t in = 7;
    for (size_t i = 0; i < ops.size(); ++i) {
      const std::string name = "l" + std::to_string(i);
      const int64_t units = continued == i ? in : hidden[i % hidden.size()], gates = ops[i] == "LSTM" ? 4 : 3;
      const auto constant = [&](const char* what, const Shape& shape) {
        made.constants.emplace(name + what, random_floats(shape, static_cast<unsigned>(3 * i + shape.size()), 0.4));
        return name + what;
      };
      Node node{name,
                "",
                ops[i],
                {x, constant("w", {1, gates * units, in}), constant("r", {1, gates * units, units}),
                 constant("b", {1, 2 * gates * units})},
                {name + "y", name + "h"},
                {{"hidden_size", units}}};
      if (ops[i] == "GRU") node.attributes.emplace("linear_before_reset", int64_t{1});
      if (reversed == i) node.attributes.emplace("direction", std::string("reverse"));
      if (continued == i) node.inputs.resize(5), node.inputs.push_back("l" + std::to_string(i - 1) + "h");
      made.nodes.push_back(node);
      made.nodes.push_back({name + "squeeze", "", "Squeeze", {name + "y", "axes"}, {name + "x"}, {}});
      if (every_layer || i + 1 == ops.size()) made.outputs.push_back({name + "x", Type::kFloat32, false, {}});
      x = name + "x", in = units;
    }
    return made;
  }
};

using Compiled = std::shared_ptr<const native::NativeExecutable>;

Compiled compiled(const Stack& stack, int threads, bool bf16) {
  native::NativeOptions options;
  options.threads = threads, options.bf16 = bf16;
  const auto made = native::NativeExecutable::compile(stack.graph(),
                                                      {{"x", {Type::kFloat32, {stack.steps, stack.rows, 7}}}}, options);
  EXPECT_TRUE(made.ok()) << made.error().text();
  return made.value();
}

std::vector<std::string> answers(const Compiled& executable, const Tensor& x, Team* team) {
  native::NativeState state(executable);
  state.set_team(team, 1);
  std::vector<std::string> made;
  for (int again = 0; again < (team == nullptr ? 1 : 20); ++again) {
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
  for (const bool bf16 : {false, true}) {
    const Compiled alone = compiled(stack, 1, bf16), shared = compiled(stack, 3, bf16);
    EXPECT_EQ(groups(alone), "");
    EXPECT_EQ(groups(shared), wanted_groups);
    const std::vector<std::string> wanted = answers(alone, x, nullptr);
    EXPECT_EQ(answers(shared, x, nullptr), wanted) << "nobody helps";
    for (const int threads : {1, 2, 3}) {
      Team team(threads, std::chrono::microseconds(100));
      EXPECT_EQ(answers(shared, x, &team), wanted) << threads << " threads, bf16 " << bf16;
    }
  }
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
  expect_same({.ops = {"LSTM", "LSTM"}, .steps = 6}, "");  // one turn
  expect_same({.ops = {"LSTM"}}, "");
}

}  // namespace
}  // namespace hayate
