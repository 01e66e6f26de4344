// Where buffers lie in one arena: those that live at the same time never overlap.
#pragma once

#include <cstdint>
#include <vector>

namespace hayate::native {

constexpr int64_t kAlign = 64;  // bytes

struct Lifetime {
  int64_t bytes = 0, first = 0, last = 0;  // the steps that touch it, first <= last
  int64_t place = -1;                      // the answer: bytes from the arena's start, a multiple of kAlign
};

// First fit over the places that are free while a buffer lives, large buffers first. n buffers take about n log n and a
// look at every pair that lives together; past kPairsMax of those (a file may make all live together) what is left lies
// behind everything else. Gives the arena's bytes.
constexpr int64_t kPairsMax = int64_t{1} << 23;
int64_t place(std::vector<Lifetime>* buffers, int64_t pairs_max = kPairsMax);

}  // namespace hayate::native
