// Resize and Upsample.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "graph/op_rules.h"
#include "graph/resize.h"
#include "graph/rule_checks.h"

namespace hayate {
namespace {

constexpr double kSizeMax = 1 << 30;

template <typename T>
struct Name {
  std::string_view name;
  T value;
};

// The value called `name` in the attribute `key`; an error lists those there are.
template <typename T, size_t kCount>
Result<T> named(const Node& node, const std::string& key, const std::string& fallback, const Name<T> (&names)[kCount]) {
  const std::string given = node.get<std::string>(key, fallback);
  std::string known;
  for (const auto& [name, value] : names) {
    if (name == given) return value;
    known += (known.empty() ? "" : ", ") + std::string(name);
  }
  return bad(node, fmt::format("{} '{}' is not supported; {} are", key, given, known), Code::kUnsupported);
}

constexpr Name<Coordinates> kCoordinates[] = {{"half_pixel", Coordinates::kHalfPixel},
                                              {"half_pixel_symmetric", Coordinates::kHalfPixelSymmetric},
                                              {"pytorch_half_pixel", Coordinates::kPytorchHalfPixel},
                                              {"align_corners", Coordinates::kAlignCorners},
                                              {"asymmetric", Coordinates::kAsymmetric},
                                              {"tf_crop_and_resize", Coordinates::kCropAndResize},
                                              {"tf_half_pixel_for_nn", Coordinates::kHalfPixelForNearest}};
constexpr Name<Interpolation> kModes[] = {{"nearest", Interpolation::kNearest},
                                          {"linear", Interpolation::kLinear},
                                          {"bilinear", Interpolation::kLinear},
                                          {"cubic", Interpolation::kCubic}};
constexpr Name<Nearest> kNearestModes[] = {{"round_prefer_floor", Nearest::kRoundPreferFloor},
                                           {"round_prefer_ceil", Nearest::kRoundPreferCeil},
                                           {"floor", Nearest::kFloor},
                                           {"ceil", Nearest::kCeil}};

Result<Resizing> attributes_of(const Node& node, int64_t opset) {
  Resizing made;
  const bool old = node.op == "Upsample" || opset < 11;
  const auto mode = named(node, "mode", "nearest", kModes);
  const auto coordinates =
      named(node, "coordinate_transformation_mode", old ? "asymmetric" : "half_pixel", kCoordinates);
  const auto nearest = named(node, "nearest_mode", "round_prefer_floor", kNearestModes);
  if (!mode.ok()) return mode.error();
  if (!coordinates.ok()) return coordinates.error();
  if (!nearest.ok()) return nearest.error();
  made.mode = mode.value(), made.coordinates = coordinates.value();
  made.nearest = old ? Nearest::kCeilIfShrunk : nearest.value();
  made.antialias = node.get<int64_t>("antialias", 0) != 0 && made.mode != Interpolation::kNearest;
  made.exclude_outside = node.get<int64_t>("exclude_outside", 0) != 0;
  made.cubic_a = static_cast<double>(node.get<float>("cubic_coeff_a", -0.75f));
  made.extrapolation = static_cast<double>(node.get<float>("extrapolation_value", 0.0f));
  return made;
}

// The axes that roi, scales and sizes speak of: all where the attribute is left out.
Result<Shape> named_axes(const Node& node, size_t rank) {
  Shape axes(rank);
  std::iota(axes.begin(), axes.end(), 0);
  axes = node.get<Shape>("axes", axes);
  std::vector<bool> seen(rank, false);
  for (int64_t& axis : axes) {
    const std::optional<int64_t> normal = normal_axis(axis, static_cast<int64_t>(rank));
    if (!normal || seen[*normal]) return bad(node, fmt::format("axes {} do not fit rank {}", shape_text(axes), rank));
    axis = *normal;
    seen[axis] = true;
  }
  return axes;
}

std::optional<Error> apply_scales(const Node& node, const std::vector<double>& scales, const Shape& axes,
                                  Resizing* made) {
  if (scales.size() != axes.size())
    return bad(node, fmt::format("needs {} scales, {} are given", axes.size(), scales.size()));
  for (size_t i = 0; i < axes.size(); ++i) {
    ResizedAxis& axis = made->axes[axes[i]];
    const double extent = std::floor(static_cast<double>(axis.input) * scales[i]);
    if (!(scales[i] > 0) || extent > kSizeMax)
      return bad(node, fmt::format("scale {} of extent {} is out of range", scales[i], axis.input));
    axis.scale = scales[i], axis.output = static_cast<int64_t>(extent);
  }
  return std::nullopt;
}

std::optional<Error> apply_sizes(const Node& node, const Shape& sizes, const Shape& axes, Resizing* made) {
  if (sizes.size() != axes.size())
    return bad(node, fmt::format("needs {} sizes, {} are given", axes.size(), sizes.size()));
  double least = HUGE_VAL, most = 0;
  for (size_t i = 0; i < axes.size(); ++i) {
    ResizedAxis& axis = made->axes[axes[i]];
    if (sizes[i] < 1 || static_cast<double>(sizes[i]) > kSizeMax || axis.input < 1)
      return bad(node, fmt::format("size {} of extent {} is out of range", sizes[i], axis.input));
    axis.output = sizes[i];
    axis.scale = static_cast<double>(sizes[i]) / static_cast<double>(axis.input);
    least = std::min(least, axis.scale), most = std::max(most, axis.scale);
  }
  const std::string policy = node.get<std::string>("keep_aspect_ratio_policy", "stretch");
  if (policy == "stretch") return std::nullopt;
  if (policy != "not_larger" && policy != "not_smaller")
    return bad(node, fmt::format("keep_aspect_ratio_policy '{}' is unknown", policy));
  for (const int64_t i : axes) {
    ResizedAxis& axis = made->axes[i];
    axis.scale = policy == "not_larger" ? least : most;
    const double extent = std::floor(axis.scale * static_cast<double>(axis.input) + 0.5);
    if (extent > kSizeMax) return bad(node, fmt::format("scale {} is out of range", axis.scale));
    axis.output = static_cast<int64_t>(extent);
  }
  return std::nullopt;
}

bool given(const Tensor* tensor) { return tensor != nullptr && tensor->count() > 0; }

}  // namespace

Shape Resizing::output() const {
  Shape shape;
  for (const ResizedAxis& axis : axes) shape.push_back(axis.output);
  return shape;
}

ResizeInputs resize_inputs(const Node& node, int64_t opset) {
  if (node.op == "Upsample" || opset < 11) return {SIZE_MAX, 1, SIZE_MAX};
  return {1, 2, 3};
}

Result<Resizing> resizing_of(const Node& node, int64_t opset, const Shape& input, const Tensor* roi,
                             const Tensor* scales, const Tensor* sizes) {
  Result<Resizing> made = attributes_of(node, opset);
  if (!made.ok()) return made;
  for (const int64_t extent : input) made.value().axes.push_back({extent, extent});
  const Result<Shape> axes = named_axes(node, input.size());
  if (!axes.ok()) return axes.error();
  std::vector<double> factors;
  if (given(scales)) factors = to_doubles(*scales);
  for (const float factor : node.get<std::vector<float>>("scales", {}))  // Upsample of opset 7
    if (scales == nullptr) factors.push_back(static_cast<double>(factor));
  if (factors.empty() == !given(sizes)) return bad(node, "needs either scales or sizes");
  const auto error = given(sizes) ? apply_sizes(node, to_int64s(*sizes), axes.value(), &made.value())
                                  : apply_scales(node, factors, axes.value(), &made.value());
  if (error) return *error;
  if (made.value().coordinates != Coordinates::kCropAndResize) return made;
  const size_t count = axes.value().size();
  if (!given(roi) || roi->count() != static_cast<int64_t>(2 * count))
    return bad(node, fmt::format("needs a roi of {} numbers", 2 * count));
  const std::vector<double> region = to_doubles(*roi);
  for (size_t i = 0; i < count; ++i) {
    ResizedAxis& axis = made.value().axes[axes.value()[i]];
    axis.roi_start = region[i], axis.roi_end = region[count + i];
  }
  return made;
}

namespace {

// An input whose contents decide the shape: null where left out, an error where not known before the run.
Result<const Tensor*> known_input(const ShapeContext& c, size_t i) {
  if (i == SIZE_MAX || !c.has(i)) return static_cast<const Tensor*>(nullptr);
  if (c.rank(i) != 1) return c.error(fmt::format("input '{}' must be a list", c.node.input(i)));
  if (c.known(i) != nullptr) return c.known(i);
  return c.error(fmt::format("input '{}' decides a shape but is not known before the run", c.node.input(i)),
                 Code::kUnsupported);
}

Result<Types> resize(const ShapeContext& c) {
  const ResizeInputs at = resize_inputs(c.node, c.opset);
  if (at.roi != SIZE_MAX && c.has(at.roi) && !is_float(c.type(at.roi))) return c.error("its roi must be floats");
  if (auto error = type_error(c, at.scales, {Type::kFloat32})) return *error;
  if (auto error = type_error(c, at.sizes, {Type::kInt64})) return *error;
  const auto scales = known_input(c, at.scales), sizes = known_input(c, at.sizes);
  if (!scales.ok()) return scales.error();
  if (!sizes.ok()) return sizes.error();
  const bool cropped = c.node.get<std::string>("coordinate_transformation_mode", "") == "tf_crop_and_resize";
  const Result<const Tensor*> roi = cropped ? known_input(c, at.roi) : Result<const Tensor*>(nullptr);
  if (!roi.ok()) return roi.error();
  const Result<Resizing> made = resizing_of(c.node, c.opset, c.shape(0), roi.value(), scales.value(), sizes.value());
  if (!made.ok()) return made.error();
  for (const ResizedAxis& axis : made.value().axes)
    if (axis.input == 0 && axis.output != 0) return c.error("cannot sample an axis of extent 0");
  if (made.value().mode != Interpolation::kNearest && !is_float(c.type(0)) &&
      type_error(c, 0, {Type::kInt8, Type::kUInt8, Type::kInt32}))
    return c.error(fmt::format("interpolates floats, int8, uint8 and int32, not {}", type_name(c.type(0))),
                   Code::kUnsupported);
  return Types{{c.type(0), made.value().output()}};
}

}  // namespace

void add_resize_rules(std::vector<OpEntry>* table) {
  table->push_back({"", "Resize", 1, 4, resize});
  table->push_back({"", "Upsample", 1, 2, resize});
}

}  // namespace hayate
