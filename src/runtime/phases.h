// The windows in flight of all phases. Behind strides of s rows between two steps a window takes every s-th row's
// columns: windows that end s rows apart take the same ones, and s sets of them are in flight, one for each phase,
// which take rows in turn. Without strides there is one.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/windows.h"

namespace hayate {

// As Windows, where that is asked about the next row.
class Phases {
 public:
  Phases(const StreamExecutable::Data& of, State* answer);

  Status expect() noexcept { return next().expect(next().rows_seen()); }
  Status make_room() noexcept { return next().make_room(next().rows_seen()); }
  bool step_late(Status* status) noexcept { return next().step_late(next().rows_seen(), status); }
  void skip(int64_t rows) noexcept;
  void arrived(const void* row) noexcept;
  bool step(Status* status) noexcept;
  void keep(Kept* kept) noexcept;
  bool restored(int64_t behind) noexcept;

 private:
  int64_t count() const noexcept { return static_cast<int64_t>(windows_.size()); }
  Windows& next() noexcept { return windows_[static_cast<size_t>(row_ % count())]; }
  // The first row from that on of that phase.
  int64_t first_of(int64_t phase, int64_t row) const noexcept {
    return row + (phase - row % count() + count()) % count();
  }

  std::vector<Windows> windows_;
  int64_t row_ = 0, first_number_;  // rows that have arrived; the number of a phase's first
};

}  // namespace hayate
