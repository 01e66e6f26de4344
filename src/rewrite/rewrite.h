// The one door of rewriting: named passes over a graph whose shapes are bound, each timed and verified.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

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
};
const std::vector<Pass>& passes();  // in the order in which they run

struct PassReport {
  std::string_view name;
  int changes = 0;
  double milliseconds = 0;
};

// The graph with control flow resolved and every pass applied, up to and with the one named `after` (empty: all).
// `inputs` are the types it will be fed. An unknown `after` is an error that names the passes there are.
Result<Graph> rewrite(Graph graph, const std::map<std::string, TensorType>& inputs, std::string_view after = {},
                      std::vector<PassReport>* reports = nullptr);

// One rule alone, verified; for tests.
Result<Graph> apply_rule(Graph graph, const std::map<std::string, TensorType>& inputs, Rule rule,
                         int* changes = nullptr);

}  // namespace hayate
