// What nobody asks for is not computed: a model whose head takes the last place of a window needs few of the places
// before, the fewer the deeper the layer.
#pragma once

#include "eval/evaluate.h"
#include "graph/graph.h"

namespace hayate {

// From what takes places of an axis (Gather, Slice) backwards through convolutions, pools and everything that leaves
// the axis apart: each value is made at the places that are needed, start, start + step, ..., alone. Outputs keep
// names, types and bits. `facts` are the graph's; `changed`, where asked for, says whether anything was saved.
Graph needed_places(const Graph& graph, const Facts& facts, bool* changed = nullptr);

}  // namespace hayate
