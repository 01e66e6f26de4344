#include "rewrite/editor.h"

#include <fmt/format.h>

#include <algorithm>

namespace hayate {

Editor::Editor(Graph* graph, const Facts& facts) : graph_(*graph), facts_(facts) {
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    for (const std::string& name : graph_.nodes[i].outputs)
      if (!name.empty()) maker_[name] = i;
    for (const std::string& name : graph_.nodes[i].inputs)
      if (!name.empty()) readers_[name].push_back(i);
  }
}

const TensorType* Editor::type(const std::string& name) const {
  const auto it = facts_.find(name);
  return it == facts_.end() ? nullptr : &it->second.type;
}

const Tensor* Editor::constant(const std::string& name) const {
  if (const Tensor* tensor = graph_.constant(name)) return tensor;
  const auto it = facts_.find(name);
  return it == facts_.end() || !it->second.value ? nullptr : &*it->second.value;
}

std::optional<double> Editor::number(const std::string& name) const {
  const Tensor* tensor = constant(name);
  if (tensor == nullptr || tensor->count() != 1) return std::nullopt;
  return to_doubles(*tensor)[0];
}

Node* Editor::maker(const std::string& name) {
  const auto it = maker_.find(name);
  return it == maker_.end() || !alive(it->second) ? nullptr : &graph_.nodes[it->second];
}

bool Editor::is_output(const std::string& name) const {
  return std::any_of(graph_.outputs.begin(), graph_.outputs.end(),
                     [&](const ValueInfo& output) { return output.name == name; });
}

bool Editor::is_input(const std::string& name) const {
  return std::any_of(graph_.inputs.begin(), graph_.inputs.end(),
                     [&](const ValueInfo& input) { return input.name == name; });
}

size_t Editor::use_count(const std::string& name) const {
  const auto it = readers_.find(name);
  return (it == readers_.end() ? 0 : it->second.size()) + (is_output(name) ? 1 : 0);
}

Node* Editor::only_reader(const std::string& name) {
  const auto it = readers_.find(name);
  return it == readers_.end() || it->second.size() != 1 || is_output(name) ? nullptr : &graph_.nodes[it->second[0]];
}

bool Editor::replace(std::string from, std::string to) {
  const auto move_readers = [&](const std::string& old_name, const std::string& new_name) {
    std::vector<size_t> moved = std::move(readers_[old_name]);
    readers_.erase(old_name);
    for (const size_t i : moved)
      for (std::string& name : graph_.nodes[i].inputs)
        if (name == old_name) name = new_name;
    std::vector<size_t>& readers = readers_[new_name];
    readers.insert(readers.end(), moved.begin(), moved.end());
  };
  if (is_output(from)) {
    Node* source = maker(to);
    if (source == nullptr || is_output(to) || inserted_.size() != 0) return false;
    if (Node* old = maker(from))
      for (std::string& name : old->outputs)
        if (name == from) name.clear();
    for (std::string& name : source->outputs)
      if (name == to) name = from;
    maker_[from] = index_of(source);
    maker_.erase(to);
    move_readers(to, from);
  } else {
    move_readers(from, to);
  }
  ++changes_;
  return true;
}

std::string Editor::new_name(const std::string& base) const {
  for (;;) {
    const std::string name = fmt::format("{}#{}", base, taken_[base]++);
    if (graph_.constant(name) == nullptr && !maker_.contains(name) && !is_input(name)) return name;
  }
}

std::string Editor::add_constant(const std::string& base, Tensor tensor) {
  const std::string name = new_name(base);
  graph_.constants.emplace(name, std::move(tensor));
  return name;
}

void Editor::set_inputs(Node* node, std::vector<std::string> inputs) {
  const size_t at = index_of(node);
  for (const std::string& name : node->inputs)
    if (!name.empty()) std::erase(readers_[name], at);
  node->inputs = std::move(inputs);
  for (const std::string& name : node->inputs)
    if (!name.empty()) readers_[name].push_back(at);
  ++changes_;
}

void Editor::remove(Node* node) {
  set_inputs(node, {});
  for (const std::string& name : node->outputs)
    if (const auto it = maker_.find(name); it != maker_.end() && it->second == index_of(node)) maker_.erase(it);
  node->outputs.clear();
  node->op.clear();
}

std::string Editor::insert_before(const Node* node, Node made) {
  const std::string name = made.outputs[0];
  inserted_.emplace(index_of(node), std::move(made));
  ++changes_;
  return name;
}

void Editor::finish() {
  std::vector<Node> nodes;
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    const auto [first, last] = inserted_.equal_range(i);
    for (auto it = first; it != last; ++it) nodes.push_back(std::move(it->second));
    if (alive(i)) nodes.push_back(std::move(graph_.nodes[i]));
  }
  graph_.nodes = std::move(nodes);
}

}  // namespace hayate
