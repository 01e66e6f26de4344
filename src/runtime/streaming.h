// How a stream gets from a row to its answer: one way for models that are cut, one for those of which every row runs
// the whole window, one for those that carry their state.
#pragma once

#include <cstddef>
#include <memory>

#include "hayate/status.h"
#include "runtime/stream_parts.h"

namespace hayate {

// Is shown all memory that a stream has to keep, always in the same order: to copy it, or to write over it.
class Kept {
 public:
  virtual void at(void* memory, size_t bytes) noexcept = 0;

 protected:
  ~Kept() = default;
};

// One thread at a time.
class Streaming {
 public:
  virtual ~Streaming() = default;
  // A row has come: once more where it failed, or all is as before it.
  virtual Status push(const void* row) noexcept {
    Status status = begin(row);
    if (status.ok()) status = answer()->run(1);
    if (status.ok()) end(row);
    return status;
  }
  // `count` rows, 1 or more, one behind the other: the last one's answer alone is asked for.
  virtual Status refill(const std::byte* rows, int64_t count, int64_t row_bytes) noexcept {
    Status status;
    for (int64_t r = 0; r < count && status.ok(); ++r) status = push(rows + r * row_bytes);
    return status;
  }
  // Whether a refill has left rows that begin() would have to take first, all of them; push() does not wait for that.
  virtual bool lags() const noexcept { return false; }
  // push() in pieces, for who runs what answer() would: all that it reads lies at its inputs.
  virtual Status begin(const void* row) noexcept = 0;
  virtual State* answer() noexcept = 0;
  // What it makes lies at its outputs.
  virtual void end(const void* row) noexcept = 0;
  // The next piece of work that an answer left; false: there is none.
  virtual bool step(Status* status) noexcept = 0;
  virtual const void* output(size_t i) const noexcept = 0;
  virtual void keep(Kept* kept) noexcept = 0;
  // After memory came from elsewhere; false: it is none that keep() gave.
  virtual bool restored() noexcept = 0;
};

std::unique_ptr<Streaming> make_streaming(const StreamExecutable::Data& of);

}  // namespace hayate
