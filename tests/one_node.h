// One operator as a graph of its own: the reference's answer, and native's beside it on every instruction set.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "backends/native/native.h"
#include "eval/evaluate.h"

namespace hayate {

struct OneNode {
  Node node;
  std::vector<Tensor> inputs;
  std::set<size_t> left_out, constants;  // of the inputs
  int64_t opset = 17;

  // A node whose inputs are i0, i1, ... and whose outputs are o0, o1, ...
  OneNode(const std::string& op, std::vector<Tensor> given, std::map<std::string, Attribute> attributes = {},
          size_t outputs = 1, const std::string& domain = "")
      : node{op, domain, op, {}, {}, std::move(attributes)}, inputs(std::move(given)) {
    for (size_t i = 0; i < outputs; ++i) node.outputs.push_back(std::string("o").append(std::to_string(i)));
  }

  Graph graph() const {
    Graph made;
    made.source = "made";
    made.opset = opset;
    Node own = node;
    for (size_t i = 0; i < inputs.size(); ++i) {
      own.inputs.push_back(left_out.contains(i) ? "" : std::string("i").append(std::to_string(i)));
      if (left_out.contains(i)) continue;
      if (constants.contains(i)) {
        made.constants.emplace(own.inputs.back(), inputs[i]);
        continue;
      }
      ValueInfo info{own.inputs.back(), inputs[i].type(), true, {}};
      for (const int64_t extent : inputs[i].shape()) info.dims.push_back({extent, ""});
      made.inputs.push_back(info);
    }
    for (const std::string& name : own.outputs)
      if (!name.empty()) made.outputs.push_back({name, Type::kFloat32, false, {}});
    made.nodes = {own};
    return made;
  }

  std::map<std::string, Tensor> feeds() const {
    std::map<std::string, Tensor> made;
    for (size_t i = 0; i < inputs.size(); ++i)
      if (!left_out.contains(i) && !constants.contains(i))
        made.emplace(std::string("i").append(std::to_string(i)), inputs[i]);
    return made;
  }

  Result<std::map<std::string, Tensor>> reference() const { return evaluate(graph(), feeds()); }
};

inline Tensor random_floats(const Shape& shape, uint64_t seed, double scale = 1.0) {
  Tensor made(Type::kFloat32, shape);
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal(0, scale);
  for (int64_t i = 0; i < made.count(); ++i) made.data<float>()[i] = static_cast<float>(normal(random));
  return made;
}

// Native gives what the reference gives, on every instruction set: integers the same, floats within 1e-6 + 1e-5 of the
// value. `plain_steps`: how many of its steps may be reference kernels (-1: any number).
inline void expect_native_equals_reference(const Graph& graph, const std::map<std::string, Tensor>& feeds,
                                           int plain_steps, const std::string& what = "") {
  const auto wanted = evaluate(graph, feeds);
  ASSERT_TRUE(wanted.ok()) << what << " " << wanted.error().text();
  std::map<std::string, TensorType> types;
  for (const auto& [name, tensor] : feeds) types[name] = {tensor.type(), tensor.shape()};
  for (const kernels::Isa isa : kernels::supported_isas()) {
    const auto made = native::NativeExecutable::compile(graph, types, {isa});
    ASSERT_TRUE(made.ok()) << what << " " << made.error().text();
    if (plain_steps >= 0) {
      EXPECT_EQ(made.value()->program().plain_steps, plain_steps) << what;
    }
    native::NativeState state(made.value());
    for (size_t i = 0; i < made.value()->inputs().size(); ++i) {
      const Tensor& given = feeds.at(made.value()->inputs()[i].name);
      std::memcpy(state.input(i), given.bytes(), given.byte_count());
    }
    for (int again = 0; again < 2; ++again) ASSERT_TRUE(state.run().ok()) << what;
    for (size_t i = 0; i < made.value()->outputs().size(); ++i) {
      const auto& port = made.value()->outputs()[i];
      const std::vector<double> have = to_doubles(Tensor(port.type.type, port.type.shape, state.output(i))),
                                want = to_doubles(wanted.value().at(port.name));
      ASSERT_EQ(have.size(), want.size()) << what;
      for (size_t k = 0; k < have.size(); ++k) {
        if (have[k] == want[k] || (std::isnan(want[k]) && std::isnan(have[k]))) continue;
        ASSERT_LE(std::fabs(have[k] - want[k]), 1e-6 + 1e-5 * std::fabs(want[k]))
            << what << " " << kernels::isa_name(isa) << " " << port.name << " element " << k;
      }
    }
  }
}

inline void expect_native_equals_reference(const OneNode& one, int plain_steps, const std::string& what = "") {
  expect_native_equals_reference(one.graph(), one.feeds(), plain_steps, what);
}

}  // namespace hayate
