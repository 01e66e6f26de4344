// Loops that do nothing but load, or multiply and add, as fast as the core can: what measured peaks are made of.
#pragma once

#include <cstdint>

#include "kernels/vector/kernels.h"

namespace hayate::kernels {

struct PeakLoops {
  // Reads n floats (a multiple of 1024) once; the result only keeps the loop from being left out.
  float (*read)(const float* x, int64_t n);
  // `rounds` times multiply_add_macs() multiply-adds on registers.
  float (*multiply_add)(int64_t rounds);
  int64_t (*multiply_add_macs)();
};
PeakLoops peak_loops(Isa isa);

// The same on bf16 pairs and on bytes, where this processor multiplies those: null else.
struct NarrowLoop {
  float (*run)(int64_t rounds) = nullptr;
  int64_t macs = 0;  // a round
};
NarrowLoop bf16_loop();
NarrowLoop int8_loop();

}  // namespace hayate::kernels
