#include "random/recipes.h"

namespace hayate::random_graphs {
namespace {

using Names = std::vector<std::string>;

// Normalising a few elements, which may be close to each other, shows how the mean was rounded.
bool holds_several(const Shape& shape, int64_t from) {
  int64_t count = 1;
  for (size_t i = static_cast<size_t>(from); i < shape.size(); ++i) count *= shape[i];
  return count >= 4;
}

// Mostly an axis that does not count rows.
int64_t some_axis(GraphMaker& m, const Value& x) {
  int64_t axis = m.dice().below(x.rank());
  if (axis == x.batch && x.rank() > 1 && !m.dice().one_in(8)) axis = (axis + 1) % x.rank();
  return m.dice().one_in(3) ? axis - x.rank() : axis;
}

void reduce(GraphMaker& m) {
  static const Names kOps = {"ReduceSum", "ReduceMean", "ReduceMax",       "ReduceMin",       "ReduceL1",
                             "ReduceL2",  "ReduceProd", "ReduceSumSquare", "ReduceLogSumExp", "ReduceLogSum"};
  const auto x = m.find([](const Value& v) { return v.rank() > 0 && v.type != Type::kBool; });
  if (!x) return;
  const std::string op = m.dice().pick(kOps);
  const bool picks = op == "ReduceMax" || op == "ReduceMin";
  if (op.starts_with("ReduceL") && x->type != Type::kFloat32) return;
  std::vector<int64_t> axes = {some_axis(m, *x)};
  if (x->rank() > 2 && m.dice().one_in(3)) axes = {1, -1};
  if (x->rank() == 2 && axes == std::vector<int64_t>{1, -1}) return;
  GraphMaker::Attributes attributes = {{"keepdims", m.dice().below(2)}};
  Names inputs = {x->name};
  if (op == "ReduceSum" || m.opset() >= 18) {
    inputs.push_back(m.ints(axes));
  } else {
    attributes["axes"] = axes;
  }
  const bool floats = x->type == Type::kFloat32 || x->type == Type::kFloat64;
  m.add(op, inputs, picks || !floats ? Kind::kExact : Kind::kArithmetic, attributes);
}

void arg(GraphMaker& m) {
  const auto x = m.find([](const Value& v) { return v.rank() > 0 && v.type != Type::kBool; });
  if (!x || m.special()) return;  // which NaN is the largest is not said
  m.add(m.dice().one_in(2) ? "ArgMax" : "ArgMin", {x->name}, Kind::kJump,
        {{"axis", some_axis(m, *x)}, {"keepdims", m.dice().below(2)}, {"select_last_index", m.dice().below(2)}});
}

void top(GraphMaker& m) {
  const auto x = m.find([](const Value& v) { return v.rank() > 0 && v.type != Type::kBool; });
  if (!x || m.special()) return;
  m.add("TopK", {x->name, m.ints({m.dice().between(1, 3)})}, Kind::kJump,
        {{"axis", some_axis(m, *x)}, {"largest", m.dice().below(2)}}, 2);
}

void cumulative(GraphMaker& m) {
  const auto x = m.find([](const Value& v) { return v.rank() > 0 && v.type != Type::kBool; });
  if (!x || x->type == Type::kInt8 || x->type == Type::kUInt8) return;
  m.add(m.opset() >= 26 && m.dice().one_in(2) ? "CumProd" : "CumSum",
        {x->name, m.scalar(Type::kInt64, static_cast<double>(some_axis(m, *x)))},
        x->is_float32() || x->type == Type::kFloat64 ? Kind::kArithmetic : Kind::kExact,
        {{"reverse", m.dice().below(2)}, {"exclusive", m.dice().below(2)}});
}

void softmax(GraphMaker& m) {
  const auto x = m.find_float(1);
  if (!x) return;
  const std::string op = m.dice().pick(Names{"Softmax", "Softmax", "Softmax", "LogSoftmax"});
  m.add(op, {x->name}, Kind::kArithmetic, {{"axis", some_axis(m, *x)}});
}

void hardmax(GraphMaker& m) {
  const auto x = m.find_float(1);
  if (x && !m.special()) m.add("Hardmax", {x->name}, Kind::kJump, {{"axis", some_axis(m, *x)}});
}

void layer_norm(GraphMaker& m) {
  const auto x = m.find_float(2);
  if (!x) return;
  const int64_t axis = m.dice().between(1, x->rank() - 1);
  const Shape shape(x->shape.begin() + axis, x->shape.end());
  if (!holds_several(shape, 0)) return;
  Names inputs = {x->name, m.weights(Type::kFloat32, shape)};
  if (m.dice().one_in(2)) inputs.push_back(m.weights(Type::kFloat32, shape));
  const float epsilon = m.dice().pick({1e-5f, 1e-3f});
  m.add("LayerNormalization", inputs, Kind::kNorm, {{"axis", axis}, {"epsilon", epsilon}}, m.dice().one_in(5) ? 3 : 1);
}

void channel_norm(GraphMaker& m) {
  const auto x = m.find_float(2, 5);
  if (!x || x->batch == 1) return;
  const Shape channels = {x->shape[1]};
  const auto parameter = [&] { return m.weights(Type::kFloat32, channels); };
  const GraphMaker::Attributes attributes = {{"epsilon", m.dice().pick({1e-5f, 1e-2f})}};
  if (m.dice().one_in(2)) {
    const std::string mean = parameter();
    Tensor variance(Type::kFloat32, channels);
    for (int64_t i = 0; i < variance.count(); ++i)
      variance.data<float>()[i] = static_cast<float>(0.3 + m.dice().unit());
    m.add("BatchNormalization", {x->name, parameter(), parameter(), mean, m.constant(variance)}, Kind::kNorm,
          attributes);
  } else if (x->rank() > 2 && holds_several(x->shape, 2)) {
    m.add("InstanceNormalization", {x->name, parameter(), parameter()}, Kind::kNorm, attributes);
  }
}

void other_norm(GraphMaker& m) {
  const auto x = m.find_float(2, 4);
  if (!x) return;
  switch (m.dice().below(5)) {
    case 0:
      m.add("LpNormalization", {x->name}, Kind::kArithmetic,
            {{"axis", some_axis(m, *x)}, {"p", m.dice().between(1, 2)}});
      return;
    case 1:
      if (x->rank() >= 3) m.add("LRN", {x->name}, Kind::kArithmetic, {{"size", int64_t{3}}, {"alpha", 0.1f}});
      return;
    case 2:
      if (x->rank() == 4 && holds_several(x->shape, 2))
        m.add("MeanVarianceNormalization", {x->name}, Kind::kNorm, {{"axes", std::vector<int64_t>{2, 3}}});
      return;
    case 3:
      if (m.opset() >= 21 && x->rank() >= 3 && x->shape[1] % 2 == 0 && x->batch != 1 && holds_several(x->shape, 2))
        m.add("GroupNormalization",
              {x->name, m.weights(Type::kFloat32, {x->shape[1]}), m.weights(Type::kFloat32, {x->shape[1]})},
              Kind::kNorm, {{"num_groups", int64_t{2}}});
      return;
    default:
      if (m.opset() >= 23)
        m.add("RMSNormalization", {x->name, m.weights(Type::kFloat32, {x->shape.back()})}, Kind::kNorm);
  }
}

}  // namespace

void add_reduce_recipes(std::vector<Recipe>* all) {
  all->insert(all->end(), {{"reduce", 5, reduce},
                           {"arg", 1, arg},
                           {"top", 1, top},
                           {"cumulative", 1, cumulative},
                           {"softmax", 3, softmax},
                           {"hardmax", 1, hardmax},
                           {"layer_norm", 2, layer_norm},
                           {"channel_norm", 3, channel_norm},
                           {"other_norm", 2, other_norm}});
}

}  // namespace hayate::random_graphs
