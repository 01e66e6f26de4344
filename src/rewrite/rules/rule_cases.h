// Rules tested as text: the graph before, and the graph that it must become; evaluated on random inputs before and
// after.
#pragma once

#include <map>
#include <string>

#include "graph/graph.h"
#include "rewrite/rewrite.h"

namespace hayate::rule_cases {

// Nodes are lines as Graph::text() prints them: `y = Conv(x, w) group=2 pads=[1, 1]`; a float attribute has a point or
// an exponent. The last line's outputs are the graph's unless `outputs` names others.
struct Case {
  std::map<std::string, Shape> inputs;  // float32
  std::map<std::string, Tensor> constants;
  std::string nodes;
  std::vector<std::string> outputs = {};
  int64_t opset = 20;
};

Graph graph_of(const Case& given);
std::string nodes_text(const Graph& graph);
std::map<std::string, TensorType> types_of(const Case& given);

// The rule and then drop_dead give the nodes `wanted`, and the values before within 1e-5 of their size.
void expect_becomes(const Case& given, Rule rule, const std::string& wanted);
// The rule changes nothing.
void expect_kept(const Case& given, Rule rule);
// Values after every pass are those before; gives back the graph.
Graph expect_equal_after_all(const Case& given);

Tensor number(float value);
Tensor noise(Shape shape, unsigned seed = 1);  // normal
Tensor integers(std::vector<int64_t> values);

// Shared by several rules: nodes over one input x, and constants by the names that the functions list.
std::map<std::string, Tensor> numbers();  // one, two, half, root2 ...: what functions are spelled with
std::map<std::string, Tensor> weights();  // of Gemm, Conv and BatchNormalization
Case of_x(const std::string& nodes, std::vector<std::string> outputs = {});  // x [2, 3], numbers
Case norm_of(const std::string& nodes,
             std::vector<std::string> outputs = {});                          // x [2, 3, 4], numbers, scales; opset 17
Case rows(const std::string& nodes, std::vector<std::string> outputs = {});   // x [2, 4], weights
Case deep(const std::string& nodes);                                          // x [2, 5, 4], weights
Case image(const std::string& nodes, std::vector<std::string> outputs = {});  // x [2, 4, 6, 5], weights

}  // namespace hayate::rule_cases
