#include <fmt/format.h>

#include <map>

#include "base/json.h"
#include "eval/macs.h"
#include "eval/trees.h"
#include "rewrite/bind.h"
#include "tools/commands.h"

namespace hayate {
namespace {

std::map<std::string, int> operator_counts(const Graph& graph) {
  std::map<std::string, int> counts;
  for (const Node& node : graph.nodes) {
    ++counts[node.domain.empty() ? node.op : node.domain + "." + node.op];
    for (const auto& [key, value] : node.attributes)
      if (const auto* subgraph = std::get_if<std::shared_ptr<const Graph>>(&value))
        for (const auto& [op, count] : operator_counts(**subgraph)) counts[op] += count;
  }
  return counts;
}

std::string ports_json(const std::vector<ValueInfo>& ports) {
  std::string out;
  for (const ValueInfo& port : ports) {
    std::string dims;
    for (const Dim& dim : port.dims)
      dims += (dims.empty() ? "" : ", ") +
              (dim.fixed() ? fmt::format("{}", dim.value) : json_string(dim.symbol.empty() ? "?" : dim.symbol));
    out += fmt::format("{}{{\"name\": {}, \"type\": \"{}\", \"shape\": {}}}", out.empty() ? "" : ", ",
                       json_string(port.name), type_name(port.type), port.has_shape ? "[" + dims + "]" : "null");
  }
  return "[" + out + "]";
}

int64_t constant_bytes(const Graph& graph) {
  int64_t bytes = 0;
  for (const auto& [name, tensor] : graph.constants) bytes += static_cast<int64_t>(tensor.byte_count());
  return bytes;
}

// What one backend says to the model at one row.
struct Verdict {
  std::string backend, said;
  bool runs = false;
  int64_t session_bytes = 0, plain_steps = 0;
  double compile_ms = 0;
};

// Of all tree ensembles.
struct TreeCounts {
  int64_t trees = 0, splits = 0, leaves = 0;
};

struct RowFacts {
  int64_t macs = -1;  // -1: not known
  TreeCounts trees;
  std::vector<Verdict> verdicts;
};

TreeCounts tree_counts(const Graph& graph, const Facts& facts) {
  TreeCounts counts;
  for (const Node& node : graph.nodes) {
    if (!is_tree_ensemble(node)) continue;
    const Result<kernels::Trees> trees = trees_from(node, facts.at(node.inputs[0]).type);
    if (!trees.ok()) continue;  // the backends say what is wrong with it
    int64_t leaves = 0;
    for (int64_t i = 0; i < trees.value().node_count(); ++i) leaves += trees.value().split(i) == kernels::Split::kLeaf;
    counts.trees += static_cast<int64_t>(trees.value().roots.size());
    counts.leaves += leaves, counts.splits += trees.value().node_count() - leaves;
  }
  return counts;
}

Verdict verdict_of(const Backend& backend, const Graph& graph, const Result<InputTypes>& types, const Plan& plan) {
  Verdict verdict{std::string(backend.name()), ""};
  const auto compiled = timed(&verdict.compile_ms, [&] {
    return types.ok() ? compile_graph(graph, types.value(), plan_for(plan, backend.name()))
                      : Result<std::shared_ptr<const Compiled>>(types.error());
  });
  verdict.runs = compiled.ok();
  if (!compiled.ok()) {
    verdict.said = "refuses: " + compiled.error().text();
    return verdict;
  }
  const Compiled& made = *compiled.value();
  verdict.session_bytes = made.session_bytes(), verdict.plain_steps = made.plain_steps();
  verdict.said = fmt::format("runs, compiled in {:.1f} ms", verdict.compile_ms);
  if (verdict.session_bytes > 0)
    verdict.said += fmt::format(", {:.1f} KiB of memory a session", static_cast<double>(verdict.session_bytes) / 1024);
  if (verdict.plain_steps > 0) verdict.said += fmt::format(", {} plain steps", verdict.plain_steps);
  if (!made.batch().fixed.empty()) verdict.said += "; fixed batch: " + made.batch().fixed;
  return verdict;
}

RowFacts facts_of(const Graph& graph, const Plan& plan) {
  RowFacts made;
  const Result<InputTypes> types = declared_types(graph, 1);
  for (const Backend* backend : backends()) made.verdicts.push_back(verdict_of(*backend, graph, types, plan));
  if (!types.ok()) return made;
  const Result<Graph> resolved = resolve_branches(graph, types.value());
  const Result<Facts> facts = resolved.ok() ? infer(resolved.value(), types.value()) : resolved.error();
  if (!facts.ok()) return made;
  made.macs = macs_of(resolved.value(), facts.value()), made.trees = tree_counts(resolved.value(), facts.value());
  return made;
}

void print_json(const Graph& graph, const RowFacts& facts, double load_ms) {
  std::string ops, verdicts;
  for (const auto& [op, count] : operator_counts(graph))
    ops += fmt::format("{}{}: {}", ops.empty() ? "" : ", ", json_string(op), count);
  for (const Verdict& v : facts.verdicts)
    verdicts += fmt::format(
        "{}{}: {{\"runs\": {}, \"said\": {}, \"session_bytes\": {}, \"plain_steps\": {}, \"compile_ms\": {:.3f}}}",
        verdicts.empty() ? "" : ", ", json_string(v.backend), v.runs, json_string(v.said), v.session_bytes,
        v.plain_steps, v.compile_ms);
  fmt::print(
      "{{\"model\": {}, \"opset\": {}, \"inputs\": {}, \"outputs\": {}, \"operators\": {{{}}}, \"parameters\": {}, "
      "\"constant_bytes\": {}, \"macs\": {}, \"trees\": {{\"trees\": {}, \"splits\": {}, \"leaves\": {}}}, "
      "\"load_ms\": {:.3f}, "
      "\"backends\": {{{}}}}}\n",
      json_string(graph.source), graph.opset, ports_json(graph.inputs), ports_json(graph.outputs), ops,
      graph.parameter_count(), constant_bytes(graph), facts.macs < 0 ? "null" : fmt::format("{}", facts.macs),
      facts.trees.trees, facts.trees.splits, facts.trees.leaves, load_ms, verdicts);
}

void print_text(const Graph& graph, const RowFacts& facts, double load_ms) {
  fmt::print("model        {}\n", printable(graph.source));
  if (graph.opset > 0) fmt::print("opset        {}\n", graph.opset);
  for (const ValueInfo& input : graph.inputs) fmt::print("input        {}\n", input.text());
  for (const ValueInfo& input : graph.defaults)
    fmt::print("default      {}: an initializer, may be fed\n", input.text());
  for (const ValueInfo& output : graph.outputs) fmt::print("output       {}\n", output.text());
  for (const auto& [op, count] : operator_counts(graph)) fmt::print("operator     {:5} x {}\n", count, printable(op));
  fmt::print("parameters   {}\nconstants    {:.1f} KiB\n", graph.parameter_count(),
             static_cast<double>(constant_bytes(graph)) / 1024);
  if (facts.trees.trees > 0)
    fmt::print("trees        {}, {} splits, {} leaves\n", facts.trees.trees, facts.trees.splits, facts.trees.leaves);
  if (facts.macs >= 0) fmt::print("MACs a row   {}\n", facts.macs);
  fmt::print("load         {:.1f} ms\n", load_ms);
  for (const Verdict& v : facts.verdicts) fmt::print("{:<12} {}\n", v.backend, v.said);
}

}  // namespace

int info(const ModelOptions& options, bool json) {
  double load_ms = 0;
  const Result<Graph> graph = timed(&load_ms, [&] { return load_model(options); });
  if (!graph.ok()) return fail(graph.error());
  const RowFacts facts = facts_of(graph.value(), options.plan);
  json ? print_json(graph.value(), facts, load_ms) : print_text(graph.value(), facts, load_ms);
  return 0;
}

}  // namespace hayate
