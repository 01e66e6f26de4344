// What the lowering functions of several operator groups share, and the groups themselves (lower_*.cc, one topic each).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/native/lowering.h"

namespace hayate::native {

// By operator, with its domain and a dot in front where it has one: "ai.onnx.ml.ZipMap".
using LowerTable = std::map<std::string, Lower, std::less<>>;
void add_dense_lowers(LowerTable* table);        // Gemm, MatMul
void add_conv_lowers(LowerTable* table);         // Conv, pooling
void add_elementwise_lowers(LowerTable* table);  // unary and binary functions
void add_norm_lowers(LowerTable* table);         // Softmax, LayerNormalization, RMSNormalization, reductions
void add_attention_lowers(LowerTable* table);    // Attention, the standard's and the one that the rewrite makes
void add_recurrent_lowers(LowerTable* table);    // LSTM, GRU, RNN
void add_layout_lowers(LowerTable* table);       // what only moves elements, or nothing but the view on them
void add_tree_lowers(LowerTable* table);         // tree ensembles of ONNX and of the libraries
void add_ml_lowers(LowerTable* table);           // the rest of ai.onnx.ml

// Whether everything the node reads, and its first output, is float32.
bool all_floats(const Lowering& l, const Node& node);
// The integers of input i; nothing where it is left out or not known before the run.
std::optional<std::vector<int64_t>> integers(const Lowering& l, const Node& node, size_t i);

// The unary function a node is, with its parameters; kNone where it is none that kernels know.
kernels::Activation activation_of(const Lowering& l, const Node& node);
// y = act(x w + bias) over all rows of x; y is row-major. bias may be null.
void emit_dense(Lowering& l, const View& x, const DenseWeights& weights, const View* bias, const View& y,
                kernels::Activation activation);
// The same for any shape of `args`; x is where its first element lies, `start` (may be null) where the first row
// starts.
void emit_layer(Lowering& l, const char* kernel, DenseArgs args, const View& x, const DenseWeights& weights,
                const View* bias, const View& y, const View* start = nullptr);
// Where the result of an elementwise node lies: as its largest operand, channels last where that is.
View make_like(Lowering& l, const std::string& name, const std::vector<View>& operands);
// False, and nothing emitted, where the loop over it needs too many dimensions.
bool emit_unary(Lowering& l, const std::string& name, View x, kernels::Activation op);
// The value `made` from a op b; a unary function that reads it alone is fused.
bool emit_binary(Lowering& l, const std::string& made, View a, View b, kernels::Binary op);

}  // namespace hayate::native
