#include "backends/native/pipeline.h"

#include <algorithm>
#include <atomic>

#include "backends/native/steps.h"
#include "base/pause.h"

namespace hayate::native {
namespace {

// Steps `first` to `last - 1` of `time` in time, of so many rows each.
void run_part(const Step& step, Bases bases, int64_t first, int64_t last, int64_t time, int64_t rows) {
  if (step.run == run_recurrent) return run_recurrent_part(step, bases, first, last);
  if (step.run == run_narrow) return run_narrow_rows(step, bases, first * rows, last * rows, time * rows);
  if (step.run == run_dense) return run_dense_rows(step, bases, first * rows, last * rows);
  run_narrow_dense_rows(step, bases, first * rows, last * rows);
}

int64_t turns_of(const PipelineArgs& args) { return (args.time + args.chunk - 1) / args.chunk; }
int workers_of(const PipelineArgs& args, int threads) {
  return std::min(threads, static_cast<int>(args.stages.size()));
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
        bases_{bases.at, nullptr, bases.piece_macs},
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
        run_part(step, bases_, first, std::min(args_.time, first + args_.chunk), args_.time, args_.rows);
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

int64_t cost_of(const PipelineArgs& args, const PipelineArgs::Stage& stage) {
  const int64_t step = args.rows >= kFewRows ? stage.step_macs / kSpeedOfMany : stage.step_macs;
  return (stage.input_macs / kSpeedOfMany + step) * args.time;
}

}  // namespace

int64_t pipelined_cost(const PipelineArgs& args, int threads, int64_t piece_macs) {
  const int64_t turns = turns_of(args);
  int64_t all = 0, longest = 0;
  for (const PipelineArgs::Stage& stage : args.stages) all += cost_of(args, stage);
  // A stage goes on turn by turn, behind the first turn of those before it and before the last of those behind it.
  for (const PipelineArgs::Stage& stage : args.stages)
    longest = std::max(longest, cost_of(args, stage) + (all - cost_of(args, stage)) / turns);
  return std::max(longest, all / workers_of(args, threads) + all / turns / 2) + turns * piece_macs / 2;
}

int64_t shared_cost(const PipelineArgs& args, int threads, int64_t piece_macs) {
  const auto shared = [&](int64_t macs, bool many) {
    const int64_t pieces = std::min<int64_t>(threads, macs / piece_macs), cost = many ? macs / kSpeedOfMany : macs;
    return pieces < 2 ? cost : cost / pieces + piece_macs;
  };
  int64_t all = 0;
  for (const PipelineArgs::Stage& stage : args.stages)
    all += shared(stage.input_macs * args.time, true) + shared(stage.step_macs, args.rows >= kFewRows) * args.time;
  return all;
}

bool run_pipeline(const Step& step, Bases bases) {
  const auto& args = step.as<PipelineArgs>();
  const int threads = bases.team == nullptr ? 1 : bases.team->threads();
  if (threads < 2 || pipelined_cost(args, threads, bases.piece_macs) >= shared_cost(args, threads, bases.piece_macs)) {
    for (const PipelineArgs::Stage& stage : args.stages)
      for (const Step& each : stage.steps)
        if (!each.run(each, bases)) return false;
    return true;
  }
  const int workers = workers_of(args, threads);
  Pipeline pipeline(args, bases, workers);
  bases.team->run(workers, [&](int) {
    pipeline.work();
    if (args.release != nullptr) args.release();
  });
  return true;
}

}  // namespace hayate::native
