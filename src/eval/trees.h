// Nodes that are tree ensembles, and what they hold: the bridge between graph and kernels/trees.h.
//
//   hayate.TreeEnsemble                       an ensemble with its library's semantics; raw sums (the text
//   importers write it)
//   hayate.LinearBooster                      XGBoost's gblinear; attribute weights
//   hayate.Objective                          a library's output transform; attributes kind (objective_name), scale
//   ai.onnx.ml.TreeEnsembleRegressor, -Classifier, TreeEnsemble   as ONNX Runtime computes them with one thread
#pragma once

#include <optional>
#include <string>

#include "graph/graph.h"
#include "graph/op_table.h"
#include "kernels/scores.h"
#include "kernels/trees.h"

namespace hayate {

// Whether the node is one of the ensembles above (Objective is none).
bool is_tree_ensemble(const Node& node);

// The node's ensemble for rows of the given input, checked: it may be evaluated. Of ONNX's operators the sum
// without post_transform (and of the classifier without base values, which its end adds: classifier_from).
Result<kernels::Trees> trees_from(const Node& node, const TensorType& input);

// The end of ai.onnx.ml.TreeEnsembleClassifier, and the post_transform of the other two.
Result<kernels::Classifier> classifier_from(const Node& node);
Result<kernels::PostTransform> post_transform_from(const Node& node);

// What is wrong with a node for which is_tree_ensemble holds: the error of whichever of the above fails for it.
// Backends ask when they compile, so that no run does.
std::optional<Error> ensemble_error(const Node& node, const TensorType& input);

// A hayate.TreeEnsemble node: from [N, features] to [N, outputs], float64 sums giving float64. Requires:
// fault() is empty.
Node tree_ensemble_node(const kernels::Trees& trees, bool float64_thresholds, const std::string& input,
                        const std::string& output);
// A hayate.LinearBooster node: from [N, F] to [N, outputs], weights [F + 1, outputs] (kernels/scores.h,
// linear_booster).
Node linear_booster_node(const std::vector<float>& weights, int64_t outputs, const std::string& input,
                         const std::string& output);
// A hayate.Objective node on scores [N, K].
Node objective_node(kernels::Objective objective, double scale, const std::string& input, const std::string& output);

}  // namespace hayate
