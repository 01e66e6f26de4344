// 16-bit floats in kernels that compute in float32.
#pragma once

#include "eval/kernel.h"

namespace hayate {

// Runs `kernel` with every 16-bit float input widened to float32 and its float32 results rounded once to the types
// asked for. Calls it as it is where no input or output is a 16-bit float.
Result<bool> run_widened(const KernelContext& c, Kernel kernel);

template <Kernel kKernel>
Result<bool> widened(const KernelContext& c) {
  return run_widened(c, kKernel);
}

// Calls f.operator()<T>() for float32 or float64. Requires: `type` is one of them (16-bit floats have been widened).
template <typename F>
Result<bool> on_floats(Type type, F&& f) {
  if (type == Type::kFloat32)
    f.template operator()<float>();
  else
    f.template operator()<double>();
  return true;
}

}  // namespace hayate
