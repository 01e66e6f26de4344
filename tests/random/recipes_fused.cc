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
  m.add(m.dice().one_in(4) ? "com.microsoft.TransposeMatMul" : "com.microsoft.FusedMatMul",
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

void simplified_norm(GraphMaker& m) {
  const auto x = m.find_float(2, 4);
  if (!x || x->batch == x->rank() - 1 || x->shape.back() < 4) return;
  m.add("SimplifiedLayerNormalization", {x->name, m.weights(Type::kFloat32, {x->shape.back()})}, Kind::kNorm,
        {{"axis", int64_t{-1}}, {"epsilon", 1e-3f}});
}

// Rows of three tables by numbers [batch, places] that the model is fed or makes, normalised.
void embeddings(GraphMaker& m) {
  const auto x = m.find([](const Value& v) {
    return (v.type == Type::kInt64 || v.type == Type::kInt32) && v.rank() == 2 && v.batch <= 0;
  });
  if (!x || x->shape[1] == 0) return;
  const auto limited = [&](double most) {
    const std::string held = m.chain("Clip", {x->name, m.scalar(x->type, 0), m.scalar(x->type, most)}, Kind::kExact);
    return x->type == Type::kInt32 ? held : m.chain("Cast", {held}, Kind::kExact, {{"to", int64_t{6}}});
  };
  const int64_t size = m.dice().between(4, 9);
  const auto rows = [&](int64_t count) { return m.weights(Type::kFloat32, {count, size}); };
  const auto parameter = [&] { return m.weights(Type::kFloat32, {size}); };
  const std::string ids = limited(6);
  const bool segments = m.dice().one_in(2);
  const std::string segment = segments ? limited(1) : "";
  if (ids.empty() || (segments && segment.empty())) return;
  m.add(
      "com.microsoft.EmbedLayerNormalization",
      {ids, segment, rows(7), rows(x->shape[1] + m.dice().below(3)), segments ? rows(2) : "", parameter(), parameter()},
      Kind::kNorm, {{"epsilon", 1e-3f}}, 2);
}

void rotary(GraphMaker& m) {
  const auto x = m.find([](const Value& v) { return v.is_float32() && v.rank() == 3 && v.batch <= 0; });
  if (!x || x->shape[1] == 0 || x->shape[2] == 0 || x->shape[2] % 2 != 0) return;
  const int64_t places = x->shape[1], half = x->shape[2] / (x->shape[2] % 4 == 0 && m.dice().one_in(2) ? 4 : 2);
  const auto cache = [&] { return m.weights(Type::kFloat32, {places + 2, half}); };
  std::string positions = m.ints({m.dice().below(3)});
  if (x->batch < 0 && m.dice().one_in(2)) {
    Tensor each(Type::kInt64, {x->shape[0], places});
    for (int64_t i = 0; i < each.count(); ++i) each.data<int64_t>()[i] = m.dice().below(places + 2);
    positions = m.constant(each);
  }
  m.add("com.microsoft.RotaryEmbedding", {x->name, positions, cache(), cache()}, Kind::kArithmetic,
        {{"interleaved", m.dice().below(2)}});
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
                           {"fused_simplified_norm", 1, simplified_norm},
                           {"fused_embeddings", 1, embeddings},
                           {"fused_rotary", 1, rotary},
                           {"fused_heads", 1, heads}});
}

}  // namespace hayate::random_graphs
