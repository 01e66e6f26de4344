#include "rewrite/pattern.h"

#include <algorithm>
#include <cmath>

namespace hayate {

bool near(std::optional<double> value, double wanted) {
  return value && std::fabs(*value - wanted) <= 1e-5 * std::max(1e-3, std::fabs(wanted));
}

Node* made_by(Editor* editor, const std::string& name, std::string_view op) {
  Node* node = editor->maker(name);
  return node != nullptr && node->is(op) ? node : nullptr;
}

Node* read_by(Editor* editor, const std::string& name, std::string_view op) {
  Node* node = editor->only_reader(name);
  return node != nullptr && node->is(op) ? node : nullptr;
}

std::string other_input(const Node& node, const std::string& name) {
  if (node.inputs.size() != 2) return "";
  if (node.inputs[0] == name) return node.inputs[1];
  return node.inputs[1] == name ? node.inputs[0] : "";
}

bool same_type(Editor* editor, const std::string& a, const std::string& b) {
  const TensorType *x = editor->type(a), *y = editor->type(b);
  return x != nullptr && y != nullptr && *x == *y;
}

namespace {

// made = of * factor + shift, where the node is arithmetic of `of` with one number.
std::optional<AffineStep> affine_step(Editor* editor, const Node& node, const std::string& of) {
  if (!node.domain.empty() || node.outputs.size() != 1 || !same_type(editor, of, node.outputs[0])) return std::nullopt;
  AffineStep step{of, node.outputs[0]};
  if (node.op == "Neg") {
    step.factor = -1;
    return step;
  }
  const std::string other = other_input(node, of);
  const std::optional<double> number = other.empty() ? std::nullopt : editor->number(other);
  if (!number || other == of) return std::nullopt;
  const bool first = node.inputs[0] == of;
  if (node.op == "Mul") {
    step.factor = *number;
  } else if (node.op == "Div" && first && *number != 0) {
    step.factor = 1 / *number;
  } else if (node.op == "Add") {
    step.shift = *number;
  } else if (node.op == "Sub") {
    step.factor = first ? 1 : -1;
    step.shift = first ? -*number : *number;
  } else {
    return std::nullopt;
  }
  return step;
}

}  // namespace

std::optional<AffineStep> affine_made(Editor* editor, const std::string& name) {
  const Node* node = editor->maker(name);
  if (node == nullptr || node->inputs.empty()) return std::nullopt;
  for (const std::string& of : node->inputs)
    if (!of.empty() && editor->constant(of) == nullptr) return affine_step(editor, *node, of);
  return std::nullopt;
}

std::optional<AffineStep> affine_read(Editor* editor, const std::string& name) {
  const Node* node = editor->only_reader(name);
  return node == nullptr ? std::nullopt : affine_step(editor, *node, name);
}

namespace {

constexpr int kDepthMax = 6;
constexpr size_t kDegreeMax = 3;
using Polynomial = std::vector<double>;

std::optional<Polynomial> product(const Polynomial& a, const Polynomial& b) {
  Polynomial made(kDegreeMax + 1, 0.0);
  for (size_t i = 0; i <= kDegreeMax; ++i)
    for (size_t k = 0; k <= kDegreeMax; ++k) {
      const double term = a[i] * b[k];
      if (term == 0) continue;
      if (i + k > kDegreeMax) return std::nullopt;
      made[i + k] += term;
    }
  return made;
}

Polynomial sum(const Polynomial& a, const Polynomial& b, double sign) {
  Polynomial made = a;
  for (size_t i = 0; i < made.size(); ++i) made[i] += sign * b[i];
  return made;
}

std::optional<Polynomial> polynomial(Editor* editor, const std::string& name, const std::string& x, int depth) {
  if (name == x) return Polynomial{0, 1, 0, 0};
  if (const std::optional<double> number = editor->number(name)) return Polynomial{*number, 0, 0, 0};
  const Node* node = editor->maker(name);
  if (depth == 0 || node == nullptr || !node->domain.empty() || node->inputs.empty() || node->inputs.size() > 2)
    return std::nullopt;
  const std::optional<Polynomial> a = polynomial(editor, node->inputs[0], x, depth - 1);
  if (!a) return std::nullopt;
  if (node->op == "Neg") return sum({0, 0, 0, 0}, *a, -1);
  if (node->inputs.size() != 2) return std::nullopt;
  if (node->op == "Pow") {
    const std::optional<double> power = editor->number(node->inputs[1]);
    if (power != 2.0 && power != 3.0) return std::nullopt;
    const std::optional<Polynomial> squared = product(*a, *a);
    return !squared || power == 2.0 ? squared : product(*squared, *a);
  }
  const std::optional<Polynomial> b =
      node->inputs[1] == node->inputs[0] ? a : polynomial(editor, node->inputs[1], x, depth - 1);
  if (!b) return std::nullopt;
  if (node->op == "Add" || node->op == "Sub") return sum(*a, *b, node->op == "Add" ? 1 : -1);
  if (node->op == "Mul") return product(*a, *b);
  const bool number = (*b)[0] != 0 && (*b)[1] == 0 && (*b)[2] == 0 && (*b)[3] == 0;
  if (node->op == "Div" && number) return product(*a, {1 / (*b)[0], 0, 0, 0});
  return std::nullopt;
}

}  // namespace

std::optional<std::vector<double>> polynomial_in(Editor* editor, const std::string& name, const std::string& x) {
  if (!same_type(editor, name, x)) return std::nullopt;
  return polynomial(editor, name, x, kDepthMax);
}

bool is_polynomial(Editor* editor, const std::string& name, const std::string& x, const std::vector<double>& wanted) {
  const std::optional<std::vector<double>> found = polynomial_in(editor, name, x);
  if (!found) return false;
  for (size_t i = 0; i <= kDegreeMax; ++i)
    if (!near((*found)[i], i < wanted.size() ? wanted[i] : 0)) return false;
  return true;
}

std::string square_root_of(Editor* editor, const std::string& name) {
  const Node* node = editor->maker(name);
  if (node == nullptr || node->inputs.size() != 2) return "";
  if (node->is("Mul") && node->inputs[0] == node->inputs[1]) return node->inputs[0];
  if (node->is("Pow") && editor->number(node->inputs[1]) == 2.0) return node->inputs[0];
  return "";
}

namespace {

// c where `name` is c * x; nothing where it is not.
std::optional<double> multiple_of(Editor* editor, std::string name, const std::string& x) {
  double factor = 1;
  for (int depth = 0; depth < kDepthMax && name != x; ++depth) {
    const std::optional<AffineStep> step = affine_made(editor, name);
    if (!step || step->shift != 0) return std::nullopt;
    factor *= step->factor, name = step->of;
  }
  return name == x ? std::optional(factor) : std::nullopt;
}

}  // namespace

std::optional<Product> product_with(Editor* editor, const std::string& f, const std::string& x, double shift,
                                    double wanted_factor) {
  std::string value = f;
  double a = 0, b = 1;
  bool multiplied = false;
  for (int depth = 0; depth < kDepthMax; ++depth) {
    if (multiplied && near(b, wanted_factor)) return Product{editor->maker(value), b};
    if (const std::optional<AffineStep> step = affine_read(editor, value)) {
      if (multiplied && step->shift != 0) return std::nullopt;
      a = a * step->factor + step->shift, b *= step->factor, value = step->made;
      continue;
    }
    Node* mul = read_by(editor, value, "Mul");
    const std::optional<double> times =
        mul == nullptr ? std::nullopt : multiple_of(editor, other_input(*mul, value), x);
    if (multiplied || !times || !near(a, shift * b) || !same_type(editor, mul->outputs[0], x)) return std::nullopt;
    multiplied = true, b *= *times, a = 0, value = mul->outputs[0];
  }
  return std::nullopt;
}

std::vector<std::string> product_candidates(Editor* editor, const std::string& f) {
  std::string value = f;
  for (int depth = 0; depth < kDepthMax; ++depth) {
    const std::optional<AffineStep> step = affine_read(editor, value);
    if (!step) break;
    value = step->made;
  }
  std::vector<std::string> found;
  if (const Node* mul = read_by(editor, value, "Mul")) found.push_back(other_input(*mul, value));
  while (!found.empty() && found.size() < static_cast<size_t>(kDepthMax)) {
    const std::optional<AffineStep> step = affine_made(editor, found.back());
    if (!step || step->shift != 0) break;
    found.push_back(step->of);
  }
  return found;
}

std::optional<std::vector<double>> per_channel(Editor* editor, const std::string& name, const Shape& shape,
                                               int64_t axis) {
  const Tensor* tensor = editor->constant(name);
  const size_t rank = shape.size(), at = static_cast<size_t>(axis);
  if (tensor == nullptr || tensor->type() != Type::kFloat32 || tensor->shape().size() > rank) return std::nullopt;
  const size_t missing = rank - tensor->shape().size();
  for (size_t i = missing; i < rank; ++i)
    if (tensor->shape()[i - missing] != 1 && (i != at || tensor->shape()[i - missing] != shape[at]))
      return std::nullopt;
  std::vector<double> values = to_doubles(*tensor);
  if (values.size() == 1) values.resize(static_cast<size_t>(shape[at]), values[0]);
  return values;
}

Tensor floats_of(const std::vector<double>& values) {
  Tensor made(Type::kFloat32, {static_cast<int64_t>(values.size())});
  for (size_t i = 0; i < values.size(); ++i) made.data<float>()[i] = static_cast<float>(values[i]);
  return made;
}

}  // namespace hayate
