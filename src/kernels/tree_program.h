// Tree ensembles made ready to run fast: bit for bit what evaluate_trees gives, without allocation, lock or
// system call.
//
// A row's values become rank codes first: how many of the thresholds that any tree asks of a column lie below
// the value. Then every split compares two small integers, whatever the library's types, comparison and
// missing rule were.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "kernels/aligned.h"
#include "kernels/tree_masks.h"
#include "kernels/trees.h"
#include "kernels/vector/kernels.h"
#include "kernels/x86/tree_masks.h"

namespace hayate::kernels {

enum class TreeMethod : uint8_t {
  kPlain,       // the ensemble as it is: comparisons for equality, NaN thresholds, more codes than fit
  kWalk,        // 8 trees at a time, no branches; any size
  kWalkAvx512,  // the same, its codes found with AVX-512
  kMasks,       // bit masks (tree_masks.h) in plain loops; trees of at most 256 leaves, at most 2048 codes of 8 bits
  kMasksAvx2,   // the same with AVX2, at most 1024 codes
  kMasksAvx512  // the same with AVX-512 VBMI
};
constexpr int kTreeMethods = 6;
std::optional<TreeMethod> tree_method_from_name(std::string_view name);
const char* tree_method_name(TreeMethod method);  // "trees_walk", "trees_walk_avx512", "trees_masks_avx512" ...

class TreeProgram {
 public:
  static constexpr int64_t kOutputsMax = 1024;  // their sums live on the stack

  // With the given method. Nothing where the ensemble has more than kOutputsMax outputs, or where the method does not
  // apply to it or to this processor. Requires: fault(trees) is empty.
  static std::optional<TreeProgram> build(const Trees& trees, TreeMethod method);
  // The methods that apply, of those that take no more than the given instruction set.
  static std::vector<TreeMethod> methods(const Trees& trees, Isa isa);
  // With the method that costs least of those that take no more than the given instruction set.
  static std::optional<TreeProgram> build_for(const Trees& trees, Isa isa);
  // Estimated ns of one row by each method (see kMethods in tree_program.cc); nothing where it does not apply.
  static std::optional<double> cost(const Trees& trees, TreeMethod method);

  // out [rows, outputs] from x [rows, features]; `touched` [rows, outputs], may be null, as in
  // evaluate_trees. A row's bits do not depend on the other rows. Requires: Sum is double exactly where
  // float64_sum(). Any thread.
  template <typename In, typename Sum>
  void run(const In* x, int64_t rows, Sum* out, uint8_t* touched = nullptr) const noexcept;

  TreeMethod method() const { return method_; }
  bool float64_sum() const { return trees_.float64_sum; }
  int64_t features() const { return trees_.features; }
  int64_t outputs() const { return trees_.outputs; }
  int64_t byte_count() const;  // of what run() reads

 private:
  friend class TreeProgramBuilder;

  // A column that any split reads: its thresholds, NaN behind them up to 2^steps, and the slots it fills.
  struct Column {
    int32_t column, steps, first_slot, last_slot;
  };
  // One code: the column's rank less `base`, held within 0 to the highest code; or `missing`.
  struct Slot {
    int32_t base;
    uint16_t missing;
    bool zero_missing;
  };
  // One code: whether a node's category set lacks x.
  struct SetSlot {
    int32_t column, node;
  };
  struct WalkNode {
    uint16_t rank, slot;
    uint32_t child;  // where the code is no more than the rank; else the node behind it. A leaf: itself
  };

  template <typename In>
  void encode(const In* x, uint16_t* codes) const noexcept;
  template <typename In>
  bool encode(const MaskKernels& kernels, const MaskTables& tables, const In* x, uint8_t* codes) const noexcept;
  template <typename In, typename Code>
  void encode_sets(const In* x, Code* codes) const noexcept;
  MaskTables mask_tables() const noexcept;
  void find_ranks(int64_t first, int64_t count, const double* values, int32_t* ranks) const noexcept;
  template <typename In, typename Sum>
  void run_plain(const In* x, Sum* out, uint8_t* touched) const noexcept;
  template <typename In, typename Sum>
  void run_walk(const In* x, Sum* out, uint8_t* touched) const noexcept;
  template <typename In, typename Sum>
  void run_masks(const In* x, int64_t rows, Sum* out, uint8_t* touched) const noexcept;
  template <typename Sum>
  void start(Sum* sums, uint8_t* spoken) const noexcept;
  template <typename Sum>
  void finish(const Sum* sums, const uint8_t* spoken, Sum* out, uint8_t* touched) const noexcept;
  template <typename Sum>
  void add(const uint32_t* leaves, int64_t count, Sum* sums, uint8_t* touched) const noexcept;
  template <typename Sum>
  void add_block(const uint32_t* leaves, int64_t count, int64_t k, Sum* sums) const noexcept;
  template <int kColumns, typename Sum>
  void add_columns(const uint32_t* leaves, int64_t count, int64_t k, Sum* sums) const noexcept;
  template <typename In, typename Sum>
  void add_rows(const In* x, const uint32_t (*leaves)[kMaskTrees], int64_t rows, int64_t count, Sum* sums,
                uint8_t* touched) const noexcept;
  template <int kRows, typename Sum>
  void add_only(const uint32_t (*leaves)[kMaskTrees], int64_t count, Sum* sums) const noexcept;
  template <typename In, typename Sum>
  void add_linear(const In* x, const uint32_t* leaves, int64_t count, Sum* sums, uint8_t* touched) const noexcept;
  template <typename Sum>
  const Sum* leaf_values() const;
  void walk(const uint16_t* codes, int64_t g, uint32_t* leaves) const noexcept;

  TreeMethod method_ = TreeMethod::kPlain;
  Trees trees_;  // kPlain: the whole ensemble; else without its nodes, but with nodes and sets of set slots, and with
                 // linear weights
  int64_t tree_count_ = 0;
  bool single_ = false;       // every leaf has one weight, and weights are added
  int32_t only_output_ = -1;  // the one that all of them go to, if single_ and there is one
  // Above 0 where every leaf has a weight for each of several outputs, and weights are added: how far apart the leaves'
  // weights lie, zeros behind the last output.
  int64_t row_ = 0;
  std::vector<SetSlot> set_slots_;
  AlignedVector<double> thresholds_, pivots_;
  // Per leaf: its weight (one of the two, where single_) and output, or its row of weights; else the range of them.
  std::vector<double> values64_;
  std::vector<float> values32_;
  std::vector<int32_t> leaf_output_, leaf_begin_, leaf_end_;
  // kWalk, kWalkAvx512.
  std::vector<Column> columns_;
  std::vector<Slot> slots_;
  std::vector<x86::RankColumn> ranks_;  // of each column
  std::vector<int32_t> walk_depths_;    // of each group: of its deepest tree
  AlignedVector<WalkNode> walk_nodes_;
  std::vector<uint32_t> walk_leaf_, walk_roots_;
  std::vector<int32_t> walk_places_;  // of each root: its tree's place in the chunk
  // kMasks and its forms.
  std::vector<MaskSlot> mask_slots_;
  int64_t pages_ = 1;  // that their slots take
  bool any_zero_missing_ = false;
  AlignedVector<float> keys_;
  std::vector<MaskGroup> mask_groups_;
  std::vector<uint16_t> list_steps_;
  AlignedVector<uint8_t> mask_steps_, near_missing_;
  AlignedVector<uint32_t> first_leaves_;
};

}  // namespace hayate::kernels
