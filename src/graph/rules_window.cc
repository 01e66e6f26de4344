// Convolutions and pools.
#include <fmt/format.h>

#include <algorithm>

#include "graph/op_rules.h"
#include "graph/rule_checks.h"
#include "graph/window.h"

namespace hayate {
namespace {

constexpr int64_t kExtentMax = int64_t{1} << 31;

// The attribute's `count` numbers within low..kExtentMax, or the fallback repeated.
Result<Shape> numbers(const Node& node, const std::string& key, size_t count, int64_t fallback, int64_t low) {
  const Shape given = node.get<Shape>(key, Shape(count, fallback));
  if (given.size() != count ||
      std::any_of(given.begin(), given.end(), [&](int64_t v) { return v < low || v > kExtentMax; }))
    return bad(node,
               fmt::format("{} must be {} numbers of at least {}, they are {}", key, count, low, shape_text(given)));
  return given;
}

Result<Window> window_of(const Node& node, const Shape& spatial, const Shape& kernel) {
  const size_t rank = spatial.size();
  const auto stride = numbers(node, "strides", rank, 1, 1), dilation = numbers(node, "dilations", rank, 1, 1),
             pads = numbers(node, "pads", 2 * rank, 0, 0);
  for (const auto* each : {&stride, &dilation, &pads})
    if (!each->ok()) return each->error();
  if (kernel.size() != rank ||
      std::any_of(kernel.begin(), kernel.end(), [](int64_t v) { return v < 1 || v > kExtentMax; }))
    return bad(node, fmt::format("kernel {} does not fit spatial shape {}", shape_text(kernel), shape_text(spatial)));
  Window w{kernel, stride.value(), dilation.value(), {}, {}, spatial, Shape(rank)};
  w.pads_begin.assign(pads.value().begin(), pads.value().begin() + rank);
  w.pads_end.assign(pads.value().begin() + rank, pads.value().end());
  return w;
}

}  // namespace

bool is_conv_part(const Node& node) {
  return node.domain == "hayate" && (node.op == "ConvBegin" || node.op == "ConvEnd");
}

Taps taps_of(const Node& node, const Shape& kernel) {
  const bool begins = node.op == "ConvBegin";
  if (kernel.empty() || !is_conv_part(node)) return {0, 0, kernel.empty() ? 0 : kernel[0]};
  const int64_t axis = node.get<int64_t>("axis", 2) - 2;
  Taps made;
  made.axis = static_cast<size_t>(std::clamp<int64_t>(axis, 0, static_cast<int64_t>(kernel.size()) - 1));
  const int64_t all = kernel[made.axis], taps = std::clamp<int64_t>(node.get<int64_t>("taps", 0), 0, all);
  made.first = begins ? 0 : taps, made.count = begins ? taps : all - taps;
  return made;
}

Result<Window> sliding_window(const Node& node, const Shape& spatial, const Shape& kernel) {
  Shape multiplied = kernel;
  if (const Taps taps = taps_of(node, kernel); !kernel.empty()) multiplied[taps.axis] = taps.count;
  Result<Window> made = window_of(node, spatial, multiplied);
  if (!made.ok()) return made;
  Window& w = made.value();
  const std::string auto_pad = node.get<std::string>("auto_pad", "NOTSET");
  const bool same = auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER", ceil = node.get<int64_t>("ceil_mode", 0) != 0;
  if (!same && auto_pad != "VALID" && auto_pad != "NOTSET")
    return bad(node, fmt::format("auto_pad '{}' is unknown", auto_pad));
  for (size_t i = 0; i < spatial.size(); ++i) {
    const int64_t extent = (w.kernel[i] - 1) * w.dilation[i] + 1;
    if (auto_pad == "VALID") w.pads_begin[i] = w.pads_end[i] = 0;
    if (same) {
      w.output[i] = (spatial[i] + w.stride[i] - 1) / w.stride[i];
      const int64_t total = std::max<int64_t>(0, (w.output[i] - 1) * w.stride[i] + extent - spatial[i]);
      w.pads_begin[i] = auto_pad == "SAME_LOWER" ? total - total / 2 : total / 2;
      w.pads_end[i] = total - w.pads_begin[i];
      continue;
    }
    const int64_t room = spatial[i] + w.pads_begin[i] + w.pads_end[i] - extent;
    if (room < 0)
      return bad(node, fmt::format("a window of {} does not fit {} padded by {} and {}", extent, spatial[i],
                                   w.pads_begin[i], w.pads_end[i]));
    w.output[i] = (ceil ? (room + w.stride[i] - 1) / w.stride[i] : room / w.stride[i]) + 1;
    // A window that starts in the padding at the end would see nothing.
    if (ceil && (w.output[i] - 1) * w.stride[i] >= spatial[i] + w.pads_begin[i]) --w.output[i];
  }
  return made;
}

Result<Window> transposed_window(const Node& node, const Shape& spatial, const Shape& kernel) {
  Result<Window> made = window_of(node, spatial, kernel);
  if (!made.ok()) return made;
  Window& w = made.value();
  const size_t rank = spatial.size();
  const auto extra = numbers(node, "output_padding", rank, 0, 0), wanted = numbers(node, "output_shape", rank, 0, 0);
  if (!extra.ok()) return extra.error();
  if (!wanted.ok()) return wanted.error();
  const bool given = node.attributes.count("output_shape") != 0;
  const std::string auto_pad = node.get<std::string>("auto_pad", "NOTSET");
  for (size_t i = 0; i < rank; ++i) {
    const int64_t full = w.stride[i] * (spatial[i] - 1) + extra.value()[i] + (w.kernel[i] - 1) * w.dilation[i] + 1;
    const bool same = auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER";
    if (given || same) {
      w.output[i] = given ? wanted.value()[i] : spatial[i] * w.stride[i];
      const int64_t total = std::max<int64_t>(0, full - w.output[i]);
      w.pads_begin[i] = auto_pad == "SAME_UPPER" ? total / 2 : total - total / 2;
      w.pads_end[i] = total - w.pads_begin[i];
    } else {
      if (auto_pad == "VALID") w.pads_begin[i] = w.pads_end[i] = 0;
      w.output[i] = full - w.pads_begin[i] - w.pads_end[i];
    }
    if (w.output[i] < 0 || w.output[i] > kExtentMax)
      return bad(node, fmt::format("its output extent {} is out of range", w.output[i]));
  }
  return made;
}

Result<Shape> unpooled_shape(const Node& node, const Shape& pooled) {
  const Shape spatial(pooled.begin() + 2, pooled.end());
  const Result<Window> made = window_of(node, spatial, node.get<Shape>("kernel_shape", {}));
  if (!made.ok()) return made.error();
  const Window& w = made.value();
  Shape out(pooled.begin(), pooled.begin() + 2);
  for (size_t i = 0; i < spatial.size(); ++i) {
    out.push_back((spatial[i] - 1) * w.stride[i] + w.kernel[i] - w.pads_begin[i] - w.pads_end[i]);
    if (out.back() < 0 || out.back() > kExtentMax)
      return bad(node, fmt::format("its output extent {} is out of range", out.back()));
  }
  return out;
}

namespace {

std::optional<Error> rank_error(const ShapeContext& c) {
  if (c.rank(0) >= 3 && c.rank(0) <= 5) return std::nullopt;
  return c.error(fmt::format("takes [N, C, 1 to 3 spatial axes], it is given {}", shape_text(c.shape(0))));
}

std::optional<Error> float_images(const ShapeContext& c) {
  if (auto error = float_inputs(c)) return error;
  return rank_error(c);
}

Shape spatial_of(const Shape& shape) { return Shape(shape.begin() + 2, shape.end()); }

Types image(const ShapeContext& c, int64_t channels, const Shape& spatial) {
  Shape out{c.shape(0)[0], channels};
  out.insert(out.end(), spatial.begin(), spatial.end());
  return {{c.type(0), out}};
}

Result<Types> conv_with_bias(const ShapeContext& c, size_t bias) {
  if (const auto error = float_images(c)) return *error;
  const int64_t groups = c.node.get<int64_t>("group", 1);
  const Shape &x = c.shape(0), &w = c.shape(1);
  if (w.size() != x.size() || groups < 1 || x[1] % groups != 0 || w[0] % groups != 0 || w[1] != x[1] / groups)
    return c.error(fmt::format("weights {} in {} groups do not fit input {}", shape_text(w), groups, shape_text(x)));
  if (c.has(bias) && c.shape(bias) != Shape{w[0]})
    return c.error(fmt::format("bias {} must be [{}]", shape_text(c.shape(bias)), w[0]));
  const Result<Window> window = sliding_window(c.node, spatial_of(x), spatial_of(w));
  if (!window.ok()) return window.error();
  return image(c, w[0], window.value().output);
}

Result<Types> conv(const ShapeContext& c) { return conv_with_bias(c, 2); }

// A convolution in two, where what its first taps along an axis see is there before the rest: `axis` (of x) and `taps`
// say which those are. Otherwise each has the attributes of a Conv over its own x, which together see what the whole
// sees; float32.
//   hayate.ConvBegin(x, W, B) -> the sums so far [N, groups, output..., size], as the backend has them: those of a
//     place's M / groups filters take `size` floats, 2 * M / groups or more
//   hayate.ConvEnd(x, W, sums, B) -> what a Conv over all taps gives
Result<Types> conv_part(const ShapeContext& c, size_t bias) {
  for (size_t i = 0; i < c.input_count(); ++i)
    if (auto error = type_error(c, i, {Type::kFloat32})) return *error;
  return conv_with_bias(c, bias);
}

Shape sums_shape(const Shape& y, int64_t groups, int64_t size) {
  Shape sums{y[0], groups};
  sums.insert(sums.end(), y.begin() + 2, y.end());
  sums.push_back(size);
  return sums;
}

Result<Types> conv_begin(const ShapeContext& c) {
  const Result<Types> whole = conv_part(c, 2);
  if (!whole.ok()) return whole;
  const Shape& y = whole.value()[0].shape;
  const int64_t groups = c.node.get<int64_t>("group", 1), size = c.node.get<int64_t>("size", 0);
  if (size < 2 * y[1] / groups || size > kExtentMax)
    return c.error(fmt::format("size {} does not hold the sums of {} filters", size, y[1] / groups));
  return Types{{c.type(0), sums_shape(y, groups, size)}};
}

Result<Types> conv_end(const ShapeContext& c) {
  const Result<Types> whole = conv_part(c, 3);
  if (!whole.ok()) return whole;
  const Shape &y = whole.value()[0].shape, &sums = c.shape(2);
  const int64_t groups = c.node.get<int64_t>("group", 1);
  if (sums.empty() || sums.back() < 2 * y[1] / groups || sums != sums_shape(y, groups, sums.back()))
    return c.error(fmt::format("sums {} are none of its output {}", shape_text(sums), shape_text(y)));
  return whole;
}

Result<Types> conv_transpose(const ShapeContext& c) {
  if (const auto error = float_images(c)) return *error;
  const int64_t groups = c.node.get<int64_t>("group", 1);
  const Shape &x = c.shape(0), &w = c.shape(1);
  if (w.size() != x.size() || groups < 1 || x[1] % groups != 0 || w[0] != x[1] || w[1] > kExtentMax / groups)
    return c.error(fmt::format("weights {} in {} groups do not fit input {}", shape_text(w), groups, shape_text(x)));
  if (c.has(2) && c.shape(2) != Shape{w[1] * groups})
    return c.error(fmt::format("bias {} must be [{}]", shape_text(c.shape(2)), w[1] * groups));
  const Result<Window> window = transposed_window(c.node, spatial_of(x), spatial_of(w));
  if (!window.ok()) return window.error();
  return image(c, w[1] * groups, window.value().output);
}

Result<Types> pool(const ShapeContext& c) {
  if (auto error = rank_error(c)) return *error;
  const bool bytes = c.node.op == "MaxPool" && (c.type(0) == Type::kInt8 || c.type(0) == Type::kUInt8);
  if (!bytes && !is_float(c.type(0)))
    return c.error(
        fmt::format("is not supported on {}; floats are, MaxPool on int8 and uint8 too", type_name(c.type(0))),
        Code::kUnsupported);
  const Result<Window> window = sliding_window(c.node, spatial_of(c.shape(0)), c.node.get<Shape>("kernel_shape", {}));
  if (!window.ok()) return window.error();
  for (size_t i = 0; i < window.value().kernel.size(); ++i) {
    const int64_t extent = (window.value().kernel[i] - 1) * window.value().dilation[i] + 1;
    if (window.value().pads_begin[i] >= extent || window.value().pads_end[i] >= extent)
      return c.error("its padding is as wide as its window");
  }
  Types out = image(c, c.shape(0)[1], window.value().output);
  if (c.node.op == "MaxPool") out.push_back({Type::kInt64, out[0].shape});
  return out;
}

Result<Types> lp_pool(const ShapeContext& c) {
  if (c.node.get<int64_t>("p", 2) < 1) return c.error(fmt::format("p {} is below 1", c.node.get<int64_t>("p", 2)));
  return pool(c);
}

Result<Types> global_pool(const ShapeContext& c) {
  if (auto error = float_images(c)) return *error;
  if (c.node.get<int64_t>("p", 2) < 1) return c.error(fmt::format("p {} is below 1", c.node.get<int64_t>("p", 2)));
  return image(c, c.shape(0)[1], Shape(c.shape(0).size() - 2, 1));
}

Result<Types> max_unpool(const ShapeContext& c) {
  if (!is_float(c.type(0)) || c.type(1) != Type::kInt64)
    return c.error("takes floats and int64 indices", Code::kUnsupported);
  if (auto error = rank_error(c)) return *error;
  if (auto error = shape_error(c, 1, c.shape(0))) return *error;
  const Result<Shape> unpooled = unpooled_shape(c.node, c.shape(0));
  if (!unpooled.ok()) return unpooled.error();
  const auto wanted = c.integers(2);
  if (!wanted.ok()) return wanted.error();
  if (!wanted.value()) return Types{{c.type(0), unpooled.value()}};
  const Shape& given = *wanted.value();
  bool fits = given.size() == unpooled.value().size();
  for (size_t i = 0; fits && i < given.size(); ++i) fits = given[i] >= 0 && (i >= 2 || given[i] == c.shape(0)[i]);
  if (!fits)
    return c.error(fmt::format("output_shape {} does not fit input {}", shape_text(given), shape_text(c.shape(0))));
  return Types{{c.type(0), given}};
}

}  // namespace

void add_window_rules(std::vector<OpEntry>* table) {
  table->push_back({"", "Conv", 2, 3, conv});
  table->push_back({"", "ConvTranspose", 2, 3, conv_transpose});
  table->push_back({"hayate", "ConvBegin", 2, 3, conv_begin});
  table->push_back({"hayate", "ConvEnd", 3, 4, conv_end});
  table->push_back({"", "MaxPool", 1, 1, pool});
  table->push_back({"", "AveragePool", 1, 1, pool});
  table->push_back({"", "GlobalAveragePool", 1, 1, global_pool});
  table->push_back({"", "GlobalMaxPool", 1, 1, global_pool});
  table->push_back({"", "GlobalLpPool", 1, 1, global_pool});
  table->push_back({"", "LpPool", 1, 1, lp_pool});
  table->push_back({"", "MaxUnpool", 2, 3, max_unpool});
}

}  // namespace hayate
