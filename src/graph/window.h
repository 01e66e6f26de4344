// Windows that slide over an image's spatial axes: what Conv, ConvTranspose and the pools share.
#pragma once

#include "graph/op_table.h"

namespace hayate {

// One window of `rank` spatial axes; every list has `rank` extents. pads_end follows pads_begin.
struct Window {
  Shape kernel, stride, dilation, pads_begin, pads_end, input, output;
};

// Taps of a kernel along one of its axes.
struct Taps {
  size_t axis = 0;
  int64_t first = 0, count = 0;
};
// Whether it is one of the two parts that a Conv is in a stream, hayate.ConvBegin or ConvEnd.
bool is_conv_part(const Node& node);
// Those of the whole kernel that a node multiplies: all, but of a hayate.ConvBegin the first `taps` along `axis` (of
// x), and of a ConvEnd the others.
Taps taps_of(const Node& node, const Shape& kernel);

// The window of a Conv, one of its parts, or pool over `spatial`, `kernel` being the whole's. Resolves auto_pad and
// ceil_mode; errors where the attributes do not fit.
Result<Window> sliding_window(const Node& node, const Shape& spatial, const Shape& kernel);
// The window of a ConvTranspose (its output may be given by output_shape).
Result<Window> transposed_window(const Node& node, const Shape& spatial, const Shape& kernel);
// The shape that MaxUnpool gives back to what a MaxPool with the same attributes made, and that its indices count in.
Result<Shape> unpooled_shape(const Node& node, const Shape& pooled);

}  // namespace hayate
