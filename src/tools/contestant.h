// A backend ready to be timed: compiled, with its memory, fed from pools.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tools/model.h"

namespace hayate {

// Random numbers over which a call's inputs slide: inputs vary without leaving the cache.
struct Pools {
  std::vector<Tensor> pools;  // one per input of the model
  int64_t bytes = 0;          // of all

  // At least 256 distinct places; 256 KB for networks, 4,096 rows for trees.
  static Pools make(const Graph& graph, const Tensors& inputs);
};

struct Contestant {
  std::string backend, file;  // the file it reads: beside text trees, ONNX Runtime's is the .onnx of the same name
  std::shared_ptr<const Graph> graph;
  Plan plan;
  Tensors inputs;  // of the first call, as its own graph takes them
  std::shared_ptr<const Compiled> compiled;
  std::unique_ptr<State> state;
  double load_ms = 0, compile_ms = 0;  // of its file and for the batch; ONNX Runtime reads the file in its compile
  std::vector<uint64_t> ticks;         // of each call that counts

  // Copies call number k's inputs out of the pools.
  void feed(const Pools& pools, size_t k);
  Status run() noexcept { return state->run(compiled->batch().rows); }
};

// `inputs` are those of the first call, as the model at options.model takes them; `load_ms` is what loading took.
Result<Contestant> make_contestant(const ModelOptions& options, const std::string& backend,
                                   const std::shared_ptr<const Graph>& graph, const Tensors& inputs, double load_ms);

}  // namespace hayate
