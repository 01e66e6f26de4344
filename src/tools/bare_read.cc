#include "tools/bare_read.h"

#include <algorithm>

#include "base/tsc.h"

namespace hayate {
namespace {

constexpr int64_t kBlock = 1024;  // floats that the loop reads at a time
volatile float g_sink;            // keeps it from being left out

int64_t floats_of(int64_t bytes) { return std::max<int64_t>(1, bytes / (4 * kBlock)) * kBlock; }

}  // namespace

BareRead::BareRead(int64_t answer, int64_t held, std::function<uint64_t()> pause)
    : loops_(kernels::peak_loops(kernels::supported_isas().front())),
      answer_(floats_of(answer)),
      held_(static_cast<size_t>(floats_of(std::max(answer, held))), 1.0f),
      pause_(std::move(pause)) {}

void BareRead::read(int64_t floats) noexcept { g_sink = loops_.read(held_.data(), floats); }

void BareRead::settle() {
  const uint64_t start = ticks_now(), pause = pause_();
  while (ticks_now() - start < pause) read(static_cast<int64_t>(held_.size()));
  read(answer_);  // a stream that has settled has what it reads first nearest, too
}

}  // namespace hayate
