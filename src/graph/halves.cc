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

namespace {

// The rule's answer with inputs of `wide`, a float type, in the place of 16-bit floats.
Result<Types> types_with(Type wide, const OpEntry& entry, const ShapeContext& c) {
  std::vector<TensorType> replaced(c.input_count());
  std::vector<const TensorType*> types(c.input_count(), nullptr);
  std::vector<Tensor> kept(c.input_count());
  std::vector<const Tensor*> values(c.input_count(), nullptr);
  for (size_t i = 0; i < c.input_count(); ++i) {
    if (!c.has(i)) continue;
    replaced[i] = {c.type(i), c.shape(i)}, types[i] = &replaced[i], values[i] = c.known(i);
    if (!is_half_float(c.type(i))) continue;
    replaced[i].type = wide;
    if (values[i] == nullptr) continue;
    kept[i] = halves_to_doubles(*values[i]);
    if (wide == Type::kFloat32) {
      Tensor narrow(wide, kept[i].shape());
      std::copy_n(kept[i].data<double>(), kept[i].count(), narrow.data<float>());
      kept[i] = std::move(narrow);
    }
    values[i] = &kept[i];
  }
  return entry.rule(ShapeContext(c.node, c.opset, types, values));
}

}  // namespace

Result<Types> widened_types(const OpEntry& entry, const ShapeContext& c) {
  std::optional<Type> half, wider;
  for (size_t i = 0; i < c.input_count(); ++i) {
    if (!c.has(i)) continue;
    if (c.type(i) == Type::kFloat32 || c.type(i) == Type::kFloat64) wider = c.type(i);
    if (!is_half_float(c.type(i))) continue;
    if (half && *half != c.type(i) && !c.node.is("Pow"))  // the exponent has a type of its own
      return c.error(fmt::format("inputs of different types: {} and {}", type_name(*half), type_name(c.type(i))));
    if (!half) half = c.type(i);
  }
  // Outputs that follow the type of what stands in their place are 16-bit floats.
  Result<Types> out = types_with(Type::kFloat64, entry, c);
  const Result<Types> other = types_with(Type::kFloat32, entry, c);
  if (out.ok() != other.ok() && wider)
    return c.error(fmt::format("inputs of different types: {} and {}", type_name(*half), type_name(*wider)));
  if (!out.ok() || !other.ok()) return out.ok() ? other : out;
  for (size_t i = 0; i < out.value().size(); ++i)
    if (out.value()[i].type != other.value()[i].type) out.value()[i].type = *half;
  return out;
}

}  // namespace hayate
