// Arithmetic with constants seen as y = x * scale + shift, one number for each channel; and weights that take it in.
#pragma once

#include <string>
#include <vector>

#include "rewrite/pattern.h"

namespace hayate {

struct ChannelAffine {
  std::string of;
  std::vector<double> scale, shift;  // of each channel

  bool shifts() const;
};
// Mul, Div, Add, Sub with a constant, Neg or BatchNormalization (whose channels lie on axis 1) that keeps the type of
// its only input that is not constant; nothing where the constant differs along other axes than `axis`.
std::optional<ChannelAffine> channel_affine(Editor* editor, const Node& node, int64_t axis);

// A Conv, Gemm or MatMul by constant float32 weights, with its bias as one number per output channel (zeros where it
// has none). Gemm's alpha and beta are multiplied in.
struct Weighted {
  std::vector<double> w;  // as the node has them, row-major
  Shape shape;
  std::vector<double> bias;
  bool by_rows = false;  // output channels on axis 0 of w (Conv, Gemm with transB), else on axis 1

  size_t outputs() const { return static_cast<size_t>(shape[by_rows ? 0 : 1]); }
};
std::optional<Weighted> weighted(Editor* editor, const Node& node);
// Gives the node other weights. A MatMul takes no bias: it becomes a Gemm where x is a matrix, else `false`, unchanged.
bool can_hold_bias(Editor* editor, const Node& node);
void set_weights(Editor* editor, Node* node, const Weighted& weights);

}  // namespace hayate
