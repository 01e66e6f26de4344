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

}  // namespace

void add_index_recipes(std::vector<Recipe>* all) {
  all->insert(all->end(), {{"nonzero", 1, nonzero}, {"unique", 1, unique}, {"tensor_scatter", 1, tensor_scatter}});
}

}  // namespace hayate::random_graphs
