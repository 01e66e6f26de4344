#include "backends/calibration.h"

#include <fmt/format.h>

#include <algorithm>

#include "backends/inputs.h"
#include "compress/quantise.h"
#include "eval/macs.h"
#include "rewrite/rewrite.h"

namespace hayate {
namespace {

Result<std::map<std::string, Tensor>> calibration_inputs(const Graph& graph, const Batch& batch, const Plan& plan) {
  if (!plan.calibration.empty()) {
    Result<std::map<std::string, Tensor>> given = read_inputs(plan.calibration, graph);
    return given.ok() ? checked_inputs(std::move(given).value(), graph) : given;
  }
  InputTypes types = batch.types;
  if (batch.fixed.empty()) {
    const Result<Graph> row = rewrite(graph, batch.types_at(1));
    if (!row.ok()) return row.error();
    const Result<Facts> facts = infer(row.value(), batch.types_at(1));
    if (!facts.ok()) return facts.error();
    const int64_t macs = std::max<int64_t>(macs_of(row.value(), facts.value()), 1);
    types = batch.types_at(std::clamp<int64_t>(kMadeMacsMax / macs, 1, kMadeRowsMax));
  }
  std::map<std::string, Tensor> made;
  uint64_t seed = 17;
  for (const auto& [name, type] : types) made.emplace(name, random_tensor(type.type, type.shape, seed++));
  return made;
}

}  // namespace

Result<Ranges> calibrated(const Graph& graph, const Batch& batch, const Plan& plan) {
  const auto inputs = calibration_inputs(graph, batch, plan);
  if (!inputs.ok()) return inputs.error();
  const Result<Graph> rewritten = rewrite(graph, types_of(inputs.value()));
  if (!rewritten.ok()) return rewritten.error();
  return find_ranges(rewritten.value(), inputs.value());
}

Result<Graph> quantised_model(const Graph& graph, const Batch& batch, const Plan& plan) {
  const auto inputs = calibration_inputs(graph, batch, plan);
  if (!inputs.ok()) return inputs.error();
  if (graph.opset != 0 && graph.opset < kPerAxisOpset)
    return Error{Code::kUnsupported, graph.source,
                 fmt::format("is of opset {}; a scale for each channel needs {} or newer. Native runs it at precision "
                             "int8 all the same",
                             graph.opset, kPerAxisOpset)};
  const Result<Ranges> ranges = find_ranges(graph, inputs.value());
  if (!ranges.ok()) return ranges.error();
  Graph made = graph;
  const Result<int> layers = quantise(&made, ranges.value());
  if (!layers.ok()) return layers.error();
  return made;
}

}  // namespace hayate
