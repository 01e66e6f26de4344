#include "tools/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

namespace hayate {
namespace {

constexpr auto kSilence = std::chrono::seconds(2);
constexpr auto kRedraw = std::chrono::milliseconds(100);
constexpr int64_t kWidth = 30;  // characters of the bar

volatile std::sig_atomic_t interrupt_seen = 0;

}  // namespace

Progress::Progress(std::string label, int64_t total)
    : label_(std::move(label)), total_(std::max<int64_t>(total, 1)), terminal_(isatty(2) != 0), start_(Clock::now()) {}

Progress::~Progress() {
  if (drawn_) fmt::print(stderr, "\r\033[K");
}

void Progress::at(int64_t done, const std::string& label) {
  label_ = label;
  at(done);
}

void Progress::at(int64_t done) {
  const Clock::time_point now = Clock::now();
  if (!terminal_ || now - start_ < kSilence || (drawn_ && now - drawn_at_ < kRedraw)) return;
  drawn_ = true, drawn_at_ = now;
  const int64_t filled = std::clamp<int64_t>(done * kWidth / total_, 0, kWidth);
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double left = done > 0 ? seconds * static_cast<double>(total_ - done) / static_cast<double>(done) : 0;
  std::string bar(static_cast<size_t>(filled), '#');
  bar.resize(static_cast<size_t>(kWidth), '.');
  fmt::print(stderr, "\r[{}] {:3}%  {:.0f} s left  {}\033[K", bar, std::min<int64_t>(100, done * 100 / total_), left,
             label_);
}

void end_on_interrupt() {
  std::signal(SIGINT, [](int) { interrupt_seen = 1; });
}

bool interrupted() { return interrupt_seen != 0; }

}  // namespace hayate
