// Waiting for another core for a moment.
#pragma once

#include <cstdint>
#include <thread>

namespace hayate {

// Tells the processor that this is a loop that waits.
inline void pause_core() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Looks at memory between two pauses. A virtual machine takes a processor that pauses again at once for one that waits
// in vain, and lets somebody else have it for microseconds; pauses far apart it lets be.
constexpr int kLooks = 64;

// Until met() or for kLooks looks.
template <class Met>
void look(Met&& met) {
  for (int i = 0; i < kLooks && !met(); ++i) continue;
}

// Until met(), which another thread sees to that is at work already: on another core, unless there are too few.
template <class Met>
void wait_until(Met&& met) noexcept {
  constexpr int64_t kSpinsBeforeYield = 10'000;
  for (int64_t spins = 0; look(met), !met(); ++spins)
    spins < kSpinsBeforeYield ? pause_core() : std::this_thread::yield();
}

}  // namespace hayate
