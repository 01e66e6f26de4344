// Matrix products and the softmax family.
#include <fmt/format.h>

#include "graph/op_rules.h"
#include "graph/rule_checks.h"

namespace hayate {
namespace {

// Every input given must be of one numeric type.
std::optional<Error> number_inputs(const ShapeContext& c) {
  for (size_t i = 0; i < c.input_count(); ++i)
    if (c.has(i) && (c.type(i) == Type::kBool || c.type(i) != c.type(0)))
      return c.error(fmt::format("takes numbers of one type; input '{}' is {}", c.node.input(i), type_name(c.type(i))));
  return std::nullopt;
}

Result<Types> gemm(const ShapeContext& c) {
  if (const auto error = number_inputs(c)) return *error;
  if (c.rank(0) != 2 || c.rank(1) != 2)
    return c.error(
        fmt::format("takes matrices, it is given {} and {}", shape_text(c.shape(0)), shape_text(c.shape(1))));
  const bool ta = c.node.get<int64_t>("transA", 0) != 0, tb = c.node.get<int64_t>("transB", 0) != 0;
  const int64_t m = c.shape(0)[ta], k = c.shape(0)[!ta], n = c.shape(1)[!tb];
  if (c.shape(1)[tb] != k)
    return c.error(
        fmt::format("the inner extents of {} and {} differ", shape_text(c.shape(0)), shape_text(c.shape(1))));
  const Shape out{m, n};
  if (c.has(2)) {
    const std::optional<Shape> both = broadcast(c.shape(2), out);
    if (!both || *both != out)
      return c.error(fmt::format("C {} does not broadcast to {}", shape_text(c.shape(2)), shape_text(out)));
  }
  return Types{{c.type(0), out}};
}

Result<Types> matmul(const ShapeContext& c) {
  if (const auto error = number_inputs(c)) return *error;
  Shape a = c.shape(0), b = c.shape(1);
  if (a.empty() || b.empty()) return c.error("takes no scalars");
  const bool row = a.size() == 1, column = b.size() == 1;
  if (row) a.insert(a.begin(), 1);
  if (column) b.push_back(1);
  const std::optional<Shape> batch = broadcast(Shape(a.begin(), a.end() - 2), Shape(b.begin(), b.end() - 2));
  if (!batch || a[a.size() - 1] != b[b.size() - 2])
    return c.error(fmt::format("shapes {} and {} do not multiply", shape_text(c.shape(0)), shape_text(c.shape(1))));
  Shape out = *batch;
  if (!row) out.push_back(a[a.size() - 2]);
  if (!column) out.push_back(b[b.size() - 1]);
  return Types{{c.type(0), out}};
}

Result<Types> softmax(const ShapeContext& c) {
  if (const auto error = float_inputs(c)) return *error;
  if (!normal_axis(c.node.get<int64_t>("axis", c.opset < 13 ? 1 : -1), std::max<int64_t>(1, c.rank(0))))
    return c.error(fmt::format("axis is outside shape {}", shape_text(c.shape(0))));
  return Types{{c.type(0), c.shape(0)}};
}

}  // namespace

void add_dense_rules(std::vector<OpEntry>* table) {
  table->push_back({"", "Gemm", 2, 3, gemm});
  table->push_back({"", "MatMul", 2, 2, matmul});
  table->push_back({"", "Softmax", 1, 1, softmax});
  table->push_back({"", "LogSoftmax", 1, 1, softmax});
  table->push_back({"", "Hardmax", 1, 1, softmax});
}

}  // namespace hayate
