// Matrix products, normalisations and the softmax family.
#include <fmt/format.h>

#include "graph/op_rules.h"

namespace hayate {
namespace {

// Every input given must be of one float type.
std::optional<Error> float_inputs(const ShapeContext& c) {
  for (size_t i = 0; i < c.input_count(); ++i) {
    if (!c.has(i)) continue;
    if ((c.type(i) != Type::kFloat32 && c.type(i) != Type::kFloat64) || c.type(i) != c.type(0))
      return c.error(fmt::format("takes float32 or float64 inputs of one type; input '{}' is {}", c.node.input(i),
                                 type_name(c.type(i))),
                     Code::kUnsupported);
  }
  return std::nullopt;
}

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

Result<Types> layer_norm(const ShapeContext& c) {
  if (const auto error = float_inputs(c)) return *error;
  const std::optional<int64_t> axis = normal_axis(c.node.get<int64_t>("axis", -1), c.rank(0));
  if (!axis) return c.error(fmt::format("axis is outside shape {}", shape_text(c.shape(0))));
  for (size_t i = 1; i < c.input_count(); ++i) {
    if (!c.has(i)) continue;
    const Shape normalized(c.shape(0).begin() + *axis, c.shape(0).end());
    const std::optional<Shape> both = broadcast(c.shape(i), normalized);
    if (!both || *both != normalized)
      return c.error(fmt::format("scale or bias {} does not fit {}", shape_text(c.shape(i)), shape_text(normalized)));
  }
  Shape reduced = c.shape(0);
  std::fill(reduced.begin() + *axis, reduced.end(), 1);
  return Types{{c.type(0), c.shape(0)}, {c.type(0), reduced}, {c.type(0), reduced}};
}

// scale, bias, (mean, variance) hold one value per channel, axis 1.
Result<Types> channel_norm(const ShapeContext& c) {
  if (const auto error = float_inputs(c)) return *error;
  if (c.rank(0) < 2 && !(c.rank(0) == 1))
    return c.error(fmt::format("takes channels on axis 1, it is given {}", shape_text(c.shape(0))));
  if (c.node.get<int64_t>("training_mode", 0) != 0)
    return c.error("training mode is not supported", Code::kUnsupported);
  const int64_t channels = c.rank(0) < 2 ? 1 : c.shape(0)[1];
  for (size_t i = 1; i < c.input_count(); ++i)
    if (c.has(i) && c.shape(i) != Shape{channels})
      return c.error(
          fmt::format("input '{}' must have shape [{}], it has {}", c.node.input(i), channels, shape_text(c.shape(i))));
  return Types{{c.type(0), c.shape(0)}};
}

}  // namespace

void add_dense_rules(std::vector<OpEntry>* table) {
  table->push_back({"", "Gemm", 2, 3, gemm});
  table->push_back({"", "MatMul", 2, 2, matmul});
  table->push_back({"", "Softmax", 1, 1, softmax});
  table->push_back({"", "LogSoftmax", 1, 1, softmax});
  table->push_back({"", "Hardmax", 1, 1, softmax});
  table->push_back({"", "LayerNormalization", 2, 3, layer_norm});
  table->push_back({"", "BatchNormalization", 5, 5, channel_norm});
  table->push_back({"", "InstanceNormalization", 3, 3, channel_norm});
}

}  // namespace hayate
