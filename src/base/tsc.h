// The processor's time stamp counter: the cheapest clock there is, read in order with the work around it.
#pragma once

#include <chrono>
#include <cstdint>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace hayate {

inline uint64_t ticks_now() {
#if defined(__x86_64__)
  _mm_lfence();
  const uint64_t now = __rdtsc();
  _mm_lfence();
  return now;
#elif defined(__aarch64__)
  uint64_t now;
  asm volatile("isb; mrs %0, cntvct_el0" : "=r"(now));
  return now;
#else
  return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
#endif
}

// Measured against the steady clock over 20 ms.
inline double ticks_per_microsecond() {
  const auto start = std::chrono::steady_clock::now();
  const uint64_t first = ticks_now();
  auto now = start;
  while (now - start < std::chrono::milliseconds(20)) now = std::chrono::steady_clock::now();
  return static_cast<double>(ticks_now() - first) / std::chrono::duration<double, std::micro>(now - start).count();
}

}  // namespace hayate
