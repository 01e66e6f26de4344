// The least time in which this machine could give a model's answer, from what the model must read and compute and the
// measured peaks of one core. A floor to hold figures against, not a promise: what only moves data is not in it.
#pragma once

#include <string>
#include <vector>

#include "backends/batch.h"
#include "eval/evaluate.h"
#include "graph/graph.h"
#include "hayate/stream.h"
#include "tune/peaks.h"

namespace hayate {

// What one run of a graph must do.
struct Work {
  int64_t macs = 0;
  int64_t weight_bytes = 0;  // of float constants and trees: where they fit decides how fast they are read
  int64_t held_bytes = 0;    // of all that are read in turn with them
  // Weights that a recurrent layer reads again at every step but the first: from where they themselves fit.
  struct Again {
    int64_t bytes = 0, times = 0;
  };
  std::vector<Again> again;
  int64_t functions = 0;     // values of sigmoid, tanh, exp and their like
  int64_t ordered_sums = 0;  // additions of which each waits for the one before: leaves of trees
};
Work work_of(const Graph& graph, const Facts& facts);
// Of a model as a backend runs it: rewritten, and no place made that nobody asks for.
Result<Work> work_of(const Graph& model, const InputTypes& types);
// Of a stream from a row to its answer. What is read after the answer takes turns with that.
Result<Work> work_of_answer(const StreamExecutable& stream);

struct Bound {
  double us = 0;
  std::string of;  // "weights from L2", "multiply-adds", "functions" or "ordered sums": the largest part
};
// Reading and multiplying go on at once; functions and ordered sums come on top.
Bound bound_of(const Work& work, const Peaks& peaks);

}  // namespace hayate
