// Operators of com.microsoft on floats, as ONNX Runtime's optimiser leaves them in files.
#include <cmath>

#include "random/recipes.h"

namespace hayate::random_graphs {
namespace {

using Names = std::vector<std::string>;

double weight_scale(int64_t inner) { return 1 / std::sqrt(static_cast<double>(inner > 0 ? inner : 1)); }

void gelu(GraphMaker& m) {
  const auto x = m.find_float(1, 4);
  if (!x || x->batch == x->rank() - 1) return;
  const std::string bias = m.weights(Type::kFloat32, {x->shape.back()});
  switch (m.dice().below(4)) {
    case 0:
      m.add("com.microsoft.Gelu", {x->name}, Kind::kArithmetic);
      return;
    case 1:
      m.add("com.microsoft.BiasGelu", {x->name, bias}, Kind::kArithmetic);
      return;
    case 2:
      m.add("com.microsoft.FastGelu", m.dice().one_in(2) ? Names{x->name} : Names{x->name, bias}, Kind::kArithmetic);
      return;
    default:
      m.add("com.microsoft.QuickGelu", {x->name}, Kind::kArithmetic, {{"alpha", m.dice().pick({1.0f, 1.702f})}});
  }
}

void gemm(GraphMaker& m) {
  const auto x = m.find_float(2, 2);
  if (!x || x->batch == 1) return;
  const int64_t inner = x->shape[1], outer = m.dice().between(1, 17);
  m.add("com.microsoft.FusedGemm",
        {x->name, m.weights(Type::kFloat32, {outer, inner}, weight_scale(inner)), m.weights(Type::kFloat32, {outer})},
        Kind::kArithmetic, {{"transB", int64_t{1}}, {"activation", std::string(m.dice().one_in(2) ? "Relu" : "Tanh")}});
}

void matmul(GraphMaker& m) {
  const auto x = m.find_float(2, 4);
  if (!x || x->batch == x->rank() - 1) return;
  const int64_t inner = x->shape.back(), outer = m.dice().between(1, 9);
  const bool turned = m.dice().one_in(2);
  m.add("com.microsoft.FusedMatMul",
        {x->name, m.weights(Type::kFloat32, turned ? Shape{outer, inner} : Shape{inner, outer}, weight_scale(inner))},
        Kind::kArithmetic, {{"transB", int64_t{turned}}, {"alpha", m.dice().pick({1.0f, 0.5f})}});
}

void conv(GraphMaker& m) {
  const auto x =
      m.find([](const Value& v) { return v.is_float32() && v.rank() == 4 && v.batch <= 0 && v.shape[1] > 0; });
  if (!x) return;
  const int64_t filters = m.dice().between(1, 6), channels = x->shape[1];
  m.add("com.microsoft.FusedConv",
        {x->name, m.weights(Type::kFloat32, {filters, channels, 2, 1}, weight_scale(2 * channels)),
         m.weights(Type::kFloat32, {filters})},
        Kind::kArithmetic, {{"activation", std::string(m.dice().one_in(2) ? "Relu" : "Sigmoid")}});
}

void skip_norm(GraphMaker& m) {
  const auto x =
      m.find([](const Value& v) { return v.is_float32() && v.rank() == 3 && v.batch <= 0 && v.shape[2] >= 4; });
  if (!x) return;
  const auto parameter = [&] { return m.weights(Type::kFloat32, {x->shape[2]}); };
  if (m.dice().one_in(3)) {
    m.add("com.microsoft.SkipSimplifiedLayerNormalization", {x->name, x->name, parameter()}, Kind::kNorm,
          {{"epsilon", 1e-3f}});
    return;
  }
  Names inputs = {x->name, x->name, parameter(), parameter()};
  if (m.dice().one_in(2)) inputs.push_back(parameter());
  m.add("com.microsoft.SkipLayerNormalization", inputs, Kind::kNorm, {{"epsilon", 1e-3f}});
}

void heads(GraphMaker& m) {
  const auto x = m.find([](const Value& v) {
    return v.is_float32() && v.rank() == 3 && v.batch <= 0 && v.shape[2] > 0 && v.shape[2] % 2 == 0;
  });
  if (!x) return;
  const int64_t size = x->shape[2];
  if (m.dice().one_in(2)) {
    m.add("com.microsoft.Attention",
          {x->name, m.weights(Type::kFloat32, {size, 3 * size}, 0.4), m.weights(Type::kFloat32, {3 * size})},
          Kind::kArithmetic, {{"num_heads", int64_t{2}}, {"unidirectional", m.dice().below(2)}});
    return;
  }
  const auto project = [&] {
    return m.chain("MatMul", {x->name, m.weights(Type::kFloat32, {size, size}, 0.5)}, Kind::kArithmetic);
  };
  const std::string q = project(), k = project(), v = project();
  m.chain("com.microsoft.MultiHeadAttention", {q, k, v}, Kind::kArithmetic, {{"num_heads", int64_t{2}}});
}

}  // namespace

void add_fused_recipes(std::vector<Recipe>* all) {
  all->insert(all->end(), {{"fused_gelu", 1, gelu},
                           {"fused_gemm", 1, gemm},
                           {"fused_matmul", 1, matmul},
                           {"fused_conv", 1, conv},
                           {"fused_skip_norm", 1, skip_norm},
                           {"fused_heads", 1, heads}});
}

}  // namespace hayate::random_graphs
