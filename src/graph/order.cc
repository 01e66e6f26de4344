#include "graph/order.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <queue>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

namespace hayate {
namespace {

using Makers = std::unordered_map<std::string_view, size_t>;

// Calls f with every name that a graph inside a node reads from around it: what it makes itself hides the same name
// outside.
void for_each_outer_read(const Graph& graph, const std::function<void(const std::string&)>& f);

// Calls f with every name that the node, or a graph inside it, reads from around the node.
void for_each_read(const Node& node, const std::function<void(const std::string&)>& f) {
  for (const std::string& name : node.inputs) f(name);
  for (const auto& [key, value] : node.attributes)
    if (const auto* inner = std::get_if<std::shared_ptr<const Graph>>(&value)) for_each_outer_read(**inner, f);
}

void for_each_outer_read(const Graph& graph, const std::function<void(const std::string&)>& f) {
  std::unordered_set<std::string_view> own;
  for (const auto& [name, tensor] : graph.constants) own.insert(name);
  for (const ValueInfo& input : graph.inputs) own.insert(input.name);
  for (const Node& node : graph.nodes) own.insert(node.outputs.begin(), node.outputs.end());
  const auto outer = [&](const std::string& name) {
    if (!own.contains(name)) f(name);
  };
  for (const Node& node : graph.nodes) for_each_read(node, outer);
  for (const ValueInfo& output : graph.outputs) outer(output.name);
}

// A value that a node makes although it is there already: what looks like a cycle is one name given twice.
std::optional<Error> made_twice(const Graph& graph, const Makers& makers) {
  const auto error = [&](const Node& node, const std::string& name) {
    return Error{Code::kInvalidArgument, graph.source + ": " + node.where(),
                 "makes value '" + name + "', which exists already"};
  };
  for (const ValueInfo& input : graph.inputs)
    if (const auto it = makers.find(input.name); it != makers.end()) return error(graph.nodes[it->second], input.name);
  for (const auto& [name, tensor] : graph.constants)
    if (const auto it = makers.find(name); it != makers.end()) return error(graph.nodes[it->second], name);
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    for (const std::string& name : graph.nodes[i].outputs)
      if (!name.empty() && makers.at(name) != i) return error(graph.nodes[i], name);
  return std::nullopt;
}

}  // namespace

Result<bool> sort_nodes(Graph* graph) {
  std::vector<Node>& nodes = graph->nodes;
  Makers makers;
  makers.reserve(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i)
    for (const std::string& name : nodes[i].outputs)
      if (!name.empty()) makers.emplace(name, i);
  const auto each_made_read = [&](auto&& f) {  // f(who reads, who makes what it reads)
    for (size_t i = 0; i < nodes.size(); ++i)
      for_each_read(nodes[i], [&](const std::string& name) {
        if (const auto it = makers.find(name); it != makers.end()) f(i, it->second);
      });
  };
  bool sorted = true;
  each_made_read([&](size_t reader, size_t maker) { sorted = sorted && maker < reader; });
  if (sorted) return true;
  std::vector<std::vector<size_t>> readers(nodes.size());
  std::vector<size_t> waits(nodes.size(), 0);  // for how many reads
  each_made_read([&](size_t reader, size_t maker) {
    readers[maker].push_back(reader);
    ++waits[reader];
  });
  std::priority_queue<size_t, std::vector<size_t>, std::greater<>> ready;
  for (size_t i = 0; i < nodes.size(); ++i)
    if (waits[i] == 0) ready.push(i);
  std::vector<size_t> order;
  while (!ready.empty()) {
    order.push_back(ready.top());
    ready.pop();
    for (const size_t i : readers[order.back()])
      if (--waits[i] == 0) ready.push(i);
  }
  if (order.size() != nodes.size()) {
    const auto stuck = std::find_if(waits.begin(), waits.end(), [](size_t n) { return n != 0; }) - waits.begin();
    if (auto error = made_twice(*graph, makers)) return *error;
    return Error{Code::kInvalidArgument, graph->source + ": " + nodes[static_cast<size_t>(stuck)].where(),
                 "waits for values that wait for each other: the graph has a cycle"};
  }
  std::vector<Node> moved;
  moved.reserve(nodes.size());
  for (const size_t i : order) moved.push_back(std::move(nodes[i]));
  nodes = std::move(moved);
  return true;
}

}  // namespace hayate
