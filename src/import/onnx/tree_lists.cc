#include "import/onnx/tree_lists.h"

#include <limits>
#include <set>

namespace hayate {
namespace {

using kernels::Split;
using kernels::Trees;

constexpr uint8_t kBranchLeq = 0, kBranchMember = 6;  // nodes_modes
constexpr int64_t kSum = 1, kMin = 2, kMax = 3;       // aggregate_function
constexpr int64_t kFloatCategories = 16777216;        // from here on float32 tells no categories apart

class Lists {
 public:
  explicit Lists(const Trees& trees) : t_(trees) {}

  void add_all() {
    if (t_.base_first)
      for (size_t k = 0; k < t_.base.size(); ++k) add_constant_tree(t_.base[k], static_cast<int64_t>(k));
    for (const int32_t root : t_.roots) {
      const std::set<int32_t> outputs = outputs_of(root);
      for (const int32_t output : outputs) add_tree(root, output);
    }
  }

  std::map<std::string, Attribute> attributes(bool float64) const {
    const auto tensor = [&](const std::vector<double>& v) {
      const Shape shape = {static_cast<int64_t>(v.size())};
      return float64 ? Tensor::of<double>(shape, v) : Tensor::of<float>(shape, {v.begin(), v.end()});
    };
    std::map<std::string, Attribute> a;
    a["n_targets"] = t_.outputs;
    a["aggregate_function"] = t_.aggregate == kernels::Aggregate::kMin   ? kMin
                              : t_.aggregate == kernels::Aggregate::kMax ? kMax
                                                                         : kSum;
    a["post_transform"] = int64_t{0};
    a["tree_roots"] = roots_, a["nodes_featureids"] = feature_;
    a["nodes_modes"] = Tensor::of<uint8_t>({static_cast<int64_t>(mode_.size())}, mode_);
    a["nodes_splits"] = tensor(split_);
    a["nodes_truenodeids"] = child_[1], a["nodes_trueleafs"] = is_leaf_[1];
    a["nodes_falsenodeids"] = child_[0], a["nodes_falseleafs"] = is_leaf_[0];
    a["nodes_missing_value_tracks_true"] = tracks_;
    a["leaf_targetids"] = target_, a["leaf_weights"] = tensor(weight_);
    if (!members_.empty()) a["membership_values"] = tensor(members_);
    return a;
  }

 private:
  // In which outputs a tree's leaves speak.
  std::set<int32_t> outputs_of(int32_t root) const {
    std::set<int32_t> outputs;
    std::vector<int32_t> pending = {root};
    while (!pending.empty()) {
      const int32_t node = pending.back();
      pending.pop_back();
      if (t_.split(node) != Split::kLeaf)
        pending.insert(pending.end(), {t_.on_true[node], t_.on_false[node]});
      else
        outputs.insert(t_.weight_output.begin() + t_.on_true[node], t_.weight_output.begin() + t_.on_false[node]);
    }
    return outputs;
  }

  int64_t add_leaf(double value, int64_t output) {
    target_.push_back(output), weight_.push_back(value);
    return static_cast<int64_t>(target_.size()) - 1;
  }

  void add_split(uint8_t mode, int64_t feature, double at, bool nan_true) {
    mode_.push_back(mode), feature_.push_back(feature), split_.push_back(at), tracks_.push_back(nan_true);
    for (const bool side : {false, true}) child_[side].push_back(0), is_leaf_[side].push_back(0);
  }

  void set_child(int64_t node, bool side, int64_t at, bool leaf) {
    child_[side][static_cast<size_t>(node)] = at, is_leaf_[side][static_cast<size_t>(node)] = leaf;
  }

  // A tree of one leaf: a node whose children are both that leaf.
  void add_constant_tree(double value, int64_t output) {
    const int64_t node = static_cast<int64_t>(mode_.size()), leaf = add_leaf(value, output);
    roots_.push_back(node);
    add_split(kBranchLeq, 0, 0, false);
    for (const bool side : {false, true}) set_child(node, side, leaf, true);
  }

  // What a leaf adds to an output: 0 where it says nothing.
  double weight_of(int32_t leaf, int32_t output) const {
    for (int32_t w = t_.on_true[leaf]; w < t_.on_false[leaf]; ++w)
      if (t_.weight_output[w] == output) return t_.weight[w];
    return 0;
  }

  void add_node(int32_t node) {
    const bool nan_true = (t_.kind[node] & kernels::kNanTrue) != 0;
    if (t_.split(node) != Split::kInSet)  // modes stand in the order of Split, without the leaf
      return add_split(static_cast<uint8_t>(static_cast<int>(t_.split(node)) - 1), t_.feature[node], t_.threshold[node],
                       nan_true);
    add_split(kBranchMember, t_.feature[node], 0, nan_true);
    add_members(node);
    members_.push_back(std::numeric_limits<double>::quiet_NaN());
  }

  void add_members(int32_t node) {
    const size_t set = static_cast<size_t>(t_.threshold[node]);
    if ((t_.kind[node] & kernels::kMember) != 0) {
      members_.insert(members_.end(), t_.member_values.begin() + t_.member_bounds[set],
                      t_.member_values.begin() + t_.member_bounds[set + 1]);
      return;
    }
    const int64_t all = int64_t{32} * (t_.set_bounds[set + 1] - t_.set_bounds[set]);
    const bool truncates = (t_.kind[node] & kernels::kTruncate) != 0;
    for (int64_t c = 0; c < (truncates ? all : std::min(all, kFloatCategories)); ++c)
      if ((t_.set_words[t_.set_bounds[set] + c / 32] >> (c % 32) & 1) != 0) members_.push_back(static_cast<double>(c));
  }

  // The root's tree, of whose leaves one output is kept; nodes in the order in which they are met, parents first.
  void add_tree(int32_t root, int32_t output) {
    if (t_.split(root) == Split::kLeaf) return add_constant_tree(weight_of(root, output), output);
    roots_.push_back(static_cast<int64_t>(mode_.size()));
    std::vector<std::pair<int32_t, int64_t>> pending = {{root, roots_.back()}};
    add_node(root);
    while (!pending.empty()) {
      const auto [node, at] = pending.back();
      pending.pop_back();
      for (const bool side : {true, false}) {
        const int32_t child = side ? t_.on_true[node] : t_.on_false[node];
        if (t_.split(child) == Split::kLeaf) {
          set_child(at, side, add_leaf(weight_of(child, output), output), true);
          continue;
        }
        const int64_t made = static_cast<int64_t>(mode_.size());
        set_child(at, side, made, false);
        add_node(child);
        pending.emplace_back(child, made);
      }
    }
  }

  const Trees& t_;
  std::vector<int64_t> roots_, feature_, tracks_, child_[2], is_leaf_[2], target_;
  std::vector<uint8_t> mode_;
  std::vector<double> split_, weight_, members_;
};

}  // namespace

std::map<std::string, Attribute> tree_lists(const Trees& trees, bool float64) {
  Lists lists(trees);
  lists.add_all();
  return lists.attributes(float64);
}

}  // namespace hayate
