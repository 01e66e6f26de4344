#include "backends/native/placement.h"

#include <algorithm>
#include <map>
#include <utility>

namespace hayate::native {
namespace {

int64_t aligned(int64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

// Lifetimes by the steps they cover: a binary tree over the steps, each lifetime kept at the few nodes that make it up.
class Placed {
 public:
  explicit Placed(int64_t steps) {
    while (leaves_ < static_cast<size_t>(steps)) leaves_ *= 2;
    covering_.resize(2 * leaves_);
  }

  void add(const Lifetime& lifetime, size_t i) {
    from_.emplace(lifetime.first, i);
    size_t left = static_cast<size_t>(lifetime.first) + leaves_,
           right = static_cast<size_t>(lifetime.last) + 1 + leaves_;
    for (; left < right; left /= 2, right /= 2) {
      if (left % 2 == 1) covering_[left++].push_back(i);
      if (right % 2 == 1) covering_[--right].push_back(i);
    }
  }

  // Calls f with everything placed that lives while `lifetime` does: once, what begins later; what covers its first
  // step (and may begin there, as said by the caller) otherwise.
  template <typename F>
  void for_each_beside(const Lifetime& lifetime, F&& f) const {
    for (auto it = from_.upper_bound(lifetime.first); it != from_.end() && it->first <= lifetime.last; ++it)
      f(it->second);
    for (size_t at = static_cast<size_t>(lifetime.first) + leaves_; at > 0; at /= 2)
      for (const size_t i : covering_[at]) f(i);
  }

 private:
  size_t leaves_ = 1;
  std::vector<std::vector<size_t>> covering_;
  std::multimap<int64_t, size_t> from_;  // by first step
};

}  // namespace

int64_t place(std::vector<Lifetime>* buffers, int64_t pairs_max) {
  std::vector<size_t> order(buffers->size());
  int64_t steps = 1, arena = 0, pairs = 0;
  for (size_t i = 0; i < order.size(); ++i) order[i] = i, steps = std::max(steps, (*buffers)[i].last + 1);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return (*buffers)[a].bytes > (*buffers)[b].bytes; });
  Placed placed(steps);
  std::vector<std::pair<int64_t, int64_t>> taken;
  for (const size_t i : order) {
    Lifetime& buffer = (*buffers)[i];
    int64_t at = aligned(arena);
    if (pairs < pairs_max) {
      taken.clear();
      placed.for_each_beside(buffer, [&](size_t k) {
        taken.emplace_back((*buffers)[k].place, (*buffers)[k].place + (*buffers)[k].bytes);
      });
      pairs += static_cast<int64_t>(taken.size());
      std::sort(taken.begin(), taken.end());
      at = 0;
      for (const auto& [begin, end] : taken) {
        if (at + buffer.bytes <= begin) break;
        at = std::max(at, aligned(end));
      }
      placed.add(buffer, i);
    }
    buffer.place = at;
    arena = std::max(arena, at + buffer.bytes);
  }
  return arena;
}

}  // namespace hayate::native
