// The one door of rewriting: named passes over a graph whose shapes are bound, each timed, and verified after each.
//
// The passes run in a fixed order, round after round, until a round changes nothing (at most kRoundsMax: rules only
// shrink graphs or move them to a normal form, so that two or three suffice). A pass over n nodes takes about n log n;
// types are inferred again only after a pass that changed something.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/memory_budget.h"
#include "eval/evaluate.h"
#include "graph/graph.h"
#include "rewrite/editor.h"

namespace hayate {

// A rule changes the graph through the editor, never its meaning: outputs keep names, types, and their values up to
// rounding.
using Rule = void (*)(Editor* editor);

struct Pass {
  std::string_view name;
  Rule rule;
  bool moves_rounding = false;  // values may differ by rounding: left out of a graph that rounds as it is
};
const std::vector<Pass>& passes();  // in the order in which they run

constexpr int kRoundsMax = 10;

struct PassReport {
  std::string_view name;
  int runs = 0;     // rounds in which it ran
  int changes = 0;  // of all rounds, as every milliseconds
  double milliseconds = 0;
};

// Counts in `claim` what working on the nodes takes beyond the `counted` first; an error where that does not fit.
Result<bool> claim_work(size_t counted, const Graph& graph, MemoryClaim* claim);

// The graph with control flow resolved, operators that have a spelling written out, and every pass applied until
// nothing changes; or, with `after`, only the first round up to and with the pass of that name. `inputs` are the types
// it will be fed. An unknown `after` is an error that names the passes there are. `reports` gets one entry for each
// pass that ran, in their order.
Result<Graph> rewrite(Graph graph, const std::map<std::string, TensorType>& inputs, std::string_view after = {},
                      std::vector<PassReport>* reports = nullptr);

// One line per pass that ran: name, rounds, changes, milliseconds; the sum last.
std::string passes_text(const std::vector<PassReport>& reports);

// One rule alone, verified; for tests.
Result<Graph> apply_rule(Graph graph, const std::map<std::string, TensorType>& inputs, Rule rule,
                         int* changes = nullptr);

}  // namespace hayate
