// Operators that work element by element, with NumPy's broadcasting where they take several inputs.
#include <fmt/format.h>

#include "graph/op_rules.h"
#include "graph/rule_checks.h"

namespace hayate {
namespace {

bool is_integer(Type type) { return !is_float(type) && !is_half_float(type) && type != Type::kBool; }

// One input of numbers, the same type out.
Result<Types> same(const ShapeContext& c) {
  if (c.type(0) == Type::kBool) return c.error("takes numbers, it is given bool");
  return Types{{c.type(0), c.shape(0)}};
}

Result<Types> same_float(const ShapeContext& c) {
  if (!is_float(c.type(0))) return c.error(fmt::format("takes floats, it is given {}", type_name(c.type(0))));
  return Types{{c.type(0), c.shape(0)}};
}

Result<Types> identity(const ShapeContext& c) { return Types{{c.type(0), c.shape(0)}}; }

// In inference, or where nothing is dropped, everything passes. Before opset 10 the mask had the type of the data.
Result<Types> dropout(const ShapeContext& c) {
  const auto zero = [&] {
    return c.known(1) != nullptr && c.known(1)->count() == 1 && to_doubles(*c.known(1))[0] == 0;
  };
  if (c.has(2)) {
    if (c.known(2) == nullptr || c.type(2) != Type::kBool || c.known(2)->count() != 1)
      return c.error("its training_mode must be one bool known before the run; bind it with --set", Code::kUnsupported);
    if (c.known(2)->data<bool>()[0] && !zero()) return c.error("training mode is not supported", Code::kUnsupported);
  }
  return Types{{c.type(0), c.shape(0)}, {c.opset < 10 ? c.type(0) : Type::kBool, c.shape(0)}};
}

Result<Types> float_to_bool(const ShapeContext& c) {
  if (!is_float(c.type(0))) return c.error(fmt::format("takes floats, it is given {}", type_name(c.type(0))));
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
    if (c.type(i) == Type::kBool) return c.error("takes numbers, it is given bool");
  return Types{{c.type(0), *both}};
}

Result<Types> compare(const ShapeContext& c) { return broadcast_all(c, 0, Type::kBool); }

Result<Types> bitwise(const ShapeContext& c) {
  if (!is_integer(c.type(0))) return c.error(fmt::format("takes integers, it is given {}", type_name(c.type(0))));
  return broadcast_all(c, 0, c.type(0));
}

Result<Types> bit_shift(const ShapeContext& c) {
  const std::string direction = c.node.get<std::string>("direction", "");
  if (direction != "LEFT" && direction != "RIGHT")
    return c.error(fmt::format("its direction '{}' is neither LEFT nor RIGHT", direction));
  return bitwise(c);
}

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

Result<Types> cast(const ShapeContext& c) {
  const int64_t code = c.node.get<int64_t>("to", 0);
  const std::optional<Type> type = type_from_code(code);
  if (!type)
    return c.error(fmt::format("casts to element type {}, which is not supported", element_type_text(code)),
                   Code::kUnsupported);
  return Types{{*type, c.shape(0)}};
}

Result<Types> cast_like(const ShapeContext& c) { return Types{{c.type(1), c.shape(0)}}; }

// The same bytes read as another type of the same size.
Result<Types> bit_cast(const ShapeContext& c) {
  const int64_t code = c.node.get<int64_t>("to", 0);
  const std::optional<Type> type = type_from_code(code);
  if (!type)
    return c.error(fmt::format("reads as element type {}, which is not supported", element_type_text(code)),
                   Code::kUnsupported);
  if (type_size(*type) != type_size(c.type(0)) || *type == Type::kBool)
    return c.error(fmt::format("cannot read {} as {}", type_name(c.type(0)), type_name(*type)));
  return Types{{*type, c.shape(0)}};
}

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
  if (c.type(0) == Type::kBool || c.type(1) != c.type(0))
    return c.error(fmt::format("takes two inputs of one numeric type, it is given {} and {}", type_name(c.type(0)),
                               type_name(c.type(1))));
  const std::optional<Shape> both = broadcast(c.shape(0), c.shape(1));
  if (!both || *both != c.shape(0))
    return c.error(fmt::format("slope {} does not broadcast to {}", shape_text(c.shape(1)), shape_text(c.shape(0))));
  return Types{{c.type(0), c.shape(0)}};
}

}  // namespace

void add_elementwise_rules(std::vector<OpEntry>* table) {
  constexpr size_t kMany = 1 << 20;
  for (const char* op : {"Relu",        "LeakyRelu",  "Sigmoid",
                         "Tanh",        "Exp",        "Log",
                         "Sqrt",        "Reciprocal", "Floor",
                         "Ceil",        "Round",      "Erf",
                         "Elu",         "Selu",       "Celu",
                         "HardSigmoid", "HardSwish",  "Softplus",
                         "Softsign",    "Sin",        "Cos",
                         "Tan",         "Asin",       "Acos",
                         "Atan",        "Sinh",       "Cosh",
                         "Asinh",       "Acosh",      "Atanh",
                         "Gelu",        "Mish",       "ThresholdedRelu",
                         "Swish"})
    table->push_back({"", op, 1, 1, op == std::string_view("Relu") ? same : same_float});
  for (const char* op : {"Neg", "Abs", "Sign", "Shrink"}) table->push_back({"", op, 1, 1, same});
  for (const char* op : {"IsNaN", "IsInf"}) table->push_back({"", op, 1, 1, float_to_bool});
  for (const char* op : {"Add", "Sub", "Mul", "Div", "Mod"}) table->push_back({"", op, 2, 2, arithmetic});
  for (const char* op : {"Min", "Max", "Sum", "Mean"}) table->push_back({"", op, 1, kMany, arithmetic});
  for (const char* op : {"Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual"})
    table->push_back({"", op, 2, 2, compare});
  for (const char* op : {"And", "Or", "Xor"}) table->push_back({"", op, 2, 2, logic});
  for (const char* op : {"BitwiseAnd", "BitwiseOr", "BitwiseXor"}) table->push_back({"", op, 2, 2, bitwise});
  table->push_back({"", "BitwiseNot", 1, 1, bitwise});
  table->push_back({"", "BitShift", 2, 2, bit_shift});
  table->push_back({"", "BitCast", 1, 1, bit_cast});
  table->push_back({"", "Not", 1, 1, logic});
  table->push_back({"", "Identity", 1, 1, identity});
  table->push_back({"", "Dropout", 1, 3, dropout});
  table->push_back({"", "Pow", 2, 2, power});
  table->push_back({"", "Where", 3, 3, where});
  table->push_back({"", "Cast", 1, 1, cast});
  table->push_back({"", "CastLike", 2, 2, cast_like});
  table->push_back({"", "Clip", 1, 3, clip});
  table->push_back({"", "PRelu", 2, 2, prelu});
}

}  // namespace hayate
