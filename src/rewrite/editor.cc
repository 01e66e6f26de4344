#include "rewrite/editor.h"

#include <fmt/format.h>

#include <algorithm>

namespace hayate {

Editor::Editor(Graph* graph, const Facts& facts) : graph_(*graph), facts_(facts) {
  for (const ValueInfo& input : graph_.inputs) inputs_.insert(input.name);
  for (const ValueInfo& output : graph_.outputs) outputs_.insert(output.name);
}

void Editor::index() const {
  if (indexed_) return;
  indexed_ = true;
  maker_.reserve(graph_.nodes.size()), readers_.reserve(graph_.nodes.size());
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    for (const std::string& name : graph_.nodes[i].outputs)
      if (!name.empty()) maker_[name] = i;
    for (const std::string& name : graph_.nodes[i].inputs) add_reader(name, i);
  }
}

const TensorType* Editor::type(const std::string& name) const {
  if (const auto told = types_.find(name); told != types_.end()) return &told->second;
  const auto it = facts_.find(name);
  return it == facts_.end() ? nullptr : &it->second.type;
}

const Tensor* Editor::constant(const std::string& name) const {
  if (name.empty()) return nullptr;
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
  index();
  const auto it = maker_.find(name);
  return it == maker_.end() || !alive(it->second) ? nullptr : &node(it->second);
}

size_t Editor::use_count(const std::string& name) const {
  index();
  const auto it = readers_.find(name);
  return (it == readers_.end() ? 0 : it->second.total) + (is_output(name) ? 1 : 0);
}

std::vector<const Node*> Editor::readers(const std::string& name) {
  index();
  std::vector<const Node*> made;
  if (const auto it = readers_.find(name); it != readers_.end())
    for (const auto& place : it->second.places) made.push_back(&node(place.first));
  return made;
}

Node* Editor::only_reader(const std::string& name) {
  index();
  const auto it = readers_.find(name);
  return it == readers_.end() || it->second.total != 1 || is_output(name) ? nullptr
                                                                          : &node(it->second.places.begin()->first);
}

size_t Editor::index_of(const Node* node) const {
  const auto it = added_at_.find(node);
  return it != added_at_.end() ? it->second : static_cast<size_t>(node - graph_.nodes.data());
}

void Editor::add_reader(const std::string& name, size_t at, int places) const {
  if (name.empty()) return;
  Readers& readers = readers_[name];
  readers.places[at] += places;
  readers.total += static_cast<size_t>(places);
}

void Editor::drop_reader(const std::string& name, size_t at) {
  if (name.empty()) return;
  Readers& readers = readers_[name];
  if (--readers.places[at] == 0) readers.places.erase(at);
  --readers.total;
}

bool Editor::replace(std::string from, std::string to) {
  index();
  const auto move_readers = [&](const std::string& old_name, const std::string& new_name) {
    const Readers moved = std::move(readers_[old_name]);
    readers_.erase(old_name);
    for (const auto& [at, places] : moved.places) {
      for (std::string& name : node(at).inputs)
        if (name == old_name) name = new_name;
      add_reader(new_name, at, places);
    }
  };
  if (is_output(from)) {
    Node* source = maker(to);
    // What reads `from` already may stand before the maker of `to`, never the other way round.
    if (source == nullptr || is_output(to)) return false;
    if (Node* old = maker(from))
      for (std::string& name : old->outputs)
        if (name == from) name.clear();
    for (std::string& name : source->outputs)
      if (name == to) name = from;
    maker_[from] = index_of(source);
    maker_.erase(to);
    if (const TensorType* known = type(to)) set_type(from, TensorType(*known));
    move_readers(to, from);
  } else {
    move_readers(from, to);
  }
  ++changes_;
  return true;
}

std::string Editor::new_name(const std::string& base) const {
  index();
  for (;;) {
    const std::string name = fmt::format("{}#{}", base, taken_[base]++);
    if (graph_.constant(name) == nullptr && !maker_.contains(name) && !is_input(name)) return name;
  }
}

std::string Editor::add_constant(const std::string& base, Tensor tensor) {
  const std::string name = new_name(base);
  set_type(name, {tensor.type(), tensor.shape()});
  graph_.constants.emplace(name, std::move(tensor));
  return name;
}

void Editor::set_inputs(Node* node, std::vector<std::string> inputs) {
  index();
  const size_t at = index_of(node);
  for (const std::string& name : node->inputs) drop_reader(name, at);
  node->inputs = std::move(inputs);
  for (const std::string& name : node->inputs) add_reader(name, at);
  ++changes_;
}

void Editor::become(Node* node, std::string op, std::vector<std::string> inputs,
                    std::map<std::string, Attribute> attributes, std::string domain) {
  set_inputs(node, std::move(inputs));
  node->op = std::move(op), node->domain = std::move(domain), node->attributes = std::move(attributes);
}

void Editor::remove(Node* node) {
  set_inputs(node, {});
  for (const std::string& name : node->outputs)
    if (const auto it = maker_.find(name); it != maker_.end() && it->second == index_of(node)) maker_.erase(it);
  node->outputs.clear();
  node->op.clear();
}

std::string Editor::insert_before(const Node* node, Node made) {
  index();
  const std::string name = made.outputs[0];
  const size_t next = index_of(node), count = graph_.nodes.size(), at = count + added_.size(),
               position = next < count ? next : position_[next - count];
  std::vector<size_t>& order = inserted_[position];
  order.insert(next < count ? order.end() : std::find(order.begin(), order.end(), next), at);
  position_.push_back(position);
  added_.push_back(std::move(made));
  added_at_[&added_.back()] = at;
  maker_[name] = at;
  for (const std::string& input : added_.back().inputs) add_reader(input, at);
  ++changes_;
  return name;
}

void Editor::finish() {
  if (changes_ == 0) return;
  std::vector<Node> nodes;
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    if (const auto it = inserted_.find(i); it != inserted_.end())
      for (const size_t at : it->second)
        if (alive(at)) nodes.push_back(std::move(node(at)));
    if (alive(i)) nodes.push_back(std::move(graph_.nodes[i]));
  }
  graph_.nodes = std::move(nodes);
}

}  // namespace hayate
