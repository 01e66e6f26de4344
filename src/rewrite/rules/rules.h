// The rewrite rules, one file each: a pattern, a replacement, and the line of algebra that joins them.
#pragma once

#include "rewrite/editor.h"

namespace hayate {

void fold_constants(Editor* editor);        // nodes whose inputs are known become constants; shape chains with them
void drop_identities(Editor* editor);       // nodes that give what they are given
void share_equal_nodes(Editor* editor);     // common subexpressions
void merge_casts(Editor* editor);           // Cast after a Cast that loses nothing
void merge_shapes(Editor* editor);          // Reshape, Squeeze, Unsqueeze, Flatten after another of them
void merge_slices(Editor* editor);          // Slice after Slice
void merge_transposes(Editor* editor);      // Transpose after Transpose
void cancel_transposes(Editor* editor);     // Transpose after elementwise nodes that read a Transpose
void recognise_clip(Editor* editor);        // Min and Max with numbers -> Clip, Relu
void recognise_hard_swish(Editor* editor);  // clip(x + 3, 0, 6) / 6 [* x] -> HardSigmoid, HardSwish
void recognise_softplus(Editor* editor);    // log(1 + exp(x)) -> Softplus; x * tanh(softplus(x)) -> Mish
void recognise_silu(Editor* editor);        // x * sigmoid(x) -> Swish
void recognise_gelu(Editor* editor);        // x / 2 * (1 + erf(x / sqrt 2)), and the form with tanh -> Gelu
void recognise_layer_norm(Editor* editor);  // mean, variance, scale and shift -> LayerNormalization
void recognise_rms_norm(Editor* editor);    // x / sqrt(mean(x^2) + epsilon) * scale -> RMSNormalization
void recognise_attention(Editor* editor);   // softmax(q k^T * scale + mask) v -> hayate.Attention
void fold_affine_after(Editor* editor);     // Mul, Add, BatchNormalization ... into the Conv, Gemm or MatMul before
void fold_affine_before(Editor* editor);    // ... and into the one after
void matmul_to_gemm(Editor* editor);        // MatMul by a constant, with Add -> Gemm
void fold_padding(Editor* editor);          // Pad with zeros into the Conv after it
void spell_batch_norm(Editor* editor);      // a BatchNormalization that nothing took -> Mul and Add
void drop_dead(Editor* editor);             // nodes and constants that no output needs

}  // namespace hayate
