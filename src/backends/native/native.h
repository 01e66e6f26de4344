// The engine of our own: a rewritten graph of fixed shapes becomes a flat program over packed weights and one memory
// map.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backends/native/program.h"
#include "compress/ranges.h"
#include "eval/evaluate.h"
#include "graph/graph.h"
#include "kernels/vector/kernels.h"

namespace hayate::native {

struct Port {
  std::string name;
  TensorType type;  // of the whole batch
};

struct NativeOptions {
  kernels::Isa isa = kernels::supported_isas().front();
  bool bf16 = false;                                 // dense, convolution and recurrent layers on bfloat16
  std::shared_ptr<const Ranges> integers = nullptr;  // the same on 8-bit integers, for what these ranges say
  int threads = 1;                                   // that may share a step, with the caller
  std::string trees = {};                            // as Plan has it
  int64_t spin_us = 0;                               // how long the others wait for work before they sleep
  int64_t piece_macs = 1;                            // multiply-adds of a piece that one of them takes, at least
};

class Packing;

// Const and shared: any number of states, on any threads, run it.
class NativeExecutable {
 public:
  // For inputs of exactly these types. Executables compiled with one `packing` share what weights they have in common.
  static Result<std::shared_ptr<const NativeExecutable>> compile(const Graph& graph,
                                                                 const std::map<std::string, TensorType>& inputs,
                                                                 const NativeOptions& options = {},
                                                                 Packing* packing = nullptr);

  const std::vector<Port>& inputs() const { return inputs_; }
  const std::vector<Port>& outputs() const { return outputs_; }
  const Program& program() const { return program_; }
  kernels::Isa isa() const { return isa_; }

 private:
  Program program_;
  std::vector<Port> inputs_, outputs_;
  kernels::Isa isa_ = kernels::Isa::kPlain;
};

// How a run went; trivially copyable, its text comes from the executable.
struct RunStatus {
  int32_t failed_step = -1;  // -1: good

  bool ok() const { return failed_step < 0; }
};

// One caller's memory. One thread at a time.
class NativeState {
 public:
  explicit NativeState(std::shared_ptr<const NativeExecutable> executable);
  // Every input and output must be bound before a run, and `arena` is the caller's: the program's arena_bytes, 64-byte
  // aligned, of which nothing is kept from run to run.
  NativeState(std::shared_ptr<const NativeExecutable> executable, std::byte* arena);

  // Row-major: memory of the state's own, 64-byte aligned, or the caller's where bound, which may begin wherever its
  // type may.
  std::byte* input(size_t i) { return bases_[2 + i]; }
  std::byte* output(size_t i) { return bases_[2 + executable_->inputs().size() + i]; }
  void bind_input(size_t i, std::byte* memory) { bases_[2 + i] = memory; }
  void bind_output(size_t i, std::byte* memory) { bases_[2 + executable_->inputs().size() + i] = memory; }
  // Who helps, with pieces of so many multiply-adds or more; null: nobody. Of no more threads than the executable was
  // compiled for.
  void set_team(Team* team, int64_t piece_macs);
  // No allocation, lock or system call, but in plain steps.
  RunStatus run() noexcept;
  // The same; ticks[i] (base/tsc.h) is what step i took, for finding out where time goes.
  RunStatus run_timed(std::vector<uint64_t>* ticks);
  // In words: a plain step's are its kernel's, which is called again. To be asked before the memory that was bound, and
  // what it holds, changes.
  Error error(RunStatus status) const;

 private:
  Bases bases() const { return {bases_.data(), helped_.team, helped_.piece_macs, helped_.pipelines}; }

  std::shared_ptr<const NativeExecutable> executable_;
  Tensor arena_;
  std::vector<Tensor> memory_;
  std::vector<std::byte*> bases_;
  Bases helped_;  // but for `at`
};

}  // namespace hayate::native
