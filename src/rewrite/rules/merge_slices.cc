#include "rewrite/rules/rules.h"

namespace hayate {
namespace {

// Start, step and count of each axis (three numbers each); empty where an input is not known before the run.
std::vector<int64_t> ranges_of(Editor* editor, const Node& node) {
  const TensorType* type = editor->type(node.inputs[0]);
  std::optional<std::vector<int64_t>> given[4];
  for (size_t i = 0; i < 4; ++i) {
    const std::string& name = node.input(i + 1);
    if (name.empty()) continue;
    const Tensor* tensor = editor->constant(name);
    if (tensor == nullptr) return {};
    given[i] = to_int64s(*tensor);
  }
  if (type == nullptr || !given[0] || !given[1]) return {};
  std::vector<int64_t> ranges = slice_ranges(type->shape, *given[0], *given[1], given[2], given[3]);
  for (size_t k = 0; k < ranges.size(); k += 3)
    if (ranges[k + 2] == 1) ranges[k + 1] = 1;  // a step to nowhere
  return ranges;
}

}  // namespace

// x[s1 + i d1][s2 + i d2] = x[s1 + s2 d1 + i d1 d2] on every axis, for forward steps.
void merge_slices(Editor* editor) {
  for (size_t i = 0; i < editor->node_count(); ++i) {
    Node& node = editor->node(i);
    if (!node.is("Slice") || node.inputs.size() < 3) continue;  // before opset 10 ranges are attributes
    const Node* before = editor->maker(node.inputs[0]);
    if (before == nullptr || !before->is("Slice") || before->inputs.size() < 3) continue;
    const std::vector<int64_t> first = ranges_of(editor, *before), second = ranges_of(editor, node);
    if (first.empty() || second.empty() || first.size() != second.size()) continue;
    std::vector<int64_t> starts, ends, axes, steps;
    bool forward = true;
    for (size_t k = 0; k < first.size(); k += 3) {
      const int64_t start = first[k] + second[k] * first[k + 1], step = first[k + 1] * second[k + 1];
      forward = forward && first[k + 1] > 0 && second[k + 1] > 0 && second[k + 2] > 0;
      starts.push_back(start), steps.push_back(step), axes.push_back(static_cast<int64_t>(k / 3));
      ends.push_back(start + (second[k + 2] - 1) * step + 1);
    }
    if (!forward) continue;
    const auto constant = [&](const char* what, const std::vector<int64_t>& values) {
      return editor->add_constant(node.outputs[0] + what,
                                  Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values));
    };
    editor->set_inputs(&node, {before->inputs[0], constant("/starts", starts), constant("/ends", ends),
                               constant("/axes", axes), constant("/steps", steps)});
  }
}

}  // namespace hayate
