// An ensemble as the attributes of ai.onnx.ml.TreeEnsemble (version 5).
#pragma once

#include <map>
#include <string>

#include "graph/graph.h"
#include "kernels/trees.h"

namespace hayate {

// The attributes, thresholds and weights as float64 or float32. A base that comes first stands as trees of one leaf
// before all others; a leaf of several weights becomes one tree per output. Average, a base that comes last and how a
// column is prepared (missing zeros, categories) are the caller's. Requires: kernels::fault(trees) is empty, no linear
// leaves, categories prepared as whole numbers.
std::map<std::string, Attribute> tree_lists(const kernels::Trees& trees, bool float64);

}  // namespace hayate
