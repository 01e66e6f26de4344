#include "conformance/backends.h"

#include <fmt/format.h>

#include <cstring>

#include "backends/native/native.h"
#include "eval/evaluate.h"
#include "rewrite/bind.h"

namespace hayate::conformance {
namespace {

std::map<std::string, TensorType> types(const NamedTensors& tensors) {
  std::map<std::string, TensorType> types;
  for (const auto& [name, tensor] : tensors) types.emplace(name, TensorType{tensor.type(), tensor.shape()});
  return types;
}

Result<NamedTensors> run_reference(const Graph& graph, const NamedTensors& inputs) {
  const Result<Graph> resolved = resolve_branches(graph, types(inputs));
  if (!resolved.ok()) return resolved.error();
  return evaluate(resolved.value(), inputs);
}

Result<NamedTensors> run_native(const Graph& graph, const NamedTensors& inputs, kernels::Isa isa) {
  const auto executable = native::NativeExecutable::compile(graph, types(inputs), {.isa = isa});
  if (!executable.ok()) return executable.error();
  if (executable.value()->isa() != isa)
    return Error{
        Code::kInternal, "native",
        fmt::format("runs {} when told {}", kernels::isa_name(executable.value()->isa()), kernels::isa_name(isa))};
  native::NativeState state(executable.value());
  const auto& ports = executable.value()->inputs();
  for (size_t i = 0; i < ports.size(); ++i) {
    const Tensor& tensor = inputs.at(ports[i].name);
    std::memcpy(state.input(i), tensor.bytes(), tensor.byte_count());
  }
  if (const native::RunStatus status = state.run(); !status.ok()) return state.error(status);
  NamedTensors outputs;
  for (size_t i = 0; i < executable.value()->outputs().size(); ++i) {
    const native::Port& port = executable.value()->outputs()[i];
    Tensor tensor(port.type.type, port.type.shape);
    std::memcpy(tensor.bytes(), state.output(i), tensor.byte_count());
    outputs.emplace(port.name, tensor);
  }
  return outputs;
}

}  // namespace

std::vector<Backend> backends() {
  std::vector<Backend> all{{"reference", run_reference}};
  for (const kernels::Isa isa : kernels::supported_isas())
    all.push_back({fmt::format("native_{}", kernels::isa_name(isa)),
                   [isa](const Graph& graph, const NamedTensors& inputs) { return run_native(graph, inputs, isa); }});
  return all;
}

}  // namespace hayate::conformance
