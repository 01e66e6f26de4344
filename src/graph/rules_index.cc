// Operators that take or put elements where indices, conditions or an order say.
#include <fmt/format.h>

#include "graph/op_rules.h"

namespace hayate {
namespace {

std::optional<Error> indices_of(const ShapeContext& c, size_t i) {
  if (c.type(i) == Type::kInt64 || c.type(i) == Type::kInt32) return std::nullopt;
  return c.error(fmt::format("its indices must be int32 or int64, they are {}", type_name(c.type(i))));
}

// The contents decide the shape: they must be known before the run.
std::optional<Error> unknown(const ShapeContext& c, size_t i) {
  if (c.known(i) != nullptr) return std::nullopt;
  return c.error(fmt::format("input '{}' decides a shape but is not known before the run; bind what it depends on with "
                             "--set NAME=VALUE or --shape NAME:D1,D2",
                             c.node.input(i)),
                 Code::kUnsupported);
}

Result<Types> gather_nd(const ShapeContext& c) {
  if (const auto error = indices_of(c, 1)) return *error;
  const Shape &data = c.shape(0), &indices = c.shape(1);
  const int64_t batch = c.node.get<int64_t>("batch_dims", 0);
  const Error misfit = c.error(
      fmt::format("indices {} do not fit shape {} with {} batch axes", shape_text(indices), shape_text(data), batch));
  if (indices.empty() || batch < 0 || batch >= c.rank(1) || batch > c.rank(0)) return misfit;
  const int64_t depth = indices.back();
  if (depth < 0 || depth > c.rank(0) - batch) return misfit;
  for (int64_t i = 0; i < batch; ++i)
    if (data[i] != indices[i]) return misfit;
  Shape out(indices.begin(), indices.end() - 1);
  out.insert(out.end(), data.begin() + batch + depth, data.end());
  return Types{{c.type(0), out}};
}

// The reduction is one that the kernels know, on a type that they take.
std::optional<Error> bad_reduction(const ShapeContext& c) {
  const std::string reduction = c.node.get<std::string>("reduction", "none");
  for (const char* known : {"none", "add", "mul", "max", "min"})
    if (reduction == known) return std::nullopt;
  return c.error(fmt::format("reduction '{}' is unknown; none, add, mul, max and min are", reduction));
}

Result<Types> scatter_elements(const ShapeContext& c) {
  if (const auto error = indices_of(c, 1)) return *error;
  if (const auto error = bad_reduction(c)) return *error;
  const bool axis = normal_axis(c.node.get<int64_t>("axis", 0), c.rank(0)).has_value();
  if (!axis || c.rank(1) != c.rank(0) || c.shape(2) != c.shape(1) || c.type(2) != c.type(0))
    return c.error(fmt::format("indices {} and updates {} {} do not fit {} {}", shape_text(c.shape(1)),
                               type_name(c.type(2)), shape_text(c.shape(2)), type_name(c.type(0)),
                               shape_text(c.shape(0))));
  for (int64_t i = 0; i < c.rank(0); ++i)
    if (c.shape(1)[i] > c.shape(0)[i] && i != *normal_axis(c.node.get<int64_t>("axis", 0), c.rank(0)))
      return c.error(fmt::format("indices {} do not fit shape {}", shape_text(c.shape(1)), shape_text(c.shape(0))));
  return Types{{c.type(0), c.shape(0)}};
}

Result<Types> scatter_nd(const ShapeContext& c) {
  const Shape &data = c.shape(0), &indices = c.shape(1), &updates = c.shape(2);
  if (c.type(1) != Type::kInt64)
    return c.error(fmt::format("its indices must be int64, they are {}", type_name(c.type(1))));
  if (const auto error = bad_reduction(c)) return *error;
  if (c.type(2) != c.type(0) || indices.empty() || indices.back() > c.rank(0))
    return c.error(fmt::format("indices {} do not fit shape {}", shape_text(indices), shape_text(data)));
  Shape expected(indices.begin(), indices.end() - 1);
  expected.insert(expected.end(), data.begin() + indices.back(), data.end());
  if (updates != expected)
    return c.error(fmt::format("updates {} must have shape {}", shape_text(updates), shape_text(expected)));
  return Types{{c.type(0), data}};
}

// A cache with rows written into it along `axis`; the first axis is the batch.
Result<Types> tensor_scatter(const ShapeContext& c) {
  const std::optional<int64_t> axis = normal_axis(c.node.get<int64_t>("axis", -2), c.rank(0));
  const std::string mode = c.node.get<std::string>("mode", "linear");
  if (mode != "linear" && mode != "circular")
    return c.error(fmt::format("mode '{}' is unknown; linear and circular are", mode));
  bool fits = axis && *axis > 0 && c.rank(1) == c.rank(0) && c.type(1) == c.type(0);
  for (int64_t i = 0; fits && i < c.rank(0); ++i)
    fits = i == *axis ? c.shape(1)[i] <= c.shape(0)[i] : c.shape(1)[i] == c.shape(0)[i];
  if (!fits || (c.has(2) && (c.type(2) != Type::kInt64 || c.shape(2) != Shape{c.shape(0)[0]})))
    return c.error(fmt::format("update {} {} and its write indices do not fit cache {} {}", type_name(c.type(1)),
                               shape_text(c.shape(1)), type_name(c.type(0)), shape_text(c.shape(0))));
  return Types{{c.type(0), c.shape(0)}};
}

Result<Types> compress(const ShapeContext& c) {
  if (c.type(1) != Type::kBool || c.rank(1) != 1)
    return c.error(
        fmt::format("its condition must be a list of bool, it is {} {}", type_name(c.type(1)), shape_text(c.shape(1))));
  if (const auto error = unknown(c, 1)) return *error;
  const bool flat = c.node.attributes.count("axis") == 0;
  const std::optional<int64_t> axis = flat ? 0 : normal_axis(c.node.get<int64_t>("axis", 0), c.rank(0));
  if (!axis) return c.error(fmt::format("axis is outside shape {}", shape_text(c.shape(0))));
  const int64_t extent = flat ? checked_count(c.shape(0)).value() : c.shape(0)[*axis];
  int64_t taken = 0;
  for (int64_t i = 0; i < c.known(1)->count(); ++i)
    if (c.known(1)->data<bool>()[i]) {
      if (i >= extent) return c.error(fmt::format("its condition takes element {} of {}", i, extent));
      ++taken;
    }
  Shape out = flat ? Shape{taken} : c.shape(0);
  if (!flat) out[*axis] = taken;
  return Types{{c.type(0), out}};
}

Result<Types> nonzero(const ShapeContext& c) {
  if (const auto error = unknown(c, 0)) return *error;
  int64_t count = 0;
  for (const double value : to_doubles(*c.known(0))) count += value != 0;
  return Types{{Type::kInt64, {c.rank(0), count}}};
}

Result<Types> unique(const ShapeContext& c) {
  if (const auto error = unknown(c, 0)) return *error;
  const bool flat = c.node.attributes.count("axis") == 0;
  const std::optional<int64_t> axis = flat ? 0 : normal_axis(c.node.get<int64_t>("axis", 0), c.rank(0));
  if (!axis) return c.error(fmt::format("axis is outside shape {}", shape_text(c.shape(0))));
  const int64_t count = static_cast<int64_t>(
      unique_slices(*c.known(0), flat ? std::nullopt : axis, c.node.get<int64_t>("sorted", 1) != 0).first.size());
  const int64_t all = flat ? checked_count(c.shape(0)).value() : c.shape(0)[*axis];
  Shape out = flat ? Shape{count} : c.shape(0);
  if (!flat) out[*axis] = count;
  return Types{{c.type(0), out}, {Type::kInt64, {count}}, {Type::kInt64, {all}}, {Type::kInt64, {count}}};
}

Result<Types> top_k(const ShapeContext& c) {
  if (c.type(0) == Type::kBool) return c.error("takes numbers, it is given bool");
  const std::optional<int64_t> axis = normal_axis(c.node.get<int64_t>("axis", -1), c.rank(0));
  if (!axis) return c.error(fmt::format("axis is outside shape {}", shape_text(c.shape(0))));
  std::vector<int64_t> k{c.node.get<int64_t>("k", -1)};  // an attribute before opset 10
  if (c.opset >= 10) {
    const auto given = c.integers(1);
    if (!given.ok()) return given.error();
    if (!given.value()) return c.error("has no k");
    k = *given.value();
  }
  if (k.size() != 1 || k[0] < 0 || k[0] > c.shape(0)[*axis])
    return c.error(fmt::format("cannot take {} of axis {} of shape {}", shape_text(k), *axis, shape_text(c.shape(0))));
  Shape out = c.shape(0);
  out[*axis] = k[0];
  return Types{{c.type(0), out}, {Type::kInt64, out}};
}

}  // namespace

void add_index_rules(std::vector<OpEntry>* table) {
  table->push_back({"", "GatherND", 2, 2, gather_nd});
  table->push_back({"", "Scatter", 3, 3, scatter_elements});  // its name before opset 11
  table->push_back({"", "ScatterElements", 3, 3, scatter_elements});
  table->push_back({"", "ScatterND", 3, 3, scatter_nd});
  table->push_back({"", "TensorScatter", 2, 3, tensor_scatter});
  table->push_back({"", "Compress", 2, 2, compress});
  table->push_back({"", "NonZero", 1, 1, nonzero});
  table->push_back({"", "Unique", 1, 1, unique});
  table->push_back({"", "TopK", 1, 2, top_k});
}

}  // namespace hayate
