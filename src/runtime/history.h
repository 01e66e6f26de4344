// The last columns of a value in a stream, the newest last, in one piece as programs take them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "runtime/streaming.h"
#include "tensor/tensor.h"

namespace hayate {

class History {
 public:
  // Zeros. Columns along axis `at` of that shape; where only ones lie before it, one more column is put behind the
  // others, which stay where they are until the room is used up.
  History(Type type, const Shape& shape, size_t at) : columns_(shape[at]) {
    for (size_t i = 0; i < shape.size(); ++i)
      if (i != at) (i < at ? pieces_ : column_bytes_) *= shape[i];
    column_bytes_ *= static_cast<int64_t>(type_size(type));
    const int64_t spare = std::max(columns_, kSpareBytes / std::max<int64_t>(column_bytes_, 1));
    room_ = pieces_ == 1 ? columns_ + spare : columns_;
    memory_ = Tensor(Type::kUInt8, {pieces_ * room_ * column_bytes_});
    std::memset(memory_.bytes(), 0, memory_.byte_count());
  }

  std::byte* bytes() noexcept { return memory_.bytes() + first_ * column_bytes_; }
  // The oldest column leaves, this one joins.
  void take(const std::byte* column) noexcept {
    if (is_full()) make_room();
    if (pieces_ == 1) {
      std::memcpy(bytes() + columns_ * column_bytes_, column, static_cast<size_t>(column_bytes_));
      ++first_;
      return;
    }
    const int64_t kept = (columns_ - 1) * column_bytes_;
    for (int64_t p = 0; p < pieces_; ++p) {
      std::byte* to = memory_.bytes() + p * columns_ * column_bytes_;
      std::memmove(to, to + column_bytes_, static_cast<size_t>(kept));
      std::memcpy(to + kept, column + p * column_bytes_, static_cast<size_t>(column_bytes_));
    }
  }
  // Whether the next column has all others move first, unless make_room() has done that by then.
  bool is_full() const noexcept { return pieces_ == 1 && first_ + columns_ == room_; }
  void make_room() noexcept {
    std::memmove(memory_.bytes(), bytes(), static_cast<size_t>(columns_ * column_bytes_));
    first_ = 0;
  }
  void keep(Kept* kept) noexcept { kept->at(bytes(), static_cast<size_t>(pieces_ * columns_ * column_bytes_)); }

 private:
  static constexpr int64_t kSpareBytes = 2048;  // at least; of more, caches would have to hold more at every row

  int64_t columns_, pieces_ = 1, column_bytes_ = 1, room_ = 0, first_ = 0;
  Tensor memory_;
};

}  // namespace hayate
