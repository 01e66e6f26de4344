// Recurrent layers one behind the other, on several threads: while one layer takes its next steps, the layer behind it
// takes those that it has made.
#pragma once

#include <cstdint>
#include <vector>

#include "backends/native/program.h"

namespace hayate::native {

constexpr int kPipelinedMax = 8;  // layers

// The steps of layers, each run in order where nobody helps: of the first its recurrence alone; of each that follows
// the narrowing of its input, where there is one, its projections, its recurrence.
struct PipelineArgs {
  struct Layer {
    std::vector<Step> steps;
  };
  std::vector<Layer> layers;
  int64_t time = 0, rows = 0;   // steps in time, and rows of each
  int64_t chunk = 0;            // steps in time that a layer takes at a turn
  int64_t macs = 0;             // of the smallest layer's turn, as if of float32
  void (*release)() = nullptr;  // as Program has it: a helper calls it too
};
bool run_pipeline(const Step& step, Bases bases);

}  // namespace hayate::native
