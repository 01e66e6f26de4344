// Operators that have a spelling (graph/spelling.h), as graphs of others.
#pragma once

#include <map>
#include <string>

#include "eval/evaluate.h"
#include "eval/kernel.h"

namespace hayate {

// The reference kernel of all of them.
Result<bool> run_spelled(const KernelContext& c);

// The graph with spellings in the place of the nodes that have one, but those on 16-bit floats: these are computed
// without rounding in between. `inputs` are the types it is fed; control flow must be resolved.
Result<Graph> written_out(Graph graph, const std::map<std::string, TensorType>& inputs);

}  // namespace hayate
