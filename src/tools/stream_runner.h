// A stream ready to be timed beside backends that run the full window.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "hayate/stream.h"
#include "tools/bench.h"
#include "tools/turns.h"

namespace hayate {

class StreamRunner : public Runner {
 public:
  StreamRunner(StreamExecutable executable, const Pools* pools);

  void feed(size_t call) override;
  void run() noexcept override { (void)stream_.push(row_.bytes()); }  // the row's answer
  void settle() override;                                             // what it leaves, timed apart

  // Fills the row but for the times: what the stream is, and its error against the reference over the full window.
  Result<BenchRow> first_rows(const ModelOptions& options, const Model& model);
  void take_after(double ticks_per_us, BenchRow* row) const;
  const StreamExecutable& executable() const { return executable_; }
  uint64_t last_settled() const { return after_.empty() ? 0 : after_.back(); }  // what the last settle() took, in ticks

 private:
  StreamExecutable executable_;
  Stream stream_;
  const Pools* pools_;
  Tensor row_;
  std::vector<uint64_t> after_;
};

}  // namespace hayate
