// Attention and RotaryEmbedding.
#include <fmt/format.h>

#include "graph/op_rules.h"
#include "graph/rule_checks.h"

namespace hayate {
namespace {

// Heads, places and features of Q, K or V at `i`, whether [N, heads, places, features] or [N, places, heads *
// features].
struct Heads {
  int64_t batch = 0, heads = 0, places = 0, features = 0;
};
Result<Heads> heads_of(const ShapeContext& c, size_t i, const char* key) {
  const Shape& shape = c.shape(i);
  if (shape.size() == 4) return Heads{shape[0], shape[1], shape[2], shape[3]};
  const int64_t heads = c.node.get<int64_t>(key, 0);
  if (shape.size() != 3 || heads < 1 || shape[2] % heads != 0)
    return c.error(
        fmt::format("input '{}' {} does not fall into {} = {} heads", c.node.input(i), shape_text(shape), key, heads));
  return Heads{shape[0], heads, shape[1], shape[2] / heads};
}

std::optional<Error> attributes_error(const ShapeContext& c) {
  const int64_t mode = c.node.get<int64_t>("qk_matmul_output_mode", 0);
  if (mode < 0 || mode > 3) return c.error(fmt::format("qk_matmul_output_mode {} is outside 0 to 3", mode));
  for (const char* key : {"left_window_size", "right_window_size"})
    if (c.node.get<int64_t>(key, -1) < -1) return c.error(fmt::format("{} is below -1", key));
  return std::nullopt;
}

std::optional<Error> mask_error(const ShapeContext& c, const Shape& scores) {
  if (!c.has(3)) return std::nullopt;
  if (c.type(3) != c.type(0) && c.type(3) != Type::kBool)
    return c.error(fmt::format("its mask must be bool or {}", type_name(c.type(0))));
  Shape mask = c.shape(3);
  if (mask.empty() || mask.back() > scores.back())
    return c.error(fmt::format("mask {} does not fit scores {}", shape_text(mask), shape_text(scores)));
  mask.back() = scores.back();  // a shorter one masks what it does not reach
  const std::optional<Shape> both = broadcast(mask, scores);
  if (!both || *both != scores)
    return c.error(fmt::format("mask {} does not fit scores {}", shape_text(c.shape(3)), shape_text(scores)));
  return std::nullopt;
}

Result<Types> attention(const ShapeContext& c) {
  for (const size_t i : {size_t{0}, size_t{1}, size_t{2}, size_t{4}, size_t{5}})
    if (c.has(i) && (!is_float(c.type(i)) || c.type(i) != c.type(0)))
      return c.error("takes queries, keys and values that are floats of one type", Code::kUnsupported);
  if (auto error = attributes_error(c)) return *error;
  const Result<Heads> query = heads_of(c, 0, "q_num_heads"), key = heads_of(c, 1, "kv_num_heads"),
                      value = heads_of(c, 2, "kv_num_heads");
  for (const auto* each : {&query, &key, &value})
    if (!each->ok()) return each->error();
  const Heads &q = query.value(), &k = key.value(), &v = value.value();
  if (c.rank(1) != c.rank(0) || c.rank(2) != c.rank(0) || k.batch != q.batch || v.batch != q.batch ||
      v.places != k.places || v.heads != k.heads || k.features != q.features || k.heads < 1 || q.heads % k.heads != 0)
    return c.error(fmt::format("Q {}, K {} and V {} do not go together", shape_text(c.shape(0)), shape_text(c.shape(1)),
                               shape_text(c.shape(2))));
  if (c.has(4) != c.has(5) || (c.has(4) && c.has(6)))
    return c.error("past_key and past_value belong together, and not beside nonpad_kv_seqlen");
  const int64_t past = c.has(4) && c.rank(4) == 4 ? c.shape(4)[2] : 0;
  if (auto error = shape_error(c, 4, {k.batch, k.heads, past, k.features})) return *error;
  if (auto error = shape_error(c, 5, {v.batch, v.heads, past, v.features})) return *error;
  if (auto error = type_error(c, 6, {Type::kInt64})) return *error;
  if (auto error = shape_error(c, 6, {q.batch})) return *error;
  const int64_t total = past + k.places;
  const Shape scores{q.batch, q.heads, q.places, total};
  if (auto error = mask_error(c, scores)) return *error;
  const Shape y =
      c.rank(0) == 4 ? Shape{q.batch, q.heads, q.places, v.features} : Shape{q.batch, q.places, q.heads * v.features};
  return Types{{c.type(0), y},
               {c.type(0), {k.batch, k.heads, total, k.features}},
               {c.type(0), {v.batch, v.heads, total, v.features}},
               {c.type(0), scores}};
}

Result<Types> rotary(const ShapeContext& c) {
  for (size_t i = 0; i < 3; ++i)
    if (!is_float(c.type(i)) || c.type(i) != c.type(0)) return c.error("takes floats of one type", Code::kUnsupported);
  const Result<Heads> found = heads_of(c, 0, "num_heads");
  if (!found.ok()) return found.error();
  const Heads& x = found.value();
  int64_t turned = c.node.get<int64_t>("rotary_embedding_dim", 0);
  if (turned == 0) turned = x.features;
  if (turned < 0 || turned > x.features || turned % 2 != 0)
    return c.error(fmt::format("cannot rotate {} of {} features", turned, x.features));
  if (auto error = type_error(c, 3, {Type::kInt64})) return *error;
  if (auto error = shape_error(c, 3, {x.batch, x.places})) return *error;
  for (const size_t i : {size_t{1}, size_t{2}}) {
    const Shape listed{c.rank(i) == 2 ? c.shape(i)[0] : 0, turned / 2}, each{x.batch, x.places, turned / 2};
    if (auto error = shape_error(c, i, c.has(3) ? listed : each)) return *error;
  }
  if (c.shape(1) != c.shape(2)) return c.error("its cosines and sines differ in shape");
  return Types{{c.type(0), c.shape(0)}};
}

}  // namespace

void add_attention_rules(std::vector<OpEntry>* table) {
  table->push_back({"", "Attention", 3, 7, attention});
  table->push_back({"", "RotaryEmbedding", 3, 4, rotary});
}

}  // namespace hayate
