// The one interface of everything that runs graphs. A Backend compiles; a Compiled is const and shared; a State is one
// caller's memory. To start a backend of your own, copy skeleton/.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "backends/batch.h"
#include "graph/graph.h"
#include "hayate/plan.h"
#include "hayate/status.h"
#include "tensor/tensor.h"

namespace hayate {

// An input or output of a compiled model.
struct PortType {
  std::string name;
  TensorType type;        // at the most rows
  int64_t row_bytes = 0;  // of one row; of everything where the batch is fixed
  bool open = false;      // an output whose shape follows from values: known after a run, in State::made(i)
};

class State;

// Any number of threads read it, and make states of it.
class Compiled : public std::enable_shared_from_this<Compiled> {
 public:
  virtual ~Compiled() = default;
  Compiled(const Compiled&) = delete;
  Compiled& operator=(const Compiled&) = delete;

  const Batch& batch() const { return batch_; }
  const std::vector<PortType>& inputs() const { return inputs_; }
  const std::vector<PortType>& outputs() const { return outputs_; }

  virtual std::unique_ptr<State> state() const = 0;
  virtual std::string text() const = 0;                // for a person: one line per step, where it has steps
  virtual int64_t plain_steps() const { return 0; }    // that reference kernels run for want of a fast form
  virtual int64_t weight_bytes() const { return 0; }   // shared by all states; 0: not known
  virtual int64_t session_bytes() const { return 0; }  // of each state, inputs and outputs apart; 0: not known

 protected:
  explicit Compiled(Batch batch) : batch_(std::move(batch)) {}
  // To be called once, while making it.
  void set_ports(std::vector<PortType> inputs, std::vector<PortType> outputs);
  // A port of that type at the batch's most rows, row_bytes reckoned.
  PortType port(const std::string& name, const TensorType& type) const;

 private:
  Batch batch_;
  std::vector<PortType> inputs_, outputs_;
};

// One thread at a time.
class State {
 public:
  virtual ~State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  const Compiled& compiled() const { return *compiled_; }

  // Row r of input i lies at input(i) + r * row_bytes. Memory of the state's own, 64-byte aligned, or the caller's
  // where bound, which may begin wherever its type may: row-major, for the most rows. Binding null gives back the
  // state's own. Outputs with open shapes cannot be bound.
  std::byte* input(size_t i) const { return ports_[i]; }
  std::byte* output(size_t i) const { return ports_[memory_of_outputs_ + i]; }
  void bind_input(size_t i, std::byte* memory) { bind(i, memory); }
  void bind_output(size_t i, std::byte* memory) { bind(memory_of_outputs_ + i, memory); }

  // Rows 0 to n - 1. Any n from 0 to batch().rows; where the batch is fixed, 0 or all. Zero rows touch nothing.
  Status run(int64_t n) noexcept {
    if (n == 0) return {};
    if (n < 0 || n > rows_ || (fixed_ && n != rows_)) return {Status::kBatch, -1, n};
    return run_rows(n);
  }
  // The same in two halves, for backends that work elsewhere meanwhile: submit, then wait once.
  virtual void submit(int64_t n) noexcept { submitted_ = run(n); }
  virtual Status wait() noexcept { return submitted_; }

  // What the last run of n rows made: type and shape of output i.
  virtual TensorType made(size_t i, int64_t n) const;
  std::string text(Status status) const;

 protected:
  explicit State(std::shared_ptr<const Compiled> compiled);

  // Requires: 1 <= n <= batch().rows, and all of them where the batch is fixed.
  virtual Status run_rows(int64_t n) noexcept = 0;
  // Words for a status of code kValue or kFailed that run_rows gave.
  virtual std::string failure(Status status) const = 0;
  // Another place for output i: what a backend that makes its outputs itself calls after a run.
  void place_output(size_t i, std::byte* memory) { ports_[memory_of_outputs_ + i] = memory; }

 private:
  void bind(size_t at, std::byte* memory) { ports_[at] = memory == nullptr ? memory_[at].bytes() : memory; }

  std::shared_ptr<const Compiled> compiled_;
  size_t memory_of_outputs_ = 0;
  int64_t rows_ = 1;
  bool fixed_ = false;
  std::vector<Tensor> memory_;
  std::vector<std::byte*> ports_;  // where inputs, then outputs, lie now
  Status submitted_;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view name() const = 0;
  // An error is a refusal, with its reason. Nobody else is asked instead.
  virtual Result<std::shared_ptr<const Compiled>> compile(const Graph& graph, const Batch& batch,
                                                          const Plan& plan) const = 0;
};

// All there are, the fastest first; the skeleton is found by its name alone.
const std::vector<const Backend*>& backends();
const Backend* find_backend(std::string_view name);
std::string backend_names();  // "native, onnxruntime, reference"

// The door: plan.backend compiles the graph for inputs of these types, open extents at the most rows. A plan made for
// another machine is refused where it depends on the machine.
Result<std::shared_ptr<const Compiled>> compile_graph(const Graph& graph, const InputTypes& types, const Plan& plan);
Result<std::shared_ptr<const Compiled>> compile_graph(const Graph& graph, const Batch& batch, const Plan& plan);

// A run on tensors, for tools and tests: copied in, run, copied out. Inputs are of the types compiled for; where the
// batch is not fixed, all of as many rows, the most or fewer.
Result<std::map<std::string, Tensor>> run_on(State* state, const std::map<std::string, Tensor>& inputs);

}  // namespace hayate
