#include "tools/turns.h"

#include <gtest/gtest.h>

#include <thread>

namespace hayate {
namespace {

using std::chrono::microseconds, std::chrono::milliseconds;

class Sleeper : public Runner {
 public:
  explicit Sleeper(microseconds length) : length_(length) {}
  void feed(size_t call) override { fed.push_back(call); }
  void run() noexcept override {
    ++runs;
    std::this_thread::sleep_for(length_);
  }
  std::vector<size_t> fed;
  size_t runs = 0;

 private:
  microseconds length_;
};

TEST(Turns, SlowCallsAreMadeEightTimesAndTheWarmOnesDoNotCount) {
  Sleeper slow(milliseconds(2));
  slow.turn(milliseconds(1), true);
  EXPECT_EQ(slow.runs, size_t{Runner::kCallsMin});
  EXPECT_EQ(slow.ticks.size(), size_t{Runner::kCallsMin - Runner::kWarmCalls});
}

TEST(Turns, InputsGoOnFromTurnToTurn) {
  Sleeper sleeper(milliseconds(1));
  sleeper.turn(milliseconds(0), false);
  sleeper.turn(milliseconds(0), true);
  ASSERT_EQ(sleeper.fed.size(), size_t{2 * Runner::kCallsMin});
  for (size_t i = 0; i < sleeper.fed.size(); ++i) EXPECT_EQ(sleeper.fed[i], i);
}

TEST(Turns, ATurnLastsAsLongAsAsked) {
  Sleeper quick(microseconds(50));
  const auto start = std::chrono::steady_clock::now();
  quick.turn(milliseconds(20), true);
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(20));
  EXPECT_GT(quick.runs, size_t{Runner::kCallsMin});
  EXPECT_LT(quick.ticks.size(), quick.runs - Runner::kWarmCalls + 1);
}

TEST(Turns, TheFirstRoundDoesNotCountAndAllTakeAsMany) {
  Sleeper a(milliseconds(1)), b(milliseconds(1));
  int rounds = 0;
  take_turns({&a, &b}, 0.001, [&](double done) {
    EXPECT_EQ(done, 1.0);
    ++rounds;
    return true;
  });
  EXPECT_EQ(rounds, kRoundsMin);
  constexpr size_t kLeast = (kRoundsMin - 1) * (Runner::kCallsMin - Runner::kWarmCalls);
  for (const Sleeper* each : {&a, &b}) {
    EXPECT_GE(each->runs, size_t{kRoundsMin * Runner::kCallsMin});
    EXPECT_GE(each->ticks.size(), kLeast);
    EXPECT_LE(each->ticks.size(), each->runs - Runner::kCallsMin);
  }
}

TEST(Turns, EndEarlyWhenToldSo) {
  Sleeper a(microseconds(100));
  int rounds = 0;
  take_turns({&a}, 60, [&](double) { return ++rounds < 2; });
  EXPECT_EQ(rounds, 2);
}

}  // namespace
}  // namespace hayate
