#include "rewrite/rules/affine.h"

#include <algorithm>
#include <cmath>

namespace hayate {

bool ChannelAffine::shifts() const {
  return std::any_of(shift.begin(), shift.end(), [](double v) { return v != 0; });
}

namespace {

std::optional<ChannelAffine> batch_norm_affine(Editor* editor, const Node& norm) {
  if (norm.get<int64_t>("training_mode", 0) != 0 || norm.inputs.size() < 5) return std::nullopt;
  std::vector<double> parts[4];  // scale, bias, mean, variance
  for (size_t i = 0; i < 4; ++i) {
    const Tensor* part = editor->constant(norm.inputs[i + 1]);
    if (part == nullptr || part->type() != Type::kFloat32) return std::nullopt;
    parts[i] = to_doubles(*part);
  }
  const double epsilon = static_cast<double>(norm.get<float>("epsilon", 1e-5f));
  ChannelAffine made{norm.inputs[0], {}, {}};
  for (size_t c = 0; c < parts[0].size(); ++c) {
    made.scale.push_back(parts[0][c] / std::sqrt(parts[3][c] + epsilon));
    made.shift.push_back(parts[1][c] - parts[2][c] * made.scale.back());
  }
  return made;
}

}  // namespace

std::optional<ChannelAffine> channel_affine(Editor* editor, const Node& node, int64_t axis) {
  if (!node.domain.empty() || node.inputs.empty() || node.outputs.empty()) return std::nullopt;
  if (node.get<int64_t>("apart", 0) != 0) return std::nullopt;  // a stream's mean, which is rounded as a full window's
  const TensorType* out = editor->type(node.outputs[0]);
  if (out == nullptr || out->type != Type::kFloat32 || axis < 0 || axis >= static_cast<int64_t>(out->shape.size()))
    return std::nullopt;
  if (node.op == "BatchNormalization") return axis == 1 ? batch_norm_affine(editor, node) : std::nullopt;
  const size_t channels = static_cast<size_t>(out->shape[static_cast<size_t>(axis)]);
  const std::vector<double> ones(channels, 1.0), zeros(channels, 0.0);
  if (node.op == "Neg") return ChannelAffine{node.inputs[0], std::vector<double>(channels, -1.0), zeros};
  if (node.inputs.size() != 2 || !(node.op == "Mul" || node.op == "Div" || node.op == "Add" || node.op == "Sub"))
    return std::nullopt;
  const size_t side = editor->constant(node.inputs[1]) != nullptr ? 1 : 0;
  const std::string& of = node.inputs[1 - side];
  std::optional<std::vector<double>> c = per_channel(editor, node.inputs[side], out->shape, axis);
  if (!c || editor->constant(of) != nullptr || !same_type(editor, of, node.outputs[0])) return std::nullopt;
  if (node.op == "Mul") return ChannelAffine{of, *c, zeros};
  if (node.op == "Add") return ChannelAffine{of, ones, *c};
  if (node.op == "Sub") {
    if (side == 0) return ChannelAffine{of, std::vector<double>(channels, -1.0), *c};
    for (double& v : *c) v = -v;
    return ChannelAffine{of, ones, *c};
  }
  if (side == 0 || std::count(c->begin(), c->end(), 0.0) != 0) return std::nullopt;
  for (double& v : *c) v = 1 / v;
  return ChannelAffine{of, *c, zeros};
}

std::optional<Weighted> weighted(Editor* editor, const Node& node) {
  const bool conv = node.is("Conv"), gemm = node.is("Gemm");
  if (!conv && !gemm && !node.is("MatMul")) return std::nullopt;
  const Tensor *w = editor->constant(node.inputs[1]), *bias = editor->constant(node.input(2));
  if (w == nullptr || w->type() != Type::kFloat32 || (!conv && w->rank() != 2) || w->count() == 0 ||
      editor->constant(node.inputs[0]) != nullptr || (!node.input(2).empty() && bias == nullptr))
    return std::nullopt;
  Weighted made{to_doubles(*w), w->shape(), {}, conv || (gemm && node.get<int64_t>("transB", 0) != 0)};
  made.bias.assign(made.outputs(), 0.0);
  if (bias != nullptr) {
    const int64_t count = bias->count(), n = static_cast<int64_t>(made.outputs());
    if (bias->type() != Type::kFloat32 || (count != 1 && count != n) ||
        (count == n && count != 1 && bias->shape().back() != n))
      return std::nullopt;
    const std::vector<double> values = to_doubles(*bias);
    for (size_t i = 0; i < made.bias.size(); ++i) made.bias[i] = values[count == 1 ? 0 : i];
  }
  if (gemm) {
    for (double& v : made.w) v *= static_cast<double>(node.get<float>("alpha", 1));
    for (double& v : made.bias) v *= static_cast<double>(node.get<float>("beta", 1));
  }
  return made;
}

bool can_hold_bias(Editor* editor, const Node& node) {
  const TensorType* x = editor->type(node.inputs[0]);
  return !node.is("MatMul") || (x != nullptr && x->shape.size() == 2);
}

void set_weights(Editor* editor, Node* node, const Weighted& weights) {
  const std::string base = node->inputs[1];
  std::vector<std::string> inputs{node->inputs[0],
                                  editor->add_constant(base + "/scaled", floats_of(weights.w).reshaped(weights.shape))};
  const bool biased = std::any_of(weights.bias.begin(), weights.bias.end(), [](double v) { return v != 0; });
  if (biased) inputs.push_back(editor->add_constant(base + "/shifted", floats_of(weights.bias)));
  std::map<std::string, Attribute> attributes = node->attributes;
  if (node->is("Gemm")) attributes["alpha"] = 1.0f, attributes["beta"] = 1.0f;
  editor->become(node, node->is("MatMul") && biased ? "Gemm" : std::string(node->op), inputs, attributes);
}

}  // namespace hayate
