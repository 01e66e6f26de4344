#include "eval/widen.h"

#include <algorithm>
#include <deque>

namespace hayate {
namespace {

bool is_half(const Tensor* tensor) {
  return tensor != nullptr && (tensor->type() == Type::kFloat16 || tensor->type() == Type::kBFloat16);
}

Tensor widen(const Tensor& x) {
  Tensor y(Type::kFloat32, x.shape());
  const auto* bits = reinterpret_cast<const uint16_t*>(x.bytes());
  const auto from = x.type() == Type::kFloat16 ? float_from_half : float_from_bfloat;
  std::transform(bits, bits + x.count(), y.data<float>(), from);
  return y;
}

void narrow(const Tensor& x, Tensor* y) {
  const auto to = y->type() == Type::kFloat16 ? half_from_float : bfloat_from_float;
  std::transform(x.data<float>(), x.data<float>() + x.count(), reinterpret_cast<uint16_t*>(y->bytes()), to);
}

}  // namespace

Result<bool> run_widened(const KernelContext& c, Kernel kernel) {
  if (std::none_of(c.inputs.begin(), c.inputs.end(), is_half) &&
      std::none_of(c.outputs.begin(), c.outputs.end(), is_half))
    return kernel(c);
  std::deque<Tensor> wide;  // its elements stay in place while it grows
  KernelContext context{c.node, c.opset, c.inputs, c.outputs};
  for (const Tensor*& input : context.inputs)
    if (is_half(input)) input = &wide.emplace_back(widen(*input));
  for (Tensor*& output : context.outputs)
    if (is_half(output)) output = &wide.emplace_back(Type::kFloat32, output->shape());
  Result<bool> ran = kernel(context);
  if (!ran.ok()) return ran;
  for (size_t i = 0; i < c.outputs.size(); ++i)
    if (is_half(c.outputs[i])) narrow(*context.outputs[i], c.outputs[i]);
  return ran;
}

}  // namespace hayate
