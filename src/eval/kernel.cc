#include "eval/kernel.h"

#include <algorithm>
#include <string>

#include "graph/halves.h"

namespace hayate {

Error index_error(const KernelContext& c, int64_t index, int64_t extent) {
  return c.error("index " + std::to_string(index) + " of '" + c.node.input(1) + "' is outside -" +
                 std::to_string(extent) + " to " + std::to_string(extent - 1));
}

Result<bool> call_kernel(Kernel kernel, const KernelContext& context) {
  const auto half = [](const Tensor* tensor) { return tensor != nullptr && is_half_float(tensor->type()); };
  const bool any = std::any_of(context.inputs.begin(), context.inputs.end(), half);
  if (!any || !widens_halves(context.node)) return kernel(context);
  std::vector<Tensor> inputs(context.inputs.size()), outputs(context.outputs.size());
  KernelContext wide{context.node, context.opset, context.inputs, context.outputs};
  for (size_t i = 0; i < inputs.size(); ++i)
    if (half(wide.inputs[i])) inputs[i] = halves_to_doubles(*wide.inputs[i]), wide.inputs[i] = &inputs[i];
  for (size_t i = 0; i < outputs.size(); ++i)
    if (half(wide.outputs[i]))
      outputs[i] = Tensor(Type::kFloat64, wide.outputs[i]->shape()), wide.outputs[i] = &outputs[i];
  const Result<bool> ran = kernel(wide);
  for (size_t i = 0; i < outputs.size(); ++i)
    if (half(context.outputs[i])) doubles_to_halves(outputs[i], context.outputs[i]);
  return ran;
}

}  // namespace hayate
