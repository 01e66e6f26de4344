// Nodes in an order in which they can run.
#pragma once

#include "graph/graph.h"

namespace hayate {

// Puts every node behind those that make what it, or a graph inside it, reads; nodes that stand well keep their order.
// What nothing here makes is left to verify(). An error names a node that a
// cycle keeps waiting.
Result<bool> sort_nodes(Graph* graph);

}  // namespace hayate
