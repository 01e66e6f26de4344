// Normalisations.
#include <fmt/format.h>

#include "graph/op_rules.h"
#include "graph/rule_checks.h"

namespace hayate {
namespace {

// Floats of any width: scale and bias may be wider than x.
std::optional<Error> mixed_floats(const ShapeContext& c) {
  for (size_t i = 0; i < c.input_count(); ++i)
    if (c.has(i) && !is_float(c.type(i)))
      return c.error(fmt::format("takes floats; input '{}' is {}", c.node.input(i), type_name(c.type(i))),
                     Code::kUnsupported);
  return std::nullopt;
}

// The type that LayerNormalization gives its mean in (TensorProto's numbers).
Result<Type> stash_type(const ShapeContext& c) {
  switch (c.node.get<int64_t>("stash_type", 1)) {
    case 1:
      return Type::kFloat32;
    case 10:
      return Type::kFloat16;
    case 11:
      return Type::kFloat64;
    case 16:
      return Type::kBFloat16;
    default:
      return c.error(fmt::format("stash_type {} is not supported", c.node.get<int64_t>("stash_type", 1)),
                     Code::kUnsupported);
  }
}

// Inputs from the second on broadcast to the axes that are normalized, `axis` and those behind it.
std::optional<Error> affine_error(const ShapeContext& c, int64_t axis) {
  const Shape normalized(c.shape(0).begin() + axis, c.shape(0).end());
  for (size_t i = 1; i < c.input_count(); ++i) {
    if (!c.has(i)) continue;
    const std::optional<Shape> both = broadcast(c.shape(i), normalized);
    if (!both || *both != normalized)
      return c.error(fmt::format("scale or bias {} does not fit {}", shape_text(c.shape(i)), shape_text(normalized)));
  }
  return std::nullopt;
}

Result<int64_t> first_axis(const ShapeContext& c) {
  const std::optional<int64_t> axis = normal_axis(c.node.get<int64_t>("axis", -1), c.rank(0));
  if (!axis) return c.error(fmt::format("axis is outside shape {}", shape_text(c.shape(0))));
  return *axis;
}

Result<Types> layer_norm(const ShapeContext& c) {
  if (auto error = mixed_floats(c)) return *error;
  const Result<int64_t> axis = first_axis(c);
  if (!axis.ok()) return axis.error();
  if (auto error = affine_error(c, axis.value())) return *error;
  const Result<Type> stash = stash_type(c);
  if (!stash.ok()) return stash.error();
  Shape reduced = c.shape(0);
  std::fill(reduced.begin() + axis.value(), reduced.end(), 1);
  return Types{{c.type(1), c.shape(0)}, {stash.value(), reduced}, {stash.value(), reduced}};
}

Result<Types> rms_norm(const ShapeContext& c) {
  if (auto error = mixed_floats(c)) return *error;
  const Result<int64_t> axis = first_axis(c);
  if (!axis.ok()) return axis.error();
  if (auto error = affine_error(c, axis.value())) return *error;
  return Types{{c.has(1) ? c.type(1) : c.type(0), c.shape(0)}};
}

// scale, bias, (mean, variance) hold one value per channel, axis 1.
Result<Types> channel_norm(const ShapeContext& c) {
  if (auto error = mixed_floats(c)) return *error;
  if (c.rank(0) < 1) return c.error("takes channels on axis 1, it is given a scalar");
  if (c.node.get<int64_t>("training_mode", 0) != 0)
    return c.error("training mode is not supported", Code::kUnsupported);
  if (c.node.get<int64_t>("spatial", 1) == 0)
    return c.error("statistics per element (spatial = 0) are not supported", Code::kUnsupported);
  const int64_t channels = c.rank(0) < 2 ? 1 : c.shape(0)[1];
  for (size_t i = 1; i < c.input_count(); ++i)
    if (auto error = shape_error(c, i, {channels})) return *error;
  return Types{{c.type(0), c.shape(0)}};
}

// Scale and bias hold one value per group before opset 21, one per channel from there on.
Result<Types> group_norm(const ShapeContext& c) {
  if (auto error = mixed_floats(c)) return *error;
  if (c.rank(0) < 2) return c.error(fmt::format("takes channels on axis 1, it is given {}", shape_text(c.shape(0))));
  const int64_t groups = c.node.get<int64_t>("num_groups", 0), channels = c.shape(0)[1];
  if (groups < 1 || channels % groups != 0)
    return c.error(fmt::format("{} channels do not make {} groups", channels, groups));
  for (size_t i = 1; i < 3; ++i)
    if (auto error = shape_error(c, i, {c.opset < 21 ? groups : channels})) return *error;
  return Types{{c.type(0), c.shape(0)}};
}

Result<Types> local_response(const ShapeContext& c) {
  if (auto error = float_inputs(c)) return *error;
  if (c.rank(0) < 2) return c.error(fmt::format("takes channels on axis 1, it is given {}", shape_text(c.shape(0))));
  if (const int64_t size = c.node.get<int64_t>("size", 0); size < 1)
    return c.error(fmt::format("size {} is below 1", size));
  return Types{{c.type(0), c.shape(0)}};
}

Result<Types> mean_variance(const ShapeContext& c) {
  if (auto error = float_inputs(c)) return *error;
  for (const int64_t axis : c.node.get<Shape>("axes", {0, 2, 3}))
    if (!normal_axis(axis, c.rank(0)))
      return c.error(fmt::format("axis {} is outside shape {}", axis, shape_text(c.shape(0))));
  return Types{{c.type(0), c.shape(0)}};
}

Result<Types> lp_norm(const ShapeContext& c) {
  if (auto error = float_inputs(c)) return *error;
  if (const Result<int64_t> axis = first_axis(c); !axis.ok()) return axis.error();
  const int64_t p = c.node.get<int64_t>("p", 2);
  if (p != 1 && p != 2) return c.error(fmt::format("p {} is not supported; 1 and 2 are", p), Code::kUnsupported);
  return Types{{c.type(0), c.shape(0)}};
}

}  // namespace

void add_norm_rules(std::vector<OpEntry>* table) {
  table->push_back({"", "LayerNormalization", 2, 3, layer_norm});
  table->push_back({"", "RMSNormalization", 2, 2, rms_norm});
  table->push_back({"", "BatchNormalization", 5, 5, channel_norm});
  table->push_back({"", "InstanceNormalization", 3, 3, channel_norm});
  table->push_back({"", "GroupNormalization", 3, 3, group_norm});
  table->push_back({"", "LRN", 1, 1, local_response});
  table->push_back({"", "MeanVarianceNormalization", 1, 1, mean_variance});
  table->push_back({"", "LpNormalization", 1, 1, lp_norm});
}

}  // namespace hayate
