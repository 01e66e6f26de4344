// Quantise, dequantise and the operators on quantised tensors.
#include <fmt/format.h>

#include <algorithm>

#include "graph/op_rules.h"
#include "graph/rule_checks.h"
#include "graph/window.h"

namespace hayate {
namespace {

constexpr std::initializer_list<Type> kQuantized = {Type::kInt8, Type::kUInt8, Type::kInt16, Type::kUInt16};
constexpr std::initializer_list<Type> kFloats = {Type::kFloat32, Type::kFloat16, Type::kBFloat16};

// Scale (input 1) and zero point (input 2) of QuantizeLinear and DequantizeLinear: for all, per place of an
// axis, or blocked.
std::optional<Error> scale_error(const ShapeContext& c) {
  if (auto error = type_error(c, 1, kFloats)) return error;
  if (c.has(2) && c.shape(2) != c.shape(1) && !(is_one(c.shape(1)) && is_one(c.shape(2))))
    return c.error(
        fmt::format("scale {} and zero point {} differ in shape", shape_text(c.shape(1)), shape_text(c.shape(2))));
  if (is_one(c.shape(1))) return std::nullopt;
  const std::optional<int64_t> axis = normal_axis(c.node.get<int64_t>("axis", 1), c.rank(0));
  if (!axis) return c.error(fmt::format("axis {} of rank {}", c.node.get<int64_t>("axis", 1), c.rank(0)));
  const int64_t block = c.node.get<int64_t>("block_size", 0);
  if (block < 0) return c.error(fmt::format("block_size {} is negative", block));
  if (block == 0) {
    if (c.shape(1) == Shape{c.shape(0)[*axis]}) return std::nullopt;
    return c.error(fmt::format("scale {} is not one number, nor one per place of axis {} of {}", shape_text(c.shape(1)),
                               *axis, shape_text(c.shape(0))));
  }
  Shape blocks = c.shape(0);
  blocks[*axis] = (blocks[*axis] + block - 1) / block;
  if (c.shape(1) != blocks)
    return c.error(fmt::format("scale {} is not {}, one per block", shape_text(c.shape(1)), shape_text(blocks)));
  return std::nullopt;
}

// output_dtype of the standard (TensorProto's numbers).
Result<Type> quantized_type(const ShapeContext& c) {
  if (c.has(2)) return c.type(2);
  switch (c.node.get<int64_t>("output_dtype", 0)) {
    case 0:
    case 2:
      return Type::kUInt8;
    case 3:
      return Type::kInt8;
    case 4:
      return Type::kUInt16;
    case 5:
      return Type::kInt16;
    default:
      return c.error(fmt::format("output_dtype {} is not supported", c.node.get<int64_t>("output_dtype", 0)),
                     Code::kUnsupported);
  }
}

Result<Types> quantize(const ShapeContext& c) {
  if (auto error = type_error(c, 0, kFloats)) return *error;
  if (auto error = type_error(c, 2, kQuantized)) return *error;
  if (auto error = scale_error(c)) return *error;
  const Result<Type> type = quantized_type(c);
  if (!type.ok()) return type.error();
  return Types{{type.value(), c.shape(0)}};
}

Result<Types> dequantize(const ShapeContext& c) {
  if (auto error = type_error(c, 0, {Type::kInt8, Type::kUInt8, Type::kInt16, Type::kUInt16, Type::kInt32}))
    return *error;
  if (c.has(2) && c.type(2) != c.type(0)) return c.error("zero point and input differ in type");
  if (auto error = scale_error(c)) return *error;
  return Types{{c.type(1), c.shape(0)}};
}

Result<Types> dynamic_quantize(const ShapeContext& c) {
  if (auto error = type_error(c, 0, {Type::kFloat32})) return *error;
  return Types{{Type::kUInt8, c.shape(0)}, {Type::kFloat32, {}}, {Type::kUInt8, {}}};
}

// The shape of a product of stacks of matrices, as MatMul has it.
Result<Shape> product_shape(const ShapeContext& c, size_t left, size_t right) {
  Shape a = c.shape(left), b = c.shape(right);
  if (a.empty() || b.empty()) return c.error("takes no scalars");
  const bool row = a.size() == 1, column = b.size() == 1;
  if (row) a.insert(a.begin(), 1);
  if (column) b.push_back(1);
  const std::optional<Shape> batch = broadcast(Shape(a.begin(), a.end() - 2), Shape(b.begin(), b.end() - 2));
  if (!batch || a.back() != b[b.size() - 2])
    return c.error(fmt::format("{} and {} do not multiply", shape_text(c.shape(left)), shape_text(c.shape(right))));
  Shape out = *batch;
  if (!row) out.push_back(a[a.size() - 2]);
  if (!column) out.push_back(b.back());
  return out;
}

// Input i is one number, or one per `count`.
std::optional<Error> per_error(const ShapeContext& c, size_t i, int64_t count) {
  if (!c.has(i) || is_one(c.shape(i)) || c.shape(i) == Shape{count}) return std::nullopt;
  return c.error(fmt::format("input '{}' {} must be one number or {}", c.node.input(i), shape_text(c.shape(i)), count),
                 Code::kUnsupported);
}

// A quantised operand at `i` with scale (absent where `scaled` is false) and zero point behind it.
std::optional<Error> operand_error(const ShapeContext& c, size_t i, size_t zero_point, int64_t count) {
  if (auto error = type_error(c, i, kBytes)) return error;
  if (c.has(zero_point) && c.type(zero_point) != c.type(i))
    return c.error(fmt::format("zero point '{}' is {}, its operand {}", c.node.input(zero_point),
                               type_name(c.type(zero_point)), type_name(c.type(i))));
  return per_error(c, zero_point, count);
}

Result<Types> matmul_integer(const ShapeContext& c) {
  const Result<Shape> shape = product_shape(c, 0, 1);
  if (!shape.ok()) return shape.error();
  if (auto error = operand_error(c, 0, 2, c.rank(0) < 2 ? 1 : c.shape(0)[c.rank(0) - 2])) return *error;
  if (auto error = operand_error(c, 1, 3, c.shape(1).back())) return *error;
  return Types{{Type::kInt32, shape.value()}};
}

std::optional<Error> scales_error(const ShapeContext& c, std::initializer_list<size_t> scales,
                                  std::initializer_list<Type> types, size_t per_channel, int64_t count) {
  for (const size_t i : scales) {
    if (auto error = type_error(c, i, types)) return error;
    if (auto error = per_error(c, i, i == per_channel ? count : 1)) return error;
  }
  return std::nullopt;
}

Result<Types> qlinear_matmul(const ShapeContext& c) {
  const Result<Shape> shape = product_shape(c, 0, 3);
  if (!shape.ok()) return shape.error();
  const int64_t columns = c.shape(3).back();
  if (auto error = operand_error(c, 0, 2, 1)) return *error;
  if (auto error = operand_error(c, 3, 5, columns)) return *error;
  if (auto error = scales_error(c, {1, 4, 6}, kFloats, 4, columns)) return *error;
  if (auto error = type_error(c, 7, kBytes)) return *error;
  if (auto error = per_error(c, 7, 1)) return *error;
  return Types{{c.type(7), shape.value()}};
}

Result<Shape> conv_shape(const ShapeContext& c, size_t image, size_t weights) {
  const Shape &x = c.shape(image), &w = c.shape(weights);
  const int64_t groups = c.node.get<int64_t>("group", 1);
  if (x.size() < 3 || x.size() > 5)
    return c.error(fmt::format("takes [N, C, 1 to 3 spatial axes], it is given {}", shape_text(x)));
  if (w.size() != x.size() || groups < 1 || x[1] % groups != 0 || w[0] % groups != 0 || w[1] != x[1] / groups)
    return c.error(fmt::format("weights {} in {} groups do not fit input {}", shape_text(w), groups, shape_text(x)));
  const Result<Window> window = sliding_window(c.node, Shape(x.begin() + 2, x.end()), Shape(w.begin() + 2, w.end()));
  if (!window.ok()) return window.error();
  Shape out{x[0], w[0]};
  out.insert(out.end(), window.value().output.begin(), window.value().output.end());
  return out;
}

Result<Types> conv_integer(const ShapeContext& c) {
  const Result<Shape> shape = conv_shape(c, 0, 1);
  if (!shape.ok()) return shape.error();
  if (auto error = operand_error(c, 0, 2, 1)) return *error;
  if (auto error = operand_error(c, 1, 3, c.shape(1)[0])) return *error;
  return Types{{Type::kInt32, shape.value()}};
}

Result<Types> qlinear_conv(const ShapeContext& c) {
  const Result<Shape> shape = conv_shape(c, 0, 3);
  if (!shape.ok()) return shape.error();
  const int64_t channels = c.shape(3)[0];
  if (auto error = operand_error(c, 0, 2, 1)) return *error;
  if (auto error = operand_error(c, 3, 5, channels)) return *error;
  if (auto error = scales_error(c, {1, 4, 6}, {Type::kFloat32}, 4, channels)) return *error;
  if (auto error = type_error(c, 7, kBytes)) return *error;
  if (auto error = per_error(c, 7, 1)) return *error;
  if (auto error = type_error(c, 8, {Type::kInt32})) return *error;
  if (c.has(8) && c.shape(8) != Shape{channels})
    return c.error(fmt::format("bias {} must be [{}]", shape_text(c.shape(8)), channels));
  return Types{{c.type(7), shape.value()}};
}

}  // namespace

void add_quant_rules(std::vector<OpEntry>* table) {
  table->push_back({"", "QuantizeLinear", 2, 3, quantize});
  table->push_back({"", "DequantizeLinear", 2, 3, dequantize});
  table->push_back({"", "DynamicQuantizeLinear", 1, 1, dynamic_quantize});
  table->push_back({"", "MatMulInteger", 2, 4, matmul_integer});
  table->push_back({"", "QLinearMatMul", 8, 8, qlinear_matmul});
  table->push_back({"", "ConvInteger", 2, 4, conv_integer});
  table->push_back({"", "QLinearConv", 8, 9, qlinear_conv});
}

}  // namespace hayate
