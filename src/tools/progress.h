// A progress bar on stderr for work over two seconds; nothing where stderr is no terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace hayate {

class Progress {
 public:
  Progress(std::string label, int64_t total);
  ~Progress();  // wipes the bar
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void at(int64_t done);                            // of `total`
  void at(int64_t done, const std::string& label);  // and what is at work now

 private:
  using Clock = std::chrono::steady_clock;

  std::string label_;
  int64_t total_;
  bool terminal_, drawn_ = false;
  Clock::time_point start_, drawn_at_;
};

// Ctrl-C asks for an end: from the first call on, it only sets a flag, and long loops look at it.
void end_on_interrupt();
bool interrupted();
constexpr int kInterruptedStatus = 130;  // what a shell reports for a program that Ctrl-C ended

}  // namespace hayate
