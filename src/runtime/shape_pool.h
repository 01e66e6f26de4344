// One model compiled for several shapes of its inputs.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "backends/backend.h"
#include "base/memory_budget.h"
#include "graph/graph.h"
#include "hayate/plan.h"

namespace hayate {

// Shapes are as Plan::shapes writes them. Any thread; nothing is compiled under the lock.
class ShapePool {
 public:
  // The plan's buckets compiled, or the model as it is where the plan lists none.
  static Result<std::shared_ptr<ShapePool>> make(const Graph& graph, const Plan& plan,
                                                 std::shared_ptr<MemoryBudget> budget);

  const std::string& source() const { return graph_.source; }
  const std::shared_ptr<MemoryBudget>& budget() const { return budget_; }
  std::shared_ptr<const Compiled> first() const { return first_; }
  Result<std::shared_ptr<const Compiled>> at(const std::vector<std::string>& shapes);
  std::shared_ptr<const Compiled> ready(const std::vector<std::string>& shapes);  // null: not there

 private:
  struct Entry {
    std::shared_ptr<const Compiled> compiled;
    bool listed = false;  // by the plan: never let go
    uint64_t used = 0;    // when, in lookups
  };
  ShapePool(const Graph& graph, const Plan& plan, std::shared_ptr<MemoryBudget> budget)
      : graph_(graph), plan_(plan), budget_(std::move(budget)) {}
  Result<Graph> fixed(const std::vector<std::string>& shapes) const;
  Result<std::shared_ptr<const Compiled>> compile(const std::vector<std::string>& shapes, std::string* key) const;
  std::shared_ptr<const Compiled> find(const std::string& key);
  void keep(const std::string& key, std::shared_ptr<const Compiled> compiled, bool listed);

  const Graph graph_;
  const Plan plan_;
  const std::shared_ptr<MemoryBudget> budget_;
  std::shared_ptr<const Compiled> first_;
  std::mutex mutex_;  // of what follows
  std::map<std::string, Entry> entries_;
  uint64_t lookups_ = 0;
};

}  // namespace hayate
