#include <algorithm>
#include <cmath>

#include "random/recipes.h"

namespace hayate::random_graphs {
namespace {

using Names = std::vector<std::string>;
using Numbers = std::vector<int64_t>;

std::optional<Value> image(GraphMaker& m) {
  return m.find([](const Value& v) { return v.is_float32() && v.rank() >= 3 && v.rank() <= 5 && v.batch <= 0; });
}

struct Window {
  Numbers kernel;
  GraphMaker::Attributes attributes;
};

// Kernel, strides, pads and dilations that mostly fit the image.
Window window(GraphMaker& m, const Value& x, bool dilated) {
  Window made;
  Numbers strides, dilations, before, after;
  for (size_t i = 2; i < x.shape.size(); ++i) {
    const int64_t size = x.shape[i];
    made.kernel.push_back(size > 0 ? m.dice().between(1, std::min<int64_t>(size, 4)) : 1);
    // No window is narrower than its stride: ONNX Runtime pads those of SAME by less than nothing.
    strides.push_back(std::min<int64_t>(made.kernel.back(), m.dice().pick({1, 1, 1, 2, 3})));
    dilations.push_back(dilated && m.dice().one_in(4) ? 2 : 1);
    before.push_back(m.dice().pick({int64_t{0}, made.kernel.back() / 2, made.kernel.back() - 1}));
    after.push_back(m.dice().pick({int64_t{0}, made.kernel.back() / 2}));
  }
  if (m.dice().one_in(2)) made.attributes["strides"] = strides;
  if (dilated && m.dice().one_in(2)) made.attributes["dilations"] = dilations;
  if (m.dice().one_in(4)) {
    made.attributes["auto_pad"] = m.dice().pick(Names{"SAME_UPPER", "SAME_LOWER", "VALID"});
  } else if (m.dice().one_in(2)) {
    before.insert(before.end(), after.begin(), after.end());
    made.attributes["pads"] = before;
  }
  return made;
}

void conv(GraphMaker& m) {
  const auto x = image(m);
  if (!x || x->shape[1] == 0) return;
  const int64_t channels = x->shape[1];
  const int64_t group = m.dice().one_in(4) ? channels : m.dice().one_in(4) && channels % 2 == 0 ? 2 : 1;
  const int64_t filters = group * m.dice().between(1, group == 1 ? 9 : 2);
  Window w = window(m, *x, true);
  Shape shape = {filters, channels / group};
  int64_t inner = channels / group;
  for (const int64_t extent : w.kernel) shape.push_back(extent), inner *= extent;
  if (group > 1) w.attributes["group"] = group;
  Names inputs = {x->name, m.weights(Type::kFloat32, shape, 1 / std::sqrt(static_cast<double>(inner)))};
  if (m.dice().one_in(2)) inputs.push_back(m.weights(Type::kFloat32, {filters}));
  m.add("Conv", inputs, Kind::kArithmetic, w.attributes);
}

void conv_transpose(GraphMaker& m) {
  const auto x = image(m);
  if (!x || x->shape[1] == 0 || x->rank() == 5) return;
  Numbers kernel, strides, dilations, before, after, more;
  for (size_t i = 2; i < x->shape.size(); ++i) {
    kernel.push_back(m.dice().between(1, 3)), strides.push_back(m.dice().between(1, 2));
    dilations.push_back(m.dice().one_in(4) ? 2 : 1);
    before.push_back(m.dice().below(kernel.back())), after.push_back(m.dice().below(kernel.back()));
    more.push_back(m.dice().below(strides.back()));
  }
  before.insert(before.end(), after.begin(), after.end());
  const int64_t group = m.dice().one_in(3) ? x->shape[1] : 1, filters = m.dice().between(1, group == 1 ? 4 : 2);
  Shape shape = {x->shape[1], filters};
  shape.insert(shape.end(), kernel.begin(), kernel.end());
  GraphMaker::Attributes attributes = {{"strides", strides}};
  if (group > 1) attributes["group"] = group;
  if (m.dice().one_in(3)) attributes["dilations"] = dilations;
  if (m.dice().one_in(2)) attributes["pads"] = before;
  if (m.dice().one_in(3)) attributes["output_padding"] = more;
  Names inputs = {x->name, m.weights(Type::kFloat32, shape, 0.4)};
  if (m.dice().one_in(2)) inputs.push_back(m.weights(Type::kFloat32, {group * filters}));
  m.add("ConvTranspose", inputs, Kind::kArithmetic, attributes);
}

void pool(GraphMaker& m) {
  const auto x = image(m);
  if (!x) return;
  const bool largest = m.dice().one_in(2);
  Window w = window(m, *x, m.opset() >= (largest ? 10 : 19));
  w.attributes["kernel_shape"] = w.kernel;
  if (w.attributes.contains("dilations")) w.attributes.erase("auto_pad");  // ONNX Runtime takes no two of them
  if (m.dice().one_in(3) && !w.attributes.contains("auto_pad")) w.attributes["ceil_mode"] = int64_t{1};
  if (largest && !m.special() && m.dice().one_in(3)) {
    w.attributes["storage_order"] = m.dice().below(2);
    m.add("MaxPool", {x->name}, Kind::kJump, w.attributes, 2);
    return;
  }
  if (largest) {
    m.add("MaxPool", {x->name}, Kind::kExact, w.attributes);
    return;
  }
  w.attributes["count_include_pad"] = m.dice().below(2);
  m.add("AveragePool", {x->name}, Kind::kArithmetic, w.attributes);
}

// The largest of windows that share no element and leave none out, then each back to where it stood. A larger output
// is not asked for: in the standard's node test places then count in the image that the windows make up, for ONNX
// Runtime in the output.
void unpool(GraphMaker& m) {
  const auto x = image(m);
  if (!x || m.special()) return;
  Numbers kernel;
  for (size_t i = 2; i < x->shape.size(); ++i) {
    const int64_t wanted = m.dice().between(1, 3);
    kernel.push_back(x->shape[i] % wanted == 0 ? wanted : 1);
  }
  const GraphMaker::Attributes attributes = {{"kernel_shape", kernel}, {"strides", kernel}};
  const auto pooled = m.add("MaxPool", {x->name}, Kind::kJump, attributes, 2);
  if (!pooled) return;
  Names inputs = {(*pooled)[0].name, (*pooled)[1].name};
  if (x->batch < 0 && m.dice().one_in(2)) inputs.push_back(m.ints(x->shape));
  m.add("MaxUnpool", inputs, Kind::kExact, attributes);
}

void lp_pool(GraphMaker& m) {
  const auto x = image(m);
  if (!x || m.opset() < 18) return;
  Window w = window(m, *x, false);
  w.attributes["kernel_shape"] = w.kernel;
  w.attributes["p"] = m.dice().between(1, 3);
  m.add("LpPool", {x->name}, Kind::kArithmetic, w.attributes);
}

void global_pool(GraphMaker& m) {
  const auto x = image(m);
  if (!x) return;
  if (m.dice().one_in(2)) {
    m.add("GlobalMaxPool", {x->name}, Kind::kExact);
  } else {
    m.add(m.dice().one_in(4) ? "GlobalLpPool" : "GlobalAveragePool", {x->name}, Kind::kArithmetic);
  }
}

void resize(GraphMaker& m) {
  const auto x = image(m);
  if (!x || x->rank() == 5) return;
  const bool linear = m.dice().one_in(2), cubic = linear && m.dice().one_in(4);
  // Where a place lies between two elements to the last bit, nearest ones differ: there the plain mode alone.
  const std::string places =
      linear ? m.dice().pick(Names{"asymmetric", "half_pixel", "align_corners", "pytorch_half_pixel"}) : "asymmetric";
  std::vector<float> scales = {1, 1};
  for (size_t i = 2; i < x->shape.size(); ++i) {
    // Half of an odd extent: the standard aligns the corner that lies between two elements, ONNX Runtime the last one.
    const bool halves = places != "align_corners" || x->shape[i] % 2 == 0;
    scales.push_back(m.dice().pick({1.0f, 2.0f, halves ? 0.5f : 1.0f}));
  }
  GraphMaker::Attributes attributes = {{"mode", std::string(cubic    ? "cubic"
                                                            : linear ? "linear"
                                                                     : "nearest")},
                                       {"coordinate_transformation_mode", places}};
  if (!linear) attributes["nearest_mode"] = std::string("floor");
  m.add("Resize", {x->name, "", m.constant(Tensor::of<float>({static_cast<int64_t>(scales.size())}, scales))},
        linear ? Kind::kArithmetic : Kind::kExact, attributes);
}

}  // namespace

void add_window_recipes(std::vector<Recipe>* all) {
  all->insert(all->end(), {{"conv", 6, conv, 9},
                           {"conv_transpose", 1, conv_transpose},
                           {"pool", 3, pool, 10},
                           {"unpool", 1, unpool},
                           {"lp_pool", 1, lp_pool},
                           {"global_pool", 1, global_pool, 9},
                           {"resize", 1, resize}});
}

}  // namespace hayate::random_graphs
