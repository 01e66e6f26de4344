// Tree ensembles, linear models and the small operators of ai.onnx.ml.
#include <fmt/format.h>

#include <algorithm>

#include "graph/ml_rows.h"
#include "graph/op_rules.h"

namespace hayate {
namespace {

Result<int64_t> outputs_of(const ShapeContext& c, const char* key, int64_t fallback) {
  const int64_t outputs = c.node.get<int64_t>(key, fallback);
  if (outputs < 1 || outputs > kMlOutputsMax)
    return c.error(fmt::format("{} is {}; 1 to {} are possible", key, outputs, kMlOutputsMax));
  return outputs;
}

Result<Types> own_ensemble(const ShapeContext& c) {
  const Result<Rows> rows = rows_of(c, {Type::kFloat32, Type::kFloat64});
  if (!rows.ok()) return rows.error();
  const Result<int64_t> outputs = outputs_of(c, "outputs", 1);
  if (!outputs.ok()) return outputs.error();
  const int64_t features = c.node.get<int64_t>("features", 0);
  if (rows.value().columns != features)
    return c.error(fmt::format("takes rows of {} features, it is given {}", features, shape_text(c.shape(0))));
  const Tensor thresholds = c.node.get<Tensor>("threshold", Tensor());
  if (c.type(0) == Type::kFloat64 && thresholds.type() == Type::kFloat32)
    return c.error("compares in float32: cast its input first");
  const bool float64 = c.node.get<int64_t>("float64_sum", 1) != 0;
  return Types{{float64 ? Type::kFloat64 : Type::kFloat32, {rows.value().rows, outputs.value()}}};
}

Result<Types> objective(const ShapeContext& c) {
  const Result<Rows> rows = rows_of(c, {Type::kFloat32, Type::kFloat64});
  if (!rows.ok()) return rows.error();
  if (c.rank(0) != 2 || rows.value().columns < 1)
    return c.error(fmt::format("takes scores [N, K], it is given {}", shape_text(c.shape(0))));
  const bool one = c.node.get<std::string>("kind", "") == "argmax";
  return Types{{c.type(0), {rows.value().rows, one ? 1 : rows.value().columns}}};
}

Result<Types> linear_booster(const ShapeContext& c) {
  const Result<Rows> rows = rows_of(c, {Type::kFloat32});
  if (!rows.ok()) return rows.error();
  const Tensor weights = c.node.get<Tensor>("weights", Tensor());
  if (weights.type() != Type::kFloat32 || weights.rank() != 2 || weights.shape()[0] < 1 || weights.shape()[1] < 1)
    return c.error("needs float32 weights [F + 1, outputs]");
  if (rows.value().columns != weights.shape()[0] - 1)
    return c.error(
        fmt::format("takes rows of {} features, it is given {}", weights.shape()[0] - 1, shape_text(c.shape(0))));
  return Types{{Type::kFloat32, {rows.value().rows, weights.shape()[1]}}};
}

Result<Types> tree_regressor(const ShapeContext& c) {
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

Result<Types> tree_classifier(const ShapeContext& c) {
  const Result<Rows> rows = rows_of(c, kMlTypes);
  if (!rows.ok()) return rows.error();
  if (const auto error = no_string_labels(c)) return *error;
  const int64_t classes = static_cast<int64_t>(c.node.get<std::vector<int64_t>>("classlabels_int64s", {}).size());
  if (classes < 2 || classes > kMlOutputsMax)
    return c.error(fmt::format("has {} labels in classlabels_int64s; 2 to {} are possible", classes, kMlOutputsMax));
  return Types{{Type::kInt64, {rows.value().rows}}, {Type::kFloat32, {rows.value().rows, classes}}};
}

// Coefficients [outputs, F] and one intercept per output (or none).
std::optional<Error> linear_error(const ShapeContext& c, int64_t outputs, int64_t columns) {
  const int64_t coefficients = static_cast<int64_t>(c.node.get<std::vector<float>>("coefficients", {}).size());
  const int64_t intercepts = static_cast<int64_t>(c.node.get<std::vector<float>>("intercepts", {}).size());
  if (outputs < 1 || outputs > kMlOutputsMax || columns > kMlOutputsMax || coefficients != outputs * columns)
    return c.error(fmt::format("{} coefficients do not fit {} outputs of {} features", coefficients, outputs, columns));
  if (intercepts != 0 && intercepts != outputs)
    return c.error(fmt::format("{} intercepts do not fit {} outputs", intercepts, outputs));
  return std::nullopt;
}

Result<Types> linear_classifier(const ShapeContext& c) {
  const Result<Rows> rows = rows_of(c, kMlTypes);
  if (!rows.ok()) return rows.error();
  if (const auto error = no_string_labels(c)) return *error;
  const int64_t outputs = static_cast<int64_t>(c.node.get<std::vector<float>>("intercepts", {}).size());
  const int64_t labels = static_cast<int64_t>(c.node.get<std::vector<int64_t>>("classlabels_ints", {}).size());
  if (const auto error = linear_error(c, outputs, rows.value().columns)) return *error;
  if (outputs > 1 && labels < outputs) return c.error(fmt::format("{} labels do not fit {} classes", labels, outputs));
  return Types{{Type::kInt64, {rows.value().rows}},
               {Type::kFloat32, {rows.value().rows, outputs == 1 && labels == 2 ? 2 : outputs}}};
}

Result<Types> linear_regressor(const ShapeContext& c) {
  const Result<Rows> rows = rows_of(c, {Type::kFloat32});
  if (!rows.ok()) return rows.error();
  const int64_t outputs = c.node.get<int64_t>("targets", 1);
  if (const auto error = linear_error(c, outputs, rows.value().columns)) return *error;
  return Types{{Type::kFloat32, {rows.value().rows, outputs}}};
}

Result<Types> normalizer(const ShapeContext& c) {
  const Result<Rows> rows = rows_of(c, kMlTypes);
  if (!rows.ok()) return rows.error();
  const std::string norm = c.node.get<std::string>("norm", "MAX");
  if (norm != "MAX" && norm != "L1" && norm != "L2")
    return c.error(fmt::format("norm '{}' is unknown; MAX, L1 and L2 are", norm));
  return Types{{Type::kFloat32, c.shape(0)}};
}

Result<Types> scaler(const ShapeContext& c) {
  if (!any_of(c.type(0), kMlTypes) || c.rank(0) < 1)
    return c.error(fmt::format("does not take {} {}", type_name(c.type(0)), shape_text(c.shape(0))),
                   Code::kUnsupported);
  for (const char* key : {"offset", "scale"}) {
    const int64_t count = static_cast<int64_t>(c.node.get<std::vector<float>>(key, {}).size());
    if (count != 1 && count != c.shape(0).back())
      return c.error(fmt::format("{} numbers of {} do not fit {}", count, key, shape_text(c.shape(0))));
  }
  return Types{{Type::kFloat32, c.shape(0)}};
}

// Elements equal to the replaced value (NaN: all NaN) become the imputed value, one for all columns or one each.
Result<Types> imputer(const ShapeContext& c) {
  if (!any_of(c.type(0), {Type::kFloat32, Type::kFloat64, Type::kInt64}) || c.rank(0) < 1)
    return c.error(fmt::format("does not take {} {}", type_name(c.type(0)), shape_text(c.shape(0))),
                   Code::kUnsupported);
  const bool integers = c.type(0) == Type::kInt64;
  const size_t count = integers ? c.node.get<std::vector<int64_t>>("imputed_value_int64s", {}).size()
                                : c.node.get<std::vector<float>>("imputed_value_floats", {}).size();
  if (count != 1 && static_cast<int64_t>(count) != c.shape(0).back())
    return c.error(fmt::format("{} values of imputed_value_{} do not fit {}", count, integers ? "int64s" : "floats",
                               shape_text(c.shape(0))));
  return Types{{c.type(0), c.shape(0)}};
}

Result<Types> binarizer(const ShapeContext& c) {
  if (!any_of(c.type(0), kMlTypes))
    return c.error(fmt::format("does not take {}", type_name(c.type(0))), Code::kUnsupported);
  return Types{{c.type(0), c.shape(0)}};
}

// Inputs [N, F] side by side, as float32.
Result<Types> feature_vectorizer(const ShapeContext& c) {
  const auto sizes = c.node.get<std::vector<int64_t>>("inputdimensions", {});
  int64_t columns = 0;
  for (size_t i = 0; i < c.input_count(); ++i) {
    if (!c.has(i) || !any_of(c.type(i), kMlTypes) || c.rank(i) != 2 || c.shape(i)[0] != c.shape(0)[0])
      return c.error(fmt::format("takes numbers [N, F] with one N, input {} is {}", i,
                                 c.has(i) ? shape_text(c.shape(i)) : "left out"));
    if (sizes.size() != c.input_count() || sizes[i] != c.shape(i)[1])
      return c.error(fmt::format("inputdimensions do not give the {} columns of input {}", c.shape(i)[1], i));
    columns += c.shape(i)[1];
  }
  return Types{{Type::kFloat32, {c.shape(0)[0], columns}}};
}

Result<Types> array_feature_extractor(const ShapeContext& c) {
  if (c.rank(0) < 1 || c.type(1) != Type::kInt64) return c.error("takes [.., F] and int64 indices");
  int64_t count = 1;
  for (const int64_t extent : c.shape(1)) count *= extent;
  Shape out = c.shape(0);
  if (out.size() == 1) out.insert(out.begin(), 1);
  out.back() = count;
  return Types{{c.type(0), out}};
}

// A table of maps would say what the tensor of scores says already: it passes through.
Result<Types> zip_map(const ShapeContext& c) { return Types{{c.type(0), c.shape(0)}}; }

}  // namespace

void add_ml_rules(std::vector<OpEntry>* table) {
  table->push_back({"hayate", "TreeEnsemble", 1, 1, own_ensemble});
  table->push_back({"hayate", "Objective", 1, 1, objective});
  table->push_back({"hayate", "LinearBooster", 1, 1, linear_booster});
  table->push_back({"ai.onnx.ml", "TreeEnsembleRegressor", 1, 1, tree_regressor});
  table->push_back({"ai.onnx.ml", "TreeEnsembleClassifier", 1, 1, tree_classifier});
  table->push_back({"ai.onnx.ml", "TreeEnsemble", 1, 1, ensemble5});
  table->push_back({"ai.onnx.ml", "LinearClassifier", 1, 1, linear_classifier});
  table->push_back({"ai.onnx.ml", "LinearRegressor", 1, 1, linear_regressor});
  table->push_back({"ai.onnx.ml", "Normalizer", 1, 1, normalizer});
  table->push_back({"ai.onnx.ml", "Scaler", 1, 1, scaler});
  table->push_back({"ai.onnx.ml", "ArrayFeatureExtractor", 2, 2, array_feature_extractor});
  table->push_back({"ai.onnx.ml", "Imputer", 1, 1, imputer});
  table->push_back({"ai.onnx.ml", "Binarizer", 1, 1, binarizer});
  table->push_back({"ai.onnx.ml", "FeatureVectorizer", 1, 4096, feature_vectorizer});
  table->push_back({"ai.onnx.ml", "ZipMap", 1, 1, zip_map});
}

}  // namespace hayate
