#include "rewrite/rewrite.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "eval/spelled.h"
#include "graph/limits.h"
#include "rewrite/bind.h"
#include "rewrite/rules/rules.h"

namespace hayate {

const std::vector<Pass>& passes() {
  static const std::vector<Pass> kPasses = {
      // What is known, nothing, or said twice goes first: patterns match what is left.
      {"fold_constants", fold_constants},
      {"drop_identities", drop_identities},
      {"share_equal_nodes", share_equal_nodes},
      {"merge_casts", merge_casts},
      {"merge_shapes", merge_shapes},
      {"merge_slices", merge_slices},
      {"merge_transposes", merge_transposes},
      {"cancel_transposes", cancel_transposes},
      // Functions spelled out become one node.
      {"recognise_clip", recognise_clip, true},
      {"recognise_hard_swish", recognise_hard_swish, true},
      {"recognise_softplus", recognise_softplus, true},
      {"recognise_silu", recognise_silu, true},
      {"recognise_gelu", recognise_gelu, true},
      {"recognise_layer_norm", recognise_layer_norm, true},
      {"recognise_rms_norm", recognise_rms_norm, true},
      {"recognise_attention", recognise_attention, true},
      {"drop_unread", drop_dead},
      // Arithmetic with constants goes into weights.
      {"fold_affine_after", fold_affine_after, true},
      {"fold_affine_before", fold_affine_before, true},
      {"matmul_to_gemm", matmul_to_gemm, true},
      {"fold_padding", fold_padding},
      {"spell_batch_norm", spell_batch_norm, true},
      {"drop_dead", drop_dead}};
  return kPasses;
}

namespace {

struct State {
  Graph graph;
  Facts facts;
  std::unique_ptr<Editor> editor;  // of both, kept from pass to pass while nothing changes: its index costs time
};

// Facts are those of the graph as it comes out.
Result<int> run_rule(State* state, const std::map<std::string, TensorType>& inputs, Rule rule) {
  if (state->editor == nullptr) state->editor = std::make_unique<Editor>(&state->graph, state->facts);
  rule(state->editor.get());
  state->editor->finish();
  const int changes = state->editor->changes();
  if (changes == 0) return 0;
  state->editor.reset();
  const Result<bool> verified = verify(state->graph);
  if (!verified.ok()) return verified.error();
  Result<Facts> facts = infer(state->graph, inputs);
  if (!facts.ok()) return facts.error();
  state->facts = std::move(facts).value();
  return changes;
}

Result<State> start_of(Graph graph, const std::map<std::string, TensorType>& inputs) {
  Result<Facts> facts = infer(graph, inputs);
  if (!facts.ok()) return facts.error();
  return State{std::move(graph), std::move(facts).value(), nullptr};
}

Result<bool> known_pass(std::string_view name) {
  std::string known;
  for (const Pass& pass : passes()) {
    if (name.empty() || pass.name == name) return true;
    known += (known.empty() ? "" : ", ") + std::string(pass.name);
  }
  return Error{Code::kInvalidArgument, std::string(name), fmt::format("is no pass; passes are: {}", known)};
}

// Runs the pass and counts it in its report.
Result<int> run_pass(State* state, const std::map<std::string, TensorType>& inputs, const Pass& pass,
                     PassReport* report) {
  const auto start = std::chrono::steady_clock::now();
  const Result<int> changes = run_rule(state, inputs, pass.rule);
  report->milliseconds += std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  ++report->runs;
  if (changes.ok()) report->changes += changes.value();
  return changes;
}

}  // namespace

Result<Graph> apply_rule(Graph graph, const std::map<std::string, TensorType>& inputs, Rule rule, int* changes) {
  Result<State> state = start_of(std::move(graph), inputs);
  if (!state.ok()) return state.error();
  const Result<int> made = run_rule(&state.value(), inputs, rule);
  if (!made.ok()) return made.error();
  if (changes != nullptr) *changes = made.value();
  return std::move(state.value().graph);
}

// Bytes that following, rewriting and lowering a graph takes for each of its nodes, about: names, types, who reads
// what.
constexpr int64_t kWorkBytesPerNode = 4096;

Result<bool> claim_work(size_t counted, const Graph& graph, MemoryClaim* claim) {
  const int64_t more = static_cast<int64_t>(graph.nodes.size()) - static_cast<int64_t>(counted);
  if (more <= 0) return true;
  return claim->grow(more * kWorkBytesPerNode, fmt::format("{}: its {} nodes", graph.source, graph.nodes.size()));
}

Result<Graph> rewrite(Graph graph, const std::map<std::string, TensorType>& inputs, std::string_view after,
                      std::vector<PassReport>* reports) {
  if (const Result<bool> known = known_pass(after); !known.ok()) return known.error();
  const size_t before = graph.nodes.size();
  Result<Graph> resolved = resolve_branches(std::move(graph), inputs);
  if (!resolved.ok()) return resolved;
  MemoryClaim unrolled;
  if (const Result<bool> room = claim_work(before, resolved.value(), &unrolled); !room.ok()) return room.error();
  Result<Graph> whole = written_out(std::move(resolved).value(), inputs);
  if (!whole.ok()) return whole;
  if (const size_t nodes = whole.value().nodes.size(); nodes > kNodesMax)
    return Error{
        Code::kResourceExhausted, whole.value().source,
        fmt::format("has {} nodes when branches, loops and other operators are written out; graphs of up to {} "
                    "are compiled",
                    nodes, kNodesMax)};
  Result<State> state = start_of(std::move(whole).value(), inputs);
  if (!state.ok()) return state.error();
  std::vector<PassReport> own;
  bool changed = true;
  for (int round = 0; round < kRoundsMax && changed; ++round) {
    changed = false;
    for (size_t i = 0; i < passes().size(); ++i) {
      const Pass& pass = passes()[i];
      if (i == own.size()) own.push_back({pass.name});
      if (pass.moves_rounding && state.value().graph.rounds_as_it_is) continue;
      const Result<int> changes = run_pass(&state.value(), inputs, pass, &own[i]);
      if (!changes.ok()) return changes.error();
      changed = changed || changes.value() > 0;
      if (pass.name == after) break;
    }
    if (!after.empty()) break;
  }
  if (reports != nullptr) *reports = std::move(own);
  return std::move(state.value().graph);
}

std::string passes_text(const std::vector<PassReport>& reports) {
  std::string text = fmt::format("{:22}{:>7}{:>9}{:>12}\n", "pass", "rounds", "changes", "ms");
  PassReport sum;
  for (const PassReport& report : reports) {
    text += fmt::format("{:22}{:>7}{:>9}{:>12.3f}\n", report.name, report.runs, report.changes, report.milliseconds);
    sum.changes += report.changes, sum.milliseconds += report.milliseconds;
  }
  return text + fmt::format("{:22}{:>7}{:>9}{:>12.3f}\n", "sum", "", sum.changes, sum.milliseconds);
}

}  // namespace hayate
