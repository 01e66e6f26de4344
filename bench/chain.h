// A model as the chain of layers that it is, for a peer that has layers and no graphs.
#pragma once

#include <memory>
#include <vector>

#include "graph/graph.h"
#include "peer.h"

namespace hayate::peers {

enum class LayerKind : uint8_t { kDense, kLstm, kGru };

// Weights as the ONNX operator has them: of Gemm, LSTM or GRU (linear_before_reset).
struct Layer {
  LayerKind kind = LayerKind::kDense;
  const Tensor *weights = nullptr, *recurrent = nullptr, *bias = nullptr;  // recurrent: not of kDense
  bool transposed = false, relu = false;                                   // kDense; transposed: [outputs, inputs]
};

// Recurrent layers, forward along the window from a state of zeros, come first; the dense ones take their last step.
struct Chain {
  std::shared_ptr<const Graph> graph;  // whose constants the layers point to
  std::vector<Layer> layers;
  bool softmax = false;  // at the end
};

// Of the model rewritten for the job's inputs; an error where it is anything else. Which axis is the time, and whether
// states are zeros, is checked; what is not shows in the peer's error.
Result<Chain> chain_of(const Job& job, const char* peer);

}  // namespace hayate::peers
