#include "base/team.h"

#include <algorithm>
#include <system_error>

#include "base/pause.h"

namespace hayate {
namespace {

constexpr uint64_t kLeft = 0xff;  // the lowest byte; the job's number is above
constexpr int kSpinsBetweenClocks = 16;

}  // namespace

Team::Team(int threads, std::chrono::microseconds spin) : spin_(spin) {
  helpers_.reserve(static_cast<size_t>(std::max(threads - 1, 0)));
  try {
    for (int i = 1; i < threads; ++i) helpers_.emplace_back([this] { help(); });
  } catch (const std::system_error&) {  // as many as the system gives
  }
}

Team::~Team() {
  ends_ = true;
  ++wakes_;
  wakes_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

bool Team::take(uint64_t* seen, int* part) noexcept {
  *seen = left_.load(std::memory_order_acquire);
  while ((*seen & kLeft) != 0)
    if (left_.compare_exchange_weak(*seen, *seen - 1, std::memory_order_acq_rel, std::memory_order_acquire)) {
      *part = static_cast<int>(*seen & kLeft) - 1;
      return true;
    }
  return false;
}

void Team::run(int parts, Function function, void* of) noexcept {
  function_ = function, of_ = of;
  done_.store(0, std::memory_order_relaxed);
  uint64_t seen = left_.load(std::memory_order_relaxed);
  // In one order with asleep_: the helper sees the job, or is seen asleep.
  left_.store((seen | kLeft) + 1 + static_cast<uint64_t>(parts), std::memory_order_seq_cst);
  if (asleep_.load(std::memory_order_seq_cst) && asleep_.exchange(false)) {
    ++wakes_;
    wakes_.notify_all();
  }
  int own = 0;
  for (int part = 0; take(&seen, &part); ++own) function(of, part);
  wait_until([&] { return done_.load(std::memory_order_acquire) == parts - own; });
}

void Team::help() noexcept {
  using Clock = std::chrono::steady_clock;
  Clock::time_point until;
  int64_t spins = 0;
  while (!ends_.load(std::memory_order_relaxed)) {
    uint64_t seen = 0;
    int part = 0;
    bool worked = false;
    while (take(&seen, &part)) {
      function_(of_, part);
      done_.fetch_add(1, std::memory_order_release);
      worked = true;
    }
    if (worked) spins = 0;
    look([&] { return (left_.load(std::memory_order_relaxed) & kLeft) != 0; });
    if (++spins % kSpinsBetweenClocks != 0) {
      pause_core();
    } else if (const Clock::time_point now = Clock::now(); spins == kSpinsBetweenClocks) {
      until = now + spin_;
    } else if (now >= until) {
      sleep(seen);
      spins = 0;
    }
  }
}

void Team::sleep(uint64_t seen) noexcept {
  const uint32_t wakes = wakes_.load();
  asleep_.store(true, std::memory_order_seq_cst);
  if (left_.load(std::memory_order_seq_cst) != seen || ends_.load()) return;
  wakes_.wait(wakes);
}

}  // namespace hayate
