// Recurrent layers on several threads. Layers one behind the other that walk the same way: while one takes its next
// steps, the layer behind it takes those that it has made. The two directions of one layer: each is a thread's own.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "backends/native/program.h"

namespace hayate::native {

constexpr int kPipelinedMax = 8;      // layers
constexpr size_t kPipelinesMax = 64;  // of a program: Bases::pipelines has a bit for each

// Where nobody helps, or it is no quicker than to share each step, the steps run in their order.
struct PipelineArgs {
  // A layer: the narrowing of its input, where there is one, its projections, its recurrence; the first's that alone.
  // Projections stay with the thread that made them: to fetch them from another core takes longer than they do. Of two
  // directions: the projections and the recurrence of one.
  struct Stage {
    std::vector<Step> steps;
    // Of a step in time, as if of float32; behind each other where the state is multiplied twice.
    int64_t input_macs = 0;
    std::array<int64_t, 2> state_macs = {};
  };
  std::vector<Stage> stages;
  int64_t time = 0, rows = 0;   // steps in time, and rows of each
  int64_t chunk = 0;            // steps in time that a stage takes at a turn
  bool reverse = false;         // layers walk from the last step in time to the first
  size_t place = 0;             // among those of the program
  void (*release)() = nullptr;  // as Program has it: a helper calls it too
};
bool run_pipeline(const Step& step, Bases bases);
bool run_directions(const Step& step, Bases bases);

// What each way takes on so many threads, in multiply-adds of a single row; a hand-over is about `piece_macs` of them,
// for by that many more each two threads gain.
int64_t pipelined_cost(const PipelineArgs& args, int threads, int64_t piece_macs);
int64_t directions_cost(const PipelineArgs& args, int64_t piece_macs);
int64_t shared_cost(const PipelineArgs& args, int threads, int64_t piece_macs);

// Bases::pipelines: those of the program that are quicker so than by sharing each step.
uint64_t quicker_pipelines(const Program& program, int threads, int64_t piece_macs);

}  // namespace hayate::native
