#include <algorithm>
#include <cmath>

#include "random/recipes.h"

namespace hayate::random_graphs {
namespace {

using Names = std::vector<std::string>;

double weight_scale(int64_t inner) { return 1 / std::sqrt(static_cast<double>(inner > 0 ? inner : 1)); }

void gemm(GraphMaker& m) {
  const auto x = m.find_float(2, 2);
  if (!x) return;
  const bool trans_a = x->batch < 0 && m.dice().one_in(4), trans_b = m.dice().one_in(2);
  const int64_t inner = x->shape[trans_a ? 0 : 1], outer = m.dice().pick({1, 2, 3, 5, 8, 17, 33, 64});
  GraphMaker::Attributes attributes = {{"transB", int64_t{trans_b}}};
  if (trans_a) attributes["transA"] = int64_t{1};
  if (m.dice().one_in(4)) attributes["alpha"] = 0.5f;
  if (m.dice().one_in(4)) attributes["beta"] = 2.0f;
  Names inputs = {x->name,
                  m.weights(Type::kFloat32, trans_b ? Shape{outer, inner} : Shape{inner, outer}, weight_scale(inner))};
  if (!m.dice().one_in(3))
    inputs.push_back(m.weights(Type::kFloat32, m.dice().pick({Shape{outer}, Shape{1}, Shape{1, outer}, Shape{}})));
  m.add("Gemm", inputs, Kind::kArithmetic, attributes);
}

void matmul(GraphMaker& m) {
  const auto x = m.find([](const Value& v) { return (v.is_float32() || v.type == Type::kFloat64) && v.rank() > 0; });
  if (!x || x->batch == x->rank() - 1) return;
  const int64_t inner = x->shape.back(), outer = m.dice().pick({1, 2, 3, 5, 8, 17, 33});
  Shape shape = {inner, outer};
  if (m.dice().one_in(6)) shape = {inner};
  if (m.dice().one_in(6) && x->rank() > 2 && x->batch != x->rank() - 3)
    shape = {x->shape[x->shape.size() - 3], inner, outer};
  const std::string weights = m.weights(x->type, shape, weight_scale(inner));
  m.add("MatMul", {x->name, weights}, Kind::kArithmetic);
}

// Both operands are made: attention's products.
void matmul_of_two(GraphMaker& m) {
  const auto x = m.find_float(2, 4);
  if (!x || x->shape.back() > 256) return;  // long sums of equal signs pass the bound in every float32 engine
  std::vector<int64_t> order;
  for (int64_t i = 0; i < x->rank(); ++i) order.push_back(i);
  std::swap(order[order.size() - 1], order[order.size() - 2]);
  const auto y = m.find(
      [&](const Value& v) { return v.is_float32() && v.rank() == x->rank() && v.shape.back() == x->shape.back(); });
  const std::string turned = m.chain("Transpose", {y->name}, Kind::kExact, {{"perm", order}});
  m.chain("MatMul", {x->name, turned}, Kind::kArithmetic);
}

void weights_first(GraphMaker& m) {
  const auto x = m.find_float(2, 4);
  if (!x || x->batch == x->rank() - 2) return;
  const int64_t inner = x->shape[x->shape.size() - 2];
  m.add("MatMul", {m.weights(Type::kFloat32, {m.dice().between(1, 6), inner}, weight_scale(inner)), x->name},
        Kind::kArithmetic);
}

void einsum(GraphMaker& m) {
  const auto x = m.find_float(3, 3);
  if (!x || x->batch > 0) return;
  const int64_t b = x->shape[1], c = x->shape[2], d = m.dice().between(1, 5);
  switch (m.dice().below(5)) {
    case 4:
      m.add("Einsum", {x->name, m.weights(Type::kFloat32, {d, c}, weight_scale(c))}, Kind::kArithmetic,
            {{"equation", std::string("...c,dc->...d")}});
      return;
    case 0:
      m.add("Einsum", {x->name, m.weights(Type::kFloat32, {c, d}, weight_scale(c))}, Kind::kArithmetic,
            {{"equation", std::string("abc,cd->abd")}});
      return;
    case 1:
      m.add("Einsum", {x->name, m.weights(Type::kFloat32, {b, c}, weight_scale(b * c))}, Kind::kArithmetic,
            {{"equation", std::string("abc,bc->a")}});
      return;
    case 2:
      m.add("Einsum", {x->name, x->name}, Kind::kArithmetic, {{"equation", std::string("abc,adc->abd")}});
      return;
    default:
      m.add("Einsum", {x->name}, Kind::kExact, {{"equation", std::string("abc->acb")}});
  }
}

// Of the first rows and columns, as many as make a small square.
void det(GraphMaker& m) {
  const auto x = m.find_float(2, 4);
  if (!x || x->batch >= x->rank() - 2) return;
  const int64_t rows = x->shape[x->shape.size() - 2], columns = x->shape.back();
  const int64_t size = std::min({rows, columns, int64_t{4}});
  const std::string square =
      rows == size && columns == size
          ? x->name
          : m.chain("Slice", {x->name, m.ints({0, 0}), m.ints({size, size}), m.ints({-2, -1})}, Kind::kExact);
  m.chain("Det", {square}, Kind::kArithmetic);
}

void quantize(GraphMaker& m) {
  const auto x = m.find_float();
  if (!x || m.special()) return;
  const float scale = m.dice().pick({0.03125f, 0.05f, 0.1f});
  const bool is_signed = m.dice().one_in(2);
  const std::string step = m.scalar(Type::kFloat32, scale),
                    zero = m.scalar(is_signed ? Type::kInt8 : Type::kUInt8,
                                    static_cast<double>(m.dice().between(is_signed ? -20 : 0, 60)));
  const std::string q = m.chain("QuantizeLinear", {x->name, step, zero}, Kind::kJump);
  if (!m.dice().one_in(3)) m.chain("DequantizeLinear", {q, step, zero}, Kind::kArithmetic);
}

void matmul_integer(GraphMaker& m) {
  const auto x = m.find([](const Value& v) {
    return (v.type == Type::kUInt8 || v.type == Type::kInt8) && v.rank() >= 2 && v.batch != v.rank() - 1;
  });
  if (!x) return;
  Names inputs = {x->name, m.weights(Type::kInt8, {x->shape.back(), m.dice().between(1, 9)})};
  if (m.dice().one_in(2)) inputs.push_back(m.scalar(x->type, 2));
  m.add("MatMulInteger", inputs, Kind::kExact);
}

}  // namespace

void add_dense_recipes(std::vector<Recipe>* all) {
  all->insert(all->end(), {{"gemm", 4, gemm},
                           {"matmul", 4, matmul, 9},
                           {"matmul_of_two", 2, matmul_of_two},
                           {"weights_first", 1, weights_first},
                           {"einsum", 1, einsum},
                           {"det", 1, det},
                           {"quantize", 1, quantize},
                           {"matmul_integer", 1, matmul_integer}});
}

}  // namespace hayate::random_graphs
