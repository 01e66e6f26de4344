// Operators that later opsets renamed: only graphs of opsets 9 and 10 hold them.
#include "random/recipes.h"

namespace hayate::random_graphs {
namespace {

bool is_old(const GraphMaker& m) { return m.opset() < 11; }

void upsample(GraphMaker& m) {
  const auto x = m.find([](const Value& v) { return v.is_float32() && v.rank() == 4 && v.batch <= 0; });
  if (!x || !is_old(m) || m.opset() > 9) return;
  const auto factor = [&] { return m.dice().pick({1.0f, 2.0f, 3.0f}); };
  const std::string scales = m.constant(Tensor::of<float>({4}, {1, 1, factor(), factor()}));
  const bool linear = m.dice().one_in(2);
  m.add("Upsample", {x->name, scales}, linear ? Kind::kArithmetic : Kind::kExact,
        {{"mode", std::string(linear ? "linear" : "nearest")}});
}

// One element of every line along an axis is replaced.
void scatter(GraphMaker& m) {
  const auto x = m.find([](const Value& v) { return v.rank() > 0 && v.batch < 0; });
  if (!x || !is_old(m)) return;
  const int64_t axis = m.dice().below(x->rank()), size = x->shape[static_cast<size_t>(axis)];
  if (size == 0) return;
  Shape one = x->shape;
  one[static_cast<size_t>(axis)] = 1;
  Tensor places(m.dice().one_in(2) ? Type::kInt64 : Type::kInt32, one);
  for (int64_t i = 0; i < places.count(); ++i) {
    const int64_t place = m.dice().below(size);
    if (places.type() == Type::kInt64)
      places.data<int64_t>()[i] = place;
    else
      places.data<int32_t>()[i] = static_cast<int32_t>(place);
  }
  m.add("Scatter", {x->name, m.constant(places), m.weights(x->type, one)}, Kind::kExact, {{"axis", axis}});
}

}  // namespace

void add_old_recipes(std::vector<Recipe>* all) {
  all->insert(all->end(), {{"old_upsample", 2, upsample, 9}, {"old_scatter", 2, scatter, 9}});
}

}  // namespace hayate::random_graphs
