#include "backends/skeleton/skeleton_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "eval/evaluate.h"

namespace hayate {
namespace {

using Function = float (*)(float);

Function function_of(const Node& node) {
  if (node.is("Relu")) return [](float x) { return x < 0 ? 0.0f : x; };
  if (node.is("Neg")) return [](float x) { return -x; };
  if (node.is("Identity")) return [](float x) { return x; };
  return nullptr;
}

// 1. What was compiled: everything that a run needs and that never changes. Here a chain of functions on one value.
class SkeletonCompiled : public Compiled {
 public:
  SkeletonCompiled(const Batch& batch, const Graph& graph, std::vector<Function> functions)
      : Compiled(batch), functions_(std::move(functions)) {
    const TensorType& type = batch.types.at(graph.inputs[0].name);
    set_ports({port(graph.inputs[0].name, type)}, {port(graph.outputs[0].name, type)});
  }

  const std::vector<Function>& functions() const { return functions_; }
  std::unique_ptr<State> state() const override;
  std::string text() const override { return fmt::format("{} functions in a row\n", functions_.size()); }

 private:
  std::vector<Function> functions_;
};

// 2. One caller's memory, and the run itself: no allocation, no lock, no exception.
class SkeletonState : public State {
 public:
  explicit SkeletonState(std::shared_ptr<const SkeletonCompiled> compiled)
      : State(compiled), functions_(compiled->functions()) {}

 protected:
  Status run_rows(int64_t n) noexcept override {
    const PortType& port = compiled().inputs()[0];
    const int64_t bytes = compiled().batch().fixed.empty() ? n * port.row_bytes : port.row_bytes;
    std::memcpy(output(0), input(0), static_cast<size_t>(bytes));
    float* values = reinterpret_cast<float*>(output(0));
    for (const Function function : functions_)
      std::transform(values, values + bytes / static_cast<int64_t>(sizeof(float)), values, function);
    return {};
  }
  std::string failure(Status) const override { return "the skeleton does not fail"; }

 private:
  const std::vector<Function>& functions_;
};

std::unique_ptr<State> SkeletonCompiled::state() const {
  return std::unique_ptr<State>(
      new SkeletonState(std::static_pointer_cast<const SkeletonCompiled>(shared_from_this())));
}

// 3. Compiling: take what can be run, refuse the rest by name.
class SkeletonBackend : public Backend {
 public:
  std::string_view name() const override { return "skeleton"; }
  Result<std::shared_ptr<const Compiled>> compile(const Graph& graph, const Batch& batch, const Plan&) const override {
    const auto refuse = [&](const std::string& where, std::string what) {
      return Error{Code::kUnsupported, graph.source + (where.empty() ? "" : ": " + where), std::move(what)};
    };
    if (graph.inputs.size() != 1 || graph.outputs.size() != 1)
      return refuse("", "skeleton takes models of one input and one output");
    if (graph.inputs[0].type != Type::kFloat32) return refuse(graph.inputs[0].text(), "skeleton takes float32");
    std::vector<Function> functions;
    std::string value = graph.inputs[0].name;
    for (const Node& node : graph.nodes) {
      const Function function = function_of(node);
      if (function == nullptr) return refuse(node.where(), "skeleton runs Relu, Neg and Identity");
      if (node.inputs[0] != value) return refuse(node.where(), "skeleton runs chains");
      functions.push_back(function);
      value = node.outputs[0];
    }
    if (value != graph.outputs[0].name) return refuse("", "skeleton gives the last node's output");
    return std::shared_ptr<const Compiled>(std::make_shared<SkeletonCompiled>(batch, graph, std::move(functions)));
  }
};

}  // namespace

const Backend& skeleton_backend() {
  static const SkeletonBackend kBackend;
  return kBackend;
}

}  // namespace hayate
