// Windows that slide over an image's spatial axes: what Conv, ConvTranspose and the pools share.
#pragma once

#include "graph/op_table.h"

namespace hayate {

// One window of `rank` spatial axes; every list has `rank` extents. pads_end follows pads_begin.
struct Window {
  Shape kernel, stride, dilation, pads_begin, pads_end, input, output;
};

// The window of a Conv or pool over `spatial`. Resolves auto_pad and ceil_mode; errors where the attributes do not fit.
Result<Window> sliding_window(const Node& node, const Shape& spatial, const Shape& kernel);
// The window of a ConvTranspose (its output may be given by output_shape).
Result<Window> transposed_window(const Node& node, const Shape& spatial, const Shape& kernel);
// The shape that MaxUnpool gives back to what a MaxPool with the same attributes made, and that its indices count in.
Result<Shape> unpooled_shape(const Node& node, const Shape& pooled);

}  // namespace hayate
