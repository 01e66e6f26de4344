// What the shape rules of ai.onnx.ml share: the types they take, and rows of features.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "graph/op_table.h"

namespace hayate {

inline constexpr std::initializer_list<Type> kMlTypes = {Type::kFloat32, Type::kFloat64, Type::kInt64, Type::kInt32};
inline constexpr int64_t kMlOutputsMax = int64_t{1} << 20;

inline bool any_of(Type type, std::initializer_list<Type> types) {
  return std::find(types.begin(), types.end(), type) != types.end();
}

// Rows and columns of input 0: [N, F], or [F] as one row.
struct Rows {
  int64_t rows = 0, columns = 0;
};
inline Result<Rows> rows_of(const ShapeContext& c, std::initializer_list<Type> types) {
  if (!any_of(c.type(0), types))
    return c.error(fmt::format("does not take {}", type_name(c.type(0))), Code::kUnsupported);
  if (c.rank(0) != 1 && c.rank(0) != 2)
    return c.error(fmt::format("takes [N, F], it is given {}", shape_text(c.shape(0))));
  return Rows{c.rank(0) == 1 ? 1 : c.shape(0)[0], c.shape(0).back()};
}

// Tensors of texts do not exist here.
inline std::optional<Error> no_string_labels(const ShapeContext& c) {
  if (!c.node.get<std::vector<std::string>>("classlabels_strings", {}).empty())
    return c.error("gives string labels, which are not supported; export the model with integer labels",
                   Code::kUnsupported);
  return std::nullopt;
}

// How many elements a list attribute has.
template <typename T>
int64_t length_of(const Node& node, const char* key) {
  return static_cast<int64_t>(node.get<std::vector<T>>(key, {}).size());
}

}  // namespace hayate
