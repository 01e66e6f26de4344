// Recurrent layers one behind the other, on several threads: while one layer takes its next steps, the layer behind it
// takes those that it has made.
#pragma once

#include <cstdint>
#include <vector>

#include "backends/native/program.h"

namespace hayate::native {

constexpr int kPipelinedMax = 8;  // layers

// Where nobody helps, or it is no quicker than to share each step, the steps run in their order.
struct PipelineArgs {
  // A layer: the narrowing of its input, where there is one, its projections, its recurrence; the first's that alone.
  // Projections stay with the thread that made them: to fetch them from another core takes longer than they do.
  struct Stage {
    std::vector<Step> steps;
    int64_t input_macs = 0, step_macs = 0;  // of a step in time, as if of float32
  };
  std::vector<Stage> stages;
  int64_t time = 0, rows = 0;   // steps in time, and rows of each
  int64_t chunk = 0;            // steps in time that a stage takes at a turn
  void (*release)() = nullptr;  // as Program has it: a helper calls it too
};
bool run_pipeline(const Step& step, Bases bases);

// What either takes on so many threads, in multiply-adds of a single row; a hand-over is about `piece_macs` of them,
// for by that many more each two threads gain.
int64_t pipelined_cost(const PipelineArgs& args, int threads, int64_t piece_macs);
int64_t shared_cost(const PipelineArgs& args, int threads, int64_t piece_macs);

}  // namespace hayate::native
