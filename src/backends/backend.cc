#include "backends/backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "backends/native/native_backend.h"
#include "backends/onnxruntime/ort_backend.h"
#include "backends/reference/reference_backend.h"
#include "backends/skeleton/skeleton_backend.h"
#include "graph/limits.h"
#include "rewrite/rewrite.h"

namespace hayate {

void Compiled::set_ports(std::vector<PortType> inputs, std::vector<PortType> outputs) {
  inputs_ = std::move(inputs), outputs_ = std::move(outputs);
}

PortType Compiled::port(const std::string& name, const TensorType& type) const {
  const int64_t bytes = checked_count(type.shape).value() * static_cast<int64_t>(type_size(type.type));
  return {name, type, batch_.fixed.empty() ? bytes / std::max<int64_t>(batch_.rows, 1) : bytes, false};
}

State::State(std::shared_ptr<const Compiled> compiled)
    : compiled_(std::move(compiled)),
      memory_of_outputs_(compiled_->inputs().size()),
      rows_(compiled_->batch().rows),
      fixed_(!compiled_->batch().fixed.empty()) {
  for (const std::vector<PortType>* ports : {&compiled_->inputs(), &compiled_->outputs()})
    for (const PortType& port : *ports) {
      memory_.emplace_back(port.open ? Type::kUInt8 : port.type.type, port.open ? Shape{0} : port.type.shape);
      ports_.push_back(memory_.back().bytes());
    }
}

TensorType State::made(size_t i, int64_t n) const {
  TensorType type = compiled_->outputs()[i].type;
  if ((!fixed_ || n == 0) && !type.shape.empty()) type.shape[0] = n;
  return type;
}

std::string State::text(Status status) const {
  if (status.ok()) return "good";
  if (status.code != Status::kBatch) return printable(failure(status));
  return fixed_ ? fmt::format("{} rows were asked for; the batch is fixed at {}: {}", status.value, rows_,
                              compiled_->batch().fixed)
                : fmt::format("{} rows were asked for; 0 to {} are accepted", status.value, rows_);
}

const std::vector<const Backend*>& backends() {
  static const std::vector<const Backend*> kAll = {&native_backend(), &ort_backend(), &reference_backend()};
  return kAll;
}

const Backend* find_backend(std::string_view name) {
  for (const Backend* backend : backends())
    if (backend->name() == name) return backend;
  return skeleton_backend().name() == name ? &skeleton_backend() : nullptr;
}

std::string backend_names() {
  std::string names;
  for (const Backend* backend : backends()) names += (names.empty() ? "" : ", ") + std::string(backend->name());
  return names;
}

Result<std::shared_ptr<const Compiled>> compile_graph(const Graph& graph, const InputTypes& types, const Plan& plan) {
  return compile_graph(graph, find_batch(graph, types), plan);
}

Result<std::shared_ptr<const Compiled>> compile_graph(const Graph& graph, const Batch& batch, const Plan& plan) {
  if (!plan.machine.empty() && plan.depends_on_machine() && plan.machine != Plan::this_machine())
    return Error{
        Code::kUnsupported, "plan",
        fmt::format("was made for machine {}, this one is {}: make it again here, or leave its instruction set, "
                    "threads, library and provider at their defaults",
                    plan.machine, Plan::this_machine())};
  if (plan.precision != "fp32" && plan.precision != "bf16" && plan.precision != "int8")
    return Error{Code::kInvalidArgument, "plan",
                 fmt::format("precision is '{}'; fp32, bf16 and int8 are accepted", plan.precision)};
  if (plan.precision != "fp32" && plan.backend != "native")
    return Error{Code::kUnsupported, "plan",
                 fmt::format("precision {} is native's; {} runs a model as it is: give it one of that precision "
                             "(hayate convert --precision int8)",
                             plan.precision, plan.backend)};
  const Backend* backend = find_backend(plan.backend);
  if (backend == nullptr)
    return Error{Code::kUnsupported, "plan",
                 fmt::format("backend '{}' is not known; there are {}", plan.backend, backend_names())};
  if (graph.nodes.size() > kNodesMax)
    return Error{Code::kResourceExhausted, graph.source,
                 fmt::format("has {} nodes; graphs of up to {} are compiled", graph.nodes.size(), kNodesMax)};
  MemoryClaim work;
  if (const Result<bool> room = claim_work(0, graph, &work); !room.ok()) return room.error();
  auto compiled = backend->compile(graph, batch, plan);
  if (!compiled.ok()) return compiled;
  int64_t bytes = 0;  // of a state's inputs and outputs: making one cannot fail
  for (const auto* ports : {&compiled.value()->inputs(), &compiled.value()->outputs()})
    for (const PortType& port : *ports)
      bytes += port.open ? 0 : checked_count(port.type.shape).value() * static_cast<int64_t>(type_size(port.type.type));
  if (const Result<bool> room = room_for(bytes, graph.source + ": inputs and outputs of one run"); !room.ok())
    return room.error();
  return compiled;
}

Result<std::map<std::string, Tensor>> run_on(State* state, const std::map<std::string, Tensor>& inputs) {
  const Compiled& compiled = state->compiled();
  int64_t rows = compiled.batch().rows;
  for (size_t i = 0; i < compiled.inputs().size(); ++i) {
    const Tensor& tensor = inputs.at(compiled.inputs()[i].name);
    for (const auto& [name, axis] : compiled.batch().axes)
      if (name == compiled.inputs()[i].name) rows = tensor.shape()[axis];
    std::memcpy(state->input(i), tensor.bytes(), tensor.byte_count());
  }
  const Status status = state->run(rows);
  if (!status.ok()) return Error{Code::kOutOfRange, "", state->text(status)};
  std::map<std::string, Tensor> outputs;
  for (size_t i = 0; i < compiled.outputs().size(); ++i) {
    const TensorType type = state->made(i, rows);
    Tensor tensor(type.type, type.shape);
    std::memcpy(tensor.bytes(), state->output(i), tensor.byte_count());
    outputs.emplace(compiled.outputs()[i].name, std::move(tensor));
  }
  return outputs;
}

}  // namespace hayate
