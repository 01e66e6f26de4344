// Graph to Graph in operators of the ONNX standard alone: what the text importers made (hayate.TreeEnsemble, Objective,
// LinearBooster) is said in ai.onnx and ai.onnx.ml 5.
#pragma once

#include "graph/graph.h"

namespace hayate {

// The same graph where it holds no node of ours. Thresholds, weights, their type and the order of sums stay as they
// were. Refused, by name: linear leaves (LightGBM's linear_tree), a column of which some nodes take zero for missing
// and others do not, or which is a category for some only, and ensembles whose thresholds and sums differ in type.
Result<Graph> in_standard_operators(const Graph& graph);

}  // namespace hayate
