// The rewrite rules, one file each.
#pragma once

#include "rewrite/editor.h"

namespace hayate {

void fold_constants(Editor* editor);        // nodes whose inputs are known become constants; shape chains with them
void drop_identities(Editor* editor);       // nodes that give what they are given
void share_equal_nodes(Editor* editor);     // common subexpressions
void merge_transposes(Editor* editor);      // Transpose after Transpose
void recognise_layer_norm(Editor* editor);  // mean, variance, scale and shift -> LayerNormalization
void recognise_gelu(Editor* editor);        // x / 2 * (1 + erf(x / sqrt 2)) -> Gelu
void fold_batch_norm(Editor* editor);       // BatchNormalization into the Conv or Gemm before it
void matmul_to_gemm(Editor* editor);        // MatMul by a constant, with Add -> Gemm
void fold_padding(Editor* editor);          // Pad with zeros into the Conv after it
void drop_dead(Editor* editor);             // nodes and constants that no output needs

}  // namespace hayate
