// Quantised products and conversions of com.microsoft. The order of their float32 arithmetic is ONNX Runtime's.
#include <fmt/format.h>

#include "graph/spelling.h"

namespace hayate {
namespace {

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

}  // namespace

void add_quant_spellings(std::vector<SpellingEntry>* table) {
  constexpr std::string_view kMicrosoft = "com.microsoft";
  table->insert(table->end(), {{kMicrosoft, "QuantizeLinear", 2, 3, renamed},
                               {kMicrosoft, "DequantizeLinear", 2, 3, renamed},
                               {kMicrosoft, "MatMulIntegerToFloat", 4, 7, matmul_integer_to_float},
                               {kMicrosoft, "DynamicQuantizeMatMul", 3, 5, dynamic_quantize_matmul}});
}

}  // namespace hayate
