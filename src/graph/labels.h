// The attributes of ai.onnx.ml's LabelEncoder, whatever form they have: lists (version 2) or tensors (version 4).
#pragma once

#include "graph/graph.h"

namespace hayate {

// What is looked up, and what is found, one value each: int64, float32, float64, or of a tensor any type. An error
// where they are texts, or not there.
Result<Tensor> label_keys(const Node& node);
Result<Tensor> label_values(const Node& node);
// What stands for a key that is none, as one element of `type`.
Result<Tensor> label_default(const Node& node, Type type);

}  // namespace hayate
