// Operators that are written with others: those of com.microsoft that ONNX Runtime's optimiser and quantiser leave in
// files. Each has one spelling, a graph that follows from the types it is given: its shape rule, its reference kernel
// (eval/spelled.h) and what backends compile are all that graph.
#pragma once

#include <string>
#include <vector>

#include "graph/op_table.h"

namespace hayate {

using Spelling = Result<Graph> (*)(const ShapeContext&);

// Null where the operator has none.
Spelling find_spelling(std::string_view domain, std::string_view op);

// The node's graph: its inputs are called i0, i1 ... (no others than those given), its outputs are the node's in their
// order (of an empty name where not asked for).
Result<Graph> spelled(const ShapeContext& c);
// The shape rule of operators that have a spelling: the types of their graph.
Result<Types> spelled_types(const ShapeContext& c);

// Collects the nodes of a spelling.
class Speller {
 public:
  explicit Speller(const ShapeContext& context) : c(context) { graph_.opset = kOpset; }

  const ShapeContext& c;

  std::string in(size_t i) const;  // empty where left out
  bool asked(size_t i) const { return i < c.node.outputs.size() && !c.node.outputs[i].empty(); }
  // A node of ai.onnx; gives the name of its first output, further ones are that name with .1, .2 ...
  std::string add(const std::string& op, std::vector<std::string> inputs,
                  std::map<std::string, Attribute> attributes = {}, size_t outputs = 1);
  std::string constant(Tensor tensor);
  std::string ints(const std::vector<int64_t>& values);  // int64, one axis
  std::string number(double value, Type type);           // a scalar
  std::string cast(const std::string& value, Type type);
  std::string reshape(const std::string& value, const std::vector<int64_t>& shape);  // 0 keeps, -1 follows
  std::string slice(const std::string& value, int64_t axis, int64_t start, int64_t end);
  // x, or x + y where there is a y.
  std::string plus(const std::string& x, const std::string& y) { return y.empty() ? x : add("Add", {x, y}); }
  // The activation by name, with parameters as FusedConv and FusedGemm have them; an error where it is none.
  Result<std::string> activation(const std::string& value, const std::string& name, const std::vector<float>& given);

  Result<Graph> give(std::vector<std::string> outputs);

 private:
  static constexpr int64_t kOpset = 24;  // of the nodes
  Graph graph_;
};

struct SpellingEntry {
  std::string_view domain, op;
  size_t inputs_min, inputs_max;
  Spelling spelling;
  ShapeRule rule = spelled_types;  // another where the graph is long and its types follow sooner
};
void add_float_spellings(std::vector<SpellingEntry>* table);
void add_attention_spellings(std::vector<SpellingEntry>* table);
void add_quant_spellings(std::vector<SpellingEntry>* table);

}  // namespace hayate
