// The least that an answer of a stream could take on this machine as it is now: its weights read from where they live,
// and nothing done with them. What the tail of that has, no program over them can be without.
#pragma once

#include <cstdint>
#include <functional>

#include "kernels/aligned.h"
#include "kernels/vector/peaks.h"
#include "tools/turns.h"

namespace hayate {

class BareRead : public Runner {
 public:
  // Reads `answer` bytes of `held`. Between two calls all of them, for as long as `pause` says (in ticks).
  BareRead(int64_t answer, int64_t held, std::function<uint64_t()> pause);

  void feed(size_t) override {}
  void run() noexcept override { read(answer_); }
  void settle() override;

 private:
  void read(int64_t floats) noexcept;

  kernels::PeakLoops loops_;
  int64_t answer_;  // floats
  kernels::AlignedVector<float> held_;
  std::function<uint64_t()> pause_;
};

}  // namespace hayate
