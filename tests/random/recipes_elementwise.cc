#include <algorithm>
#include <cmath>

#include "random/recipes.h"

namespace hayate::random_graphs {
namespace {

using Names = std::vector<std::string>;

bool is_integer(Type type) {
  return type != Type::kFloat32 && type != Type::kFloat64 && !is_half_float(type) && type != Type::kBool;
}
bool is_number(const Value& v) { return v.type != Type::kBool; }
bool is_bool(const Value& v) { return v.type == Type::kBool; }
bool has_float(const Value& v) { return !is_integer(v.type) && v.type != Type::kBool; }

// Integers and 16-bit floats run on the same kernels everywhere.
Kind arithmetic_on(const Value& v) {
  return v.type == Type::kFloat32 || v.type == Type::kFloat64 ? Kind::kArithmetic : Kind::kExact;
}

void smooth(GraphMaker& m) {
  static const Names kOps = {"Tanh",    "Sigmoid", "Erf",      "Softsign", "HardSigmoid", "LeakyRelu", "Elu",
                             "Selu",    "Celu",    "Softplus", "Mish",     "Sin",         "Cos",       "HardSwish",
                             "Exp",     "Log",     "Sqrt",     "Atan",     "Sinh",        "Cosh",      "Asinh",
                             "Tan",     "Asin",    "Acos",     "Acosh",    "Atanh",       "Gelu",      "Tanh",
                             "Sigmoid", "Exp",     "Sqrt",     "Log",      "Reciprocal"};
  const auto x = m.find(has_float);
  if (!x) return;
  const std::string op = m.dice().pick(kOps);
  GraphMaker::Attributes attributes;
  if (op == "LeakyRelu" || op == "Elu" || op == "Celu" || op == "HardSigmoid")
    if (m.dice().one_in(2)) attributes["alpha"] = static_cast<float>(0.1 + m.dice().unit());
  if (op == "Gelu") {
    if (m.opset() < 20) return;
    if (m.dice().one_in(2)) attributes["approximate"] = std::string("tanh");
  }
  if (op == "Mish" && m.opset() < 18) return;
  m.add(op, {x->name}, arithmetic_on(*x), attributes);
}

void exact(GraphMaker& m) {
  const std::string op = m.dice().pick(Names{"Relu", "Relu", "Neg", "Abs", "Identity", "Dropout"});
  const auto x = m.find(op == "Dropout" ? has_float : is_number);
  if (x) m.add(op, {x->name}, Kind::kExact);
}

void jump(GraphMaker& m) {
  const std::string op =
      m.dice().pick(Names{"Floor", "Ceil", "Round", "Sign", "IsNaN", "IsInf", "ThresholdedRelu", "Shrink"});
  const auto x = m.find(op == "Sign" || op == "Shrink" ? is_number : has_float);
  if (!x) return;
  GraphMaker::Attributes attributes;
  if (op == "Shrink") attributes = {{"bias", 0.25f}, {"lambd", 0.5f}};
  m.add(op, {x->name}, Kind::kJump, attributes);
}

void clip(GraphMaker& m) {
  const auto x = m.find(is_number);
  if (!x) return;
  const double low = m.dice().pick({0.0, -1.0, -0.5}), high = m.dice().pick({6.0, 1.0, 0.5});
  std::string least = m.dice().one_in(4) ? "" : m.scalar(x->type, is_integer(x->type) ? 0 : low);
  std::string most = m.dice().one_in(4) ? "" : m.scalar(x->type, high);
  m.add("Clip", {x->name, least, most}, Kind::kExact);
}

void binary(GraphMaker& m) {
  static const Names kOps = {"Add", "Sub", "Mul", "Add", "Mul", "Div", "Sum", "Mean", "Pow", "PRelu", "Mod"};
  const auto x = m.find(is_number);
  if (!x) return;
  const std::string op = m.dice().pick(kOps);
  std::string y = m.partner(*x);
  Names inputs = {x->name, y};
  GraphMaker::Attributes attributes;
  if (op == "Pow") inputs[1] = m.scalar(x->type, is_integer(x->type) ? 2 : m.dice().pick({2.0, 0.5, 3.0, -1.0, 0.0}));
  if ((op == "Sum" || op == "Mean") && m.dice().one_in(2)) inputs.push_back(m.partner(*x));
  if (op == "PRelu") {
    Shape slope(1, m.dice().one_in(2) && x->rank() > 0 ? x->shape.back() : 1);
    if (x->batch >= 0 && x->batch == x->rank() - 1) slope[0] = 1;
    inputs[1] = m.weights(x->type, slope);
  } else if (op != "Pow" && m.dice().one_in(3)) {
    std::swap(inputs[0], inputs[1]);
  }
  Kind kind = arithmetic_on(*x);
  if (op == "Mod") {
    const bool floats = !is_integer(x->type);
    attributes["fmod"] = int64_t{floats || m.dice().one_in(2)};
    if (floats) kind = Kind::kJump, inputs = {x->name, m.scalar(x->type, m.dice().pick({0.5, 1.0, 3.0}))};
  }
  m.add(op, inputs, kind, attributes);
}

void extreme(GraphMaker& m) {
  const auto x = m.find(is_number);
  if (!x) return;
  Names inputs = {x->name, m.partner(*x)};
  if (m.dice().one_in(3)) inputs.push_back(m.partner(*x));
  m.add(m.dice().one_in(2) ? "Max" : "Min", inputs, Kind::kExact);
}

void compare(GraphMaker& m) {
  const auto x = m.find(is_number);
  if (!x) return;
  const std::string op = m.dice().pick(Names{"Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual"});
  m.add(op, {x->name, m.partner(*x)}, Kind::kJump);
}

void logic(GraphMaker& m) {
  const auto x = m.find(is_bool);
  if (!x) return;
  if (m.dice().one_in(3)) {
    m.add("Not", {x->name}, Kind::kExact);
  } else {
    m.add(m.dice().pick(Names{"And", "Or", "Xor"}), {x->name, m.partner(*x)}, Kind::kExact);
  }
}

void bits(GraphMaker& m) {
  const auto x = m.find([](const Value& v) { return is_integer(v.type); });
  if (!x || m.opset() < 18) return;
  if (m.dice().one_in(4)) {
    m.add("BitwiseNot", {x->name}, Kind::kExact);
  } else {
    m.add(m.dice().pick(Names{"BitwiseAnd", "BitwiseOr", "BitwiseXor"}), {x->name, m.partner(*x)}, Kind::kExact);
  }
}

void where(GraphMaker& m) {
  const auto condition = m.find(is_bool);
  if (!condition) return;
  const auto x = m.find([&](const Value& v) { return broadcast(v.shape, condition->shape).has_value(); });
  if (!x) return;
  Names inputs = {condition->name, x->name, m.partner(*x)};
  if (m.dice().one_in(2)) std::swap(inputs[1], inputs[2]);
  m.add("Where", inputs, Kind::kExact);
}

void cast(GraphMaker& m) {
  const auto x = m.find([](const Value&) { return true; });
  if (!x) return;
  const int64_t to = m.dice().pick({1, 1, 1, 11, 10, 16, 6, 7, 3, 2, 9});
  if (m.special() && has_float(*x) && to != 1 && to != 11) return;  // NaN has no integer
  std::string from = x->name;
  // Only what the target can hold has one answer.
  if (to == 2 && x->type != Type::kBool && x->type != Type::kUInt8)
    from = m.chain("Clip", {from, m.scalar(x->type, 0), m.scalar(x->type, 100)}, Kind::kExact);
  if (to == 3 && x->type != Type::kBool)
    from = m.chain("Clip", {from, m.scalar(x->type, x->type == Type::kUInt8 ? 0 : -100), m.scalar(x->type, 100)},
                   Kind::kExact);
  if (!from.empty()) m.add("Cast", {from}, to == 1 ? Kind::kArithmetic : Kind::kJump, {{"to", to}});
}

void cast_like(GraphMaker& m) {
  const auto x = m.find([](const Value&) { return true; }),
             like = m.find([](const Value&v) { return v.type != Type::kUInt8 && v.type != Type::kInt8; });
  if (!x || !like || (m.special() && has_float(*x) && !has_float(*like))) return;
  m.add("CastLike", {x->name, like->name}, like->is_float32() ? Kind::kArithmetic : Kind::kJump);
}

void shift(GraphMaker& m) {
  const auto x = m.find([](const Value& v) { return v.type == Type::kUInt8; });
  if (!x) return;
  const std::string by = m.scalar(Type::kUInt8, static_cast<double>(m.dice().between(0, 7)));
  m.add("BitShift", {x->name, by}, Kind::kExact, {{"direction", std::string(m.dice().one_in(2) ? "LEFT" : "RIGHT")}});
}

void swish(GraphMaker& m) {
  const auto x = m.find_float();
  if (!x || m.opset() < 24) return;
  m.add("Swish", {x->name}, Kind::kArithmetic, {{"alpha", m.dice().pick({1.0f, 1.702f})}});
}

// Small integers are the tiniest floats. What floats are as integers follows from their last bits: no engines agree.
void bit_cast(GraphMaker& m) {
  const auto x = m.find([](const Value& v) { return is_integer(v.type); });
  if (!x || m.opset() < 26) return;
  const int64_t to = x->type == Type::kInt32 ? 1 : x->type == Type::kInt64 ? 11 : x->type == Type::kInt8 ? 2 : 3;
  m.add("BitCast", {x->name}, Kind::kExact, {{"to", to}});
}

// What signal processing multiplies a stretch of samples by.
void taper(GraphMaker& m) {
  const auto x = m.find_float(1);
  if (!x || x->batch == x->rank() - 1) return;
  const std::string op = m.dice().pick(Names{"HannWindow", "HammingWindow", "BlackmanWindow"});
  const std::string size =
      m.scalar(m.dice().one_in(2) ? Type::kInt64 : Type::kInt32, static_cast<double>(x->shape.back()));
  m.chain("Mul", {x->name, m.chain(op, {size}, Kind::kAbsolute, {{"periodic", m.dice().below(2)}})}, Kind::kArithmetic);
}

void one_hot(GraphMaker& m) {
  const auto x = m.find([](const Value& v) { return v.type == Type::kInt64 || v.type == Type::kInt32; });
  if (!x) return;
  const int64_t axis = m.dice().between(-1, x->rank());
  m.add("OneHot",
        {x->name, m.constant(Tensor::of<int64_t>({1}, {m.dice().between(1, 5)})),
         m.constant(Tensor::of<float>({2}, {m.dice().pick({0.0f, -1.0f}), 1.0f}))},
        Kind::kExact, {{"axis", axis}});
}

}  // namespace

void add_elementwise_recipes(std::vector<Recipe>* all) {
  all->insert(all->end(), {{"smooth", 6, smooth},
                           {"exact", 3, exact},
                           {"jump", 1, jump},
                           {"clip", 1, clip},
                           {"binary", 8, binary},
                           {"extreme", 1, extreme},
                           {"compare", 2, compare},
                           {"logic", 1, logic},
                           {"bits", 1, bits},
                           {"where", 2, where},
                           {"cast", 2, cast},
                           {"cast_like", 1, cast_like},
                           {"shift", 1, shift},
                           {"swish", 1, swish},
                           {"bit_cast", 1, bit_cast},
                           {"taper", 1, taper},
                           {"one_hot", 1, one_hot}});
}

}  // namespace hayate::random_graphs
