// Whether the rows of a batch can be computed apart from each other: the licence to run a batch in pieces.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "eval/evaluate.h"
#include "graph/graph.h"

namespace hayate {

// Follows the first axis of the inputs through every node, at two batch sizes. Empty: each output's row r follows from
// the inputs' row r alone, and its first axis is the batch. Else the reason ("node 'x' (Softmax) mixes rows");
// operators not known to keep rows apart count as mixing. `inputs(n)` gives the types at batch n; control flow must be
// resolved, by the values `deciding`.
std::string rows_depend(const Graph& graph, const std::map<std::string, TensorType>& at_3,
                        const std::map<std::string, TensorType>& at_5, const std::vector<std::string>& deciding = {});

// Every element of the outputs follows from the elements at its place (or repeated to it) in the inputs.
bool is_elementwise(const Node& node);

}  // namespace hayate
