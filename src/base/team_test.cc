#include "base/team.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <numeric>

namespace hayate {
namespace {

using std::chrono::microseconds;

// So many jobs of several sizes; each part adds its number to a place of its own, without a lock.
void expect_every_part_once(Team* team, int jobs) {
  std::array<int, Team::kPartsMax> seen{};
  for (int job = 0; job < jobs; ++job) {
    const int parts = 1 + job % 7;
    seen.fill(0);
    team->run(parts, [&](int part) { ++seen[static_cast<size_t>(part)]; });
    ASSERT_EQ(std::count(seen.begin(), seen.begin() + parts, 1), parts) << "job " << job;
    ASSERT_EQ(std::accumulate(seen.begin(), seen.end(), 0), parts) << "job " << job;
  }
}

TEST(TeamThreads, DoesEveryPartOnceWhileHelpersSpin) {
  for (const int threads : {1, 2, 4}) {
    Team team(threads, microseconds{1'000'000});
    EXPECT_EQ(team.threads(), threads);
    expect_every_part_once(&team, 2000);
  }
}

TEST(TeamThreads, DoesEveryPartOnceWhileHelpersFallAsleepAndWake) {
  Team team(3, microseconds{0});
  for (int round = 0; round < 20; ++round) {
    expect_every_part_once(&team, 50);
    std::this_thread::sleep_for(microseconds{500});
  }
}

TEST(TeamThreads, TakesTheMostParts) {
  Team team(2, microseconds{1000});
  std::atomic<int> sum = 0;
  team.run(Team::kPartsMax, [&](int part) { sum += part; });
  EXPECT_EQ(sum, Team::kPartsMax * (Team::kPartsMax - 1) / 2);
}

TEST(TeamThreads, HelpersTakeParts) {
  Team team(2, microseconds{10'000'000});
  std::atomic<int> by_helpers = 0;
  const auto caller = std::this_thread::get_id();
  // A part each: whoever has the first waits for the other, for up to ten seconds.
  for (int tries = 0; tries < 100 && by_helpers == 0; ++tries) {
    std::atomic<int> begun = 0;
    team.run(2, [&](int) {
      if (std::this_thread::get_id() != caller) ++by_helpers;
      ++begun;
      const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds{100};
      while (begun < 2 && std::chrono::steady_clock::now() < until) std::this_thread::yield();
    });
  }
  EXPECT_GT(by_helpers, 0);
}

TEST(TeamThreads, EndsWithHelpersAsleepOrNeverCalled) {
  for (int i = 0; i < 50; ++i) Team(3, microseconds{0});
  Team team(2, microseconds{0});
  std::this_thread::sleep_for(microseconds{2000});
}

}  // namespace
}  // namespace hayate
