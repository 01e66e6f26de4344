#include "runtime/shape_pool.h"

#include <fmt/format.h>

#include <algorithm>

#include "backends/batch.h"
#include "rewrite/bind.h"

namespace hayate {
namespace {

constexpr size_t kBucketsMax = 64;
constexpr int kShapesMax = 1024;

std::string key_of(const InputTypes& types) {
  std::string key;
  for (const auto& [name, type] : types) key += name + ":" + shape_text(type.shape) + ";";
  return key;
}

Error bad_plan(std::string what) { return {Code::kInvalidArgument, "plan", std::move(what)}; }

// Sessions are of one shape: their outputs must have one before they run.
Result<bool> outputs_are_known(const Graph& graph, const Compiled& compiled) {
  for (const PortType& port : compiled.outputs())
    if (port.open)
      return Error{Code::kUnsupported, graph.source,
                   fmt::format("output '{}' has no shape before the run; sessions need one", port.name)};
  return true;
}

}  // namespace

Result<std::shared_ptr<ShapePool>> ShapePool::make(const Graph& graph, const Plan& plan,
                                                   std::shared_ptr<MemoryBudget> budget) {
  if (plan.shapes.size() > kBucketsMax)
    return bad_plan(fmt::format("has {} buckets of shapes; up to {} are accepted", plan.shapes.size(), kBucketsMax));
  if (plan.shapes_max < 0 || plan.shapes_max > kShapesMax)
    return bad_plan(fmt::format("shapes_max is {}; 0 to {} is accepted", plan.shapes_max, kShapesMax));
  std::shared_ptr<ShapePool> pool(new ShapePool(graph, plan, std::move(budget)));
  std::vector<std::vector<std::string>> buckets = plan.shapes;
  if (buckets.empty()) buckets.emplace_back();
  for (const std::vector<std::string>& bucket : buckets) {
    std::string key;
    auto compiled = pool->compile(bucket, &key);
    if (!compiled.ok()) return compiled.error();
    if (pool->first_ == nullptr) pool->first_ = compiled.value();
    pool->keep(key, compiled.value(), true);
  }
  return pool;
}

Result<Graph> ShapePool::fixed(const std::vector<std::string>& shapes) const {
  Graph made = graph_;
  for (const std::string& shape : shapes)
    if (const Result<bool> done = fix_shape(&made, shape); !done.ok()) return done.error();
  return made;
}

Result<std::shared_ptr<const Compiled>> ShapePool::compile(const std::vector<std::string>& shapes,
                                                           std::string* key) const {
  const MemoryScope scope(budget_);
  const Result<Graph> graph = fixed(shapes);
  if (!graph.ok()) return graph.error();
  const Result<InputTypes> types = declared_types(graph.value(), plan_.batch_max);
  if (!types.ok()) return types.error();
  *key = key_of(types.value());
  auto compiled = compile_graph(graph.value(), types.value(), plan_);
  if (!compiled.ok()) return compiled;
  if (const Result<bool> known = outputs_are_known(graph.value(), *compiled.value()); !known.ok()) return known.error();
  return compiled;
}

std::shared_ptr<const Compiled> ShapePool::find(const std::string& key) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto it = entries_.find(key);
  if (it == entries_.end()) return nullptr;
  it->second.used = ++lookups_;
  return it->second.compiled;
}

void ShapePool::keep(const std::string& key, std::shared_ptr<const Compiled> compiled, bool listed) {
  const std::lock_guard<std::mutex> lock(mutex_);
  entries_[key] = {std::move(compiled), listed, ++lookups_};
  const auto others = [](const auto& each) { return !each.second.listed; };
  while (std::count_if(entries_.begin(), entries_.end(), others) > plan_.shapes_max) {
    auto oldest = entries_.end();
    for (auto it = entries_.begin(); it != entries_.end(); ++it)
      if (others(*it) && (oldest == entries_.end() || it->second.used < oldest->second.used)) oldest = it;
    entries_.erase(oldest);
  }
}

Result<std::shared_ptr<const Compiled>> ShapePool::at(const std::vector<std::string>& shapes) {
  if (auto found = ready(shapes)) return found;
  std::string key;
  auto compiled = compile(shapes, &key);
  if (compiled.ok()) keep(key, compiled.value(), false);
  return compiled;
}

std::shared_ptr<const Compiled> ShapePool::ready(const std::vector<std::string>& shapes) {
  const Result<Graph> graph = fixed(shapes);
  const Result<InputTypes> types =
      graph.ok() ? declared_types(graph.value(), plan_.batch_max) : Result<InputTypes>(graph.error());
  return types.ok() ? find(key_of(types.value())) : nullptr;
}

}  // namespace hayate
