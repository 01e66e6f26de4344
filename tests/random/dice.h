// Seeded chance: the same seed rolls the same on every machine.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "tensor/tensor.h"

namespace hayate::random_graphs {

class Dice {
 public:
  explicit Dice(uint64_t seed) : random_(seed) {}

  int64_t below(int64_t n) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(n)); }
  int64_t between(int64_t least, int64_t most) { return least + below(most - least + 1); }
  bool one_in(int64_t n) { return below(n) == 0; }
  double unit() { return static_cast<double>(random_() >> 11) * 0x1p-53; }             // [0, 1)
  double around(double width) { return (2 * unit() - 1) * width; }                     // [-width, width)
  double normal() { return unit() + unit() + unit() + unit() + unit() + unit() - 3; }  // about: deviation 0.71

  template <typename T>
  T pick(const std::vector<T>& from) {
    return from[static_cast<size_t>(below(static_cast<int64_t>(from.size())))];
  }
  template <typename T>
  T pick(std::initializer_list<T> from) {
    return from.begin()[below(static_cast<int64_t>(from.size()))];
  }
  template <typename T>
  void shuffle(std::vector<T>* all) {
    for (size_t i = all->size(); i > 1; --i)
      std::swap((*all)[i - 1], (*all)[static_cast<size_t>(below(static_cast<int64_t>(i)))]);
  }

  // Floats about `scale` wide, integers from -3 (unsigned: 0) to 6, bools.
  Tensor tensor(Type type, const Shape& shape, double scale = 1);

 private:
  std::mt19937_64 random_;
};

}  // namespace hayate::random_graphs
