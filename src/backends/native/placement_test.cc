#include "backends/native/placement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace hayate::native {
namespace {

bool together(const Lifetime& a, const Lifetime& b) { return a.first <= b.last && b.first <= a.last; }

void expect_apart(const std::vector<Lifetime>& buffers, int64_t arena) {
  for (size_t i = 0; i < buffers.size(); ++i) {
    const Lifetime& a = buffers[i];
    ASSERT_GE(a.place, 0);
    ASSERT_EQ(a.place % 64, 0);
    ASSERT_LE(a.place + a.bytes, arena);
    for (size_t k = 0; k < i; ++k) {
      const Lifetime& b = buffers[k];
      ASSERT_TRUE(!together(a, b) || a.place + a.bytes <= b.place || b.place + b.bytes <= a.place) << i << " " << k;
    }
  }
}

std::vector<Lifetime> random_lifetimes(size_t n, int64_t steps, int64_t longest, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<Lifetime> made(n);
  for (Lifetime& each : made) {
    each.bytes = 1 + static_cast<int64_t>(random() % 500);
    each.first = static_cast<int64_t>(random() % static_cast<uint64_t>(steps));
    each.last = std::min(steps - 1, each.first + static_cast<int64_t>(random() % static_cast<uint64_t>(longest)));
  }
  return made;
}

// First fit looked up pair by pair.
std::vector<int64_t> naive(std::vector<Lifetime> buffers) {
  std::vector<size_t> order(buffers.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return buffers[a].bytes > buffers[b].bytes; });
  for (size_t n = 0; n < order.size(); ++n) {
    Lifetime& own = buffers[order[n]];
    for (own.place = 0;; own.place += 64)
      if (std::none_of(order.begin(), order.begin() + static_cast<int64_t>(n), [&](size_t k) {
            const Lifetime& other = buffers[k];
            return together(own, other) && own.place < other.place + other.bytes && other.place < own.place + own.bytes;
          }))
        break;
  }
  std::vector<int64_t> places;
  for (const Lifetime& each : buffers) places.push_back(each.place);
  return places;
}

TEST(Placement, IsFirstFitOfLargestFirst) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    std::vector<Lifetime> buffers = random_lifetimes(60, 40, 12, seed);
    const std::vector<int64_t> wanted = naive(buffers);
    const int64_t arena = place(&buffers);
    expect_apart(buffers, arena);
    for (size_t i = 0; i < buffers.size(); ++i) EXPECT_EQ(buffers[i].place, wanted[i]) << seed << " " << i;
  }
}

TEST(Placement, AChainTakesTheRoomOfTwo) {
  std::vector<Lifetime> buffers;
  for (int64_t i = 0; i < 1000; ++i) buffers.push_back({128, i, i + 1});
  EXPECT_EQ(place(&buffers), 256);
}

TEST(Placement, PastTheLimitOfPairsNothingOverlapsEither) {
  std::vector<Lifetime> buffers = random_lifetimes(300, 50, 50, 7);
  const int64_t arena = place(&buffers, 1000);
  expect_apart(buffers, arena);
}

TEST(Placement, ManyThatLiveTogetherEndSoon) {
  std::vector<Lifetime> buffers;
  for (int64_t i = 0; i < 50'000; ++i) buffers.push_back({64, i, 50'000});
  EXPECT_EQ(place(&buffers), 64 * 50'000);
}

TEST(Placement, NoBufferNeedsNoArena) {
  std::vector<Lifetime> none;
  EXPECT_EQ(place(&none), 0);
}

}  // namespace
}  // namespace hayate::native
