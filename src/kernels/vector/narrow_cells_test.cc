// The cells of layers with fewer bits against the exact ones of the plain set.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/vector/kernels.h"

namespace hayate::kernels {
namespace {

constexpr int64_t kRows = 3;
constexpr double kBound = 3e-5;

// Sums that leave the functions' curved part now and then, and a few beyond all bounds.
std::vector<float> sums(int64_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> made;
  for (int64_t i = 0; i < n; ++i) made.push_back(3 * normal(random));
  for (size_t i = 5; i < made.size(); i += 41) made[i] = i % 2 == 0 ? 300.0f : -3e38f;
  return made;
}

struct Answers {
  std::vector<float> first_c, first_h, c, h, g;  // of an LSTM without products of h and with them, of a GRU
  std::vector<uint8_t> narrow_h, narrow_g;       // as the cells leave them
};

Answers answers_of(const Set& set, Narrow narrow, int64_t hidden, const std::vector<float>& x,
                   const std::vector<float>& r, const std::vector<float>& state) {
  const NarrowSet& cells = set.of(narrow);
  const size_t bytes = static_cast<size_t>(kRows * hidden) * (narrow == Narrow::kInt8 ? 1 : 2);
  Answers made{
      state, state, state, state, state, std::vector<uint8_t>(bytes + 1, 0xAB), std::vector<uint8_t>(bytes + 1, 0xAB)};
  Narrowing to{.y = made.narrow_h.data(), .inverse_scale = 127, .zero = 128};
  LstmCell lstm{kRows, hidden, x.data(), nullptr, 4 * hidden, 0, made.first_c.data(), hidden, made.first_h.data(),
                hidden};
  cells.lstm_cell(lstm, {});
  lstm.r = r.data(), lstm.r_row = 4 * hidden, lstm.x_row = 0, lstm.c = made.c.data(), lstm.h = made.h.data();
  cells.lstm_cell(lstm, to);
  to.y = made.narrow_g.data();
  cells.gru_cell(
      {kRows, hidden, x.data(), r.data(), 3 * hidden, 3 * hidden, state.data(), hidden, made.g.data(), hidden}, to);
  return made;
}

void expect_within_bounds(const Answers& got, const Answers& wanted, int64_t hidden, const std::vector<float>& r,
                          const std::vector<float>& state, const std::string& where) {
  for (size_t i = 0; i < state.size(); ++i) {
    const double bound = kBound * (1 + std::fabs(static_cast<double>(state[i])));
    ASSERT_NEAR(got.first_c[i], wanted.first_c[i], bound) << where;
    ASSERT_NEAR(got.first_h[i], wanted.first_h[i], bound) << where;
    ASSERT_NEAR(got.c[i], wanted.c[i], bound) << where;
    ASSERT_NEAR(got.h[i], wanted.h[i], bound) << where;
    const size_t row = i / static_cast<size_t>(hidden), column = i % static_cast<size_t>(hidden);
    const float product = r[(row * 3 + 2) * static_cast<size_t>(hidden) + column];
    const double over = std::fabs(static_cast<double>(product));
    ASSERT_NEAR(got.g[i], wanted.g[i], over > 1e6 ? 2 : bound + kBound * over) << where;
  }
}

TEST(NarrowCells, AreWithinTheirBoundsOfThePlainOnes) {
  for (const Isa isa : supported_isas())
    for (const Narrow narrow : {Narrow::kBf16, Narrow::kInt8})
      for (const int64_t hidden : {1, 3, 4, 7, 8, 15, 16, 17, 31, 33, 48, 49, 63, 64, 65, 100, 200})
        for (const float size : {0.1f, 1.0f, 10.0f, 100.0f}) {
          const auto x = sums(kRows * 4 * hidden, 1), r = sums(kRows * 4 * hidden, 2);
          std::vector<float> state = sums(hidden * kRows, 3);
          for (float& value : state) value = size * std::tanh(value);
          expect_within_bounds(answers_of(set_for(isa), narrow, hidden, x, r, state),
                               answers_of(set_for(Isa::kPlain), narrow, hidden, x, r, state), hidden, r, state,
                               std::string(isa_name(isa)) + " hidden " + std::to_string(hidden));
        }
}

// A gate that is open or shut stays so: what is kept must not leak away, nor what is shut out come in.
TEST(NarrowCells, AHeldStateIsKeptForThousandsOfSteps) {
  constexpr int64_t kHidden = 20, kSteps = 10'000;
  for (const Isa isa : supported_isas())
    for (const float forget : {30.0f, -30.0f}) {
      std::vector<float> x(4 * kHidden, 0.0f), c(kHidden, 1.0f), h(kHidden), g(kHidden, 0.7f);
      for (size_t i = 0; i < kHidden; ++i)
        x[i] = -30, x[2 * kHidden + i] = forget, x[3 * kHidden + i] = 5;  // in, forget, fresh
      for (int64_t t = 0; t < kSteps; ++t)
        set_for(isa).int8.lstm_cell({1, kHidden, x.data(), nullptr, 0, 0, c.data(), kHidden, h.data(), kHidden}, {});
      for (const float value : c) ASSERT_NEAR(value, forget > 0 ? 1 : 0, 3e-3) << isa_name(isa);
      const std::vector<float> update(3 * kHidden, 30.0f), none(3 * kHidden, 0.0f);
      for (int64_t t = 0; t < kSteps; ++t)
        set_for(isa).int8.gru_cell({1, kHidden, update.data(), none.data(), 0, 0, g.data(), kHidden, g.data(), kHidden},
                                   {});
      for (const float value : g) ASSERT_NEAR(value, 0.7, 3e-3) << isa_name(isa);
    }
}

TEST(NarrowCells, LeaveWhatNarrowingMakesOfTheirAnswers) {
  for (const Isa isa : supported_isas())
    for (const Narrow narrow : {Narrow::kBf16, Narrow::kInt8})
      for (const int64_t hidden : {1, 7, 16, 33, 63, 100}) {
        const auto x = sums(kRows * 4 * hidden, 1), r = sums(kRows * 4 * hidden, 2);
        const std::vector<float> state(static_cast<size_t>(kRows * hidden), 0.25f);
        const Answers got = answers_of(set_for(isa), narrow, hidden, x, r, state);
        const auto narrowed = [&](const std::vector<float>& of) {
          std::vector<uint8_t> bytes(got.narrow_h.size(), 0xAB);  // and nothing behind them
          set_for(isa).of(narrow).narrow({kRows * hidden, of.data(), bytes.data(), 127, 128});
          return bytes;
        };
        ASSERT_EQ(got.narrow_h, narrowed(got.h)) << isa_name(isa) << " hidden " << hidden;
        ASSERT_EQ(got.narrow_g, narrowed(got.g)) << isa_name(isa) << " hidden " << hidden;
      }
}

// Functions are right wherever their argument lies: sums of one gate over all that matters, the others fixed.
TEST(NarrowCells, AreWithinTheirBoundsAllAlongAGate) {
  constexpr int64_t kHidden = 1000;
  for (const Isa isa : supported_isas())
    for (int64_t gate = 0; gate < 4; ++gate) {
      std::vector<float> x(kRows * 4 * kHidden, 0.7f);
      for (int64_t i = 0; i < kRows * kHidden; ++i)
        x[static_cast<size_t>((i / kHidden * 4 + gate) * kHidden + i % kHidden)] = static_cast<float>(i) * 0.02f - 30;
      const std::vector<float> r(x.size(), 0.1f), state(kRows * kHidden, -0.9f);
      const Answers wanted = answers_of(set_for(Isa::kPlain), Narrow::kInt8, kHidden, x, r, state),
                    got = answers_of(set_for(isa), Narrow::kInt8, kHidden, x, r, state);
      expect_within_bounds(got, wanted, kHidden, r, state, isa_name(isa));
    }
}

TEST(NarrowCells, KeepNanAndInfinity) {
  constexpr int64_t kHidden = 40;
  const float nan = std::nanf(""), infinite = std::numeric_limits<float>::infinity();
  for (const Isa isa : supported_isas())
    for (const float value : {nan, infinite, -infinite})
      for (int64_t gate = 0; gate < 5; ++gate) {  // 4: of the state
        std::vector<float> x(kRows * 4 * kHidden, 0.7f), state(kRows * kHidden, -0.9f);
        const std::vector<float> r(x.size(), 0.1f);
        for (const int64_t column : {0, 17, 39}) {
          if (gate < 4) x[static_cast<size_t>(gate * kHidden + column)] = value;
          if (gate == 4) state[static_cast<size_t>(column)] = value;
        }
        const Answers wanted = answers_of(set_for(Isa::kPlain), Narrow::kBf16, kHidden, x, r, state),
                      got = answers_of(set_for(isa), Narrow::kBf16, kHidden, x, r, state);
        const auto same = [&](float a, float b) {
          return std::isnan(b) ? std::isnan(a) : std::isinf(b) ? a == b : std::fabs(a - b) <= 1e-4f;
        };
        for (size_t i = 0; i < state.size(); ++i) {
          ASSERT_TRUE(same(got.c[i], wanted.c[i])) << isa_name(isa) << " " << got.c[i] << " not " << wanted.c[i];
          ASSERT_TRUE(same(got.h[i], wanted.h[i])) << isa_name(isa) << " " << got.h[i] << " not " << wanted.h[i];
          ASSERT_TRUE(same(got.g[i], wanted.g[i])) << isa_name(isa) << " " << got.g[i] << " not " << wanted.g[i];
        }
      }
}

}  // namespace
}  // namespace hayate::kernels
