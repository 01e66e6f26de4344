#include "kernels/tree_program.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <numeric>
#include <tuple>

namespace hayate::kernels {
namespace {

constexpr int64_t kWalkCodeMax = 65535;
constexpr int64_t kWalkSlotsMax = 8192;  // codes on the stack: 16 KB
constexpr int64_t kWalkTrees = 8;        // enough to hide a load's latency, few enough for registers
constexpr int64_t kWalkChunk = 512;      // trees whose leaves are added together, in order
constexpr int64_t kMaskRows = 8;         // rows that share a group's masks
constexpr int64_t kMasksBytesMax = int64_t{1} << 28;
constexpr int64_t kRowBlock = 16;  // sums of a row of weights that registers hold on any processor

bool always() { return true; }

// Every way to run an ensemble: what it needs, and what a row costs: the sum of the three products. The factors are ns
// on one core of a Zen 4 (bench/kernels), and only their proportions matter. What all have in common, adding the
// leaves, is left out.
struct Method {
  const char* name;
  Isa isa;              // the least that may be asked for
  bool (*supported)();  // by this processor
  int64_t code_max, slots_max;
  double per_code, per_level, per_step;  // per_level: of one tree; per_step: of 64 trees
};
constexpr Method kMethods[kTreeMethods] = {
    {"trees_plain", Isa::kPlain, always, 0, 0, 0, 6, 0},
    {"trees_walk", Isa::kPlain, always, kWalkCodeMax, kWalkSlotsMax, 10, 1.2, 0},
    {"trees_walk_avx512", Isa::kAvx512, x86::avx512_masks_supported, kWalkCodeMax, kWalkSlotsMax, 4, 1.2, 0},
    {"trees_masks", Isa::kPlain, always, kMaskThresholdsMax, kMaskSlotsMax, 10, 0, 70},
    {"trees_masks_avx2", Isa::kAvx2, x86::avx2_masks_supported, kMaskThresholdsMax, kMaskSlotsMaxAvx2, 5, 0, 3.7},
    {"trees_masks_avx512", Isa::kAvx512, x86::avx512_masks_supported, kMaskThresholdsMax, kMaskSlotsMax, 2.8, 0, 1.8}};

const Method& facts_of(TreeMethod method) { return kMethods[static_cast<int>(method)]; }
int64_t page_of(const Method& method) { return method.slots_max / kMaskPagesMax; }
bool has_masks(TreeMethod method) { return facts_of(method).per_step > 0; }

const MaskKernels& mask_kernels(TreeMethod method) {
  return method == TreeMethod::kMasksAvx512 ? x86::kAvx512Masks
         : method == TreeMethod::kMasksAvx2 ? x86::kAvx2Masks
                                            : kPlainMasks;
}

// Whether who asks for one instruction set lets another be used.
bool includes(Isa asked, Isa used) {
  if (asked == Isa::kAmx) return includes(Isa::kAvx512, used);  // tiles are nothing to trees
  return used == Isa::kPlain || used == asked || (asked == Isa::kAvx512 && used == Isa::kAvx2);
}

// A split as the program sees it: on_true where x <= threshold (strict: x < threshold).
struct Canonical {
  double threshold;
  bool strict, swapped, missing_true, zero_missing;
};

// Nothing for splits that no rank decides.
std::optional<Canonical> canonical(const Trees& t, int64_t node) {
  const Split split = t.split(node);
  if (split == Split::kEqual || split == Split::kNotEqual || std::isnan(t.threshold[node])) return std::nullopt;
  const bool swapped = split == Split::kGreater || split == Split::kGreaterEqual;
  const bool strict = split == Split::kLess || split == Split::kGreaterEqual;
  const bool nan_true = (t.kind[node] & kNanTrue) != 0;
  return Canonical{t.threshold[node], strict, swapped, nan_true != swapped, (t.kind[node] & kZeroMissing) != 0};
}

}  // namespace

const char* tree_method_name(TreeMethod method) { return facts_of(method).name; }
std::optional<TreeMethod> tree_method_from_name(std::string_view name) {
  for (int i = 0; i < kTreeMethods; ++i)
    if (name == kMethods[i].name) return static_cast<TreeMethod>(i);
  return std::nullopt;
}

// plan() decides everything that a cost depends on, lay() writes the arrays.
class TreeProgramBuilder {
 public:
  TreeProgramBuilder(const Trees& trees, TreeMethod method) : t_(trees), method_(facts_of(method)) {
    p_.method_ = method;
    p_.tree_count_ = static_cast<int64_t>(trees.roots.size());
  }

  // Estimated ns of a row; nothing where the method does not apply.
  std::optional<double> plan() {
    if (t_.outputs > TreeProgram::kOutputsMax || !method_.supported()) return std::nullopt;
    if (p_.method_ == TreeMethod::kPlain) return method_.per_level * static_cast<double>(depths());
    if (!t_.member_bounds.empty()) return std::nullopt;  // membership in lists is the plain method's alone
    copy_semantics();
    if (!plan_slots(method_.code_max, method_.slots_max)) return std::nullopt;
    number_leaves();
    if (has_masks(p_.method_) && !plan_masks()) return std::nullopt;
    if (!has_masks(p_.method_)) plan_walk();
    const double codes = static_cast<double>(p_.slots_.size() + p_.mask_slots_.size() + p_.set_slots_.size());
    const double levels = std::accumulate(p_.walk_depths_.begin(), p_.walk_depths_.end(), 0.0) * kWalkTrees;
    return method_.per_code * codes + method_.per_level * levels +
           method_.per_step * static_cast<double>(mask_step_count_ + list_steps());
  }

  // Requires: plan() gave a cost. Once.
  TreeProgram lay() {
    if (p_.method_ == TreeMethod::kPlain)
      p_.trees_ = t_;
    else
      has_masks(p_.method_) ? lay_masks() : lay_walk();
    return std::move(p_);
  }

 private:
  void copy_semantics() {
    p_.trees_.features = t_.features, p_.trees_.outputs = t_.outputs;
    p_.trees_.float64_sum = t_.float64_sum, p_.trees_.aggregate = t_.aggregate, p_.trees_.divisor = t_.divisor;
    p_.trees_.base_first = t_.base_first, p_.trees_.base = t_.base;
    p_.trees_.set_bounds = t_.set_bounds, p_.trees_.set_words = t_.set_words;
    if (!t_.linear()) return;
    p_.trees_.weight = t_.weight, p_.trees_.nan_weight = t_.nan_weight;
    p_.trees_.linear_bounds = t_.linear_bounds, p_.trees_.linear_feature = t_.linear_feature;
    p_.trees_.linear_coefficient = t_.linear_coefficient;
  }

  using Key = std::tuple<int32_t, int64_t, bool, bool>;

  // Every split's slot and rank. False where they do not fit.
  bool plan_slots(int64_t code_max, int64_t slots_max) {
    slot_.assign(t_.kind.size(), 0), rank_.assign(t_.kind.size(), 0), swapped_.assign(t_.kind.size(), 0);
    missing_near_.assign(t_.kind.size(), 0);
    if (!collect_thresholds()) return false;
    // Slots of one column lie together: std::map keeps them in the order of column, segment, missing side,
    // zero rule.
    std::map<Key, int32_t> keys;
    std::vector<std::pair<int64_t, Key>> splits;
    for (int64_t i = 0; i < t_.node_count(); ++i) {
      if (t_.split(i) == Split::kLeaf || t_.split(i) == Split::kInSet) continue;
      const Canonical c = *canonical(t_, i);
      const std::vector<double>& all = by_column_.at(t_.feature[i]).thresholds;
      const int64_t at =
          std::lower_bound(all.begin(), all.end(), bound_of(c, by_column_.at(t_.feature[i]).counts_equal)) -
          all.begin();
      // Masks know of each node which side is a missing value's, a walk's slots are one for each side.
      const Key key{t_.feature[i], at / code_max, !has_masks(p_.method_) && !c.missing_true, c.zero_missing};
      keys.emplace(key, 0);
      if (static_cast<int64_t>(keys.size()) > slots_max) return false;
      splits.emplace_back(i, key);
      rank_[i] = static_cast<uint16_t>(at % code_max), swapped_[i] = c.swapped;
      missing_near_[i] = c.missing_true ? 255 : 0;
    }
    has_masks(p_.method_) ? add_mask_slots(&keys) : add_columns(&keys, code_max);
    for (const auto& [node, key] : splits) slot_[node] = static_cast<uint16_t>(keys.at(key));
    return plan_sets(slots_max);
  }

  // A column whose splits are of both kinds takes x <= the number below t for x < t.
  static double bound_of(const Canonical& c, bool counts_equal) {
    return c.strict && !counts_equal ? std::nextafter(c.threshold, -std::numeric_limits<double>::infinity())
                                     : c.threshold;
  }

  bool collect_thresholds() {
    for (int64_t i = 0; i < t_.node_count(); ++i) {
      if (t_.split(i) == Split::kLeaf || t_.split(i) == Split::kInSet) continue;
      const std::optional<Canonical> c = canonical(t_, i);
      if (!c) return false;
      ByColumn& column = by_column_[t_.feature[i]];
      column.counts_equal = column.counts_equal && c->strict;
    }
    for (int64_t i = 0; i < t_.node_count(); ++i) {
      if (t_.split(i) == Split::kLeaf || t_.split(i) == Split::kInSet) continue;
      const Canonical c = *canonical(t_, i);
      ByColumn& column = by_column_[t_.feature[i]];
      if (c.strict && !column.counts_equal && c.threshold == -std::numeric_limits<double>::infinity()) return false;
      column.thresholds.push_back(bound_of(c, column.counts_equal));
    }
    for (auto& [number, column] : by_column_) {
      std::sort(column.thresholds.begin(), column.thresholds.end());
      column.thresholds.erase(std::unique(column.thresholds.begin(), column.thresholds.end()), column.thresholds.end());
    }
    return true;
  }

  void add_columns(std::map<Key, int32_t>* keys, int64_t code_max) {
    for (auto& [key, slot] : *keys) {
      const auto& [column, segment, missing_false, zero] = key;
      slot = static_cast<int32_t>(p_.slots_.size());
      p_.slots_.push_back(
          {static_cast<int32_t>(segment * code_max), static_cast<uint16_t>(missing_false ? code_max : 0), zero});
      if (p_.columns_.empty() || p_.columns_.back().column != column) {
        const ByColumn& from = by_column_.at(column);
        const Ranks ranks = add_ranks(from.thresholds);
        p_.columns_.push_back({column, ranks.steps, slot, slot + 1});
        p_.ranks_.push_back({ranks.first_threshold, ranks.first_pivot, ranks.pivot_vectors, from.counts_equal});
      }
      p_.columns_.back().last_slot = slot + 1;
    }
  }

  // A slot counts in its own segment of the column's thresholds, so that a rank is a code.
  void add_mask_slots(std::map<Key, int32_t>* keys) {
    for (auto& [key, slot] : *keys) {
      const auto& [column, segment, unused, zero] = key;
      slot = static_cast<int32_t>(p_.mask_slots_.size());
      const ByColumn& from = by_column_.at(column);
      const auto first = from.thresholds.begin() + segment * kMaskThresholdsMax;
      const std::vector<double> own(first,
                                    first + std::min<int64_t>(kMaskThresholdsMax, from.thresholds.end() - first));
      const Ranks ranks = add_ranks(own);
      p_.mask_slots_.push_back({column, ranks.first_threshold, ranks.first_pivot, add_keys(own, from.counts_equal),
                                static_cast<int8_t>(ranks.steps), static_cast<int8_t>(ranks.pivot_vectors),
                                from.counts_equal, zero});
      p_.any_zero_missing_ = p_.any_zero_missing_ || zero;
    }
  }

  // 16 pivots and the keys of a slot; the place of the first.
  int32_t add_keys(const std::vector<double>& sorted, bool at_least) {
    constexpr float kPadding = std::numeric_limits<float>::quiet_NaN(),
                    kInfinity = std::numeric_limits<float>::infinity();
    const size_t first = p_.keys_.size();
    p_.keys_.resize(first + 16 + (sorted.size() / 16 + 1) * 16, kPadding);
    for (size_t i = 0; i < sorted.size(); ++i) {
      float key = static_cast<float>(sorted[i]);
      if (at_least ? static_cast<double>(key) < sorted[i] : static_cast<double>(key) > sorted[i])
        key = std::nextafter(key, at_least ? kInfinity : -kInfinity);
      p_.keys_[first + 16 + i] = key;
      if (i % 16 == 15) p_.keys_[first + i / 16] = key;
    }
    return static_cast<int32_t>(first);
  }

  struct Ranks {
    int32_t first_threshold, first_pivot, steps, pivot_vectors;
  };

  // NaN compares false with everything: the padding counts for no x, infinity included.
  Ranks add_ranks(const std::vector<double>& sorted) {
    constexpr double kPadding = std::numeric_limits<double>::quiet_NaN();
    const size_t count = sorted.size(), first = p_.thresholds_.size(), first_pivot = p_.pivots_.size();
    const int32_t steps = static_cast<int32_t>(std::bit_width(count));
    p_.thresholds_.insert(p_.thresholds_.end(), sorted.begin(), sorted.end());
    p_.thresholds_.resize(first + std::max<size_t>(16, size_t{1} << steps), kPadding);
    for (size_t i = 15; i < count; i += 16) p_.pivots_.push_back(sorted[i]);
    p_.pivots_.resize((p_.pivots_.size() + 7) / 8 * 8, kPadding);
    const size_t vectors = (p_.pivots_.size() - first_pivot) / 8;
    return {static_cast<int32_t>(first), static_cast<int32_t>(first_pivot), steps, static_cast<int32_t>(vectors)};
  }

  // Nodes that ask the same of the same set share a slot.
  bool plan_sets(int64_t slots_max) {
    std::map<std::tuple<int32_t, double, uint8_t>, uint16_t> known;
    for (int64_t i = 0; i < t_.node_count(); ++i) {
      if (t_.split(i) != Split::kInSet) continue;
      const uint16_t next = static_cast<uint16_t>(p_.slots_.size() + p_.mask_slots_.size() + p_.set_slots_.size());
      const auto [it, added] = known.try_emplace({t_.feature[i], t_.threshold[i], t_.kind[i]}, next);
      slot_[i] = it->second;
      if (!added) continue;
      if (next >= slots_max) return false;
      p_.set_slots_.push_back({t_.feature[i], p_.trees_.add_node(t_.kind[i], t_.feature[i], t_.threshold[i], 0, 0)});
    }
    return true;
  }

  int32_t first_child(int64_t node) const { return swapped_[node] ? t_.on_false[node] : t_.on_true[node]; }
  int32_t second_child(int64_t node) const { return swapped_[node] ? t_.on_true[node] : t_.on_false[node]; }

  // Leaves tree after tree, the side of small codes first.
  void number_leaves() {
    leaf_.assign(t_.kind.size(), 0);
    p_.single_ = (t_.aggregate == Aggregate::kSum || t_.aggregate == Aggregate::kAverage) && !t_.linear();
    bool full = p_.single_ && t_.outputs > 1 && !t_.roots.empty();
    for (const int32_t root : t_.roots) {
      first_leaf_.push_back(static_cast<uint32_t>(p_.leaf_begin_.size()));
      std::vector<int32_t> pending{root};
      while (!pending.empty()) {
        const int32_t node = pending.back();
        pending.pop_back();
        if (t_.split(node) != Split::kLeaf) {
          pending.push_back(second_child(node)), pending.push_back(first_child(node));
          continue;
        }
        leaf_[node] = static_cast<uint32_t>(p_.leaf_begin_.size());
        p_.leaf_begin_.push_back(t_.on_true[node]), p_.leaf_end_.push_back(t_.on_false[node]);
        p_.single_ = p_.single_ && t_.on_false[node] == t_.on_true[node] + 1;
        full = full && is_full(node);
      }
    }
    first_leaf_.push_back(static_cast<uint32_t>(p_.leaf_begin_.size()));
    if (full)
      add_weight_rows();
    else
      add_values();
  }

  // Whether a leaf has one weight for each output, in any order.
  bool is_full(int32_t leaf) {
    const int32_t begin = t_.on_true[leaf], end = t_.on_false[leaf];
    if (end - begin != t_.outputs) return false;
    seen_.assign(static_cast<size_t>(t_.outputs), false);
    for (int32_t w = begin; w < end; ++w) seen_[t_.weight_output[w]] = true;
    return std::find(seen_.begin(), seen_.end(), false) == seen_.end();
  }

  // Weights as rows: those of leaf i, in the order of the outputs, from i * row_ on.
  void add_weight_rows() {
    p_.row_ = t_.outputs <= 2 ? t_.outputs : (t_.outputs + 3) / 4 * 4;
    const size_t size = p_.leaf_begin_.size() * static_cast<size_t>(p_.row_);
    t_.float64_sum ? p_.values64_.resize(size) : p_.values32_.resize(size);
    for (size_t i = 0; i < p_.leaf_begin_.size(); ++i)
      for (int32_t w = p_.leaf_begin_[i]; w < p_.leaf_end_[i]; ++w) {
        const size_t to = i * static_cast<size_t>(p_.row_) + static_cast<size_t>(t_.weight_output[w]);
        if (t_.float64_sum)
          p_.values64_[to] = t_.weight[w];
        else
          p_.values32_[to] = static_cast<float>(t_.weight[w]);
      }
    p_.leaf_begin_.clear(), p_.leaf_end_.clear();
  }

  // Of single leaves their weight stands at the leaf's number, else weights keep their places.
  void add_values() {
    const size_t count = p_.single_ ? p_.leaf_begin_.size() : t_.weight.size();
    for (size_t i = 0; i < count; ++i) {
      const size_t from = p_.single_ ? static_cast<size_t>(p_.leaf_begin_[i]) : i;
      if (t_.float64_sum)
        p_.values64_.push_back(t_.weight[from]);
      else
        p_.values32_.push_back(static_cast<float>(t_.weight[from]));
      p_.leaf_output_.push_back(t_.weight_output[from]);
    }
    const auto& outputs = p_.leaf_output_;
    if (p_.single_ && !outputs.empty() &&
        std::all_of(outputs.begin(), outputs.end(), [&](int32_t o) { return o == outputs[0]; }))
      p_.only_output_ = outputs[0];
  }

  // Trees that walk together take as many steps as the deepest of them: within a chunk they are sorted by
  // depth.
  void plan_walk() {
    for (int64_t first = 0; first < p_.tree_count_; first += kWalkChunk) {
      const int64_t count = std::min(kWalkChunk, p_.tree_count_ - first);
      std::vector<std::pair<int32_t, int32_t>> order;  // depth, place in the chunk
      for (int64_t i = 0; i < count; ++i) order.emplace_back(depth_of(t_.roots[first + i]), static_cast<int32_t>(i));
      std::sort(order.begin(), order.end());
      for (size_t i = 0; i < order.size(); ++i) {
        if (i % kWalkTrees == 0) p_.walk_depths_.push_back(0);
        p_.walk_depths_.back() = order[i].first;
        p_.walk_places_.push_back(order[i].second);
      }
      // Groups are whole: the last tree fills up the last one, and again writes the same leaf.
      while (p_.walk_places_.size() % kWalkTrees != 0) p_.walk_places_.push_back(p_.walk_places_.back());
    }
  }

  void lay_walk() {
    size_t at = 0;
    for (int64_t first = 0; first < p_.tree_count_; first += kWalkChunk) {
      const size_t count = static_cast<size_t>(std::min(kWalkChunk, p_.tree_count_ - first));
      for (const size_t last = at + count; at < last; ++at) lay_tree(t_.roots[first + p_.walk_places_[at]]);
      for (; at % kWalkTrees != 0; ++at) p_.walk_roots_.push_back(p_.walk_roots_.back());
    }
  }

  int64_t depths() const {
    int64_t sum = 0;
    for (const int32_t root : t_.roots) sum += depth_of(root);
    return sum;
  }

  int32_t depth_of(int32_t root) const {
    int32_t deepest = 0;
    std::vector<std::pair<int32_t, int32_t>> pending{{root, 0}};
    while (!pending.empty()) {
      const auto [node, depth] = pending.back();
      pending.pop_back();
      deepest = std::max(deepest, depth);
      if (t_.split(node) == Split::kLeaf) continue;
      pending.emplace_back(t_.on_true[node], depth + 1), pending.emplace_back(t_.on_false[node], depth + 1);
    }
    return deepest;
  }

  // Children of a split stand side by side.
  void lay_tree(int32_t root) {
    std::vector<int32_t> order{root};
    const uint32_t base = static_cast<uint32_t>(p_.walk_nodes_.size());
    p_.walk_roots_.push_back(base);
    for (size_t i = 0; i < order.size(); ++i) {
      const int32_t node = order[i];
      const bool leaf = t_.split(node) == Split::kLeaf;
      const uint32_t child = base + static_cast<uint32_t>(leaf ? i : order.size());
      p_.walk_nodes_.push_back({leaf ? uint16_t{kWalkCodeMax} : rank_[node], leaf ? uint16_t{0} : slot_[node], child});
      p_.walk_leaf_.push_back(leaf ? leaf_[node] : 0);
      if (leaf) continue;
      order.push_back(first_child(node)), order.push_back(second_child(node));
    }
  }

  // Of several pages, each list begins with loads of its own and is too short for its end to be foreseen: as if it were
  // two steps longer.
  int64_t list_steps() const { return p_.pages_ > 1 ? 2 * static_cast<int64_t>(p_.list_steps_.size()) : 0; }

  // Of each word, each page.
  using Lists = std::array<uint16_t, kMaskWordsMax * kMaskPagesMax>;
  int64_t list_of(int64_t word, int32_t node) const { return word * p_.pages_ + slot_[node] / page_of(method_); }

  // How many steps each list of each group takes. False where the trees or what they take are too large.
  bool plan_masks() {
    const int64_t slots = static_cast<int64_t>(p_.mask_slots_.size() + p_.set_slots_.size());
    p_.pages_ = std::max(int64_t{1}, (slots + page_of(method_) - 1) / page_of(method_));
    for (int64_t i = 0; i < p_.tree_count_; ++i)
      if (first_leaf_[i + 1] - first_leaf_[i] > 8 * kMaskWordsMax) return false;
    for (int64_t first = 0; first < p_.tree_count_; first += kMaskTrees) {
      const int64_t last = std::min(p_.tree_count_, first + kMaskTrees);
      Lists longest = {};
      int32_t words = 1;
      for (int64_t i = first; i < last; ++i) {
        Lists lists = {};
        for_each_split(i, [&](int32_t node, int64_t low, int64_t high) {
          for (int64_t w = low / 8; w <= (high - 1) / 8; ++w) ++lists[list_of(w, node)];
        });
        for (size_t at = 0; at < lists.size(); ++at) longest[at] = std::max(longest[at], lists[at]);
        words = std::max(words, static_cast<int32_t>(first_leaf_[i + 1] - first_leaf_[i] + 7) / 8);
      }
      p_.mask_groups_.push_back({mask_step_count_, static_cast<int32_t>(p_.list_steps_.size()), words});
      for (int32_t w = words - 1; w >= 0; --w)
        for (int64_t at = w * p_.pages_; at < (w + 1) * p_.pages_; ++at)
          p_.list_steps_.push_back(longest[at]), mask_step_count_ += longest[at];
      if (mask_step_count_ * kMaskStepBytes > kMasksBytesMax) return false;
    }
    return true;
  }

  // use(node, low, high) for the splits of a tree, where leaves low to high - 1 of the tree lie on the near side.
  template <typename Use>
  void for_each_split(int64_t tree, const Use& use) const {
    std::vector<int32_t> pending{t_.roots[tree]};
    while (!pending.empty()) {
      const int32_t node = pending.back();
      pending.pop_back();
      if (t_.split(node) == Split::kLeaf) continue;
      const auto [low, high] = leaves_under(first_child(node));
      use(node, int64_t{low - first_leaf_[tree]}, int64_t{high - first_leaf_[tree]});
      pending.push_back(second_child(node)), pending.push_back(first_child(node));
    }
  }

  void lay_masks() {
    p_.mask_steps_.assign(mask_step_count_ * kMaskStepBytes, 0);
    p_.near_missing_.assign(mask_step_count_ * kMaskTrees, 0);
    for (int64_t s = 0; s < mask_step_count_; ++s)
      std::fill_n(p_.mask_steps_.begin() + s * kMaskStepBytes + kMaskTrees, kMaskTrees, kMaskNoRank);
    for (int64_t i = 0; i < p_.tree_count_; ++i) lay_mask_tree(i);
    p_.first_leaves_.assign(first_leaf_.begin(), first_leaf_.end() - 1);
    p_.first_leaves_.resize(p_.mask_groups_.size() * kMaskTrees, 0);
  }

  void lay_mask_tree(int64_t tree) {
    const MaskGroup& group = p_.mask_groups_[tree / kMaskTrees];
    std::array<int64_t, kMaskWordsMax * kMaskPagesMax> next = {};  // of each list: its next step
    int64_t step = group.first_step;
    const uint16_t* steps = p_.list_steps_.data() + group.first_list;
    for (int32_t w = group.words - 1; w >= 0; --w)
      for (int64_t at = w * p_.pages_; at < (w + 1) * p_.pages_; ++at) next[at] = step, step += *steps++;
    for_each_split(tree, [&](int32_t node, int64_t low, int64_t high) {
      for (int64_t w = low / 8; w <= (high - 1) / 8; ++w) {
        const int64_t s = next[list_of(w, node)]++, lane = tree % kMaskTrees;
        uint8_t* at = p_.mask_steps_.data() + s * kMaskStepBytes + lane;
        const int64_t from = std::max(low - 8 * w, int64_t{0}), to = std::min(high - 8 * w, int64_t{8});
        at[0] = static_cast<uint8_t>(slot_[node] % page_of(method_));
        at[kMaskTrees] = static_cast<uint8_t>(rank_[node]);
        at[2 * kMaskTrees] = static_cast<uint8_t>((1 << to) - (1 << from));
        p_.near_missing_[s * kMaskTrees + lane] = missing_near_[node];
      }
    });
  }

  // The range of leaves under a node: its first side leads to the first one, its second side to the last.
  std::pair<uint32_t, uint32_t> leaves_under(int32_t node) const {
    int32_t first = node, last = node;
    while (t_.split(first) != Split::kLeaf) first = first_child(first);
    while (t_.split(last) != Split::kLeaf) last = second_child(last);
    return {leaf_[first], leaf_[last] + 1};
  }

  struct ByColumn {
    std::vector<double> thresholds;
    bool counts_equal = true;
  };

  const Trees& t_;
  const Method& method_;
  TreeProgram p_;
  std::map<int32_t, ByColumn> by_column_;
  std::vector<uint16_t> slot_, rank_;
  std::vector<uint8_t> swapped_, missing_near_;
  std::vector<bool> seen_;            // per output
  std::vector<uint32_t> leaf_;        // per node: the number of that leaf
  std::vector<uint32_t> first_leaf_;  // per tree, and behind the last
  int64_t mask_step_count_ = 0;
};

std::optional<TreeProgram> TreeProgram::build(const Trees& trees, TreeMethod method) {
  TreeProgramBuilder builder(trees, method);
  return builder.plan() ? std::optional(builder.lay()) : std::nullopt;
}

std::optional<double> TreeProgram::cost(const Trees& trees, TreeMethod method) {
  return TreeProgramBuilder(trees, method).plan();
}

std::vector<TreeMethod> TreeProgram::methods(const Trees& trees, Isa isa) {
  std::vector<TreeMethod> made;
  for (int i = 0; i < kTreeMethods; ++i)
    if (const auto method = static_cast<TreeMethod>(i); includes(isa, kMethods[i].isa) && cost(trees, method))
      made.push_back(method);
  return made;
}

std::optional<TreeProgram> TreeProgram::build_for(const Trees& trees, Isa isa) {
  std::unique_ptr<TreeProgramBuilder> best;
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kTreeMethods; ++i) {
    if (!includes(isa, kMethods[i].isa)) continue;
    auto builder = std::make_unique<TreeProgramBuilder>(trees, static_cast<TreeMethod>(i));
    const std::optional<double> cost = builder->plan();
    if (cost && *cost < least) least = *cost, best = std::move(builder);
  }
  return best == nullptr ? std::nullopt : std::optional(best->lay());
}

int64_t TreeProgram::byte_count() const {
  const auto bytes = [](const auto&... each) {
    return static_cast<int64_t>(((each.size() * sizeof(each[0])) + ... + 0));
  };
  return bytes(set_slots_, thresholds_, pivots_, values64_, values32_, leaf_output_, leaf_begin_, leaf_end_) +
         bytes(columns_, slots_, ranks_, walk_depths_, walk_nodes_, walk_leaf_, walk_roots_, walk_places_) +
         bytes(mask_slots_, keys_, mask_groups_, list_steps_, mask_steps_, near_missing_, first_leaves_) +
         trees_.byte_count();
}

template <>
inline const double* TreeProgram::leaf_values<double>() const {
  return values64_.data();
}
template <>
inline const float* TreeProgram::leaf_values<float>() const {
  return values32_.data();
}

namespace {

// How many of the sorted thresholds (2^steps, NaN last) lie below x, or at it too. A comparison's result is a
// number: a branch would be mispredicted every other time.
template <bool kEqual>
inline int32_t rank_of(const double* thresholds, int32_t steps, double x) {
  int32_t below = 0;
  for (int32_t s = steps - 1; s >= 0; --s) {
    const double t = thresholds[below + (1 << s) - 1];
    below += static_cast<int32_t>(kEqual ? t <= x : t < x) << s;
  }
  return below;
}

}  // namespace

void TreeProgram::find_ranks(int64_t first, int64_t count, const double* values, int32_t* ranks) const noexcept {
  if (method_ == TreeMethod::kWalkAvx512)
    return x86::find_ranks(thresholds_.data(), pivots_.data(), ranks_.data() + first, count, values, ranks);
  for (int64_t i = 0; i < count; ++i) {
    const double* thresholds = thresholds_.data() + ranks_[first + i].first_threshold;
    ranks[i] = ranks_[first + i].counts_equal ? rank_of<true>(thresholds, columns_[first + i].steps, values[i])
                                              : rank_of<false>(thresholds, columns_[first + i].steps, values[i]);
  }
}

template <typename In>
void TreeProgram::encode(const In* x, uint16_t* codes) const noexcept {
  constexpr int32_t kCodeMax = std::numeric_limits<uint16_t>::max();
  constexpr int64_t kBlock = 32;  // columns at a time
  double values[kBlock];
  int32_t ranks[kBlock];
  const int64_t column_count = static_cast<int64_t>(columns_.size());
  for (int64_t first = 0; first < column_count; first += kBlock) {
    const int64_t count = std::min(kBlock, column_count - first);
    for (int64_t i = 0; i < count; ++i) values[i] = static_cast<double>(x[columns_[first + i].column]);
    find_ranks(first, count, values, ranks);
    for (int64_t i = 0; i < count; ++i) {
      const bool nan = values[i] != values[i], zero = std::fabs(values[i]) <= kZeroBound;
      for (int32_t s = columns_[first + i].first_slot; s < columns_[first + i].last_slot; ++s) {
        const Slot& slot = slots_[s];
        const bool missing = nan | (slot.zero_missing & zero);
        const int32_t code = std::min(std::max(ranks[i] - slot.base, 0), kCodeMax);
        codes[s] = static_cast<uint16_t>(missing ? slot.missing : code);
      }
    }
  }
  encode_sets(x, codes + slots_.size());
}

// Whether the row lacks a value that a threshold asks for.
template <typename In>
bool TreeProgram::encode(const MaskKernels& kernels, const MaskTables& tables, const In* x,
                         uint8_t* codes) const noexcept {
  encode_sets(x, codes + mask_slots_.size());
  if constexpr (sizeof(In) == sizeof(float))
    return kernels.find_codes_f32(tables, x, codes);
  else
    return kernels.find_codes_f64(tables, x, codes);
}

template <typename In, typename Code>
void TreeProgram::encode_sets(const In* x, Code* sets) const noexcept {
  for (size_t s = 0; s < set_slots_.size(); ++s)
    sets[s] = goes_true(trees_, set_slots_[s].node, static_cast<double>(x[set_slots_[s].column])) ? 0 : 1;
}

// The exit leaves of group g, each at its tree's place. The trees take their steps together, so that one's
// loads hide another's; one that has arrived stays where it is.
void TreeProgram::walk(const uint16_t* codes, int64_t g, uint32_t* leaves) const noexcept {
  const WalkNode* nodes = walk_nodes_.data();
  uint32_t at[kWalkTrees];
  for (int64_t i = 0; i < kWalkTrees; ++i) at[i] = walk_roots_[g * kWalkTrees + i];
  for (int32_t s = 0; s < walk_depths_[g]; ++s)
#pragma GCC unroll 8
    for (int64_t i = 0; i < kWalkTrees; ++i) {
      const WalkNode node = nodes[at[i]];
      at[i] = node.child + static_cast<uint32_t>(codes[node.slot] > node.rank);
    }
  for (int64_t i = 0; i < kWalkTrees; ++i) leaves[walk_places_[g * kWalkTrees + i]] = walk_leaf_[at[i]];
}

namespace {

template <typename Sum>
inline void aggregate(Aggregate how, Sum value, int32_t output, Sum* sums, uint8_t* touched) {
  Sum& sum = sums[output];
  if (how == Aggregate::kMin)
    sum = touched[output] == 0 || value < sum ? value : sum;
  else if (how == Aggregate::kMax)
    sum = touched[output] == 0 || value > sum ? value : sum;
  else
    sum += value;
  touched[output] = 1;
}

}  // namespace

template <typename Sum>
void TreeProgram::add(const uint32_t* leaves, int64_t count, Sum* sums, uint8_t* touched) const noexcept {
  const Sum* values = leaf_values<Sum>();
  if (only_output_ >= 0) {
    Sum sum = sums[only_output_];
    for (int64_t i = 0; i < count; ++i) sum += values[leaves[i]];
    sums[only_output_] = sum, touched[only_output_] = 1;
    return;
  }
  if (single_) {
    for (int64_t i = 0; i < count; ++i) {
      const int32_t output = leaf_output_[leaves[i]];
      sums[output] += values[leaves[i]], touched[output] = 1;
    }
    return;
  }
  if (row_ > 0) {
    for (int64_t k = 0; k < trees_.outputs; k += kRowBlock) add_block(leaves, count, k, sums);
    std::fill_n(touched, trees_.outputs, uint8_t{1});
    return;
  }
  for (int64_t i = 0; i < count; ++i)
    for (int32_t w = leaf_begin_[leaves[i]]; w < leaf_end_[leaves[i]]; ++w)
      aggregate(trees_.aggregate, values[w], leaf_output_[w], sums, touched);
}

// Of the outputs from the k-th on, as many as a block has.
template <typename Sum>
void TreeProgram::add_block(const uint32_t* leaves, int64_t count, int64_t k, Sum* sums) const noexcept {
  const int64_t width = std::min(kRowBlock, row_ - k);
  const auto add_all = width == 2    ? &TreeProgram::add_columns<2, Sum>
                       : width == 4  ? &TreeProgram::add_columns<4, Sum>
                       : width == 8  ? &TreeProgram::add_columns<8, Sum>
                       : width == 12 ? &TreeProgram::add_columns<12, Sum>
                                     : &TreeProgram::add_columns<16, Sum>;
  (this->*add_all)(leaves, count, k, sums);
}

template <int kColumns, typename Sum>
void TreeProgram::add_columns(const uint32_t* leaves, int64_t count, int64_t k, Sum* sums) const noexcept {
  const Sum* values = leaf_values<Sum>() + k;
  const size_t wanted = static_cast<size_t>(std::min<int64_t>(kColumns, trees_.outputs - k)) * sizeof(Sum);
  Sum kept[kColumns] = {};
  std::memcpy(kept, sums + k, wanted);
  for (int64_t i = 0; i < count; ++i) {
    const Sum* row = values + leaves[i] * row_;
#pragma GCC unroll 16
    for (int c = 0; c < kColumns; ++c) kept[c] += row[c];
  }
  std::memcpy(sums + k, kept, wanted);
}

template <typename In, typename Sum>
void TreeProgram::add_linear(const In* x, const uint32_t* leaves, int64_t count, Sum* sums,
                             uint8_t* touched) const noexcept {
  for (int64_t i = 0; i < count; ++i)
    for (int32_t w = leaf_begin_[leaves[i]]; w < leaf_end_[leaves[i]]; ++w)
      aggregate(trees_.aggregate, static_cast<Sum>(weight_of(trees_, w, x)), leaf_output_[w], sums, touched);
}

// Sums of several rows together: each waits for itself only.
template <int kRows, typename Sum>
void TreeProgram::add_only(const uint32_t (*leaves)[kMaskTrees], int64_t count, Sum* sums) const noexcept {
  const Sum* values = leaf_values<Sum>();
  Sum sum[kRows];
  for (int r = 0; r < kRows; ++r) sum[r] = sums[r * trees_.outputs + only_output_];
  for (int64_t i = 0; i < count; ++i)
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) sum[r] += values[leaves[r][i]];
  for (int r = 0; r < kRows; ++r) sums[r * trees_.outputs + only_output_] = sum[r];
}

template <typename In, typename Sum>
void TreeProgram::add_rows(const In* x, const uint32_t (*leaves)[kMaskTrees], int64_t rows, int64_t count, Sum* sums,
                           uint8_t* touched) const noexcept {
  int64_t r = 0;
  if (only_output_ >= 0) {
    for (; r + 8 <= rows; r += 8) add_only<8>(leaves + r, count, sums + r * trees_.outputs);
    for (; r + 4 <= rows; r += 4) add_only<4>(leaves + r, count, sums + r * trees_.outputs);
    for (; r < rows; ++r) add_only<1>(leaves + r, count, sums + r * trees_.outputs);
    for (r = 0; r < rows; ++r) touched[r * trees_.outputs + only_output_] = 1;
    return;
  }
  for (; r < rows; ++r)
    trees_.linear()
        ? add_linear(x + r * trees_.features, leaves[r], count, sums + r * trees_.outputs, touched + r * trees_.outputs)
        : add(leaves[r], count, sums + r * trees_.outputs, touched + r * trees_.outputs);
}

template <typename Sum>
void TreeProgram::start(Sum* sums, uint8_t* spoken) const noexcept {
  for (int64_t k = 0; k < trees_.outputs; ++k)
    sums[k] = trees_.base_first && !trees_.base.empty() ? static_cast<Sum>(trees_.base[k]) : Sum{0}, spoken[k] = 0;
}

template <typename Sum>
void TreeProgram::finish(const Sum* sums, const uint8_t* spoken, Sum* out, uint8_t* touched) const noexcept {
  for (int64_t k = 0; k < trees_.outputs; ++k) out[k] = finished_sum(trees_, k, sums[k]);
  if (touched != nullptr) std::memcpy(touched, spoken, static_cast<size_t>(trees_.outputs));
}

template <typename In, typename Sum>
void TreeProgram::run_plain(const In* x, Sum* out, uint8_t* touched) const noexcept {
  Sum sums[kOutputsMax];
  uint8_t spoken[kOutputsMax];
  sum_trees(trees_, x, sums, spoken);
  finish(sums, spoken, out, touched);
}

template <typename In, typename Sum>
void TreeProgram::run_walk(const In* x, Sum* out, uint8_t* touched) const noexcept {
  Sum sums[kOutputsMax];
  uint8_t spoken[kOutputsMax];
  uint16_t codes[kWalkSlotsMax];
  uint32_t leaves[kWalkChunk];
  start(sums, spoken);
  codes[0] = 0;  // what leaves read where there is no split at all
  encode(x, codes);
  int64_t group = 0;
  for (int64_t tree = 0; tree < tree_count_; tree += kWalkChunk) {
    const int64_t count = std::min(kWalkChunk, tree_count_ - tree);
    for (const int64_t last = group + (count + kWalkTrees - 1) / kWalkTrees; group < last; ++group)
      walk(codes, group, leaves);
    trees_.linear() ? add_linear(x, leaves, count, sums, spoken) : add(leaves, count, sums, spoken);
  }
  finish(sums, spoken, out, touched);
}

MaskTables TreeProgram::mask_tables() const noexcept {
  const int64_t ranked = static_cast<int64_t>(mask_slots_.size());
  return {ranked + static_cast<int64_t>(set_slots_.size()),
          ranked,
          pages_,
          any_zero_missing_,
          mask_slots_.data(),
          thresholds_.data(),
          pivots_.data(),
          keys_.data(),
          mask_steps_.data(),
          near_missing_.data(),
          list_steps_.data(),
          first_leaves_.data()};
}

// A few rows pass through each group of trees together: its steps, which no first-level cache holds all of,
// are then fetched once for all of them. `rows` times the outputs is at most kOutputsMax.
template <typename In, typename Sum>
void TreeProgram::run_masks(const In* x, int64_t rows, Sum* out, uint8_t* touched) const noexcept {
  Sum sums[kOutputsMax];
  uint8_t spoken[kOutputsMax];
  alignas(64) uint8_t codes[kMaskRows][kMaskSlotsMax];
  bool missing[kMaskRows];
  uint32_t leaves[kMaskRows][kMaskTrees];
  const MaskKernels& kernels = mask_kernels(method_);
  const MaskTables tables = mask_tables();
  for (int64_t r = 0; r < rows; ++r) {
    start(sums + r * trees_.outputs, spoken + r * trees_.outputs);
    missing[r] = encode(kernels, tables, x + r * trees_.features, codes[r]);
  }
  for (int64_t tree = 0; tree < tree_count_; tree += kMaskTrees) {
    const int64_t g = tree / kMaskTrees;
    for (int64_t r = 0; r < rows; ++r) kernels.find_leaves(tables, mask_groups_[g], codes[r], missing[r], g, leaves[r]);
    add_rows(x, leaves, rows, std::min(kMaskTrees, tree_count_ - tree), sums, spoken);
  }
  for (int64_t r = 0; r < rows; ++r)
    finish(sums + r * trees_.outputs, spoken + r * trees_.outputs, out + r * trees_.outputs,
           touched == nullptr ? nullptr : touched + r * trees_.outputs);
}

template <typename In, typename Sum>
void TreeProgram::run(const In* x, int64_t rows, Sum* out, uint8_t* touched) const noexcept {
  const bool masks = has_masks(method_);
  const int64_t together = masks ? std::min(kMaskRows, kOutputsMax / trees_.outputs) : 1;
  for (int64_t r = 0; r < rows; r += together) {
    const In* from = x + r * trees_.features;
    Sum* to = out + r * trees_.outputs;
    uint8_t* marks = touched == nullptr ? nullptr : touched + r * trees_.outputs;
    if (masks)
      run_masks(from, std::min(together, rows - r), to, marks);
    else if (method_ == TreeMethod::kPlain)
      run_plain(from, to, marks);
    else
      run_walk(from, to, marks);
  }
}

template void TreeProgram::run<float, float>(const float*, int64_t, float*, uint8_t*) const noexcept;
template void TreeProgram::run<float, double>(const float*, int64_t, double*, uint8_t*) const noexcept;
template void TreeProgram::run<double, float>(const double*, int64_t, float*, uint8_t*) const noexcept;
template void TreeProgram::run<double, double>(const double*, int64_t, double*, uint8_t*) const noexcept;

}  // namespace hayate::kernels
