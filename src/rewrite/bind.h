// Fixes what a graph leaves open before it runs: inputs bound to constants, and the branches that then are known.
#pragma once

#include <map>
#include <string>

#include "eval/evaluate.h"
#include "graph/graph.h"

namespace hayate {

// Turns the input `name` into a constant holding `value` (a number, of the input's type). Errors name the inputs there
// are.
Result<bool> bind_input(Graph* graph, const std::string& name, const std::string& value);

// The same from "NAME=VALUE".
Result<bool> bind_text(Graph* graph, const std::string& text);
// Fixes the shape of an input: "NAME:D1,D2,...". Its fixed extents must agree.
Result<bool> fix_shape(Graph* graph, const std::string& given);

// Replaces every If whose condition follows from constants and shapes by the branch it takes. An If that depends on
// what the model is fed is refused, with the hint to bind it. Scan and Loop are unrolled, one copy of their body per
// step. `inputs` are the types the graph will be fed. `deciding` takes the names of the conditions and numbers of
// steps.
Result<Graph> resolve_branches(Graph graph, const std::map<std::string, TensorType>& inputs,
                               std::vector<std::string>* deciding = nullptr);

}  // namespace hayate
