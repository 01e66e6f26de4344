// Attention, MultiHeadAttention and RotaryEmbedding of com.microsoft as the standard's Attention and RotaryEmbedding:
// projections, packed layouts, positions and what is masked become nodes around them.
#include <fmt/format.h>

#include <limits>

#include "graph/rule_checks.h"
#include "graph/spelling.h"

namespace hayate {
namespace {

// What both operators end in.
struct Core {
  std::string q, k, v;  // [batch, places, heads * features]
  std::string past_k, past_v;
  std::string mask;  // added to the scores; empty: nothing
  int64_t heads = 0;
  int64_t batch = 0, places = 0, total = 0;  // of queries, of keys with the past
};

std::optional<Error> heads_error(const ShapeContext& c, std::initializer_list<int64_t> widths) {
  const int64_t heads = c.node.get<int64_t>("num_heads", 0);
  for (const int64_t width : widths)
    if (heads < 1 || width % heads != 0)
      return c.error(fmt::format("{} features do not fall into num_heads = {} heads", width, heads));
  return std::nullopt;
}

// Adds to core->mask; a mask is worth `hidden` where `kept` is false.
void keep_only(Speller* s, const std::string& kept, double hidden, Core* core) {
  const Type type = s->c.type(0);
  const std::string mask = s->add("Where", {kept, s->number(0, type), s->number(hidden, type)});
  core->mask = core->mask.empty() ? mask : s->add("Add", {core->mask, mask});
}

// Input i says which keys are seen: how many of each row [B], or up to where and from where [2B]; or as numbers above
// zero [B, T] or [B, S, T].
std::optional<Error> key_mask(Speller* s, size_t i, Core* core) {
  const ShapeContext& c = s->c;
  if (!c.has(i)) return std::nullopt;
  const Shape& shape = c.shape(i);
  const Error unknown =
      c.error(fmt::format("mask '{}' {} is not supported; [batch], [2 * batch], [batch, keys] and [batch, queries, "
                          "keys] are, for batch {}, queries {} and keys {}",
                          c.node.input(i), shape_text(shape), core->batch, core->places, core->total),
              Code::kUnsupported);
  const double hidden = static_cast<double>(c.node.get<float>("mask_filter_value", -10000));
  if (c.type(i) != Type::kInt32) return c.error("its mask must be int32", Code::kUnsupported);
  if (shape == Shape{core->batch, core->total} || shape == Shape{core->batch, core->places, core->total}) {
    const std::string seen = s->add("Greater", {s->in(i), s->number(0, Type::kInt32)});
    keep_only(s, s->add("Unsqueeze", {seen, s->ints(shape.size() == 2 ? Shape{1, 2} : Shape{1})}), hidden, core);
    return std::nullopt;
  }
  const bool both = shape == Shape{2 * core->batch};
  if (shape != Shape{core->batch} && !both) return unknown;
  Tensor places(Type::kInt32, {core->total});
  for (int64_t t = 0; t < core->total; ++t) places.data<int32_t>()[t] = static_cast<int32_t>(t);
  const std::string at = s->constant(std::move(places));
  const auto bound = [&](int64_t from) {
    const std::string part = both ? s->slice(s->in(i), 0, from, from + core->batch) : s->in(i);
    return s->add("Unsqueeze", {part, s->ints({1, 2, 3})});
  };
  std::string seen = s->add("Less", {at, bound(0)});
  if (both) seen = s->add("And", {seen, s->add("GreaterOrEqual", {at, bound(core->batch)})});
  keep_only(s, seen, hidden, core);
  return std::nullopt;
}

// Queries see no later key where the operator is unidirectional; the past lies before all of them. What is later weighs
// less than what a mask hides.
void look_back(Speller* s, Core* core) {
  if (s->c.node.get<int64_t>("unidirectional", 0) == 0) return;
  Tensor kept(Type::kBool, {core->places, core->total});
  const int64_t past = core->total - core->places;
  for (int64_t q = 0; q < core->places; ++q)
    for (int64_t t = 0; t < core->total; ++t) kept.data<bool>()[q * core->total + t] = t <= past + q;
  keep_only(s, s->constant(std::move(kept)), std::numeric_limits<float>::lowest(), core);
}

// The three outputs of the standard's Attention, the keys and values only where asked for.
std::string attend(Speller* s, const Core& core, bool present) {
  std::map<std::string, Attribute> attributes{{"q_num_heads", core.heads}, {"kv_num_heads", core.heads}};
  if (const float scale = s->c.node.get<float>("scale", 0); scale != 0) attributes["scale"] = scale;
  std::vector<std::string> inputs{core.q, core.k, core.v};
  if (!core.mask.empty() || !core.past_k.empty()) inputs.push_back(core.mask);
  if (!core.past_k.empty()) inputs.insert(inputs.end(), {core.past_k, core.past_v});
  return s->add("Attention", std::move(inputs), std::move(attributes), present ? 3 : 1);
}

// input, weights of Q, K and V beside each other, their bias, mask, past, what is added to the scores.
Result<Graph> spelled_attention(const ShapeContext& c) {
  Speller s(c);
  if (c.rank(0) != 3 || c.rank(1) != 2)
    return c.error(fmt::format("takes an input [batch, places, features] and weights of two axes, they are {} and {}",
                               shape_text(c.shape(0)), shape_text(c.shape(1))));
  if (c.has(6) || c.node.get<int64_t>("do_rotary", 0) != 0 || c.node.get<int64_t>("past_present_share_buffer", 0) != 0)
    return c.error("rotary embeddings and shared buffers of past and present are not supported", Code::kUnsupported);
  const int64_t third = c.shape(1)[1] / 3;
  const Shape widths = c.node.get<Shape>("qkv_hidden_sizes", {third, third, c.shape(1)[1] - 2 * third});
  if (widths.size() != 3 || widths[0] < 0 || widths[1] < 0 || widths[0] != widths[1] ||
      widths[0] + widths[1] + widths[2] != c.shape(1)[1])
    return c.error(
        fmt::format("qkv_hidden_sizes {} do not make up weights {}", shape_text(widths), shape_text(c.shape(1))));
  if (auto error = heads_error(c, {widths[0], widths[2]})) return *error;
  if (c.has(4) && c.rank(4) != 5) return c.error(fmt::format("its past {} needs five axes", shape_text(c.shape(4))));
  Core core;
  core.heads = c.node.get<int64_t>("num_heads", 1);
  core.batch = c.shape(0)[0], core.places = c.shape(0)[1];
  core.total = core.places + (c.has(4) ? c.shape(4)[3] : 0);
  const std::string all = s.plus(s.add("MatMul", {s.in(0), s.in(1)}), s.in(2));
  core.q = s.slice(all, 2, 0, widths[0]);
  core.k = s.slice(all, 2, widths[0], widths[0] + widths[1]);
  core.v = s.slice(all, 2, widths[0] + widths[1], c.shape(1)[1]);
  if (c.has(4))
    core.past_k = s.add("Gather", {s.in(4), s.number(0, Type::kInt64)}),
    core.past_v = s.add("Gather", {s.in(4), s.number(1, Type::kInt64)});
  if (auto error = key_mask(&s, 3, &core)) return *error;
  look_back(&s, &core);
  core.mask = core.mask.empty() ? s.in(5) : s.plus(core.mask, s.in(5));
  const std::string y = attend(&s, core, s.asked(1));
  if (!s.asked(1)) return s.give({y, ""});
  const auto first = [&](const char* which) { return s.add("Unsqueeze", {y + which, s.ints({0})}); };
  return s.give({y, s.add("Concat", {first(".1"), first(".2")}, {{"axis", int64_t{0}}})});
}

// Part `part` of what is packed along axis 3 of [batch, places, heads, parts, features], its heads side by side.
std::string unpacked(Speller* s, size_t i, int64_t part) {
  const std::string one =
      s->add("Gather", {s->in(i), s->number(static_cast<double>(part), Type::kInt64)}, {{"axis", int64_t{3}}});
  return s->reshape(one, {0, 0, -1});
}

// [batch, heads, places, features] with heads side by side.
std::string side_by_side(Speller* s, size_t i) {
  return s->reshape(s->add("Transpose", {s->in(i)}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}}), {0, 0, -1});
}

// Queries, keys and values in whichever layout.
std::optional<Error> take_qkv(Speller* s, Core* core) {
  const ShapeContext& c = s->c;
  const auto layout = [&](size_t i) { return c.has(i) ? shape_text(c.shape(i)) : std::string("none"); };
  const Error unknown =
      c.error(fmt::format("query {}, key {} and value {} are of no supported layout", layout(0), layout(1), layout(2)),
              Code::kUnsupported);
  if (c.rank(0) == 5 && c.shape(0)[3] == 3 && !c.has(1)) {
    core->q = unpacked(s, 0, 0), core->k = unpacked(s, 0, 1), core->v = unpacked(s, 0, 2);
    core->total = c.shape(0)[1];
    return std::nullopt;
  }
  if (c.rank(0) != 3 || !c.has(1)) return unknown;
  core->q = s->in(0);
  if (c.rank(1) == 5 && c.shape(1)[3] == 2 && !c.has(2)) {
    core->k = unpacked(s, 1, 0), core->v = unpacked(s, 1, 1), core->total = c.shape(1)[1];
    return std::nullopt;
  }
  if (!c.has(2) || c.rank(1) != c.rank(2) || (c.rank(1) != 3 && c.rank(1) != 4)) return unknown;
  const bool apart = c.rank(1) == 4;
  core->k = apart ? side_by_side(s, 1) : s->in(1), core->v = apart ? side_by_side(s, 2) : s->in(2);
  core->total = c.shape(1)[apart ? 2 : 1];
  return std::nullopt;
}

// query, key, value, their bias, mask of keys, what is added to the scores, past keys and values.
Result<Graph> multi_head(const ShapeContext& c) {
  Speller s(c);
  for (size_t i = 8; i < c.input_count(); ++i)
    if (c.has(i)) return c.error("past lengths and beams are not supported", Code::kUnsupported);
  if (s.asked(3)) return c.error("its scores as an output are not supported", Code::kUnsupported);
  if (c.rank(0) < 3) return c.error(fmt::format("query {} needs three axes", shape_text(c.shape(0))));
  if (c.has(6) != c.has(7) || (c.has(6) && c.rank(6) != 4)) return c.error("past keys and values belong together");
  Core core;
  core.heads = c.node.get<int64_t>("num_heads", 0);
  core.batch = c.shape(0)[0], core.places = c.shape(0)[1];
  if (auto error = take_qkv(&s, &core)) return *error;
  if (c.has(3)) {
    const int64_t width = c.rank(0) == 3 ? c.shape(0)[2] : c.shape(0)[2] * c.shape(0)[4];
    if (c.rank(3) != 1 || c.shape(3)[0] < 2 * width) return c.error("its bias must hold that of Q, K and V");
    core.q = s.add("Add", {core.q, s.slice(s.in(3), 0, 0, width)});
    if (c.rank(0) == 5 || c.rank(1) != 4) {  // keys of heads apart come with theirs
      core.k = s.add("Add", {core.k, s.slice(s.in(3), 0, width, 2 * width)});
      core.v = s.add("Add", {core.v, s.slice(s.in(3), 0, 2 * width, c.shape(3)[0])});
    }
  }
  if (c.has(6)) core.past_k = s.in(6), core.past_v = s.in(7), core.total += c.shape(6)[2];
  if (auto error = key_mask(&s, 4, &core)) return *error;
  look_back(&s, &core);
  core.mask = core.mask.empty() ? s.in(5) : s.plus(core.mask, s.in(5));
  const bool present = s.asked(1) || s.asked(2);
  const std::string y = attend(&s, core, present);
  return s.give(present ? std::vector<std::string>{y, y + ".1", y + ".2"} : std::vector<std::string>{y, "", ""});
}

// X, positions (of each place, or of the first one), cosines, sines. The standard's operator has all but the scale.
Result<Graph> spelled_rotary(const ShapeContext& c) {
  Speller s(c);
  const int64_t rank = c.rank(0);
  if ((rank != 3 && rank != 4) || c.rank(2) != 2 || c.shape(2)[1] < 1)
    return c.error(fmt::format(
        "takes [batch, places, width] or [batch, heads, places, size], and tables of two axes; it is given {} and {}",
        shape_text(c.shape(0)), shape_text(c.shape(2))));
  if (auto error = type_error(c, 1, {Type::kInt64})) return *error;
  if (c.node.get<float>("scale", 1) != 1 || c.node.get<int64_t>("is_packed_batching", 0) != 0)
    return c.error("a scale and packed batches are not supported", Code::kUnsupported);
  const int64_t batch = c.shape(0)[0], places = c.shape(0)[static_cast<size_t>(rank) - 2];
  std::string positions = s.in(1);
  if (c.shape(1) == Shape{1}) {
    const auto number = [&](int64_t value) { return s.number(static_cast<double>(value), Type::kInt64); };
    const std::string steps = s.add("Range", {number(0), number(places), number(1)});
    positions = s.add("Expand", {s.add("Add", {s.in(1), steps}), s.ints({batch, places})});
  }
  std::map<std::string, Attribute> attributes = {{"interleaved", c.node.get<int64_t>("interleaved", 0)}};
  const int64_t turned = c.node.get<int64_t>("rotary_embedding_dim", 0);
  int64_t heads = c.node.get<int64_t>("num_heads", 0);
  if (turned > 0) attributes["rotary_embedding_dim"] = turned;
  if (heads <= 0) heads = c.shape(0).back() / (2 * c.shape(2)[1]);  // the whole of a head is turned
  if (rank == 3) attributes["num_heads"] = heads;
  return s.give({s.add("RotaryEmbedding", {s.in(0), s.in(2), s.in(3), positions}, std::move(attributes))});
}

}  // namespace

void add_attention_spellings(std::vector<SpellingEntry>* table) {
  table->push_back({"com.microsoft", "Attention", 2, 7, spelled_attention});
  table->push_back({"com.microsoft", "MultiHeadAttention", 1, 10, multi_head});
  table->push_back({"com.microsoft", "RotaryEmbedding", 4, 4, spelled_rotary});
}

}  // namespace hayate
