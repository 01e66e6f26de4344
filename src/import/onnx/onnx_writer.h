// Graph to ONNX files.
#pragma once

#include <string>

#include "graph/graph.h"

namespace hayate {

// The bytes of a valid model with the graph's names, inputs, constants (as initializers) and nodes; nodes of ours are
// said in operators of the standard (standard_ops.h) where the standard can. Functions were inlined and external data
// read when the graph was: they come out inside. `ml_opset` is the newest version of ai.onnx.ml that the reader of the
// file takes (1 to 5): what needs a newer one is refused by name, and so are models past 2 GB.
constexpr int64_t kMlOpsetMax = 5;
Result<std::string> export_onnx(const Graph& graph, int64_t ml_opset = kMlOpsetMax);

// The same to a file, which is replaced whole or left as it was.
Result<bool> export_onnx(const Graph& graph, const std::string& path, int64_t ml_opset = kMlOpsetMax);

}  // namespace hayate
