// The dense layers of fewer bits of every instruction set this processor runs, forced, against their plain twins.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels/aligned.h"
#include "kernels/vector/kernels.h"

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace hayate::kernels {
namespace {

struct Case {
  int64_t m, n, segments, length;  // k = segments * length
  Activation activation;
  bool start;
  int64_t inner = 1;  // rows lie in runs of so many, with a gap between runs where it divides m
  int64_t shift = 0;  // x and y begin so many elements behind an aligned place
};

struct Part {
  int64_t from = 0, to = INT64_MAX;
};

struct Data {
  std::vector<float> x, w, scale, bias, start;
  std::vector<int8_t> bytes;
  std::vector<int64_t> offsets;

  explicit Data(const Case& c) {
    std::mt19937 random(static_cast<unsigned>(c.m * 1000 + c.n * 10 + c.length));
    std::normal_distribution<float> normal;
    const auto noise = [&](std::vector<float>* to, int64_t n) {
      for (int64_t i = 0; i < n; ++i) to->push_back(normal(random));
    };
    noise(&x, count(c)), noise(&w, c.segments * c.length * c.n), noise(&scale, c.n), noise(&bias, c.n);
    noise(&start, c.m * c.n);
    for (int64_t i = 0; i < c.segments * c.length * c.n; ++i)
      bytes.push_back(static_cast<int8_t>(random() % 256 - 128));  // -128 too, and 255 * -128 thrice over 16 bits
    for (int64_t s = 0; s < c.segments; ++s) offsets.push_back(s * (c.length + 1));
  }
  static int64_t row(const Case& c) { return c.segments * (c.length + 1); }
  static int64_t run(const Case& c) { return c.inner * row(c) + (c.inner > 1 ? 3 : 0); }
  static int64_t count(const Case& c) { return c.m / c.inner * run(c); }
};

// y of exactly m * n floats, or with `narrow_y` in fewer bits, as many bytes; x narrowed by the same set into exactly
// what the header says may be read.
std::vector<float> run(const Set& set, Narrow narrow, const Case& c, const Data& data,
                       std::vector<uint8_t>* narrow_y = nullptr, const NarrowWay* way = nullptr, Part part = {}) {
  NarrowWeights weights{.segments = c.segments, .segment_length = c.length, .n = c.n, .k_stride = c.n, .n_stride = 1};
  weights.w = narrow == Narrow::kInt8 ? static_cast<const void*>(data.bytes.data()) : data.w.data();
  weights.scale = data.scale.data(), weights.x_zero = 117;
  const NarrowSet& kernels = set.of(narrow);
  AlignedVector<float> packed(static_cast<size_t>(kernels.packed_bytes(weights) / 4));
  kernels.pack(weights, packed.data());
  const int64_t count = Data::count(c);
  const size_t size = narrow == Narrow::kInt8 ? 1 : 2, shift = static_cast<size_t>(c.shift);
  std::vector<uint8_t> room((static_cast<size_t>(count) + shift) * size + 3);
  uint8_t* x = room.data() + shift * size;
  kernels.narrow({.n = count, .x = data.x.data(), .y = x, .inverse_scale = 40, .zero = 117});
  std::vector<float> y(static_cast<size_t>(c.m * c.n) + shift);
  NarrowDense a;
  a.m = c.m, a.n = c.n, a.k = c.segments * c.length;
  a.segments = c.segments, a.segment_length = c.length, a.segment_offsets = data.offsets.data();
  a.inner = c.inner, a.x_inner = Data::row(c), a.x_outer = Data::run(c), a.y_inner = c.n;
  a.x = x, a.packed = packed.data(), a.bias = data.bias.data();
  if (c.start) a.start = data.start.data(), a.start_stride = c.n;
  a.y = y.data() + shift, a.y_outer = c.inner * c.n, a.activation = c.activation;
  a.backwards = c.m % 3 == 0, a.from = part.from, a.to = part.to;
  if (narrow_y != nullptr) {
    narrow_y->assign(y.size() * size, 0);
    a.y = nullptr, a.narrow_y = narrow_y->data(), a.y_inverse_scale = 3, a.y_zero = 99;
  }
  (way == nullptr ? kernels.dense : way->dense)(a);
  y.erase(y.begin(), y.begin() + c.shift);
  return y;
}

std::vector<Case> cases() {
  std::vector<Case> made;
  for (const int64_t n : {1, 7, 8, 16, 17, 33, 64, 65, 100})
    for (const auto& [segments, length] : {std::pair<int64_t, int64_t>{1, 0}, {1, 1}, {1, 4}, {1, 63}, {3, 5}, {2, 64}})
      for (const int64_t m : {0, 1, 3, 6, 13}) {
        made.push_back({m, n, segments, length, {Unary::kRelu}, m % 2 == 0});
        if (m == 3) made.push_back({m, n, segments, length, {Unary::kElu, 1.0f}, false});  // no vector form
      }
  // Few columns left behind whole vectors, or alone: segments of less than a step of the edge, of whole ones and of
  // rests.
  for (const int64_t whole : {0, 16, 32, 48, 64, 128})
    for (int64_t left = 1; left <= 9; ++left)
      for (const auto& [segments, length] : {std::pair<int64_t, int64_t>{1, 8}, {1, 41}, {3, 9}, {2, 23}, {2, 48}})
        for (const int64_t m : {1, 4, 11})
          made.push_back({m, whole + left, segments, length, {Unary::kRelu}, m % 2 == 0, m == 4 ? 2 : 1});
  for (const int64_t n : {17, 33, 65})
    for (int64_t m = 1; m <= 20; ++m) made.push_back({m, n, 2, 37, {Unary::kTanh}, false});
  // Large enough for tiles of 16 rows and 64 bytes: whole ones, halves and rests of each, rows with gaps; more than are
  // gathered at once.
  for (const auto& [segments, length] : {std::pair<int64_t, int64_t>{1, 128}, {9, 32}, {7, 17}, {3, 101}, {9, 45}})
    for (const int64_t n : {72, 130})
      for (const auto& [m, inner] : {std::pair<int64_t, int64_t>{7, 1}, {40, 1}, {48, 3}, {80, 20}, {290, 1}})
        made.push_back({m, n, segments, length, {Unary::kRelu}, m % 2 == 0, inner});
  return made;
}

// Integers in two calls, cut behind the first `begun` segments, have the bits of one; of every way that there is.
TEST(Narrow, ALayerOfIntegersInTwoHasTheBitsOfOne) {
  for (const Case& c : cases()) {
    if (c.segments < 2 || c.start || c.shift != 0) continue;
    const Data data(c);
    for (const Isa isa : supported_isas()) {
      const NarrowSet& set = set_for(isa).int8;
      std::vector<NarrowKernel> ways{set.dense};
      for (const NarrowWay& way : set.ways) ways.push_back(way.dense);
      const std::vector<float> wanted = run(set_for(isa), Narrow::kInt8, c, data);
      std::vector<uint8_t> x(static_cast<size_t>(Data::count(c)) + 3);
      set.narrow({.n = Data::count(c), .x = data.x.data(), .y = x.data(), .inverse_scale = 40, .zero = 117});
      const int64_t size = begun_size(c.n);
      std::vector<float> sums(static_cast<size_t>(c.m * size)), got(wanted.size());
      for (const NarrowKernel way : ways)
        for (const int64_t begun : {int64_t{1}, c.segments - 1}) {
          for (const kernels::Part part : {kernels::Part::kBegin, kernels::Part::kEnd}) {
            const int64_t first = part == kernels::Part::kBegin ? 0 : begun,
                          last = part == kernels::Part::kBegin ? begun : c.segments;
            NarrowWeights weights{.segments = last - first, .segment_length = c.length, .n = c.n, .k_stride = c.n};
            weights.n_stride = 1, weights.w = data.bytes.data() + first * c.length * c.n;
            weights.scale = data.scale.data(), weights.x_zero = 117;
            AlignedVector<float> packed(static_cast<size_t>(set.packed_bytes(weights) / 4));
            set.pack(weights, packed.data());
            NarrowDense a;
            a.m = c.m, a.n = c.n, a.k = (last - first) * c.length, a.part = part;
            a.segments = last - first, a.segment_length = c.length, a.segment_offsets = data.offsets.data() + first;
            a.inner = c.inner, a.x_inner = Data::row(c), a.x_outer = Data::run(c);
            a.x = x.data(), a.packed = packed.data(), a.bias = data.bias.data();
            a.y = part == kernels::Part::kBegin ? sums.data() : got.data(),
            a.y_inner = part == kernels::Part::kBegin ? size : c.n;
            a.y_outer = c.inner * a.y_inner;
            if (part == kernels::Part::kEnd) a.start = sums.data(), a.start_stride = size, a.activation = c.activation;
            way(a);
          }
          ASSERT_EQ(0, std::memcmp(got.data(), wanted.data(), got.size() * sizeof(float)))
              << isa_name(isa) << " m " << c.m << " n " << c.n << ", " << begun << " of " << c.segments << " by "
              << c.length;
        }
      if (set_for(isa).release != nullptr) set_for(isa).release();
    }
  }
}

TEST(Narrow, DenseEqualsItsPlainTwin) {
  for (const Narrow narrow : {Narrow::kBf16, Narrow::kInt8})
    for (const Case& c : cases()) {
      const Data data(c);
      const std::vector<float> wanted = run(set_for(Isa::kPlain), narrow, c, data);
      for (const Isa isa : supported_isas()) {
        const std::vector<float> got = run(set_for(isa), narrow, c, data);
        // Integer sums are exact, so that only the last multiply-add rounds; sums of floats round k times.
        const double k = static_cast<double>(c.segments * c.length);
        for (size_t i = 0; i < got.size(); ++i) {
          const double bound = narrow == Narrow::kInt8 ? 2e-7 * std::abs(static_cast<double>(wanted[i])) + 0.02
                                                       : 1.2e-7 * (k + 2) * (4 + std::sqrt(k));
          ASSERT_NEAR(got[i], wanted[i], bound) << isa_name(isa) << " narrow " << static_cast<int>(narrow) << " n "
                                                << c.n << " m " << c.m << " " << c.segments << "x" << c.length;
        }
      }
    }
}

TEST(Narrow, AnswersNarrowedWhileTheyAreStoredAreThoseNarrowedAfterwards) {
  for (const Narrow narrow : {Narrow::kBf16, Narrow::kInt8})
    for (const Case& c : cases())
      for (const Isa isa : supported_isas()) {
        const Data data(c);
        const std::vector<float> y = run(set_for(isa), narrow, c, data);
        std::vector<uint8_t> got, wanted(y.size() * (narrow == Narrow::kInt8 ? 1 : 2));
        run(set_for(isa), narrow, c, data, &got);
        set_for(isa).of(narrow).narrow({static_cast<int64_t>(y.size()), y.data(), wanted.data(), 3, 99});
        ASSERT_EQ(got, wanted) << isa_name(isa) << " n " << c.n << " m " << c.m << " " << c.segments << "x" << c.length;
      }
}

TEST(Narrow, EveryWayHasTheSameBits) {
  int ways = 0;
  for (const Isa isa : supported_isas())
    for (const Narrow narrow : {Narrow::kBf16, Narrow::kInt8})
      for (const NarrowWay& way : set_for(isa).of(narrow).ways) {
        ++ways;
        for (const Case& c : cases()) {
          const Data data(c);
          ASSERT_EQ(run(set_for(isa), narrow, c, data, nullptr, &way), run(set_for(isa), narrow, c, data))
              << isa_name(isa) << " " << way.name << " n " << c.n << " m " << c.m << " " << c.segments << "x"
              << c.length;
        }
      }
  if (ways == 0) GTEST_SKIP() << "this processor has one way for each layer";
}

TEST(Narrow, TheKernelForAShapeGivesWhatDenseGives) {
  for (const Isa isa : supported_isas())
    for (const Narrow narrow : {Narrow::kBf16, Narrow::kInt8})
      for (const Case& c : cases()) {
        const Data data(c);
        DenseShape shape;
        shape.m = c.m, shape.n = c.n, shape.segments = c.segments, shape.segment_length = c.length;
        const NarrowWay taken{"for the shape", set_for(isa).of(narrow).kernel_for(shape), nullptr};
        ASSERT_EQ(run(set_for(isa), narrow, c, data, nullptr, &taken), run(set_for(isa), narrow, c, data))
            << isa_name(isa) << " n " << c.n << " m " << c.m << " " << c.segments << "x" << c.length;
      }
}

TEST(Narrow, RowsMayBeginAnywhere) {
  for (const Isa isa : supported_isas())
    for (const Narrow narrow : {Narrow::kBf16, Narrow::kInt8})
      for (const auto& [segments, length] : {std::pair<int64_t, int64_t>{1, 128}, {2, 64}, {3, 37}})
        for (const int64_t m : {1, 5, 20})
          for (const int64_t n : {7, 33, 130, 134}) {
            Case c{m, n, segments, length, {Unary::kRelu}, m == 5};
            const Data data(c);
            const std::vector<float> wanted = run(set_for(isa), narrow, c, data);
            for (c.shift = 1; c.shift < 16; ++c.shift)
              ASSERT_EQ(run(set_for(isa), narrow, c, data), wanted)
                  << isa_name(isa) << " shift " << c.shift << " n " << n << " m " << m << " " << segments << "x"
                  << length;
          }
}

// Threads share a layer by groups of columns: the parts' answers are those of the whole, and no others are written.
TEST(Narrow, PartsOfTheColumnsAreThoseOfTheWhole) {
  for (const Isa isa : supported_isas())
    for (const Narrow narrow : {Narrow::kBf16, Narrow::kInt8})
      for (const int64_t n : {64, 65, 71, 73, 80, 128, 129, 136, 200})
        for (const int64_t m : {1, 3, 12})
          for (const bool narrowed : {false, true}) {
            const Case c{m, n, 2, 41, {Unary::kRelu}, m == 12};
            const Data data(c);
            const int64_t size = !narrowed ? 4 : narrow == Narrow::kInt8 ? 1 : 2;
            const auto part = [&](Part columns) {
              std::vector<uint8_t> bytes;
              const std::vector<float> y =
                  run(set_for(isa), narrow, c, data, narrowed ? &bytes : nullptr, nullptr, columns);
              if (!narrowed) bytes.resize(y.size() * 4), std::memcpy(bytes.data(), y.data(), bytes.size());
              return bytes;
            };
            const std::vector<uint8_t> whole = part({});
            for (int64_t from = 0; from < n; from += kColumnGroup) {
              std::vector<uint8_t> wanted = whole;
              for (int64_t i = 0; i < m * n; ++i)
                if (i % n < from || i % n >= from + kColumnGroup)
                  std::fill_n(wanted.begin() + i * size, size, uint8_t{0});
              ASSERT_EQ(part({from, from + kColumnGroup}), wanted)
                  << isa_name(isa) << " n " << n << " m " << m << " from " << from;
            }
          }
}

// Scales of 1 and no bias: floats that hold the integer sums themselves.
TEST(Narrow, IntegerSumsAreExact) {
  for (const int64_t n : {1, 5, 16, 17, 20, 25, 33, 36, 40, 64, 65, 71, 130, 136})
    for (const int64_t m : {5, 11})
      for (const int64_t k : {16, 31, 96, 101}) {
        const Case c{m, n, 1, k, {}, false};
        Data data(c);
        std::fill(data.scale.begin(), data.scale.end(), 1.0f), std::fill(data.bias.begin(), data.bias.end(), 0.0f);
        const std::vector<float> wanted = run(set_for(Isa::kPlain), Narrow::kInt8, c, data);
        for (const Isa isa : supported_isas())
          EXPECT_EQ(run(set_for(isa), Narrow::kInt8, c, data), wanted) << isa_name(isa) << " n " << n << " m " << m;
      }
}

TEST(Narrow, ARowsBitsDoNotDependOnItsNeighbours) {
  for (const Isa isa : supported_isas())
    for (const Narrow narrow : {Narrow::kBf16, Narrow::kInt8})
      for (const auto& [n, size] :
           {std::pair<int64_t, float>{3, 1.0f}, {10, 1.0f}, {33, 1.0f}, {71, 1.0f}, {100, 1.0f}, {100, 1e-20f}}) {
        Case c{13, n, 1, 70, {Unary::kTanh}, false};
        Data data(c);
        // Products, or what they are made of, below the least float that has all its bits.
        for (float& value : data.x) value *= size;
        for (float& value : data.w) value *= size * 1e-2f;
        if (size < 1) data.bias.assign(data.bias.size(), 0.0f);
        const std::vector<float> all = run(set_for(isa), narrow, c, data);
        for (int64_t r = 0; r < c.m; ++r) {
          Case one = c;
          one.m = 1;
          Data row = data;
          row.x.assign(data.x.begin() + r * Data::row(c), data.x.begin() + (r + 1) * Data::row(c));
          const std::vector<float> alone = run(set_for(isa), narrow, one, row);
          EXPECT_EQ(std::memcmp(alone.data(), all.data() + r * n, static_cast<size_t>(n) * 4), 0)
              << isa_name(isa) << " row " << r << " n " << n;
        }
      }
}

TEST(Narrow, RoundingEqualsItsPlainTwin) {
  const float inf = std::numeric_limits<float>::infinity();
  std::vector<float> x{0,       -0.0f,  1,     1.00390625f, 1.01171875f, -1.5f, 0.0125f,       0.0375f,
                       3e38f,   -3e38f, 1e30f, -1e30f,      inf,         -inf,  std::nanf(""), 1e-40f,
                       -1e-40f, 2.5f,   3.5f,  126.5f,      4096};
  std::mt19937 random(7);
  std::normal_distribution<float> normal(0, 3);
  for (int i = 0; i < 200; ++i) x.push_back(normal(random));
  for (const Narrow narrow : {Narrow::kBf16, Narrow::kInt8})
    for (const Isa isa : supported_isas())
      for (const size_t n : {size_t{0}, size_t{1}, size_t{5}, size_t{16}, x.size()}) {
        const size_t size = narrow == Narrow::kInt8 ? 1 : 2;
        std::vector<uint8_t> wanted(n * size), got(n * size);
        Narrowing args{static_cast<int64_t>(n), x.data(), wanted.data(), 40, 128};
        set_for(Isa::kPlain).of(narrow).narrow(args);
        args.y = got.data();
        set_for(isa).of(narrow).narrow(args);
        EXPECT_EQ(got, wanted) << isa_name(isa) << " narrow " << static_cast<int>(narrow) << " n " << n;
      }
}

// An element behind a row that holds NaN must not reach it.
TEST(Narrow, WhatLiesBehindASegmentDoesNotMatter) {
  for (const Isa isa : supported_isas()) {
    const Case c{1, 20, 1, 5, {}, false};
    Data data(c);
    data.x[5] = std::nanf("");
    for (const float value : run(set_for(isa), Narrow::kBf16, c, data))
      EXPECT_FALSE(std::isnan(value)) << isa_name(isa);
    for (const int64_t length : {5, 32, 45, 64}) {
      const Case many{40, 70, 2, length, {}, false};
      Data gaps(many);
      for (size_t i = static_cast<size_t>(length); i < gaps.x.size(); i += static_cast<size_t>(length) + 1)
        gaps.x[i] = std::nanf("");
      for (const float value : run(set_for(isa), Narrow::kBf16, many, gaps))
        ASSERT_FALSE(std::isnan(value)) << isa_name(isa) << " length " << length;
    }
  }
}

// The last step of an edge reads elements before it once more, which count as nothing: infinite ones too.
TEST(Narrow, AnInfiniteElementCountsOnce) {
  for (const Isa isa : supported_isas())
    for (const int64_t n : {3, 33, 71})
      for (const int64_t length : {9, 17, 41}) {
        const Case c{3, n, 1, length, {}, false};
        Data data(c);
        data.x[static_cast<size_t>(length - 5)] = std::numeric_limits<float>::infinity();
        for (float& w : data.w) w = std::abs(w) + 0.1f;
        const std::vector<float> y = run(set_for(isa), Narrow::kBf16, c, data);
        for (size_t i = 0; i < y.size(); ++i)
          ASSERT_EQ(y[i] == std::numeric_limits<float>::infinity(), i < static_cast<size_t>(n))
              << isa_name(isa) << " n " << n << " length " << length << " element " << i;
      }
}

TEST(Narrow, AWeightThatIsNoNumberReachesItsOwnColumnOnly) {
  for (const Isa isa : supported_isas())
    for (const float value : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
      const Case c{20, 130, 3, 37, {}, false};
      Data data(c);
      data.w[static_cast<size_t>(40 * c.n + 65)] = value;
      const std::vector<float> y = run(set_for(isa), Narrow::kBf16, c, data);
      for (size_t i = 0; i < y.size(); ++i)
        ASSERT_EQ(std::isfinite(y[i]), i % 130 != 65) << isa_name(isa) << " element " << i;
      for (const NarrowWay& way : set_for(isa).bf16.ways) {
        const std::vector<float> same = run(set_for(isa), Narrow::kBf16, c, data, nullptr, &way);
        EXPECT_EQ(std::memcmp(same.data(), y.data(), y.size() * 4), 0) << isa_name(isa) << " " << way.name;
      }
    }
}

#if defined(__aarch64__) && defined(__linux__)
// Forms differ in how many elements of a column lie together: 5 of 4 columns fill up groups of 4 or of 2. tests/arm
// sweeps each of them.
TEST(Narrow, IntegersMeetInDotProductsWhereTheProcessorHasThem) {
  const NarrowWeights weights{.segments = 1, .segment_length = 5, .n = 4};
  const bool dot = (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
  EXPECT_EQ(set_for(Isa::kNeon).int8.packed_bytes(weights), 64 + 4 * (dot ? 8 : 6));
  if (!dot) GTEST_SKIP() << "this processor has no dot products";
}
#endif

}  // namespace
}  // namespace hayate::kernels
