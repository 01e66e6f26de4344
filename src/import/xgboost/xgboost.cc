#include "import/xgboost/xgboost.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "base/memory_budget.h"
#include "eval/trees.h"

namespace hayate {
namespace {

using kernels::Objective;
using kernels::Split;
using kernels::Trees;
using Kind = Document::Kind;

constexpr int64_t kFeaturesMax = int64_t{1} << 24;

// How base_score, which is in the space of predictions, becomes a margin.
enum class Link { kIdentity, kLogit, kLog };

struct KnownObjective {
  const char* name;
  Objective transform;
  Link link;
};
constexpr KnownObjective kObjectives[] = {{"reg:squarederror", Objective::kIdentity, Link::kIdentity},
                                          {"reg:linear", Objective::kIdentity, Link::kIdentity},
                                          {"reg:squaredlogerror", Objective::kIdentity, Link::kIdentity},
                                          {"reg:pseudohubererror", Objective::kIdentity, Link::kIdentity},
                                          {"reg:absoluteerror", Objective::kIdentity, Link::kIdentity},
                                          {"reg:quantileerror", Objective::kIdentity, Link::kIdentity},
                                          {"reg:logistic", Objective::kClampedSigmoid, Link::kLogit},
                                          {"binary:logistic", Objective::kClampedSigmoid, Link::kLogit},
                                          {"binary:logitraw", Objective::kIdentity, Link::kIdentity},
                                          {"binary:hinge", Objective::kStep, Link::kIdentity},
                                          {"multi:softprob", Objective::kSoftmax, Link::kIdentity},
                                          {"multi:softmax", Objective::kArgmax, Link::kIdentity},
                                          {"count:poisson", Objective::kExp, Link::kLog},
                                          {"reg:gamma", Objective::kExp, Link::kLog},
                                          {"reg:tweedie", Objective::kExp, Link::kLog},
                                          {"survival:cox", Objective::kExp, Link::kLog},
                                          {"survival:aft", Objective::kWideExp, Link::kLog},
                                          {"rank:ndcg", Objective::kIdentity, Link::kIdentity},
                                          {"rank:pairwise", Objective::kIdentity, Link::kIdentity},
                                          {"rank:map", Objective::kIdentity, Link::kIdentity}};

template <typename T>
std::optional<T> number_from(std::string_view word) {
  T value{};
  const auto [at, status] = std::from_chars(word.data(), word.data() + word.size(), value);
  return status == std::errc() && at == word.data() + word.size() ? std::optional<T>(value) : std::nullopt;
}

float margin_of(Link link, float score) {
  constexpr float kBound = 1e-6f;
  if (link == Link::kLog) return std::log(score);
  if (link == Link::kIdentity) return score;
  return -std::log(1.0f / std::min(std::max(score, kBound), 1.0f - kBound) - 1.0f);
}

// Arrays of one tree.
struct Arrays {
  const std::vector<double>*left = nullptr, *right = nullptr, *feature = nullptr, *condition = nullptr,
        *default_left = nullptr;
  const std::vector<double>* split_type = nullptr;  // may be empty
  // Of vector leaves: `outputs` weights for each leaf (numbered by right_children), or before version 3.1 for each
  // node.
  const std::vector<double>* leaf_weights = nullptr;
  bool by_leaf = false;
  int64_t outputs = 1;
  int64_t count = 0;
};

class Importer {
 public:
  Importer(const Document& model, const std::string& source, bool raw_score)
      : learner_(model["learner"]), source_(source), raw_score_(raw_score) {}

  Result<Graph> run() {
    if (learner_.kind != Kind::kObject)
      return bad("",
                 "is no XGBoost model: it has no field learner (LightGBM's JSON dump cannot be loaded; save "
                 "the model as text)");
    if (auto error = read_parameters()) return *error;
    if (auto error = read_objective()) return *error;
    if (auto error = read_booster()) return *error;
    if (const std::string text = kernels::fault(trees_); !text.empty()) return bad("", text);
    return graph();
  }

 private:
  Error bad(const std::string& where, std::string what, Code code = Code::kInvalidArgument) const {
    return Error{code, where.empty() ? source_ : source_ + ": " + where, std::move(what)};
  }

  // An integer that the format keeps as text.
  std::optional<Error> integer(const Document& object, const char* key, int64_t fallback, int64_t high,
                               int64_t* out) const {
    const Document& field = object[key];
    if (field.kind == Kind::kNull) return *out = fallback, std::nullopt;
    const auto value = number_from<int64_t>(field.text);
    if (!value || *value < 0 || *value > high)
      return bad(fmt::format("field {}", key),
                 fmt::format("is '{}'; an integer from 0 to {} is needed", field.text.substr(0, 40), high));
    return *out = *value, std::nullopt;
  }

  // What the model's next part takes beside its document.
  std::optional<Error> claim(int64_t bytes) {
    const Result<bool> room = memory_.grow(bytes, source_);
    return room.ok() ? std::nullopt : std::optional<Error>(room.error());
  }

  std::optional<Error> read_parameters() {
    const Document& p = learner_["learner_model_param"];
    if (p.kind != Kind::kObject) return bad("field learner", "has no learner_model_param");
    int64_t classes = 0, targets = 1;
    if (auto error = integer(p, "num_feature", -1, kFeaturesMax, &trees_.features)) return error;
    if (trees_.features < 0) return bad("field learner_model_param", "has no num_feature");
    if (auto error = integer(p, "num_class", 0, kernels::kTreeOutputsMax, &classes)) return error;
    if (auto error = integer(p, "num_target", 1, kernels::kTreeOutputsMax, &targets)) return error;
    trees_.outputs = std::max({classes, targets, int64_t{1}});
    if (auto error = claim(trees_.outputs * static_cast<int64_t>(sizeof(float) + sizeof(double)))) return error;
    trees_.float64_sum = false;
    trees_.base_first = true;
    return read_base_score(p["base_score"].text);
  }

  // "5E-1", or since version 3.1 "[5E-1,2.5E-1]".
  std::optional<Error> read_base_score(std::string_view text) {
    const std::string_view whole = text;
    if (text.starts_with("[") && text.ends_with("]")) text = text.substr(1, text.size() - 2);
    while (!text.empty()) {
      const size_t comma = std::min(text.find(','), text.size());
      const auto value = number_from<float>(text.substr(0, comma));
      if (!value || !std::isfinite(*value)) break;
      base_.push_back(*value);
      text.remove_prefix(std::min(comma + 1, text.size()));
    }
    if (!text.empty() || base_.empty())
      return bad("field base_score",
                 fmt::format("is '{}'; a number or a list of numbers is needed", whole.substr(0, 40)));
    if (base_.size() == 1) base_.resize(trees_.outputs, base_[0]);
    if (static_cast<int64_t>(base_.size()) != trees_.outputs)
      return bad("field base_score", fmt::format("holds {} numbers for {} outputs", base_.size(), trees_.outputs));
    return std::nullopt;
  }

  std::optional<Error> read_objective() {
    const std::string& name = learner_["objective"]["name"].text;
    const auto* known = std::find_if(std::begin(kObjectives), std::end(kObjectives),
                                     [&](const KnownObjective& o) { return name == o.name; });
    if (known == std::end(kObjectives) && !raw_score_)
      return bad(
          "field objective",
          fmt::format("'{}' is unknown; --raw-score gives the margin without its output transform", name.substr(0, 40)),
          Code::kUnsupported);
    const Link link = known == std::end(kObjectives) ? Link::kIdentity : known->link;
    if (!raw_score_) objective_ = known->transform;
    for (const float score : base_) {
      if (link == Link::kLog && !(score > 0))
        return bad("field base_score", fmt::format("is {}; {} needs it above 0", score, name));
      trees_.base.push_back(static_cast<double>(margin_of(link, score)));
    }
    return std::nullopt;
  }

  std::optional<Error> read_booster() {
    const Document& booster = learner_["gradient_booster"];
    const std::string& name = booster["name"].text;
    const bool dart = name == "dart";
    if (name == "gblinear") return read_linear(booster["model"]["weights"].numbers);
    if (!dart && name != "gbtree")
      return bad("field gradient_booster",
                 fmt::format("booster '{}' is not supported; gbtree, dart and gblinear are", name.substr(0, 40)),
                 Code::kUnsupported);
    const Document& model = dart ? booster["gbtree"]["model"] : booster["model"];
    const std::vector<Document>& trees = model["trees"].items;
    const std::vector<double>& outputs = model["tree_info"].numbers;
    if (model["trees"].kind != Kind::kArray) return bad("field gradient_booster", "has no trees");
    if (outputs.size() != trees.size())
      return bad("field tree_info", fmt::format("holds {} numbers for {} trees", outputs.size(), trees.size()));
    const std::vector<double>& weights = booster["weight_drop"].numbers;
    if (dart && weights.size() != trees.size())
      return bad("field weight_drop", fmt::format("holds {} numbers for {} trees", weights.size(), trees.size()));
    for (size_t i = 0; i < trees.size(); ++i) {
      if (!(outputs[i] >= 0 && outputs[i] < static_cast<double>(trees_.outputs)))
        return bad("field tree_info", fmt::format("tree {} adds to output {} of {}", i, outputs[i], trees_.outputs));
      if (auto error = add_tree(trees[i], fmt::format("tree {}", i), static_cast<int32_t>(outputs[i]),
                                dart ? static_cast<float>(weights[i]) : 1.0f))
        return error;
    }
    return std::nullopt;
  }

  // booster=gblinear: weights [F + 1, outputs], the last row the bias, to which the margin is added first: that of the
  // first output for all of them, as the library does it (the lists of version 3.1 and later notwithstanding).
  std::optional<Error> read_linear(const std::vector<double>& weights) {
    const size_t outputs = static_cast<size_t>(trees_.outputs), features = static_cast<size_t>(trees_.features);
    if (weights.size() % outputs != 0 || weights.size() / outputs != features + 1)
      return bad("field weights", fmt::format("holds {} numbers; {} features and a bias for {} outputs need {}",
                                              weights.size(), features, outputs, (features + 1) * outputs));
    if (auto error = claim(static_cast<int64_t>(weights.size() * sizeof(float)))) return error;
    linear_.assign(weights.begin(), weights.end());
    for (size_t k = 0; k < outputs; ++k) linear_[features * outputs + k] += static_cast<float>(trees_.base[0]);
    return std::nullopt;
  }

  std::optional<Error> read_arrays(const Document& tree, const std::string& where, Arrays* out) {
    int64_t vector_length = 1;
    if (auto error = integer(tree["tree_param"], "size_leaf_vector", 1, kernels::kTreeOutputsMax, &vector_length))
      return error;
    const bool by_leaf = tree["leaf_weights"].kind != Kind::kNull;
    *out = {&tree["left_children"].numbers,
            &tree["right_children"].numbers,
            &tree["split_indices"].numbers,
            &tree["split_conditions"].numbers,
            &tree["default_left"].numbers,
            &tree["split_type"].numbers,
            &tree[by_leaf ? "leaf_weights" : "base_weights"].numbers,
            by_leaf,
            std::max<int64_t>(vector_length, 1),
            static_cast<int64_t>(tree["left_children"].numbers.size())};
    const size_t n = out->left->size();
    if (out->outputs > 1 && out->outputs != trees_.outputs)
      return bad(where, fmt::format("has leaves of {} weights for {} outputs", out->outputs, trees_.outputs));
    for (const auto* each : {out->right, out->feature, out->condition, out->default_left})
      if (each->size() != n)
        return bad(where, fmt::format("its arrays differ in length ({} and {}): left_children, "
                                      "right_children, split_indices, split_conditions, default_left",
                                      n, each->size()));
    if (n == 0 || n > static_cast<size_t>(kernels::kTreeNodesMax)) return bad(where, fmt::format("has {} nodes", n));
    if (!out->split_type->empty() && out->split_type->size() != n)
      return bad(where, "split_type differs in length from its other arrays");
    return std::nullopt;
  }

  // Nodes that the root does not reach (the library keeps pruned ones) are left out.
  std::optional<Error> add_tree(const Document& tree, const std::string& where, int32_t output, float leaf_scale) {
    Arrays a;
    if (auto error = read_arrays(tree, where, &a)) return error;
    // Of each node also its place in the order and its set.
    if (auto error = claim(a.count * (Trees::kNodeBytes + Trees::kWeightBytes + 3 * 8 + 4))) return error;
    std::vector<int32_t> sets;
    if (auto error = read_sets(tree, where, a.count, &sets)) return error;
    std::vector<int64_t> order{0};  // the file's numbers, in the order of ours
    const int32_t base = static_cast<int32_t>(trees_.node_count());
    trees_.roots.push_back(base);
    for (size_t i = 0; i < order.size(); ++i) {
      const int64_t from = order[i];
      if ((*a.left)[from] == -1) {
        if (a.outputs > 1) {
          if (auto error = add_vector_leaf(a, where, from, leaf_scale)) return error;
          continue;
        }
        trees_.add_leaf(static_cast<double>(static_cast<float>((*a.condition)[from]) * leaf_scale), output);
        continue;
      }
      if (static_cast<int64_t>(order.size()) + 2 > a.count)
        return bad(where, fmt::format("node {}: its children form a cycle", from));
      for (const double child : {(*a.left)[from], (*a.right)[from]}) {
        if (!(child > 0 && child < static_cast<double>(a.count)))
          return bad(where, fmt::format("node {}: child {} of {} nodes", from, child, a.count));
        order.push_back(static_cast<int64_t>(child));
      }
      if (auto error = add_split(a, where, from, sets, base + static_cast<int32_t>(order.size()) - 2)) return error;
    }
    return std::nullopt;
  }

  // multi_strategy=multi_output_tree: a leaf adds to every output.
  std::optional<Error> add_vector_leaf(const Arrays& a, const std::string& where, int64_t from, float leaf_scale) {
    const double leaf = a.by_leaf ? (*a.right)[from] : static_cast<double>(from);
    const std::vector<double>& all = *a.leaf_weights;
    if (!(leaf >= 0 && (leaf + 1) * static_cast<double>(a.outputs) <= static_cast<double>(all.size())))
      return bad(where, fmt::format("node {}: the weights of leaf {} lie outside of the {} there are", from, leaf,
                                    all.size()));
    if (auto error = claim(a.outputs * Trees::kWeightBytes)) return error;  // many leaves may share their weights
    const int32_t made = trees_.add_leaf(0, 0);
    trees_.weight.pop_back(), trees_.weight_output.pop_back();
    const double* weights = all.data() + static_cast<int64_t>(leaf) * a.outputs;
    for (int64_t k = 0; k < a.outputs; ++k) {
      trees_.weight.push_back(static_cast<double>(static_cast<float>(weights[k]) * leaf_scale));
      trees_.weight_output.push_back(static_cast<int32_t>(k));
    }
    trees_.on_false[made] = static_cast<int32_t>(trees_.weight.size());
    return std::nullopt;
  }

  // Left is true: x < condition; of a category set x is left where it is not in it, so that its sides are
  // swapped.
  std::optional<Error> add_split(const Arrays& a, const std::string& where, int64_t i, const std::vector<int32_t>& sets,
                                 int32_t left) {
    const double feature = (*a.feature)[i];
    if (!(feature >= 0 && feature < static_cast<double>(trees_.features)))
      return bad(where, fmt::format("node {}: feature {} of {}", i, feature, trees_.features));
    const bool default_left = (*a.default_left)[i] != 0;
    if (!a.split_type->empty() && (*a.split_type)[i] == 1) {
      if (sets[i] < 0) return bad(where, fmt::format("node {}: a categorical split without categories", i));
      trees_.add_node(static_cast<uint8_t>(static_cast<int>(Split::kInSet) | (default_left ? 0 : kernels::kNanTrue)),
                      static_cast<int32_t>(feature), sets[i], left + 1, left);
      return std::nullopt;
    }
    trees_.add_node(static_cast<uint8_t>(static_cast<int>(Split::kLess) | (default_left ? kernels::kNanTrue : 0)),
                    static_cast<int32_t>(feature), static_cast<double>(static_cast<float>((*a.condition)[i])), left,
                    left + 1);
    return std::nullopt;
  }

  // The number of each node's category set; -1 where it has none.
  std::optional<Error> read_sets(const Document& tree, const std::string& where, int64_t count,
                                 std::vector<int32_t>* sets) {
    sets->assign(count, -1);
    const auto &nodes = tree["categories_nodes"].numbers, &begins = tree["categories_segments"].numbers,
               &sizes = tree["categories_sizes"].numbers, &all = tree["categories"].numbers;
    if (begins.size() != nodes.size() || sizes.size() != nodes.size())
      return bad(where, "categories_nodes, categories_segments and categories_sizes differ in length");
    for (size_t i = 0; i < nodes.size(); ++i) {
      if (!(nodes[i] >= 0 && nodes[i] < static_cast<double>(count)))
        return bad(where, fmt::format("categories_nodes names node {} of {}", nodes[i], count));
      if (!(begins[i] >= 0 && sizes[i] >= 1 && begins[i] + sizes[i] <= static_cast<double>(all.size())))
        return bad(where,
                   fmt::format("node {}: its categories {} + {} of {}", nodes[i], begins[i], sizes[i], all.size()));
      const double* first = all.data() + static_cast<size_t>(begins[i]);
      if (auto error =
              add_set(first, first + static_cast<size_t>(sizes[i]), where, &(*sets)[static_cast<size_t>(nodes[i])]))
        return error;
    }
    return std::nullopt;
  }

  std::optional<Error> add_set(const double* first, const double* last, const std::string& where, int32_t* set) {
    const double highest = *std::max_element(first, last);
    if (!std::all_of(first, last, [](double c) { return c >= 0 && c < 16777216.0; }))
      return bad(where, "a category is outside 0 to 16777215");
    const size_t count = static_cast<size_t>(highest) / 32 + 1;
    if (static_cast<int64_t>(trees_.set_words.size() + count) > kernels::kSetWordsMax)
      return bad(where, "the category sets are too large", Code::kResourceExhausted);
    if (auto error = claim(static_cast<int64_t>(count) * Trees::kSetWordBytes)) return error;
    std::vector<uint32_t> words(count, 0);
    for (const double* c = first; c < last; ++c)
      words[static_cast<size_t>(*c) / 32] |= uint32_t{1} << (static_cast<uint32_t>(*c) % 32);
    *set = trees_.add_set(words.data(), static_cast<int64_t>(words.size()));
    return std::nullopt;
  }

  Result<Graph> graph() const {
    if (const Result<bool> room =
            room_for(trees_.byte_count() + static_cast<int64_t>(linear_.size() * sizeof(float)), source_);
        !room.ok())
      return room.error();
    Graph graph;
    graph.source = source_;
    graph.inputs.push_back({"input", Type::kFloat32, true, {{-1, "N"}, {trees_.features, ""}}});
    graph.outputs.push_back(
        {"output", Type::kFloat32, true, {{-1, "N"}, {kernels::objective_width(objective_, trees_.outputs), ""}}});
    const bool transformed = objective_ != Objective::kIdentity;
    const std::string margin = transformed ? "margin" : "output";
    graph.nodes.push_back(linear_.empty() ? tree_ensemble_node(trees_, false, "input", margin)
                                          : linear_booster_node(linear_, trees_.outputs, "input", margin));
    if (transformed) graph.nodes.push_back(objective_node(objective_, 1, "margin", "output"));
    return graph;
  }

  const Document& learner_;
  const std::string& source_;
  const bool raw_score_;
  MemoryClaim memory_;
  std::vector<float> base_;
  std::vector<float> linear_;  // of gblinear
  Trees trees_;
  Objective objective_ = Objective::kIdentity;
};

}  // namespace

Result<Graph> import_xgboost(const Document& model, const std::string& source, bool raw_score) {
  return Importer(model, source, raw_score).run();
}

}  // namespace hayate
