// Which extents of a model's inputs count rows, and whether the rows can be run apart.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>

#include "eval/evaluate.h"
#include "graph/graph.h"

namespace hayate {

using InputTypes = std::map<std::string, TensorType>;

struct Batch {
  int64_t rows = 1;   // the most that one run takes
  std::string fixed;  // not empty: why rows cannot be run apart ("node 'x' (Softmax) mixes rows")
  InputTypes types;   // of the inputs at `rows`
  // (input, axis) whose extent is the number of rows; none where the batch is fixed
  std::set<std::pair<std::string, size_t>> axes;

  // The inputs' types at another number of rows. Requires: fixed is empty, n >= 1.
  InputTypes types_at(int64_t n) const;
  // The same batch with n rows at most. Requires as above.
  Batch at(int64_t n) const { return {n, fixed, types_at(n), axes}; }
};

// The batch is the open first extent of the inputs, and every other extent under the same symbol. `types` are those of
// one run at its most rows; where nothing is open there is one row, the whole. A graph that cannot be followed has a
// fixed batch.
Batch find_batch(const Graph& graph, const InputTypes& types);

// The inputs' types with the batch at `rows`. An error, with the hint to give the shape, where another extent is open.
Result<InputTypes> declared_types(const Graph& graph, int64_t rows);

}  // namespace hayate
