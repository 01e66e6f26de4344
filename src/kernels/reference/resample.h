// Resampling one axis at a time: each output place is a weighted sum of places of the input.
#pragma once

#include <cstdint>
#include <vector>

namespace hayate::kernels::reference {

// Where one output place is read: `places` inside the input and their weights; outside: nowhere, the caller's value.
struct Taps {
  std::vector<int64_t> places;
  std::vector<double> weights;
  bool outside = false;
};

// Weights of the neighbours of a coordinate that lies `ratio`, in (0, 1], behind a place; that place has the last
// weight of the first half. `stretch`, at most 1: the filter is made 1 / stretch times as wide, which smooths what is
// shrunk.
std::vector<double> linear_weights(double ratio, double stretch);
std::vector<double> cubic_weights(double ratio, double stretch, double a);

// The taps around coordinate x of an input of `extent` places. Places outside count as the edge, or not at all where
// they are excluded (the weights then sum to 1 again).
Taps taps_around(double x, int64_t extent, std::vector<double> weights, bool exclude_outside);

// y [outer, taps.size(), inner] from x [outer, extent, inner]. Taps outside give 0.
void resample(const std::vector<Taps>& taps, int64_t outer, int64_t extent, int64_t inner, const double* x, double* y);

}  // namespace hayate::kernels::reference
