// Kernels written once for both float types.
#pragma once

#include "hayate/result.h"
#include "tensor/tensor.h"

namespace hayate {

// Calls f.operator()<T>() for float32 or float64. Requires: `type` is one of them (16-bit floats reach such kernels as
// float64, see call_kernel).
template <typename F>
Result<bool> on_floats(Type type, F&& f) {
  if (type == Type::kFloat32)
    f.template operator()<float>();
  else
    f.template operator()<double>();
  return true;
}

// Nowhere where nobody asked for the tensor. Requires: floats.
inline void put(Tensor* tensor, int64_t i, double value) {
  if (tensor != nullptr)
    on_floats(tensor->type(), [&]<typename T>() { tensor->data<T>()[i] = static_cast<T>(value); }).value();
}

}  // namespace hayate
