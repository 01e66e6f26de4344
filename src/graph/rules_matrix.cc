// Operators on matrices, along one axis, and on blocks of an image.
#include <fmt/format.h>

#include "graph/einsum.h"
#include "graph/op_rules.h"

namespace hayate {
namespace {

std::optional<Error> no_scalar_integer(const ShapeContext& c, size_t i, const char* what) {
  if ((c.type(i) == Type::kInt64 || c.type(i) == Type::kInt32) && checked_count(c.shape(i)).value() == 1)
    return std::nullopt;
  return c.error(
      fmt::format("its {} must be one integer, it is {} {}", what, type_name(c.type(i)), shape_text(c.shape(i))));
}

Result<Types> trilu(const ShapeContext& c) {
  if (c.rank(0) < 2) return c.error(fmt::format("takes matrices, it is given {}", shape_text(c.shape(0))));
  if (c.has(1))
    if (const auto error = no_scalar_integer(c, 1, "k")) return *error;
  return Types{{c.type(0), c.shape(0)}};
}

Result<Types> cumulative(const ShapeContext& c) {
  if (c.type(0) == Type::kBool) return c.error("takes numbers, it is given bool");
  if (const auto error = no_scalar_integer(c, 1, "axis")) return *error;
  if (c.known(1) != nullptr && !normal_axis(to_int64s(*c.known(1))[0], c.rank(0)))
    return c.error(fmt::format("axis {} is outside shape {}", to_int64s(*c.known(1))[0], shape_text(c.shape(0))),
                   Code::kOutOfRange);
  return Types{{c.type(0), c.shape(0)}};
}

Result<Types> eye_like(const ShapeContext& c) {
  if (c.rank(0) != 2) return c.error(fmt::format("takes a matrix, it is given {}", shape_text(c.shape(0))));
  if (c.node.attributes.count("dtype") == 0) return Types{{c.type(0), c.shape(0)}};
  const int64_t code = c.node.get<int64_t>("dtype", 0);
  const std::optional<Type> type = type_from_code(code);
  if (!type)
    return c.error(fmt::format("makes element type {}, which is not supported", element_type_text(code)),
                   Code::kUnsupported);
  return Types{{*type, c.shape(0)}};
}

std::optional<Error> bad_mode(const ShapeContext& c) {
  const std::string mode = c.node.get<std::string>("mode", "DCR");
  if (mode == "DCR" || mode == "CRD") return std::nullopt;
  return c.error(fmt::format("mode '{}' is unknown; DCR and CRD are", mode));
}

Result<Types> depth_to_space(const ShapeContext& c) {
  const int64_t block = c.node.get<int64_t>("blocksize", 0);
  if (const auto error = bad_mode(c)) return *error;
  if (c.rank(0) != 4 || block < 1 || block > 1 << 15 || c.shape(0)[1] % (block * block) != 0)
    return c.error(fmt::format("cannot make blocks of {} of shape {}", block, shape_text(c.shape(0))));
  const Shape& x = c.shape(0);
  return Types{{c.type(0), {x[0], x[1] / (block * block), x[2] * block, x[3] * block}}};
}

Result<Types> space_to_depth(const ShapeContext& c) {
  const int64_t block = c.node.get<int64_t>("blocksize", 0);
  if (const auto error = bad_mode(c)) return *error;
  if (c.rank(0) != 4 || block < 1 || block > 1 << 15 || c.shape(0)[2] % block != 0 || c.shape(0)[3] % block != 0)
    return c.error(fmt::format("cannot make blocks of {} of shape {}", block, shape_text(c.shape(0))));
  const Shape& x = c.shape(0);
  return Types{{c.type(0), {x[0], x[1] * block * block, x[2] / block, x[3] / block}}};
}

Result<Types> reverse_sequence(const ShapeContext& c) {
  const int64_t time = c.node.get<int64_t>("time_axis", 0), batch = c.node.get<int64_t>("batch_axis", 1);
  if (c.rank(0) < 2 || time < 0 || time > 1 || batch != 1 - time)
    return c.error(
        fmt::format("its axes time {} and batch {} must be 0 and 1 of {}", time, batch, shape_text(c.shape(0))));
  if (c.type(1) != Type::kInt64 || c.shape(1) != Shape{c.shape(0)[batch]})
    return c.error(fmt::format("its lengths must be int64 [{}], they are {} {}", c.shape(0)[batch],
                               type_name(c.type(1)), shape_text(c.shape(1))));
  if (c.known(1) != nullptr)
    for (const int64_t length : to_int64s(*c.known(1)))
      if (length < 0 || length > c.shape(0)[time])
        return c.error(fmt::format("length {} is outside 0 to {}", length, c.shape(0)[time]), Code::kOutOfRange);
  return Types{{c.type(0), c.shape(0)}};
}

Result<Types> det(const ShapeContext& c) {
  if (c.type(0) != Type::kFloat32 && c.type(0) != Type::kFloat64)
    return c.error(fmt::format("takes floats, it is given {}", type_name(c.type(0))));
  const Shape& x = c.shape(0);
  if (x.size() < 2 || x[x.size() - 1] != x[x.size() - 2])
    return c.error(fmt::format("takes square matrices, it is given {}", shape_text(x)));
  return Types{{c.type(0), Shape(x.begin(), x.end() - 2)}};
}

Result<Types> einsum(const ShapeContext& c) {
  std::vector<Shape> shapes;
  for (size_t i = 0; i < c.input_count(); ++i) {
    if (!c.has(i)) return c.error(fmt::format("input {} is left out", i));
    if (c.type(i) != c.type(0) || c.type(i) == Type::kBool)
      return c.error(fmt::format("takes numbers of one type; input {} is {}", i, type_name(c.type(i))));
    shapes.push_back(c.shape(i));
  }
  const Result<EinsumLoops> loops = einsum_loops(c.node, shapes);
  if (!loops.ok()) return loops.error();
  return Types{{c.type(0), loops.value().output}};
}

Result<Types> window(const ShapeContext& c) {
  if (const auto error = no_scalar_integer(c, 0, "size")) return *error;
  if (c.known(0) == nullptr)
    return c.error(fmt::format("input '{}' decides a shape but is not known before the run", c.node.input(0)),
                   Code::kUnsupported);
  const int64_t code = c.node.get<int64_t>("output_datatype", 1);
  const std::optional<Type> type = type_from_code(code);
  if (!type || *type == Type::kBool || is_half_float(*type))
    return c.error(fmt::format("makes element type {}, which is not supported", element_type_text(code)),
                   Code::kUnsupported);
  return Types{{*type, {to_int64s(*c.known(0))[0]}}};
}

}  // namespace

void add_matrix_rules(std::vector<OpEntry>* table) {
  constexpr size_t kMany = 1 << 20;
  table->push_back({"", "Trilu", 1, 2, trilu});
  table->push_back({"", "CumSum", 2, 2, cumulative});
  table->push_back({"", "CumProd", 2, 2, cumulative});
  table->push_back({"", "EyeLike", 1, 1, eye_like});
  table->push_back({"", "DepthToSpace", 1, 1, depth_to_space});
  table->push_back({"", "SpaceToDepth", 1, 1, space_to_depth});
  table->push_back({"", "ReverseSequence", 2, 2, reverse_sequence});
  table->push_back({"", "Det", 1, 1, det});
  table->push_back({"", "Einsum", 1, kMany, einsum});
  for (const char* op : {"HannWindow", "HammingWindow", "BlackmanWindow"}) table->push_back({"", op, 1, 1, window});
}

}  // namespace hayate
