#include "tools/turns.h"

#include <algorithm>

#include "base/tsc.h"

namespace hayate {

using Clock = std::chrono::steady_clock;

void Runner::turn(std::chrono::microseconds length, bool counts) {
  const auto start = Clock::now(), stop = start + length, warm = start + std::min(kWarm, length / 2);
  bool is_warm = false;
  for (int call = 0; call < kCallsMin || Clock::now() < stop; ++call) {
    feed(calls_++);
    is_warm = is_warm || (call >= kWarmCalls && Clock::now() >= warm);
    const uint64_t first = ticks_now();
    run();
    const uint64_t took = ticks_now() - first;
    if (counts && is_warm) ticks.push_back(took);
    settle();
  }
}

void take_turns(const std::vector<Runner*>& runners, double seconds, const std::function<bool(double)>& at) {
  constexpr std::chrono::milliseconds kTurn{5};
  const auto start = Clock::now();
  const auto spent = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  for (int round = 0; round < kRoundsMin || spent() < seconds; ++round) {
    for (Runner* runner : runners) runner->turn(kTurn, round > 0);
    if (!at(std::min(1.0, spent() / seconds))) return;
  }
}

}  // namespace hayate
