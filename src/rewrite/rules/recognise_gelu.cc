#include <cmath>

#include "rewrite/rules/rules.h"

namespace hayate {
namespace {

bool near(std::optional<double> value, double wanted) { return value && std::fabs(*value - wanted) < 1e-5; }

// The other input where `node` is `op` of `name` and something; empty where it is not.
std::string other_input(const Node* node, const char* op, const std::string& name) {
  if (node == nullptr || !node->is(op) || node->inputs.size() != 2) return "";
  if (node->inputs[0] == name) return node->inputs[1];
  return node->inputs[1] == name ? node->inputs[0] : "";
}

// The value whose half `name` is; empty where it is none.
std::string half_of(Editor* editor, const std::string& name) {
  const Node* node = editor->maker(name);
  if (node == nullptr || !node->is("Mul")) return "";
  for (const size_t side : {size_t{0}, size_t{1}})
    if (near(editor->number(node->inputs[side]), 0.5)) return node->inputs[1 - side];
  return "";
}

// x where `name` is x / sqrt(2); empty where it is not.
std::string over_root_two(Editor* editor, const std::string& name) {
  const Node* node = editor->maker(name);
  if (node == nullptr || node->inputs.size() != 2) return "";
  if (node->is("Div") && near(editor->number(node->inputs[1]), std::sqrt(2.0))) return node->inputs[0];
  for (const size_t side : {size_t{0}, size_t{1}})
    if (node->is("Mul") && near(editor->number(node->inputs[side]), std::sqrt(0.5))) return node->inputs[1 - side];
  return "";
}

}  // namespace

// x / 2 * (1 + erf(x / sqrt 2)), in the orders that exporters write -> Gelu(x).
void recognise_gelu(Editor* editor) {
  for (size_t i = 0; i < editor->node_count(); ++i) {
    const Node& erf = editor->node(i);
    if (!erf.is("Erf")) continue;
    const std::string x = over_root_two(editor, erf.inputs[0]);
    Node* add = editor->only_reader(erf.outputs[0]);
    if (x.empty() || !near(editor->number(other_input(add, "Add", erf.outputs[0])), 1.0)) continue;
    Node* mul = editor->only_reader(add->outputs[0]);
    const std::string factor = other_input(mul, "Mul", add->outputs[0]);
    if (factor.empty()) continue;
    Node* last = nullptr;
    if (half_of(editor, factor) == x)
      last = mul;  // (x / 2) * (1 + erf)
    else if (factor == x &&
             near(editor->number(other_input(editor->only_reader(mul->outputs[0]), "Mul", mul->outputs[0])), 0.5))
      last = editor->only_reader(mul->outputs[0]);  // x * (1 + erf) / 2
    else if (near(editor->number(factor), 0.5) &&
             other_input(editor->only_reader(mul->outputs[0]), "Mul", mul->outputs[0]) == x)
      last = editor->only_reader(mul->outputs[0]);  // x * (half of 1 + erf)
    const TensorType *in = editor->type(x), *out = last == nullptr ? nullptr : editor->type(last->outputs[0]);
    if (in == nullptr || out == nullptr || !(*in == *out)) continue;
    last->op = "Gelu";
    last->attributes.clear();
    editor->set_inputs(last, {x});
  }
}

}  // namespace hayate
