#include "tools/model.h"

#include <fmt/format.h>

#include <cstring>

#include "import/import.h"
#include "rewrite/bind.h"
#include "backends/inputs.h"
#include "tools/progress.h"

namespace hayate {
namespace {

// `count` rows of every input from row `first` on.
Tensors rows_of(const Tensors& inputs, const Batch& batch, int64_t first, int64_t count) {
  Tensors part;
  for (const auto& [name, tensor] : inputs) {
    TensorType type = batch.types_at(count).at(name);
    const size_t bytes = tensor.byte_count() / static_cast<size_t>(tensor.shape()[0]);
    Tensor rows(type.type, type.shape);
    std::memcpy(rows.bytes(), tensor.bytes() + static_cast<size_t>(first) * bytes, rows.byte_count());
    part.emplace(name, std::move(rows));
  }
  return part;
}

void append(Tensors* all, const Tensors& part, int64_t first, int64_t rows) {
  for (const auto& [name, tensor] : part) {
    const auto it = all->find(name);
    Shape shape = tensor.shape();
    shape[0] = rows;
    Tensor& whole = it != all->end() ? it->second : all->emplace(name, Tensor(tensor.type(), shape)).first->second;
    const size_t bytes = whole.byte_count() / static_cast<size_t>(rows);
    std::memcpy(whole.bytes() + static_cast<size_t>(first) * bytes, tensor.bytes(), tensor.byte_count());
  }
}

// Only the batch's own axis, the first, is cut.
bool can_be_cut(const Batch& batch) {
  bool first = batch.fixed.empty();
  for (const auto& [name, axis] : batch.axes) first = first && axis == 0;
  return first;
}

}  // namespace

Result<Graph> load_model(const ModelOptions& options) {
  Result<Graph> graph = import_model(options.model, ImportOptions{options.raw_score});
  if (!graph.ok()) return graph;
  for (const std::string& set : options.sets) {
    const Result<bool> bound = bind_text(&graph.value(), set);
    if (!bound.ok()) return bound.error();
  }
  for (const std::string& given : options.shapes) {
    const Result<bool> fixed = fix_shape(&graph.value(), given);
    if (!fixed.ok()) return fixed.error();
  }
  return graph;
}

Result<Tensors> answer(const Graph& graph, const Tensors& given, const Plan& plan) {
  const Result<Tensors> inputs = checked_inputs(given, graph);
  if (!inputs.ok()) return inputs;
  const Batch whole = find_batch(graph, types_of(inputs.value()));
  const bool cut = can_be_cut(whole) && whole.rows > kAnswerRows;
  const auto compiled = compile_graph(graph, cut ? whole.at(kAnswerRows) : whole, plan);
  if (!compiled.ok()) return compiled.error();
  const std::unique_ptr<State> state = compiled.value()->state();
  const auto located = [&](Error error) {
    if (error.where.empty()) error.where = graph.source;
    return error;
  };
  if (!cut) {
    Result<Tensors> outputs = run_on(state.get(), inputs.value());
    return outputs.ok() ? outputs : located(outputs.error());
  }
  Tensors outputs;
  Progress progress("run", whole.rows);
  for (int64_t row = 0; row < whole.rows; row += kAnswerRows) {
    const int64_t count = std::min(kAnswerRows, whole.rows - row);
    const Result<Tensors> part = run_on(state.get(), rows_of(inputs.value(), whole, row, count));
    if (!part.ok()) return located(part.error());
    append(&outputs, part.value(), row, whole.rows);
    progress.at(row + count);
  }
  return outputs;
}

Plan plan_for(Plan plan, std::string_view backend) {
  plan.backend = backend;
  if (backend != "native") plan.precision = "fp32";
  return plan;
}

int fail(const Error& error) {
  fmt::print(stderr, "hayate: {}\n", error.text());
  return 1;
}

}  // namespace hayate
