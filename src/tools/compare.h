// How far a result is from the one it should equal.
#pragma once

#include <string>

#include "tensor/tensor.h"

namespace hayate {

// The rule for float results: |got - wanted| <= relative * |wanted| + absolute. NaN equals NaN, infinity itself,
// and neither anything else. Integers and bools are equal or not.
struct Tolerance {
  double relative = 1e-5, absolute = 1e-6;
};

// Where only one of two is NaN, they are infinitely far apart: a NaN would get lost in comparisons and maxima.
struct Difference {
  double max_absolute = 0, max_relative = 0;
  int64_t outside = 0, count = 0;  // elements past the tolerance, of how many
  std::string shapes;              // not empty: the tensors differ in type or shape, said here
};

Difference difference(const Tensor& got, const Tensor& wanted, const Tolerance& tolerance);

}  // namespace hayate
