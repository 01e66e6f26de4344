// The arrays a command feeds a model: read from .npz, .npy or ONNX .pb and checked against the model's inputs.
#pragma once

#include <map>
#include <string>

#include "eval/evaluate.h"
#include "graph/graph.h"

namespace hayate {

// A single array (.npy, .pb) is taken for the model's only input.
Result<std::map<std::string, Tensor>> read_inputs(const std::string& path, const Graph& graph);

// Those of the graph's defaults that are given become inputs of it.
void open_defaults(Graph* graph, const std::map<std::string, Tensor>& given);

// Every input is there, none besides, each of the type, rank and fixed extents the model states; a symbol has one
// extent throughout. Float32 is widened where the model takes float64.
Result<std::map<std::string, Tensor>> checked_inputs(std::map<std::string, Tensor> given, const Graph& graph);

// Seeded random contents: floats normal, integers 0 to 255, bools.
Tensor random_tensor(Type type, const Shape& shape, uint64_t seed);
// Random inputs; an open first extent (and every other extent of the same symbol) is `batch`. Any other open extent is
// an error that names --shape.
Result<std::map<std::string, Tensor>> made_inputs(const Graph& graph, int64_t batch, uint64_t seed);

std::map<std::string, TensorType> types_of(const std::map<std::string, Tensor>& tensors);

}  // namespace hayate
