// What a Model holds, for the parts of runtime/.
#pragma once

#include <memory>

#include "base/memory_budget.h"
#include "graph/graph.h"
#include "hayate/model.h"

namespace hayate {

struct Model::Data {
  Graph graph;
  std::shared_ptr<MemoryBudget> budget;  // null: the process's
};

}  // namespace hayate
