#include "runtime/phases.h"

namespace hayate {

Phases::Phases(const StreamExecutable::Data& of, State* answer) {
  windows_.reserve(static_cast<size_t>(of.cut.every));
  for (int64_t phase = 0; phase < of.cut.every; ++phase) windows_.emplace_back(of, answer);
  first_number_ = windows_[0].rows_seen();
}

void Phases::skip(int64_t rows) noexcept {
  // Of each phase the first row is answered that comes with the last of these or behind it.
  for (int64_t phase = 0; phase < count(); ++phase)
    windows_[static_cast<size_t>(phase)].skip((first_of(phase, row_ + rows - 1) - first_of(phase, row_)) / count() + 1);
}

void Phases::arrived(const void* row) noexcept {
  next().arrived(row);
  ++row_;
}

bool Phases::step(Status* status) noexcept {
  for (int64_t later = 0; later < count(); ++later)
    if (windows_[static_cast<size_t>((row_ + later) % count())].step(later == 0, status)) return true;
  return false;
}

void Phases::keep(Kept* kept) noexcept {
  for (Windows& each : windows_) each.keep(kept);
}

bool Phases::restored(int64_t behind) noexcept {
  row_ = 0;
  const int64_t most = windows_[0].rows_seen();
  if (most > INT64_MAX / 2 / count()) return false;
  int64_t before = most;
  for (Windows& each : windows_) {
    // The phases take rows in turn: the first ones may be ahead by one.
    const int64_t seen = each.rows_seen();
    if (!each.restored(behind) || seen > before || seen < most - 1) return false;
    before = seen, row_ += seen - first_number_;
  }
  return true;
}

}  // namespace hayate
