// The last rows of a stream, and how they lie as a model's input.
#pragma once

#include <cstdint>
#include <cstring>

#include "tensor/tensor.h"

namespace hayate {

class RowsKept {
 public:
  // Of `room` rows; a row is `outer` pieces of inner_bytes, which the model's input has around its time axis.
  RowsKept(int64_t room, int64_t outer, int64_t inner_bytes)
      : room_(room), outer_(outer), inner_bytes_(inner_bytes), memory_(Type::kUInt8, {room * outer * inner_bytes}) {
    if (memory_.byte_count() > 0) std::memset(memory_.bytes(), 0, memory_.byte_count());
  }

  void put(int64_t number, const void* row) noexcept {
    std::memcpy(at(number), row, static_cast<size_t>(outer_ * inner_bytes_));
  }
  // Rows first to first + n - 1 as an input of n places of time. Requires: they are among the last `room`.
  void copy(int64_t first, int64_t n, std::byte* to) const noexcept {
    for (int64_t o = 0; o < outer_; ++o)
      for (int64_t t = 0; t < n; ++t)
        std::memcpy(to + (o * n + t) * inner_bytes_, at(first + t) + o * inner_bytes_,
                    static_cast<size_t>(inner_bytes_));
  }
  const std::byte* row(int64_t number) const noexcept { return at(number); }
  Tensor& memory() { return memory_; }

 private:
  std::byte* at(int64_t number) const noexcept {
    return const_cast<std::byte*>(memory_.bytes()) + number % room_ * outer_ * inner_bytes_;
  }

  int64_t room_, outer_, inner_bytes_;
  Tensor memory_;
};

}  // namespace hayate
