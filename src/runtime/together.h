// One program that answers a row of each of several streams of one executable.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "hayate/result.h"
#include "runtime/stream_data.h"

namespace hayate {

constexpr int64_t kTogetherMax = 4;  // rows: of more, one is no faster

class Together {
 public:
  // `program` has the ports of `alone`, each of them `rows` times as long.
  Together(const Compiled& alone, const Compiled& program, int64_t rows);

  int64_t rows() const { return rows_; }
  // Rows of rows() different streams. False: nothing has happened, one of them would fail.
  bool push(Stream::Data* const* streams, const void* const* rows) noexcept;
  // What the next push reads is brought back to the caches.
  void warm() noexcept { (void)state_->run(1); }

 private:
  int64_t rows_;
  std::unique_ptr<State> state_;
  std::vector<size_t> input_bytes_, output_bytes_;  // of one row
};

// For 4 and 2 rows, but not more than `count`. None where the model's rows cannot be run apart, where what goes in and
// out of a row's answer does not lie in one piece, or where nothing is won; a program that cannot be compiled is left
// out, but for want of memory, which is an error.
Result<std::vector<Together>> make_together(const StreamExecutable::Data& of, int64_t count);

}  // namespace hayate
