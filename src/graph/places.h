// Evenly spaced places of an axis, and windows that slide over those alone.
#pragma once

#include <optional>

#include "graph/window.h"

namespace hayate {

// start, start + step, ..., `count` of them.
struct Places {
  int64_t axis = -1, start = 0, step = 1, count = 0;

  int64_t last() const { return start + (count - 1) * step; }
  bool operator==(const Places&) const = default;
};

// The fewest evenly spaced places that hold both.
Places both(const Places& a, const Places& b);

// A window of which some places are needed: what it reads, and the window over those alone.
struct Narrowed {
  Places reads;
  Window window;
};

// `need` of what the window makes along the axis, of which its input has `length` places. None where it reads padding
// alone. Requires: ceil_mode is 0, 1 or more places.
std::optional<Narrowed> narrowed(Window window, const Places& need, int64_t length);

// Gives a Conv or pool that window. Of taps of a kernel row that were dilated and are neighbours now sums go as before
// (taps_apart).
void set_window(const Window& window, Node* node);

}  // namespace hayate
