#include "backends/native/lower_ops.h"

namespace hayate::native {

bool all_floats(const Lowering& l, const Node& node) {
  for (const std::string& name : node.inputs)
    if (!name.empty() && l.type(name).type != Type::kFloat32) return false;
  return l.type(node.outputs[0]).type == Type::kFloat32;
}

std::optional<std::vector<int64_t>> integers(const Lowering& l, const Node& node, size_t i) {
  const Tensor* tensor = l.constant(node.input(i));
  if (tensor == nullptr) return std::nullopt;
  return to_int64s(*tensor);
}

Lower find_lower(const Node& node) {
  static const LowerTable kTable = [] {
    LowerTable table;
    add_dense_lowers(&table);
    add_conv_lowers(&table);
    add_elementwise_lowers(&table);
    add_norm_lowers(&table);
    add_attention_lowers(&table);
    add_recurrent_lowers(&table);
    add_layout_lowers(&table);
    add_tree_lowers(&table);
    add_ml_lowers(&table);
    return table;
  }();
  const auto it = kTable.find(node.domain.empty() ? node.op : node.domain + "." + node.op);
  return it == kTable.end() ? nullptr : it->second;
}

}  // namespace hayate::native
