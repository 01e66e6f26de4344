// A backend ready to be timed: compiled, with its memory, fed from pools.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tools/model.h"
#include "tools/turns.h"

namespace hayate {

// Random numbers over which a call's inputs slide: inputs vary without leaving the cache.
struct Pools {
  std::vector<Tensor> pools;  // one per input of the model
  int64_t bytes = 0;          // of all

  // At least 256 distinct places; 256 KB for networks, 4,096 rows for trees.
  static Pools make(const Graph& graph, const Tensors& inputs);
};

// Copies `count` elements of call number k out of a pool; float64 becomes float32 where `to` takes those.
void feed_input(const Tensor& pool, size_t k, Type type, int64_t count, std::byte* to);

// Numbers that float32 holds, so that every form of a model is fed the same.
void round_to_float(Tensor* tensor);
// The same numbers as float32, where the model takes float64 and its ONNX form does not.
Tensor narrowed(const Tensor& wide);

struct Contestant : Runner {
  std::string backend, file;  // the file it reads: beside text trees, ONNX Runtime's is the .onnx of the same name
  std::shared_ptr<const Graph> graph;
  Plan plan;
  Tensors inputs;  // of the first call, as its own graph takes them
  std::shared_ptr<const Compiled> compiled;
  std::unique_ptr<State> state;
  double load_ms = 0, compile_ms = 0;  // of its file and for the batch; ONNX Runtime reads the file in its compile
  const Pools* pools = nullptr;        // what its calls are fed from

  void feed(size_t call) override;
  void run() noexcept override { (void)state->run(compiled->batch().rows); }
};

// `inputs` are those of the first call, as the model at options.model takes them; `load_ms` is what loading took; the
// pools outlive it.
Result<std::unique_ptr<Contestant>> make_contestant(const ModelOptions& options, const std::string& backend,
                                                    const std::shared_ptr<const Graph>& graph, const Tensors& inputs,
                                                    const Pools* pools, double load_ms);

}  // namespace hayate
