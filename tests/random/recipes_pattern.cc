// Groups of nodes that a rewrite turns into one, and near misses of them.
#include <cmath>

#include "random/recipes.h"

namespace hayate::random_graphs {
namespace {

using Names = std::vector<std::string>;
constexpr Kind kArithmetic = Kind::kArithmetic;

std::string number(GraphMaker& m, double value) { return m.scalar(Type::kFloat32, value); }

void silu(GraphMaker& m) {
  const auto x = m.find_float();
  if (!x) return;
  const std::string gate = m.chain(m.dice().one_in(4) ? "Tanh" : "Sigmoid", {x->name}, kArithmetic);
  m.chain("Mul", m.dice().one_in(2) ? Names{x->name, gate} : Names{gate, x->name}, kArithmetic);
}

void gelu(GraphMaker& m) {
  const auto x = m.find_float();
  if (!x) return;
  const std::string scaled = m.dice().one_in(2) ? m.chain("Div", {x->name, number(m, std::sqrt(2.0))}, kArithmetic)
                                                : m.chain("Mul", {x->name, number(m, std::sqrt(0.5))}, kArithmetic);
  const std::string erf = m.chain("Erf", {scaled}, kArithmetic);
  const std::string one = m.chain("Add", {erf, number(m, 1)}, kArithmetic);
  const std::string product = m.chain("Mul", {x->name, one}, kArithmetic);
  m.chain("Mul", {product, number(m, m.dice().one_in(5) ? 0.25 : 0.5)}, kArithmetic);
}

void gelu_tanh(GraphMaker& m) {
  const auto x = m.find_float();
  if (!x) return;
  const std::string cube = m.chain("Pow", {x->name, number(m, 3)}, kArithmetic);
  const std::string part = m.chain("Mul", {cube, number(m, 0.044715)}, kArithmetic);
  const std::string sum = m.chain("Add", {x->name, part}, kArithmetic);
  const std::string scaled = m.chain("Mul", {sum, number(m, std::sqrt(2 / M_PI))}, kArithmetic);
  const std::string tanh = m.chain("Tanh", {scaled}, kArithmetic);
  const std::string one = m.chain("Add", {tanh, number(m, 1)}, kArithmetic);
  const std::string half = m.chain("Mul", {x->name, number(m, 0.5)}, kArithmetic);
  m.chain("Mul", {half, one}, kArithmetic);
}

void mish(GraphMaker& m) {
  const auto x = m.find_float();
  if (!x) return;
  const std::string soft = m.chain("Softplus", {x->name}, kArithmetic);
  m.chain("Mul", {x->name, m.chain("Tanh", {soft}, kArithmetic)}, kArithmetic);
}

void softplus(GraphMaker& m) {
  const auto x = m.find_float();
  if (!x) return;
  const std::string one = m.chain("Add", {m.chain("Exp", {x->name}, kArithmetic), number(m, 1)}, kArithmetic);
  m.chain("Log", {one}, kArithmetic);
}

void hard_swish(GraphMaker& m) {
  const auto x = m.find_float();
  if (!x) return;
  const std::string three = m.chain("Add", {x->name, number(m, 3)}, kArithmetic);
  const std::string six = m.chain("Clip", {three, number(m, 0), number(m, 6)}, Kind::kExact);
  const std::string product = m.chain("Mul", {x->name, six}, kArithmetic);
  m.chain("Div", {product, number(m, 6)}, kArithmetic);
}

std::string mean(GraphMaker& m, const std::string& x) {
  if (x.empty()) return "";
  return m.opset() >= 18 ? m.chain("ReduceMean", {x, m.ints({-1})}, kArithmetic)
                         : m.chain("ReduceMean", {x}, kArithmetic, {{"axes", std::vector<int64_t>{-1}}});
}

void norm(GraphMaker& m) {
  const auto x = m.find_float(2, 4);
  if (!x) return;
  const bool rms = m.dice().one_in(3);
  if (x->shape.back() < 4) return;
  const std::string centred = rms ? x->name : m.chain("Sub", {x->name, mean(m, x->name)}, Kind::kNorm);
  if (centred.empty()) return;
  const std::string square = m.dice().one_in(2) ? m.chain("Pow", {centred, number(m, 2)}, kArithmetic)
                                                : m.chain("Mul", {centred, centred}, kArithmetic);
  const std::string sum = m.chain("Add", {mean(m, square), number(m, 1e-3)}, kArithmetic);
  const std::string root = m.chain("Sqrt", {sum}, kArithmetic);
  const std::string unit = m.chain("Div", {centred, root}, kArithmetic);
  const Shape shape = {x->batch == x->rank() - 1 ? 1 : x->shape.back()};
  const std::string scaled = m.chain("Mul", {unit, m.weights(Type::kFloat32, shape)}, kArithmetic);
  if (m.dice().one_in(2)) m.chain("Add", {scaled, m.weights(Type::kFloat32, shape)}, kArithmetic);
}

// MatMul, bias, activation; or the bias first.
void linear(GraphMaker& m) {
  const auto x = m.find_float(2, 4);
  if (!x || x->batch == x->rank() - 1) return;
  const int64_t inner = x->shape.back(), outer = m.dice().pick({2, 3, 8, 16, 31});
  const std::string weights =
      m.weights(Type::kFloat32, {inner, outer}, 1 / std::sqrt(static_cast<double>(inner > 0 ? inner : 1)));
  const std::string product = m.chain("MatMul", {x->name, weights}, kArithmetic);
  const std::string bias = m.weights(Type::kFloat32, m.dice().one_in(4) ? Shape{1} : Shape{outer});
  const std::string sum = m.chain("Add", m.dice().one_in(2) ? Names{product, bias} : Names{bias, product}, kArithmetic);
  if (m.dice().one_in(2))
    m.chain(m.dice().pick(Names{"Tanh", "Sigmoid"}), {sum}, kArithmetic);
  else
    m.chain("Relu", {sum}, Kind::kExact);
}

void residual(GraphMaker& m) {
  const auto x = m.find_float(2, 4);
  if (!x || x->batch == x->rank() - 1) return;
  const int64_t size = x->shape.back();
  const std::string weights =
      m.weights(Type::kFloat32, {size, size}, 1 / std::sqrt(static_cast<double>(size > 0 ? size : 1)));
  const std::string branch = m.chain("Relu", {m.chain("MatMul", {x->name, weights}, kArithmetic)}, Kind::kExact);
  m.chain("Add", {x->name, branch}, kArithmetic);
}

void conv_norm(GraphMaker& m) {
  const auto x = m.find([](const Value& v) {
    return v.is_float32() && (v.rank() == 3 || v.rank() == 4) && v.batch <= 0 && v.shape[1] > 0;
  });
  if (!x) return;
  const int64_t filters = m.dice().between(1, 6);
  Shape shape(static_cast<size_t>(x->rank()), 1);
  shape[0] = filters, shape[1] = x->shape[1];
  const auto parameter = [&] { return m.weights(Type::kFloat32, {filters}); };
  const std::string conv = m.chain("Conv", {x->name, m.weights(Type::kFloat32, shape, 0.5)}, kArithmetic);
  Tensor variance(Type::kFloat32, {filters});
  for (int64_t i = 0; i < filters; ++i) variance.data<float>()[i] = static_cast<float>(0.3 + m.dice().unit());
  const std::string normed =
      m.chain("BatchNormalization", {conv, parameter(), parameter(), parameter(), m.constant(variance)}, kArithmetic);
  m.chain("Relu", {normed}, Kind::kExact);
}

void gate(GraphMaker& m) {
  const auto x = m.find([](const Value& v) { return v.is_float32() && v.rank() > 1 && v.shape.back() % 2 == 0; });
  if (!x || x->batch == x->rank() - 1 || x->shape.back() == 0) return;
  const int64_t half = x->shape.back() / 2;
  const auto halves = m.add("Split", {x->name, m.ints({half, half})}, Kind::kExact, {{"axis", int64_t{-1}}}, 2);
  if (!halves) return;
  const std::string open = m.chain("Sigmoid", {(*halves)[1].name}, kArithmetic);
  const std::string in = m.dice().one_in(2) ? (*halves)[0].name : m.chain("Tanh", {(*halves)[0].name}, kArithmetic);
  m.chain("Mul", {in, open}, kArithmetic);
}

void attention(GraphMaker& m) {
  const auto x = m.find_float(3, 4);
  if (!x || x->batch > 0) return;
  const int64_t size = x->shape.back(), inner = m.dice().between(1, 6);
  const auto project = [&] {
    return m.chain("MatMul", {x->name, m.weights(Type::kFloat32, {size, inner}, 0.5)}, kArithmetic);
  };
  const std::string q = project(), k = project(), v = project();
  std::vector<int64_t> order = x->rank() == 3 ? std::vector<int64_t>{0, 2, 1} : std::vector<int64_t>{0, 1, 3, 2};
  const std::string turned = m.chain("Transpose", {k}, Kind::kExact, {{"perm", order}});
  const std::string scores = m.chain("MatMul", {q, turned}, kArithmetic);
  const std::string scaled = m.chain("Mul", {scores, number(m, 0.5)}, kArithmetic);
  const std::string soft = m.chain("Softmax", {scaled}, kArithmetic, {{"axis", int64_t{-1}}});
  m.chain("MatMul", {soft, v}, kArithmetic);
}

// The standard's own operator, on [batch, steps, heads * size].
void whole_attention(GraphMaker& m) {
  const auto x = m.find([](const Value& v) {
    return v.is_float32() && v.rank() == 3 && v.batch <= 0 && v.shape[2] > 0 && v.shape[2] % 2 == 0;
  });
  if (!x || m.opset() < 23) return;
  const int64_t size = x->shape[2], places = x->shape[1], shared = m.dice().between(1, 2);
  const auto project = [&](int64_t width) {
    return m.chain("MatMul", {x->name, m.weights(Type::kFloat32, {size, width}, 0.5)}, kArithmetic);
  };
  const std::string q = project(size), k = project(size / shared), v = project(size / shared);
  Names inputs = {q, k, v};
  if (m.dice().one_in(3)) inputs.push_back(m.weights(Type::kFloat32, {places, places}));
  GraphMaker::Attributes attributes = {
      {"q_num_heads", int64_t{2}}, {"kv_num_heads", 2 / shared}, {"is_causal", m.dice().below(2)}};
  if (m.dice().one_in(3)) attributes["scale"] = 0.3f;
  if (m.dice().one_in(4)) attributes["softcap"] = 1.5f;
  m.chain("Attention", inputs, kArithmetic, attributes);
}

void rotary(GraphMaker& m) {
  const auto x = m.find([](const Value& v) {
    return v.is_float32() && v.rank() == 4 && v.batch < 0 && v.shape[3] > 0 && v.shape[3] % 2 == 0;
  });
  if (!x || m.opset() < 23) return;
  const Shape cache = {x->shape[0], x->shape[2], x->shape[3] / 2};
  m.add("RotaryEmbedding", {x->name, m.weights(Type::kFloat32, cache), m.weights(Type::kFloat32, cache)}, kArithmetic,
        {{"interleaved", m.dice().below(2)}});
}

// There and back again.
void turn_twice(GraphMaker& m) {
  const auto x = m.find([](const Value& v) { return v.rank() == 3; });
  if (!x) return;
  const auto turn = [&](const std::string& name, std::vector<int64_t> order) {
    return m.chain("Transpose", {name}, Kind::kExact, {{"perm", order}});
  };
  std::string turned = turn(x->name, {0, 2, 1});
  if (x->is_float32()) turned = m.chain(m.dice().pick(Names{"Relu", "Abs"}), {turned}, Kind::kExact);
  if (!turned.empty()) turn(turned, m.dice().one_in(3) ? std::vector<int64_t>{1, 0, 2} : std::vector<int64_t>{0, 2, 1});
}

void nothing_done(GraphMaker& m) {
  const auto x = m.find_float();
  if (!x) return;
  switch (m.dice().below(5)) {
    case 0:
      m.chain("Add", {x->name, number(m, 0)}, kArithmetic);
      return;
    case 1:
      m.chain("Mul", {x->name, number(m, 1)}, kArithmetic);
      return;
    case 2:
      m.chain("Cast", {m.chain("Cast", {x->name}, Kind::kExact, {{"to", int64_t{11}}})}, kArithmetic,
              {{"to", int64_t{1}}});
      return;
    case 3:
      m.chain("Squeeze", {m.chain("Unsqueeze", {x->name, m.ints({0})}, Kind::kExact), m.ints({0})}, Kind::kExact);
      return;
    default:
      m.chain("Neg", {m.chain("Neg", {x->name}, Kind::kExact)}, Kind::kExact);
  }
}

// Scaled and shifted twice: what a scaler, then a normalisation, do.
void affine_twice(GraphMaker& m) {
  const auto x = m.find_float(1);
  if (!x || x->batch == x->rank() - 1) return;
  std::string at = x->name;
  for (int i = 0; i < 2; ++i) {
    const auto parameter = [&] { return m.weights(Type::kFloat32, {x->shape.back()}); };
    at = m.chain("Mul", {at, parameter()}, kArithmetic);
    at = m.chain(m.dice().one_in(2) ? "Add" : "Sub", {at, parameter()}, kArithmetic);
  }
}

}  // namespace

void add_pattern_recipes(std::vector<Recipe>* all) {
  all->insert(all->end(), {{"silu", 1, silu, 9},
                           {"gelu", 1, gelu, 9},
                           {"gelu_tanh", 1, gelu_tanh},
                           {"mish", 1, mish},
                           {"softplus", 1, softplus, 9},
                           {"hard_swish", 1, hard_swish},
                           {"norm", 2, norm},
                           {"linear", 3, linear, 9},
                           {"residual", 2, residual, 9},
                           {"conv_norm", 2, conv_norm, 9},
                           {"gate", 1, gate},
                           {"attention", 1, attention},
                           {"whole_attention", 1, whole_attention},
                           {"rotary", 1, rotary},
                           {"turn_twice", 1, turn_twice},
                           {"nothing_done", 2, nothing_done},
                           {"affine_twice", 1, affine_twice}});
}

}  // namespace hayate::random_graphs
