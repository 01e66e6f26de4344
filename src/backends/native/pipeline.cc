#include "backends/native/pipeline.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "backends/native/steps.h"
#include "base/pause.h"

namespace hayate::native {
namespace {

constexpr int64_t kSpinsBeforeYield = 10'000;  // who has begun is on another core, unless there are too few

// Steps `first` to `last - 1` of `time` in time, of so many rows each.
void run_part(const Step& step, Bases bases, int64_t first, int64_t last, int64_t time, int64_t rows) {
  if (step.run == run_recurrent) return run_recurrent_part(step, bases, first, last);
  if (step.run == run_narrow) return run_narrow_rows(step, bases, first * rows, last * rows, time * rows);
  if (step.run == run_dense) return run_dense_rows(step, bases, first * rows, last * rows);
  run_narrow_dense_rows(step, bases, first * rows, last * rows);
}

// How far a layer is. Who takes its next turn holds it meanwhile.
struct alignas(64) Progress {
  std::atomic<int64_t> done = 0;  // turns
  std::atomic<bool> held = false;
};

class Pipeline {
 public:
  Pipeline(const PipelineArgs& args, Bases bases)
      : args_(args),
        bases_{bases.at, nullptr, bases.piece_macs},
        layers_(static_cast<int>(args.layers.size())),
        turns_((args.time + args.chunk - 1) / args.chunk) {}

  // Takes turns until all are taken and done; any number of threads at once, and one alone comes through too.
  void work(bool each_its_own) {
    int own = -1;
    int64_t spins = 0;
    while (progress_[layers_ - 1].done.load(std::memory_order_acquire) < turns_) {
      // The deepest layer that can go on: what is behind it waits for nothing else. Where everybody may have a layer,
      // he stays with it, and its weights in his cache.
      bool taken = each_its_own && own >= 0 && take(own);
      for (int layer = layers_ - 1; layer >= 0 && !taken; --layer)
        if (take(layer)) taken = true, own = layer;
      if (taken)
        spins = 0;
      else
        ++spins < kSpinsBeforeYield ? pause_core() : std::this_thread::yield();
    }
  }

 private:
  bool can_go_on(int layer) const {
    const int64_t done = progress_[layer].done.load(std::memory_order_acquire);
    return done < turns_ && (layer == 0 || progress_[layer - 1].done.load(std::memory_order_acquire) > done);
  }
  bool take(int layer) {
    Progress& progress = progress_[layer];
    if (!can_go_on(layer) || progress.held.exchange(true, std::memory_order_acquire)) return false;
    const bool goes_on = can_go_on(layer);  // now that nobody else moves it
    if (goes_on) {
      const int64_t done = progress.done.load(std::memory_order_relaxed), first = done * args_.chunk;
      for (const Step& step : args_.layers[static_cast<size_t>(layer)].steps)
        run_part(step, bases_, first, std::min(args_.time, first + args_.chunk), args_.time, args_.rows);
      progress.done.store(done + 1, std::memory_order_release);
    }
    progress.held.store(false, std::memory_order_release);
    return goes_on;
  }

  const PipelineArgs& args_;
  const Bases bases_;  // nobody shares a turn's steps
  const int layers_;
  const int64_t turns_;
  Progress progress_[kPipelinedMax];
};

}  // namespace

bool run_pipeline(const Step& step, Bases bases) {
  const auto& args = step.as<PipelineArgs>();
  if (bases.team == nullptr || args.macs < bases.piece_macs) {
    for (const PipelineArgs::Layer& layer : args.layers)
      for (const Step& each : layer.steps)
        if (!each.run(each, bases)) return false;
    return true;
  }
  Pipeline pipeline(args, bases);
  const int workers = std::min(bases.team->threads(), static_cast<int>(args.layers.size()));
  bases.team->run(workers, [&](int) {
    pipeline.work(workers == static_cast<int>(args.layers.size()));
    if (args.release != nullptr) args.release();
  });
  return true;
}

}  // namespace hayate::native
