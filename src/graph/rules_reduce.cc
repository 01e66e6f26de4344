// Reductions over axes.
#include <fmt/format.h>

#include "graph/op_rules.h"

namespace hayate {

Result<std::vector<bool>> reduced_axes(const Node& node, int64_t rank,
                                       const std::optional<std::vector<int64_t>>& given) {
  std::vector<bool> marks(rank, false);
  if (!given || given->empty()) {
    const bool none = node.get<int64_t>("noop_with_empty_axes", 0) != 0;
    marks.assign(rank, !none);
    return marks;
  }
  for (const int64_t axis : *given) {
    const std::optional<int64_t> normal = normal_axis(axis, rank);
    if (!normal)
      return Error{Code::kInvalidArgument, node.where(), fmt::format("axis {} is outside rank {}", axis, rank)};
    marks[*normal] = true;
  }
  return marks;
}

namespace {

Result<Types> reduce(const ShapeContext& c) {
  if (c.type(0) == Type::kBool && !c.node.is("ReduceMax") && !c.node.is("ReduceMin"))
    return c.error("takes numbers, it is given bool");
  Result<std::optional<std::vector<int64_t>>> axes = c.integers(1);
  if (!axes.ok()) return axes.error();
  if (!axes.value() && c.node.attributes.count("axes") != 0)
    axes = std::optional(c.node.get<std::vector<int64_t>>("axes", {}));
  const Result<std::vector<bool>> marks = reduced_axes(c.node, c.rank(0), axes.value());
  if (!marks.ok()) return marks.error();
  Shape out;
  for (int64_t i = 0; i < c.rank(0); ++i) {
    if (!marks.value()[i])
      out.push_back(c.shape(0)[i]);
    else if (c.node.get<int64_t>("keepdims", 1) != 0)
      out.push_back(1);
  }
  return Types{{c.type(0), out}};
}

Result<Types> arg_reduce(const ShapeContext& c) {
  const std::optional<int64_t> axis = normal_axis(c.node.get<int64_t>("axis", 0), c.rank(0));
  if (!axis || c.shape(0)[*axis] == 0)
    return c.error(fmt::format("has no axis to search in shape {}", shape_text(c.shape(0))));
  if (c.type(0) == Type::kBool) return c.error("takes numbers, it is given bool");
  Shape out = c.shape(0);
  if (c.node.get<int64_t>("keepdims", 1) != 0)
    out[*axis] = 1;
  else
    out.erase(out.begin() + *axis);
  return Types{{Type::kInt64, out}};
}

}  // namespace

void add_reduce_rules(std::vector<OpEntry>* table) {
  for (const char* op : {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSumSquare",
                         "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp"})
    table->push_back({"", op, 1, 2, reduce});
  table->push_back({"", "ArgMax", 1, 1, arg_reduce});
  table->push_back({"", "ArgMin", 1, 1, arg_reduce});
}

}  // namespace hayate
