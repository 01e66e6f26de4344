// Tree ensembles, linear models and the small operators of ai.onnx.ml.
#include <fmt/format.h>

#include <algorithm>

#include "graph/op_rules.h"

namespace hayate {
namespace {

constexpr int64_t kOutputsMax = int64_t{1} << 20;

bool any_of(Type type, std::initializer_list<Type> types) { return std::find(types.begin(), types.end(), type) != types.end(); }

// Rows and columns of input 0: [N, F], or [F] as one row.
struct Rows {
  int64_t rows = 0, columns = 0;
};
Result<Rows> rows_of(const ShapeContext& c, std::initializer_list<Type> types) {
  if (!any_of(c.type(0), types)) return c.error(fmt::format("does not take {}", type_name(c.type(0))), Code::kUnsupported);
  if (c.rank(0) != 1 && c.rank(0) != 2) return c.error(fmt::format("takes [N, F], it is given {}", shape_text(c.shape(0))));
  return Rows{c.rank(0) == 1 ? 1 : c.shape(0)[0], c.shape(0).back()};
}

constexpr std::initializer_list<Type> kMlTypes = {Type::kFloat32, Type::kFloat64, Type::kInt64, Type::kInt32};

Result<int64_t> outputs_of(const ShapeContext& c, const char* key, int64_t fallback) {
  const int64_t outputs = c.node.get<int64_t>(key, fallback);
  if (outputs < 1 || outputs > kOutputsMax) return c.error(fmt::format("{} is {}; 1 to {} are possible", key, outputs, kOutputsMax));
  return outputs;
}

Result<Types> own_ensemble(const ShapeContext& c) {
  const Result<Rows> rows = rows_of(c, {Type::kFloat32, Type::kFloat64});
  if (!rows.ok()) return rows.error();
  const Result<int64_t> outputs = outputs_of(c, "outputs", 1);
  if (!outputs.ok()) return outputs.error();
  const int64_t features = c.node.get<int64_t>("features", 0);
  if (rows.value().columns != features) return c.error(fmt::format("takes rows of {} features, it is given {}", features, shape_text(c.shape(0))));
  const Tensor thresholds = c.node.get<Tensor>("threshold", Tensor());
  if (c.type(0) == Type::kFloat64 && thresholds.type() == Type::kFloat32) return c.error("compares in float32: cast its input first");
  const bool float64 = c.node.get<int64_t>("float64_sum", 1) != 0;
  return Types{{float64 ? Type::kFloat64 : Type::kFloat32, {rows.value().rows, outputs.value()}}};
}

Result<Types> objective(const ShapeContext& c) {
  const Result<Rows> rows = rows_of(c, {Type::kFloat32, Type::kFloat64});
  if (!rows.ok()) return rows.error();
  if (c.rank(0) != 2 || rows.value().columns < 1) return c.error(fmt::format("takes scores [N, K], it is given {}", shape_text(c.shape(0))));
  const bool one = c.node.get<std::string>("kind", "") == "argmax";
  return Types{{c.type(0), {rows.value().rows, one ? 1 : rows.value().columns}}};
}

Result<Types> regressor(const ShapeContext& c) {
  const Result<Rows> rows = rows_of(c, kMlTypes);
  if (!rows.ok()) return rows.error();
  const Result<int64_t> outputs = outputs_of(c, "n_targets", 0);
  if (!outputs.ok()) return outputs.error();
  return Types{{Type::kFloat32, {rows.value().rows, outputs.value()}}};
}

Result<Types> ensemble5(const ShapeContext& c) {
  const Result<Rows> rows = rows_of(c, {Type::kFloat32, Type::kFloat64});
  if (!rows.ok()) return rows.error();
  const Result<int64_t> outputs = outputs_of(c, "n_targets", 1);
  if (!outputs.ok()) return outputs.error();
  return Types{{c.type(0), {rows.value().rows, outputs.value()}}};
}

std::optional<Error> no_string_labels(const ShapeContext& c) {
  if (!c.node.get<std::vector<std::string>>("classlabels_strings", {}).empty())
    return c.error("gives string labels, which are not supported; export the model with integer labels", Code::kUnsupported);
  return std::nullopt;
}

Result<Types> tree_classifier(const ShapeContext& c) {
  const Result<Rows> rows = rows_of(c, kMlTypes);
  if (!rows.ok()) return rows.error();
  if (const auto error = no_string_labels(c)) return *error;
  const int64_t classes = static_cast<int64_t>(c.node.get<std::vector<int64_t>>("classlabels_int64s", {}).size());
  if (classes < 2 || classes > kOutputsMax) return c.error(fmt::format("has {} labels in classlabels_int64s; 2 to {} are possible", classes, kOutputsMax));
  return Types{{Type::kInt64, {rows.value().rows}}, {Type::kFloat32, {rows.value().rows, classes}}};
}

}  // namespace

void add_ml_rules(std::vector<OpEntry>* table) {
  table->push_back({"hayate", "TreeEnsemble", 1, 1, own_ensemble});
  table->push_back({"hayate", "Objective", 1, 1, objective});
  table->push_back({"ai.onnx.ml", "TreeEnsembleRegressor", 1, 1, regressor});
  table->push_back({"ai.onnx.ml", "TreeEnsembleClassifier", 1, 1, tree_classifier});
  table->push_back({"ai.onnx.ml", "TreeEnsemble", 1, 1, ensemble5});
}

}  // namespace hayate
