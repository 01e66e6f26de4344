// With which method a tree ensemble runs quickest on this machine: by a watch, where the table of costs is an estimate.
#pragma once

#include "kernels/tree_program.h"

namespace hayate::kernels {

// Every method of `isa` that applies, timed in turns on rows of made-up values beside the ensemble's own thresholds,
// one row a call; the quickest program. Takes tenths of a second for hundreds of trees. Nothing where none applies.
std::optional<TreeProgram> build_measured(const Trees& trees, Isa isa);

}  // namespace hayate::kernels
