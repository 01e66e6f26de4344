#include "backends/native/pipeline.h"

#include <algorithm>
#include <atomic>

#include "backends/native/steps.h"
#include "base/pause.h"

namespace hayate::native {
namespace {

// Steps `first` to `last - 1` of the layers' walk.
void run_part(const PipelineArgs& args, const Step& step, Bases bases, int64_t first, int64_t last) {
  if (is_recurrence(step.run)) return run_recurrence_part(step, bases, first, last);
  const int64_t begin = (args.reverse ? args.time - last : first) * args.rows,
                end = (args.reverse ? args.time - first : last) * args.rows;
  if (step.run == run_narrow) return run_narrow_rows(step, bases, begin, end, args.time * args.rows);
  if (step.run == run_dense) return run_dense_rows(step, bases, begin, end);
  run_narrow_dense_rows(step, bases, begin, end);
}

int64_t turns_of(const PipelineArgs& args) { return (args.time + args.chunk - 1) / args.chunk; }
int workers_of(const PipelineArgs& args, int threads) {
  return std::min(threads, static_cast<int>(args.stages.size()));
}

// Those of a thread that nobody helps.
Bases alone(Bases bases) {
  bases.team = nullptr;
  return bases;
}

// How far a stage is. Who takes its next turn holds it meanwhile.
struct alignas(64) Progress {
  std::atomic<int64_t> done = 0;  // turns
  std::atomic<bool> held = false;
};

class Pipeline {
 public:
  Pipeline(const PipelineArgs& args, Bases bases, int workers)
      : args_(args),
        bases_(alone(bases)),
        stages_(static_cast<int>(args.stages.size())),
        turns_(turns_of(args)),
        each_its_own_(workers == stages_) {}

  // Takes turns until all are taken and done; any number of threads at once, and one alone comes through too.
  void work() noexcept {
    int own = -1;
    const auto done = [&] { return progress_[stages_ - 1].done.load(std::memory_order_acquire) == turns_; };
    const auto somebody_can = [&] {
      for (int stage = 0; stage < stages_; ++stage)
        if (can_go_on(stage) && !progress_[stage].held.load(std::memory_order_relaxed)) return true;
      return false;
    };
    while (!done()) {
      // Who has run a stage stays with it, and its weights in his cache; else the deepest that can go on.
      bool taken = own >= 0 && each_its_own_ && take(own);
      for (int stage = stages_ - 1; stage >= 0 && !taken; --stage)
        if (take(stage)) taken = true, own = stage;
      if (!taken) wait_until([&] { return done() || somebody_can(); });
    }
  }

 private:
  bool can_go_on(int stage) const {
    const int64_t done = progress_[stage].done.load(std::memory_order_acquire);
    return done < turns_ && (stage == 0 || progress_[stage - 1].done.load(std::memory_order_acquire) > done);
  }
  bool take(int stage) {
    Progress& progress = progress_[stage];
    if (!can_go_on(stage) || progress.held.exchange(true, std::memory_order_acquire)) return false;
    const bool goes_on = can_go_on(stage);  // now that nobody else moves it
    if (goes_on) {
      const int64_t done = progress.done.load(std::memory_order_relaxed), first = done * args_.chunk;
      for (const Step& step : args_.stages[static_cast<size_t>(stage)].steps)
        run_part(args_, step, bases_, first, std::min(args_.time, first + args_.chunk));
      progress.done.store(done + 1, std::memory_order_release);
    }
    progress.held.store(false, std::memory_order_release);
    return goes_on;
  }

  const PipelineArgs& args_;
  const Bases bases_;  // nobody shares a turn's steps
  const int stages_;
  const int64_t turns_;
  const bool each_its_own_;  // there is a thread for every stage
  Progress progress_[kPipelinedMax];
};

// Many rows multiply some three times as fast as one.
constexpr int64_t kFewRows = 4, kSpeedOfMany = 3;

// What a core's cache of its own holds of weights, as floats. Those beyond it come from a cache that cores share when
// they are read again, which takes as long again as so many multiply-adds.
constexpr int64_t kOwnFloats = 327'680, kFarMacs = 2;
int64_t beyond_own(int64_t floats) { return kFarMacs * std::max<int64_t>(floats - kOwnFloats, 0); }

int64_t state_macs_of(const PipelineArgs::Stage& stage) { return stage.state_macs[0] + stage.state_macs[1]; }

// Of a stage whose thread runs nothing else.
int64_t cost_of(const PipelineArgs& args, const PipelineArgs::Stage& stage) {
  const int64_t step = state_macs_of(stage);
  return (stage.input_macs / kSpeedOfMany + (args.rows >= kFewRows ? step / kSpeedOfMany : step) +
          beyond_own(step / args.rows)) *
         args.time;
}

// The same turn by turn, each of which reads the weights of projections and recurrence.
int64_t cost_in_turns(const PipelineArgs& args, const PipelineArgs::Stage& stage) {
  const int64_t beyond = beyond_own((stage.input_macs + state_macs_of(stage)) / args.rows);
  return cost_of(args, stage) + (beyond == 0 ? 0 : (kFarMacs * stage.input_macs / args.rows + beyond) * turns_of(args));
}

bool is_chosen(const PipelineArgs& args, Bases bases) { return (bases.pipelines >> args.place & 1) != 0; }

bool run_in_order(const PipelineArgs& args, Bases bases) {
  for (const PipelineArgs::Stage& stage : args.stages)
    for (const Step& step : stage.steps)
      if (!step.run(step, bases)) return false;
  return true;
}

}  // namespace

int64_t pipelined_cost(const PipelineArgs& args, int threads, int64_t piece_macs) {
  const int64_t turns = turns_of(args);
  int64_t all = 0, longest = 0;
  for (const PipelineArgs::Stage& stage : args.stages) all += cost_in_turns(args, stage);
  // A stage goes on turn by turn, behind the first turn of those before it and before the last of those behind it.
  for (const PipelineArgs::Stage& stage : args.stages)
    longest = std::max(longest, cost_in_turns(args, stage) + (all - cost_in_turns(args, stage)) / turns);
  return std::max(longest, all / workers_of(args, threads) + all / turns / 2) + turns * piece_macs / 2;
}

int64_t directions_cost(const PipelineArgs& args, int64_t piece_macs) {
  int64_t longest = 0;
  for (const PipelineArgs::Stage& stage : args.stages) longest = std::max(longest, cost_of(args, stage));
  return longest + piece_macs;
}

int64_t shared_cost(const PipelineArgs& args, int threads, int64_t piece_macs) {
  const auto shared = [&](int64_t macs, bool many) {
    const int64_t pieces = std::min<int64_t>(threads, macs / piece_macs), cost = many ? macs / kSpeedOfMany : macs;
    return pieces < 2 ? cost : cost / pieces + piece_macs;
  };
  int64_t all = 0;
  for (const PipelineArgs::Stage& stage : args.stages) {
    all += shared(stage.input_macs * args.time, true);
    for (const int64_t macs : stage.state_macs) all += shared(macs, args.rows >= kFewRows) * args.time;
    const int64_t macs = state_macs_of(stage), pieces = std::clamp<int64_t>(macs / piece_macs, 1, threads);
    all += beyond_own(macs / args.rows / pieces) * args.time;
  }
  return all;
}

uint64_t quicker_pipelines(const Program& program, int threads, int64_t piece_macs) {
  uint64_t quicker = 0;
  for (const Step& step : program.steps) {
    if (threads < 2 || (step.run != run_pipeline && step.run != run_directions)) continue;
    const auto& args = step.as<PipelineArgs>();
    const int64_t cost =
        step.run == run_pipeline ? pipelined_cost(args, threads, piece_macs) : directions_cost(args, piece_macs);
    if (cost < shared_cost(args, threads, piece_macs)) quicker |= uint64_t{1} << args.place;
  }
  return quicker;
}

bool run_pipeline(const Step& step, Bases bases) {
  const auto& args = step.as<PipelineArgs>();
  if (!is_chosen(args, bases)) return run_in_order(args, bases);
  const int workers = workers_of(args, bases.team->threads());
  Pipeline pipeline(args, bases, workers);
  bases.team->run(workers, [&](int) {
    pipeline.work();
    if (args.release != nullptr) args.release();
  });
  return true;
}

bool run_directions(const Step& step, Bases bases) {
  const auto& args = step.as<PipelineArgs>();
  if (!is_chosen(args, bases)) return run_in_order(args, bases);
  bases.team->run(static_cast<int>(args.stages.size()), [&](int direction) {
    for (const Step& each : args.stages[static_cast<size_t>(direction)].steps) each.run(each, alone(bases));
    if (args.release != nullptr) args.release();
  });
  return true;
}

}  // namespace hayate::native
