#include "eval/macs.h"

#include <algorithm>
#include <string_view>

#include "graph/window.h"

namespace hayate {
namespace {

const Shape* shape_of(const Facts& facts, const std::string& name) {
  const auto it = name.empty() ? facts.end() : facts.find(name);
  return it == facts.end() ? nullptr : &it->second.type.shape;
}

int64_t count_of(const Shape& shape) {
  const Result<int64_t> count = checked_count(shape);
  return count.ok() ? count.value() : 0;
}

// Each element of the output is a sum over `k` products.
int64_t product_macs(const Node& node, const Facts& facts) {
  const Shape *a = shape_of(facts, node.input(0)), *y = shape_of(facts, node.outputs[0]);
  if (a == nullptr || y == nullptr || a->empty()) return 0;
  const bool transposed = node.op.find("Gemm") != std::string::npos && node.get<int64_t>("transA", 0) != 0;
  return count_of(*y) * (transposed ? a->front() : a->back());
}

// Conv: each output element reads one filter. ConvTranspose: each input element does.
int64_t convolution_macs(const Node& node, const Facts& facts, size_t weights) {
  const Shape *x = shape_of(facts, node.input(0)), *w = shape_of(facts, node.input(weights)),
              *y = shape_of(facts, node.outputs[0]);
  if (x == nullptr || w == nullptr || y == nullptr || w->empty() || w->front() == 0) return 0;
  return count_of(node.op == "ConvTranspose" ? *x : *y) * (count_of(*w) / w->front());
}

// Of a convolution in two: places of the output, by what each of them multiplies.
int64_t convolution_part_macs(const Node& node, const Facts& facts) {
  const Shape *w = shape_of(facts, node.input(1)), *y = shape_of(facts, node.outputs[0]);
  if (w == nullptr || y == nullptr || w->size() < 3 || w->size() > y->size() || count_of(*w) == 0) return 0;
  const Shape kernel(w->begin() + 2, w->end());
  const Taps taps = taps_of(node, kernel);
  int64_t places = y->front();
  for (size_t i = 0; i < kernel.size(); ++i) places *= (*y)[2 + i];
  return places * (count_of(*w) / kernel[taps.axis] * taps.count);
}

int64_t recurrent_macs(const Node& node, const Facts& facts) {
  const Shape *x = shape_of(facts, node.input(0)), *w = shape_of(facts, node.input(1)),
              *r = shape_of(facts, node.input(2));
  if (x == nullptr || x->size() != 3 || w == nullptr || r == nullptr) return 0;
  return (*x)[0] * (*x)[1] * (count_of(*w) + count_of(*r));
}

// Steps whose first product is given save it.
int64_t recurrent_part_macs(const Node& node, const Facts& facts) {
  const Shape *x = shape_of(facts, node.input(0)), *w = shape_of(facts, node.input(1));
  if (x == nullptr || x->size() != 3 || w == nullptr) return 0;
  return ((*x)[0] - (node.input(5).empty() ? 0 : 1)) * (*x)[1] * count_of(*w);
}

int64_t attention_macs(const Node& node, const Facts& facts) {
  const Shape *q = shape_of(facts, node.input(0)), *k = shape_of(facts, node.input(1));
  if (q == nullptr || k == nullptr || k->size() < 2) return 0;
  return 2 * count_of(*q) * (*k)[k->size() - 2];
}

}  // namespace

int64_t macs_of(const Node& node, const Facts& facts) {
  const std::string_view op = node.op;
  if (node.outputs.empty()) return 0;
  if (op == "LSTM" || op == "GRU" || op == "RNN" || op == "DynamicQuantizeLSTM") return recurrent_macs(node, facts);
  if (op == "RecurrentInput" || op == "RecurrentProduct" || op == "RecurrentSteps")
    return recurrent_part_macs(node, facts);
  if (op == "Attention") return attention_macs(node, facts);
  if (op == "QLinearConv") return convolution_macs(node, facts, 3);
  if (op == "Conv" || op == "ConvTranspose" || op == "ConvInteger" || op == "FusedConv")
    return convolution_macs(node, facts, 1);
  if (is_conv_part(node)) return convolution_part_macs(node, facts);
  if (op == "Gemm" || op == "MatMul" || op == "MatMulInteger" || op == "QLinearMatMul" || op == "FusedMatMul" ||
      op == "FusedGemm" || op == "QGemm")
    return product_macs(node, facts);
  return 0;
}

int64_t work_of(const Node& node, const Facts& facts) {
  double work = static_cast<double>(macs_of(node, facts));
  double linear = 0, largest = 1, made = 0;
  for (const std::string& name : node.inputs)
    if (const Shape* shape = shape_of(facts, name))
      linear += static_cast<double>(count_of(*shape)),
          largest = std::max(largest, static_cast<double>(count_of(*shape)));
  for (const std::string& name : node.outputs)
    if (const Shape* shape = shape_of(facts, name)) made += static_cast<double>(count_of(*shape));
  // Each of what they make may read a whole input.
  const bool wide = node.op == "Einsum" || node.op.find("Pool") != std::string::npos || node.op == "Resize" ||
                    node.op == "Upsample" || node.op == "LRN" || node.op == "Det" || node.op == "Unique" ||
                    node.op == "TopK" || node.op.find("SVM") != std::string::npos;
  work = std::max(work, wide ? std::max(made, linear) * largest : made + linear);
  return static_cast<int64_t>(std::min(work, 9e18));
}

int64_t macs_of(const Graph& graph, const Facts& facts) {
  int64_t macs = 0;
  for (const Node& node : graph.nodes) macs += macs_of(node, facts);
  return macs;
}

}  // namespace hayate
