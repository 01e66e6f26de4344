#include "rewrite/rules/norms.h"
#include "rewrite/rules/rules.h"

namespace hayate {
namespace {

// The value x whose deviation from its own mean `name` is: x - mean(x).
std::optional<Mean> deviation(Editor* editor, const std::string& name) {
  const Node* sub = made_by(editor, name, "Sub");
  const std::optional<Mean> mean = sub == nullptr ? std::nullopt : last_mean(editor, sub->inputs[1]);
  return mean && mean->of == sub->inputs[0] ? mean : std::nullopt;
}

// Whether `name` is the mean of (x - mean(x))^2 over the axes from mean.axis on, or mean(x^2) - mean(x)^2.
bool is_variance(Editor* editor, const std::string& name, const Mean& mean) {
  if (const std::optional<Mean> squares = last_mean(editor, name)) {
    const std::optional<Mean> of = deviation(editor, square_root_of(editor, squares->of));
    return of && of->of == mean.of && of->axis == mean.axis && squares->axis == mean.axis;
  }
  const Node* sub = made_by(editor, name, "Sub");
  if (sub == nullptr) return false;
  const std::optional<Mean> squares = last_mean(editor, sub->inputs[0]),
                            first = last_mean(editor, square_root_of(editor, sub->inputs[1]));
  return squares && first && square_root_of(editor, squares->of) == mean.of && first->of == mean.of &&
         squares->axis == mean.axis && first->axis == mean.axis;
}

bool is_float(Editor* editor, const std::string& name) {
  const TensorType* type = editor->type(name);
  return type != nullptr && type->type == Type::kFloat32;
}

struct Norm {
  Mean mean;
  double epsilon = 0;
};

// (x - mean) / sqrt(variance + epsilon) as Div by the root or Mul by its inverse; nothing where the node is neither.
std::optional<Norm> normalised(Editor* editor, const Node& node) {
  for (const size_t side : {size_t{0}, size_t{1}}) {
    if (!(node.is("Mul") || (node.is("Div") && side == 0))) continue;
    const std::optional<Mean> mean = deviation(editor, node.inputs[side]);
    const std::string& other = node.inputs[1 - side];
    const std::optional<InverseRoot> by = node.is("Div") ? root(editor, other) : inverse_root(editor, other);
    if (mean && by && is_variance(editor, by->mean, *mean)) return Norm{*mean, by->epsilon};
  }
  return std::nullopt;
}

// ... * scale + bias, where they stand behind.
void finish(Editor* editor, Node* last, const Norm& norm, std::optional<Tensor> scale) {
  const std::string x = norm.mean.of;
  const Shape shape = editor->type(x)->shape;
  const int64_t axis = norm.mean.axis;
  std::optional<Tensor> bias;
  if (!scale)
    if (std::optional<Behind> mul = read_with(editor, last->outputs[0], "Mul", shape, axis))
      last = mul->node, scale = mul->values;
  if (std::optional<Behind> add = read_with(editor, last->outputs[0], "Add", shape, axis))
    last = add->node, bias = add->values;
  make_norm(editor, last, "LayerNormalization", x, axis, norm.epsilon, scale, bias);
}

// inverse [* scale], as batch normalisations write it before they multiply x.
struct Factor {
  InverseRoot by;
  std::optional<Tensor> scale;
};
std::optional<Factor> scaled_inverse(Editor* editor, const std::string& name, const Shape& shape, int64_t axis) {
  if (const std::optional<InverseRoot> by = inverse_root(editor, name)) return Factor{*by, std::nullopt};
  const Node* mul = made_by(editor, name, "Mul");
  if (mul == nullptr) return std::nullopt;
  for (const size_t side : {size_t{0}, size_t{1}}) {
    const std::optional<InverseRoot> by = inverse_root(editor, mul->inputs[side]);
    const std::optional<Tensor> scale = behind_axis(editor, mul->inputs[1 - side], shape, axis);
    if (by && scale) return Factor{*by, scale};
  }
  return std::nullopt;
}

// (x - mean) * (inverse * scale), then maybe + bias.
bool from_scaled(Editor* editor, Node* mul) {
  for (const size_t side : {size_t{0}, size_t{1}}) {
    const std::optional<Mean> mean = deviation(editor, mul->inputs[side]);
    if (!mean || !is_float(editor, mean->of) || !same_type(editor, mean->of, mul->outputs[0])) continue;
    const std::optional<Factor> factor =
        scaled_inverse(editor, mul->inputs[1 - side], editor->type(mean->of)->shape, mean->axis);
    if (!factor || !factor->scale || !is_variance(editor, factor->by.mean, *mean)) continue;
    finish(editor, mul, {*mean, factor->by.epsilon}, factor->scale);
    return true;
  }
  return false;
}

// What stands behind x * f in x * f + (bias - mean * f): the bias, if there is one.
struct Rest {
  bool fits = false;
  std::optional<Tensor> bias;
};

bool is_mean_times(Editor* editor, const std::string& name, const std::string& mean, const std::string& factor) {
  const Node* mul = made_by(editor, name, "Mul");
  return mul != nullptr && other_input(*mul, factor) == mean;
}

Rest rest_of(Editor* editor, const std::string& name, const std::string& mean, const std::string& factor,
             const Shape& shape, int64_t axis) {
  const Node* node = editor->maker(name);
  if (node == nullptr) return {};
  if (node->is("Neg")) return {is_mean_times(editor, node->inputs[0], mean, factor), std::nullopt};
  if (node->is("Sub")) {
    const std::optional<Tensor> bias = behind_axis(editor, node->inputs[0], shape, axis);
    return {bias && is_mean_times(editor, node->inputs[1], mean, factor), bias};
  }
  const auto negative = [&](const std::string& part) {  // -(mean * f), (-mean) * f
    if (const Node* neg = made_by(editor, part, "Neg")) return is_mean_times(editor, neg->inputs[0], mean, factor);
    const Node* mul = made_by(editor, part, "Mul");
    const Node* neg = mul == nullptr ? nullptr : made_by(editor, other_input(*mul, factor), "Neg");
    return neg != nullptr && neg->inputs[0] == mean;
  };
  if (node->is("Mul")) return {negative(name), std::nullopt};
  if (!node->is("Add")) return {};
  for (const size_t side : {size_t{0}, size_t{1}})
    if (const std::optional<Tensor> bias = behind_axis(editor, node->inputs[1 - side], shape, axis))
      return {negative(node->inputs[side]), bias};
  return {};
}

// The axes of a variance, and the value that is the mean in it.
struct Variance {
  int64_t axis = -1;
  std::string mean;
};
Variance variance_of(Editor* editor, const std::string& name) {
  if (const std::optional<Mean> squares = last_mean(editor, name)) {
    const Node* sub = made_by(editor, square_root_of(editor, squares->of), "Sub");
    return sub == nullptr ? Variance{} : Variance{squares->axis, sub->inputs[1]};
  }
  const Node* sub = made_by(editor, name, "Sub");
  const std::optional<Mean> squares = sub == nullptr ? std::nullopt : last_mean(editor, sub->inputs[0]);
  return squares ? Variance{squares->axis, square_root_of(editor, sub->inputs[1])} : Variance{};
}

// node = x * factor + other, or x * factor - other, with factor = scale / sqrt(variance + epsilon) and other what the
// mean and the bias leave.
bool from_parts(Editor* editor, Node* node, const std::string& x, const std::string& factor, const std::string& other) {
  if (!is_float(editor, x) || !same_type(editor, x, node->outputs[0])) return false;
  const Shape shape = editor->type(x)->shape;
  if (shape.empty()) return false;
  const std::optional<Factor> f = scaled_inverse(editor, factor, shape, static_cast<int64_t>(shape.size()) - 1);
  const Variance variance = f ? variance_of(editor, f->by.mean) : Variance{};
  if (variance.axis < 0 || !is_variance(editor, f->by.mean, {x, variance.axis})) return false;
  if (f->scale && variance.axis + 1 != static_cast<int64_t>(shape.size())) return false;
  const Rest rest = node->is("Sub") ? Rest{is_mean_times(editor, other, variance.mean, factor), std::nullopt}
                                    : rest_of(editor, other, variance.mean, factor, shape, variance.axis);
  if (!rest.fits) return false;
  make_norm(editor, node, "LayerNormalization", x, variance.axis, f->by.epsilon, f->scale, rest.bias);
  return true;
}

// x * f + (bias - mean * f), as batch normalisations write it; x * f - mean * f.
bool from_batch_norm_form(Editor* editor, Node* node) {
  for (const size_t side : {size_t{0}, size_t{1}}) {
    const Node* mul = node->is("Sub") && side == 1 ? nullptr : made_by(editor, node->inputs[side], "Mul");
    if (mul == nullptr) continue;
    const std::string a = mul->inputs[0], b = mul->inputs[1], other = node->inputs[1 - side];
    if (from_parts(editor, node, a, b, other) || from_parts(editor, node, b, a, other)) return true;
  }
  return false;
}

}  // namespace

// (x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) [* scale] [+ bias] = LayerNormalization(x, scale, bias) over
// the last axes; x f + (bias - mean f) with f = scale / sqrt(...) is the same sum in another order.
void recognise_layer_norm(Editor* editor) {
  for (size_t i = 0; i < editor->node_count(); ++i) {
    Node& node = editor->node(i);
    if (node.is("Mul") || node.is("Div")) {
      const std::optional<Norm> norm = normalised(editor, node);
      if (norm && is_float(editor, norm->mean.of) && same_type(editor, norm->mean.of, node.outputs[0]))
        finish(editor, &node, *norm, std::nullopt);
      else if (node.is("Mul"))
        from_scaled(editor, &node);
    } else if (node.is("Add") || node.is("Sub")) {
      from_batch_norm_form(editor, &node);
    }
  }
}

}  // namespace hayate
