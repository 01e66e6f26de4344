// A graph as an ONNX file's bytes.
#pragma once

#include <map>
#include <string>

#include "graph/graph.h"
#include "graph/op_table.h"

namespace hayate::random_graphs {

// Every output declares its type of `types`, without a shape. Requires: no subgraphs.
std::string onnx_bytes(const Graph& graph, const std::map<std::string, TensorType>& types);

}  // namespace hayate::random_graphs
