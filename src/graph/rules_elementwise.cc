// Operators that work element by element, with NumPy's broadcasting where they take several inputs.
#include <fmt/format.h>

#include "graph/op_rules.h"

namespace hayate {
namespace {

bool is_float(Type type) { return type == Type::kFloat32 || type == Type::kFloat64; }
bool is_16_bit_float(Type type) { return type == Type::kFloat16 || type == Type::kBFloat16; }

// One input, the same type out.
Result<Types> same(const ShapeContext& c) {
  if (is_16_bit_float(c.type(0)))
    return c.error(fmt::format("is not supported on {}", type_name(c.type(0))), Code::kUnsupported);
  return Types{{c.type(0), c.shape(0)}};
}

Result<Types> same_float(const ShapeContext& c) {
  if (!is_float(c.type(0)))
    return c.error(fmt::format("takes float32 or float64, it is given {}", type_name(c.type(0))), Code::kUnsupported);
  return Types{{c.type(0), c.shape(0)}};
}

Result<Types> identity(const ShapeContext& c) { return Types{{c.type(0), c.shape(0)}, {Type::kBool, c.shape(0)}}; }

Result<Types> float_to_bool(const ShapeContext& c) {
  if (!is_float(c.type(0))) return c.error("takes float32 or float64", Code::kUnsupported);
  return Types{{Type::kBool, c.shape(0)}};
}

Result<Types> broadcast_all(const ShapeContext& c, size_t first, Type out) {
  Shape shape = c.shape(first);
  for (size_t i = first; i < c.input_count(); ++i) {
    if (!c.has(i)) return c.error(fmt::format("input {} is left out", i));
    if (c.type(i) != c.type(first))
      return c.error(
          fmt::format("inputs of different types: {} and {}", type_name(c.type(first)), type_name(c.type(i))));
    const std::optional<Shape> both = broadcast(shape, c.shape(i));
    if (!both)
      return c.error(fmt::format("shapes {} and {} do not broadcast", shape_text(shape), shape_text(c.shape(i))));
    shape = *both;
  }
  if (is_16_bit_float(c.type(first)))
    return c.error(fmt::format("is not supported on {}", type_name(c.type(first))), Code::kUnsupported);
  return Types{{out, shape}};
}

Result<Types> arithmetic(const ShapeContext& c) {
  if (c.type(0) == Type::kBool) return c.error("takes numbers, it is given bool");
  return broadcast_all(c, 0, c.type(0));
}

Result<Types> power(const ShapeContext& c) {  // base and exponent may differ in type
  const std::optional<Shape> both = broadcast(c.shape(0), c.shape(1));
  if (!both)
    return c.error(fmt::format("shapes {} and {} do not broadcast", shape_text(c.shape(0)), shape_text(c.shape(1))));
  for (size_t i = 0; i < 2; ++i)
    if (is_16_bit_float(c.type(i)) || c.type(i) == Type::kBool)
      return c.error("takes numbers of 32 or 64 bits", Code::kUnsupported);
  return Types{{c.type(0), *both}};
}

Result<Types> compare(const ShapeContext& c) { return broadcast_all(c, 0, Type::kBool); }

Result<Types> logic(const ShapeContext& c) {
  for (size_t i = 0; i < c.input_count(); ++i)
    if (c.has(i) && c.type(i) != Type::kBool)
      return c.error(fmt::format("takes bool, it is given {}", type_name(c.type(i))));
  return broadcast_all(c, 0, Type::kBool);
}

Result<Types> where(const ShapeContext& c) {
  if (c.type(0) != Type::kBool)
    return c.error(fmt::format("its condition must be bool, it is {}", type_name(c.type(0))));
  Result<Types> values = broadcast_all(c, 1, c.type(1));
  if (!values.ok()) return values;
  const std::optional<Shape> all = broadcast(values.value()[0].shape, c.shape(0));
  if (!all)
    return c.error(fmt::format("condition {} does not broadcast with {}", shape_text(c.shape(0)),
                               shape_text(values.value()[0].shape)));
  values.value()[0].shape = *all;
  return values;
}

// ONNX's TensorProto.DataType codes that tensors here can have.
std::optional<Type> type_from_code(int64_t code) {
  constexpr std::pair<int64_t, Type> kCodes[] = {
      {1, Type::kFloat32}, {2, Type::kUInt8},   {3, Type::kInt8},     {4, Type::kUInt16},   {5, Type::kInt16},
      {6, Type::kInt32},   {7, Type::kInt64},   {9, Type::kBool},     {10, Type::kFloat16}, {11, Type::kFloat64},
      {12, Type::kUInt32}, {13, Type::kUInt64}, {16, Type::kBFloat16}};
  for (const auto& [known, type] : kCodes)
    if (known == code) return type;
  return std::nullopt;
}

Result<Types> cast(const ShapeContext& c) {
  const int64_t code = c.node.get<int64_t>("to", 0);
  const std::optional<Type> type = type_from_code(code);
  if (!type) return c.error(fmt::format("casts to element type {}, which is not supported", code), Code::kUnsupported);
  return Types{{*type, c.shape(0)}};
}

Result<Types> cast_like(const ShapeContext& c) { return Types{{c.type(1), c.shape(0)}}; }

Result<Types> clip(const ShapeContext& c) {
  for (size_t i = 1; i < c.input_count(); ++i) {
    if (!c.has(i)) continue;
    if (c.type(i) != c.type(0))
      return c.error(fmt::format("its bounds must be {}, they are {}", type_name(c.type(0)), type_name(c.type(i))));
    if (checked_count(c.shape(i)).value() != 1)
      return c.error(fmt::format("its bounds must be scalars, one is {}", shape_text(c.shape(i))));
  }
  return same(c);
}

Result<Types> prelu(const ShapeContext& c) {
  if (!is_float(c.type(0)) || c.type(1) != c.type(0))
    return c.error("takes two inputs of float32 or float64", Code::kUnsupported);
  const std::optional<Shape> both = broadcast(c.shape(0), c.shape(1));
  if (!both || *both != c.shape(0))
    return c.error(fmt::format("slope {} does not broadcast to {}", shape_text(c.shape(1)), shape_text(c.shape(0))));
  return Types{{c.type(0), c.shape(0)}};
}

}  // namespace

void add_elementwise_rules(std::vector<OpEntry>* table) {
  constexpr size_t kMany = 1 << 20;
  for (const char* op : {"Relu",           "LeakyRelu", "Sigmoid",  "Tanh",  "Exp",   "Log",   "Sqrt", "Reciprocal",
                         "Floor",          "Ceil",      "Round",    "Erf",   "Elu",   "Selu",  "Celu", "HardSigmoid",
                         "HardSwish",      "Softplus",  "Softsign", "Sin",   "Cos",   "Tan",   "Asin", "Acos",
                         "Atan",           "Sinh",      "Cosh",     "Asinh", "Acosh", "Atanh", "Gelu", "Mish",
                         "ThresholdedRelu"})
    table->push_back({"", op, 1, 1, op == std::string_view("Relu") ? same : same_float});
  for (const char* op : {"Neg", "Abs", "Sign"}) table->push_back({"", op, 1, 1, same});
  for (const char* op : {"IsNaN", "IsInf"}) table->push_back({"", op, 1, 1, float_to_bool});
  for (const char* op : {"Add", "Sub", "Mul", "Div", "Mod"}) table->push_back({"", op, 2, 2, arithmetic});
  for (const char* op : {"Min", "Max", "Sum", "Mean"}) table->push_back({"", op, 1, kMany, arithmetic});
  for (const char* op : {"Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual"})
    table->push_back({"", op, 2, 2, compare});
  for (const char* op : {"And", "Or", "Xor"}) table->push_back({"", op, 2, 2, logic});
  table->push_back({"", "Not", 1, 1, logic});
  table->push_back({"", "Identity", 1, 1, identity});
  table->push_back({"", "Dropout", 1, 3, identity});
  table->push_back({"", "Pow", 2, 2, power});
  table->push_back({"", "Where", 3, 3, where});
  table->push_back({"", "Cast", 1, 1, cast});
  table->push_back({"", "CastLike", 2, 2, cast_like});
  table->push_back({"", "Clip", 1, 3, clip});
  table->push_back({"", "PRelu", 2, 2, prelu});
}

}  // namespace hayate
