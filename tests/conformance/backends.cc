#include "conformance/backends.h"

#include <fmt/format.h>

#include "backends/backend.h"
#include "kernels/vector/kernels.h"

namespace hayate::conformance {
namespace {

Result<NamedTensors> run(const Plan& plan, const Graph& graph, const NamedTensors& inputs) {
  InputTypes types;
  for (const auto& [name, tensor] : inputs) types.emplace(name, TensorType{tensor.type(), tensor.shape()});
  const auto compiled = compile_graph(graph, types, plan);
  if (!compiled.ok()) return compiled.error();
  if (!plan.isa.empty() && compiled.value()->text().find(plan.isa + ",") == std::string::npos)
    return Error{Code::kInternal, plan.backend, fmt::format("does not say that it runs {}", plan.isa)};
  const std::unique_ptr<State> state = compiled.value()->state();
  return run_on(state.get(), inputs);
}

}  // namespace

std::vector<Backend> backends() {
  std::vector<Backend> all;
  const auto add = [&](const std::string& name, const Plan& plan) {
    all.push_back({name, [plan](const Graph& graph, const NamedTensors& inputs) { return run(plan, graph, inputs); }});
  };
  Plan plan;
  plan.backend = "reference";
  add("reference", plan);
  plan.backend = "native";
  for (const kernels::Isa isa : kernels::supported_isas()) {
    plan.isa = kernels::isa_name(isa);
    add("native_" + plan.isa, plan);
  }
  return all;
}

}  // namespace hayate::conformance
