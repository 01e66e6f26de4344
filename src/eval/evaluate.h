// Walks a graph with the reference kernels: slow, obvious, the truth for tests, constant folding and calibration.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "eval/kernel.h"
#include "graph/graph.h"
#include "graph/op_table.h"

namespace hayate {

// Runs one node on known inputs: shape rule, then kernel. One tensor per output (empty ones where unasked for).
Result<std::vector<Tensor>> run_node(const Node& node, int64_t opset, const std::vector<const Tensor*>& inputs);

// The graph's outputs for its inputs, by name. Control flow must have been resolved (rewrite/); shapes follow the
// inputs.
Result<std::map<std::string, Tensor>> evaluate(const Graph& graph, const std::map<std::string, Tensor>& inputs);

// What is known of a value before the run: its type, and its contents where they follow from constants and shapes
// alone.
struct Fact {
  TensorType type;
  std::optional<Tensor> value;
};
using Facts = std::map<std::string, Fact, std::less<>>;

// Facts of every value when the inputs have the given types. Contents are followed through constants and small integer
// tensors (at most kFollowedMax elements made from shapes).
Result<Facts> infer(const Graph& graph, const std::map<std::string, TensorType>& inputs);

}  // namespace hayate
