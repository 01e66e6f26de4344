#include "kernels/trees.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace hayate::kernels {

int64_t Trees::byte_count() const {
  const auto bytes = [](const auto&... each) {
    return static_cast<int64_t>(((each.size() * sizeof(each[0])) + ... + 0));
  };
  return bytes(roots, kind, feature, threshold, on_true, on_false, weight, weight_output, linear_bounds, linear_feature,
               linear_coefficient, nan_weight, set_bounds, set_words, member_bounds, member_values, base);
}

int32_t Trees::add_node(uint8_t node_kind, int32_t column, double at, int32_t true_child, int32_t false_child) {
  kind.push_back(node_kind);
  feature.push_back(column);
  threshold.push_back(at);
  on_true.push_back(true_child);
  on_false.push_back(false_child);
  return static_cast<int32_t>(kind.size() - 1);
}

int32_t Trees::add_leaf(double value, int32_t output) {
  const int32_t at = static_cast<int32_t>(weight.size());
  weight.push_back(value);
  weight_output.push_back(output);
  return add_node(static_cast<uint8_t>(Split::kLeaf), 0, 0, at, at + 1);
}

void Trees::add_terms(const std::vector<int32_t>& columns, const std::vector<double>& coefficients, double at_nan) {
  if (linear_bounds.empty()) linear_bounds.push_back(0);
  linear_feature.insert(linear_feature.end(), columns.begin(), columns.end());
  linear_coefficient.insert(linear_coefficient.end(), coefficients.begin(), coefficients.end());
  linear_bounds.push_back(static_cast<int32_t>(linear_feature.size()));
  nan_weight.push_back(at_nan);
}

int32_t Trees::add_set(const uint32_t* words, int64_t count) {
  if (set_bounds.empty()) set_bounds.push_back(0);
  set_words.insert(set_words.end(), words, words + count);
  set_bounds.push_back(static_cast<int32_t>(set_words.size()));
  return static_cast<int32_t>(set_bounds.size() - 2);
}

int32_t Trees::add_members(std::vector<double> values) {
  if (member_bounds.empty()) member_bounds.push_back(0);
  std::sort(values.begin(), values.end());
  member_values.insert(member_values.end(), values.begin(), values.end());
  member_bounds.push_back(static_cast<int32_t>(member_values.size()));
  return static_cast<int32_t>(member_bounds.size() - 2);
}

namespace {

std::string shape_fault(const Trees& t) {
  const size_t n = t.kind.size();
  if (t.features < 0 || t.outputs < 1 || t.outputs > kTreeOutputsMax)
    return fmt::format("{} features and {} outputs are out of range", t.features, t.outputs);
  if (t.node_count() > kTreeNodesMax) return fmt::format("{} nodes are more than {}", n, kTreeNodesMax);
  if (t.feature.size() != n || t.threshold.size() != n || t.on_true.size() != n || t.on_false.size() != n)
    return "its node arrays differ in length";
  if (t.weight.size() != t.weight_output.size()) return "its weights and their outputs differ in number";
  if (!t.base.empty() && static_cast<int64_t>(t.base.size()) != t.outputs)
    return fmt::format("{} base values do not fit {} outputs", t.base.size(), t.outputs);
  for (size_t i = 0; i < t.weight_output.size(); ++i)
    if (t.weight_output[i] < 0 || t.weight_output[i] >= t.outputs)
      return fmt::format("weight {}: output {} of {}", i, t.weight_output[i], t.outputs);
  for (size_t i = 0; i + 1 < t.set_bounds.size(); ++i)
    if (t.set_bounds[i] < 0 || t.set_bounds[i] > t.set_bounds[i + 1] ||
        t.set_bounds[i + 1] > static_cast<int64_t>(t.set_words.size()))
      return fmt::format("category set {} lies outside its words", i);
  return "";
}

std::string linear_fault(const Trees& t) {
  if (!t.linear())
    return t.linear_feature.empty() && t.nan_weight.empty() ? "" : "its linear terms belong to no weight";
  if (t.linear_bounds.size() != t.weight.size() + 1 || t.nan_weight.size() != t.weight.size())
    return fmt::format("linear terms of {} leaves do not fit {} weights", t.nan_weight.size(), t.weight.size());
  if (t.linear_coefficient.size() != t.linear_feature.size())
    return "its linear coefficients and their features differ in number";
  for (size_t w = 0; w < t.weight.size(); ++w)
    if (t.linear_bounds[w] < 0 || t.linear_bounds[w] > t.linear_bounds[w + 1] ||
        t.linear_bounds[w + 1] > static_cast<int64_t>(t.linear_feature.size()))
      return fmt::format("weight {}: its linear terms lie outside of all", w);
  for (const int32_t column : t.linear_feature)
    if (column < 0 || column >= t.features) return fmt::format("a linear term: feature {} of {}", column, t.features);
  return "";
}

std::string node_fault(const Trees& t, int64_t i) {
  const int64_t n = t.node_count();
  if (t.split(i) == Split::kLeaf) {
    const bool good =
        t.on_true[i] >= 0 && t.on_true[i] <= t.on_false[i] && t.on_false[i] <= static_cast<int64_t>(t.weight.size());
    return good ? ""
                : fmt::format("node {}: its weights {} to {} of {}", i, t.on_true[i], t.on_false[i], t.weight.size());
  }
  if (t.feature[i] < 0 || t.feature[i] >= t.features)
    return fmt::format("node {}: feature {} of {}", i, t.feature[i], t.features);
  for (const int32_t child : {t.on_true[i], t.on_false[i]})
    if (child < 0 || child >= n) return fmt::format("node {}: child {} of {} nodes", i, child, n);
  const bool member = (t.kind[i] & kMember) != 0;
  const int64_t sets = static_cast<int64_t>((member ? t.member_bounds : t.set_bounds).size()) - 1;
  if (t.split(i) == Split::kInSet && !(t.threshold[i] >= 0 && t.threshold[i] < static_cast<double>(sets)))
    return fmt::format("node {}: category set {} of {}", i, t.threshold[i], std::max<int64_t>(sets, 0));
  return "";
}

}  // namespace

std::string fault(const Trees& t) {
  if (std::string text = shape_fault(t); !text.empty()) return text;
  if (std::string text = linear_fault(t); !text.empty()) return text;
  std::vector<uint8_t> parents(t.kind.size(), 0);
  for (const int32_t root : t.roots) {
    if (root < 0 || root >= t.node_count()) return fmt::format("root {} of {} nodes", root, t.node_count());
    if (parents[root]++ != 0) return fmt::format("node {} is the root of two trees", root);
  }
  for (int64_t i = 0; i < t.node_count(); ++i) {
    if (std::string text = node_fault(t, i); !text.empty()) return text;
    if (t.split(i) == Split::kLeaf) continue;
    for (const int32_t child : {t.on_true[i], t.on_false[i]})
      if (parents[child]++ != 0) return fmt::format("node {}: child {} has another parent already", i, child);
  }
  return "";
}

namespace {

bool in_set(const Trees& t, int64_t node, double x) {
  if ((t.kind[node] & kMember) != 0) {
    const auto list = t.member_bounds.begin() + static_cast<int64_t>(t.threshold[node]);
    return std::binary_search(t.member_values.begin() + list[0], t.member_values.begin() + list[1], x);
  }
  // Above these bounds LightGBM's int and XGBoost's float no longer tell categories apart: they are in no
  // set.
  const bool truncates = (t.kind[node] & kTruncate) != 0;
  if (!(truncates ? x > -1.0 && x < 2147483648.0 : x >= 0.0 && x < 16777216.0)) return false;
  const int64_t set = static_cast<int64_t>(t.threshold[node]), category = static_cast<int64_t>(x);
  const int64_t word = t.set_bounds[set] + category / 32;
  return word < t.set_bounds[set + 1] && ((t.set_words[word] >> (category % 32)) & 1) != 0;
}

int64_t leaf_of(const Trees& t, int64_t node, const auto* x) {
  while (t.split(node) != Split::kLeaf)
    node = goes_true(t, node, static_cast<double>(x[t.feature[node]])) ? t.on_true[node] : t.on_false[node];
  return node;
}

template <typename S, typename In, typename Out>
void evaluate_in(const Trees& t, const In* x, int64_t rows, Out* out, uint8_t* touched) {
  std::vector<S> sums(t.outputs);
  std::vector<uint8_t> spoken(t.outputs);
  for (int64_t r = 0; r < rows; ++r) {
    sum_trees(t, x + r * t.features, sums.data(), spoken.data());
    for (int64_t k = 0; k < t.outputs; ++k) out[r * t.outputs + k] = static_cast<Out>(finished_sum(t, k, sums[k]));
    if (touched != nullptr) std::copy(spoken.begin(), spoken.end(), touched + r * t.outputs);
  }
}

}  // namespace

bool goes_true(const Trees& t, int64_t node, double x) {
  const uint8_t kind = t.kind[node];
  if (std::isnan(x) || ((kind & kZeroMissing) != 0 && std::fabs(x) <= kZeroBound)) return (kind & kNanTrue) != 0;
  const double at = t.threshold[node];
  switch (t.split(node)) {
    case Split::kLessEqual:
      return x <= at;
    case Split::kLess:
      return x < at;
    case Split::kGreaterEqual:
      return x >= at;
    case Split::kGreater:
      return x > at;
    case Split::kEqual:
      return x == at;
    case Split::kNotEqual:
      return x != at;
    case Split::kInSet:
      return in_set(t, node, x);
    case Split::kLeaf:
      break;
  }
  return false;
}

template <typename S, typename In>
void sum_trees(const Trees& t, const In* x, S* sums, uint8_t* spoken) noexcept {
  for (int64_t k = 0; k < t.outputs; ++k)
    sums[k] = t.base_first && !t.base.empty() ? static_cast<S>(t.base[k]) : S{0}, spoken[k] = 0;
  for (const int32_t root : t.roots) {
    const int64_t leaf = leaf_of(t, root, x);
    for (int32_t i = t.on_true[leaf]; i < t.on_false[leaf]; ++i) {
      S& sum = sums[t.weight_output[i]];
      uint8_t& said = spoken[t.weight_output[i]];
      const S value = static_cast<S>(weight_of(t, i, x));
      if (t.aggregate == Aggregate::kMin)
        sum = said == 0 || value < sum ? value : sum;
      else if (t.aggregate == Aggregate::kMax)
        sum = said == 0 || value > sum ? value : sum;
      else
        sum += value;
      said = 1;
    }
  }
}

template void sum_trees<float, float>(const Trees&, const float*, float*, uint8_t*) noexcept;
template void sum_trees<double, float>(const Trees&, const float*, double*, uint8_t*) noexcept;
template void sum_trees<float, double>(const Trees&, const double*, float*, uint8_t*) noexcept;
template void sum_trees<double, double>(const Trees&, const double*, double*, uint8_t*) noexcept;

template <typename In, typename Out>
void evaluate_trees(const Trees& t, const In* x, int64_t rows, Out* out, uint8_t* touched) {
  if (t.float64_sum)
    evaluate_in<double>(t, x, rows, out, touched);
  else
    evaluate_in<float>(t, x, rows, out, touched);
}

template void evaluate_trees<float, float>(const Trees&, const float*, int64_t, float*, uint8_t*);
template void evaluate_trees<float, double>(const Trees&, const float*, int64_t, double*, uint8_t*);
template void evaluate_trees<double, float>(const Trees&, const double*, int64_t, float*, uint8_t*);
template void evaluate_trees<double, double>(const Trees&, const double*, int64_t, double*, uint8_t*);

}  // namespace hayate::kernels
