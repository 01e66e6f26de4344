// What the versions of ai.onnx.ml say apart.
#pragma once

#include <cstdint>

#include "graph/graph.h"

namespace hayate {

// Rewrites a node of ai.onnx.ml `version` so that it means the same in the newest. The operators read here are the same
// in all of them but LabelEncoder: before version 4 a key that is NaN stands for nothing, since it equals no number.
void read_as_newest(int64_t version, Node* node);

}  // namespace hayate
