// Products, convolutions, activations and normalisations with what was fused into them.
#include <fmt/format.h>

#include "graph/rule_checks.h"
#include "graph/spelling.h"

namespace hayate {
namespace {

std::map<std::string, Attribute> only(const Node& node, std::initializer_list<const char*> keys) {
  std::map<std::string, Attribute> kept;
  for (const char* key : keys)
    if (const auto it = node.attributes.find(key); it != node.attributes.end()) kept.insert(*it);
  return kept;
}

Result<Graph> gelu(const ShapeContext& c) {
  Speller s(c);
  return s.give({s.add("Gelu", {s.plus(s.in(0), s.in(1))})});
}

Result<Graph> fast_gelu(const ShapeContext& c) {
  Speller s(c);
  return s.give({s.add("Gelu", {s.plus(s.in(0), s.in(1))}, {{"approximate", std::string("tanh")}})});
}

Result<Graph> quick_gelu(const ShapeContext& c) {
  Speller s(c);
  return s.give({s.add("Swish", {s.in(0)}, {{"alpha", c.node.get<float>("alpha", 1.702f)}})});
}

// X, W, B, Z: activation(Conv(X, W, B) + Z).
Result<Graph> fused_conv(const ShapeContext& c) {
  Speller s(c);
  const std::string made = s.add("Conv", {s.in(0), s.in(1), s.in(2)},
                                 only(c.node, {"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"}));
  const Result<std::string> y = s.activation(s.plus(made, s.in(3)), c.node.get<std::string>("activation", ""),
                                             c.node.get<std::vector<float>>("activation_params", {}));
  if (!y.ok()) return y.error();
  return s.give({y.value()});
}

Result<Graph> fused_gemm(const ShapeContext& c) {
  Speller s(c);
  const std::string made =
      s.add("Gemm", {s.in(0), s.in(1), s.in(2)}, only(c.node, {"alpha", "beta", "transA", "transB"}));
  std::vector<float> parameters;
  for (const char* key : {"activation_alpha", "activation_beta"})
    if (c.node.attributes.contains(key)) parameters.push_back(c.node.get<float>(key, 0));
  const Result<std::string> y = s.activation(made, c.node.get<std::string>("activation", ""), parameters);
  if (!y.ok()) return y.error();
  return s.give({y.value()});
}

// Operand i of FusedMatMul as MatMul takes it. transBatch: the first axis is the rows', the batch follows it. A vector
// stays as it is.
Result<std::string> operand(Speller* s, size_t i, const char* trans, const char* trans_batch) {
  const ShapeContext& c = s->c;
  const int64_t rank = c.rank(i);
  if (rank < 2) return s->in(i);
  std::vector<int64_t> perm;
  for (int64_t k = 0; k < rank; ++k) perm.push_back(k);
  const bool batch = c.node.get<int64_t>(trans_batch, 0) != 0, swapped = c.node.get<int64_t>(trans, 0) != 0;
  if (batch && rank > 2) {
    perm.erase(perm.begin());
    perm.insert(perm.end() - 1, 0);
  }
  if (swapped) std::swap(perm[static_cast<size_t>(rank) - 1], perm[static_cast<size_t>(rank) - 2]);
  return batch || swapped ? s->add("Transpose", {s->in(i)}, {{"perm", perm}}) : s->in(i);
}

Result<Graph> fused_matmul(const ShapeContext& c) {
  if (const auto error = type_error(c, 0, {Type::kFloat32, Type::kFloat64})) return *error;
  Speller s(c);
  const Result<std::string> a = operand(&s, 0, "transA", "transBatchA"), b = operand(&s, 1, "transB", "transBatchB");
  for (const auto* each : {&a, &b})
    if (!each->ok()) return each->error();
  std::string y = s.add("MatMul", {a.value(), b.value()});
  if (const float alpha = c.node.get<float>("alpha", 1); alpha != 1)
    y = s.add("Mul", {y, s.number(static_cast<double>(alpha), c.type(0))});
  return s.give({y});
}

// scale, bias over the last axis or from `axis` on. Gives y, mean and the inverse of the standard deviation.
std::vector<std::string> norm(Speller* s, const char* op, const std::string& x, const std::string& scale,
                              const std::string& bias, float epsilon) {
  const bool more = s->asked(1) || s->asked(2);
  std::vector<std::string> inputs = {x, scale};
  if (!bias.empty()) inputs.push_back(bias);
  std::map<std::string, Attribute> attributes{{"epsilon", epsilon}, {"axis", s->c.node.get<int64_t>("axis", -1)}};
  const std::string y = s->add(op, std::move(inputs), std::move(attributes), more ? 3 : 1);
  return more ? std::vector<std::string>{y, y + ".1", y + ".2"} : std::vector<std::string>{y, y, y};
}

// input, skip, gamma, beta, bias. Outputs y, mean, inverse deviation, and the sum that was normalised.
Result<Graph> skip_norm(const ShapeContext& c, bool simplified) {
  Speller s(c);
  if (c.rank(0) < 2 || c.rank(1) > c.rank(0))
    return c.error(fmt::format("takes rows and what is added to them, it is given {} and {}", shape_text(c.shape(0)),
                               shape_text(c.shape(1))));
  if (simplified && (s.asked(1) || s.asked(2)))
    return c.error("its mean and deviation are not supported", Code::kUnsupported);
  const std::string sum = s.plus(s.add("Add", {s.in(0), s.in(1)}), s.in(simplified ? 3 : 4));
  const float epsilon = c.node.get<float>("epsilon", 1e-12f);
  std::vector<std::string> made = simplified ? norm(&s, "RMSNormalization", sum, s.in(2), "", epsilon)
                                             : norm(&s, "LayerNormalization", sum, s.in(2), s.in(3), epsilon);
  made.push_back(sum);
  return s.give(std::move(made));
}
Result<Graph> skip_layer_norm(const ShapeContext& c) { return skip_norm(c, false); }
Result<Graph> skip_simplified(const ShapeContext& c) { return skip_norm(c, true); }

Result<Graph> simplified_layer_norm(const ShapeContext& c) {
  Speller s(c);
  if (s.asked(1)) return c.error("its second output is not supported", Code::kUnsupported);
  return s.give({norm(&s, "RMSNormalization", s.in(0), s.in(1), "", c.node.get<float>("epsilon", 1e-5f))[0], ""});
}

// ids, segments, embeddings of words, positions and segments, gamma, beta, mask, position ids: the sum of the
// embeddings, normalised; how many tokens the mask keeps; the sum.
Result<Graph> embed_layer_norm(const ShapeContext& c) {
  Speller s(c);
  for (const size_t i : {2, 3, 5, 6})
    if (!c.has(i)) return c.error(fmt::format("needs input {}", i));
  if (c.rank(0) != 2 || c.rank(3) != 2 || c.shape(0)[1] > c.shape(3)[0])
    return c.error(fmt::format("takes ids [batch, places] and an embedding for each place, it is given {} and {}",
                               shape_text(c.shape(0)), shape_text(c.shape(3))));
  const std::string places = c.has(8) ? s.add("Gather", {s.in(3), s.in(8)}) : s.slice(s.in(3), 0, 0, c.shape(0)[1]);
  std::string sum = s.add("Add", {s.add("Gather", {s.in(2), s.in(0)}), places});
  if (c.has(1) != c.has(4)) return c.error("segment ids and their embedding belong together");
  if (c.has(1)) sum = s.add("Add", {sum, s.add("Gather", {s.in(4), s.in(1)})});
  const std::string y =
      s.add("LayerNormalization", {sum, s.in(5), s.in(6)}, {{"epsilon", c.node.get<float>("epsilon", 1e-12f)}});
  const std::string kept = c.has(7) ? s.cast(s.add("Equal", {s.in(7), s.number(1, c.type(7))}), Type::kInt32)
                                    : s.cast(s.add("Mul", {s.in(0), s.number(0, c.type(0))}), Type::kInt32);
  return s.give({y, s.add("ReduceSum", {kept, s.ints({1})}, {{"keepdims", int64_t{0}}}), sum});
}

}  // namespace

void add_float_spellings(std::vector<SpellingEntry>* table) {
  constexpr std::string_view kMicrosoft = "com.microsoft";
  table->insert(table->end(), {{kMicrosoft, "Gelu", 1, 1, gelu},
                               {kMicrosoft, "BiasGelu", 2, 2, gelu},
                               {kMicrosoft, "FastGelu", 1, 2, fast_gelu},
                               {kMicrosoft, "QuickGelu", 1, 1, quick_gelu},
                               {kMicrosoft, "FusedConv", 2, 4, fused_conv},
                               {kMicrosoft, "FusedGemm", 2, 3, fused_gemm},
                               {kMicrosoft, "FusedMatMul", 2, 2, fused_matmul},
                               {kMicrosoft, "TransposeMatMul", 2, 2, fused_matmul},
                               {kMicrosoft, "SkipLayerNormalization", 3, 5, skip_layer_norm},
                               {kMicrosoft, "SkipSimplifiedLayerNormalization", 3, 4, skip_simplified},
                               {kMicrosoft, "EmbedLayerNormalization", 1, 9, embed_layer_norm},
                               {"", "SimplifiedLayerNormalization", 2, 2, simplified_layer_norm}});
}

}  // namespace hayate
