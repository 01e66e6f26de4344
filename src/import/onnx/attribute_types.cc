#include "import/onnx/attribute_types.h"

#include <fmt/format.h>

#include <map>
#include <string_view>
#include <vector>

namespace hayate {
namespace {

// In the order of Attribute's alternatives.
constexpr const char* kKinds[] = {"an integer", "a number",          "a text",          "a tensor",
                                  "integers",   "a list of numbers", "a list of texts", "a graph"};

// The names of ai.onnx and ai.onnx.ml by type, over all their versions; a few have two.
constexpr const char* kNames[] = {
    // integer
    "aggregate_function align_corners allowzero antialias axis batch_axis batch_dims block_size blocksize "
    "broadcast ceil_mode center_point_box chunk_size count_include_pad default_int64 detect_negative "
    "detect_positive dtype end exclude_outside exclusive fmod group hidden_size ignore_index input_forget "
    "interleaved inverse is_case_sensitive is_causal is_test k keepdims kv_num_heads largest layout "
    "left_window_size linear_before_reset max_gram_length max_map max_skip_count maxsplit min_gram_length "
    "multi_class n_supports n_targets new_axis noop_with_empty_axes num_groups num_heads num_outputs "
    "num_scan_inputs offset_group one_class onesided output_datatype output_dtype output_height output_sequence "
    "output_width p periodic post_transform precision q_num_heads qk_matmul_output_mode replaced_value_int64 "
    "reverse right_window_size rotary_embedding_dim sample_size sampling_ratio saturate seed select_last_index "
    "size softmax_precision sorted spatial start stash_type storage_order targets time_axis to training_mode "
    "transA transB upper value_int zeros",
    // number
    "alpha beta bias clip cubic_coeff_a default_float epsilon extrapolation_value gamma height_scale high lambd "
    "low max mean min momentum p ratio replaced_value_float scale seed softcap spatial_scale threshold value "
    "value_float width_scale",
    // text
    "activation aggregate_function approximate auto_pad case_change_action cast_to coordinate_transformation_mode "
    "default_string delimiter direction equation keep_aspect_ratio_policy kernel_type locale map_form mode "
    "nearest_mode norm padding_mode pattern pixel_format post_transform reduction round_mode to update_rule "
    "value_string",
    // tensor
    "base_values_as_tensor class_weights_as_tensor default_tensor keys_tensor leaf_weights membership_values "
    "nodes_hitrates nodes_hitrates_as_tensor nodes_modes nodes_splits nodes_values_as_tensor sparse_value "
    "target_weights_as_tensor value values_tensor",
    // integers
    "axes cats_int64s class_ids class_nodeids class_treeids classlabels_int64s classlabels_ints consumed_inputs "
    "dilations directions ends imputed_value_int64s inputdimensions int64_vocabulary kernel_shape keys_int64s "
    "leaf_targetids ngram_counts ngram_indexes nodes_falseleafs nodes_falsenodeids nodes_featureids "
    "nodes_missing_value_tracks_true nodes_nodeids nodes_treeids nodes_trueleafs nodes_truenodeids output_padding "
    "output_shape paddings pads perm pool_int64s pooled_shape scan_input_axes scan_input_directions "
    "scan_output_axes scan_output_directions shape split starts strides target_ids target_nodeids target_treeids "
    "tree_roots value_ints values_int64s vectors_per_class",
    // numbers
    "activation_alpha activation_beta base_values class_weights coefficients imputed_value_floats intercepts "
    "kernel_params keys_floats nodes_hitrates nodes_values offset prob_a prob_b rho scale scales support_vectors "
    "target_weights value_floats values_floats weights",
    // texts
    ("activations cats_strings classes_strings classlabels_strings keys_strings nodes_modes pool_strings stopwords "
     "string_vocabulary value_strings values_strings"),
    // graph
    "body else_branch then_branch",
};

// What com.microsoft has besides, or of other types.
constexpr const char* kMicrosoft[] = {
    // integer
    "channels_last do_rotary mask_index_type opset past_present_share_buffer transBatchA transBatchB unidirectional",
    // number
    "activation_alpha activation_beta activation_gamma mask_filter_value", "", "",
    // integers
    "qkv_hidden_sizes",
    // numbers
    "activation_params"};

// The types a name may have, as bits by alternative.
using TypesByName = std::map<std::string_view, unsigned>;

template <size_t kCount>
TypesByName types_by_name(const char* const (&names)[kCount]) {
  TypesByName types;
  for (size_t kind = 0; kind < kCount; ++kind)
    for (std::string_view rest = names[kind]; !rest.empty();) {
      const size_t end = std::min(rest.find(' '), rest.size());
      types[rest.substr(0, end)] |= 1u << kind;
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  return types;
}

// Zero where the name is not known.
unsigned types_of(const std::string& domain, const std::string& name) {
  static const TypesByName kStandard = types_by_name(kNames), kOwn = types_by_name(kMicrosoft);
  if (const auto it = kOwn.find(name); domain == "com.microsoft" && it != kOwn.end()) return it->second;
  const auto it = kStandard.find(name);
  return it == kStandard.end() ? 0 : it->second;
}

}  // namespace

std::string attribute_fault(const std::string& domain, const std::string& name, const Attribute& value) {
  const unsigned types = types_of(domain, name);
  if (types == 0 || (types >> value.index() & 1) != 0) return "";
  std::string needed;
  for (size_t kind = 0; kind < std::size(kKinds); ++kind)
    if ((types >> kind & 1) != 0) needed += (needed.empty() ? "" : " or ") + std::string(kKinds[kind]);
  return fmt::format("holds {}; {} is needed", kKinds[value.index()], needed);
}

}  // namespace hayate
