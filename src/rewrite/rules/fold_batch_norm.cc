#include <cmath>

#include "rewrite/rules/rules.h"

namespace hayate {
namespace {

// BatchNormalization as y = x * scale + shift per channel; empty where a part is not constant.
bool scale_and_shift(Editor* editor, const Node& norm, std::vector<double>* scale, std::vector<double>* shift) {
  if (norm.get<int64_t>("training_mode", 0) != 0 || norm.inputs.size() < 5) return false;
  std::vector<double> parts[4];
  for (size_t i = 0; i < 4; ++i) {
    const Tensor* part = editor->constant(norm.inputs[i + 1]);
    if (part == nullptr || part->type() != Type::kFloat32) return false;
    parts[i] = to_doubles(*part);
  }
  const double epsilon = static_cast<double>(norm.get<float>("epsilon", 1e-5f));
  for (size_t c = 0; c < parts[0].size(); ++c) {
    scale->push_back(parts[0][c] / std::sqrt(parts[3][c] + epsilon));
    shift->push_back(parts[1][c] - parts[2][c] * scale->back());
  }
  return true;
}

}  // namespace

// Conv(x) * scale + shift = Conv with weights * scale and bias * scale + shift, per filter; Gemm alike, per column.
void fold_batch_norm(Editor* editor) {
  for (size_t i = 0; i < editor->node_count(); ++i) {
    Node& norm = editor->node(i);
    if (!norm.is("BatchNormalization")) continue;
    Node* before = editor->maker(norm.inputs[0]);
    std::vector<double> scale, shift;
    if (before == nullptr || editor->use_count(norm.inputs[0]) != 1 || !(before->is("Conv") || before->is("Gemm")) ||
        !scale_and_shift(editor, norm, &scale, &shift))
      continue;
    const Tensor *w = editor->constant(before->inputs[1]), *bias = editor->constant(before->input(2));
    const bool conv = before->is("Conv"), by_rows = conv || before->get<int64_t>("transB", 0) != 0;
    if (w == nullptr || w->type() != Type::kFloat32 ||
        (!before->input(2).empty() && (bias == nullptr || bias->count() != static_cast<int64_t>(scale.size()))))
      continue;
    if (!conv && (before->get<float>("alpha", 1) != 1 || before->get<float>("beta", 1) != 1)) continue;
    const int64_t filters = static_cast<int64_t>(scale.size());
    if (w->shape()[by_rows ? 0 : 1] != filters) continue;
    Tensor scaled(Type::kFloat32, w->shape()), shifted(Type::kFloat32, {filters});
    const int64_t per_filter = w->count() / filters;
    for (int64_t k = 0; k < w->count(); ++k) {
      const int64_t f = by_rows ? k / per_filter : k % filters;
      scaled.data<float>()[k] =
          static_cast<float>(static_cast<double>(w->data<float>()[k]) * scale[static_cast<size_t>(f)]);
    }
    for (int64_t f = 0; f < filters; ++f) {
      const size_t at = static_cast<size_t>(f);
      shifted.data<float>()[f] = static_cast<float>(
          (bias == nullptr ? 0 : static_cast<double>(bias->data<float>()[f])) * scale[at] + shift[at]);
    }
    const std::string name = norm.outputs[0];
    std::vector<std::string> inputs{before->inputs[0], editor->add_constant(before->inputs[1] + "/scaled", scaled),
                                    editor->add_constant(before->inputs[1] + "/shifted", shifted)};
    const std::string made = norm.inputs[0];
    if (!editor->replace(name, made)) continue;
    editor->set_inputs(before, inputs);
    editor->remove(&norm);
  }
}

}  // namespace hayate
