// What the kernels of ai.onnx.ml share: rows, and their elements as float32, in which all but the trees compute.
#pragma once

#include <algorithm>
#include <vector>

#include "tensor/tensor.h"

namespace hayate {

inline int64_t row_count(const Tensor& x) { return x.rank() == 1 ? 1 : x.shape()[0]; }

inline std::vector<float> floats_of(const Tensor& x) {
  std::vector<float> out(x.count());
  visit_type(x.type(), [&]<typename T>() {
    std::transform(x.data<T>(), x.data<T>() + x.count(), out.begin(), [](T v) { return static_cast<float>(v); });
  });
  return out;
}

}  // namespace hayate
