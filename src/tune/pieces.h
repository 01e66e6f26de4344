// From what size on a step is worth sharing with another core of this machine: measured, for only that tells whether
// two processors are two cores or two threads of one, and what a hand-off costs while both work.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace hayate {

// One size that was tried: multiply-adds of each of two pieces, and the time of one thread over that of two.
struct SharedSize {
  int64_t piece_macs = 0;
  double gain = 0;
};

// Chains of dense layers by this engine, alone and shared, in turns; the smaller sizes first. Takes about half a
// second; empty where the process may use one core. `progress` is told the share done.
std::vector<SharedSize> measure_shared_sizes(int cores, const std::function<void(double)>& progress = {});

// What Plan::piece_macs should be: the size from which on every one gained 5 % at least; 0: the largest did not.
int64_t piece_macs_of(const std::vector<SharedSize>& sizes);

}  // namespace hayate
