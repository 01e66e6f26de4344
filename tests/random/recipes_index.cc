// Elements by places that follow from what constants hold, and caches that rows are written into.
#include "random/recipes.h"

namespace hayate::random_graphs {
namespace {

using Names = std::vector<std::string>;

std::optional<Value> any(GraphMaker& m, int64_t rank_min = 1) {
  return m.find([&](const Value& v) { return v.rank() >= rank_min; });
}

// An axis that does not count rows and has elements; nothing where there is none.
std::optional<int64_t> filled_axis(GraphMaker& m, const Value& x, int64_t from = 0) {
  std::vector<int64_t> axes;
  for (int64_t axis = from; axis < x.rank(); ++axis)
    if (axis != x.batch && x.shape[static_cast<size_t>(axis)] > 0) axes.push_back(axis);
  return axes.empty() ? std::nullopt : std::optional(m.dice().pick(axes));
}

// What a mask keeps of an axis, as exporters write x[mask]; or every element, one by one.
void nonzero(GraphMaker& m) {
  const auto x = any(m);
  if (!x) return;
  if (x->batch < 0 && m.dice().one_in(3)) {
    const std::string ones = m.chain("ConstantOfShape", {m.chain("Shape", {x->name}, Kind::kExact)}, Kind::kExact,
                                     {{"value", Tensor::of<int64_t>({1}, {1})}});
    const std::string places = m.chain("NonZero", {ones}, Kind::kExact);
    m.chain("GatherND", {x->name, m.chain("Transpose", {places}, Kind::kExact)}, Kind::kExact);
    return;
  }
  const auto axis = filled_axis(m, *x);
  if (!axis) return;
  const Type type = m.dice().pick({Type::kBool, Type::kFloat32, Type::kInt64});
  const std::string places =
      m.chain("NonZero", {m.weights(type, {x->shape[static_cast<size_t>(*axis)]})}, Kind::kExact);
  const std::string list = m.chain("Squeeze", {places, m.ints({0})}, Kind::kExact);
  m.chain("Gather", {x->name, list}, Kind::kExact, {{"axis", *axis}});
}

void unique(GraphMaker& m) {
  const auto x = any(m);
  const auto axis = x ? filled_axis(m, *x) : std::nullopt;
  if (!axis) return;
  std::vector<int64_t> places;
  for (int64_t count = m.dice().between(1, 6); count-- > 0;)
    places.push_back(m.dice().below(x->shape[static_cast<size_t>(*axis)]));
  const auto made = m.add("Unique", {m.ints(places)}, Kind::kExact, {{"sorted", m.dice().below(2)}},
                          static_cast<size_t>(m.dice().between(1, 4)));
  if (made) m.add("Gather", {x->name, (*made)[0].name}, Kind::kExact, {{"axis", *axis}});
}

// The end of a cache written somewhere into it.
void tensor_scatter(GraphMaker& m) {
  const auto x = m.find([](const Value& v) { return v.rank() >= 3 && v.batch <= 0; });
  if (!x || m.opset() < 24) return;
  const auto axis = filled_axis(m, *x, 1);
  if (!axis) return;
  const int64_t size = x->shape[static_cast<size_t>(*axis)], count = m.dice().between(1, size);
  const std::string update =
      m.chain("Slice", {x->name, m.ints({size - count}), m.ints({size}), m.ints({*axis})}, Kind::kExact);
  if (update.empty()) return;
  const bool circular = m.dice().one_in(2);
  Names inputs = {x->name, update};
  if (x->batch < 0 && m.dice().one_in(2)) {
    std::vector<int64_t> starts;
    for (int64_t i = 0; i < x->shape[0]; ++i) starts.push_back(m.dice().below(circular ? size : size - count + 1));
    inputs.push_back(m.ints(starts));
  }
  m.add("TensorScatter", inputs, Kind::kExact,
        {{"axis", m.dice().one_in(2) ? *axis : *axis - x->rank()},
         {"mode", std::string(circular ? "circular" : "linear")}});
}

bool counts(const Value& v) {
  return v.is_float32() || v.type == Type::kFloat64 || v.type == Type::kInt32 || v.type == Type::kInt64;
}

// Numbers that the model is fed or makes, held between `least` and `most`, as int64; empty where refused.
std::string whole_numbers(GraphMaker& m, const Value& v, int64_t least, int64_t most) {
  if (m.special()) return "";  // NaN has no place
  const bool floats = v.is_float32() || v.type == Type::kFloat64;
  const auto bound = [&](int64_t value) { return m.scalar(v.type, static_cast<double>(value)); };
  const std::string held = m.chain("Clip", {v.name, bound(least), bound(most)}, Kind::kExact);
  return m.chain("Cast", {held}, floats ? Kind::kJump : Kind::kExact, {{"to", int64_t{7}}});
}

// Elements along an axis by places that come with the rows.
void fed_elements(GraphMaker& m) {
  const auto x = any(m);
  const auto axis = x ? filled_axis(m, *x) : std::nullopt;
  if (!axis) return;
  const auto same = [&](const Value& v) { return v.shape == x->shape && v.batch == x->batch; };
  const auto by = m.find([&](const Value& v) { return counts(v) && same(v); });
  if (!by) return;
  const std::string places = whole_numbers(m, *by, 0, x->shape[static_cast<size_t>(*axis)] - 1);
  if (m.dice().one_in(2)) {
    m.chain("GatherElements", {x->name, places}, Kind::kExact, {{"axis", *axis}});
    return;
  }
  const auto updates = m.find([&](const Value& v) { return v.type == x->type && same(v); });
  if (!x->is_float32() || m.opset() < 18) return;
  m.chain(
      "ScatterElements", {x->name, places, updates->name}, Kind::kArithmetic,
      {{"axis", *axis}, {"reduction", m.dice().pick({std::string("add"), std::string("max"), std::string("min")})}});
}

// Of each row the slices that the row's own numbers name.
void fed_slices(GraphMaker& m) {
  const auto x = m.find([](const Value& v) { return v.rank() >= 2 && v.batch <= 0 && v.shape[1] > 0; });
  if (!x) return;
  const auto by = m.find(
      [&](const Value& v) { return counts(v) && v.rank() == 2 && v.batch == x->batch && v.shape[0] == x->shape[0]; });
  if (!by) return;
  const std::string places = whole_numbers(m, *by, -x->shape[1], x->shape[1] - 1);
  const std::string each = m.chain("Unsqueeze", {places, m.ints({-1})}, Kind::kExact);
  m.chain("GatherND", {x->name, each}, Kind::kExact, {{"batch_dims", int64_t{1}}});
}

// Rows turned back within lengths that come with them.
void fed_lengths(GraphMaker& m) {
  const auto x = m.find([](const Value& v) { return v.rank() >= 2 && v.batch <= 0 && v.shape[1] > 0; });
  if (!x) return;
  const auto by = m.find(
      [&](const Value& v) { return counts(v) && v.rank() == 1 && v.batch == x->batch && v.shape[0] == x->shape[0]; });
  if (!by) return;
  m.chain("ReverseSequence", {x->name, whole_numbers(m, *by, 1, x->shape[1])}, Kind::kExact,
          {{"time_axis", int64_t{1}}, {"batch_axis", int64_t{0}}});
}

}  // namespace

void add_index_recipes(std::vector<Recipe>* all) {
  all->insert(all->end(), {{"nonzero", 1, nonzero},
                           {"unique", 1, unique},
                           {"tensor_scatter", 1, tensor_scatter},
                           {"fed_elements", 1, fed_elements},
                           {"fed_slices", 1, fed_slices},
                           {"fed_lengths", 1, fed_lengths}});
}

}  // namespace hayate::random_graphs
