#include "backends/reference/reference_backend.h"

#include <cstring>

#include "eval/evaluate.h"
#include "eval/trees.h"
#include "rewrite/bind.h"

namespace hayate {
namespace {

class ReferenceCompiled : public Compiled {
 public:
  // The facts are an error (of code kUnsupported) where shapes follow from values.
  ReferenceCompiled(const Batch& batch, Graph graph, const Result<Facts>& facts)
      : Compiled(batch), graph_(std::move(graph)) {
    std::vector<PortType> inputs, outputs;
    for (const ValueInfo& input : graph_.inputs) inputs.push_back(port(input.name, batch.types.at(input.name)));
    for (const ValueInfo& output : graph_.outputs) {
      if (facts.ok())
        outputs.push_back(port(output.name, facts.value().find(output.name)->second.type));
      else
        outputs.push_back({output.name, {output.type, {0}}, 0, true});
    }
    set_ports(std::move(inputs), std::move(outputs));
  }

  const Graph& graph() const { return graph_; }
  std::unique_ptr<State> state() const override;
  std::string text() const override { return graph_.text(); }

 private:
  Graph graph_;
};

class ReferenceState : public State {
 public:
  explicit ReferenceState(std::shared_ptr<const ReferenceCompiled> compiled)
      : State(compiled), graph_(compiled->graph()), made_(compiled->outputs().size()) {}

  TensorType made(size_t i, int64_t n) const override {
    return compiled().outputs()[i].open ? TensorType{made_[i].type(), made_[i].shape()} : State::made(i, n);
  }

 protected:
  // The one backend that may allocate, and so fail for want of memory.
  Status run_rows(int64_t n) noexcept override {
    try {
      return evaluated(n);
    } catch (const std::exception& thrown) {
      error_ = {Code::kResourceExhausted, "", thrown.what()};
      return {Status::kFailed, -1, 0};
    }
  }
  std::string failure(Status) const override { return error_.text(); }

 private:
  Status evaluated(int64_t n) {
    const InputTypes types =
        compiled().batch().fixed.empty() ? compiled().batch().types_at(n) : compiled().batch().types;
    std::map<std::string, Tensor> inputs;
    for (size_t i = 0; i < compiled().inputs().size(); ++i) {
      const TensorType& type = types.at(compiled().inputs()[i].name);
      inputs.emplace(compiled().inputs()[i].name, Tensor(type.type, type.shape, input(i)));
    }
    Result<std::map<std::string, Tensor>> outputs = evaluate(graph_, inputs);
    if (!outputs.ok()) {
      error_ = outputs.error();
      const std::string file = graph_.source + ": ";  // whoever asks for the text says it
      if (error_.where.starts_with(file)) error_.where.erase(0, file.size());
      return {Status::kValue, -1, 0};
    }
    for (size_t i = 0; i < made_.size(); ++i) {
      made_[i] = outputs.value().at(compiled().outputs()[i].name);
      if (compiled().outputs()[i].open)
        place_output(i, made_[i].bytes());
      else
        std::memcpy(output(i), made_[i].bytes(), made_[i].byte_count());
    }
    return {};
  }

  const Graph& graph_;
  std::vector<Tensor> made_;
  Error error_;
};

std::unique_ptr<State> ReferenceCompiled::state() const {
  return std::unique_ptr<State>(
      new ReferenceState(std::static_pointer_cast<const ReferenceCompiled>(shared_from_this())));
}

// Of ensembles whose rows are known; the others are read when they run.
std::optional<Error> malformed_trees(const Graph& graph, const Result<Facts>& facts) {
  for (const Node& node : graph.nodes) {
    if (!facts.ok() || !is_tree_ensemble(node)) continue;
    if (auto error = ensemble_error(node, facts.value().find(node.inputs[0])->second.type)) {
      error->where = graph.source + ": " + error->where;
      return error;
    }
  }
  return std::nullopt;
}

class ReferenceBackend : public Backend {
 public:
  std::string_view name() const override { return "reference"; }
  Result<std::shared_ptr<const Compiled>> compile(const Graph& graph, const Batch& batch, const Plan&) const override {
    Result<Graph> resolved = resolve_branches(graph, batch.types);
    if (!resolved.ok()) return resolved.error();
    for (const Node& node : resolved.value().nodes)
      if (find_kernel(node.domain, node.op) == nullptr)
        return Error{Code::kUnsupported, graph.source + ": " + node.where(),
                     unknown_operator(node, graph.opset_of(node)) + "; --backend onnxruntime may run it"};
    const Result<Facts> facts = infer(resolved.value(), batch.types);
    if (!facts.ok() && facts.error().code != Code::kUnsupported) return facts.error();
    if (auto error = malformed_trees(resolved.value(), facts)) return *error;
    return std::shared_ptr<const Compiled>(
        std::make_shared<ReferenceCompiled>(batch, std::move(resolved).value(), facts));
  }
};

}  // namespace

const Backend& reference_backend() {
  static const ReferenceBackend kBackend;
  return kBackend;
}

}  // namespace hayate
