// Changes a graph in place for the rewrite rules: who makes a value, who reads it, and replacing both.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "eval/evaluate.h"
#include "graph/graph.h"

namespace hayate {

class Editor {
 public:
  // Both must outlive the editor. Facts are those of the graph before the first change: what a rule makes has none.
  Editor(Graph* graph, const Facts& facts);

  Graph& graph() { return graph_; }
  size_t node_count() const { return graph_.nodes.size(); }
  // Removed nodes stay until finish(), with an empty op.
  Node& node(size_t i) { return graph_.nodes[i]; }
  bool alive(size_t i) const { return !graph_.nodes[i].op.empty(); }

  const TensorType* type(const std::string& name) const;  // null where not known
  const Tensor* constant(const std::string& name) const;  // contents known before the run; else null
  // The one number that a constant of a single element holds.
  std::optional<double> number(const std::string& name) const;

  Node* maker(const std::string& name);             // null for inputs, constants and what is not there
  size_t use_count(const std::string& name) const;  // readers, and one more where it is the graph's output
  Node* only_reader(const std::string& name);       // null unless one node reads it, once, and it is no output
  bool is_output(const std::string& name) const;
  bool is_input(const std::string& name) const;

  // Readers of `from` read `to`. Where `from` is an output of the graph its name must survive: then the maker of `to`
  // is made to write `from`. False, and nothing changed, where that cannot be.
  bool replace(std::string from, std::string to);  // by value: both may be names inside the nodes that change
  // A constant of a new name that starts with `base`.
  std::string add_constant(const std::string& base, Tensor tensor);
  std::string new_name(const std::string& base) const;
  void set_inputs(Node* node, std::vector<std::string> inputs);
  void remove(Node* node);
  // A node that runs right before `node` and makes one new value, whose name is given back. Pointers to nodes stay good
  // until finish().
  std::string insert_before(const Node* node, Node made);

  int changes() const { return changes_; }
  void count_change() { ++changes_; }
  // Drops removed nodes and puts inserted ones in their places. The editor is of no more use then.
  void finish();

 private:
  size_t index_of(const Node* node) const { return static_cast<size_t>(node - graph_.nodes.data()); }

  Graph& graph_;
  const Facts& facts_;
  std::map<std::string, size_t> maker_;
  std::map<std::string, std::vector<size_t>> readers_;  // once per place
  std::multimap<size_t, Node> inserted_;
  mutable std::map<std::string, int> taken_;
  int changes_ = 0;
};

}  // namespace hayate
