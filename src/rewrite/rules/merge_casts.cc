#include "rewrite/rules/rules.h"

namespace hayate {
namespace {

// Whether every value of `from` is one of `to`.
bool holds_all(Type from, Type to) {
  if (from == to || from == Type::kBool) return true;
  const auto is = [&](Type a, Type b) { return from == a && to == b; };
  return is(Type::kFloat32, Type::kFloat64) || is(Type::kInt32, Type::kInt64) || is(Type::kInt32, Type::kFloat64) ||
         is(Type::kUInt8, Type::kInt32) || is(Type::kUInt8, Type::kInt64) || is(Type::kUInt8, Type::kFloat32) ||
         is(Type::kInt8, Type::kInt32) || is(Type::kInt8, Type::kInt64) || is(Type::kInt8, Type::kFloat32) ||
         is(Type::kFloat16, Type::kFloat32) || is(Type::kFloat16, Type::kFloat64) ||
         is(Type::kBFloat16, Type::kFloat32) || is(Type::kBFloat16, Type::kFloat64);
}

}  // namespace

// Cast(Cast(x, A), B) = Cast(x, B) where A holds every value of x's type.
void merge_casts(Editor* editor) {
  for (size_t i = 0; i < editor->node_count(); ++i) {
    Node& node = editor->node(i);
    if (!node.is("Cast")) continue;
    const Node* before = editor->maker(node.inputs[0]);
    if (before == nullptr || !before->is("Cast")) continue;
    const std::string source = before->inputs[0];
    const TensorType *from = editor->type(source), *through = editor->type(node.inputs[0]);
    if (from == nullptr || through == nullptr || !holds_all(from->type, through->type)) continue;
    editor->set_inputs(&node, {source});
  }
}

}  // namespace hayate
