// Every kernel of every instruction set this processor runs, forced, against its plain twin.
#include "kernels/vector/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/aligned.h"

namespace hayate::kernels {
namespace {

std::vector<float> noise(size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

std::vector<Isa> vector_isas() {
  std::vector<Isa> isas = supported_isas();
  isas.pop_back();
  return isas;
}

TEST(Kernels, NamesGoBothWaysAndPlainIsLast) {
  for (const Isa isa : supported_isas()) EXPECT_EQ(isa_from_name(isa_name(isa)), isa);
  EXPECT_EQ(isa_from_name("avx9"), std::nullopt);
  EXPECT_EQ(supported_isas().back(), Isa::kPlain);
}

TEST(Kernels, TheForcedSetIsTheOneThatRuns) {
  // Tiles are for fewer bits; floats are AVX-512's there.
  std::vector<std::pair<void (*)(const Dense&), void (*)(const NarrowDense&)>> seen;
  for (const Isa isa : supported_isas()) {
    const Set& set = set_for(isa);
    EXPECT_EQ(set.isa, isa);
    for (const auto& [dense, narrow] : seen) {
      EXPECT_TRUE(set.dense != dense || isa == Isa::kAvx512) << isa_name(isa) << " runs another set's kernel";
      EXPECT_NE(set.bf16.dense, narrow) << isa_name(isa) << " runs another set's kernel";
    }
    seen.emplace_back(set.dense, set.bf16.dense);
  }
}

struct Layer {
  std::vector<float> packed, w, bias;
  Layer(const Set& set, int64_t k, int64_t n, unsigned seed) : w(noise(k * n, seed)), bias(noise(n, seed + 1)) {
    packed.resize(set.dense_packed_size(k, n));
    set.dense_pack(w.data(), k, n, n, 1, packed.data());
  }
};

// y of m rows; exactly m * n floats, so that a sanitizer sees any access past them.
std::vector<float> run_dense(const Set& set, const Layer& layer, const std::vector<float>& x, int64_t m, int64_t n,
                             int64_t k, Activation activation, bool start) {
  std::vector<float> y(m * n), starts = noise(m * n, 99);
  Dense a;
  a.m = m, a.n = n, a.k = k, a.x = x.data(), a.x_outer = k, a.segment_length = k;
  a.packed = layer.packed.data(), a.bias = layer.bias.data(), a.y = y.data(), a.y_outer = n, a.activation = activation;
  if (start) a.start = starts.data(), a.start_stride = n;
  set.dense(a);
  return y;
}

TEST(Kernels, ARowAloneHasTheBitsThatDenseGivesIt) {
  for (const Isa isa : supported_isas()) {
    const Set& set = set_for(isa);
    for (int64_t n = 0; n <= 140; ++n)
      for (const int64_t k : {0, 1, 7, 40, 65}) {
        const Layer layer(set, k, n, 5);
        const std::vector<float> x = noise(k, 7);
        const Activation activation{n % 3 == 0 ? Unary::kRelu : n % 3 == 1 ? Unary::kElu : Unary::kTanh, 1.0f};
        const std::vector<float> wanted = run_dense(set, layer, x, 1, n, k, activation, false);
        std::vector<float> y(static_cast<size_t>(n));
        const RowKernel kernel = set.row_kernel(n);
        for (int64_t from = 0; from < n; from += kColumnGroup) {  // other threads may be at the other parts
          std::fill(y.begin(), y.end(), 12345.0f);
          kernel({n, k, activation, from, from + kColumnGroup}, x.data(), layer.packed.data(), layer.bias.data(),
                 y.data());
          for (int64_t i = 0; i < n; ++i)
            EXPECT_EQ(y[i], i >= from && i < from + kColumnGroup ? wanted[i] : 12345.0f)
                << isa_name(isa) << " columns from " << from << ", column " << i << " of " << n << " k " << k;
        }
        std::fill(y.begin(), y.end(), 0.0f);
        kernel({n, k, activation}, x.data(), layer.packed.data(), layer.bias.data(), y.data());
        EXPECT_TRUE(n == 0 || std::memcmp(y.data(), wanted.data(), y.size() * 4) == 0)
            << isa_name(isa) << " n " << n << " k " << k;
      }
  }
}

TEST(Kernels, DenseEqualsItsPlainTwin) {
  const Set& plain = set_for(Isa::kPlain);
  for (const Isa isa : vector_isas())
    for (const int64_t n : {1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 21, 24, 25, 31, 33, 48, 64, 65, 72, 100, 129})
      for (const int64_t k : {0, 1, 3, 4, 40, 64, 101})
        for (const int64_t m : {0, 1, 2, 5, 6, 7, 13}) {
          const std::vector<float> x = noise(m * k, 5);
          const Set& set = set_for(isa);
          const auto wanted = run_dense(plain, Layer(plain, k, n, 3), x, m, n, k, {Unary::kRelu}, m % 2 == 0);
          const auto got = run_dense(set, Layer(set, k, n, 3), x, m, n, k, {Unary::kRelu}, m % 2 == 0);
          // Each of k roundings errs by half a unit of the sum so far, whose size is about sqrt(k).
          const double bound = 6e-8 * static_cast<double>(k + 2) * (4 + std::sqrt(static_cast<double>(k)));
          for (size_t i = 0; i < got.size(); ++i)
            ASSERT_NEAR(got[i], wanted[i], bound) << isa_name(isa) << " n " << n << " k " << k << " m " << m;
        }
}

TEST(Kernels, ARowsBitsDoNotDependOnItsNeighbours) {
  for (const Isa isa : supported_isas())
    for (const int64_t n : {3, 7, 20, 39, 40, 64, 65, 100}) {
      constexpr int64_t k = 77, rows = 32;
      const Set& set = set_for(isa);
      const Layer layer(set, k, n, 8);
      const std::vector<float> x = noise(rows * k, 9);
      const auto all = run_dense(set, layer, x, rows, n, k, {}, false);
      for (const int64_t m : {1, 7})
        for (int64_t first = 0; first + m <= rows; ++first) {
          const std::vector<float> part(x.begin() + first * k, x.begin() + (first + m) * k);
          const auto some = run_dense(set, layer, part, m, n, k, {}, false);
          ASSERT_EQ(0, memcmp(some.data(), all.data() + first * n, some.size() * sizeof(float)))
              << isa_name(isa) << " n " << n << " m " << m;
        }
    }
}

// A 2 x 3 kernel over a channels-last image of 5 x 7 pixels, stride 1: 4 x 5 positions, two segments of 3 pixels.
std::vector<float> convolve(const Set& set, int64_t channels, int64_t n) {
  constexpr int64_t height = 4, width = 5;
  const int64_t row = 7 * channels, offsets[] = {0, row};
  const std::vector<float> image = noise(5 * row, 21);
  const Layer layer(set, 6 * channels, n, 4);
  std::vector<float> y(height * width * n);
  Dense a;
  a.m = height * width, a.n = n, a.k = 6 * channels, a.x = image.data(), a.inner = width, a.x_outer = row,
  a.x_inner = channels;
  a.segments = 2, a.segment_length = 3 * channels, a.segment_offsets = offsets, a.packed = layer.packed.data(),
  a.bias = layer.bias.data();
  a.y = y.data(), a.y_outer = width * n, a.y_inner = n, a.activation = {Unary::kLeakyRelu, 0.1f};
  set.dense(a);
  return y;
}

TEST(Kernels, DenseWalksSegmentsAsAConvolutionDoes) {
  for (const int64_t channels : {1, 4, 5})
    for (const int64_t n : {3, 7, 10, 21}) {
      const auto wanted = convolve(set_for(Isa::kPlain), channels, n);
      for (const Isa isa : vector_isas()) {
        const auto got = convolve(set_for(isa), channels, n);
        for (size_t i = 0; i < got.size(); ++i)
          ASSERT_NEAR(got[i], wanted[i], 1e-5) << isa_name(isa) << " " << channels << " channels, n " << n;
      }
    }
}

// A layer of `segments` runs of x in two calls, cut behind the first `begun` of them, has the bits of one; columns by
// their groups too, as threads share them.
TEST(Kernels, ALayerInTwoHasTheBitsOfOne) {
  constexpr int64_t segments = 3, most = 13;
  for (const Isa isa : supported_isas()) {
    const Set& set = set_for(isa);
    for (const int64_t n : {1, 3, 4, 5, 8, 9, 12, 16, 20, 24, 31, 32, 40, 48, 64, 65, 70, 80, 128, 130, 200})
      for (const int64_t length : {0, 1, 5, 8, 13, 64})
        for (const int64_t begun : {1, 2}) {
          const int64_t k = segments * length, size = begun_size(n);
          const std::vector<float> w = noise(k * n, 3), bias = noise(n, 4), x = noise(most * k, 5);
          const auto layer = [&](int64_t first, int64_t last, std::vector<float>* packed) {
            packed->resize(set.dense_packed_size((last - first) * length, n));
            set.dense_pack(w.data() + first * length * n, (last - first) * length, n, n, 1, packed->data());
            Dense a;
            a.n = n, a.k = (last - first) * length, a.x = x.data() + first * length, a.x_inner = k, a.inner = most;
            a.segments = last - first, a.segment_length = length, a.bias = n % 2 == 0 ? bias.data() : nullptr;
            a.packed = packed->data(), a.activation = {Unary::kTanh};
            return a;
          };
          const int64_t offsets[] = {0, length, 2 * length};
          std::vector<float> of_whole, of_begin, of_end;
          Dense whole = layer(0, segments, &of_whole), begin = layer(0, begun, &of_begin),
                end = layer(begun, segments, &of_end);
          for (Dense* each : {&whole, &begin, &end}) each->segment_offsets = offsets;
          for (const int64_t m : {1, 2, 7, 13}) {
            std::vector<float> wanted(m * n), sums(m * size), got(m * n);
            whole.m = begin.m = end.m = m;
            whole.y = wanted.data(), whole.y_inner = n;
            set.dense(whole);
            begin.y = sums.data(), begin.y_inner = size, begin.part = Part::kBegin, begin.activation = {};
            end.start = sums.data(), end.start_stride = size, end.part = Part::kEnd, end.y = got.data(),
            end.y_inner = n;
            for (Dense* each : {&begin, &end})
              for (int64_t from = 0; from < n; from += kColumnGroup) {
                each->from = from, each->to = from + kColumnGroup;
                set.dense(*each);
              }
            ASSERT_EQ(0, memcmp(got.data(), wanted.data(), got.size() * sizeof(float)))
                << isa_name(isa) << " n " << n << ", " << length << " long, begun " << begun << " m " << m;
          }
        }
  }
}

// A run that is cut where the chains have come round has the bits of one.
TEST(Kernels, ChainsComeRoundWhereTheySay) {
  for (const Isa isa : supported_isas())
    for (const int64_t n : {3, 8, 20, 64, 130}) {
      const Set& set = set_for(isa);
      constexpr int64_t k = 45;
      const Layer layer(set, k, n, 6);
      const std::vector<float> x = noise(k, 7);
      const std::vector<float> wanted = run_dense(set, layer, x, 1, n, k, {}, false);
      std::vector<float> sums(begun_size(n)), got(n);
      for (const Part part : {Part::kBegin, Part::kEnd}) {
        const int64_t first = part == Part::kBegin ? 0 : 3 * kChainsRound,
                      last = part == Part::kBegin ? 3 * kChainsRound : k;
        std::vector<float> packed(set.dense_packed_size(last - first, n));
        set.dense_pack(layer.w.data() + first * n, last - first, n, n, 1, packed.data());
        Dense a;
        a.m = 1, a.n = n, a.k = a.segment_length = last - first, a.x = x.data() + first, a.packed = packed.data();
        a.bias = layer.bias.data(), a.part = part, a.y = part == Part::kBegin ? sums.data() : got.data();
        if (part == Part::kEnd) a.start = sums.data(), a.start_stride = begun_size(n);
        set.dense(a);
      }
      ASSERT_EQ(0, memcmp(got.data(), wanted.data(), got.size() * sizeof(float))) << isa_name(isa) << " n " << n;
    }
}

TEST(Kernels, UnaryFunctionsEqualTheirPlainTwinsAndKeepNan) {
  std::vector<float> x;
  for (int i = -8000; i <= 8000; ++i) x.push_back(static_cast<float>(i) * 0.025f);
  for (const float edge : {0.0f, -0.0f, 1e-20f, -1e-6f, 1e9f, 3e38f, -3e38f, INFINITY, -INFINITY, NAN})
    x.push_back(edge);
  for (const Isa isa : vector_isas())
    for (int i = 0; i <= static_cast<int>(Unary::kCeil); ++i) {
      if (static_cast<Unary>(i) == Unary::kGeluNear) continue;  // has a bound of its own, below
      const Activation op{static_cast<Unary>(i), -0.5f, 0.75f};
      std::vector<float> got(x.size()), wanted(x.size());
      set_for(isa).unary(op, x.data(), got.data(), static_cast<int64_t>(x.size()));
      set_for(Isa::kPlain).unary(op, x.data(), wanted.data(), static_cast<int64_t>(x.size()));
      for (size_t k = 0; k < x.size(); ++k) {
        const std::string what =
            std::string(isa_name(isa)) + " op " + std::to_string(i) + " at " + std::to_string(x[k]);
        if (std::isnan(x[k])) {
          ASSERT_TRUE(std::isnan(got[k])) << what;
        } else if (std::isinf(wanted[k])) {
          ASSERT_EQ(got[k], wanted[k]) << what;
        } else if (!std::isnan(wanted[k])) {  // x * sigmoid(x) has no value at minus infinity
          ASSERT_NEAR(got[k], wanted[k], 1e-6 * std::fabs(wanted[k]) + 1e-37) << what;
        }
      }
    }
}

// The bounds of kernels.h.
TEST(Kernels, UnaryFunctionsAreWithinTheirUlps) {
  struct Bound {
    Unary op;
    double ulps;
    double (*truth)(double);
  };
  const Bound bounds[] = {
      {Unary::kExp, 1.5, [](double x) { return std::exp(x); }},
      {Unary::kSigmoid, 3, [](double x) { return 1 / (1 + std::exp(-x)); }},
      {Unary::kErf, 4, [](double x) { return std::erf(x); }},
      {Unary::kSilu, 4, [](double x) { return x / (1 + std::exp(-x)); }},
      {Unary::kTanh, 7, [](double x) { return std::tanh(x); }},
      {Unary::kGelu, 10, [](double x) { return 0.5 * x * std::erfc(-x * M_SQRT1_2); }},
      {Unary::kSqrt, 0.5, [](double x) { return std::sqrt(x); }},
      {Unary::kReciprocal, 0.5, [](double x) { return 1 / x; }},
  };
  std::vector<float> x;
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 30'011) {
    const auto low = static_cast<uint32_t>(bits);
    float value = 0;
    std::memcpy(&value, &low, sizeof value);
    if (std::isfinite(value)) x.push_back(value);
  }
  for (int i = -200'000; i <= 200'000; i += 7) x.push_back(static_cast<float>(i) * 1e-4f);  // where they bend
  std::vector<float> y(x.size());
  for (const Isa isa : vector_isas())
    for (const Bound& bound : bounds) {
      set_for(isa).unary({bound.op}, x.data(), y.data(), static_cast<int64_t>(x.size()));
      for (size_t i = 0; i < x.size(); ++i) {
        const double wanted = bound.truth(static_cast<double>(x[i])), size = std::fabs(wanted);
        if (!(size <= static_cast<double>(std::numeric_limits<float>::max()))) continue;
        const double error = size < 1e-30 ? 1e-36 : bound.ulps * std::ldexp(1.0, std::ilogb(wanted) - 23);
        ASSERT_LE(std::fabs(static_cast<double>(y[i]) - wanted), error)
            << isa_name(isa) << " op " << static_cast<int>(bound.op) << " at " << x[i];
      }
    }
}

TEST(Kernels, GeluForFewerBitsIsWithinItsBound) {
  std::vector<float> x;
  for (int i = -8000; i <= 8000; ++i) x.push_back(static_cast<float>(i) * 0.00125f);
  for (const float edge : {0.0f, 1e-20f, -1e-6f, -5.7f, 3e38f, -3e38f, INFINITY, NAN}) x.push_back(edge);
  for (const Isa isa : vector_isas()) {
    std::vector<float> got(x.size()), wanted(x.size());
    set_for(isa).unary({Unary::kGeluNear}, x.data(), got.data(), static_cast<int64_t>(x.size()));
    set_for(Isa::kPlain).unary({Unary::kGelu}, x.data(), wanted.data(), static_cast<int64_t>(x.size()));
    for (size_t i = 0; i < x.size(); ++i) {
      if (std::isnan(x[i]))
        ASSERT_TRUE(std::isnan(got[i])) << isa_name(isa);
      else if (std::isinf(x[i]))
        ASSERT_EQ(got[i], x[i]) << isa_name(isa);
      else
        ASSERT_NEAR(got[i], wanted[i], x[i] < -5.65f ? 1e-7 : 3e-7 * std::fabs(x[i]))
            << isa_name(isa) << " at " << x[i];
    }
  }
}

TEST(Kernels, ErfIsAccurate) {
  std::vector<float> x;
  for (int i = -4000; i <= 4000; ++i) x.push_back(static_cast<float>(i) * 0.0025f);
  for (const float edge : {3e38f, -3e38f, INFINITY, -INFINITY}) x.push_back(edge);
  for (const Isa isa : vector_isas()) {
    std::vector<float> got(x.size()), wanted(x.size());
    set_for(isa).unary({Unary::kErf}, x.data(), got.data(), static_cast<int64_t>(x.size()));
    set_for(Isa::kPlain).unary({Unary::kErf}, x.data(), wanted.data(), static_cast<int64_t>(x.size()));
    for (size_t i = 0; i < x.size(); ++i)
      ASSERT_NEAR(got[i], wanted[i], 1e-6 * std::fabs(wanted[i]) + 1e-37) << isa_name(isa) << " at " << x[i];
  }
}

TEST(Kernels, BinaryFunctionsEqualTheirPlainTwins) {
  for (const Isa isa : vector_isas())
    for (const Binary op :
         {Binary::kAdd, Binary::kSub, Binary::kMul, Binary::kDiv, Binary::kMin, Binary::kMax, Binary::kPow})
      for (const int64_t n : {1, 3, 16, 37})
        for (const int steps : {0, 1, 2, 3}) {
          auto a = noise(3 * n, 1), b = noise(3 * n, 2);
          a[0] = NAN, b[static_cast<size_t>(n) - 1] = NAN;
          std::vector<float> y[2] = {std::vector<float>(static_cast<size_t>(3 * n)),
                                     std::vector<float>(static_cast<size_t>(3 * n))};
          for (const int which : {0, 1}) {
            BinaryArgs args;
            args.rows = 3, args.n = n, args.a = a.data(), args.b = b.data(), args.y = y[which].data();
            args.a_row = n, args.b_row = (steps & 2) != 0 ? 0 : n, args.y_row = n;
            args.a_step = steps & 1, args.activation = {Unary::kRelu};
            set_for(which == 0 ? Isa::kPlain : isa).binary(op, args);
          }
          for (size_t i = 0; i < y[0].size(); ++i) {
            ASSERT_EQ(std::isnan(y[1][i]), std::isnan(y[0][i])) << isa_name(isa) << " op " << static_cast<int>(op);
            if (!std::isnan(y[0][i])) {
              ASSERT_NEAR(y[1][i], y[0][i], 1e-6 * std::fabs(y[0][i]))
                  << isa_name(isa) << " op " << static_cast<int>(op) << " n " << n;
            }
          }
        }
}

TEST(Kernels, SoftmaxAndLayerNormEqualTheirPlainTwins) {
  for (const Isa isa : vector_isas())
    for (const int64_t n : {1, 3, 15, 16, 17, 50, 64, 131}) {
      const auto x = noise(4 * n, 1), scale = noise(n, 2), bias = noise(n, 3);
      std::vector<float> soft[2], norm[2], whole[2];
      for (const int which : {0, 1}) {
        const Set& set = set_for(which == 0 ? Isa::kPlain : isa);
        soft[which].resize(x.size()), norm[which].resize(x.size()), whole[which].resize(x.size());
        set.softmax(x.data(), soft[which].data(), 4, n, false);
        set.softmax(x.data(), whole[which].data(), 4, n, true);
        set.layer_norm(x.data(), scale.data(), bias.data(), 1e-5f, norm[which].data(), 4, n);
      }
      for (size_t i = 0; i < x.size(); ++i) {
        ASSERT_NEAR(soft[1][i], soft[0][i], 1e-6 * std::fabs(soft[0][i]) + 1e-7) << isa_name(isa) << " n " << n;
        ASSERT_NEAR(whole[1][i], whole[0][i], 1e-6 * std::fabs(whole[0][i]) + 1e-6) << isa_name(isa) << " n " << n;
        ASSERT_NEAR(norm[1][i], norm[0][i], 1e-5 * std::fabs(norm[0][i]) + 1e-5) << isa_name(isa) << " n " << n;
      }
    }
}

TEST(Kernels, SoftmaxOfNanAndInfinityIsAsItsPlainTwin) {
  for (const Isa isa : vector_isas())
    for (const int64_t n : {3, 40})
      for (const float odd : {NAN, INFINITY, -INFINITY}) {
        auto x = noise(n, 1);
        x[1] = odd;
        std::vector<float> got(x.size()), wanted(x.size());
        set_for(isa).softmax(x.data(), got.data(), 1, n, false);
        set_for(Isa::kPlain).softmax(x.data(), wanted.data(), 1, n, false);
        for (size_t i = 0; i < x.size(); ++i) {
          ASSERT_EQ(std::isnan(got[i]), std::isnan(wanted[i]))
              << isa_name(isa) << " " << odd << " n " << n << " at " << i;
          if (!std::isnan(wanted[i])) {
            ASSERT_NEAR(got[i], wanted[i], 1e-6);
          }
        }
      }
}

TEST(Kernels, ReductionsEqualTheirPlainTwins) {
  for (const Isa isa : vector_isas())
    for (const Reduce op :
         {Reduce::kSum, Reduce::kMean, Reduce::kMax, Reduce::kMin, Reduce::kProd, Reduce::kSumSquare, Reduce::kL2})
      for (const int64_t middle : {1, 5, 33})
        for (const int64_t inner : {1, 7, 16, 35}) {
          const auto x = noise(2 * middle * inner, 1);
          std::vector<float> got(static_cast<size_t>(2 * inner)), wanted(got);
          set_for(isa).reduce(op, x.data(), got.data(), 2, middle, inner);
          set_for(Isa::kPlain).reduce(op, x.data(), wanted.data(), 2, middle, inner);
          for (size_t i = 0; i < got.size(); ++i)
            ASSERT_NEAR(got[i], wanted[i], 1e-5 * std::fabs(wanted[i]) + 1e-5)
                << isa_name(isa) << " op " << static_cast<int>(op);
        }
}

// One float32 sum after the other is off by 10^-3 here.
TEST(Kernels, LongSumsKeepTheirDigits) {
  constexpr int64_t kMiddle = 200'000;
  constexpr double kBound = (128 + kMiddle / 128 + 8) * 0x1p-24;  // blocks of 128, and the lanes
  for (const Isa isa : vector_isas())
    for (const Reduce op : {Reduce::kSum, Reduce::kSumSquare})
      for (const int64_t inner : {1, 3}) {
        const std::vector<float> x(static_cast<size_t>(kMiddle * inner), 0.1f);
        std::vector<float> got(static_cast<size_t>(inner)), wanted(got);
        set_for(isa).reduce(op, x.data(), got.data(), 1, kMiddle, inner);
        set_for(Isa::kPlain).reduce(op, x.data(), wanted.data(), 1, kMiddle, inner);
        for (size_t i = 0; i < got.size(); ++i)
          ASSERT_NEAR(got[i], wanted[i], kBound * std::fabs(wanted[i]))
              << isa_name(isa) << " op " << static_cast<int>(op) << " inner " << inner;
      }
}

TEST(Kernels, PoolsEqualTheirPlainTwins) {
  for (const Isa isa : vector_isas())
    for (const bool average : {false, true})
      for (const int64_t channels : {1, 16, 21}) {
        const auto x = noise(2 * 6 * 5 * channels, 1);
        std::vector<float> y[2];
        for (const int which : {0, 1}) {
          y[which].resize(static_cast<size_t>(2 * 6 * 3 * channels));
          Pool pool;
          pool.images = 2, pool.height = 6, pool.width = 5, pool.channels = channels, pool.out_height = 6,
          pool.out_width = 3;
          pool.kernel_h = 3, pool.kernel_w = 2, pool.stride_w = 2, pool.pad_top = 1, pool.pad_left = 1;
          pool.average = average, pool.x = x.data(), pool.y = y[which].data();
          set_for(which == 0 ? Isa::kPlain : isa).pool(pool);
        }
        for (size_t i = 0; i < y[0].size(); ++i) ASSERT_NEAR(y[1][i], y[0][i], 1e-6) << isa_name(isa);
      }
}

TEST(Kernels, MatMulEqualsItsPlainTwin) {
  for (const Isa isa : vector_isas())
    for (const int64_t m : {1, 5, 6, 13})
      for (const int64_t n : {1, 16, 50, 70}) {
        constexpr int64_t k = 19;
        const auto a = noise(2 * m * k, 1), b = noise(2 * k * n, 2);
        std::vector<float> y[2];
        for (const int which : {0, 1}) {
          y[which].resize(static_cast<size_t>(2 * m * n));
          MatMul args;
          args.batch = 2, args.m = m, args.n = n, args.k = k, args.alpha = 0.5f;
          args.a = a.data(), args.b = b.data(), args.y = y[which].data();
          args.a_row = k, args.b_row = n, args.y_row = n, args.a_batch = m * k, args.b_batch = k * n,
          args.y_batch = m * n;
          set_for(which == 0 ? Isa::kPlain : isa).matmul(args);
        }
        for (size_t i = 0; i < y[0].size(); ++i)
          ASSERT_NEAR(y[1][i], y[0][i], 1e-5) << isa_name(isa) << " m " << m << " n " << n;
      }
}

TEST(Kernels, RecurrentCellsEqualTheirPlainTwins) {
  for (const Isa isa : vector_isas())
    for (const int64_t hidden : {1, 7, 16, 33, 100}) {
      constexpr int64_t m = 3;
      const auto gates = noise(m * 4 * hidden, 1), r = noise(m * 4 * hidden, 2), state = noise(m * hidden, 3);
      std::vector<float> c[2] = {state, state}, h[2] = {state, state}, g[2] = {state, state};
      for (const int which : {0, 1}) {
        const Set& set = set_for(which == 0 ? Isa::kPlain : isa);
        const LstmCell alone{m, hidden,          gates.data(), nullptr,         4 * hidden,
                             0, c[which].data(), hidden,       h[which].data(), hidden};
        set.lstm_cell(alone);
        LstmCell of_both = alone;  // the input's sums of one row for all
        of_both.r = r.data(), of_both.r_row = 4 * hidden, of_both.x_row = 0;
        set.lstm_cell(of_both);
        set.gru_cell(
            {m, hidden, gates.data(), r.data(), 3 * hidden, 3 * hidden, state.data(), hidden, g[which].data(), hidden});
      }
      for (int64_t i = 0; i < m * hidden; ++i) {
        ASSERT_NEAR(c[1][i], c[0][i], 2e-6) << isa_name(isa) << " hidden " << hidden;
        ASSERT_NEAR(h[1][i], h[0][i], 2e-6);
        ASSERT_NEAR(g[1][i], g[0][i], 2e-6);
      }
    }
}

TEST(Kernels, ExpNearAndFarBelowZeroIsWithinItsBound) {
  // Through softmax of two values, whose highest is 0: y = e / (1 + e).
  for (const Isa isa : vector_isas())
    for (int i = 0; i < 20000; ++i) {
      const float x[2] = {0, static_cast<float>(-i) * 0.005f};
      float y[2];
      set_for(isa).softmax(x, y, 1, 2, false);
      const double e = std::exp(static_cast<double>(x[1])), wanted = e / (1 + e);
      ASSERT_NEAR(y[1], wanted, 4e-7 * wanted + 2e-45) << isa_name(isa) << " at " << x[1];
    }
}

TEST(Kernels, RmsNormEqualsItsPlainTwin) {
  for (const Isa isa : vector_isas())
    for (const int64_t n : {1, 3, 15, 16, 17, 50, 64, 131})
      for (const bool scaled : {false, true}) {
        const auto x = noise(4 * n, 1), scale = noise(n, 2);
        std::vector<float> y[2];
        for (const int which : {0, 1}) {
          y[which].resize(x.size());
          set_for(which == 0 ? Isa::kPlain : isa)
              .rms_norm(x.data(), scaled ? scale.data() : nullptr, 1e-5f, y[which].data(), 4, n);
        }
        for (size_t i = 0; i < x.size(); ++i)
          ASSERT_NEAR(y[1][i], y[0][i], 1e-5 * std::fabs(y[0][i]) + 1e-6) << isa_name(isa) << " n " << n;
      }
}

struct HeadCase {
  int64_t m, s, e, f;
  int mask;  // 0: none, 1: of each query, 2: the same for all
  bool causal = false, blind_is_zero = false;
  std::vector<float> q = noise(static_cast<size_t>(m * e), 1), k = noise(static_cast<size_t>(s * e), 2),
                     v = noise(static_cast<size_t>(s * f), 3), added = noise(static_cast<size_t>(m * s), 4);

  std::vector<float> run(Isa isa) const {
    const Set& set = set_for(isa);
    std::vector<float> y(static_cast<size_t>(m * f), -1), work(static_cast<size_t>(set.attention_work_size(e, s)));
    Attention a;
    a.m = m, a.s = s, a.e = e, a.f = f, a.q = q.data(), a.k = k.data(), a.v = v.data(), a.y = y.data();
    a.q_row = e, a.k_row = e, a.v_row = f, a.y_row = f, a.scale = 0.5f, a.causal = causal;
    a.blind_is_zero = blind_is_zero, a.work = work.data();
    if (mask != 0) a.mask = added.data(), a.mask_query = mask == 1 ? 1 : 0, a.mask_key = mask == 1 ? m : 1;
    set.attention(a);
    return y;
  }
  void expect_equal(Isa isa) const {
    const std::vector<float> wanted = run(Isa::kPlain), got = run(isa);
    for (size_t i = 0; i < got.size(); ++i) {
      ASSERT_EQ(std::isnan(got[i]), std::isnan(wanted[i])) << isa_name(isa) << " at " << i;
      if (std::isnan(wanted[i])) continue;
      // A score of e products errs by about sqrt(e) roundings of its size, which is sqrt(e) / 2 here; values reach 4.
      ASSERT_NEAR(got[i], wanted[i], 1e-5 * std::fabs(wanted[i]) + 1e-6 + 1.2e-7 * static_cast<double>(e))
          << isa_name(isa) << " m " << m << " s " << s << " e " << e << " f " << f << " mask " << mask;
    }
  }
};

TEST(Kernels, AttentionEqualsItsPlainTwin) {
  for (const Isa isa : vector_isas())
    for (const int64_t m : {1, 2, 15, 16, 17, 33, 50, 64, 65, 130})
      for (const int64_t s : {1, 2, 5, 6, 7, 50})
        for (const auto& [e, f] : {std::pair<int64_t, int64_t>{1, 1}, {7, 16}, {16, 5}, {16, 17}, {8, 33}, {32, 64}})
          for (const int mask : {0, 1, 2}) HeadCase{m, s, e, f, mask, (m + s) % 2 == 0}.expect_equal(isa);
}

TEST(Kernels, AttentionWithInfinitiesIsAsItsPlainTwin) {
  for (const Isa isa : vector_isas())
    for (const bool zero : {false, true})
      for (const float odd : {-INFINITY, NAN, INFINITY}) {
        HeadCase some{20, 7, 8, 9, 1, false, zero};
        for (int64_t key = 0; key < 7; ++key) some.added[static_cast<size_t>(key * 20 + 3)] = odd;  // all of query 3
        some.added[18] = odd, some.added[20 + 19] = odd;
        some.expect_equal(isa);
        HeadCase values{20, 7, 8, 9, 0};
        values.v[10] = odd, values.k[8] = odd;
        values.expect_equal(isa);
      }
}

TEST(Kernels, AQueryOfAttentionHasTheSameBitsInEveryBlock) {
  for (const Isa isa : supported_isas()) {
    const HeadCase all{130, 50, 16, 20, 0};
    const std::vector<float> wanted = all.run(isa);
    for (const int64_t m : {1, 7, 16, 40})
      for (int64_t first = 0; first + m <= 130; first += 11) {
        HeadCase some{m, 50, 16, 20, 0};
        some.q.assign(all.q.begin() + first * 16, all.q.begin() + (first + m) * 16);
        const std::vector<float> got = some.run(isa);
        ASSERT_EQ(0, memcmp(got.data(), wanted.data() + first * 20, got.size() * sizeof(float))) << isa_name(isa);
      }
  }
}

// Buffers that begin at any multiple of 4 bytes, with guards around what is written.
struct Shifted {
  std::vector<float> room;
  float* at;
  Shifted(const std::vector<float>& values, size_t shift) : room(values.size() + 64, 12345.0f) {
    const size_t place = reinterpret_cast<uintptr_t>(room.data()) / sizeof(float) % 16;
    at = room.data() + (32 - place) % 16 + 16 + shift;
    std::copy(values.begin(), values.end(), at);
  }
  // What was written, with nothing beside it.
  std::vector<float> taken(int64_t n) const {
    const std::vector<float> values(at, at + n);
    EXPECT_TRUE(std::all_of(room.data(), static_cast<const float*>(at), [](float v) { return v == 12345.0f; }));
    EXPECT_TRUE(std::all_of(static_cast<const float*>(at) + n, room.data() + room.size(),
                            [](float v) { return v == 12345.0f; }));
    return values;
  }
};

// What every kernel gives for n columns where its buffers begin `shift` floats past a multiple of 64 bytes.
std::vector<std::vector<float>> all_kernels(const Set& set, int64_t n, size_t shift) {
  constexpr int64_t m = 3, k = 9;
  const Shifted x(noise(m * 4 * n + m * k, 1), shift), w(noise(4 * n + k * n + 64, 2), (shift * 5 + 1) % 16),
      state(noise(m * n, 3), (shift + 7) % 16);
  std::vector<std::vector<float>> made;
  const auto keep = [&](auto f) {
    Shifted y(std::vector<float>(static_cast<size_t>(m * n)), (shift * 3 + 2) % 16);
    f(y.at);
    made.push_back(y.taken(m * n));
  };
  AlignedVector<float> packed(static_cast<size_t>(set.dense_packed_size(k, n)));
  set.dense_pack(w.at, k, n, n, 1, packed.data());
  Dense dense;
  dense.m = m, dense.n = n, dense.k = dense.segment_length = dense.x_outer = k, dense.y_outer = n;
  dense.x = x.at, dense.packed = packed.data(), dense.bias = state.at;
  keep([&](float* y) { dense.y = y, set.dense(dense); });
  keep([&](float* y) {
    for (int64_t r = 0; r < m; ++r) set.row_kernel(n)({n, k, {}}, x.at + r * k, packed.data(), state.at, y + r * n);
  });
  MatMul matmul;
  matmul.m = m, matmul.n = n, matmul.k = k, matmul.a = x.at, matmul.b = w.at, matmul.a_row = k, matmul.b_row = n;
  keep([&](float* y) { matmul.y = y, matmul.y_row = n, set.matmul(matmul); });
  keep([&](float* y) { set.unary({Unary::kTanh}, x.at, y, m * n); });
  BinaryArgs binary{.rows = m, .n = n, .a = x.at, .b = state.at, .a_row = n, .b_row = n, .y_row = n, .activation = {}};
  keep([&](float* y) { binary.y = y, set.binary(Binary::kAdd, binary); });
  keep([&](float* y) { set.softmax(x.at, y, m, n, false); });
  keep([&](float* y) { set.layer_norm(x.at, w.at, state.at, 1e-5f, y, m, n); });
  keep([&](float* y) { set.rms_norm(x.at, w.at, 1e-5f, y, m, n); });
  keep([&](float* y) { set.reduce(Reduce::kMean, x.at, y, m, 4, n); });
  Pool pool{.images = 1, .height = m + 1, .width = 1, .channels = n, .out_height = m, .out_width = 1, .kernel_h = 2};
  keep([&](float* y) { pool.x = x.at, pool.y = y, set.pool(pool); });
  Depthwise depthwise{.images = 1,
                      .height = m + 1,
                      .width = 1,
                      .channels = n,
                      .out_height = m,
                      .out_width = 1,
                      .kernel_h = 2,
                      .activation = {}};
  keep([&](float* y) { depthwise.x = x.at, depthwise.w = w.at, depthwise.y = y, set.depthwise(depthwise); });
  Shifted cell(noise(m * n, 4), (shift + 3) % 16);
  keep([&](float* y) {
    set.lstm_cell({.m = m, .hidden = n, .x = x.at, .x_row = 4 * n, .c = cell.at, .c_row = n, .h = y, .h_row = n});
  });
  made.push_back(cell.taken(m * n));
  keep([&](float* y) { set.gru_cell({m, n, x.at, w.at, 3 * n, 0, state.at, n, y, n}); });
  Shifted work(std::vector<float>(static_cast<size_t>(set.attention_work_size(k, 4))), (shift + 9) % 16);
  Attention attention;
  attention.m = m, attention.s = 4, attention.e = k, attention.f = n, attention.work = work.at;
  attention.q = x.at, attention.k = w.at, attention.v = w.at, attention.q_row = attention.k_row = k;
  attention.v_row = attention.y_row = n;
  keep([&](float* y) { attention.y = y, set.attention(attention); });
  return made;
}

TEST(Kernels, BuffersMayBeginAnywhereAndNothingIsWrittenBesideThem) {
  for (const Isa isa : supported_isas())
    for (const int64_t n : {1, 4, 7, 15, 16, 17, 33, 64, 70}) {
      const auto wanted = all_kernels(set_for(isa), n, 0);
      for (size_t shift = 1; shift < 16; ++shift) {
        const auto got = all_kernels(set_for(isa), n, shift);
        for (size_t i = 0; i < wanted.size(); ++i)
          ASSERT_EQ(std::memcmp(got[i].data(), wanted[i].data(), got[i].size() * sizeof(float)), 0)
              << isa_name(isa) << " kernel " << i << " n " << n << " shift " << shift;
      }
    }
}

}  // namespace
}  // namespace hayate::kernels
