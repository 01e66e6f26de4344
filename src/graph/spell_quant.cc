// Quantised operators of com.microsoft. Where numbers are rounded to a step, the order of the float32 arithmetic before
// is ONNX Runtime's, so that ties fall to the same side.
#include <fmt/format.h>

#include <limits>

#include "graph/rule_checks.h"
#include "graph/spelling.h"

namespace hayate {
namespace {

constexpr std::initializer_list<Type> kBytes = {Type::kInt8, Type::kUInt8};

Result<Graph> renamed(const ShapeContext& c) {
  Speller s(c);
  std::vector<std::string> inputs;
  for (size_t i = 0; i < c.input_count(); ++i) inputs.push_back(s.in(i));
  return s.give({s.add(c.node.op, std::move(inputs), c.node.attributes)});
}

// float(a * b) * scale + bias for integers a, b.
std::string scaled_product(Speller* s, const std::vector<std::string>& operands, const std::string& scale,
                           const std::string& bias) {
  const std::string product = s->cast(s->add("MatMulInteger", operands), Type::kFloat32);
  return s->plus(s->add("Mul", {product, scale}), bias);
}

// A, B, their scales, their zero points, bias.
Result<Graph> matmul_integer_to_float(const ShapeContext& c) {
  Speller s(c);
  return s.give({scaled_product(&s, {s.in(0), s.in(1), s.in(4), s.in(5)}, s.add("Mul", {s.in(2), s.in(3)}), s.in(6))});
}

// A of floats, B, its scale and zero point, bias.
Result<Graph> dynamic_quantize_matmul(const ShapeContext& c) {
  Speller s(c);
  const std::string a = s.add("DynamicQuantizeLinear", {s.in(0)}, {}, 3);
  return s.give({scaled_product(&s, {a, s.in(1), a + ".2", s.in(3)}, s.add("Mul", {a + ".1", s.in(2)}), s.in(4))});
}

// Inputs that hold one number each; quantised ones of 8 bits, zero points of their type.
std::optional<Error> operands_error(const ShapeContext& c, std::initializer_list<size_t> quantised,
                                    std::initializer_list<size_t> numbers) {
  for (const size_t i : quantised) {
    if (auto error = type_error(c, i, kBytes)) return error;
    if (c.has(i + 2) && c.type(i + 2) != c.type(i))
      return c.error(fmt::format("zero point '{}' and its operand differ in type", c.node.input(i + 2)));
  }
  for (const size_t i : numbers)
    if (c.has(i) && !is_one(c.shape(i)))
      return c.error(fmt::format("input '{}' {} must be one number", c.node.input(i), shape_text(c.shape(i))),
                     Code::kUnsupported);
  return std::nullopt;
}

// Input i, one number, as a scalar of float32 or int32; zero where it is left out.
std::string scalar(Speller* s, size_t i, Type type) {
  if (!s->c.has(i)) return s->number(0, type);
  const std::string one = s->c.rank(i) == 0 ? s->in(i) : s->add("Squeeze", {s->in(i)});
  return s->c.type(i) == type ? one : s->cast(one, type);
}

// A number of steps, the zero point in it, to the nearest step of the type.
std::string to_steps(Speller* s, const std::string& value, Type type) {
  const bool is_signed = type == Type::kInt8;
  const std::string held = s->add("Clip", {s->add("Round", {value}), s->number(is_signed ? -128 : 0, Type::kFloat32),
                                           s->number(is_signed ? 127 : 255, Type::kFloat32)});
  return s->cast(held, type);
}

// A, its scale and zero point, B, its ..., the output's scale and zero point.
Result<Graph> qlinear_add(const ShapeContext& c) {
  Speller s(c);
  if (auto error = operands_error(c, {0, 3}, {1, 2, 4, 5, 6, 7})) return *error;
  const auto f = [&](size_t i) { return scalar(&s, i, Type::kFloat32); };
  const std::string a_ratio = s.add("Div", {f(1), f(6)}), b_ratio = s.add("Div", {f(4), f(6)});
  const std::string zeros = s.add("Add", {s.add("Mul", {a_ratio, f(2)}), s.add("Mul", {b_ratio, f(5)})});
  const std::string start = s.add("Sub", {f(7), zeros});
  const auto term = [&](size_t i, const std::string& ratio) {
    return s.add("Mul", {s.cast(s.in(i), Type::kFloat32), ratio});
  };
  std::string a = term(0, a_ratio), b = term(3, b_ratio);
  if (is_one(c.shape(3))) std::swap(a, b);  // a single number is added first
  return s.give({to_steps(&s, s.add("Add", {s.add("Add", {start, a}), b}), c.type(0))});
}

Result<Graph> qlinear_mul(const ShapeContext& c) {
  Speller s(c);
  if (auto error = operands_error(c, {0, 3}, {1, 2, 4, 5, 6, 7})) return *error;
  const auto f = [&](size_t i) { return scalar(&s, i, Type::kFloat32); };
  const auto centred = [&](size_t i) {
    return s.add("Sub", {s.cast(s.in(i), Type::kInt32), scalar(&s, i + 2, Type::kInt32)});
  };
  const std::string ratio = s.add("Div", {s.add("Mul", {f(1), f(4)}), f(6)});
  const std::string product = s.cast(s.add("Mul", {centred(0), centred(3)}), Type::kFloat32);
  return s.give({to_steps(&s, s.add("Add", {s.add("Mul", {product, ratio}), f(7)}), c.type(0))});
}

// X, its scale and zero point, the output's: the operator between DequantizeLinear and QuantizeLinear.
Result<Graph> between(const ShapeContext& c, const std::string& op, std::map<std::string, Attribute> attributes) {
  Speller s(c);
  if (auto error = operands_error(c, {0}, {1, 2, 3, 4})) return *error;
  if (c.node.get<int64_t>("channels_last", 0) != 0)
    return c.error("channels_last is not supported", Code::kUnsupported);
  const Type type = c.type(0);
  const auto zero = [&](size_t i) { return c.has(i) ? s.add("Squeeze", {s.in(i)}) : s.number(0, type); };
  const std::string x = s.add("DequantizeLinear", {s.in(0), scalar(&s, 1, Type::kFloat32), zero(2)});
  return s.give(
      {s.add("QuantizeLinear", {s.add(op, {x}, std::move(attributes)), scalar(&s, 3, Type::kFloat32), zero(4)})});
}

std::map<std::string, Attribute> without(const Node& node, std::initializer_list<const char*> keys) {
  std::map<std::string, Attribute> kept(node.attributes.begin(), node.attributes.end());
  for (const char* key : keys) kept.erase(key);
  return kept;
}

Result<Graph> qlinear_unary(const ShapeContext& c) {
  return between(c, c.node.op.substr(7), without(c.node, {"channels_last", "opset"}));
}

// The softmax of opset 13, or over all axes from `axis` on before.
Result<Graph> qlinear_softmax(const ShapeContext& c) {
  const int64_t axis = c.node.get<int64_t>("axis", -1);
  if (c.node.get<int64_t>("opset", 13) < 13 && normal_axis(axis, c.rank(0)) != c.rank(0) - 1)
    return c.error("a softmax over several axes (opset below 13) is not supported", Code::kUnsupported);
  return between(c, "Softmax", {{"axis", axis}});
}

// The output's scale and zero point, then values with theirs.
Result<Graph> qlinear_concat(const ShapeContext& c) {
  Speller s(c);
  if (c.input_count() < 5 || (c.input_count() - 2) % 3 != 0)
    return c.error(fmt::format("takes a scale, a zero point and triples, it is given {} inputs", c.input_count()));
  std::vector<std::string> parts;
  for (size_t i = 2; i < c.input_count(); i += 3) {
    if (!c.has(i) || !c.has(i + 1)) return c.error("a value needs its scale");
    if (auto error = operands_error(c, {i}, {i + 1, i + 2})) return *error;
    std::vector<std::string> inputs{s.in(i), scalar(&s, i + 1, Type::kFloat32)};
    if (c.has(i + 2)) inputs.push_back(s.add("Squeeze", {s.in(i + 2)}));
    parts.push_back(s.add("DequantizeLinear", std::move(inputs)));
  }
  if (auto error = operands_error(c, {}, {0, 1})) return *error;
  const std::string all = s.add("Concat", std::move(parts), {{"axis", c.node.get<int64_t>("axis", 0)}});
  return s.give({s.add("QuantizeLinear", {all, scalar(&s, 0, Type::kFloat32), s.add("Squeeze", {s.in(1)})})});
}

// A, its scale and zero point, B, its ..., C of int32; with a scale (and zero point) the output is quantised.
Result<Graph> qgemm(const ShapeContext& c) {
  Speller s(c);
  if (auto error = operands_error(c, {0, 3}, {1, 2, 7, 8})) return *error;
  if (c.rank(0) != 2 || c.rank(3) != 2)
    return c.error(
        fmt::format("takes matrices, it is given {} and {}", shape_text(c.shape(0)), shape_text(c.shape(3))));
  const auto side = [&](size_t i, const char* key) {
    return c.node.get<int64_t>(key, 0) != 0 ? s.add("Transpose", {s.in(i)}) : s.in(i);
  };
  const std::string sum = s.plus(
      s.add("MatMulInteger", {side(0, "transA"), side(3, "transB"), c.has(2) ? scalar(&s, 2, c.type(0)) : "", s.in(5)}),
      s.in(6));
  std::string scale = s.add("Mul", {s.number(static_cast<double>(c.node.get<float>("alpha", 1)), Type::kFloat32),
                                    scalar(&s, 1, Type::kFloat32)});
  scale = s.add("Mul", {scale, s.in(4)});
  if (c.has(7)) scale = s.add("Div", {scale, scalar(&s, 7, Type::kFloat32)});
  const std::string y = s.add("Mul", {s.cast(sum, Type::kFloat32), scale});
  if (!c.has(7)) return s.give({y});
  const std::string zero = c.has(8) ? s.add("Squeeze", {s.in(8)}) : s.number(0, c.type(0));
  return s.give({s.add("QuantizeLinear", {y, s.number(1, Type::kFloat32), zero})});
}

// ---- DynamicQuantizeLSTM: X, W, R, B, lengths, h, c, peepholes, then scale and zero point of W and of R.

constexpr int64_t kStepsMax = 1024;  // each is spelled out

std::optional<Error> lstm_error(const ShapeContext& c) {
  for (const size_t i : {8, 9, 10, 11})
    if (!c.has(i)) return c.error(fmt::format("needs input {}", i));
  const int64_t hidden = c.node.get<int64_t>("hidden_size", 0);
  if (c.rank(0) != 3 || c.rank(1) != 3 || hidden < 1 || c.shape(0)[0] < 1 || c.shape(0)[0] > kStepsMax)
    return c.error(fmt::format("takes [1 to {} steps, batch, features] and hidden_size above 0, it is given {} and {}",
                               kStepsMax, shape_text(c.shape(0)), hidden));
  const int64_t directions = c.shape(1)[0], batch = c.shape(0)[1];
  if (directions != (c.node.get<std::string>("direction", "forward") == "bidirectional" ? 2 : 1))
    return c.error(fmt::format("weights {} do not fit its direction", shape_text(c.shape(1))));
  if (auto error = shape_error(c, 1, {directions, c.shape(0)[2], 4 * hidden})) return error;
  if (auto error = shape_error(c, 2, {directions, hidden, 4 * hidden})) return error;
  if (auto error = shape_error(c, 3, {directions, 8 * hidden})) return error;
  for (const size_t i : {5, 6})
    if (auto error = shape_error(c, i, {directions, batch, hidden})) return error;
  for (const size_t i : {8, 9, 10, 11})
    if (c.shape(i) != Shape{directions} && c.shape(i) != Shape{directions, 4 * hidden})
      return c.error(
          fmt::format("input {} {} is neither one per direction nor one per column", i, shape_text(c.shape(i))));
  if (c.has(4) || c.has(7) || c.node.attributes.contains("clip") || c.node.get<int64_t>("input_forget", 0) != 0)
    return c.error("lengths, peepholes, clip and input_forget are not supported", Code::kUnsupported);
  const auto activations = c.node.get<std::vector<std::string>>("activations", {});
  for (size_t i = 0; i < activations.size(); ++i)
    if (activations[i] != (i % 3 == 0 ? "Sigmoid" : "Tanh"))
      return c.error(fmt::format("activation '{}' is not supported", activations[i]), Code::kUnsupported);
  return std::nullopt;
}

struct Cells {
  std::vector<std::string> rows;  // h of every step, in the order of time
  std::string h, c;
};

// One direction. x is X quantised (with its scale .1 and zero point .2).
Cells run_direction(Speller* s, const std::string& x, int64_t direction, bool backwards) {
  const ShapeContext& c = s->c;
  const int64_t steps = c.shape(0)[0], hidden = c.node.get<int64_t>("hidden_size", 0);
  const auto of = [&](size_t i) {
    return s->add("Gather", {s->in(i), s->number(static_cast<double>(direction), Type::kInt64)});
  };
  const auto part = [&](const std::string& gates, int64_t gate) {
    return s->slice(gates, 1, gate * hidden, (gate + 1) * hidden);
  };
  const std::string w = of(1), w_zero = of(9), r = of(2), r_scale = of(10), r_zero = of(11);
  const std::string from_x = scaled_product(s, {x, w, x + ".2", w_zero}, s->add("Mul", {x + ".1", of(8)}), "");
  std::string bias;
  if (c.has(3)) {
    const std::string both = of(3);
    bias = s->add("Add", {s->slice(both, 0, 0, 4 * hidden), s->slice(both, 0, 4 * hidden, 8 * hidden)});
  }
  Cells cells;
  cells.rows.resize(static_cast<size_t>(steps));
  if (c.has(5)) cells.h = of(5);
  if (c.has(6)) cells.c = of(6);
  for (int64_t step = 0; step < steps; ++step) {
    const int64_t t = backwards ? steps - 1 - step : step;
    std::string gates = s->add("Gather", {from_x, s->number(static_cast<double>(t), Type::kInt64)});
    if (!cells.h.empty()) {
      const std::string h = s->add("DynamicQuantizeLinear", {cells.h}, {}, 3);
      gates =
          s->add("Add", {gates, scaled_product(s, {h, r, h + ".2", r_zero}, s->add("Mul", {h + ".1", r_scale}), "")});
    }
    gates = s->plus(gates, bias);
    const auto gate = [&](int64_t which) { return s->add(which == 3 ? "Tanh" : "Sigmoid", {part(gates, which)}); };
    const std::string fresh = s->add("Mul", {gate(0), gate(3)});
    cells.c = cells.c.empty() ? fresh : s->add("Add", {s->add("Mul", {gate(2), cells.c}), fresh});
    cells.h = s->add("Mul", {gate(1), s->add("Tanh", {cells.c})});
    cells.rows[static_cast<size_t>(t)] = s->add("Unsqueeze", {cells.h, s->ints({0, 1})});
  }
  return cells;
}

Result<Graph> dynamic_quantize_lstm(const ShapeContext& c) {
  if (auto error = lstm_error(c)) return *error;
  Speller s(c);
  const std::string x = s.add("DynamicQuantizeLinear", {s.in(0)}, {}, 3);
  const std::string direction = c.node.get<std::string>("direction", "forward");
  std::vector<std::string> rows, h, cell;
  for (int64_t d = 0; d < c.shape(1)[0]; ++d) {
    Cells cells = run_direction(&s, x, d, d == 1 || direction == "reverse");
    rows.push_back(s.add("Concat", std::move(cells.rows), {{"axis", int64_t{0}}}));
    h.push_back(s.add("Unsqueeze", {cells.h, s.ints({0})}));
    cell.push_back(s.add("Unsqueeze", {cells.c, s.ints({0})}));
  }
  const auto joined = [&](std::vector<std::string> parts, int64_t axis) {
    return parts.size() == 1 ? parts[0] : s.add("Concat", std::move(parts), {{"axis", axis}});
  };
  const std::string y = joined(std::move(rows), 1), last = joined(std::move(h), 0);
  return s.give({y, last, joined(std::move(cell), 0)});
}

}  // namespace

void add_quant_spellings(std::vector<SpellingEntry>* table) {
  constexpr std::string_view kMicrosoft = "com.microsoft";
  constexpr size_t kMany = std::numeric_limits<size_t>::max();
  table->insert(table->end(), {{kMicrosoft, "QuantizeLinear", 2, 3, renamed},
                               {kMicrosoft, "DequantizeLinear", 2, 3, renamed},
                               {kMicrosoft, "MatMulIntegerToFloat", 4, 7, matmul_integer_to_float},
                               {kMicrosoft, "DynamicQuantizeMatMul", 3, 5, dynamic_quantize_matmul},
                               {kMicrosoft, "DynamicQuantizeLSTM", 3, 12, dynamic_quantize_lstm},
                               {kMicrosoft, "QGemm", 6, 9, qgemm},
                               {kMicrosoft, "QLinearAdd", 7, 8, qlinear_add},
                               {kMicrosoft, "QLinearMul", 7, 8, qlinear_mul},
                               {kMicrosoft, "QLinearSigmoid", 4, 5, qlinear_unary},
                               {kMicrosoft, "QLinearLeakyRelu", 4, 5, qlinear_unary},
                               {kMicrosoft, "QLinearAveragePool", 4, 5, qlinear_unary},
                               {kMicrosoft, "QLinearGlobalAveragePool", 4, 5, qlinear_unary},
                               {kMicrosoft, "QLinearSoftmax", 4, 5, qlinear_softmax},
                               {kMicrosoft, "QLinearConcat", 5, kMany, qlinear_concat}});
}

}  // namespace hayate
