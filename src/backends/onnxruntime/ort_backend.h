// ONNX Runtime behind the common interface.
#pragma once

#include "backends/backend.h"

namespace hayate {

// Reads the graph's file itself, as it is: graph.source must be ONNX. Inputs that were bound to constants are fed.
const Backend& ort_backend();

}  // namespace hayate
