// Threads that share the steps of one request with the thread that asks.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

namespace hayate {

// A job is a number of parts, each done once by whoever takes it: the caller and the helpers that are awake. So nobody
// waits for a thread that the system has not woken yet: the caller does alone what nobody else has begun. No locks and
// no allocations; no system calls while helpers are awake, but a caller yields that waits long for one that was
// interrupted within its part. A helper that finds nothing for `spin` goes to sleep, and
// the first job after that costs the caller one wake.
class Team {
 public:
  // `threads` with the caller's, at least 1; fewer where the system starts no more.
  Team(int threads, std::chrono::microseconds spin);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int threads() const { return static_cast<int>(helpers_.size()) + 1; }

  // f(part) for part 0 to parts - 1, some of them at the same time; back when all are done. f throws nothing and does
  // not call run(). One caller at a time. Requires: 1 <= parts <= kPartsMax.
  static constexpr int kPartsMax = 255;
  template <typename F>
  void run(int parts, F&& f) noexcept {
    run(
        parts, [](void* of, int part) { (*static_cast<std::remove_reference_t<F>*>(of))(part); }, &f);
  }

 private:
  using Function = void (*)(void* of, int part);

  void run(int parts, Function function, void* of) noexcept;
  bool take(uint64_t* seen, int* part) noexcept;
  void help() noexcept;
  void sleep(uint64_t seen) noexcept;

  // The job's number above, parts nobody has taken yet in the lowest byte. Who takes one reads what the job is only
  // then: until that part is done the caller starts no other.
  alignas(64) std::atomic<uint64_t> left_ = 0;
  Function function_ = nullptr;
  void* of_ = nullptr;
  alignas(64) std::atomic<int> done_ = 0;  // parts, by helpers
  alignas(64) std::atomic<bool> asleep_ = false;
  std::atomic<uint32_t> wakes_ = 0;
  std::atomic<bool> ends_ = false;
  const std::chrono::microseconds spin_;
  std::vector<std::thread> helpers_;
};

}  // namespace hayate
