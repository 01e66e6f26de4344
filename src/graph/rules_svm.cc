// Support vector machines of ai.onnx.ml: what the kernels read is there, in the sizes that belong together.
#include <fmt/format.h>

#include <array>
#include <limits>

#include "graph/ml_rows.h"
#include "graph/op_rules.h"

namespace hayate {
namespace {

constexpr int64_t kClassesMax = 4096;

std::optional<Error> kernel_error(const ShapeContext& c) {
  constexpr std::array kKinds = {"LINEAR", "POLY", "RBF", "SIGMOID"};
  const std::string kind = c.node.get<std::string>("kernel_type", "LINEAR");
  if (std::find(kKinds.begin(), kKinds.end(), kind) == kKinds.end())
    return c.error(fmt::format("kernel_type '{}' is unknown; LINEAR, POLY, RBF and SIGMOID are", kind));
  const int64_t parameters = length_of<float>(c.node, "kernel_params");
  if (parameters != 0 && parameters != 3)
    return c.error(fmt::format("kernel_params holds {} numbers; gamma, coef0 and degree are needed", parameters));
  return std::nullopt;
}

// A list attribute of exactly `wanted` numbers.
std::optional<Error> count_error(const ShapeContext& c, const char* key, int64_t wanted) {
  const int64_t count = length_of<float>(c.node, key);
  if (count == wanted) return std::nullopt;
  return c.error(fmt::format("{} holds {} numbers; {} are needed", key, count, wanted));
}

// `vectors` support vectors of as many features as the rows have.
std::optional<Error> vectors_error(const ShapeContext& c, int64_t vectors, int64_t columns) {
  const int64_t given = length_of<float>(c.node, "support_vectors");
  if (vectors <= given && vectors * columns == given) return std::nullopt;
  return c.error(fmt::format("support_vectors holds {} numbers, which are not {} vectors of {} features", given,
                             vectors, columns));
}

Result<Types> svm_regressor(const ShapeContext& c) {
  const Result<Rows> rows = rows_of(c, kMlTypes);
  if (!rows.ok()) return rows.error();
  const int64_t vectors = c.node.get<int64_t>("n_supports", 0), columns = rows.value().columns;
  if (const auto error = kernel_error(c)) return *error;
  if (columns < 1 || vectors < 0)
    return c.error(fmt::format("n_supports is {}, the rows are {}", vectors, shape_text(c.shape(0))));
  if (vectors > 0)
    if (const auto error = vectors_error(c, vectors, columns)) return *error;
  if (const auto error = count_error(c, "coefficients", vectors > 0 ? vectors : columns)) return *error;
  if (const auto error = count_error(c, "rho", 1)) return *error;
  return Types{{Type::kFloat32, {rows.value().rows, 1}}};
}

// The number of support vectors that vectors_per_class promises; -1: the list does not fit.
int64_t vectors_of(const std::vector<int64_t>& per_class, int64_t given) {
  int64_t sum = 0;
  for (const int64_t count : per_class) {
    if (count < 0 || count > given) return -1;
    sum += count;
  }
  return sum;
}

std::optional<Error> machine_error(const ShapeContext& c, int64_t classes, int64_t vectors, int64_t columns) {
  const auto per_class = c.node.get<std::vector<int64_t>>("vectors_per_class", {});
  const int64_t pairs = classes * (classes - 1) / 2;
  if (classes < 2 || static_cast<int64_t>(per_class.size()) != classes)
    return c.error(fmt::format("vectors_per_class holds {} counts for {} labels", per_class.size(), classes));
  if (const auto error = vectors_error(c, vectors, columns)) return error;
  if (const auto error = count_error(c, "coefficients", (classes - 1) * vectors)) return error;
  if (const auto error = count_error(c, "rho", pairs)) return error;
  const int64_t slopes = length_of<float>(c.node, "prob_a");
  for (const char* key : {"prob_a", "prob_b"})
    if (const auto error = count_error(c, key, slopes == 0 ? 0 : pairs)) return error;
  return std::nullopt;
}

Result<Types> classifier(const ShapeContext& c) {
  const Result<Rows> rows = rows_of(c, kMlTypes);
  if (!rows.ok()) return rows.error();
  if (const auto error = no_string_labels(c)) return *error;
  if (const auto error = kernel_error(c)) return *error;
  const int64_t classes = length_of<int64_t>(c.node, "classlabels_ints"), columns = rows.value().columns;
  if (classes < 1 || classes > kClassesMax || columns < 1)
    return c.error(fmt::format("{} labels, rows {}: 1 to {} labels and rows of features are possible", classes,
                               shape_text(c.shape(0)), kClassesMax));
  const int64_t vectors = vectors_of(c.node.get<std::vector<int64_t>>("vectors_per_class", {}),
                                     length_of<float>(c.node, "support_vectors"));
  if (vectors < 0) return c.error("vectors_per_class asks for more support vectors than there are");
  int64_t scores = classes;
  if (vectors > 0) {
    if (const auto error = machine_error(c, classes, vectors, columns)) return *error;
    if (classes > 2 && length_of<float>(c.node, "prob_a") == 0) scores = classes * (classes - 1) / 2;
  } else {
    if (const auto error = count_error(c, "coefficients", classes * columns)) return *error;
    if (length_of<float>(c.node, "rho") < 1) return c.error("rho is empty; one number is needed");
  }
  return Types{{Type::kInt64, {rows.value().rows}}, {Type::kFloat32, {rows.value().rows, scores}}};
}

}  // namespace

void add_svm_rules(std::vector<OpEntry>* table) {
  table->push_back({"ai.onnx.ml", "SVMRegressor", 1, 1, svm_regressor});
  table->push_back({"ai.onnx.ml", "SVMClassifier", 1, 1, classifier});
}

}  // namespace hayate
