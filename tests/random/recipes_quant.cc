// Operators on quantised values. What they make of equal integers is the same everywhere, bit for bit.
#include "random/recipes.h"

namespace hayate::random_graphs {
namespace {

using Names = std::vector<std::string>;

bool is_byte(Type type) { return type == Type::kInt8 || type == Type::kUInt8; }

// No two in a simple ratio: ONNX Runtime multiplies and adds in one rounding where the machine can, which would show in
// sums that lie just between two steps.
std::string step(GraphMaker& m) { return m.scalar(Type::kFloat32, m.dice().pick({0.0213, 0.0527, 0.0971})); }

// One for each channel.
std::string steps(GraphMaker& m, int64_t count) {
  Tensor made(Type::kFloat32, {count});
  for (int64_t i = 0; i < count; ++i) made.data<float>()[i] = m.dice().pick({0.0213f, 0.0527f, 0.0971f});
  return m.constant(made);
}

std::string zero_point(GraphMaker& m, Type type) {
  return m.scalar(type, static_cast<double>(m.dice().between(type == Type::kInt8 ? -20 : 0, 60)));
}

// A value of 8 bits that is there, or a float quantised.
std::optional<Value> bytes(GraphMaker& m, int64_t rank_min, int64_t rank_max) {
  const auto fits = [&](const Value& v) { return v.rank() >= rank_min && v.rank() <= rank_max && v.batch <= 0; };
  if (const auto x = m.find([&](const Value& v) { return is_byte(v.type) && fits(v); })) return x;
  const auto x = m.find([&](const Value& v) { return v.is_float32() && fits(v); });
  if (!x || m.special()) return std::nullopt;
  const Type type = m.dice().one_in(2) ? Type::kInt8 : Type::kUInt8;
  const auto made = m.add("QuantizeLinear", {x->name, step(m), zero_point(m, type)}, Kind::kJump);
  return made ? std::optional((*made)[0]) : std::nullopt;
}

void binary(GraphMaker& m) {
  const auto x = bytes(m, 1, 5);
  if (!x) return;
  const std::string op = m.dice().one_in(2) ? "com.microsoft.QLinearAdd" : "com.microsoft.QLinearMul";
  m.add(op,
        {x->name, step(m), zero_point(m, x->type), m.partner(*x), step(m), zero_point(m, x->type), step(m),
         zero_point(m, x->type)},
        Kind::kExact);
}

void unary(GraphMaker& m) {
  const auto x = bytes(m, 1, 5);
  if (!x) return;
  const bool leaky = m.dice().one_in(2);
  GraphMaker::Attributes attributes;
  if (leaky) attributes["alpha"] = 0.2f;
  m.add(leaky ? "com.microsoft.QLinearLeakyRelu" : "com.microsoft.QLinearSigmoid",
        {x->name, step(m), zero_point(m, x->type), step(m), zero_point(m, x->type)}, Kind::kTie, attributes);
}

void pool(GraphMaker& m) {
  const auto x = bytes(m, 4, 4);
  if (!x || x->shape[2] < 2 || x->shape[3] < 2) return;
  const Names inputs = {x->name, step(m), zero_point(m, x->type), step(m), zero_point(m, x->type)};
  if (m.dice().one_in(2))
    m.add("com.microsoft.QLinearGlobalAveragePool", inputs, Kind::kExact);
  else
    m.add("com.microsoft.QLinearAveragePool", inputs, Kind::kExact,
          {{"kernel_shape", std::vector<int64_t>{2, m.dice().between(1, 2)}}});
}

void join(GraphMaker& m) {
  const auto x = bytes(m, 2, 4);
  if (!x) return;
  m.add("com.microsoft.QLinearConcat",
        {step(m), zero_point(m, x->type), x->name, step(m), zero_point(m, x->type), x->name, step(m),
         zero_point(m, x->type)},
        Kind::kExact, {{"axis", m.dice().between(1, x->rank() - 1)}});
}

void choose(GraphMaker& m) {
  const auto x = bytes(m, 1, 4);
  const auto condition =
      m.find([&](const Value& v) { return v.type == Type::kBool && x && broadcast(v.shape, x->shape).has_value(); });
  if (!x || !condition) return;
  m.add("com.microsoft.QLinearWhere",
        {condition->name, x->name, step(m), zero_point(m, x->type), m.weights(x->type, {1}), step(m),
         zero_point(m, x->type), step(m), zero_point(m, x->type)},
        Kind::kExact);
}

void matmul(GraphMaker& m) {
  const auto x = bytes(m, 2, 4);
  if (!x || x->shape.back() == 0) return;
  const Type type = x->type;
  const std::string weights = m.weights(Type::kInt8, {x->shape.back(), m.dice().between(1, 9)});
  switch (m.dice().below(3)) {
    case 0:
      m.add("QLinearMatMul",
            {x->name, step(m), zero_point(m, type), weights, step(m), zero_point(m, Type::kInt8),
             m.scalar(Type::kFloat32, 5), zero_point(m, type)},
            Kind::kExact);
      return;
    case 1:
      m.add("com.microsoft.MatMulIntegerToFloat",
            {x->name, weights, step(m), step(m), zero_point(m, type), zero_point(m, Type::kInt8)}, Kind::kArithmetic);
      return;
    default:
      if (x->rank() == 2)
        m.add("com.microsoft.QGemm",
              {x->name, step(m), zero_point(m, type), weights, step(m), zero_point(m, Type::kInt8), "",
               m.scalar(Type::kFloat32, 5), zero_point(m, type)},
              Kind::kExact);
  }
}

void conv(GraphMaker& m) {
  const auto x = bytes(m, 3, 4);
  if (!x || x->shape[1] == 0) return;
  Shape shape = {m.dice().between(1, 5), x->shape[1]};
  for (size_t i = 2; i < x->shape.size(); ++i) shape.push_back(m.dice().between(1, 2));
  const std::string weights = m.weights(Type::kInt8, shape);
  if (m.dice().one_in(3)) {
    m.add("ConvInteger", {x->name, weights, zero_point(m, x->type)}, Kind::kExact);
    return;
  }
  Names inputs = {x->name,
                  step(m),
                  zero_point(m, x->type),
                  weights,
                  step(m),
                  m.scalar(Type::kInt8, 0),
                  m.scalar(Type::kFloat32, 5),
                  zero_point(m, x->type)};
  if (m.dice().one_in(2)) inputs.push_back(m.weights(Type::kInt32, {shape[0]}));
  GraphMaker::Attributes attributes;
  if (m.dice().one_in(2)) {
    const size_t axes = shape.size() - 2;
    attributes["pads"] = std::vector<int64_t>(2 * axes, m.dice().below(2));
    attributes["strides"] = std::vector<int64_t>(axes, m.dice().between(1, 2));
  }
  if (m.dice().one_in(2)) inputs[4] = steps(m, shape[0]);
  m.add("QLinearConv", inputs, Kind::kExact, attributes);
}

// Channels on the last axis, as ONNX Runtime's optimiser writes it.
void channels_last(GraphMaker& m) {
  const auto x = bytes(m, 4, 4);
  if (!x || x->shape[1] < 2 || x->shape[2] < 2 || x->shape[3] == 0) return;
  const std::vector<int64_t> kernel{m.dice().between(1, 2), m.dice().between(1, 2)};
  if (m.dice().one_in(2)) {
    m.add("com.microsoft.NhwcMaxPool", {x->name}, Kind::kExact, {{"kernel_shape", kernel}});
    return;
  }
  const int64_t filters = m.dice().between(1, 5);
  m.add("com.microsoft.QLinearConv",
        {x->name, step(m), zero_point(m, x->type), m.weights(Type::kInt8, {filters, x->shape[3], kernel[0], kernel[1]}),
         step(m), m.scalar(Type::kInt8, 0), m.scalar(Type::kFloat32, 5), zero_point(m, x->type),
         m.weights(Type::kInt32, {filters})},
        Kind::kExact, {{"channels_last", int64_t{1}}});
}

void softmax(GraphMaker& m) {
  const auto x = bytes(m, 2, 4);
  if (!x) return;
  m.add("com.microsoft.QLinearSoftmax",
        {x->name, step(m), zero_point(m, x->type), m.scalar(Type::kFloat32, 0.00390625),
         m.scalar(x->type, x->type == Type::kInt8 ? -128 : 0)},
        Kind::kTie, {{"axis", m.dice().one_in(2) ? int64_t{-1} : x->rank() - 1}, {"opset", int64_t{13}}});
}

// Each slice along an axis with its own step, or (from opset 21) blocks of an axis.
void per_axis(GraphMaker& m) {
  const auto x = m.find_float(2, 4);
  if (!x || m.special()) return;
  const int64_t axis = m.dice().between(1, x->rank() - 1), size = x->shape[static_cast<size_t>(axis)];
  if (axis == x->batch || size == 0) return;
  GraphMaker::Attributes attributes = {{"axis", m.dice().one_in(2) ? axis : axis - x->rank()}};
  Shape shape = {size};
  if (m.opset() >= 21 && x->batch < 0 && m.dice().one_in(2)) {
    shape = x->shape;
    shape[static_cast<size_t>(axis)] = (size + 1) / 2;
    attributes["block_size"] = int64_t{2};
  }
  const Type type = m.dice().one_in(2) ? Type::kInt8 : Type::kUInt8;
  Tensor scales(Type::kFloat32, shape);
  for (int64_t i = 0; i < scales.count(); ++i) scales.data<float>()[i] = m.dice().pick({0.0213f, 0.0527f, 0.0971f});
  const std::string step = m.constant(scales), zero = m.weights(type, shape);
  const std::string q = m.chain("QuantizeLinear", {x->name, step, zero}, Kind::kJump, attributes);
  m.chain("DequantizeLinear", {q, step, zero}, Kind::kArithmetic, attributes);
}

// As ONNX Runtime's quantiser writes the standard's two.
void there_and_back(GraphMaker& m) {
  const auto x = m.find_float();
  if (!x || m.special()) return;
  const std::string scale = step(m), zero = zero_point(m, m.dice().one_in(2) ? Type::kInt8 : Type::kUInt8);
  const std::string q = m.chain("com.microsoft.QuantizeLinear", {x->name, scale, zero}, Kind::kJump);
  if (!m.dice().one_in(3)) m.chain("com.microsoft.DequantizeLinear", {q, scale, zero}, Kind::kArithmetic);
}

// One step: what a layer makes of further ones depends on how their states, which engines round differently, fall to
// steps of their own.
void dynamic_lstm(GraphMaker& m) {
  const auto x = m.find([](const Value& v) {
    return v.is_float32() && v.rank() == 3 && v.batch <= 0 && v.shape[0] > 0 && v.shape[1] > 0 && v.shape[2] > 0;
  });
  if (!x || m.special()) return;
  const int64_t hidden = m.dice().between(1, 6), directions = m.dice().between(1, 2);
  const std::string first = m.chain("Slice", {x->name, m.ints({0}), m.ints({1}), m.ints({1})}, Kind::kExact);
  const std::string turned = m.chain("Transpose", {first}, Kind::kExact, {{"perm", std::vector<int64_t>{1, 0, 2}}});
  if (turned.empty()) return;
  const auto matrix = [&](int64_t rows) { return m.weights(Type::kInt8, {directions, rows, 4 * hidden}); };
  const auto per_direction = [&](Type type, double value) {
    Tensor made(type, {directions});
    for (int64_t i = 0; i < directions; ++i)
      if (type == Type::kInt8)
        made.data<int8_t>()[i] = static_cast<int8_t>(value);
      else
        made.data<float>()[i] = static_cast<float>(value);
    return m.constant(made);
  };
  const auto state = [&] {
    return x->batch >= 0 ? "" : m.weights(Type::kFloat32, {directions, x->shape[0], hidden}, 0.5);
  };
  const std::string scale = per_direction(Type::kFloat32, m.dice().pick({0.0213, 0.0527, 0.0971})),
                    zero = per_direction(Type::kInt8, 0);
  m.add("com.microsoft.DynamicQuantizeLSTM",
        {turned, matrix(x->shape[2]), matrix(hidden), m.weights(Type::kFloat32, {directions, 8 * hidden}, 0.3), "",
         state(), state(), "", scale, zero, scale, zero},
        Kind::kAbsolute,
        {{"hidden_size", hidden}, {"direction", std::string(directions == 2 ? "bidirectional" : "forward")}}, 3);
}

void dynamic(GraphMaker& m) {
  const auto x = m.find_float(2, 3);
  if (!x || m.special() || x->batch > 0) return;
  if (m.dice().one_in(2)) {
    m.add("DynamicQuantizeLinear", {x->name}, Kind::kJump, {}, 3);
    return;
  }
  m.add("com.microsoft.DynamicQuantizeMatMul",
        {x->name, m.weights(Type::kInt8, {x->shape.back(), m.dice().between(1, 9)}), step(m), m.scalar(Type::kInt8, 0)},
        Kind::kJump);
}

}  // namespace

void add_quant_recipes(std::vector<Recipe>* all) {
  all->insert(all->end(), {{"quant_binary", 1, binary},
                           {"quant_unary", 1, unary},
                           {"quant_pool", 1, pool},
                           {"quant_join", 1, join},
                           {"quant_choose", 1, choose},
                           {"quant_matmul", 2, matmul},
                           {"quant_conv", 2, conv},
                           {"quant_channels_last", 1, channels_last},
                           {"quant_softmax", 1, softmax},
                           {"quant_per_axis", 1, per_axis},
                           {"quant_there_and_back", 1, there_and_back},
                           {"quant_dynamic_lstm", 1, dynamic_lstm},
                           {"quant_dynamic", 1, dynamic}});
}

}  // namespace hayate::random_graphs
