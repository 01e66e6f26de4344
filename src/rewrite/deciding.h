// Inputs whose contents a compiled model has to know.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "tensor/tensor.h"

namespace hayate {

// Where shapes or branches do not follow before the run because small inputs decide them (lists of integers, single
// numbers): binds as few of those as are needed to what `fed` holds and gives their names. None where nothing is
// needed, or where binding does not help.
std::vector<std::string> bind_deciding(Graph* graph, const std::map<std::string, Tensor>& fed);

}  // namespace hayate
