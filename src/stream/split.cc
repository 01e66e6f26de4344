#include "stream/split.h"

#include <algorithm>
#include <cctype>
#include <set>
#include <string>
#include <vector>

namespace hayate {
namespace {

// In lower case, as their case is free.
bool has_usual_functions(const Node& node) {
  const auto names = node.get<std::vector<std::string>>("activations", {});
  const std::vector<std::string> usual = node.is("LSTM") ? std::vector<std::string>{"sigmoid", "tanh", "tanh"}
                                                         : std::vector<std::string>{"sigmoid", "tanh"};
  const auto same = [](const std::string& a, const std::string& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](char x, char y) { return std::tolower(static_cast<unsigned char>(x)) == y; });
  };
  return names.empty() || std::equal(names.begin(), names.end(), usual.begin(), usual.end(), same);
}

// Constants, and integers among them behind a DequantizeLinear.
std::set<std::string> known_weights(const Graph& graph, const std::vector<Node>& nodes) {
  std::set<std::string> known;
  for (const auto& [name, tensor] : graph.constants) known.insert(name);
  for (const Node& node : nodes)
    if (node.is("DequantizeLinear") &&
        std::all_of(node.inputs.begin(), node.inputs.end(),
                    [&](const std::string& name) { return name.empty() || graph.constants.contains(name); }))
      known.insert(node.outputs[0]);
  return known;
}

bool is_split(const Node& node, const std::set<std::string>& known, const Facts& facts) {
  const bool lstm = node.is("LSTM");
  if (!lstm && !(node.is("GRU") && node.get<int64_t>("linear_before_reset", 0) != 0)) return false;
  if (node.get<std::string>("direction", "forward") != "forward" || node.get<int64_t>("layout", 0) != 0 ||
      !node.input(4).empty() || !node.input(7).empty() || node.get<float>("clip", 0) != 0 ||
      node.get<int64_t>("input_forget", 0) != 0 || !has_usual_functions(node))
    return false;
  if (facts.find(node.inputs[0])->second.type.type != Type::kFloat32) return false;
  for (size_t i = 1; i < 4; ++i)
    if (!node.input(i).empty() && !known.contains(node.inputs[i])) return false;
  return true;
}

}  // namespace

Graph split_recurrences(Graph graph, const Facts& facts) {
  std::vector<Node> nodes;
  nodes.swap(graph.nodes);
  const std::set<std::string> known = known_weights(graph, nodes);
  for (Node& node : nodes) {
    if (!is_split(node, known, facts)) {
      graph.nodes.push_back(std::move(node));
      continue;
    }
    const int64_t gates = node.is("LSTM") ? 4 : 3, rows = facts.find(node.inputs[0])->second.type.shape[1],
                  hidden = facts.find(node.inputs[2])->second.type.shape[2];
    const std::string& made =
        *std::find_if(node.outputs.begin(), node.outputs.end(), [](const auto& o) { return !o.empty(); });
    const std::string from_x = made + "/from_input";
    const auto state = [&](size_t i) {
      if (!node.input(i).empty()) return node.inputs[i];
      const std::string name = made + "/zeros";
      if (!graph.constants.contains(name)) {
        Tensor zeros(Type::kFloat32, {1, rows, hidden});
        std::fill_n(zeros.data<float>(), zeros.count(), 0.0f);
        graph.constants.emplace(name, zeros);
      }
      return name;
    };
    const Attributes attributes{{"gates", gates}};
    graph.nodes.push_back({node.name + " (of its input)",
                           "hayate",
                           "RecurrentInput",
                           {node.inputs[0], node.inputs[1], node.input(3)},
                           {from_x},
                           attributes});
    graph.nodes.push_back({node.name,
                           "hayate",
                           "RecurrentSteps",
                           {from_x, node.inputs[2], node.input(3), state(5), gates == 4 ? state(6) : ""},
                           node.outputs,
                           attributes});
  }
  return graph;
}

}  // namespace hayate
