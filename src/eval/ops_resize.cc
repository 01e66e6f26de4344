#include <algorithm>
#include <cmath>

#include "eval/kernel.h"
#include "graph/resize.h"
#include "kernels/reference/loops.h"
#include "kernels/reference/resample.h"

namespace hayate {
namespace {

namespace ref = kernels::reference;

// The coordinate in the input that place i of the output is sampled at.
double source_of(const ResizedAxis& axis, Coordinates coordinates, int64_t i) {
  const double x = static_cast<double>(i), in = static_cast<double>(axis.input), out = axis.scale * in;
  switch (coordinates) {
    case Coordinates::kHalfPixel:
      return (x + 0.5) / axis.scale - 0.5;
    case Coordinates::kHalfPixelSymmetric:
      return in / 2 * (1 - static_cast<double>(axis.output) / out) + (x + 0.5) / axis.scale - 0.5;
    case Coordinates::kPytorchHalfPixel:
      return axis.output == 1 ? -0.5 : (x + 0.5) / axis.scale - 0.5;
    case Coordinates::kAlignCorners:
      return out == 1 ? 0 : x * (in - 1) / (out - 1);
    case Coordinates::kAsymmetric:
      return x / axis.scale;
    case Coordinates::kCropAndResize: {
      const double span = (axis.roi_end - axis.roi_start) * (in - 1);
      return axis.roi_start * (in - 1) + (out == 1 ? span / 2 : x * span / (out - 1));
    }
    case Coordinates::kHalfPixelForNearest:
      return (x + 0.5) / axis.scale;
  }
  return x;
}

double nearest_place(double x, Nearest nearest, double scale) {
  switch (nearest) {
    case Nearest::kRoundPreferFloor:
      return std::ceil(x - 0.5);
    case Nearest::kRoundPreferCeil:
      return std::floor(x + 0.5);
    case Nearest::kFloor:
      return std::floor(x);
    case Nearest::kCeil:
      return std::ceil(x);
    case Nearest::kCeilIfShrunk:
      return scale < 1 ? std::ceil(x) : std::floor(x);
  }
  return x;
}

ref::Taps taps_of(const Resizing& r, const ResizedAxis& axis, int64_t i) {
  const double x = source_of(axis, r.coordinates, i);
  ref::Taps none;
  none.outside = r.coordinates == Coordinates::kCropAndResize && (x < 0 || x > static_cast<double>(axis.input - 1));
  if (none.outside) return none;
  if (r.mode == Interpolation::kNearest) {
    const double place = std::clamp(nearest_place(x, r.nearest, axis.scale), 0.0, static_cast<double>(axis.input - 1));
    return {{static_cast<int64_t>(place)}, {1.0}};
  }
  const double ratio = x - (std::ceil(x) - 1), stretch = r.antialias ? std::min(1.0, axis.scale) : 1.0;
  std::vector<double> weights = r.mode == Interpolation::kLinear ? ref::linear_weights(ratio, stretch)
                                                                 : ref::cubic_weights(ratio, stretch, r.cubic_a);
  return ref::taps_around(x, axis.input, std::move(weights), r.exclude_outside);
}

std::vector<std::vector<ref::Taps>> taps_of(const Resizing& r) {
  std::vector<std::vector<ref::Taps>> all;
  for (const ResizedAxis& axis : r.axes) {
    all.emplace_back();
    for (int64_t i = 0; i < axis.output; ++i) all.back().push_back(taps_of(r, axis, i));
  }
  return all;
}

// Calls f(output element, whether any of its coordinates lies outside the input).
template <typename F>
void for_places(const std::vector<std::vector<ref::Taps>>& taps, const Shape& shape, F&& f) {
  Shape index(shape.size(), 0);
  for (int64_t i = 0, count = ref::product(shape); i < count; ++i) {
    bool outside = false;
    for (size_t axis = 0; axis < shape.size(); ++axis) outside = outside || taps[axis][index[axis]].outside;
    f(i, index, outside);
    for (size_t axis = shape.size(); axis-- > 0;) {
      if (++index[axis] < shape[axis]) break;
      index[axis] = 0;
    }
  }
}

void pick_nearest(const KernelContext& c, const Resizing& r) {
  const Tensor& x = *c.inputs[0];
  Tensor& y = *c.outputs[0];
  const auto taps = taps_of(r);
  const ref::Extents steps = ref::row_major(x.shape());
  const size_t size = type_size(x.type());
  Tensor value(x.type(), {1});
  if (!visit_type(x.type(), [&]<typename T>() { value.data<T>()[0] = static_cast<T>(r.extrapolation); })) {
    const float outside = static_cast<float>(r.extrapolation);
    *reinterpret_cast<uint16_t*>(value.bytes()) =
        x.type() == Type::kFloat16 ? half_from_float(outside) : bfloat_from_float(outside);
  }
  for_places(taps, y.shape(), [&](int64_t i, const Shape& index, bool outside) {
    int64_t from = 0;
    for (size_t axis = 0; axis < index.size() && !outside; ++axis)
      from += taps[axis][index[axis]].places[0] * steps[axis];
    const std::byte* source = outside ? value.bytes() : x.bytes() + static_cast<size_t>(from) * size;
    std::copy(source, source + size, y.bytes() + static_cast<size_t>(i) * size);
  });
}

Result<bool> interpolate(const KernelContext& c, const Resizing& r) {
  const auto taps = taps_of(r);
  std::vector<double> values = to_doubles(*c.inputs[0]);
  Shape shape = c.inputs[0]->shape();
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (r.axes[axis].scale == 1 && r.coordinates != Coordinates::kCropAndResize) continue;
    const int64_t outer = ref::product(Shape(shape.begin(), shape.begin() + axis)),
                  inner = ref::product(Shape(shape.begin() + axis + 1, shape.end())), extent = shape[axis];
    shape[axis] = r.axes[axis].output;
    std::vector<double> next(static_cast<size_t>(ref::product(shape)));
    ref::resample(taps[axis], outer, extent, inner, values.data(), next.data());
    values = std::move(next);
  }
  Tensor& y = *c.outputs[0];
  for_places(taps, y.shape(), [&](int64_t i, const Shape&, bool outside) {
    visit_type(y.type(), [&]<typename T>() {
      y.data<T>()[i] = static_cast<T>(outside ? r.extrapolation : values[static_cast<size_t>(i)]);
    });
  });
  return true;
}

Result<bool> resize(const KernelContext& c) {
  const ResizeInputs at = resize_inputs(c.node, c.opset);
  const auto input = [&](size_t i) { return i == SIZE_MAX ? nullptr : c.input(i); };
  const Result<Resizing> made =
      resizing_of(c.node, c.opset, c.inputs[0]->shape(), input(at.roi), input(at.scales), input(at.sizes));
  if (!made.ok()) return made.error();
  if (c.outputs[0]->count() == 0) return true;
  if (made.value().mode != Interpolation::kNearest) return interpolate(c, made.value());
  pick_nearest(c, made.value());
  return true;
}

}  // namespace

void add_resize_kernels(std::vector<KernelEntry>* table) {
  for (const char* op : {"Resize", "Upsample"}) table->push_back({"", op, resize});
}

}  // namespace hayate
