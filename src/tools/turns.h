// Timing beside each other: whoever is timed takes turns of a few milliseconds, so that whatever else the machine does
// meanwhile falls on all alike.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

namespace hayate {

// Who is timed. One thread at a time.
class Runner {
 public:
  virtual ~Runner() = default;

  virtual void feed(size_t call) = 0;  // puts the inputs of that call in place; not timed
  virtual void run() noexcept = 0;     // timed
  virtual void settle() {}             // what a call leaves to be done before the next; not timed

  // Calls for `length`, at least kCallsMin. The first ones, for kWarm and at least kWarmCalls, bring back the caches
  // after the others' turns and do not count; of the rest each one's ticks are kept where `counts`.
  virtual void turn(std::chrono::microseconds length, bool counts);

  static constexpr int kCallsMin = 8, kWarmCalls = 3;
  static constexpr std::chrono::microseconds kWarm{500};

  std::vector<uint64_t> ticks;  // of each call that counts

 protected:
  Runner() = default;
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

 private:
  size_t calls_ = 0;
};

// Turns of 5 ms in order, round by round until the seconds are over, at least kRoundsMin of them; the first round does
// not count. Ends early when `at` (told the share done, after each round) says false.
constexpr int kRoundsMin = 4;
void take_turns(const std::vector<Runner*>& runners, double seconds, const std::function<bool(double)>& at);

}  // namespace hayate
