// How operators meet float16 and bfloat16: most are computed on float64 and rounded once, at their outputs, so that
// rules and kernels know nothing of 16-bit floats.
#pragma once

#include "graph/op_table.h"

namespace hayate {

// False for operators that move or convert elements: their rules and kernels take 16-bit floats as they are.
bool widens_halves(const Node& node);

// The rule's answer for the context with wider floats in the place of 16-bit floats, narrowed again where the type of
// an output follows theirs. Refused where a float64 or a float32 must not stand in their place. Requires:
// widens_halves(c.node), and some input is a 16-bit float.
Result<Types> widened_types(const OpEntry& entry, const ShapeContext& c);

}  // namespace hayate
