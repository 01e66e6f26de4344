// Recurrent layers of a graph as two nodes: the products with their input, which belong to a row whatever the window,
// and the steps, which belong to a window.
#pragma once

#include "eval/evaluate.h"
#include "graph/graph.h"

namespace hayate {

// Each forward LSTM, and GRU with linear_before_reset, of the usual functions and float32 weights known before the run
// becomes hayate.RecurrentInput and hayate.RecurrentSteps (graph/rules_recurrent.cc); others stay. `facts` are the
// graph's.
Graph split_recurrences(Graph graph, const Facts& facts);

}  // namespace hayate
