// Changes a graph in place for the rewrite rules: who makes a value, who reads it, and replacing both. Every change
// costs a few look-ups, so that a pass over n nodes takes about n log n.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "eval/evaluate.h"
#include "graph/graph.h"

namespace hayate {

class Editor {
 public:
  // Both must outlive the editor. Facts are those of the graph before the first change: of what a rule makes nothing is
  // known but what it tells by set_type.
  Editor(Graph* graph, const Facts& facts);
  Editor(const Editor&) = delete;
  Editor& operator=(const Editor&) = delete;

  Graph& graph() { return graph_; }
  // Nodes of the graph as it came; what is inserted comes under the numbers behind.
  size_t node_count() const { return graph_.nodes.size(); }
  // Removed nodes stay until finish(), with an empty op.
  Node& node(size_t i) { return i < graph_.nodes.size() ? graph_.nodes[i] : added_[i - graph_.nodes.size()]; }
  bool alive(size_t i) { return !node(i).op.empty(); }

  const TensorType* type(const std::string& name) const;  // null where not known
  const Tensor* constant(const std::string& name) const;  // contents known before the run; else null
  // The one number that a constant of a single element holds.
  std::optional<double> number(const std::string& name) const;
  void set_type(const std::string& name, TensorType type) { types_[name] = std::move(type); }

  Node* maker(const std::string& name);             // null for inputs, constants and what is not there
  size_t use_count(const std::string& name) const;  // readers, and one more where it is the graph's output
  std::vector<const Node*> readers(const std::string& name);
  Node* only_reader(const std::string& name);       // null unless one node reads it, once, and it is no output
  bool is_output(const std::string& name) const { return outputs_.contains(name); }
  bool is_input(const std::string& name) const { return inputs_.contains(name); }

  // Readers of `from` read `to`. Where `from` is an output of the graph its name must survive: then the maker of `to`
  // is made to write `from`. False, and nothing changed, where that cannot be.
  bool replace(std::string from, std::string to);  // by value: both may be names inside the nodes that change
  // A constant of a new name that starts with `base`.
  std::string add_constant(const std::string& base, Tensor tensor);
  std::string new_name(const std::string& base) const;
  void set_inputs(Node* node, std::vector<std::string> inputs);
  // The node computes the same outputs by another operator.
  void become(Node* node, std::string op, std::vector<std::string> inputs,
              std::map<std::string, Attribute> attributes = {}, std::string domain = "");
  void remove(Node* node);
  // A node that runs right before `node` and makes one new value, whose name is given back. Pointers to nodes stay good
  // until finish().
  std::string insert_before(const Node* node, Node made);

  int changes() const { return changes_; }
  void count_change() { ++changes_; }
  // Drops removed nodes and puts inserted ones in their places. The editor is of no more use then.
  void finish();

 private:
  struct Readers {
    std::map<size_t, int> places;  // of each node that reads it
    size_t total = 0;
  };

  // Who makes and who reads each value. Built when first asked for: most rules look for operators that few graphs have.
  void index() const;
  size_t index_of(const Node* node) const;
  void add_reader(const std::string& name, size_t at, int places = 1) const;
  void drop_reader(const std::string& name, size_t at);

  Graph& graph_;
  const Facts& facts_;
  std::unordered_set<std::string> inputs_, outputs_;
  mutable bool indexed_ = false;
  mutable std::unordered_map<std::string, size_t> maker_;
  mutable std::unordered_map<std::string, Readers> readers_;
  std::unordered_map<std::string, TensorType> types_;
  std::deque<Node> added_;
  std::unordered_map<const Node*, size_t> added_at_;
  std::vector<size_t> position_;  // of each added node
  std::map<size_t, std::vector<size_t>> inserted_;
  mutable std::unordered_map<std::string, int> taken_;
  int changes_ = 0;
};

}  // namespace hayate
