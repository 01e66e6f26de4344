// Operators of ai.onnx.ml.
#include <algorithm>

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

// Of two or three classes, with how sure it is or with votes alone.
void svm_classifier(GraphMaker& m) {
  const auto x = table(m);
  if (!x || m.special()) return;
  constexpr int64_t kVectors = 2;  // of each class
  const int64_t classes = m.dice().between(2, 3), vectors = kVectors * classes, pairs = classes * (classes - 1) / 2;
  Ints labels;
  for (int64_t i = 0; i < classes; ++i) labels.push_back(5 + 2 * i);
  GraphMaker::Attributes attributes = {{"kernel_type", std::string(m.dice().one_in(2) ? "RBF" : "LINEAR")},
                                       {"kernel_params", Floats{0.5f, 0, 3}},
                                       {"classlabels_ints", labels},
                                       {"vectors_per_class", Ints(static_cast<size_t>(classes), kVectors)},
                                       {"support_vectors", floats(m, vectors * x->shape[1])},
                                       {"coefficients", floats(m, (classes - 1) * vectors, 0.5)},
                                       {"rho", floats(m, pairs)}};
  if (m.dice().one_in(2)) attributes["prob_a"] = floats(m, pairs), attributes["prob_b"] = floats(m, pairs);
  m.add("ai.onnx.ml.SVMClassifier", {x->name}, Kind::kJump, attributes, 2);
}

// Complete trees of some depth, each node's number that of a heap.
struct Forest {
  int64_t trees, inner, leaves;  // of every tree
  Ints features;                 // of all nodes, tree by tree; of leaves 0
  Floats thresholds;
};

Forest forest(GraphMaker& m, int64_t columns) {
  const int64_t depth = m.dice().between(1, 3);
  Forest made{m.dice().between(1, 5), (int64_t{1} << depth) - 1, int64_t{1} << depth, {}, {}};
  for (int64_t tree = 0; tree < made.trees; ++tree)
    for (int64_t i = 0; i < made.inner + made.leaves; ++i) {
      const bool leaf = i >= made.inner;
      made.features.push_back(leaf ? 0 : m.dice().below(columns));
      made.thresholds.push_back(leaf ? 0 : static_cast<float>(m.dice().around(1)));
    }
  return made;
}

bool holds(const GraphMaker& m, const std::string& op) {
  return std::any_of(m.graph().nodes.begin(), m.graph().nodes.end(), [&](const Node& node) { return node.op == op; });
}

// A regressor, or a classifier whose leaves all vote for its second class in some.
void trees(GraphMaker& m) {
  const auto x = table(m);
  if (!x || m.special()) return;         // a branch for NaN is another attribute
  if (holds(m, "TreeEnsemble")) return;  // its version of ai.onnx.ml has these no more
  const Forest made = forest(m, x->shape[1]);
  const bool classifies = m.dice().one_in(2);
  const int64_t targets = classifies ? m.dice().between(2, 3) : m.dice().between(1, 3);
  const bool one_sided = classifies && targets == 2 && m.dice().one_in(2);
  Ints tree_ids, ids, yes, no, leaf_trees, leaf_ids, leaf_targets;
  Floats weights;
  std::vector<std::string> modes;
  const auto branch = [&] { return m.dice().pick({"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE"}); };
  const bool mixed = m.dice().one_in(4);
  const std::string mode = branch();
  for (int64_t tree = 0; tree < made.trees; ++tree)
    for (int64_t i = 0; i < made.inner + made.leaves; ++i) {
      const bool leaf = i >= made.inner;
      tree_ids.push_back(tree), ids.push_back(i);
      modes.push_back(leaf ? "LEAF" : mixed ? branch() : mode);
      yes.push_back(leaf ? 0 : 2 * i + 1), no.push_back(leaf ? 0 : 2 * i + 2);
      if (!leaf) continue;
      leaf_trees.push_back(tree), leaf_ids.push_back(i);
      leaf_targets.push_back(one_sided ? 1 : m.dice().below(targets));
      weights.push_back(static_cast<float>(m.dice().around(1)));
    }
  const std::string of = classifies ? "class_" : "target_";
  GraphMaker::Attributes attributes = {
      {"nodes_treeids", tree_ids},       {"nodes_nodeids", ids},       {"nodes_featureids", made.features},
      {"nodes_values", made.thresholds}, {"nodes_modes", modes},       {"nodes_truenodeids", yes},
      {"nodes_falsenodeids", no},        {of + "treeids", leaf_trees}, {of + "nodeids", leaf_ids},
      {of + "ids", leaf_targets},        {of + "weights", weights}};
  if (!classifies) {
    attributes["n_targets"] = targets;
    m.add("ai.onnx.ml.TreeEnsembleRegressor", {x->name}, Kind::kJump, attributes);
    return;
  }
  Ints labels;
  for (int64_t i = 0; i < targets; ++i) labels.push_back(3 * i + 1);
  attributes["classlabels_int64s"] = labels;
  attributes["post_transform"] = std::string(m.dice().pick({"NONE", "LOGISTIC", "SOFTMAX"}));
  m.add("ai.onnx.ml.TreeEnsembleClassifier", {x->name}, Kind::kJump, attributes, 2);
}

// The newer form: leaves in lists of their own.
void trees_of_version_5(GraphMaker& m) {
  const auto x = table(m);
  if (!x || m.special()) return;
  if (holds(m, "TreeEnsembleRegressor") || holds(m, "TreeEnsembleClassifier")) return;
  const Forest made = forest(m, x->shape[1]);
  const int64_t targets = m.dice().between(1, 3), nodes = made.trees * made.inner, leaves = made.trees * made.leaves;
  Tensor modes(Type::kUInt8, {nodes}), splits(Type::kFloat32, {nodes});
  Ints features, yes, no, to_leaf, roots, leaf_targets;
  for (int64_t tree = 0; tree < made.trees; ++tree) {
    roots.push_back(tree * made.inner);
    for (int64_t i = 0; i < made.inner; ++i) {
      const size_t at = static_cast<size_t>(tree * (made.inner + made.leaves) + i);
      modes.data<uint8_t>()[tree * made.inner + i] = static_cast<uint8_t>(m.dice().below(4));  // LEQ, LT, GTE, GT
      splits.data<float>()[tree * made.inner + i] = made.thresholds[at];
      features.push_back(made.features[at]);
      const bool last = 2 * i + 1 >= made.inner;
      const int64_t from = last ? tree * made.leaves - made.inner : tree * made.inner;
      yes.push_back(from + 2 * i + 1), no.push_back(from + 2 * i + 2), to_leaf.push_back(last);
    }
  }
  for (int64_t i = 0; i < leaves; ++i) leaf_targets.push_back(m.dice().below(targets));
  m.add("ai.onnx.ml.TreeEnsemble", {x->name}, Kind::kJump,
        {{"n_targets", targets},
         {"aggregate_function", m.dice().below(4)},
         {"post_transform", int64_t{0}},
         {"tree_roots", roots},
         {"nodes_modes", modes},
         {"nodes_splits", splits},
         {"nodes_featureids", features},
         {"nodes_truenodeids", yes},
         {"nodes_falsenodeids", no},
         {"nodes_trueleafs", to_leaf},
         {"nodes_falseleafs", to_leaf},
         {"leaf_targetids", leaf_targets},
         {"leaf_weights", m.dice().tensor(Type::kFloat32, {leaves})}});
}

// Scores as a list of maps; here they stay a tensor.
void zip_map(GraphMaker& m) {
  const auto x = table(m);
  if (!x) return;
  Ints labels;
  for (int64_t i = 0; i < x->shape[1]; ++i) labels.push_back(i);
  m.add("ai.onnx.ml.ZipMap", {x->name}, Kind::kExact, {{"classlabels_int64s", labels}});
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
                           {"ml_svm_classifier", 1, svm_classifier},
                           {"ml_trees", 2, trees},
                           {"ml_trees_5", 1, trees_of_version_5},
                           {"ml_zip_map", 1, zip_map},
                           {"ml_labels", 1, labels}});
}

}  // namespace hayate::random_graphs
