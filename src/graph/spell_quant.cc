// Quantised operators of com.microsoft. Where numbers are rounded to a step, the order of the float32 arithmetic before
// is ONNX Runtime's, so that ties fall to the same side.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "graph/rule_checks.h"
#include "graph/spelling.h"
#include "graph/window.h"

namespace hayate {
namespace {

Result<Graph> renamed(const ShapeContext& c) {
  Speller s(c);
  std::vector<std::string> inputs;
  for (size_t i = 0; i < c.input_count(); ++i) inputs.push_back(s.in(i));
  return s.give({s.add(c.node.op, std::move(inputs), c.node.attributes)});
}

// float(a * b) * scale + bias for integers a, b.
std::string scaled_product(Speller* s, const std::vector<std::string>& operands, const std::string& scale,
                           const std::string& bias) {
  const std::string product = s->cast(s->add("MatMulInteger", operands), Type::kFloat32);
  return s->plus(s->add("Mul", {product, scale}), bias);
}

// A, B, their scales, their zero points, bias.
Result<Graph> matmul_integer_to_float(const ShapeContext& c) {
  Speller s(c);
  return s.give({scaled_product(&s, {s.in(0), s.in(1), s.in(4), s.in(5)}, s.add("Mul", {s.in(2), s.in(3)}), s.in(6))});
}

// A of floats, B, its scale and zero point, bias.
Result<Graph> dynamic_quantize_matmul(const ShapeContext& c) {
  Speller s(c);
  const std::string a = s.add("DynamicQuantizeLinear", {s.in(0)}, {}, 3);
  return s.give({scaled_product(&s, {a, s.in(1), a + ".2", s.in(3)}, s.add("Mul", {a + ".1", s.in(2)}), s.in(4))});
}

// Inputs that hold one number each; quantised ones of 8 bits, zero points of their type.
std::optional<Error> operands_error(const ShapeContext& c, std::initializer_list<size_t> quantised,
                                    std::initializer_list<size_t> numbers) {
  for (const size_t i : quantised) {
    if (auto error = type_error(c, i, kBytes)) return error;
    if (c.has(i + 2) && c.type(i + 2) != c.type(i))
      return c.error(fmt::format("zero point '{}' and its operand differ in type", c.node.input(i + 2)));
  }
  for (const size_t i : numbers)
    if (c.has(i) && !is_one(c.shape(i)))
      return c.error(fmt::format("input '{}' {} must be one number", c.node.input(i), shape_text(c.shape(i))),
                     Code::kUnsupported);
  return std::nullopt;
}

// Input i, one number, as a scalar of float32 or int32; zero where it is left out.
std::string scalar(Speller* s, size_t i, Type type) {
  if (!s->c.has(i)) return s->number(0, type);
  const std::string one = s->c.rank(i) == 0 ? s->in(i) : s->add("Squeeze", {s->in(i)});
  return s->c.type(i) == type ? one : s->cast(one, type);
}

// A number of steps, the zero point in it, to the nearest step of the type.
std::string to_steps(Speller* s, const std::string& value, Type type) {
  const bool is_signed = type == Type::kInt8;
  const std::string held = s->add("Clip", {s->add("Round", {value}), s->number(is_signed ? -128 : 0, Type::kFloat32),
                                           s->number(is_signed ? 127 : 255, Type::kFloat32)});
  return s->cast(held, type);
}

// A, its scale and zero point, B, its ..., the output's scale and zero point.
Result<Graph> qlinear_add(const ShapeContext& c) {
  Speller s(c);
  if (auto error = operands_error(c, {0, 3}, {1, 2, 4, 5, 6, 7})) return *error;
  const auto f = [&](size_t i) { return scalar(&s, i, Type::kFloat32); };
  const std::string a_ratio = s.add("Div", {f(1), f(6)}), b_ratio = s.add("Div", {f(4), f(6)});
  const std::string zeros = s.add("Add", {s.add("Mul", {a_ratio, f(2)}), s.add("Mul", {b_ratio, f(5)})});
  const std::string start = s.add("Sub", {f(7), zeros});
  const auto term = [&](size_t i, const std::string& ratio) {
    return s.add("Mul", {s.cast(s.in(i), Type::kFloat32), ratio});
  };
  std::string a = term(0, a_ratio), b = term(3, b_ratio);
  if (is_one(c.shape(3))) std::swap(a, b);  // a single number is added first
  return s.give({to_steps(&s, s.add("Add", {s.add("Add", {start, a}), b}), c.type(0))});
}

Result<Graph> qlinear_mul(const ShapeContext& c) {
  Speller s(c);
  if (auto error = operands_error(c, {0, 3}, {1, 2, 4, 5, 6, 7})) return *error;
  const auto f = [&](size_t i) { return scalar(&s, i, Type::kFloat32); };
  const auto centred = [&](size_t i) {
    return s.add("Sub", {s.cast(s.in(i), Type::kInt32), scalar(&s, i + 2, Type::kInt32)});
  };
  const std::string ratio = s.add("Div", {s.add("Mul", {f(1), f(4)}), f(6)});
  const std::string product = s.cast(s.add("Mul", {centred(0), centred(3)}), Type::kFloat32);
  return s.give({to_steps(&s, s.add("Add", {s.add("Mul", {product, ratio}), f(7)}), c.type(0))});
}

// X, its scale and zero point, the output's: the operator between DequantizeLinear and QuantizeLinear.
Result<Graph> between(const ShapeContext& c, const std::string& op, std::map<std::string, Attribute> attributes) {
  Speller s(c);
  if (auto error = operands_error(c, {0}, {1, 2, 3, 4})) return *error;
  if (c.node.get<int64_t>("channels_last", 0) != 0)
    return c.error("channels_last is not supported", Code::kUnsupported);
  const Type type = c.type(0);
  const auto zero = [&](size_t i) { return c.has(i) ? s.add("Squeeze", {s.in(i)}) : s.number(0, type); };
  const std::string x = s.add("DequantizeLinear", {s.in(0), scalar(&s, 1, Type::kFloat32), zero(2)});
  return s.give(
      {s.add("QuantizeLinear", {s.add(op, {x}, std::move(attributes)), scalar(&s, 3, Type::kFloat32), zero(4)})});
}

std::map<std::string, Attribute> without(const Node& node, std::initializer_list<const char*> keys) {
  std::map<std::string, Attribute> kept(node.attributes.begin(), node.attributes.end());
  for (const char* key : keys) kept.erase(key);
  return kept;
}

Result<Graph> qlinear_unary(const ShapeContext& c) {
  return between(c, c.node.op.substr(7), without(c.node, {"channels_last", "opset"}));
}

constexpr int64_t kWindowMax = 64;         // elements of a pool's window that are added one by one
constexpr int64_t kPlacesMax = 1'000'000;  // windows of one channel

int64_t product(const Shape& extents, int64_t most) {
  int64_t made = 1;
  for (const int64_t extent : extents) made = extent > most / std::max<int64_t>(made, 1) ? most + 1 : made * extent;
  return made;
}

// How many elements each window sees, padding apart.
Tensor window_counts(const Window& w) {
  Shape shape{1, 1};
  shape.insert(shape.end(), w.output.begin(), w.output.end());
  Tensor counts(Type::kFloat32, shape);
  for (int64_t place = 0; place < counts.count(); ++place) {
    int64_t rest = place, count = 1;
    for (size_t i = w.output.size(); i-- > 0; rest /= w.output[i]) {
      const int64_t start = rest % w.output[i] * w.stride[i] - w.pads_begin[i];
      count *= std::min(start + w.kernel[i], w.input[i]) - std::max<int64_t>(start, 0);
    }
    counts.data<float>()[place] = static_cast<float>(count);
  }
  return counts;
}

// The sums of all windows: for each place in a window a strided view of the padded image, added in their order.
std::string window_sums(Speller* s, const std::string& x, const Window& w) {
  const size_t rank = w.kernel.size();
  std::vector<int64_t> pads(2 * (rank + 2), 0), axes, place(rank, 0);
  for (size_t i = 0; i < rank; ++i) {
    const int64_t reach = (w.output[i] - 1) * w.stride[i] + w.kernel[i];
    pads[2 + i] = w.pads_begin[i];
    pads[rank + 4 + i] = std::max<int64_t>(0, reach - w.input[i] - w.pads_begin[i]);
    axes.push_back(static_cast<int64_t>(2 + i));
  }
  const std::string padded = s->add("Pad", {x, s->ints(pads)});
  std::string sum;
  for (int64_t left = product(w.kernel, kWindowMax); left-- > 0;) {
    std::vector<int64_t> ends;
    for (size_t i = 0; i < rank; ++i) ends.push_back(place[i] + (w.output[i] - 1) * w.stride[i] + 1);
    const std::string view = s->add("Slice", {padded, s->ints(place), s->ints(ends), s->ints(axes), s->ints(w.stride)});
    sum = sum.empty() ? view : s->add("Add", {sum, view});
    for (size_t i = rank; i-- > 0 && ++place[i] == w.kernel[i];) place[i] = 0;
  }
  return sum;
}

// ONNX Runtime's sum is of integers, and one factor both averages and scales it.
Result<Graph> qlinear_global_average_pool(const ShapeContext& c) {
  if (auto error = operands_error(c, {0}, {1, 2, 3, 4})) return *error;
  if (c.rank(0) < 3 || c.node.get<int64_t>("channels_last", 0) != 0) return qlinear_unary(c);
  Speller s(c);
  const auto f = [&](size_t i) { return scalar(&s, i, Type::kFloat32); };
  std::vector<int64_t> axes;
  double size = 1;
  for (int64_t i = 2; i < c.rank(0); ++i) axes.push_back(i), size *= static_cast<double>(c.shape(0)[i]);
  const std::string centred = s.add("Sub", {s.cast(s.in(0), Type::kInt32), scalar(&s, 2, Type::kInt32)});
  const std::string sum = s.cast(s.add("ReduceSum", {centred, s.ints(axes)}), Type::kFloat32);
  const std::string factor = s.add("Div", {f(1), s.add("Mul", {f(3), s.number(size, Type::kFloat32)})});
  const std::string steps = s.add("Round", {s.add("Mul", {sum, factor})});
  return s.give({to_steps(&s, s.add("Add", {steps, f(4)}), c.type(0))});
}

// ONNX Runtime adds the elements of a window in float32, one by one, and the zero point before it rounds; but a window
// that is the whole image it takes as the global pool.
Result<Graph> qlinear_average_pool(const ShapeContext& c) {
  if (auto error = operands_error(c, {0}, {1, 2, 3, 4})) return *error;
  if (c.rank(0) < 3 || c.node.get<int64_t>("channels_last", 0) != 0) return qlinear_unary(c);
  const Result<Window> window =
      sliding_window(c.node, Shape(c.shape(0).begin() + 2, c.shape(0).end()), c.node.get<Shape>("kernel_shape", {}));
  if (!window.ok()) return window.error();
  const Window& w = window.value();
  const Shape none(w.kernel.size(), 0);
  if (w.kernel == w.input && w.pads_begin == none && w.pads_end == none && w.dilation == Shape(w.dilation.size(), 1))
    return qlinear_global_average_pool(c);
  if (product(w.kernel, kWindowMax) > kWindowMax || product(w.output, kPlacesMax) > kPlacesMax ||
      w.dilation != Shape(w.dilation.size(), 1))
    return qlinear_unary(c);
  Speller s(c);
  const auto f = [&](size_t i) { return scalar(&s, i, Type::kFloat32); };
  const std::string centred = s.add("Sub", {s.cast(s.in(0), Type::kInt32), scalar(&s, 2, Type::kInt32)});
  const std::string x = s.add("Mul", {s.cast(centred, Type::kFloat32), f(1)});
  const std::string count = c.node.get<int64_t>("count_include_pad", 0) != 0
                                ? s.number(static_cast<double>(product(w.kernel, kWindowMax)), Type::kFloat32)
                                : s.constant(window_counts(w));
  const std::string mean = s.add("Div", {window_sums(&s, x, w), count});
  return s.give({to_steps(&s, s.add("Add", {s.add("Div", {mean, f(3)}), f(4)}), c.type(0))});
}

// The channels of a value of input 0's rank from the last axis to the second, or back.
std::string move_channels(Speller* s, const std::string& value, bool to_second) {
  std::vector<int64_t> perm(static_cast<size_t>(s->c.rank(0)));
  std::iota(perm.begin(), perm.end(), 0);
  std::rotate(perm.begin() + 1, to_second ? perm.end() - 1 : perm.begin() + 2, perm.end());
  return s->add("Transpose", {value}, {{"perm", perm}});
}

// The standard's operator `op`, of an image whose channels are its last axis; filters are as ever.
Result<Graph> channels_last(const ShapeContext& c, const char* op) {
  if (c.rank(0) < 3) return c.error(fmt::format("takes images, it is given {}", shape_text(c.shape(0))));
  Speller s(c);
  std::vector<std::string> inputs{move_channels(&s, s.in(0), true)};
  for (size_t i = 1; i < c.input_count(); ++i) inputs.push_back(s.in(i));
  return s.give({move_channels(&s, s.add(op, std::move(inputs), without(c.node, {"channels_last"})), false)});
}

Result<Graph> qlinear_conv_of_images(const ShapeContext& c) {
  return c.node.get<int64_t>("channels_last", 0) != 0 ? channels_last(c, "QLinearConv") : renamed(c);
}
Result<Graph> nhwc_max_pool(const ShapeContext& c) {
  if (auto error = type_error(c, 0, kBytes)) return *error;
  return channels_last(c, "MaxPool");
}

// The softmax of opset 13, or over all axes from `axis` on before.
Result<Graph> qlinear_softmax(const ShapeContext& c) {
  const int64_t axis = c.node.get<int64_t>("axis", -1);
  if (c.node.get<int64_t>("opset", 13) < 13 && normal_axis(axis, c.rank(0)) != c.rank(0) - 1)
    return c.error("a softmax over several axes (opset below 13) is not supported", Code::kUnsupported);
  return between(c, "Softmax", {{"axis", axis}});
}

// Condition, X, its scale and zero point, Y, its ..., the output's: each operand is brought to the output's steps.
Result<Graph> qlinear_where(const ShapeContext& c) {
  Speller s(c);
  if (auto error = operands_error(c, {1, 4}, {2, 3, 5, 6, 7, 8})) return *error;
  const std::string scale = scalar(&s, 7, Type::kFloat32), zero = s.add("Squeeze", {s.in(8)});
  const auto brought = [&](size_t i) {
    const std::string x =
        s.add("DequantizeLinear", {s.in(i), scalar(&s, i + 1, Type::kFloat32), s.add("Squeeze", {s.in(i + 2)})});
    return s.add("QuantizeLinear", {x, scale, zero});
  };
  return s.give({s.add("Where", {s.in(0), brought(1), brought(4)})});
}

// The output's scale and zero point, then values with theirs.
Result<Graph> qlinear_concat(const ShapeContext& c) {
  Speller s(c);
  if (c.input_count() < 5 || (c.input_count() - 2) % 3 != 0)
    return c.error(fmt::format("takes a scale, a zero point and triples, it is given {} inputs", c.input_count()));
  std::vector<std::string> parts;
  for (size_t i = 2; i < c.input_count(); i += 3) {
    if (!c.has(i) || !c.has(i + 1)) return c.error("a value needs its scale");
    if (auto error = operands_error(c, {i}, {i + 1, i + 2})) return *error;
    std::vector<std::string> inputs{s.in(i), scalar(&s, i + 1, Type::kFloat32)};
    if (c.has(i + 2)) inputs.push_back(s.add("Squeeze", {s.in(i + 2)}));
    parts.push_back(s.add("DequantizeLinear", std::move(inputs)));
  }
  if (auto error = operands_error(c, {}, {0, 1})) return *error;
  const std::string all = s.add("Concat", std::move(parts), {{"axis", c.node.get<int64_t>("axis", 0)}});
  return s.give({s.add("QuantizeLinear", {all, scalar(&s, 0, Type::kFloat32), s.add("Squeeze", {s.in(1)})})});
}

// A, its scale and zero point, B, its ..., C of int32; with a scale (and zero point) the output is quantised.
Result<Graph> qgemm(const ShapeContext& c) {
  Speller s(c);
  if (auto error = operands_error(c, {0, 3}, {1, 2, 7, 8})) return *error;
  if (c.rank(0) != 2 || c.rank(3) != 2)
    return c.error(
        fmt::format("takes matrices, it is given {} and {}", shape_text(c.shape(0)), shape_text(c.shape(3))));
  const auto side = [&](size_t i, const char* key) {
    return c.node.get<int64_t>(key, 0) != 0 ? s.add("Transpose", {s.in(i)}) : s.in(i);
  };
  const std::string sum = s.plus(
      s.add("MatMulInteger", {side(0, "transA"), side(3, "transB"), c.has(2) ? scalar(&s, 2, c.type(0)) : "", s.in(5)}),
      s.in(6));
  std::string scale = s.add("Mul", {s.number(static_cast<double>(c.node.get<float>("alpha", 1)), Type::kFloat32),
                                    scalar(&s, 1, Type::kFloat32)});
  scale = s.add("Mul", {scale, s.in(4)});
  if (c.has(7)) scale = s.add("Div", {scale, scalar(&s, 7, Type::kFloat32)});
  const std::string y = s.add("Mul", {s.cast(sum, Type::kFloat32), scale});
  if (!c.has(7)) return s.give({y});
  const std::string zero = c.has(8) ? s.add("Squeeze", {s.in(8)}) : s.number(0, c.type(0));
  return s.give({s.add("QuantizeLinear", {y, s.number(1, Type::kFloat32), zero})});
}

// ---- DynamicQuantizeLSTM: X, W, R, B, lengths, h, c, peepholes, then scale and zero point of W and of R.

constexpr int64_t kStepsMax = 2048;  // of all directions: each is spelled out in 20 nodes

std::optional<Error> lstm_error(const ShapeContext& c) {
  for (const size_t i : {8, 9, 10, 11})
    if (!c.has(i)) return c.error(fmt::format("needs input {}", i));
  const int64_t hidden = c.node.get<int64_t>("hidden_size", 0);
  if (c.rank(0) != 3 || c.rank(1) != 3 || hidden < 1 || c.shape(0)[0] < 1)
    return c.error(fmt::format("takes [steps, batch, features] and hidden_size above 0, it is given {} and {}",
                               shape_text(c.shape(0)), hidden));
  const int64_t directions = c.shape(1)[0], batch = c.shape(0)[1];
  if (c.shape(0)[0] > kStepsMax / directions)
    return c.error(
        fmt::format("{} steps in {} directions; {} in all are spelled out", c.shape(0)[0], directions, kStepsMax),
        Code::kUnsupported);
  if (directions != (c.node.get<std::string>("direction", "forward") == "bidirectional" ? 2 : 1))
    return c.error(fmt::format("weights {} do not fit its direction", shape_text(c.shape(1))));
  if (auto error = shape_error(c, 1, {directions, c.shape(0)[2], 4 * hidden})) return error;
  if (auto error = shape_error(c, 2, {directions, hidden, 4 * hidden})) return error;
  if (auto error = shape_error(c, 3, {directions, 8 * hidden})) return error;
  if (auto error = type_error(c, 4, {Type::kInt32})) return error;
  if (auto error = shape_error(c, 4, {batch})) return error;
  if (const Tensor* lens = c.known(4))
    if (const auto fault = lengths_fault(c.node, *lens, c.shape(0)[0])) return c.error(*fault, Code::kOutOfRange);
  if (auto error = shape_error(c, 7, {directions, 3 * hidden})) return error;
  for (const size_t i : {5, 6})
    if (auto error = shape_error(c, i, {directions, batch, hidden})) return error;
  for (const size_t i : {8, 9, 10, 11})
    if (c.shape(i) != Shape{directions} && c.shape(i) != Shape{directions, 4 * hidden})
      return c.error(
          fmt::format("input {} {} is neither one per direction nor one per column", i, shape_text(c.shape(i))));
  const auto activations = c.node.get<std::vector<std::string>>("activations", {});
  for (size_t i = 0; i < activations.size(); ++i)
    if (activations[i] != (i % 3 == 0 ? "Sigmoid" : "Tanh"))
      return c.error(fmt::format("activation '{}' is not supported", activations[i]), Code::kUnsupported);
  return std::nullopt;
}

// One direction. Steps go in the order in which the layer takes them: where it runs backwards, x is turned before it
// (each row within its length) and the rows it gives are turned back after it.
class Direction {
 public:
  Direction(Speller* speller, const std::string& x, int64_t direction, bool backwards)
      : s_(speller),
        c_(speller->c),
        direction_(direction),
        backwards_(backwards),
        hidden_(c_.node.get<int64_t>("hidden_size", 0)) {
    r_ = of(2), r_scale_ = of(10), r_zero_ = of(11);
    std::string from_x = scaled_product(s_, {x, of(1), x + ".2", of(9)}, s_->add("Mul", {x + ".1", of(8)}), "");
    from_x_ = turned(from_x);
    if (c_.has(3)) {
      const std::string both = of(3);
      bias_ = s_->add("Add", {s_->slice(both, 0, 0, 4 * hidden_), s_->slice(both, 0, 4 * hidden_, 8 * hidden_)});
    }
    if (c_.has(7)) split_by_gate(of(7));
    zero_ = s_->number(0, Type::kFloat32);
    if (const double clip = static_cast<double>(c_.node.get<float>("clip", 0)); clip > 0)
      low_ = s_->number(-clip, Type::kFloat32), high_ = s_->number(clip, Type::kFloat32);
    if (c_.has(4)) lengths_ = s_->add("Unsqueeze", {checked_lengths(), s_->ints({1})});
    if (c_.has(5)) h_ = of(5);
    if (c_.has(6)) cell_ = of(6);
    last_h_ = h_, last_cell_ = cell_;
    for (int64_t t = 0; t < c_.shape(0)[0]; ++t) step(t);
  }

  // Of all steps, in the order of time: [steps, 1, batch, hidden].
  std::string rows() {
    const int64_t steps = c_.shape(0)[0], batch = c_.shape(0)[1];
    const std::string all = s_->reshape(s_->add("Concat", rows_, {{"axis", int64_t{0}}}), {steps, batch, hidden_});
    return s_->reshape(turned(all), {steps, 1, batch, hidden_});
  }
  const std::string& h() const { return last_h_; }
  const std::string& cell() const { return last_cell_; }

 private:
  std::string of(size_t i) {
    return s_->add("Gather", {s_->in(i), s_->number(static_cast<double>(direction_), Type::kInt64)});
  }

  // The lengths plus zeros of a node that refuses lengths which are none of the steps.
  std::string checked_lengths() {
    const std::string zeros = s_->constant(Tensor(Type::kInt32, {c_.shape(0)[0], c_.shape(0)[1]}));
    const std::string same = s_->add("ReverseSequence", {zeros, s_->cast(s_->in(4), Type::kInt64)},
                                     {{"time_axis", int64_t{0}}, {"batch_axis", int64_t{1}}});
    return s_->add("Add", {s_->in(4), s_->add("Gather", {same, s_->number(0, Type::kInt64)})});
  }

  void split_by_gate(const std::string& peepholes) {
    const auto part = [&](const std::string& all, int64_t gate) {
      return all.empty() ? all : s_->slice(all, 0, gate * hidden_, (gate + 1) * hidden_);
    };
    for (int64_t gate = 0; gate < 3; ++gate) peepholes_.push_back(part(peepholes, gate));
    for (int64_t gate = 0; gate < 4; ++gate) biases_.push_back(part(bias_, gate));
  }

  // [steps, ...] backwards, where the layer runs so.
  std::string turned(const std::string& value) {
    if (!backwards_) return value;
    if (c_.has(4))
      return s_->add("ReverseSequence", {value, s_->cast(s_->in(4), Type::kInt64)},
                     {{"time_axis", int64_t{0}}, {"batch_axis", int64_t{1}}});
    std::vector<int64_t> order;
    for (int64_t t = c_.shape(0)[0]; t-- > 0;) order.push_back(t);
    return s_->add("Gather", {value, s_->ints(order)});
  }

  std::string clipped(const std::string& value) { return low_.empty() ? value : s_->add("Clip", {value, low_, high_}); }

  // The gate's sum (of order i, o, f, c); what looks at the cell is that times peephole i, o or f, before the bias.
  std::string sum(const std::string& gates, int64_t gate, const std::string& cell) {
    std::string value = s_->slice(gates, 1, gate * hidden_, (gate + 1) * hidden_);
    if (peepholes_.empty()) return value;
    if (gate != 3 && !cell.empty())
      value = s_->add("Add", {value, s_->add("Mul", {peepholes_[static_cast<size_t>(gate)], cell})});
    return clipped(s_->plus(value, biases_[static_cast<size_t>(gate)]));
  }

  void step(int64_t t) {
    std::string gates = s_->add("Gather", {from_x_, s_->number(static_cast<double>(t), Type::kInt64)});
    if (!h_.empty()) {
      const std::string h = s_->add("DynamicQuantizeLinear", {h_}, {}, 3);
      gates = s_->add(
          "Add", {gates, scaled_product(s_, {h, r_, h + ".2", r_zero_}, s_->add("Mul", {h + ".1", r_scale_}), "")});
    }
    if (peepholes_.empty()) gates = clipped(s_->plus(gates, bias_));
    const std::string in = s_->add("Sigmoid", {sum(gates, 0, cell_)});
    const std::string forget = c_.node.get<int64_t>("input_forget", 0) != 0
                                   ? s_->add("Sub", {s_->number(1, Type::kFloat32), in})
                                   : s_->add("Sigmoid", {sum(gates, 2, cell_)});
    const std::string fresh = s_->add("Mul", {in, s_->add("Tanh", {sum(gates, 3, "")})});
    cell_ = cell_.empty() ? fresh : s_->add("Add", {s_->add("Mul", {forget, cell_}), fresh});
    h_ = s_->add("Mul", {s_->add("Sigmoid", {sum(gates, 1, cell_)}), s_->add("Tanh", {cell_})});
    end_step(t);
  }

  // Rows past their length give zero, which is also what the next steps see of them; their last states stay.
  void end_step(int64_t t) {
    if (lengths_.empty()) {
      last_h_ = h_, last_cell_ = cell_;
    } else {
      const std::string alive = s_->add("Greater", {lengths_, s_->number(static_cast<double>(t), Type::kInt32)});
      const auto kept = [&](const std::string& now, const std::string& before) {
        return s_->add("Where", {alive, now, before.empty() ? zero_ : before});
      };
      last_h_ = kept(h_, last_h_), last_cell_ = kept(cell_, last_cell_);
      h_ = kept(h_, zero_);
    }
    rows_.push_back(h_);
  }

  Speller* s_;
  const ShapeContext& c_;
  int64_t direction_;
  bool backwards_;
  int64_t hidden_;
  std::string r_, r_scale_, r_zero_, from_x_, bias_, lengths_, low_, high_, zero_;  // empty: none
  std::vector<std::string> peepholes_, biases_;                                     // of each gate, where there are any
  std::string h_, cell_, last_h_, last_cell_;
  std::vector<std::string> rows_;
};

Result<Graph> dynamic_quantize_lstm(const ShapeContext& c) {
  if (auto error = lstm_error(c)) return *error;
  Speller s(c);
  const std::string x = s.add("DynamicQuantizeLinear", {s.in(0)}, {}, 3);
  const std::string direction = c.node.get<std::string>("direction", "forward");
  std::vector<std::string> rows, h, cell;
  for (int64_t d = 0; d < c.shape(1)[0]; ++d) {
    Direction made(&s, x, d, d == 1 || direction == "reverse");
    rows.push_back(made.rows());
    h.push_back(s.add("Unsqueeze", {made.h(), s.ints({0})}));
    cell.push_back(s.add("Unsqueeze", {made.cell(), s.ints({0})}));
  }
  const auto joined = [&](std::vector<std::string> parts, int64_t axis) {
    return parts.size() == 1 ? parts[0] : s.add("Concat", std::move(parts), {{"axis", axis}});
  };
  const std::string y = joined(std::move(rows), 1), last = joined(std::move(h), 0);
  return s.give({y, last, joined(std::move(cell), 0)});
}

// Those of one step, and as many rows as there are steps.
Result<Types> dynamic_quantize_lstm_types(const ShapeContext& c) {
  if (auto error = lstm_error(c)) return *error;
  std::vector<TensorType> types(c.input_count());
  std::vector<const TensorType*> given(c.input_count(), nullptr);
  for (size_t i = 0; i < c.input_count(); ++i)
    if (c.has(i)) types[i] = {c.type(i), c.shape(i)}, given[i] = &types[i];
  types[0].shape[0] = 1;
  const std::vector<const Tensor*> unknown(c.input_count(), nullptr);  // lengths too: they are those of all steps
  Result<Types> made = spelled_types(ShapeContext(c.node, c.opset, given, unknown));
  if (made.ok() && !made.value()[0].shape.empty()) made.value()[0].shape[0] = c.shape(0)[0];
  return made;
}

}  // namespace

void add_quant_spellings(std::vector<SpellingEntry>* table) {
  constexpr std::string_view kMicrosoft = "com.microsoft";
  constexpr size_t kMany = std::numeric_limits<size_t>::max();
  table->insert(table->end(),
                {{kMicrosoft, "QuantizeLinear", 2, 3, renamed},
                 {kMicrosoft, "DequantizeLinear", 2, 3, renamed},
                 {kMicrosoft, "MatMulIntegerToFloat", 4, 7, matmul_integer_to_float},
                 {kMicrosoft, "DynamicQuantizeMatMul", 3, 5, dynamic_quantize_matmul},
                 {kMicrosoft, "DynamicQuantizeLSTM", 3, 12, dynamic_quantize_lstm, dynamic_quantize_lstm_types},
                 {kMicrosoft, "QGemm", 6, 9, qgemm},
                 {kMicrosoft, "QLinearConv", 8, 9, qlinear_conv_of_images},
                 {kMicrosoft, "NhwcMaxPool", 1, 1, nhwc_max_pool},
                 {kMicrosoft, "QLinearAdd", 7, 8, qlinear_add},
                 {kMicrosoft, "QLinearMul", 7, 8, qlinear_mul},
                 {kMicrosoft, "QLinearSigmoid", 4, 5, qlinear_unary},
                 {kMicrosoft, "QLinearLeakyRelu", 4, 5, qlinear_unary},
                 {kMicrosoft, "QLinearAveragePool", 4, 5, qlinear_average_pool},
                 {kMicrosoft, "QLinearGlobalAveragePool", 4, 5, qlinear_global_average_pool},
                 {kMicrosoft, "QLinearSoftmax", 4, 5, qlinear_softmax},
                 {kMicrosoft, "QLinearWhere", 9, 9, qlinear_where},
                 {kMicrosoft, "QLinearConcat", 5, kMany, qlinear_concat}});
}

}  // namespace hayate
