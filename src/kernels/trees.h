// Ensembles of decision trees: what they are, and the plain evaluation that says what they mean.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hayate::kernels {

// How a node decides. The comparison reads: x <split> threshold.
enum class Split : uint8_t { kLeaf, kLessEqual, kLess, kGreaterEqual, kGreater, kEqual, kNotEqual, kInSet };

// A node's byte: its Split in the low three bits, and these flags.
constexpr uint8_t kSplitMask = 7;
constexpr uint8_t kNanTrue = 8;       // NaN goes to on_true, else to on_false
constexpr uint8_t kZeroMissing = 16;  // |x| <= kZeroBound goes where NaN goes (LightGBM's zero_as_missing)
constexpr uint8_t kTruncate = 32;     // kInSet: x in (-1, 0) is category 0 (LightGBM), else no category (XGBoost)
constexpr uint8_t kMember = 64;       // kInSet: of a list of values, one of which x equals (ONNX's BRANCH_MEMBER)

constexpr double kZeroBound = static_cast<double>(1e-35f);  // what LightGBM takes for zero
constexpr int64_t kSetWordsMax = int64_t{1} << 24;          // words of all category sets together: 64 MB
constexpr int64_t kTreeNodesMax = int64_t{1} << 30;
constexpr int64_t kTreeOutputsMax = int64_t{1} << 20;

enum class Aggregate : uint8_t { kSum, kAverage, kMin, kMax };

// An ensemble with its library's semantics. Thresholds and weights are float64 here; those that the library
// keeps in float32 are exactly representable, so that comparing in float64 decides the same. A value that
// holds `fault(trees).empty()` may be evaluated on any rows.
struct Trees {
  int64_t features = 0;  // columns of a row
  int64_t outputs = 1;

  std::vector<int32_t> roots;  // in the order in which their leaves are added
  // One entry per node.
  std::vector<uint8_t> kind;               // Split and flags
  std::vector<int32_t> feature;            // column; of a leaf 0
  std::vector<double> threshold;           // kInSet: the number of its set or list; of a leaf 0
  std::vector<int32_t> on_true, on_false;  // children; of a leaf: begin and end of its weights
  // One entry per weight: what is added to which output.
  std::vector<double> weight;
  std::vector<int32_t> weight_output;
  // Linear leaves (LightGBM's linear_tree): to weight w the terms linear_bounds[w] to linear_bounds[w + 1] are added, a
  // coefficient times a column each; where one of these columns is NaN, nan_weight[w] stands instead. Empty: none.
  std::vector<int32_t> linear_bounds, linear_feature;
  std::vector<double> linear_coefficient, nan_weight;
  // Set s holds category c where bit c % 32 of set_words[set_bounds[s] + c / 32] is set.
  std::vector<int32_t> set_bounds;
  std::vector<uint32_t> set_words;
  // kMember: list s is member_values[member_bounds[s]] to member_values[member_bounds[s + 1] - 1], rising.
  std::vector<int32_t> member_bounds;
  std::vector<double> member_values;

  bool float64_sum = true;  // else every sum rounds to float32
  Aggregate aggregate = Aggregate::kSum;
  double divisor = 1;        // of kAverage
  bool base_first = false;   // sums start from base, else it is added last
  std::vector<double> base;  // one per output, or empty

  // Bytes that one more of each may take while its vectors grow by doubling: the old elements beside twice as many.
  static constexpr int64_t kNodeBytes = 3 * (1 + 4 + 8 + 4 + 4), kWeightBytes = 3 * (8 + 4);
  static constexpr int64_t kTermBytes = 3 * (4 + 8 + 4 + 8), kSetWordBytes = 3 * (4 + 4);

  int64_t byte_count() const;  // of the elements of all its vectors
  bool linear() const { return !linear_bounds.empty(); }
  int64_t node_count() const { return static_cast<int64_t>(kind.size()); }
  Split split(int64_t node) const { return static_cast<Split>(kind[node] & kSplitMask); }
  // Appends; the node's number.
  int32_t add_node(uint8_t node_kind, int32_t column, double at, int32_t true_child, int32_t false_child);
  int32_t add_leaf(double value, int32_t output);
  // The terms of the weight that was added last; nothing or everything is linear. Requires: sizes are equal.
  void add_terms(const std::vector<int32_t>& columns, const std::vector<double>& coefficients, double at_nan);
  // Appends a set of `words`; its number.
  int32_t add_set(const uint32_t* words, int64_t count);
  // Appends a list of values, in any order; its number.
  int32_t add_members(std::vector<double> values);
};

// What is wrong with the ensemble ("node 7: feature 41 of 40"); empty where it is sound: all indices in
// range, each node with at most one parent, roots with none (hence no cycles).
std::string fault(const Trees& trees);

// Which way a node sends x. Requires: no leaf.
bool goes_true(const Trees& trees, int64_t node, double x);

// What weight w gives for a row: itself, or with its terms, summed in float64 in their order. Columns within kZeroBound
// count as 0, as LightGBM reads them.
template <typename In>
double weight_of(const Trees& trees, int64_t w, const In* x) noexcept {
  if (!trees.linear()) return trees.weight[w];
  double sum = trees.weight[w];
  for (int32_t i = trees.linear_bounds[w]; i < trees.linear_bounds[w + 1]; ++i) {
    const double value = static_cast<double>(x[trees.linear_feature[i]]);
    if (value != value) return trees.nan_weight[w];
    sum += trees.linear_coefficient[i] * (value <= kZeroBound && value >= -kZeroBound ? 0 : value);
  }
  return sum;
}

// out [rows, outputs] from x [rows, features]. `touched` [rows, outputs] (may be null) receives 1 where any
// leaf spoke. One row at a time, one tree after another: slow and the truth.
template <typename In, typename Out>
void evaluate_trees(const Trees& trees, const In* x, int64_t rows, Out* out, uint8_t* touched);

// The sums of one row in S (float or double) without their end: `sums` and `spoken` hold one entry per
// output. Allocates nothing.
template <typename S, typename In>
void sum_trees(const Trees& trees, const In* x, S* sums, uint8_t* spoken) noexcept;

// What becomes of an output's sum at the end: the average, and the base where it comes last.
template <typename S>
S finished_sum(const Trees& trees, int64_t output, S sum) {
  if (trees.aggregate == Aggregate::kAverage) sum /= static_cast<S>(trees.divisor);
  if (!trees.base_first && !trees.base.empty()) sum += static_cast<S>(trees.base[output]);
  return sum;
}

}  // namespace hayate::kernels
