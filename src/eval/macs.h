// What a graph costs: multiply-accumulate operations, the unit in which models are compared.
#pragma once

#include "eval/evaluate.h"
#include "graph/graph.h"

namespace hayate {

// Of Gemm, MatMul, convolutions, recurrent layers, attention and the operators quantised from them; 0 for the others.
int64_t macs_of(const Node& node, const Facts& facts);
int64_t macs_of(const Graph& graph, const Facts& facts);

// About how many elementary steps a kernel takes for the node, for limits: its macs, or the elements it reads and
// makes. Requires: facts hold its inputs and outputs.
int64_t work_of(const Node& node, const Facts& facts);

}  // namespace hayate
