// What values a model's layers see: the least and the greatest over rows that stand for what it will be run on.
#pragma once

#include <map>
#include <string>

#include "eval/evaluate.h"
#include "graph/graph.h"

namespace hayate {

struct Range {
  float low = 0, high = 0;  // 0 is always within: it is what padding holds
};
using Ranges = std::map<std::string, Range, std::less<>>;

// The node's input 0 and weights may become integers: Gemm, MatMul, Conv of one group, LSTM, GRU, RNN and
// hayate.RecurrentInput whose weights are float32 constants.
bool can_be_integers(const Graph& graph, const Node& node);

// Of input 0 of every such node when the graph runs on `inputs`, whose shapes it is bound to (rewrite/). NaN and
// infinities are left out. Takes the time of one evaluation.
Result<Ranges> find_ranges(const Graph& graph, const std::map<std::string, Tensor>& inputs);

}  // namespace hayate
