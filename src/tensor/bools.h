// Bools that came from a file.
#pragma once

#include "tensor/tensor.h"

namespace hayate {

// Bytes of a bool tensor become 0 or 1: any other would be undefined behaviour later. Other types stay as they are.
inline void clean_bools(Tensor* tensor) {
  if (tensor->type() != Type::kBool) return;
  for (int64_t i = 0; i < tensor->count(); ++i) tensor->bytes()[i] = std::byte{tensor->bytes()[i] != std::byte{0}};
}

}  // namespace hayate
