#include "runtime/history.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <vector>

namespace hayate {
namespace {

struct Bytes final : Kept {
  std::vector<std::byte> seen;
  void at(void* memory, size_t bytes) noexcept override {
    const auto* first = static_cast<const std::byte*>(memory);
    seen.insert(seen.end(), first, first + bytes);
  }
};

// Beside one that moves all columns for each that comes, for more of them than there is room.
TEST(History, HoldsTheLastColumnsInOnePiece) {
  std::mt19937 random(5);
  for (const auto& [shape, axis] : std::initializer_list<std::pair<Shape, size_t>>{
           {{1, 7, 3}, 1}, {{1, 1, 5}, 1}, {{40, 2}, 0}, {{1, 4, 3, 2}, 2}, {{2, 1, 3}, 1}, {{1, 1, 16, 1}, 2}}) {
    History history(Type::kFloat32, shape, axis);
    int64_t pieces = 1, inner = 1;
    for (size_t i = 0; i < shape.size(); ++i)
      if (i != axis) (i < axis ? pieces : inner) *= shape[i];
    std::deque<std::vector<float>> columns(static_cast<size_t>(shape[axis]),
                                           std::vector<float>(static_cast<size_t>(pieces * inner), 0.0f));
    for (int taken = 0; taken < 200; ++taken) {
      std::vector<float> wanted;
      for (int64_t p = 0; p < pieces; ++p)
        for (const std::vector<float>& column : columns)
          wanted.insert(wanted.end(), column.begin() + p * inner, column.begin() + (p + 1) * inner);
      ASSERT_EQ(std::memcmp(history.bytes(), wanted.data(), wanted.size() * sizeof(float)), 0)
          << shape_text(shape) << " after " << taken;
      Bytes kept;
      history.keep(&kept);
      ASSERT_EQ(kept.seen.size(), wanted.size() * sizeof(float));
      ASSERT_EQ(std::memcmp(kept.seen.data(), wanted.data(), kept.seen.size()), 0);
      std::vector<float> column(static_cast<size_t>(pieces * inner));
      for (float& each : column) each = static_cast<float>(random() % 1000);
      if (random() % 3 == 0 && history.is_full()) {
        history.make_room();
        EXPECT_FALSE(history.is_full());
      }
      history.take(reinterpret_cast<const std::byte*>(column.data()));
      columns.pop_front(), columns.push_back(std::move(column));
    }
  }
}

}  // namespace
}  // namespace hayate
