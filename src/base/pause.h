// Waiting for another core for a moment.
#pragma once

namespace hayate {

// Tells the processor that this is a loop that waits.
inline void pause_core() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace hayate
