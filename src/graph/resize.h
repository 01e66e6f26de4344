// How Resize and Upsample map the places of their output to those of their input: what the rule and the kernel share.
#pragma once

#include "graph/op_table.h"

namespace hayate {

enum class Coordinates {
  kHalfPixel,
  kHalfPixelSymmetric,
  kPytorchHalfPixel,
  kAlignCorners,
  kAsymmetric,
  kCropAndResize,
  kHalfPixelForNearest  // tf_half_pixel_for_nn of opset 11
};
enum class Interpolation { kNearest, kLinear, kCubic };
enum class Nearest { kRoundPreferFloor, kRoundPreferCeil, kFloor, kCeil, kCeilIfShrunk };

// One axis: `output` places sampled from `input` ones.
struct ResizedAxis {
  int64_t input = 0, output = 0;
  double scale = 1;
  double roi_start = 0, roi_end = 1;  // of kCropAndResize
};
struct Resizing {
  std::vector<ResizedAxis> axes;
  Interpolation mode = Interpolation::kNearest;
  Coordinates coordinates = Coordinates::kHalfPixel;
  Nearest nearest = Nearest::kRoundPreferFloor;
  bool antialias = false, exclude_outside = false;
  double cubic_a = -0.75, extrapolation = 0;

  Shape output() const;
};

// From the attributes and the contents of roi, scales and sizes (null: left out). Errors where they do not fit `input`.
Result<Resizing> resizing_of(const Node& node, int64_t opset, const Shape& input, const Tensor* roi,
                             const Tensor* scales, const Tensor* sizes);

// Where roi, scales and sizes stand among the inputs of Resize or Upsample; SIZE_MAX: nowhere.
struct ResizeInputs {
  size_t roi, scales, sizes;
};
ResizeInputs resize_inputs(const Node& node, int64_t opset);

}  // namespace hayate
