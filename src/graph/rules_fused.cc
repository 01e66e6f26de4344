// Operators of our own that the rewrite rules put in the place of several where the standard has none of the same
// meaning: domain "hayate", float32.
#include <fmt/format.h>

#include "graph/op_rules.h"

namespace hayate {
namespace {

std::optional<Error> float32_inputs(const ShapeContext& c) {
  for (size_t i = 0; i < c.input_count(); ++i)
    if (c.has(i) && c.type(i) != Type::kFloat32)
      return c.error(fmt::format("takes float32; input '{}' is {}", c.node.input(i), type_name(c.type(i))),
                     Code::kUnsupported);
  return std::nullopt;
}

// q [.., L, E], k [.., S, E], v [.., S, F], equal before the last two, mask that broadcasts to [.., L, S] -> [.., L,
// F].
Result<Types> fused_attention(const ShapeContext& c) {
  if (const auto error = float32_inputs(c)) return *error;
  const Shape &q = c.shape(0), &k = c.shape(1), &v = c.shape(2);
  const auto shapes = [&] { return fmt::format("{}, {} and {}", shape_text(q), shape_text(k), shape_text(v)); };
  if (q.size() < 2 || k.size() != q.size() || v.size() != q.size())
    return c.error(fmt::format("takes q, k and v of one rank of at least 2, they are {}", shapes()));
  const size_t rank = q.size();
  for (size_t i = 0; i + 2 < rank; ++i)
    if (q[i] != k[i] || q[i] != v[i])
      return c.error(fmt::format("q, k and v must agree before their last two axes, they are {}", shapes()));
  if (q[rank - 1] != k[rank - 1] || k[rank - 2] != v[rank - 2])
    return c.error(fmt::format("takes q [L, E], k [S, E] and v [S, F], they are {}", shapes()));
  Shape scores = q, out = q;
  scores[rank - 1] = k[rank - 2], out[rank - 1] = v[rank - 1];
  if (c.has(3)) {
    const std::optional<Shape> both = broadcast(c.shape(3), scores);
    if (!both || *both != scores)
      return c.error(fmt::format("mask {} does not broadcast to {}", shape_text(c.shape(3)), shape_text(scores)));
  }
  return Types{{c.type(0), out}};
}

}  // namespace

void add_fused_rules(std::vector<OpEntry>* table) { table->push_back({"hayate", "Attention", 3, 4, fused_attention}); }

}  // namespace hayate
