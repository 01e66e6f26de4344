#include "graph/rule_checks.h"

#include <fmt/format.h>

#include <algorithm>

namespace hayate {

bool is_float(Type type) {
  return type == Type::kFloat32 || type == Type::kFloat64 || type == Type::kFloat16 || type == Type::kBFloat16;
}

std::optional<Error> float_inputs(const ShapeContext& c) {
  for (size_t i = 0; i < c.input_count(); ++i)
    if (c.has(i) && (!is_float(c.type(i)) || c.type(i) != c.type(0)))
      return c.error(fmt::format("takes floats of one type; input '{}' is {}", c.node.input(i), type_name(c.type(i))),
                     Code::kUnsupported);
  return std::nullopt;
}

Error bad(const Node& node, std::string what, Code code) { return Error{code, node.where(), std::move(what)}; }

std::optional<Error> type_error(const ShapeContext& c, size_t i, std::initializer_list<Type> types) {
  if (!c.has(i) || std::find(types.begin(), types.end(), c.type(i)) != types.end()) return std::nullopt;
  std::string accepted;
  for (const Type type : types) accepted += (accepted.empty() ? "" : ", ") + std::string(type_name(type));
  return c.error(
      fmt::format("input '{}' of type {} is not supported; {} may be", c.node.input(i), type_name(c.type(i)), accepted),
      Code::kUnsupported);
}

std::optional<Error> shape_error(const ShapeContext& c, size_t i, const Shape& wanted) {
  if (!c.has(i) || c.shape(i) == wanted) return std::nullopt;
  return c.error(fmt::format("input '{}' must have shape {}, it has {}", c.node.input(i), shape_text(wanted),
                             shape_text(c.shape(i))));
}

std::optional<std::string> lengths_fault(const Node& node, const Tensor& lens, int64_t steps) {
  for (int64_t row = 0; row < lens.count(); ++row)
    if (const int32_t length = lens.data<int32_t>()[row]; length < 0 || length > steps)
      return fmt::format("sequence_lens '{}' is {} for row {}; 0 to {}, the steps of X, are accepted", node.input(4),
                         length, row, steps);
  return std::nullopt;
}

}  // namespace hayate
