// Axes through operators that only give elements another shape.
#pragma once

#include <cstdint>
#include <optional>

#include "tensor/tensor.h"

namespace hayate {

// Where axis `axis` of shape `from` lies in shape `to` of the same elements in order; nothing where it is merged with
// another, or cut.
inline std::optional<int64_t> kept_axis(const Shape& from, const Shape& to, int64_t axis) {
  int64_t before = 1, at = 1;
  for (int64_t i = 0; i < axis; ++i) before *= from[static_cast<size_t>(i)];
  for (size_t i = 0; i < to.size(); ++i) {
    if (at == before && to[i] == from[static_cast<size_t>(axis)]) return static_cast<int64_t>(i);
    at *= to[i];
  }
  return std::nullopt;
}

}  // namespace hayate
