#include "eval/spelled.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "graph/spelling.h"

namespace hayate {
namespace {

bool has_spelling(const Node& node) { return find_spelling(node.domain, node.op) != nullptr; }

// What names in a spelling are called in the graph around it.
class Names {
 public:
  Names(const Graph& spelled, const Node& node, const std::set<std::string>& taken) {
    for (const ValueInfo& input : spelled.inputs)
      map_[input.name] = node.inputs[static_cast<size_t>(std::stoi(input.name.substr(1)))];
    for (size_t i = 0; i < node.outputs.size(); ++i)
      if (!node.outputs[i].empty()) map_[spelled.outputs[i].name] = node.outputs[i];
    for (const std::string& output : node.outputs)
      if (prefix_.empty()) prefix_ = output;
    do prefix_ += "/";
    while (taken.lower_bound(prefix_) != taken.end() && taken.lower_bound(prefix_)->starts_with(prefix_));
  }

  std::string of(const std::string& name) const {
    if (name.empty()) return name;
    const auto it = map_.find(name);
    return it != map_.end() ? it->second : prefix_ + name;
  }

 private:
  std::map<std::string, std::string> map_;
  std::string prefix_;
};

void splice(Graph spelled, const Node& node, const std::set<std::string>& taken, Graph* graph) {
  const Names names(spelled, node, taken);
  for (auto& [name, tensor] : spelled.constants) graph->constants.emplace(names.of(name), std::move(tensor));
  for (Node& each : spelled.nodes) {
    each.name = node.name + "/" + each.name;
    each.opset = spelled.opset;
    for (std::string& name : each.inputs) name = names.of(name);
    for (std::string& name : each.outputs) name = names.of(name);
    graph->nodes.push_back(std::move(each));
  }
}

std::set<std::string> names_in(const Graph& graph) {
  std::set<std::string> names;
  for (const auto& [name, tensor] : graph.constants) names.insert(name);
  for (const ValueInfo& input : graph.inputs) names.insert(input.name);
  for (const Node& node : graph.nodes) names.insert(node.outputs.begin(), node.outputs.end());
  return names;
}

}  // namespace

Result<bool> run_spelled(const KernelContext& c) {
  std::vector<TensorType> types(c.inputs.size());
  std::vector<const TensorType*> pointers(c.inputs.size(), nullptr);
  std::map<std::string, Tensor> feeds;
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    if (c.inputs[i] == nullptr) continue;
    types[i] = {c.inputs[i]->type(), c.inputs[i]->shape()}, pointers[i] = &types[i];
    feeds.emplace(fmt::format("i{}", i), *c.inputs[i]);
  }
  Node node = c.node;
  for (size_t i = 0; i < node.outputs.size(); ++i)
    if (c.output(i) == nullptr) node.outputs[i].clear();
  Result<Graph> graph = spelled(ShapeContext(node, c.opset, std::move(pointers), c.inputs));
  if (!graph.ok()) return graph.error();
  const std::vector<ValueInfo> outputs = graph.value().outputs;
  std::erase_if(graph.value().outputs, [](const ValueInfo& output) { return output.name.empty(); });
  const auto made = evaluate(graph.value(), feeds);
  if (!made.ok()) return made.error();
  for (size_t i = 0; i < c.outputs.size(); ++i)
    if (c.outputs[i] != nullptr && c.outputs[i]->byte_count() != 0 && !outputs[i].name.empty())
      std::memcpy(c.outputs[i]->bytes(), made.value().at(outputs[i].name).bytes(), c.outputs[i]->byte_count());
  return true;
}

Result<Graph> written_out(Graph graph, const std::map<std::string, TensorType>& inputs) {
  if (std::none_of(graph.nodes.begin(), graph.nodes.end(), has_spelling)) return graph;
  const Result<Facts> facts = infer(graph, inputs);
  if (!facts.ok()) return facts.error();
  const std::set<std::string> taken = names_in(graph);
  std::vector<Node> nodes;
  nodes.swap(graph.nodes);
  for (Node& node : nodes) {
    std::vector<const TensorType*> types;
    std::vector<const Tensor*> values;
    bool halves = false;
    for (const std::string& name : node.inputs) {
      const Fact* fact = name.empty() ? nullptr : &facts.value().find(name)->second;
      types.push_back(fact == nullptr ? nullptr : &fact->type);
      values.push_back(fact != nullptr && fact->value ? &*fact->value : nullptr);
      halves = halves || (fact != nullptr && is_half_float(fact->type.type));
    }
    if (!has_spelling(node) || halves) {
      graph.nodes.push_back(std::move(node));
      continue;
    }
    Result<Graph> made = spelled(ShapeContext(node, graph.opset, std::move(types), std::move(values)));
    if (!made.ok()) return made.error();
    splice(std::move(made).value(), node, taken, &graph);
  }
  return graph;
}

}  // namespace hayate
