#include "tools/model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>
#include <set>

#include "backends/inputs.h"
#include "base/file.h"
#include "hardware/machine.h"
#include "import/import.h"
#include "rewrite/bind.h"
#include "rewrite/deciding.h"
#include "tools/progress.h"
#include "tune/peaks.h"

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

Result<Tensors> answer_checked(const Graph& graph, const Tensors& inputs, const Plan& plan) {
  const Batch whole = find_batch(graph, types_of(inputs));
  const bool cut = can_be_cut(whole) && whole.rows > kAnswerRows;
  const auto compiled = compile_graph(graph, cut ? whole.at(kAnswerRows) : whole, plan);
  if (!compiled.ok()) return compiled.error();
  const std::unique_ptr<State> state = compiled.value()->state();
  const auto located = [&](Error error) {
    if (error.where.empty()) error.where = graph.source;
    return error;
  };
  if (!cut) {
    Result<Tensors> outputs = run_on(state.get(), inputs);
    return outputs.ok() ? outputs : located(outputs.error());
  }
  Tensors outputs;
  Progress progress("run", whole.rows);
  for (int64_t row = 0; row < whole.rows; row += kAnswerRows) {
    const int64_t count = std::min(kAnswerRows, whole.rows - row);
    const Result<Tensors> part = run_on(state.get(), rows_of(inputs, whole, row, count));
    if (!part.ok()) return located(part.error());
    append(&outputs, part.value(), row, whole.rows);
    progress.at(row + count);
  }
  return outputs;
}

}  // namespace

std::vector<ModelOptions> by_bucket(const ModelOptions& options) {
  std::vector<std::vector<std::string>> buckets = options.shapes.empty() ? options.plan.shapes : decltype(buckets)();
  std::set<std::string> named;
  for (const std::string& shape : options.shapes) {
    if (const bool again = !named.insert(shape.substr(0, shape.rfind(':'))).second; again || buckets.empty()) {
      if (again) named = {shape.substr(0, shape.rfind(':'))};
      buckets.emplace_back();
    }
    buckets.back().push_back(shape);
  }
  if (buckets.empty()) buckets.emplace_back();
  std::vector<ModelOptions> made;
  for (std::vector<std::string>& bucket : buckets) {
    made.push_back(options);
    made.back().shapes = std::move(bucket);
  }
  return made;
}

Result<Plan> load_plan(const std::string& path) {
  const Result<std::string> text = read_file(path);
  if (!text.ok()) return text.error();
  Result<Plan> plan = Plan::from_json(text.value());
  if (!plan.ok()) return Error{plan.error().code, path, plan.error().text()};
  return plan;
}

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
  Result<Tensors> outputs = answer_checked(graph, inputs.value(), plan);
  if (outputs.ok() || outputs.error().code != Code::kUnsupported) return outputs;
  // What is run once may be compiled for the very values: an input that decides shapes or a branch is a constant then.
  Graph bound = graph;
  Tensors rest = inputs.value();
  const std::vector<std::string> names = bind_deciding(&bound, rest);
  if (names.empty()) return outputs;
  for (const std::string& name : names) rest.erase(name);
  Result<Tensors> again = answer_checked(bound, rest, plan);
  if (!again.ok()) return outputs;
  fmt::print(stderr, "hayate: {} is compiled for the values given of {}, which decide shapes or branches\n",
             plan.backend, printable(fmt::format("{}", fmt::join(names, ", "))));
  return again;
}

void share_as_measured(Plan* plan) {
  if (plan->piece_macs != Plan().piece_macs) return;  // somebody chose
  if (const Result<Peaks> peaks = load_peaks(find_machine(), peaks_file()); peaks.ok())
    plan->piece_macs = peaks.value().piece_macs;
}

Plan plan_for(Plan plan, std::string_view backend) {
  plan.backend = backend;
  if (backend != "native") plan.precision = "fp32";
  return plan;
}

void say_whose_scales(const Plan& plan) {
  if (plan.precision == "int8" && plan.calibration.empty())
    fmt::print(stderr, "hayate: scales of int8 from made-up normal rows; --calibrate F takes yours\n");
}

int fail(const Error& error) {
  fmt::print(stderr, "hayate: {}\n", error.text());
  return 1;
}

}  // namespace hayate
