// Attributes that an operator might have, with contents that its rule may take or refuse.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fuzz/fuzz.h"

namespace hayate::fuzz {

// Names of attributes worth trying on the operator, blank between them.
inline std::string_view attribute_names(std::string_view op) {
  const auto has = [&](std::string_view part) { return op.find(part) != std::string_view::npos; };
  if (has("Conv") || has("Pool"))
    return "kernel_shape strides pads dilations group auto_pad ceil_mode count_include_pad output_padding output_shape "
           "storage_order p";
  if (has("Reduce") || has("Arg")) return "axes axis keepdims select_last_index noop_with_empty_axes";
  if (has("LSTM") || has("GRU") || has("RNN"))
    return "hidden_size direction activations activation_alpha activation_beta clip linear_before_reset layout "
           "input_forget";
  if (has("Resize") || has("Upsample"))
    return "mode coordinate_transformation_mode nearest_mode cubic_coeff_a exclude_outside antialias axes "
           "extrapolation_value scales keep_aspect_ratio_policy";
  if (has("Tree"))
    return "nodes_treeids nodes_nodeids nodes_featureids nodes_values nodes_modes nodes_truenodeids nodes_falsenodeids "
           "target_treeids target_nodeids target_ids target_weights n_targets class_treeids class_nodeids class_ids "
           "class_weights classlabels_int64s post_transform base_values aggregate_function";
  if (has("SVM") || has("Linear"))
    return "coefficients intercepts targets kernel_type kernel_params support_vectors rho vectors_per_class "
           "classlabels_ints multi_class post_transform n_supports";
  if (has("Attention") || has("Rotary"))
    return "q_num_heads kv_num_heads num_heads is_causal scale softcap interleaved rotary_embedding_dim";
  if (has("Gemm")) return "alpha beta transA transB activation activation_alpha";
  if (has("Norm") || has("LRN")) return "epsilon axis axes num_groups p size alpha beta bias stash_type norm momentum";
  if (has("uantize")) return "axis block_size saturate output_dtype to";
  if (has("Einsum")) return "equation";
  if (has("Cast") || has("EyeLike")) return "to dtype k saturate";
  if (has("Pad")) return "mode pads value";
  if (has("Label") || has("Imputer") || has("Scaler") || has("Vectorizer"))
    return "keys_floats values_floats keys_int64s values_int64s default_float default_int64 imputed_value_floats "
           "replaced_value_float offset scale inputdimensions";
  return "axis axes perm keepdims alpha beta epsilon gamma starts ends split num_outputs mode blocksize batch_dims "
         "allowzero start end exclusive reverse largest sorted to upper fmod direction reduction detect_positive "
         "detect_negative min max lambd bias threshold approximate transA transB block_size scale shape value k "
         "to_ratio seed training_mode";
}

inline std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> all(1);
  for (const char c : text)
    if (c == ' ')
      all.emplace_back();
    else
      all.back() += c;
  return all;
}

inline int64_t integer(Choices* c) {
  static const std::vector<int64_t> kWild = {INT64_MIN, INT64_MAX, INT32_MIN, INT32_MAX, -100, 100, 1 << 20, 65535};
  return c->one_in(32) ? c->of(kWild) : static_cast<int64_t>(c->below(9)) - 2;
}

inline float number(Choices* c) {
  static const std::vector<float> kNumbers = {0.0f, 1.0f, -1.0f, 0.5f, 0.01f, 1e-5f, 2.0f, 3.0f, -0.25f, 100.0f};
  return c->of(kNumbers);
}

// A text that some attribute takes.
inline std::string text(Choices* c, const std::string& name) {
  static const std::vector<std::string> kTexts = {"NOTSET",
                                                  "SAME_UPPER",
                                                  "SAME_LOWER",
                                                  "VALID",
                                                  "constant",
                                                  "reflect",
                                                  "edge",
                                                  "wrap",
                                                  "nearest",
                                                  "linear",
                                                  "cubic",
                                                  "half_pixel",
                                                  "asymmetric",
                                                  "align_corners",
                                                  "pytorch_half_pixel",
                                                  "tf_crop_and_resize",
                                                  "floor",
                                                  "ceil",
                                                  "round_prefer_floor",
                                                  "round_prefer_ceil",
                                                  "forward",
                                                  "reverse",
                                                  "bidirectional",
                                                  "DCR",
                                                  "CRD",
                                                  "none",
                                                  "add",
                                                  "mul",
                                                  "max",
                                                  "min",
                                                  "tanh",
                                                  "LEFT",
                                                  "RIGHT",
                                                  "Relu",
                                                  "Sigmoid",
                                                  "SOFTMAX",
                                                  "LOGISTIC",
                                                  "PROBIT",
                                                  "RBF",
                                                  "POLY",
                                                  "LINEAR",
                                                  "BRANCH_LEQ",
                                                  "BRANCH_LT",
                                                  "BRANCH_EQ",
                                                  "LEAF",
                                                  "SUM",
                                                  "AVERAGE",
                                                  "MAX",
                                                  "L2",
                                                  "stretch"};
  static const std::vector<std::string> kEquations = {"ij,jk->ik",      "bij,bjk->bik", "ij->ji", "ii->i",
                                                      "...i,...i->...", "ij->",         "i,j",    "bhid,bhjd->bhij"};
  return name == "equation" ? c->of(kEquations) : c->of(kTexts);
}

inline std::vector<int64_t> integers(Choices* c) {
  std::vector<int64_t> made(c->below(7));
  for (int64_t& each : made) each = integer(c);
  return made;
}

// Of the type the name has in the standard.
inline Attribute attribute(Choices* c, const std::string& name) {
  const auto in = [&](std::string_view list) {
    const std::vector<std::string> all = words(list);
    return std::find(all.begin(), all.end(), name) != all.end();
  };
  if (in("auto_pad mode coordinate_transformation_mode nearest_mode direction keep_aspect_ratio_policy reduction "
         "equation approximate activation post_transform kernel_type norm aggregate_function"))
    return text(c, name);
  if (in("alpha beta bias epsilon gamma clip cubic_coeff_a extrapolation_value lambd threshold scale softcap min max "
         "value momentum default_float replaced_value_float"))
    return number(c);
  if (in("activation_alpha activation_beta scales coefficients intercepts kernel_params support_vectors rho "
         "nodes_values "
         "target_weights class_weights base_values keys_floats values_floats imputed_value_floats offset")) {
    std::vector<float> made(c->below(7));
    for (float& each : made) each = number(c);
    return made;
  }
  if (in("activations nodes_modes")) {
    std::vector<std::string> made(c->below(5));
    for (std::string& each : made) each = text(c, name);
    return made;
  }
  if (in("axes perm pads strides dilations kernel_shape starts ends split shape output_padding output_shape "
         "vectors_per_class classlabels_ints inputdimensions") ||
      name.ends_with("ids") || name.ends_with("int64s"))
    return integers(c);
  return integer(c);
}

}  // namespace hayate::fuzz
