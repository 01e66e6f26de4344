#include "rewrite/rules/rules.h"

namespace hayate {

// MatMul(x, w) + bias -> Gemm, for constant w [K, N] and bias [N]. Where x has more than two axes, the leading ones are
// merged around the Gemm by Reshape, which costs nothing on dense values.
void matmul_to_gemm(Editor* editor) {
  for (size_t i = 0; i < editor->node_count(); ++i) {
    Node& add = editor->node(i);
    if (!add.is("Add") || add.inputs.size() != 2) continue;
    for (const size_t side : {size_t{0}, size_t{1}}) {
      Node* product = editor->maker(add.inputs[side]);
      const Tensor* bias = editor->constant(add.inputs[1 - side]);
      if (product == nullptr || !product->is("MatMul") || bias == nullptr || bias->type() != Type::kFloat32 ||
          editor->use_count(add.inputs[side]) != 1)
        continue;
      const Tensor* w = editor->constant(product->inputs[1]);
      const TensorType *x = editor->type(product->inputs[0]), *y = editor->type(add.outputs[0]),
                       *made = editor->type(add.inputs[side]);
      if (w == nullptr || w->rank() != 2 || w->type() != Type::kFloat32 || x == nullptr || y == nullptr ||
          made == nullptr || x->shape.size() < 2 || !(*y == *made))
        continue;
      const int64_t k = w->shape()[0], n = w->shape()[1];
      if (k == 0 || checked_count(y->shape).value() == 0) continue;  // Reshape's -1 says nothing there
      if (bias->count() != n || bias->shape().empty() || bias->shape().back() != n) continue;
      const std::string flat_bias = editor->add_constant(add.inputs[1 - side] + "/row", bias->reshaped({n}));
      const std::string source = product->inputs[0], weights = product->inputs[1], base = add.outputs[0];
      Node gemm{add.name, "", "Gemm", {source, weights, flat_bias}, add.outputs, {{"alpha", 1.0f}, {"beta", 1.0f}}};
      editor->remove(product);
      if (x->shape.size() == 2) {
        editor->set_inputs(&add, gemm.inputs);
        add.op = "Gemm", add.attributes = gemm.attributes;
        break;
      }
      const std::string rows = editor->add_constant(base + "/rows", Tensor::of<int64_t>({2}, {-1, k}));
      const std::string whole =
          editor->add_constant(base + "/whole", Tensor::of<int64_t>({static_cast<int64_t>(y->shape.size())}, y->shape));
      gemm.inputs[0] = editor->insert_before(
          &add, {add.name + "/flat", "", "Reshape", {source, rows}, {editor->new_name(base + "/flat")}, {}});
      gemm.outputs = {editor->new_name(base + "/gemm")};
      const std::string result = editor->insert_before(&add, gemm);
      add.op = "Reshape", add.attributes.clear();
      editor->set_inputs(&add, {result, whole});
      break;
    }
  }
}

}  // namespace hayate
