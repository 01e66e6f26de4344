#include "backends/batch.h"

#include <fmt/format.h>

#include <algorithm>

#include "eval/rows.h"
#include "graph/limits.h"
#include "rewrite/bind.h"

namespace hayate {
namespace {

// The name under which the first extent of some input is open; empty: none, or open without a name.
std::string batch_symbol(const Graph& graph) {
  for (const ValueInfo& input : graph.inputs)
    if (!input.dims.empty() && !input.dims[0].fixed()) return input.dims[0].symbol;
  return "";
}

bool counts_rows(const ValueInfo& input, size_t axis, const std::string& symbol) {
  const Dim& dim = input.dims[axis];
  return !dim.fixed() && (axis == 0 || (!symbol.empty() && dim.symbol == symbol));
}

Error open_extent(const Graph& graph, const ValueInfo& input, const std::string& what) {
  return {Code::kInvalidArgument, graph.source,
          fmt::format("{} {}; give its shape: --shape {}:D1,D2,...", what, input.text(), input.name)};
}

}  // namespace

InputTypes Batch::types_at(int64_t n) const {
  InputTypes made = types;
  for (const auto& [name, axis] : axes) made.at(name).shape[axis] = n;
  return made;
}

Batch find_batch(const Graph& graph, const InputTypes& types) {
  const std::string symbol = batch_symbol(graph);
  Batch batch;
  batch.types = types;
  std::set<int64_t> extents;
  for (const ValueInfo& input : graph.inputs)
    for (size_t axis = 0; axis < input.dims.size(); ++axis) {
      if (!counts_rows(input, axis, symbol)) continue;
      batch.axes.emplace(input.name, axis);
      extents.insert(types.at(input.name).shape[axis]);
    }
  if (extents.empty()) batch.fixed = "no input has an open first axis";
  if (extents.size() > 1) batch.fixed = "the inputs' first axes have different extents";
  if (graph.nodes.size() > kNodesMax) batch.fixed = fmt::format("more than {} nodes are not followed", kNodesMax);
  if (batch.fixed.empty()) {
    const InputTypes at_3 = batch.types_at(3), at_5 = batch.types_at(5);
    std::vector<std::string> deciding;
    const Result<Graph> resolved = resolve_branches(graph, at_3, &deciding);
    batch.fixed = resolved.ok() ? rows_depend(resolved.value(), at_3, at_5, deciding) : resolved.error().text();
  }
  const int64_t extent = extents.size() == 1 ? *extents.begin() : 1;
  batch.rows = std::max<int64_t>(extent, 1);
  if (!batch.fixed.empty()) batch.axes.clear();
  if (extent == 0) batch.types = batch.types_at(1);  // zero rows are run by any program
  return batch;
}

Result<InputTypes> declared_types(const Graph& graph, int64_t rows) {
  const std::string symbol = batch_symbol(graph);
  InputTypes types;
  for (const ValueInfo& input : graph.inputs) {
    if (!input.has_shape) return open_extent(graph, input, "no shape is declared for input");
    Shape shape;
    for (size_t axis = 0; axis < input.dims.size(); ++axis) {
      if (!input.dims[axis].fixed() && !counts_rows(input, axis, symbol))
        return open_extent(graph, input, fmt::format("axis {} is open in input", axis));
      shape.push_back(input.dims[axis].fixed() ? input.dims[axis].value : rows);
    }
    const Result<int64_t> count = checked_count(shape);
    if (!count.ok()) return Error{count.error().code, graph.source + ": input " + input.name, count.error().what};
    types.emplace(input.name, TensorType{input.type, shape});
  }
  return types;
}

}  // namespace hayate
