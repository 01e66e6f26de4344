// Where a value's elements lie: a strided window on a buffer. Transpose, Slice, Squeeze and most Reshapes only make
// views.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "tensor/tensor.h"

namespace hayate::native {

struct View {
  int buffer = -1;
  int64_t offset = 0;  // of the first element, in elements
  Type type = Type::kFloat32;
  Shape shape, strides;  // strides in elements; 0 repeats

  int64_t rank() const { return static_cast<int64_t>(shape.size()); }
  int64_t count() const;
};

Shape row_major(const Shape& shape);
bool is_row_major(const View& view);  // dense, last axis fastest; axes of extent 1 may have any stride

View transposed(const View& view, const std::vector<int64_t>& perm);
// Nothing where the new shape needs the elements moved.
std::optional<View> reshaped(const View& view, const Shape& shape);
// Missing leading axes and axes of extent 1 repeat. Requires: it broadcasts.
View broadcast_to(const View& view, const Shape& shape);

// A loop over several views of one shape at once, with as few dimensions as they allow, the innermost last. Dimensions
// are ordered by the strides of the first view.
struct Loop {
  Shape extents;               // at least one
  std::vector<Shape> strides;  // per view
};
Loop merged_loop(const std::vector<View>& views);

}  // namespace hayate::native
