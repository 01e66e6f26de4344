#include "import/lightgbm/lightgbm.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include "base/memory_budget.h"
#include "eval/trees.h"

namespace hayate {
namespace {

using kernels::Objective;
using kernels::Split;
using kernels::Trees;

constexpr int64_t kFeaturesMax = int64_t{1} << 24;
constexpr int64_t kLineBytes = sizeof(void*) * 4 + 64;  // of a line in a block's map

// A line "key=value" and where it stands; a line without '=' is a key alone.
struct Line {
  int64_t number = 0;
  std::string_view key, value;
  bool complete = false;  // ends in a newline
};

class Lines {
 public:
  explicit Lines(std::string_view text) : text_(text) {}

  bool done() const { return at_ >= text_.size(); }
  size_t offset() const { return at_; }

  Line next() {
    const size_t end = text_.find('\n', at_);
    std::string_view line = text_.substr(at_, end == std::string_view::npos ? end : end - at_);
    at_ = end == std::string_view::npos ? text_.size() : end + 1;
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    const size_t equals = line.find('=');
    const bool bare = equals == std::string_view::npos;
    return {++number_, line.substr(0, equals), bare ? std::string_view() : line.substr(equals + 1),
            end != std::string_view::npos};
  }

 private:
  std::string_view text_;
  size_t at_ = 0;
  int64_t number_ = 0;
};

// Keys of one block (the header or one tree) with their lines.
struct Block {
  int64_t first_line = 0;
  std::map<std::string_view, Line> lines;

  const Line* find(std::string_view key) const {
    const auto it = lines.find(key);
    return it == lines.end() ? nullptr : &it->second;
  }
};

template <typename T>
std::optional<T> number_from(std::string_view word) {
  T value{};
  const char* end = word.data() + word.size();
  const auto [at, status] = std::from_chars(word.data(), end, value);
  if (at != end) return std::nullopt;
  // Beyond the type's range the library takes infinity or zero; of integers that is a fault.
  if (status == std::errc::result_out_of_range && std::is_floating_point_v<T>)
    return static_cast<T>(std::strtod(std::string(word).c_str(), nullptr));
  return status == std::errc() ? std::optional<T>(value) : std::nullopt;
}

template <typename Visit>
void each_word(std::string_view text, const Visit& visit) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    if (end > at) visit(text.substr(at, end - at));
    at = end + 1;
  }
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  each_word(text, [&](std::string_view word) { words.push_back(word); });
  return words;
}

class Importer {
 public:
  Importer(std::string_view text, const std::string& source, bool raw_score)
      : text_(text), lines_(text), source_(source), raw_score_(raw_score) {}

  Result<Graph> run() {
    if (auto error = read_header()) return *error;
    if (auto error = read_trees()) return *error;
    if (auto error = read_objective()) return *error;
    if (const std::string text = kernels::fault(trees_); !text.empty()) return bad(0, text);
    return graph();
  }

 private:
  Error bad(int64_t line, std::string what, Code code = Code::kInvalidArgument) const {
    return Error{code, line == 0 ? source_ : fmt::format("{}: line {}", source_, line), std::move(what)};
  }

  // The numbers of a line: `count` of them, or any number where it is negative.
  template <typename T>
  std::optional<Error> numbers(const Block& block, std::string_view key, int64_t count, std::vector<T>* out) {
    const Line* line = block.find(key);
    if (line == nullptr) return bad(block.first_line, fmt::format("has no {}", key));
    int64_t there = 0;
    each_word(line->value, [&](std::string_view) { ++there; });
    if (count >= 0 && there != count)
      return bad(line->number, fmt::format("{} holds {} numbers, {} are needed", key, there, count));
    if (auto error = claim(there * static_cast<int64_t>(sizeof(T)), &block_memory_)) return error;
    out->clear(), out->reserve(static_cast<size_t>(there));
    std::string_view bad_word;
    each_word(line->value, [&](std::string_view word) {
      const std::optional<T> value = number_from<T>(word);
      if (!value && bad_word.empty()) bad_word = word;
      out->push_back(value.value_or(T{}));
    });
    if (bad_word.empty()) return std::nullopt;
    return bad(line->number, fmt::format("{}: '{}' is no number of its type", key, bad_word.substr(0, 40)));
  }

  std::optional<Error> claim(int64_t bytes, MemoryClaim* memory) {
    const Result<bool> room = memory->grow(bytes, source_);
    return room.ok() ? std::nullopt : std::optional<Error>(room.error());
  }

  std::optional<Error> integer(const Block& block, std::string_view key, int64_t low, int64_t high, int64_t* out) {
    std::vector<int64_t> values;
    if (auto error = numbers(block, key, 1, &values)) return error;
    if (values[0] < low || values[0] > high)
      return bad(block.find(key)->number, fmt::format("{} is {}; {} to {} are possible", key, values[0], low, high));
    *out = values[0];
    return std::nullopt;
  }

  std::optional<Error> read_header() {
    while (!lines_.done()) {
      tree_start_ = lines_.offset();
      const Line line = lines_.next();
      if (line.key == "Tree") return header_fields(line.number);
      if (auto error = claim(kLineBytes, &memory_)) return error;
      header_.lines[line.key] = line;
    }
    return bad(0, "holds no tree (truncated?)");
  }

  std::optional<Error> header_fields(int64_t line) {
    header_.first_line = 1;
    pending_tree_ = line;
    int64_t feature_max = 0;
    if (auto error = integer(header_, "num_class", 1, kernels::kTreeOutputsMax, &classes_)) return error;
    per_iteration_ = classes_;
    if (header_.find("num_tree_per_iteration") != nullptr)
      if (auto error = integer(header_, "num_tree_per_iteration", 1, kernels::kTreeOutputsMax, &per_iteration_))
        return error;
    if (auto error = integer(header_, "max_feature_idx", 0, kFeaturesMax - 1, &feature_max)) return error;
    if (per_iteration_ != classes_)
      return bad(1, fmt::format("num_tree_per_iteration {} differs from num_class {}", per_iteration_, classes_),
                 Code::kUnsupported);
    trees_.features = feature_max + 1;
    trees_.outputs = per_iteration_;
    return header_.find("tree_sizes") == nullptr ? std::nullopt : check_sizes();
  }

  // tree_sizes tells a truncated file from a whole one.
  std::optional<Error> check_sizes() {
    std::vector<int64_t> sizes;
    if (auto error = numbers(header_, "tree_sizes", -1, &sizes)) return error;
    const int64_t there = static_cast<int64_t>(text_.size() - tree_start_);
    int64_t needed = 0;
    for (const int64_t size : sizes) {
      if (size < 0 || size > there - needed)
        return bad(
            header_.find("tree_sizes")->number,
            fmt::format("its {} trees do not fit the {} bytes behind it: the file is truncated", sizes.size(), there));
      needed += size;
    }
    tree_count_ = static_cast<int64_t>(sizes.size());
    return std::nullopt;
  }

  std::optional<Error> read_trees() {
    while (pending_tree_ != 0) {
      Block block;
      block.first_line = std::exchange(pending_tree_, 0);
      bool open = true;
      while (open && !lines_.done()) {
        const Line line = lines_.next();
        if (line.key.empty() && line.value.empty())
          open = false;
        else if (!line.complete)
          return bad(line.number, "ends within a tree: the file is truncated");
        else if (auto error = claim(kLineBytes, &block_memory_))
          return error;
        else
          block.lines[line.key] = line;
      }
      if (auto error = add_tree(block)) return error;
      block_memory_ = {};
      while (pending_tree_ == 0 && !lines_.done()) {
        const Line line = lines_.next();
        if (line.key == "Tree")
          pending_tree_ = line.number;
        else if (!line.key.empty())
          break;
      }
    }
    const int64_t count = static_cast<int64_t>(trees_.roots.size());
    if (tree_count_ >= 0 && count != tree_count_)
      return bad(0, fmt::format("holds {} trees, tree_sizes lists {}", count, tree_count_));
    if (count % per_iteration_ != 0)
      return bad(0, fmt::format("{} trees do not share out over {} outputs", count, per_iteration_));
    return std::nullopt;
  }

  struct Tree {
    int64_t leaves = 0, sets = 0;
    std::vector<double> leaf_value, threshold;
    std::vector<int32_t> feature, left, right, decision;
    int32_t first_set = 0;
  };

  std::optional<Error> add_tree(const Block& block) {
    Tree tree;
    int64_t linear = 0;
    const int64_t leaves_max = static_cast<int64_t>(text_.size());  // every leaf takes bytes
    if (auto error = integer(block, "num_leaves", 1, leaves_max, &tree.leaves)) return error;
    if (auto error = integer(block, "num_cat", 0, leaves_max, &tree.sets)) return error;
    if (block.find("is_linear") != nullptr)
      if (auto error = integer(block, "is_linear", 0, 1, &linear)) return error;
    if (auto error = numbers(block, "leaf_value", tree.leaves, &tree.leaf_value)) return error;
    std::vector<double> shrinkage;  // leaf values hold it already; one that is no number LightGBM refuses
    if (block.find("shrinkage") != nullptr)
      if (auto error = numbers(block, "shrinkage", 1, &shrinkage)) return error;
    const int32_t output = static_cast<int32_t>(static_cast<int64_t>(trees_.roots.size()) % per_iteration_);
    const int32_t base = static_cast<int32_t>(trees_.node_count());
    if (auto error = claim(tree.leaves * (2 * Trees::kNodeBytes + Trees::kWeightBytes), &memory_)) return error;
    trees_.roots.push_back(base);
    if (tree.leaves > 1) {
      if (auto error = read_splits(block, &tree)) return error;
      for (int64_t i = 0; i + 1 < tree.leaves; ++i)
        if (auto error = add_split(block, tree, i, base)) return error;
    }
    if (linear != 0 || trees_.linear()) return add_linear_leaves(block, tree, linear != 0, output);
    for (const double value : tree.leaf_value) trees_.add_leaf(value, output);
    return std::nullopt;
  }

  // Leaves of linear_tree: a constant and terms; where a term's feature is NaN, leaf_value. Once a tree is linear, the
  // leaves of all the others are written as linear ones without terms.
  std::optional<Error> add_linear_leaves(const Block& block, const Tree& tree, bool linear, int32_t output) {
    std::vector<double> constants = tree.leaf_value, coefficients;
    std::vector<int64_t> counts(static_cast<size_t>(tree.leaves), 0);
    std::vector<int32_t> features;
    if (linear) {
      if (auto error = numbers(block, "leaf_const", tree.leaves, &constants)) return error;
      if (auto error = numbers(block, "num_features", tree.leaves, &counts)) return error;
      if (auto error = numbers(block, "leaf_features", -1, &features)) return error;
      if (auto error = numbers(block, "leaf_coeff", static_cast<int64_t>(features.size()), &coefficients)) return error;
    }
    if (auto error = claim((tree.leaves + static_cast<int64_t>(features.size())) * Trees::kTermBytes, &memory_))
      return error;
    while (trees_.nan_weight.size() < trees_.weight.size())  // trees before the first linear one
      trees_.add_terms({}, {}, trees_.weight[trees_.nan_weight.size()]);
    size_t at = 0;
    for (size_t i = 0; i < counts.size(); ++i) {
      if (counts[i] < 0 || counts[i] > static_cast<int64_t>(features.size() - at))
        return bad(block.find("num_features")->number,
                   fmt::format("leaf {}: {} features, leaf_features has {} left", i, counts[i], features.size() - at));
      const size_t end = at + static_cast<size_t>(counts[i]);
      trees_.add_leaf(constants[i], output);
      trees_.add_terms(
          {features.begin() + static_cast<int64_t>(at), features.begin() + static_cast<int64_t>(end)},
          {coefficients.begin() + static_cast<int64_t>(at), coefficients.begin() + static_cast<int64_t>(end)},
          tree.leaf_value[i]);
      at = end;
    }
    if (at != features.size())
      return bad(block.find("num_features")->number,
                 fmt::format("counts {} features, leaf_features holds {}", at, features.size()));
    return std::nullopt;
  }

  std::optional<Error> read_splits(const Block& block, Tree* tree) {
    const int64_t n = tree->leaves - 1;
    if (auto error = numbers(block, "left_child", n, &tree->left)) return error;
    if (auto error = numbers(block, "right_child", n, &tree->right)) return error;
    if (auto error = numbers(block, "split_feature", n, &tree->feature)) return error;
    if (auto error = numbers(block, "threshold", n, &tree->threshold)) return error;
    if (block.find("decision_type") == nullptr)
      tree->decision.assign(n, 0);
    else if (auto error = numbers(block, "decision_type", n, &tree->decision))
      return error;
    return tree->sets > 0 ? read_sets(block, tree) : std::nullopt;
  }

  std::optional<Error> read_sets(const Block& block, Tree* tree) {
    std::vector<int64_t> bounds;
    std::vector<uint32_t> words;
    if (auto error = numbers(block, "cat_boundaries", tree->sets + 1, &bounds)) return error;
    if (auto error = numbers(block, "cat_threshold", -1, &words)) return error;
    const int64_t line = block.find("cat_boundaries")->number;
    if (static_cast<int64_t>(trees_.set_words.size() + words.size()) > kernels::kSetWordsMax)
      return bad(line, "its category sets are too large", Code::kResourceExhausted);
    if (auto error = claim((tree->sets + static_cast<int64_t>(words.size())) * Trees::kSetWordBytes, &memory_))
      return error;
    tree->first_set = std::max(0, static_cast<int32_t>(trees_.set_bounds.size()) - 1);
    for (int64_t s = 0; s < tree->sets; ++s) {
      if (bounds[s] < 0 || bounds[s] > bounds[s + 1] || bounds[s + 1] > static_cast<int64_t>(words.size()))
        return bad(line, fmt::format("cat_boundaries {} to {} do not fit the {} words of cat_threshold", bounds[s],
                                     bounds[s + 1], words.size()));
      trees_.add_set(words.data() + bounds[s], bounds[s + 1] - bounds[s]);
    }
    return std::nullopt;
  }

  // Child c >= 0 is split c, else leaf ~c; splits stand before the leaves.
  std::optional<Error> add_split(const Block& block, const Tree& tree, int64_t i, int32_t base) {
    const auto where = [&](std::string_view key) { return block.find(key)->number; };
    int32_t child[2];
    for (const bool right : {false, true}) {
      const int64_t c = right ? tree.right[i] : tree.left[i];
      if (c >= tree.leaves - 1 || c < -tree.leaves)
        return bad(where(right ? "right_child" : "left_child"),
                   fmt::format("split {}: child {} of {} splits and {} leaves", i, c, tree.leaves - 1, tree.leaves));
      child[right] = base + static_cast<int32_t>(c >= 0 ? c : tree.leaves - 1 + ~c);
    }
    if (tree.feature[i] < 0 || tree.feature[i] >= trees_.features)
      return bad(where("split_feature"),
                 fmt::format("split {}: feature {} of {}", i, tree.feature[i], trees_.features));
    const int32_t decision = tree.decision[i];
    if (tree.sets > 0 && (decision & 1) != 0) {
      if (!(tree.threshold[i] >= 0 && tree.threshold[i] < static_cast<double>(tree.sets)))
        return bad(where("threshold"), fmt::format("split {}: category set {} of {}", i, tree.threshold[i], tree.sets));
      trees_.add_node(static_cast<uint8_t>(Split::kInSet) | kernels::kTruncate, tree.feature[i],
                      tree.first_set + std::floor(tree.threshold[i]), child[0], child[1]);
      return std::nullopt;
    }
    add_numerical(decision, tree.feature[i], tree.threshold[i], child[0], child[1]);
    return std::nullopt;
  }

  // The library's rules: |x| <= kZeroBound is read as 0; NaN is read as 0 too unless missing_type is NaN;
  // where missing_type is Zero a zero, else (NaN) a NaN, goes to the default side.
  void add_numerical(int32_t decision, int32_t feature, double threshold, int32_t left, int32_t right) {
    enum { kMissingZero = 1, kMissingNan = 2 };
    const int missing = (decision >> 2) & 3;
    const bool default_left = (decision & 2) != 0, has_default = missing == kMissingZero || missing == kMissingNan;
    const bool nan_left = has_default ? default_left : 0.0 <= threshold;
    // x read as 0 within the bound and then compared with a threshold that lies within it too: the same as
    // comparing x with the bound that the zeros do not cross.
    if (std::fabs(threshold) <= kernels::kZeroBound)
      threshold = threshold >= 0 ? kernels::kZeroBound
                                 : std::nextafter(-kernels::kZeroBound, -std::numeric_limits<double>::infinity());
    const int kind = static_cast<int>(Split::kLessEqual) | (nan_left ? kernels::kNanTrue : 0) |
                     (missing == kMissingZero ? kernels::kZeroMissing : 0);
    trees_.add_node(static_cast<uint8_t>(kind), feature, threshold, left, right);
  }

  std::optional<Error> read_objective() {
    if (raw_score_) return std::nullopt;
    if (header_.find("average_output") != nullptr) {
      trees_.aggregate = kernels::Aggregate::kAverage;
      trees_.divisor = static_cast<double>(trees_.roots.size()) / static_cast<double>(per_iteration_);
    }
    const Line* line = header_.find("objective");
    if (line == nullptr) return std::nullopt;
    const auto words = words_of(line->value);
    const std::string_view name = words.empty() ? std::string_view() : words[0];
    const auto objective = objective_of(name, words);
    if (!objective)
      return bad(
          line->number,
          fmt::format("objective '{}' is unknown; --raw-score gives the sums without its output transform", name),
          Code::kUnsupported);
    for (const std::string_view word : words)  // LightGBM transforms as many numbers as it says, whatever there are
      if (word.starts_with("num_class:") && number_from<int64_t>(word.substr(10)) != classes_)
        return bad(line->number, fmt::format("'{}' of its objective is not the {} of num_class", word, classes_));
    objective_ = *objective;
    if (objective_ != Objective::kSigmoid) return std::nullopt;
    if (name == "cross_entropy" || name == "xentropy") return std::nullopt;  // a plain sigmoid
    scale_ = -1;  // the library's value where the file gives none
    for (const std::string_view word : words)
      if (word.starts_with("sigmoid:")) {
        const auto value = number_from<double>(word.substr(8));
        if (!value) return bad(line->number, fmt::format("'{}' is no number", word));
        scale_ = *value;
      }
    return std::nullopt;
  }

  static std::optional<Objective> objective_of(std::string_view name, const std::vector<std::string_view>& words) {
    static const std::map<std::string_view, Objective> kObjectives = {
        {"regression", Objective::kIdentity},
        {"regression_l2", Objective::kIdentity},
        {"mean_squared_error", Objective::kIdentity},
        {"mse", Objective::kIdentity},
        {"l2", Objective::kIdentity},
        {"l2_root", Objective::kIdentity},
        {"root_mean_squared_error", Objective::kIdentity},
        {"rmse", Objective::kIdentity},
        {"regression_l1", Objective::kIdentity},
        {"mean_absolute_error", Objective::kIdentity},
        {"l1", Objective::kIdentity},
        {"mae", Objective::kIdentity},
        {"huber", Objective::kIdentity},
        {"fair", Objective::kIdentity},
        {"quantile", Objective::kIdentity},
        {"mape", Objective::kIdentity},
        {"mean_absolute_percentage_error", Objective::kIdentity},
        {"poisson", Objective::kExp},
        {"gamma", Objective::kExp},
        {"tweedie", Objective::kExp},
        {"binary", Objective::kSigmoid},
        {"multiclass", Objective::kSoftmax},
        {"softmax", Objective::kSoftmax},
        {"multiclassova", Objective::kSigmoid},
        {"multiclass_ova", Objective::kSigmoid},
        {"ova", Objective::kSigmoid},
        {"ovr", Objective::kSigmoid},
        {"cross_entropy", Objective::kSigmoid},
        {"xentropy", Objective::kSigmoid},
        {"cross_entropy_lambda", Objective::kLog1pExp},
        {"xentlambda", Objective::kLog1pExp},
        {"lambdarank", Objective::kIdentity},
        {"rank_xendcg", Objective::kIdentity},
        {"xendcg", Objective::kIdentity},
        {"xe_ndcg", Objective::kIdentity},
        {"xe_ndcg_mart", Objective::kIdentity},
        {"xendcg_mart", Objective::kIdentity},
        {"custom", Objective::kIdentity},
        {"none", Objective::kIdentity},
        {"null", Objective::kIdentity},
        {"na", Objective::kIdentity}};
    const auto it = kObjectives.find(name);
    if (it == kObjectives.end()) return std::nullopt;
    const bool takes_sqrt =
        name == "regression" || name == "regression_l1" || name == "fair" || name == "quantile" || name == "mape";
    if (takes_sqrt && std::find(words.begin(), words.end(), "sqrt") != words.end()) return Objective::kSignedSquare;
    return it->second;
  }

  Result<Graph> graph() const {
    if (const Result<bool> room = room_for(trees_.byte_count(), source_); !room.ok()) return room.error();
    Graph graph;
    graph.source = source_;
    graph.inputs.push_back({"input", Type::kFloat64, true, {{-1, "N"}, {trees_.features, ""}}});
    graph.outputs.push_back({"output", Type::kFloat64, true, {{-1, "N"}, {trees_.outputs, ""}}});
    const bool transformed = objective_ != Objective::kIdentity;
    graph.nodes.push_back(tree_ensemble_node(trees_, true, "input", transformed ? "raw_score" : "output"));
    if (transformed) graph.nodes.push_back(objective_node(objective_, scale_, "raw_score", "output"));
    return graph;
  }

  std::string_view text_;
  Lines lines_;
  const std::string& source_;
  const bool raw_score_;
  Block header_;
  size_t tree_start_ = 0;     // offset of the first tree's line
  int64_t pending_tree_ = 0;  // line of the tree to read next; 0: none
  int64_t tree_count_ = -1;   // as tree_sizes has it; -1: unknown
  int64_t classes_ = 1, per_iteration_ = 1;
  MemoryClaim memory_, block_memory_;  // what lasts, and what the block that is being read takes
  Trees trees_;
  Objective objective_ = Objective::kIdentity;
  double scale_ = 1;
};

}  // namespace

bool is_lightgbm(std::string_view bytes) {
  return bytes.starts_with("tree\n") || bytes.starts_with("tree\r\n") || bytes.starts_with("Tree=");
}

Result<Graph> import_lightgbm(std::string_view text, const std::string& source, bool raw_score) {
  return Importer(text, source, raw_score).run();
}

}  // namespace hayate
