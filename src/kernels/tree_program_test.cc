#include "kernels/tree_program.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "kernels/tree_tuning.h"

namespace hayate::kernels {
namespace {

constexpr TreeMethod kMethods[] = {TreeMethod::kPlain, TreeMethod::kWalk,      TreeMethod::kWalkAvx512,
                                   TreeMethod::kMasks, TreeMethod::kMasksAvx2, TreeMethod::kMasksAvx512};

struct Options {
  int trees = 20, leaves = 8, features = 5, outputs = 1, distinct = 40;
  std::vector<Split> splits = {Split::kLessEqual};
  bool missing = false, zeros = false, many_weights = false, float64_sum = true;
  bool all_outputs = false;  // every leaf has a weight for each of them
  bool full = false;         // every tree has as many leaves as it may
};

class Maker {
 public:
  explicit Maker(unsigned seed) : random_(seed) {}

  int below(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }

  // Values on a coarse grid, so that rows meet thresholds; all of them floats.
  double grid(int distinct) { return (below(distinct) - distinct / 2) * 0.25; }

  Trees trees(const Options& o) {
    Trees t;
    t.features = o.features, t.outputs = o.outputs, t.float64_sum = o.float64_sum;
    for (int i = 0; i < o.trees; ++i)
      t.roots.push_back(grow(&t, o, o.full ? o.leaves : 1 + below(o.leaves), i % o.outputs));
    return t;
  }

  template <typename T>
  std::vector<T> rows(const Trees& t, int n, int distinct) {
    constexpr double kSpecial[] = {std::numeric_limits<double>::quiet_NaN(),
                                   std::numeric_limits<double>::infinity(),
                                   -std::numeric_limits<double>::infinity(),
                                   0.0,
                                   -0.0,
                                   1e-36,
                                   1e-300,
                                   1e300};
    std::vector<T> x(n * t.features);
    for (T& v : x) {
      v = static_cast<T>(grid(distinct));
      if (below(4) == 0) v = std::nextafter(v, static_cast<T>(below(2) == 0 ? -1e9 : 1e9));
      if (below(6) == 0) v = static_cast<T>(kSpecial[below(8)]);
      if (below(6) == 0) v = static_cast<T>(below(70) - 2);
    }
    return x;
  }

 private:
  uint8_t node_kind(const Options& o) {
    const Split split = o.splits[below(static_cast<int>(o.splits.size()))];
    int flags = o.missing && below(2) == 0 ? kNanTrue : 0;
    if (o.zeros && split != Split::kInSet && below(3) == 0) flags |= kZeroMissing;
    if (split == Split::kInSet && below(2) == 0) flags |= kTruncate;
    return static_cast<uint8_t>(static_cast<int>(split) | flags);
  }

  int32_t leaf(Trees* t, const Options& o, int output) {
    const int32_t node = t->add_leaf(std::ldexp(below(1 << 20) + 1.0, -18) - 2, output);
    for (int i = o.many_weights ? below(3) : 0; i > 0; --i) {
      t->weight.push_back(grid(99) + 0.125), t->weight_output.push_back(below(o.outputs));
      ++t->on_false[node];
    }
    if (o.all_outputs)
      for (int k = 1; k < o.outputs; ++k, ++t->on_false[node])
        t->weight.push_back(std::ldexp(below(1 << 20) + 1.0, -18) - 2),
            t->weight_output.push_back((output + k) % o.outputs);
    return node;
  }

  int32_t grow(Trees* t, const Options& o, int leaves, int output) {
    if (leaves == 1) return leaf(t, o, output);
    const int left = 1 + below(leaves - 1);
    const uint8_t kind = node_kind(o);
    double at = grid(o.distinct);
    if (static_cast<Split>(kind & kSplitMask) == Split::kInSet) {
      const uint32_t words[2] = {static_cast<uint32_t>(random_()), static_cast<uint32_t>(random_())};
      at = t->add_set(words, 1 + below(2));
    }
    const int32_t a = grow(t, o, left, output), b = grow(t, o, leaves - left, output);
    return t->add_node(kind, below(o.features), at, a, b);
  }

  std::mt19937 random_;
};

// Every method that applies gives the plain evaluation's bits, in batches of 1, 7 and all. Returns how many
// applied.
template <typename In, typename Sum>
int check_methods(const Trees& t, const std::vector<In>& x) {
  EXPECT_EQ(fault(t), "");
  const int64_t rows = static_cast<int64_t>(x.size()) / t.features, size = rows * t.outputs;
  std::vector<Sum> wanted(size), got(size);
  std::vector<uint8_t> spoken(size), touched(size);
  evaluate_trees(t, x.data(), rows, wanted.data(), spoken.data());
  int applied = 0;
  for (const TreeMethod method : kMethods) {
    const auto program = TreeProgram::build(t, method);
    if (!program) continue;
    ++applied;
    EXPECT_EQ(program->method(), method);
    for (const int64_t batch : {int64_t{1}, int64_t{7}, rows}) {
      std::fill(got.begin(), got.end(), Sum{77}), std::fill(touched.begin(), touched.end(), uint8_t{9});
      for (int64_t r = 0; r < rows; r += batch)
        program->run(x.data() + r * t.features, std::min(batch, rows - r), got.data() + r * t.outputs,
                     touched.data() + r * t.outputs);
      EXPECT_EQ(std::memcmp(got.data(), wanted.data(), size * sizeof(Sum)), 0)
          << tree_method_name(method) << " in batches of " << batch;
      EXPECT_EQ(touched, spoken) << tree_method_name(method);
    }
  }
  return applied;
}

void check_all_types(Options o, unsigned seed) {
  for (const bool float64_sum : {true, false}) {
    Maker maker(seed);
    o.float64_sum = float64_sum;
    const Trees t = maker.trees(o);
    const auto x64 = maker.rows<double>(t, 37, o.distinct);
    const auto x32 = maker.rows<float>(t, 37, o.distinct);
    if (float64_sum)
      check_methods<double, double>(t, x64), check_methods<float, double>(t, x32);
    else
      check_methods<double, float>(t, x64), check_methods<float, float>(t, x32);
  }
}

#ifdef HAYATE_SANITIZED  // every place where sizes change the code, and less beside them
const std::vector<int> kLeaves{1, 8, 9, 32, 33, 200}, kTrees{1, 8, 9, 65, 130}, kDistinct{2, 16, 17, 256, 600},
    kFeatures{1, 65, 129, 257};
constexpr int kThresholds = 50;
#else
const std::vector<int> kLeaves{1, 2, 7, 8, 9, 16, 31, 32, 33, 64, 65, 200}, kTrees{1, 7, 8, 9, 40, 63, 64, 65, 130},
    kDistinct{2, 15, 16, 17, 254, 255, 256, 600, 3000}, kFeatures{1, 30, 64, 65, 128, 129, 256, 257, 500};
constexpr int kThresholds = 300;
#endif

TEST(TreeProgram, SizesOfTreesAndGroups) {
  for (const int leaves : kLeaves)
    for (const int trees : kTrees)
      check_all_types({.trees = trees, .leaves = leaves}, static_cast<unsigned>(leaves * 100 + trees));
}

// Whole trees of one size, up to the largest whose leaves have numbers of one byte, and one more.
TEST(TreeProgram, MasksTakeUpTo256Leaves) {
  for (const int leaves : {1, 8, 9, 255, 256, 257}) {
    Maker maker(static_cast<unsigned>(leaves));
    const Trees t = maker.trees({.trees = 3, .leaves = leaves, .full = true});
    EXPECT_EQ(TreeProgram::build(t, TreeMethod::kMasks).has_value(), leaves <= 256);
    check_methods<double, double>(t, maker.rows<double>(t, 100, 40));
  }
}

// A page of codes, one more, and one more than there may be; each method's own.
TEST(TreeProgram, MasksTakeUpToEightPagesOfCodes) {
  for (const int columns : {127, 128, 129, 256, 257, 1024, 1025, 2048, 2049})
    for (const bool missing : {false, true}) {
      Maker maker(static_cast<unsigned>(columns));
      Trees t = maker.trees({.trees = 150, .leaves = 30, .features = columns, .missing = missing, .full = true});
      int column = 0;  // each asked for, and most of them by several trees
      for (size_t i = 0; i < t.kind.size(); ++i)
        if (t.split(static_cast<int64_t>(i)) != Split::kLeaf) t.feature[i] = column++ % columns;
      EXPECT_EQ(TreeProgram::build(t, TreeMethod::kMasks).has_value(), columns <= 2048);
      EXPECT_EQ(TreeProgram::build(t, TreeMethod::kMasksAvx2).has_value(),
                columns <= 1024 && x86::avx2_masks_supported());
      check_methods<double, double>(t, maker.rows<double>(t, 30, 40));
      check_methods<float, double>(t, maker.rows<float>(t, 30, 40));
    }
}

TEST(TreeProgram, MoreTreesThanAChunk) {
  for (const int trees : {511, 512, 513, 1030}) check_all_types({.trees = trees, .leaves = 9}, 4);
}

TEST(TreeProgram, EveryComparisonAndMissingRule) {
  const std::vector<std::vector<Split>> kSplits = {
      {Split::kLess},
      {Split::kLessEqual},
      {Split::kGreater},
      {Split::kGreaterEqual},
      {Split::kLess, Split::kLessEqual, Split::kGreater, Split::kGreaterEqual},
      {Split::kEqual, Split::kNotEqual, Split::kLess},
      {Split::kInSet},
      {Split::kInSet, Split::kLess, Split::kLessEqual}};
  unsigned seed = 1;
  for (const auto& splits : kSplits)
    for (const bool missing : {false, true})
      for (const bool zeros : {false, true})
        check_all_types({.leaves = 24, .splits = splits, .missing = missing, .zeros = zeros}, ++seed);
}

TEST(TreeProgram, ManyThresholdsAndColumns) {
  for (const int distinct : kDistinct)
    for (const int features : kFeatures)
      check_all_types(
          {.trees = 60, .leaves = 30, .features = features, .distinct = distinct, .missing = distinct % 2 == 0},
          static_cast<unsigned>(distinct * 1000 + features));
}

TEST(TreeProgram, OutputsWeightsAndAggregates) {
  for (const int outputs : {1, 2, 3, 130})
    for (const Aggregate aggregate : {Aggregate::kSum, Aggregate::kAverage, Aggregate::kMin, Aggregate::kMax})
      for (const bool many : {false, true})
        for (const int base : {0, 1, 2}) {
          Maker maker(static_cast<unsigned>(outputs + base));
          Trees t = maker.trees({.outputs = outputs, .many_weights = many});
          t.aggregate = aggregate, t.divisor = 3;
          if (base > 0) t.base.assign(outputs, 0.1), t.base_first = base == 1;
          EXPECT_GE((check_methods<double, double>(t, maker.rows<double>(t, 20, 40))), 2);
        }
}

// As forests that classify have them, in any order; and with one leaf that leaves an output out, or has one twice.
TEST(TreeProgram, AWeightForEachOutput) {
  for (const int outputs : {2, 3, 4, 5, 8, 10, 12, 13, 16, 17, 20, 35})
    for (const int other : {0, 1, 2})
      for (const bool float64_sum : {true, false}) {
        Maker maker(static_cast<unsigned>(outputs));
        Trees t = maker.trees({.trees = 70, .leaves = 20, .outputs = outputs, .all_outputs = true});
        const size_t leaf = static_cast<size_t>(
            std::find(t.kind.begin() + 200, t.kind.end(), static_cast<uint8_t>(Split::kLeaf)) - t.kind.begin());
        if (other == 1) --t.on_false[leaf];
        if (other == 2) t.weight_output[t.on_true[leaf]] = t.weight_output[t.on_true[leaf] + 1];
        t.float64_sum = float64_sum, t.base.assign(outputs, 0.1), t.base_first = other == 0;
        if (float64_sum) {
          EXPECT_GE((check_methods<double, double>(t, maker.rows<double>(t, 20, 40))), 2);
        } else {
          t.aggregate = Aggregate::kAverage, t.divisor = 70;
          EXPECT_GE((check_methods<float, float>(t, maker.rows<float>(t, 20, 40))), 2);
        }
      }
}

// LightGBM's linear_tree: every leaf a constant, and of two out of three of them terms.
TEST(TreeProgram, LinearLeaves) {
  for (const int leaves : {1, 8, 40, 100}) {
    Maker maker(static_cast<unsigned>(leaves));
    Trees t = maker.trees({.leaves = leaves, .outputs = 2, .missing = true});
    t.linear_bounds = {0};
    for (size_t w = 0; w < t.weight.size(); ++w) {
      for (int i = maker.below(3); i > 0; --i)
        t.linear_feature.push_back(maker.below(5)), t.linear_coefficient.push_back(maker.grid(9) + 0.1);
      t.linear_bounds.push_back(static_cast<int32_t>(t.linear_feature.size()));
      t.nan_weight.push_back(1000);
    }
    EXPECT_GE((check_methods<double, double>(t, maker.rows<double>(t, 50, 40))), 2);
    EXPECT_GE((check_methods<float, double>(t, maker.rows<float>(t, 50, 40))), 2);
  }
}

// Thresholds that no float32 is, and values at them, beside them, and at the floats around them.
TEST(TreeProgram, ValuesBesideThresholds) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const Split split : {Split::kLess, Split::kLessEqual})
    for (const double scale : {1.0, 1e-3, 1e-40, 1e300, 1e-320}) {
      std::mt19937 random(7);
      Trees t;
      t.features = 1;
      std::vector<double> x;
      for (int i = 0; i < kThresholds; ++i) {
        const double at = (std::uniform_real_distribution<double>(-1, 1)(random)) * scale;
        const int32_t a = t.add_leaf(i, 0), b = t.add_leaf(-3.25 * i, 0);
        t.roots.push_back(t.add_node(static_cast<uint8_t>(split), 0, at, a, b));
        const float near = static_cast<float>(std::clamp(at, -3e38, 3e38));
        for (const double value : {at, static_cast<double>(near)})
          x.insert(x.end(), {value, std::nextafter(value, kInfinity), std::nextafter(value, -kInfinity)});
        x.insert(x.end(), {std::nextafter(near, 3.4e38F), std::nextafter(near, -3.4e38F)});
      }
      check_methods<double, double>(t, x);
      std::vector<float> floats;
      for (const double value : x) floats.push_back(static_cast<float>(std::clamp(value, -3e38, 3e38)));
      check_methods<float, double>(t, floats);
    }
}

bool may_take(Isa asked, TreeMethod method) {
  if (asked == Isa::kAmx) asked = Isa::kAvx512;
  if (method == TreeMethod::kWalkAvx512 || method == TreeMethod::kMasksAvx512) return asked == Isa::kAvx512;
  return method != TreeMethod::kMasksAvx2 || asked == Isa::kAvx512 || asked == Isa::kAvx2;
}

TEST(TreeProgram, TheCheapestIsTakenWithinTheInstructionSet) {
  Maker maker(3);
  for (const int leaves : {2, 31, 93, 300})
    for (const int trees : {1, 20, 100}) {
      const Trees t = maker.trees({.trees = trees, .leaves = leaves, .features = leaves, .full = true});
      std::vector<std::optional<double>> costs;
      for (const TreeMethod method : kMethods) costs.push_back(TreeProgram::cost(t, method));
      for (const Isa isa : {Isa::kPlain, Isa::kSse4, Isa::kNeon, Isa::kAvx2, Isa::kAvx512, Isa::kAmx}) {
        const TreeMethod taken = TreeProgram::build_for(t, isa)->method();
        EXPECT_TRUE(may_take(isa, taken)) << isa_name(isa) << " took " << tree_method_name(taken);
        const double cost = *costs[static_cast<int>(taken)];
        for (int i = 0; i < kTreeMethods; ++i)
          EXPECT_TRUE(!costs[i] || !may_take(isa, kMethods[i]) || cost <= *costs[i]) << tree_method_name(kMethods[i]);
      }
    }
}

TEST(TreeProgram, AllWeightsOnOneOfSeveralOutputs) {
  Maker maker(5);
  Trees t = maker.trees({});
  t.outputs = 3;
  std::fill(t.weight_output.begin(), t.weight_output.end(), 2);
  check_methods<double, double>(t, maker.rows<double>(t, 20, 40));
}

TEST(TreeProgram, NoTreesNoRowsNoSplits) {
  Trees t;
  t.features = 2;
  t.base = {0.5};
  check_methods<double, double>(t, std::vector<double>(8, 1.0));
  t.roots = {t.add_leaf(2, 0), t.add_leaf(3, 0)};
  check_methods<double, double>(t, std::vector<double>(8, 1.0));
  TreeProgram::build_for(t, Isa::kAvx512)->run<double, double>(nullptr, 0, nullptr);
}

// A layout for small trees, for larger ones, for those too large for masks, and for what no rank decides.
TEST(TreeProgram, TheMethodFitsTheEnsemble) {
  Maker maker(3);
  const auto taken = [&](const Options& o, Isa isa) { return TreeProgram::build_for(maker.trees(o), isa)->method(); };
  const Options small{.trees = 200, .leaves = 31, .full = true}, larger{.trees = 200, .leaves = 93, .full = true},
      deep{.leaves = 500, .full = true};
  EXPECT_EQ(taken(small, Isa::kPlain), TreeMethod::kWalk);
  EXPECT_EQ(taken({.splits = {Split::kEqual}}, Isa::kAvx512), TreeMethod::kPlain);
  for (const Options& o : {small, larger}) {
    if (x86::avx2_masks_supported()) {
      EXPECT_EQ(taken(o, Isa::kAvx2), TreeMethod::kMasksAvx2);
    }
    if (x86::avx512_masks_supported()) {
      EXPECT_EQ(taken(o, Isa::kAvx512), TreeMethod::kMasksAvx512);
    }
  }
  EXPECT_EQ(taken(deep, Isa::kAvx512), x86::avx512_masks_supported() ? TreeMethod::kWalkAvx512 : TreeMethod::kWalk);
  Trees wide = maker.trees({});
  wide.outputs = TreeProgram::kOutputsMax + 1;
  EXPECT_FALSE(TreeProgram::build_for(wide, Isa::kAvx512).has_value());
}

TEST(TreeProgram, TheQuickestIsOneOfThoseThatApply) {
  Maker maker(7);
  for (const Isa isa : supported_isas())
    for (const Options& o :
         {Options{.leaves = 1}, Options{.leaves = 31, .full = true}, Options{.leaves = 500, .full = true}}) {
      const Trees trees = maker.trees(o);
      const std::vector<TreeMethod> methods = TreeProgram::methods(trees, isa);
      EXPECT_NE(std::find(methods.begin(), methods.end(), TreeProgram::build_for(trees, isa)->method()), methods.end());
      EXPECT_NE(std::find(methods.begin(), methods.end(), build_measured(trees, isa)->method()), methods.end());
    }
#ifndef HAYATE_SANITIZED  // there the others are not ten times as quick
  const Trees large = maker.trees({.trees = 200, .leaves = 31, .full = true});
  EXPECT_NE(build_measured(large, supported_isas().front())->method(), TreeMethod::kPlain);
#endif
  EXPECT_EQ(build_measured(maker.trees({.splits = {Split::kEqual}}), supported_isas().front())->method(),
            TreeMethod::kPlain);
  for (int i = 0; i < kTreeMethods; ++i)
    EXPECT_EQ(tree_method_from_name(tree_method_name(static_cast<TreeMethod>(i))), static_cast<TreeMethod>(i));
  EXPECT_FALSE(tree_method_from_name("trees"));
}

TEST(TreeProgram, ExtremeThresholds) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const Split split : {Split::kLess, Split::kLessEqual, Split::kGreater, Split::kGreaterEqual})
    for (const double at :
         {0.0, -0.0, kInfinity, -kInfinity, 5e-324, std::numeric_limits<double>::quiet_NaN(), 1e308}) {
      Trees t;
      t.features = 1;
      const int32_t a = t.add_leaf(1, 0), b = t.add_leaf(2, 0);
      t.roots = {t.add_node(static_cast<uint8_t>(split), 0, at, a, b)};
      const int32_t c = t.add_leaf(4, 0), d = t.add_leaf(8, 0);
      t.roots.push_back(t.add_node(static_cast<uint8_t>(Split::kLessEqual), 0, 1, c, d));  // a column of both kinds
      check_methods<double, double>(
          t, {0.0, -0.0, kInfinity, -kInfinity, 5e-324, -5e-324, 1, 1e308, -1e308, std::nextafter(1.0, 2.0)});
    }
}

}  // namespace
}  // namespace hayate::kernels
