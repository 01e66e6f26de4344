#include <cmath>
#include <limits>

#include "rewrite/pattern.h"
#include "rewrite/rules/rules.h"

namespace hayate {
namespace {

constexpr double kLargest = std::numeric_limits<float>::max();  // where Clip cuts, infinity too, without a bound

struct Bounds {
  std::string of;
  double low = -std::numeric_limits<double>::infinity(), high = -low;
};

// What the node cuts off its input, where it is Min or Max with a number, Relu, or Clip of numbers.
std::optional<Bounds> bounds_of(Editor* editor, const Node& node) {
  if (node.inputs.empty() || !node.domain.empty()) return std::nullopt;
  Bounds bounds{node.inputs[0]};
  if (node.op == "Relu") {
    bounds.low = 0;
  } else if (node.op == "Clip") {
    bounds.low = -kLargest, bounds.high = kLargest;
    for (const size_t i : {size_t{1}, size_t{2}}) {
      const char* name = i == 1 ? "min" : "max";
      double& bound = i == 1 ? bounds.low : bounds.high;
      if (node.attributes.contains(name)) bound = static_cast<double>(node.get<float>(name, 0));
      if (node.input(i).empty()) continue;
      const std::optional<double> given = editor->number(node.input(i));
      if (!given) return std::nullopt;
      bound = *given;
    }
  } else if ((node.op == "Min" || node.op == "Max") && node.inputs.size() == 2) {
    const size_t side = editor->number(node.inputs[1]) ? 1 : 0;
    const std::optional<double> given = editor->number(node.inputs[side]);
    if (!given) return std::nullopt;
    bounds.of = node.inputs[1 - side];
    (node.op == "Max" ? bounds.low : bounds.high) = *given;
  } else {
    return std::nullopt;
  }
  const bool usable = editor->constant(bounds.of) == nullptr && same_type(editor, bounds.of, node.outputs[0]) &&
                      editor->type(bounds.of)->type == Type::kFloat32 && !std::isnan(bounds.low) &&
                      !std::isnan(bounds.high);
  return usable ? std::optional(bounds) : std::nullopt;
}

void write(Editor* editor, Node* node, const Bounds& bounds) {
  if (bounds.low == 0 && std::isinf(bounds.high)) return editor->become(node, "Relu", {bounds.of});
  if (editor->graph().opset < 11) {
    std::map<std::string, Attribute> attributes;
    if (bounds.low != -kLargest) attributes["min"] = static_cast<float>(bounds.low);
    if (bounds.high != kLargest) attributes["max"] = static_cast<float>(bounds.high);
    return editor->become(node, "Clip", {bounds.of}, attributes);
  }
  const auto constant = [&](const char* what, double value) {
    return std::fabs(value) == kLargest
               ? std::string()
               : editor->add_constant(node->outputs[0] + what, Tensor::of<float>({}, {static_cast<float>(value)}));
  };
  editor->become(node, "Clip", {bounds.of, constant("/low", bounds.low), constant("/high", bounds.high)});
}

}  // namespace

// min(max(x, a), b) = Clip(x, a, b) where a <= b; max(x, 0) = Relu(x); Clip of Clip cuts at the narrower bounds.
void recognise_clip(Editor* editor) {
  for (size_t i = 0; i < editor->node_count(); ++i) {
    Node& node = editor->node(i);
    const std::optional<Bounds> outer = bounds_of(editor, node);
    if (!outer) continue;
    const bool spelled = node.op == "Min" || node.op == "Max";
    const Node* before = editor->only_reader(outer->of) == nullptr ? nullptr : editor->maker(outer->of);
    const std::optional<Bounds> inner = before == nullptr ? std::nullopt : bounds_of(editor, *before);
    if (inner && inner->low <= outer->high && outer->low <= inner->high)
      write(editor, &node, {inner->of, std::fmax(inner->low, outer->low), std::fmin(inner->high, outer->high)});
    else if (spelled)
      write(editor, &node, *outer);
  }
}

}  // namespace hayate
