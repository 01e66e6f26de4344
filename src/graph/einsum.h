// An Einsum equation over operands of known shapes, as loops: one extent per label, and how each operand walks them.
#pragma once

#include <string>
#include <vector>

#include "graph/op_table.h"

namespace hayate {

struct EinsumLoops {
  Shape output;                // extents of the output's labels, in its order
  Shape summed;                // extents of the labels that only the operands have
  std::vector<Shape> strides;  // per operand: over output's labels, then over those summed
};

// The loops of the node's `equation`; an error says which part does not fit.
Result<EinsumLoops> einsum_loops(const Node& node, const std::vector<Shape>& shapes);

}  // namespace hayate
