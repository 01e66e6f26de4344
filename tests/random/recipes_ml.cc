// Operators of ai.onnx.ml.
#include "random/recipes.h"

namespace hayate::random_graphs {
namespace {

using Floats = std::vector<float>;
using Ints = std::vector<int64_t>;

Floats floats(GraphMaker& m, int64_t count, double scale = 1) {
  Floats made;
  for (int64_t i = 0; i < count; ++i) made.push_back(static_cast<float>(m.dice().around(scale)));
  return made;
}

std::optional<Value> table(GraphMaker& m) {
  return m.find([](const Value& v) {
    return v.is_float32() && v.rank() == 2 && v.batch <= 0 && v.shape[0] > 0 && v.shape[1] > 0;
  });
}

void scale(GraphMaker& m) {
  const auto x = table(m);
  if (!x) return;
  const int64_t columns = x->shape[1];
  switch (m.dice().below(4)) {
    case 0:
      m.add("ai.onnx.ml.Scaler", {x->name}, Kind::kArithmetic,
            {{"offset", floats(m, columns)}, {"scale", floats(m, m.dice().one_in(2) ? columns : 1)}});
      return;
    case 1:
      m.add("ai.onnx.ml.Normalizer", {x->name}, Kind::kArithmetic,
            {{"norm", std::string(m.dice().one_in(2) ? "L2" : "L1")}});
      return;
    case 2:
      m.add("ai.onnx.ml.Imputer", {x->name}, Kind::kExact,
            {{"imputed_value_floats", floats(m, columns)}, {"replaced_value_float", std::nanf("")}});
      return;
    default:
      m.add("ai.onnx.ml.Binarizer", {x->name}, Kind::kJump, {{"threshold", 0.25f}});
  }
}

void columns(GraphMaker& m) {
  const auto x = table(m);
  if (!x) return;
  if (m.dice().one_in(2)) {
    m.add("ai.onnx.ml.ArrayFeatureExtractor",
          {x->name, m.ints({m.dice().below(x->shape[1]), m.dice().below(x->shape[1])})}, Kind::kExact);
    return;
  }
  m.add("ai.onnx.ml.FeatureVectorizer", {x->name, x->name}, Kind::kExact,
        {{"inputdimensions", Ints{x->shape[1], x->shape[1]}}});
}

void linear(GraphMaker& m) {
  const auto x = table(m);
  if (!x) return;
  const int64_t outputs = m.dice().between(1, 4);
  if (m.dice().one_in(2)) {
    m.add("ai.onnx.ml.LinearRegressor", {x->name}, Kind::kArithmetic,
          {{"coefficients", floats(m, outputs * x->shape[1], 0.5)},
           {"intercepts", floats(m, outputs)},
           {"targets", outputs}});
    return;
  }
  if (m.special()) return;
  Ints labels;
  for (int64_t i = 0; i <= outputs; ++i) labels.push_back(10 + i);
  m.add("ai.onnx.ml.LinearClassifier", {x->name}, Kind::kJump,
        {{"coefficients", floats(m, (outputs + 1) * x->shape[1], 0.5)},
         {"intercepts", floats(m, outputs + 1)},
         {"classlabels_ints", labels},
         {"post_transform", std::string(m.dice().one_in(2) ? "SOFTMAX" : "NONE")}},
        2);
}

void svm(GraphMaker& m) {
  const auto x = table(m);
  if (!x) return;
  constexpr int64_t kVectors = 4;
  m.add("ai.onnx.ml.SVMRegressor", {x->name}, Kind::kArithmetic,
        {{"kernel_type", std::string(m.dice().one_in(2) ? "RBF" : "LINEAR")},
         {"kernel_params", Floats{0.5f, 0, 3}},
         {"n_supports", kVectors},
         {"support_vectors", floats(m, kVectors * x->shape[1])},
         {"coefficients", floats(m, kVectors, 0.5)},
         {"rho", floats(m, 1)}});
}

// Complete trees of some depth, each node's number that of a heap.
void trees(GraphMaker& m) {
  const auto x = table(m);
  if (!x || m.special()) return;  // a branch for NaN is another attribute
  const int64_t depth = m.dice().between(1, 3), inner = (int64_t{1} << depth) - 1, leaves = inner + 1;
  const int64_t targets = m.dice().between(1, 3);
  Ints tree_ids, ids, features, yes, no, leaf_trees, leaf_ids, leaf_targets;
  Floats thresholds, weights;
  std::vector<std::string> modes;
  const int64_t count = m.dice().between(1, 5);
  for (int64_t tree = 0; tree < count; ++tree)
    for (int64_t i = 0; i < inner + leaves; ++i) {
      const bool leaf = i >= inner;
      tree_ids.push_back(tree), ids.push_back(i);
      features.push_back(leaf ? 0 : m.dice().below(x->shape[1]));
      thresholds.push_back(leaf ? 0 : static_cast<float>(m.dice().around(1)));
      modes.push_back(leaf ? "LEAF" : "BRANCH_LEQ");
      yes.push_back(leaf ? 0 : 2 * i + 1), no.push_back(leaf ? 0 : 2 * i + 2);
      if (!leaf) continue;
      leaf_trees.push_back(tree), leaf_ids.push_back(i), leaf_targets.push_back(m.dice().below(targets));
      weights.push_back(static_cast<float>(m.dice().around(1)));
    }
  m.add("ai.onnx.ml.TreeEnsembleRegressor", {x->name}, Kind::kJump,
        {{"nodes_treeids", tree_ids},
         {"nodes_nodeids", ids},
         {"nodes_featureids", features},
         {"nodes_values", thresholds},
         {"nodes_modes", modes},
         {"nodes_truenodeids", yes},
         {"nodes_falsenodeids", no},
         {"target_treeids", leaf_trees},
         {"target_nodeids", leaf_ids},
         {"target_ids", leaf_targets},
         {"target_weights", weights},
         {"n_targets", targets}});
}

void labels(GraphMaker& m) {
  const auto x = m.find([](const Value& v) { return v.type == Type::kInt64 && v.rank() > 0; });
  if (!x) return;
  if (m.dice().one_in(2))
    m.add("ai.onnx.ml.OneHotEncoder", {x->name}, Kind::kExact, {{"cats_int64s", Ints{0, 1, 2, -1}}});
  else
    m.add("ai.onnx.ml.LabelEncoder", {x->name}, Kind::kExact,
          {{"keys_int64s", Ints{0, 1, 2, -1}}, {"values_floats", Floats{0.5f, -1, 3, 2}}, {"default_float", 7.0f}});
}

}  // namespace

void add_ml_recipes(std::vector<Recipe>* all) {
  all->insert(all->end(), {{"ml_scale", 1, scale},
                           {"ml_columns", 1, columns},
                           {"ml_linear", 1, linear},
                           {"ml_svm", 1, svm},
                           {"ml_trees", 1, trees},
                           {"ml_labels", 1, labels}});
}

}  // namespace hayate::random_graphs
