#include "graph/op_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "graph/halves.h"
#include "graph/op_rules.h"
#include "graph/rule_checks.h"

namespace hayate {

std::string TensorType::text() const { return fmt::format("{} {}", type_name(type), shape_text(shape)); }

Result<std::optional<std::vector<int64_t>>> ShapeContext::integers(size_t i) const {
  if (has(i) && (is_float(type(i)) || type(i) == Type::kBool))
    return error(fmt::format("input '{}' must be a list of integers, it is {}", node.input(i), types_[i]->text()));
  return numbers(i);
}

Result<std::optional<std::vector<int64_t>>> ShapeContext::numbers(size_t i) const {
  if (!has(i)) return std::optional<std::vector<int64_t>>();
  if (known(i) == nullptr)
    return error(fmt::format("input '{}' decides a shape but is not known before the run; bind what it depends on with "
                             "--set NAME=VALUE or --shape NAME:D1,D2",
                             node.input(i)),
                 Code::kUnsupported);
  if (rank(i) > 1)
    return error(fmt::format("input '{}' must be one number or a list, it is {}", node.input(i), types_[i]->text()));
  return std::optional<std::vector<int64_t>>(to_int64s(*known(i)));
}

const std::vector<OpEntry>& op_table() {
  static const std::vector<OpEntry> kTable = [] {
    std::vector<OpEntry> table;
    add_elementwise_rules(&table);
    add_layout_rules(&table);
    add_dense_rules(&table);
    add_norm_rules(&table);
    add_window_rules(&table);
    add_resize_rules(&table);
    add_attention_rules(&table);
    add_recurrent_rules(&table);
    add_reduce_rules(&table);
    add_ml_rules(&table);
    add_svm_rules(&table);
    add_labels_rules(&table);
    add_quant_rules(&table);
    add_fused_rules(&table);
    add_index_rules(&table);
    add_matrix_rules(&table);
    add_spelled_rules(&table);
    std::sort(table.begin(), table.end(),
              [](const OpEntry& a, const OpEntry& b) { return std::pair(a.domain, a.op) < std::pair(b.domain, b.op); });
    return table;
  }();
  return kTable;
}

const OpEntry* find_op(std::string_view domain, std::string_view op) {
  const auto& table = op_table();
  const auto it =
      std::lower_bound(table.begin(), table.end(), std::pair(domain, op),
                       [](const OpEntry& entry, const auto& key) { return std::pair(entry.domain, entry.op) < key; });
  return it != table.end() && it->domain == domain && it->op == op ? &*it : nullptr;
}

std::string unknown_operator(const Node& node, int64_t opset) {
  return fmt::format("operator {}{}{} is not supported (opset {})", node.domain, node.domain.empty() ? "" : ".",
                     node.op, opset);
}

Result<Types> output_types(const ShapeContext& context) {
  const OpEntry* entry = find_op(context.node.domain, context.node.op);
  if (entry == nullptr)
    return context.error(unknown_operator(context.node, context.opset) + "; --backend onnxruntime may run it",
                         Code::kUnsupported);
  if (context.input_count() > entry->inputs_max)
    return context.error(
        fmt::format("takes at most {} inputs, {} are given", entry->inputs_max, context.input_count()));
  for (size_t i = 0; i < entry->inputs_min; ++i)
    if (!context.has(i))
      return context.error(fmt::format("needs at least {} inputs, input {} is missing", entry->inputs_min, i));
  bool widen = false;
  for (size_t i = 0; i < context.input_count(); ++i)
    widen = widen || (context.has(i) && is_half_float(context.type(i)) && widens_halves(context.node));
  Result<Types> types = widen ? widened_types(*entry, context) : entry->rule(context);
  if (!types.ok()) return types;
  if (types.value().size() < context.node.outputs.size())
    return context.error(
        fmt::format("gives at most {} outputs, {} are asked for", types.value().size(), context.node.outputs.size()));
  for (const TensorType& type : types.value())
    if (const Result<int64_t> count = checked_count(type.shape); !count.ok())
      return context.error(count.error().what, count.error().code);
  return types;
}

std::optional<Shape> broadcast(const Shape& a, const Shape& b) {
  Shape out(std::max(a.size(), b.size()), 1);
  for (size_t i = 0; i < out.size(); ++i) {
    const int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1, y = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (x != y && x != 1 && y != 1) return std::nullopt;
    out[out.size() - 1 - i] = x == 1 ? y : x;
  }
  return out;
}

namespace {

struct ElementType {
  const char* name;
  std::optional<Type> type;
};
// TensorProto.DataType of the standard, by number.
const ElementType kElementTypes[] = {{"undefined", std::nullopt},
                                     {"float32", Type::kFloat32},
                                     {"uint8", Type::kUInt8},
                                     {"int8", Type::kInt8},
                                     {"uint16", Type::kUInt16},
                                     {"int16", Type::kInt16},
                                     {"int32", Type::kInt32},
                                     {"int64", Type::kInt64},
                                     {"string", std::nullopt},
                                     {"bool", Type::kBool},
                                     {"float16", Type::kFloat16},
                                     {"float64", Type::kFloat64},
                                     {"uint32", Type::kUInt32},
                                     {"uint64", Type::kUInt64},
                                     {"complex64", std::nullopt},
                                     {"complex128", std::nullopt},
                                     {"bfloat16", Type::kBFloat16},
                                     {"float8e4m3fn", std::nullopt},
                                     {"float8e4m3fnuz", std::nullopt},
                                     {"float8e5m2", std::nullopt},
                                     {"float8e5m2fnuz", std::nullopt},
                                     {"uint4", std::nullopt},
                                     {"int4", std::nullopt},
                                     {"float4e2m1", std::nullopt},
                                     {"float8e8m0", std::nullopt},
                                     {"uint2", std::nullopt},
                                     {"int2", std::nullopt}};

const ElementType* element_type(int64_t code) {
  return code < 0 || code >= static_cast<int64_t>(std::size(kElementTypes)) ? nullptr : &kElementTypes[code];
}

}  // namespace

std::optional<Type> type_from_code(int64_t code) {
  const ElementType* known = element_type(code);
  return known == nullptr ? std::nullopt : known->type;
}

std::string element_type_text(int64_t code) {
  const ElementType* known = element_type(code);
  if (known == nullptr) return fmt::format("{}", code);
  return known->type ? known->name : fmt::format("{} ({})", code, known->name);
}

std::optional<int64_t> normal_axis(int64_t axis, int64_t rank) {
  if (axis < -rank || axis >= rank) return std::nullopt;
  return axis < 0 ? axis + rank : axis;
}

}  // namespace hayate
