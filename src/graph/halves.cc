#include "graph/halves.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace hayate {

bool widens_halves(const Node& node) {
  static const std::set<std::string_view> kOwn = {"BitCast",       "Cast",
                                                  "CastLike",      "Compress",
                                                  "Concat",        "ConstantOfShape",
                                                  "DepthToSpace",  "DequantizeLinear",
                                                  "Dropout",       "Expand",
                                                  "EyeLike",       "Flatten",
                                                  "Gather",        "GatherElements",
                                                  "GatherND",      "Identity",
                                                  "OneHot",        "Pad",
                                                  "QLinearMatMul", "QuantizeLinear",
                                                  "Reshape",       "ReverseSequence",
                                                  "Shape",         "Size",
                                                  "Slice",         "SpaceToDepth",
                                                  "Split",         "Squeeze",
                                                  "TensorScatter", "Tile",
                                                  "Transpose",     "Trilu",
                                                  "Unsqueeze",     "Where"};
  return (node.domain.empty() || node.domain == "com.microsoft") && !kOwn.contains(node.op);
}

Result<Types> widened_types(const OpEntry& entry, const ShapeContext& c) {
  std::vector<TensorType> wide(c.input_count());
  std::vector<const TensorType*> types(c.input_count(), nullptr);
  std::vector<Tensor> kept(c.input_count());
  std::vector<const Tensor*> values(c.input_count(), nullptr);
  std::optional<Type> half;
  bool float64 = false;
  for (size_t i = 0; i < c.input_count(); ++i) {
    if (!c.has(i)) continue;
    wide[i] = {c.type(i), c.shape(i)}, types[i] = &wide[i], values[i] = c.known(i);
    float64 = float64 || c.type(i) == Type::kFloat64;
    if (!is_half_float(c.type(i))) continue;
    if (half && *half != c.type(i) && !c.node.is("Pow"))  // the exponent has a type of its own
      return c.error(fmt::format("inputs of different types: {} and {}", type_name(*half), type_name(c.type(i))));
    if (!half) half = c.type(i);
    wide[i].type = Type::kFloat64;
    if (values[i] != nullptr) kept[i] = halves_to_doubles(*values[i]), values[i] = &kept[i];
  }
  Result<Types> out = entry.rule(ShapeContext(c.node, c.opset, types, values));
  if (!out.ok() || (float64 && !(c.has(0) && is_half_float(c.type(0))))) return out;
  for (TensorType& type : out.value())
    if (type.type == Type::kFloat64) type.type = *half;
  return out;
}

}  // namespace hayate
