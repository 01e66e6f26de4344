#include "eval/trees.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "base/memory_budget.h"
#include "graph/rule_checks.h"

namespace hayate {
namespace {

using kernels::Aggregate;
using kernels::Split;
using kernels::Trees;

// Numbers of an attribute, whatever form it has: a list, or a tensor under `key` or `key`_as_tensor.
std::vector<double> numbers(const Node& node, const std::string& key) {
  for (const std::string& name : {key, key + "_as_tensor"}) {
    const auto it = node.attributes.find(name);
    if (it == node.attributes.end()) continue;
    if (const auto* floats = std::get_if<std::vector<float>>(&it->second)) return {floats->begin(), floats->end()};
    if (const auto* integers = std::get_if<std::vector<int64_t>>(&it->second))
      return {integers->begin(), integers->end()};
    if (const auto* tensor = std::get_if<Tensor>(&it->second)) return to_doubles(*tensor);
  }
  return {};
}

template <typename T>
std::vector<T> elements(const Node& node, const std::string& key) {
  const auto it = node.attributes.find(key);
  const Tensor* tensor = it == node.attributes.end() ? nullptr : std::get_if<Tensor>(&it->second);
  if (tensor == nullptr || tensor->type() != type_of<T>()) return {};
  return std::vector<T>(tensor->data<T>(), tensor->data<T>() + tensor->count());
}

template <typename T>
Tensor tensor_of(const std::vector<T>& values) {
  return Tensor::of<T>({static_cast<int64_t>(values.size())}, values);
}

Tensor tensor_of(const std::vector<double>& values, bool float64) {
  return float64 ? tensor_of(values) : tensor_of(std::vector<float>(values.begin(), values.end()));
}

constexpr const char* kAggregates[] = {"SUM", "AVERAGE", "MIN", "MAX"};

// Base values as ONNX Runtime takes them: none or one per output, of two classes also a single one.
std::optional<Error> base_error(const Node& node, size_t given, int64_t outputs, bool one_of_two = false) {
  if (given == 0 || given == static_cast<size_t>(outputs) || (given == 1 && one_of_two)) return std::nullopt;
  return bad(node, fmt::format("has {} base_values; 0{} or {}, one per output, are accepted", given,
                               one_of_two ? ", 1" : "", outputs));
}

Result<Aggregate> aggregate_from(const Node& node, const std::string& key) {
  const std::string name = node.get<std::string>(key, "SUM");
  for (int i = 0; i < 4; ++i)
    if (name == kAggregates[i]) return static_cast<Aggregate>(i);
  return bad(node, fmt::format("{} '{}' is unknown; SUM, AVERAGE, MIN and MAX are", key, name));
}

Result<Trees> checked(const Node& node, Trees trees) {
  if (const std::string text = kernels::fault(trees); !text.empty()) return bad(node, text);
  return trees;
}

Result<Trees> own_ensemble(const Node& node) {
  Trees t;
  t.features = node.get<int64_t>("features", 0);
  t.outputs = node.get<int64_t>("outputs", 1);
  t.roots = elements<int32_t>(node, "roots");
  t.kind = elements<uint8_t>(node, "kind");
  t.feature = elements<int32_t>(node, "feature");
  t.threshold = numbers(node, "threshold");
  t.on_true = elements<int32_t>(node, "on_true");
  t.on_false = elements<int32_t>(node, "on_false");
  t.weight = numbers(node, "weight");
  t.weight_output = elements<int32_t>(node, "weight_output");
  t.set_bounds = elements<int32_t>(node, "set_bounds");
  t.set_words = elements<uint32_t>(node, "set_words");
  t.linear_bounds = elements<int32_t>(node, "linear_bounds");
  t.linear_feature = elements<int32_t>(node, "linear_feature");
  t.linear_coefficient = elements<double>(node, "linear_coefficient");
  t.nan_weight = elements<double>(node, "nan_weight");
  t.base = numbers(node, "base");
  t.base_first = node.get<int64_t>("base_first", 0) != 0;
  t.divisor = static_cast<double>(node.get<int64_t>("divisor", 1));
  t.float64_sum = node.get<int64_t>("float64_sum", 1) != 0;
  const Result<Aggregate> aggregate = aggregate_from(node, "aggregate");
  if (!aggregate.ok()) return aggregate.error();
  t.aggregate = aggregate.value();
  return checked(node, std::move(t));
}

Result<Split> split_from(const Node& node, const std::string& mode) {
  constexpr std::pair<const char*, Split> kModes[] = {
      {"LEAF", Split::kLeaf},          {"BRANCH_LEQ", Split::kLessEqual},
      {"BRANCH_LT", Split::kLess},     {"BRANCH_GTE", Split::kGreaterEqual},
      {"BRANCH_GT", Split::kGreater},  {"BRANCH_EQ", Split::kEqual},
      {"BRANCH_NEQ", Split::kNotEqual}};
  for (const auto& [name, split] : kModes)
    if (mode == name) return split;
  return bad(node, fmt::format("nodes_modes '{}' is unknown; LEAF and BRANCH_LEQ, LT, GTE, GT, EQ, NEQ are", mode),
             Code::kUnsupported);
}

// NaN follows nodes_missing_value_tracks_true, and x != threshold is true for it anyway.
uint8_t kind_of(Split split, bool tracks_true) {
  return static_cast<uint8_t>(static_cast<uint8_t>(split) |
                              (tracks_true || split == Split::kNotEqual ? kernels::kNanTrue : 0));
}

// The attributes of TreeEnsembleRegressor and TreeEnsembleClassifier (versions 1 and 3).
struct OnnxEnsemble {
  std::vector<int64_t> tree, id, feature, on_true, on_false, tracks, leaf_tree, leaf_id, leaf_output;
  std::vector<std::string> mode;
  std::vector<double> threshold, leaf_weight;
};

Result<OnnxEnsemble> read_ensemble(const Node& node, const std::string& leaves) {
  const auto list = [&](const std::string& key) { return node.get<std::vector<int64_t>>(key, {}); };
  OnnxEnsemble e{list("nodes_treeids"),         list("nodes_nodeids"),
                 list("nodes_featureids"),      list("nodes_truenodeids"),
                 list("nodes_falsenodeids"),    list("nodes_missing_value_tracks_true"),
                 list(leaves + "_treeids"),     list(leaves + "_nodeids"),
                 list(leaves + "_ids"),         node.get<std::vector<std::string>>("nodes_modes", {}),
                 numbers(node, "nodes_values"), numbers(node, leaves + "_weights")};
  const size_t n = e.tree.size(), w = e.leaf_tree.size();
  if (n > static_cast<size_t>(kernels::kTreeNodesMax)) return bad(node, fmt::format("{} nodes are too many", n));
  if (e.id.size() != n || e.feature.size() != n || e.on_true.size() != n || e.on_false.size() != n ||
      e.mode.size() != n || e.threshold.size() != n)
    return bad(node, "its nodes_* attributes differ in length");
  if (e.leaf_id.size() != w || e.leaf_output.size() != w || e.leaf_weight.size() != w)
    return bad(node, fmt::format("its {}_* attributes differ in length", leaves));
  return e;
}

using NodeKey = uint64_t;
NodeKey key_of(int64_t tree, int64_t id) {
  return static_cast<uint64_t>(static_cast<uint32_t>(tree)) << 32 | static_cast<uint32_t>(id);
}
using NodeMap = std::unordered_map<NodeKey, int32_t>;

// Nodes without their leaves' weights.
Result<NodeMap> add_nodes(const Node& node, const OnnxEnsemble& e, Trees* t) {
  NodeMap map;
  for (size_t i = 0; i < e.tree.size(); ++i) {
    if (std::min(e.tree[i], e.id[i]) < 0 || std::max(e.tree[i], e.id[i]) > INT32_MAX)
      return bad(node, fmt::format("tree {}, node {}: the ids are out of range", e.tree[i], e.id[i]));
    if (!map.emplace(key_of(e.tree[i], e.id[i]), static_cast<int32_t>(i)).second)
      return bad(node, fmt::format("tree {} has two nodes {}", e.tree[i], e.id[i]));
  }
  for (size_t i = 0; i < e.tree.size(); ++i) {
    const Result<Split> split = split_from(node, e.mode[i]);
    if (!split.ok()) return split.error();
    if (i == 0 || e.tree[i] != e.tree[i - 1]) t->roots.push_back(static_cast<int32_t>(i));
    if (split.value() == Split::kLeaf) {
      t->add_node(0, 0, 0, 0, 0);
      continue;
    }
    int32_t child[2];
    for (const bool side : {false, true}) {
      const int64_t id = side ? e.on_true[i] : e.on_false[i];
      const auto it = id < 0 || id > INT32_MAX ? map.end() : map.find(key_of(e.tree[i], id));
      if (it == map.end())
        return bad(node, fmt::format("tree {}, node {}: its child {} does not exist", e.tree[i], e.id[i], id));
      child[side] = it->second;
    }
    if (e.feature[i] < 0 || e.feature[i] >= t->features)
      return bad(node,
                 fmt::format("tree {}, node {}: feature {} of {}", e.tree[i], e.id[i], e.feature[i], t->features));
    t->add_node(kind_of(split.value(), i < e.tracks.size() && e.tracks[i] == 1), static_cast<int32_t>(e.feature[i]),
                e.threshold[i], child[1], child[0]);
  }
  return map;
}

// Weights in the order of their nodes, a node's own in the order of the file; of a single output only its
// first counts.
Result<bool> add_weights(const Node& node, const OnnxEnsemble& e, const NodeMap& map, Trees* t) {
  std::vector<std::pair<int32_t, size_t>> order;
  for (size_t i = 0; i < e.leaf_tree.size(); ++i) {
    const auto it = std::min(e.leaf_tree[i], e.leaf_id[i]) < 0 || std::max(e.leaf_tree[i], e.leaf_id[i]) > INT32_MAX
                        ? map.end()
                        : map.find(key_of(e.leaf_tree[i], e.leaf_id[i]));
    if (it == map.end())
      return bad(node,
                 fmt::format("a weight is for tree {}, node {}, which does not exist", e.leaf_tree[i], e.leaf_id[i]));
    if (e.leaf_output[i] < 0 || e.leaf_output[i] >= t->outputs)
      return bad(node, fmt::format("tree {}, node {}: output {} of {}", e.leaf_tree[i], e.leaf_id[i], e.leaf_output[i],
                                   t->outputs));
    if (t->split(it->second) == Split::kLeaf) order.emplace_back(it->second, i);
  }
  std::sort(order.begin(), order.end());
  for (size_t i = 0; i < order.size(); ++i) {
    const auto [leaf, from] = order[i];
    const bool first = i == 0 || order[i - 1].first != leaf;
    if (!first && t->outputs == 1) continue;
    if (first) t->on_true[leaf] = static_cast<int32_t>(t->weight.size());
    t->weight.push_back(e.leaf_weight[from]);
    t->weight_output.push_back(static_cast<int32_t>(e.leaf_output[from]));
    t->on_false[leaf] = static_cast<int32_t>(t->weight.size());
  }
  for (size_t i = 0; i < e.tree.size(); ++i)
    if (t->split(static_cast<int64_t>(i)) == Split::kLeaf && t->on_true[i] == t->on_false[i])
      return bad(node, fmt::format("tree {}, node {}: a leaf without weight", e.tree[i], e.id[i]));
  return true;
}

Result<Trees> onnx_ensemble(const Node& node, const TensorType& input) {
  const bool classifies = node.op == "TreeEnsembleClassifier";
  const Result<OnnxEnsemble> read = read_ensemble(node, classifies ? "class" : "target");
  if (!read.ok()) return read.error();
  Trees t;
  t.features = input.shape.empty() ? 0 : input.shape.back();
  t.outputs = classifies ? static_cast<int64_t>(node.get<std::vector<int64_t>>("classlabels_int64s", {}).size())
                         : node.get<int64_t>("n_targets", 0);
  t.float64_sum = input.type == Type::kFloat64;
  if (!classifies) {
    const Result<Aggregate> aggregate = aggregate_from(node, "aggregate_function");
    if (!aggregate.ok()) return aggregate.error();
    t.aggregate = aggregate.value();
    t.base = numbers(node, "base_values");
    if (auto error = base_error(node, t.base.size(), t.outputs)) return *error;
  }
  const Result<NodeMap> map = add_nodes(node, read.value(), &t);
  if (!map.ok()) return map.error();
  const Result<bool> weights = add_weights(node, read.value(), map.value(), &t);
  if (!weights.ok()) return weights.error();
  t.divisor = static_cast<double>(t.roots.size());
  return checked(node, std::move(t));
}

// TreeEnsemble of ai.onnx.ml 5: leaves stand in lists of their own, and every child says whether it is one.
class Ensemble5 {
 public:
  Ensemble5(const Node& node, int64_t features, bool float64_sum) : node_(node) {
    t_.features = features;
    t_.float64_sum = float64_sum;
  }

  Result<Trees> read() {
    if (std::optional<Error> error = lists()) return *error;
    const size_t n = feature_.size();
    size_t member_at = 0;
    for (size_t i = 0; i < n; ++i) {
      if (modes_[i] > kBranchMember)
        return bad(node_, fmt::format("node {}: nodes_modes {} is unknown; 0 (BRANCH_LEQ) to 6 (BRANCH_MEMBER) are", i,
                                      modes_[i]));
      const bool tracks = i < tracks_.size() && tracks_[i] == 1;
      if (modes_[i] == kBranchMember)
        t_.add_node(kind_of(Split::kInSet, tracks) | kernels::kMember, clamp32(feature_[i]),
                    t_.add_members(members_from(&member_at)), 0, 0);
      else  // BRANCH_LEQ = 0 to BRANCH_NEQ = 5 in the order of Split
        t_.add_node(kind_of(static_cast<Split>(modes_[i] + 1), tracks), clamp32(feature_[i]), split_[i], 0, 0);
    }
    for (size_t i = 0; i < n; ++i)
      for (const bool side : {true, false}) {
        const Result<int32_t> child = child_of(i, side);
        if (!child.ok()) return child.error();
        (side ? t_.on_true : t_.on_false)[i] = child.value();
      }
    for (const int64_t root : roots_) t_.roots.push_back(clamp32(root));
    t_.divisor = static_cast<double>(roots_.size());
    return checked(node_, std::move(t_));
  }

 private:
  static constexpr uint8_t kBranchMember = 6;

  // The lists of all nodes that ask for membership stand in their order, a NaN behind each.
  std::vector<double> members_from(size_t* at) const {
    const auto begin = members_.begin() + static_cast<int64_t>(std::min(*at, members_.size()));
    const auto end = std::find_if(begin, members_.end(), [](double v) { return v != v; });
    *at = static_cast<size_t>(end - members_.begin()) + 1;
    return {begin, end};
  }

  static int32_t clamp32(int64_t v) { return static_cast<int32_t>(std::clamp<int64_t>(v, -1, INT32_MAX)); }

  std::optional<Error> lists() {
    const auto list = [&](const char* key) { return node_.get<std::vector<int64_t>>(key, {}); };
    feature_ = list("nodes_featureids"), roots_ = list("tree_roots"), tracks_ = list("nodes_missing_value_tracks_true"),
    target_ = list("leaf_targetids");
    id_[1] = list("nodes_truenodeids"), id_[0] = list("nodes_falsenodeids"), leaf_[1] = list("nodes_trueleafs"),
    leaf_[0] = list("nodes_falseleafs");
    modes_ = elements<uint8_t>(node_, "nodes_modes");
    split_ = numbers(node_, "nodes_splits"), weight_ = numbers(node_, "leaf_weights");
    members_ = numbers(node_, "membership_values");
    t_.outputs = node_.get<int64_t>("n_targets", 1);
    constexpr Aggregate kOrder[] = {Aggregate::kAverage, Aggregate::kSum, Aggregate::kMin, Aggregate::kMax};
    const int64_t aggregate = node_.get<int64_t>("aggregate_function", 1);
    if (aggregate < 0 || aggregate > 3)
      return bad(node_, fmt::format("aggregate_function {} is unknown; 0 to 3 are", aggregate));
    t_.aggregate = kOrder[aggregate];
    const size_t n = feature_.size();
    for (const size_t size :
         {modes_.size(), split_.size(), id_[0].size(), id_[1].size(), leaf_[0].size(), leaf_[1].size()})
      if (size != n) return bad(node_, "its nodes_* attributes differ in length");
    if (target_.size() != weight_.size()) return bad(node_, "leaf_targetids and leaf_weights differ in length");
    if (members_.size() > INT32_MAX)
      return bad(node_, fmt::format("{} membership_values are too many", members_.size()));
    if (n > static_cast<size_t>(kernels::kTreeNodesMax) / 4) return bad(node_, fmt::format("{} nodes are too many", n));
    return std::nullopt;
  }

  Result<int32_t> child_of(size_t i, bool side) {
    const int64_t at = id_[side][i];
    if (leaf_[side][i] == 0) return clamp32(at);
    if (at < 0 || at >= static_cast<int64_t>(target_.size()))
      return bad(node_, fmt::format("node {}: leaf {} of {}", i, at, target_.size()));
    return t_.add_leaf(weight_[at], clamp32(target_[at]));
  }

  const Node& node_;
  Trees t_;
  std::vector<int64_t> feature_, roots_, tracks_, target_, id_[2], leaf_[2];
  std::vector<uint8_t> modes_;
  std::vector<double> split_, weight_, members_;
};

int64_t bytes_of(const Attribute& attribute) {
  if (const auto* tensor = std::get_if<Tensor>(&attribute)) return static_cast<int64_t>(tensor->byte_count());
  if (const auto* integers = std::get_if<std::vector<int64_t>>(&attribute))
    return static_cast<int64_t>(integers->size() * sizeof(int64_t));
  if (const auto* floats = std::get_if<std::vector<float>>(&attribute))
    return static_cast<int64_t>(floats->size() * sizeof(double));
  if (const auto* texts = std::get_if<std::vector<std::string>>(&attribute))
    return static_cast<int64_t>(texts->size() * sizeof(std::string));
  return 0;
}

// What reading an ensemble takes: its lists are copied, and ONNX's, whose nodes are found by number, stand in a map
// besides.
int64_t reading_bytes(const Node& node) {
  constexpr int64_t kCopies = 3;
  int64_t bytes = 0;
  for (const auto& [key, value] : node.attributes) bytes += bytes_of(value);
  return kCopies * bytes;
}

}  // namespace

bool is_tree_ensemble(const Node& node) {
  if (node.domain == "hayate") return node.op == "TreeEnsemble";
  return node.domain == "ai.onnx.ml" &&
         (node.op == "TreeEnsembleRegressor" || node.op == "TreeEnsembleClassifier" || node.op == "TreeEnsemble");
}

Result<Trees> trees_from(const Node& node, const TensorType& input) {
  if (const Result<bool> room = room_for(reading_bytes(node), node.where() + ": its trees"); !room.ok())
    return room.error();
  if (node.domain == "hayate") return own_ensemble(node);
  if (node.op == "TreeEnsemble")
    return Ensemble5(node, input.shape.empty() ? 0 : input.shape.back(), input.type == Type::kFloat64).read();
  return onnx_ensemble(node, input);
}

Result<kernels::PostTransform> post_transform_from(const Node& node) {
  if (node.op == "TreeEnsemble") {
    const int64_t number = node.get<int64_t>("post_transform", 0);
    if (number < 0 || number > 4) return bad(node, fmt::format("post_transform {} is unknown; 0 to 4 are", number));
    return static_cast<kernels::PostTransform>(number);
  }
  const std::string name = node.get<std::string>("post_transform", "NONE");
  const auto transform = kernels::post_transform_from_name(name);
  if (!transform)
    return bad(node, fmt::format("post_transform '{}' is unknown; NONE, LOGISTIC, SOFTMAX, SOFTMAX_ZERO and PROBIT are",
                                 name));
  return *transform;
}

Result<kernels::Classifier> classifier_from(const Node& node) {
  const Result<kernels::PostTransform> transform = post_transform_from(node);
  if (!transform.ok()) return transform.error();
  kernels::Classifier c;
  c.labels = node.get<std::vector<int64_t>>("classlabels_int64s", {});
  if (c.labels.size() < 2)
    return bad(node, "needs two or more labels in classlabels_int64s (string labels are not supported)",
               Code::kUnsupported);
  c.base = numbers(node, "base_values");
  if (auto error = base_error(node, c.base.size(), static_cast<int64_t>(c.labels.size()), c.labels.size() == 2))
    return *error;
  c.transform = transform.value();
  const std::vector<int64_t> ids = node.get<std::vector<int64_t>>("class_ids", {});
  const std::vector<double> weights = numbers(node, "class_weights");
  c.one_weighted_class = c.labels.size() == 2 && !ids.empty() &&
                         std::all_of(ids.begin(), ids.end(), [&](int64_t id) { return id == ids[0]; });
  c.weights_all_positive = std::none_of(weights.begin(), weights.end(), [](double w) { return w < 0; });
  return c;
}

std::optional<Error> ensemble_error(const Node& node, const TensorType& input) {
  if (const Result<Trees> trees = trees_from(node, input); !trees.ok()) return trees.error();
  if (node.domain == "hayate") return std::nullopt;
  if (node.op == "TreeEnsembleClassifier") {
    const Result<kernels::Classifier> classifier = classifier_from(node);
    return classifier.ok() ? std::nullopt : std::optional(classifier.error());
  }
  const Result<kernels::PostTransform> transform = post_transform_from(node);
  return transform.ok() ? std::nullopt : std::optional(transform.error());
}

Node tree_ensemble_node(const Trees& t, bool float64_thresholds, const std::string& input, const std::string& output) {
  Node node{"trees", "hayate", "TreeEnsemble", {input}, {output}, {}};
  auto& a = node.attributes;
  a["features"] = t.features, a["outputs"] = t.outputs;
  a["roots"] = tensor_of(t.roots), a["kind"] = tensor_of(t.kind), a["feature"] = tensor_of(t.feature);
  a["threshold"] = tensor_of(t.threshold, float64_thresholds);
  a["on_true"] = tensor_of(t.on_true), a["on_false"] = tensor_of(t.on_false);
  a["weight"] = tensor_of(t.weight, t.float64_sum), a["weight_output"] = tensor_of(t.weight_output);
  if (!t.set_bounds.empty()) a["set_bounds"] = tensor_of(t.set_bounds), a["set_words"] = tensor_of(t.set_words);
  if (t.linear()) {
    a["linear_bounds"] = tensor_of(t.linear_bounds), a["linear_feature"] = tensor_of(t.linear_feature);
    a["linear_coefficient"] = tensor_of(t.linear_coefficient), a["nan_weight"] = tensor_of(t.nan_weight);
  }
  if (!t.base.empty()) a["base"] = tensor_of(t.base, t.float64_sum), a["base_first"] = int64_t{t.base_first};
  a["float64_sum"] = int64_t{t.float64_sum};
  a["aggregate"] = std::string(kAggregates[static_cast<int>(t.aggregate)]);
  if (t.aggregate == Aggregate::kAverage) a["divisor"] = static_cast<int64_t>(t.divisor);
  return node;
}

Node linear_booster_node(const std::vector<float>& weights, int64_t outputs, const std::string& input,
                         const std::string& output) {
  Node node{"linear", "hayate", "LinearBooster", {input}, {output}, {}};
  node.attributes["weights"] = Tensor::of<float>({static_cast<int64_t>(weights.size()) / outputs, outputs}, weights);
  return node;
}

Node objective_node(kernels::Objective objective, double scale, const std::string& input, const std::string& output) {
  Node node{"objective", "hayate", "Objective", {input}, {output}, {}};
  node.attributes["kind"] = std::string(kernels::objective_name(objective));
  if (objective == kernels::Objective::kSigmoid) node.attributes["scale"] = Tensor::of<double>({}, {scale});
  return node;
}

}  // namespace hayate
