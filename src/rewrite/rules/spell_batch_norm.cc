#include <algorithm>
#include <cmath>

#include "rewrite/rules/affine.h"
#include "rewrite/rules/rules.h"

namespace hayate {
namespace {

constexpr double kShiftMax = 4;  // beyond, x * scale and shift may cancel: the mean is taken off first

// A constant with the channels on axis 1 of `rank` axes.
std::string channels(Editor* editor, const std::string& base, const std::vector<double>& values, size_t rank) {
  Shape shape(rank - 1, 1);  // behind the batch
  shape[0] = static_cast<int64_t>(values.size());
  return editor->add_constant(base, floats_of(values).reshaped(shape));
}

std::string step(Editor* editor, const Node* before, const char* op, const std::string& x, const std::string& c) {
  const std::string base = before->outputs[0] + "/" + op;
  const std::string made = editor->insert_before(before, {base, "", op, {x, c}, {editor->new_name(base)}, {}});
  editor->set_type(made, TensorType(*editor->type(x)));
  return made;
}

}  // namespace

// BatchNormalization(x) = x * scale + shift, or (x - mean) * scale + bias where the shift is large.
void spell_batch_norm(Editor* editor) {
  for (size_t i = 0; i < editor->node_count(); ++i) {
    Node& norm = editor->node(i);
    const TensorType* type = norm.is("BatchNormalization") ? editor->type(norm.inputs[0]) : nullptr;
    if (type == nullptr || type->shape.size() < 2) continue;
    const std::optional<ChannelAffine> affine = channel_affine(editor, norm, 1);
    if (!affine) continue;
    const size_t rank = type->shape.size();
    const std::string base = norm.outputs[0];
    const bool far =
        std::any_of(affine->shift.begin(), affine->shift.end(), [](double v) { return std::fabs(v) > kShiftMax; });
    std::string x = norm.inputs[0];
    std::vector<double> shift = affine->shift;
    if (far) {
      x = step(editor, &norm, "Sub", x,
               channels(editor, base + "/mean", to_doubles(*editor->constant(norm.inputs[3])), rank));
      shift = to_doubles(*editor->constant(norm.inputs[2]));
    }
    const std::string scaled = step(editor, &norm, "Mul", x, channels(editor, base + "/scale", affine->scale, rank));
    editor->become(&norm, "Add", {scaled, channels(editor, base + "/shift", shift, rank)});
  }
}

}  // namespace hayate
