#include "rewrite/rewrite.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "rewrite/bind.h"
#include "rewrite/rules/rules.h"

namespace hayate {

const std::vector<Pass>& passes() {
  static const std::vector<Pass> kPasses = {{"fold_constants", fold_constants},
                                            {"drop_identities", drop_identities},
                                            {"share_equal_nodes", share_equal_nodes},
                                            {"merge_transposes", merge_transposes},
                                            {"recognise_layer_norm", recognise_layer_norm},
                                            {"recognise_gelu", recognise_gelu},
                                            {"drop_unread", drop_dead},
                                            {"fold_batch_norm", fold_batch_norm},
                                            {"matmul_to_gemm", matmul_to_gemm},
                                            {"fold_padding", fold_padding},
                                            {"drop_dead", drop_dead}};
  return kPasses;
}

Result<Graph> apply_rule(Graph graph, const std::map<std::string, TensorType>& inputs, Rule rule, int* changes) {
  const Result<Facts> facts = infer(graph, inputs);
  if (!facts.ok()) return facts.error();
  Editor editor(&graph, facts.value());
  rule(&editor);
  editor.finish();
  if (changes != nullptr) *changes = editor.changes();
  const Result<bool> verified = verify(graph);
  if (!verified.ok()) return verified.error();
  return graph;
}

Result<Graph> rewrite(Graph graph, const std::map<std::string, TensorType>& inputs, std::string_view after,
                      std::vector<PassReport>* reports) {
  if (!after.empty() &&
      std::none_of(passes().begin(), passes().end(), [&](const Pass& pass) { return pass.name == after; })) {
    std::string known;
    for (const Pass& pass : passes()) known += (known.empty() ? "" : ", ") + std::string(pass.name);
    return Error{Code::kInvalidArgument, std::string(after), fmt::format("is no pass; passes are: {}", known)};
  }
  Result<Graph> current = resolve_branches(std::move(graph), inputs);
  for (const Pass& pass : passes()) {
    if (!current.ok()) return current;
    PassReport report{pass.name};
    const auto start = std::chrono::steady_clock::now();
    current = apply_rule(std::move(current).value(), inputs, pass.rule, &report.changes);
    report.milliseconds = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    if (reports != nullptr) reports->push_back(report);
    if (pass.name == after) break;
  }
  return current;
}

}  // namespace hayate
