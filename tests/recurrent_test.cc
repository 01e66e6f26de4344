// LSTM, GRU and RNN: native beside the reference over directions, layouts, states and functions.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "backends/inputs.h"
#include "one_node.h"
#include "stream/split.h"

namespace hayate {
namespace {

struct Options {
  std::string op, direction = "forward";
  bool bias = true, lengths = false, states = false, peephole = false, batch_first = false;
  std::map<std::string, Attribute> attributes = {};

  std::string text() const {
    return op + " " + direction + (lengths ? " lengths" : "") + (states ? " states" : "") +
           (batch_first ? " batch first" : "");
  }
};

OneNode layer(const Options& o, int64_t hidden = 6) {
  const int64_t steps = 5, rows = 3, in = 4,
                gates = o.op == "LSTM"  ? 4
                        : o.op == "GRU" ? 3
                                        : 1,
                directions = o.direction == "bidirectional" ? 2 : 1;
  const Shape state = o.batch_first ? Shape{rows, directions, hidden} : Shape{directions, rows, hidden};
  // The larger the state, the smaller its weights: else five steps of an RNN multiply what the first rounds off by
  // fifty, and the rule for float32 (1e-5 relative and 1e-6) holds by luck, in any order of sums.
  const double over_state = std::min(0.5, 1.25 / std::sqrt(static_cast<double>(hidden)));
  std::vector<Tensor> inputs = {
      random_floats(o.batch_first ? Shape{rows, steps, in} : Shape{steps, rows, in}, 1),
      random_floats({directions, gates * hidden, in}, 2, 0.5),
      random_floats({directions, gates * hidden, hidden}, 3, over_state),
      random_floats({directions, 2 * gates * hidden}, 4),
      Tensor::of<int32_t>({rows}, {5, 2, 3}),
      random_floats(state, 5),
  };
  if (o.op == "LSTM")
    inputs.push_back(random_floats(state, 6)), inputs.push_back(random_floats({directions, 3 * hidden}, 7));
  OneNode one(o.op, inputs, o.attributes, o.op == "LSTM" ? 3 : 2);
  one.node.attributes.emplace("direction", o.direction);
  one.node.attributes.emplace("hidden_size", hidden);
  if (o.batch_first) one.node.attributes.emplace("layout", int64_t{1});
  one.constants = {1, 2, 3, 7};
  if (!o.bias) one.left_out.insert(3);
  if (!o.lengths) one.left_out.insert(4);
  if (!o.states) one.left_out.insert({5, 6});
  if (!o.peephole) one.left_out.insert(7);
  return one;
}

TEST(Recurrent, StatesDirectionsAndLayoutsStayOnVectorKernels) {
  for (const std::string op : {"LSTM", "GRU", "RNN"})
    for (const std::string direction : {"forward", "reverse", "bidirectional"})
      for (const bool states : {false, true})
        for (const bool batch_first : {false, true})
          for (const int64_t reset_last : {0, 1}) {
            if (op != "GRU" && reset_last == 1) continue;
            Options o{.op = op, .direction = direction, .states = states, .batch_first = batch_first};
            if (op == "GRU") o.attributes.emplace("linear_before_reset", reset_last);
            for (const int64_t hidden : {1, 6, 16, 19}) expect_native_equals_reference(layer(o, hidden), 0, o.text());
          }
}

// A state may be carried in one memory, the input's and the output's, though what follows reads both.
TEST(Recurrent, AStateMayBeCarriedInPlace) {
  for (const std::string op : {"LSTM", "GRU", "RNN"}) {
    const OneNode one = layer({.op = op, .states = true});
    Graph graph = one.graph();
    graph.nodes.push_back({"change", "", "Sub", {"o1", "i5"}, {"change"}, {}});
    graph.outputs.push_back({"change", Type::kFloat32, false, {}});
    const auto made = native::NativeExecutable::compile(graph, types_of(one.feeds()), {});
    ASSERT_TRUE(made.ok()) << made.error().text();
    const auto place = [](const auto& ports, const std::string& name) {
      return static_cast<size_t>(
          std::find_if(ports.begin(), ports.end(), [&](const auto& port) { return port.name == name; }) -
          ports.begin());
    };
    std::vector<float> wanted, change;
    for (const bool in_place : {false, true}) {
      native::NativeState state(made.value());
      for (const auto& [name, tensor] : one.feeds())
        std::memcpy(state.input(place(made.value()->inputs(), name)), tensor.bytes(), tensor.byte_count());
      const size_t after = place(made.value()->outputs(), "o1"), changed = place(made.value()->outputs(), "change");
      if (in_place) state.bind_output(after, state.input(place(made.value()->inputs(), "i5")));
      ASSERT_TRUE(state.run().ok());
      const auto floats = [&](size_t output) {
        const auto* first = static_cast<const float*>(static_cast<const void*>(state.output(output)));
        return std::vector<float>(first, first + one.feeds().at("i5").count());
      };
      if (!in_place) wanted = floats(after), change = floats(changed);
      EXPECT_EQ(floats(after), wanted) << op;
      EXPECT_EQ(floats(changed), change) << op;
    }
  }
}

// A layer in two: the reference's parts give what its whole layer gives, native's as many vector kernels as that; also
// where the first product with the state is a node of its own.
TEST(Recurrent, SplitLayersEqualWholeOnes) {
  for (const std::string op : {"LSTM", "GRU"})
    for (const bool bias : {false, true})
      for (const int64_t hidden : {1, 6, 19}) {
        Options o{.op = op, .bias = bias, .states = true};
        if (op == "GRU") o.attributes.emplace("linear_before_reset", int64_t{1});
        const OneNode whole = layer(o, hidden);
        std::map<std::string, TensorType> types;
        for (const auto& [name, tensor] : whole.feeds()) types[name] = {tensor.type(), tensor.shape()};
        const Result<Facts> facts = infer(whole.graph(), types);
        ASSERT_TRUE(facts.ok()) << facts.error().text();
        Graph split = split_recurrences(whole.graph(), facts.value());
        ASSERT_EQ(split.nodes.size(), 2u) << o.text();
        for (const bool apart : {false, true}) {
          if (apart) {
            Node& steps = split.nodes[1];
            Node product{
                "product", "hayate",        "RecurrentProduct", {steps.inputs[3], steps.inputs[1], steps.inputs[2]},
                {"rh"},    steps.attributes};
            steps.inputs.resize(6);
            steps.inputs[5] = "rh";
            if (op == "LSTM") steps.inputs[3].clear();
            split.nodes.insert(split.nodes.begin() + 1, product);
          }
          const auto wanted = whole.reference(), made = evaluate(split, whole.feeds());
          ASSERT_TRUE(wanted.ok() && made.ok()) << (made.ok() ? "" : made.error().text());
          for (const auto& [name, tensor] : wanted.value())
            for (int64_t i = 0; i < tensor.count(); ++i)
              ASSERT_NEAR(made.value().at(name).data<float>()[i], tensor.data<float>()[i], 1e-6)
                  << o.text() << " " << name;
          expect_native_equals_reference(split, whole.feeds(), 0, o.text() + " split");
        }
      }
}

TEST(Recurrent, WhatHasNoPartsStaysWhole) {
  for (Options o :
       {Options{.op = "RNN"}, Options{.op = "GRU"}, Options{.op = "LSTM", .direction = "reverse"},
        Options{.op = "LSTM", .lengths = true}, Options{.op = "LSTM", .peephole = true},
        Options{.op = "LSTM", .batch_first = true}, Options{.op = "LSTM", .attributes = {{"clip", 0.5f}}}}) {
    const OneNode whole = layer(o);
    std::map<std::string, TensorType> types;
    for (const auto& [name, tensor] : whole.feeds()) types[name] = {tensor.type(), tensor.shape()};
    const Result<Facts> facts = infer(whole.graph(), types);
    ASSERT_TRUE(facts.ok());
    EXPECT_EQ(split_recurrences(whole.graph(), facts.value()).nodes.size(), 1u) << o.text();
  }
}

TEST(Recurrent, TheRestRunsOnReferenceKernels) {
  for (const std::string op : {"LSTM", "GRU", "RNN"}) {
    expect_native_equals_reference(layer({.op = op, .lengths = true, .states = true}), 1);
    expect_native_equals_reference(layer({.op = op, .attributes = {{"clip", 0.3f}}}), 1);
  }
  expect_native_equals_reference(layer({.op = "LSTM", .peephole = true}), 1);
  expect_native_equals_reference(layer({.op = "LSTM", .attributes = {{"input_forget", int64_t{1}}}}), 1);
}

TEST(Recurrent, NamedFunctionsOfTheStandardAreTheDefaultsInAnyCase) {
  using Names = std::vector<std::string>;
  expect_native_equals_reference(
      layer({.op = "LSTM", .attributes = {{"activations", Names{"sigmoid", "TANH", "Tanh"}}}}), 0);
  expect_native_equals_reference(layer({.op = "GRU", .attributes = {{"activations", Names{"Sigmoid", "Tanh"}}}}), 0);
  expect_native_equals_reference(layer({.op = "RNN", .attributes = {{"activations", Names{"Relu"}}}}), 0);
}

double rnn_of(const std::string& name, double x, std::vector<float> alpha = {}, std::vector<float> beta = {}) {
  OneNode one("RNN",
              {Tensor::of<float>({1, 1, 1}, {static_cast<float>(x)}), Tensor::of<float>({1, 1, 1}, {1}),
               Tensor::of<float>({1, 1, 1}, {0})},
              {{"activations", std::vector<std::string>{name}}});
  if (!alpha.empty()) one.node.attributes.emplace("activation_alpha", alpha);
  if (!beta.empty()) one.node.attributes.emplace("activation_beta", beta);
  const auto made = one.reference();
  EXPECT_TRUE(made.ok()) << name << (made.ok() ? "" : made.error().text());
  return made.ok() ? to_doubles(made.value().at("o0"))[0] : NAN;
}

TEST(Recurrent, FunctionsOfTheStandardWithTheirParameters) {
  EXPECT_NEAR(rnn_of("Sigmoid", -0.7), 1 / (1 + std::exp(0.7)), 1e-6);
  EXPECT_NEAR(rnn_of("Affine", -0.7), -0.7, 1e-6);
  EXPECT_NEAR(rnn_of("Affine", -0.7, {2}, {0.5}), -0.9, 1e-6);
  EXPECT_NEAR(rnn_of("LeakyRelu", -0.7), -0.007, 1e-6);
  EXPECT_NEAR(rnn_of("LeakyRelu", -0.7, {0.5}), -0.35, 1e-6);
  EXPECT_EQ(rnn_of("ThresholdedRelu", 0.9), 0);
  EXPECT_NEAR(rnn_of("ThresholdedRelu", 0.9, {0.5}), 0.9, 1e-6);
  EXPECT_NEAR(rnn_of("ScaledTanh", 0.9, {3}, {0.5}), 3 * std::tanh(0.45), 1e-6);
  EXPECT_NEAR(rnn_of("HardSigmoid", 0.9), 0.68, 1e-6);
  EXPECT_NEAR(rnn_of("HardSigmoid", 0.9, {0.1}, {0.3}), 0.39, 1e-6);
  EXPECT_NEAR(rnn_of("Elu", -0.7, {2}), 2 * (std::exp(-0.7) - 1), 1e-6);
  EXPECT_NEAR(rnn_of("Softsign", -0.7), -0.7 / 1.7, 1e-6);
  EXPECT_NEAR(rnn_of("softplus", 0.7), std::log1p(std::exp(0.7)), 1e-6);
}

TEST(Recurrent, UnknownFunctionsLayoutsAndShapesAreRefused) {
  const auto refused = [](const OneNode& one, const std::string& wanted) {
    const auto made = one.reference();
    ASSERT_FALSE(made.ok());
    EXPECT_NE(made.error().text().find(wanted), std::string::npos) << made.error().text();
  };
  refused(layer({.op = "RNN", .attributes = {{"activations", std::vector<std::string>{"Sine"}}}}), "'Sine' is unknown");
  refused(layer({.op = "GRU", .attributes = {{"activations", std::vector<std::string>{"Tanh"}}}}),
          "needs 2 activations");
  OneNode one = layer({.op = "LSTM", .states = true});
  one.inputs[6] = random_floats({1, 3, 7}, 1);
  refused(one, "must have shape [1, 3, 6]");
  one.node.attributes["layout"] = int64_t{2};
  refused(one, "layout 2 is unknown");
}

// bench, verify and others make inputs where none are given: lengths too are such as the layer takes.
TEST(Recurrent, LengthsThatAreMadeFitTheSteps) {
  for (const int64_t layout : {0, 1}) {
    const Tensor x = random_floats(layout == 0 ? Shape{4, 9, 2} : Shape{9, 4, 2}, 1);
    const OneNode one("GRU",
                      {x, random_floats({1, 9, 2}, 2), random_floats({1, 9, 3}, 3), random_floats({1, 18}, 4),
                       Tensor(Type::kInt32, {9})},
                      {{"hidden_size", int64_t{3}}, {"layout", layout}});
    const auto made = made_inputs(one.graph(), 1, 7);
    ASSERT_TRUE(made.ok()) << made.error().text();
    const std::vector<int64_t> lengths = to_int64s(made.value().at("i4"));
    EXPECT_GE(*std::min_element(lengths.begin(), lengths.end()), 1);
    EXPECT_LE(*std::max_element(lengths.begin(), lengths.end()), 4);
    EXPECT_TRUE(evaluate(one.graph(), made.value()).ok());
  }
}

}  // namespace
}  // namespace hayate
