// The operators of graph/rules_fused.cc, plainly.
#include <cmath>
#include <limits>

#include "eval/kernel.h"
#include "kernels/reference/loops.h"

namespace hayate {
namespace {

namespace ref = kernels::reference;

// One row of attention: weights of the S positions, then their average of v.
struct AttentionRow {
  const float *q, *k, *v;
  int64_t positions, width, out_width;
  double scale;
};

template <typename Mask>
void attend(const AttentionRow& row, Mask&& mask, float* y) {
  std::vector<double> weights(static_cast<size_t>(row.positions));
  double highest = -std::numeric_limits<double>::infinity(), sum = 0;
  for (int64_t s = 0; s < row.positions; ++s) {
    double score = 0;
    for (int64_t e = 0; e < row.width; ++e)
      score += static_cast<double>(row.q[e]) * static_cast<double>(row.k[s * row.width + e]);
    weights[static_cast<size_t>(s)] = score * row.scale + mask(s);
    highest = std::fmax(highest, weights[static_cast<size_t>(s)]);
  }
  for (double& w : weights) sum += w = std::exp(w - highest);
  for (int64_t f = 0; f < row.out_width; ++f) {
    double made = 0;
    for (int64_t s = 0; s < row.positions; ++s)
      made += weights[static_cast<size_t>(s)] / sum * static_cast<double>(row.v[s * row.out_width + f]);
    y[f] = static_cast<float>(made);
  }
}

Result<bool> fused_attention(const KernelContext& c) {
  const Tensor &q = *c.inputs[0], &k = *c.inputs[1], &v = *c.inputs[2];
  if (c.outputs[0]->count() == 0) return true;
  Shape scores = q.shape();
  const int64_t positions = k.shape()[k.shape().size() - 2], width = q.shape().back(), out_width = v.shape().back(),
                length = scores[scores.size() - 2];
  scores.back() = positions;
  const Tensor* mask = c.input(3);
  const ref::Extents strides[1] = {mask == nullptr ? ref::Extents(scores.size(), 0)
                                                   : ref::broadcast_strides(mask->shape(), scores)};
  std::vector<double> added(static_cast<size_t>(ref::product(scores)), 0.0);
  if (mask != nullptr)
    ref::for_each_element(scores, strides, [&](int64_t i, const int64_t* at) {
      added[static_cast<size_t>(i)] = static_cast<double>(mask->data<float>()[at[0]]);
    });
  const double scale = static_cast<double>(c.node.get<float>("scale", 1));
  for (int64_t row = 0; row < c.outputs[0]->count() / out_width; ++row) {
    const int64_t head = row / length;
    attend(
        {q.data<float>() + row * width, k.data<float>() + head * positions * width,
         v.data<float>() + head * positions * out_width, positions, width, out_width, scale},
        [&](int64_t s) { return added[static_cast<size_t>(row * positions + s)]; },
        c.outputs[0]->data<float>() + row * out_width);
  }
  return true;
}

}  // namespace

void add_fused_kernels(std::vector<KernelEntry>* table) { table->push_back({"hayate", "Attention", fused_attention}); }

}  // namespace hayate
