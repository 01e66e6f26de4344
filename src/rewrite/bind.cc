#include "rewrite/bind.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

namespace hayate {

Result<bool> bind_input(Graph* graph, const std::string& name, const std::string& value) {
  const auto it = std::find_if(graph->inputs.begin(), graph->inputs.end(), [&](const ValueInfo& input) { return input.name == name; });
  if (it == graph->inputs.end()) {
    std::string known;
    for (const ValueInfo& input : graph->inputs) known += (known.empty() ? "" : ", ") + input.text();
    return Error{Code::kInvalidArgument, graph->source, fmt::format("has no input '{}' to set; its inputs are: {}", name, known)};
  }
  double number = 0;
  const auto parsed = std::from_chars(value.data(), value.data() + value.size(), number);
  if (parsed.ec != std::errc{} || parsed.ptr != value.data() + value.size())
    return Error{Code::kInvalidArgument, graph->source, fmt::format("input '{}' is set to '{}', which is no number", name, value)};
  Shape shape;
  for (const Dim& dim : it->dims) shape.push_back(dim.fixed() ? dim.value : 1);
  const Result<int64_t> count = checked_count(shape);
  if (!count.ok() || count.value() > 1 << 20) return Error{Code::kInvalidArgument, graph->source, fmt::format("input {} is too large to set", it->text())};
  Tensor tensor(it->type, shape);
  const bool filled = visit_type(it->type, [&]<typename T>() {
    for (int64_t i = 0; i < tensor.count(); ++i) tensor.data<T>()[i] = static_cast<T>(number);
  });
  if (!filled) return Error{Code::kUnsupported, graph->source, fmt::format("input {} cannot be set", it->text())};
  graph->inputs.erase(it);
  graph->constants.insert_or_assign(name, std::move(tensor));
  return true;
}

namespace {

constexpr size_t kBranchesMax = 10'000;  // replaced in one graph: a file must not grow without end

// The nodes of `branch` under names of their own, its outputs named as the If's.
void inline_branch(const Graph& branch, const Node& node, size_t number, std::vector<Node>* nodes, std::map<std::string, Tensor>* constants) {
  std::set<std::string> own;
  for (const auto& [name, tensor] : branch.constants) own.insert(name);
  for (const Node& inner : branch.nodes) own.insert(inner.outputs.begin(), inner.outputs.end());
  own.erase("");
  const std::string prefix = fmt::format("{}.{}/", node.name, number);
  // Subgraphs deeper down read these values by name too, so renaming walks into them.
  const auto renamed = [&](const std::string& name) { return own.count(name) != 0 ? prefix + name : name; };
  const auto rename_graph = [&](const auto& self, const Graph& graph) -> Graph {
    Graph out = graph;
    for (Node& inner : out.nodes) {
      for (std::string& name : inner.inputs) name = renamed(name);
      for (auto& [key, value] : inner.attributes)
        if (auto* subgraph = std::get_if<std::shared_ptr<const Graph>>(&value)) *subgraph = std::make_shared<const Graph>(self(self, **subgraph));
    }
    for (ValueInfo& output : out.outputs) output.name = renamed(output.name);
    return out;
  };
  Graph body = rename_graph(rename_graph, branch);
  for (const auto& [name, tensor] : body.constants) constants->emplace(renamed(name), tensor);
  for (Node& inner : body.nodes) {
    for (std::string& name : inner.outputs) name = renamed(name);
    inner.name = prefix + inner.name;
    nodes->push_back(std::move(inner));
  }
  for (size_t i = 0; i < node.outputs.size() && i < body.outputs.size(); ++i)
    if (!node.outputs[i].empty()) nodes->push_back({fmt::format("{}out{}", prefix, i), "", "Identity", {body.outputs[i].name}, {node.outputs[i]}, {}});
}

}  // namespace

Result<Graph> resolve_branches(Graph graph, const std::map<std::string, TensorType>& inputs) {
  for (size_t replaced = 0; replaced < kBranchesMax; ++replaced) {
    const auto it = std::find_if(graph.nodes.begin(), graph.nodes.end(), [](const Node& node) { return node.is("If"); });
    if (it == graph.nodes.end()) return graph;
    const Node node = *it;
    const std::string where = graph.source + ": " + node.where();
    Graph before = graph;
    before.nodes.erase(before.nodes.begin() + (it - graph.nodes.begin()), before.nodes.end());
    before.outputs.clear();
    const Result<Facts> facts = infer(before, inputs);
    if (!facts.ok()) return facts.error();
    const auto condition = facts.value().find(node.input(0));
    if (condition == facts.value().end() || !condition->second.value) {
      std::string names;
      for (const ValueInfo& input : graph.inputs) names += (names.empty() ? "" : ", ") + input.name;
      return Error{Code::kUnsupported, where,
                   fmt::format("its condition '{}' depends on what the model is fed; bind the input that decides it with --set NAME=VALUE (inputs: {})", node.input(0), names)};
    }
    const Tensor& value = *condition->second.value;
    if (value.type() != Type::kBool || value.count() != 1) return Error{Code::kInvalidArgument, where, "its condition is not one bool"};
    const auto branch = node.subgraph(value.data<bool>()[0] ? "then_branch" : "else_branch");
    if (!branch || branch->outputs.size() < node.outputs.size()) return Error{Code::kInvalidArgument, where, "its branch is missing or gives too few outputs"};
    std::vector<Node> nodes(graph.nodes.begin(), it);
    inline_branch(*branch, node, replaced, &nodes, &graph.constants);
    nodes.insert(nodes.end(), it + 1, graph.nodes.end());
    graph.nodes = std::move(nodes);
    const Result<bool> verified = verify(graph);
    if (!verified.ok()) return verified.error();
  }
  return Error{Code::kResourceExhausted, graph.source, fmt::format("holds more than {} branches", kBranchesMax)};
}

}  // namespace hayate
