#include <algorithm>
#include <numeric>

#include "random/recipes.h"

namespace hayate::random_graphs {
namespace {

using Names = std::vector<std::string>;
using Numbers = std::vector<int64_t>;

std::optional<Value> any(GraphMaker& m, int64_t rank_min = 1) {
  return m.find([&](const Value& v) { return v.rank() >= rank_min; });
}

// An axis, written from either end.
int64_t axis_of(GraphMaker& m, const Value& x) {
  return m.dice().below(x.rank()) - (m.dice().one_in(3) ? x.rank() : 0);
}
int64_t extent(const Value& x, int64_t axis) { return x.shape[static_cast<size_t>(axis < 0 ? axis + x.rank() : axis)]; }

// An axis that does not count rows, where there is one.
int64_t inner_axis(GraphMaker& m, const Value& x) {
  int64_t axis = m.dice().below(x.rank());
  if (axis == x.batch && x.rank() > 1 && !m.dice().one_in(10)) axis = (axis + 1) % x.rank();
  return axis;
}

void transpose(GraphMaker& m) {
  const auto x = any(m, 2);
  if (!x) return;
  Numbers order(static_cast<size_t>(x->rank()));
  std::iota(order.begin(), order.end(), 0);
  if (m.dice().one_in(2) && x->batch == 0) {
    std::reverse(order.begin() + 1, order.end());
  } else {
    m.dice().shuffle(&order);
  }
  m.add("Transpose", {x->name}, Kind::kExact, {{"perm", order}});
}

void reshape(GraphMaker& m) {
  const auto x = any(m);
  if (!x) return;
  Numbers shape = x->shape;
  if (x->batch >= 0) shape[static_cast<size_t>(x->batch)] = m.dice().one_in(3) && x->batch == 0 ? 0 : -1;
  switch (m.dice().below(5)) {
    case 0:  // two neighbours become one
      for (size_t i = 0; i + 1 < shape.size(); ++i)
        if (shape[i] > 0 && shape[i + 1] > 0) {
          shape[i] *= shape[i + 1];
          shape.erase(shape.begin() + static_cast<int64_t>(i) + 1);
          break;
        }
      break;
    case 1:  // one is split
      for (size_t i = 0; i < shape.size(); ++i)
        if (shape[i] > 0 && shape[i] % 2 == 0) {
          shape[i] /= 2;
          shape.insert(shape.begin() + static_cast<int64_t>(i) + 1, 2);
          break;
        }
      break;
    case 2:
      shape = {-1};
      break;
    case 3:
      shape = x->batch == 0 ? Numbers{x->shape.size() > 1 && m.dice().one_in(2) ? 0 : kRows, -1} : Numbers{-1, 1};
      break;
    default:
      shape.push_back(1);
  }
  m.add("Reshape", {x->name, m.ints(shape)}, Kind::kExact);
}

void flatten(GraphMaker& m) {
  if (const auto x = any(m)) m.add("Flatten", {x->name}, Kind::kExact, {{"axis", m.dice().between(0, x->rank())}});
}

void squeeze(GraphMaker& m) {
  const auto x = any(m, 0);
  if (!x) return;
  if (m.dice().one_in(2)) {
    m.add("Unsqueeze", {x->name, m.ints({m.dice().between(-x->rank() - 1, x->rank())})}, Kind::kExact);
    return;
  }
  for (int64_t axis = 0; axis < x->rank(); ++axis)
    if (extent(*x, axis) == 1) {
      m.add("Squeeze", {x->name, m.ints({axis})}, Kind::kExact);
      return;
    }
}

void concat(GraphMaker& m) {
  const auto x = any(m);
  if (!x) return;
  const int64_t axis = inner_axis(m, *x);
  Names inputs = {x->name};
  for (int64_t more = m.dice().between(1, 3); more-- > 0;) {
    const auto other = m.find([&](const Value& v) {
      if (v.type != x->type || v.rank() != x->rank()) return false;
      for (int64_t d = 0; d < v.rank(); ++d)
        if (d != axis && extent(v, d) != extent(*x, d)) return false;
      return true;
    });
    if (x->batch < 0 && m.dice().one_in(3)) {
      inputs.push_back(m.weights(x->type, x->shape));
    } else {
      inputs.push_back(other->name);
    }
  }
  m.dice().shuffle(&inputs);
  m.add("Concat", inputs, Kind::kExact, {{"axis", axis}});
}

void split(GraphMaker& m) {
  const auto x = any(m);
  if (!x) return;
  const int64_t axis = inner_axis(m, *x), size = extent(*x, axis);
  if (size < 2) return;
  GraphMaker::Attributes attributes = {{"axis", axis}};
  if (m.dice().one_in(2)) {
    if (m.opset() >= 18) attributes["num_outputs"] = int64_t{2};
    if (m.opset() < 18 && size % 2 != 0) return;
    m.add("Split", {x->name}, Kind::kExact, attributes, 2);
    return;
  }
  const int64_t first = m.dice().between(0, size - 1);
  m.add("Split", {x->name, m.ints({first, size - first})}, Kind::kExact, attributes, 2);
}

void slice(GraphMaker& m) {
  const auto x = any(m);
  if (!x) return;
  const int64_t axis = inner_axis(m, *x), size = extent(*x, axis);
  int64_t start = m.dice().between(-size - 1, size), end = m.dice().pick({size, INT64_MAX, int64_t{-1}, size - 1});
  int64_t step = m.dice().pick({1, 1, 1, 2, 3});
  if (m.dice().one_in(4))
    start = m.dice().pick({int64_t{-1}, INT64_MAX}), end = m.dice().pick({INT64_MIN, int64_t{0}}), step = -step;
  if (m.dice().one_in(3) && x->batch >= 0 && axis != x->batch) {  // all rows, said so
    m.add("Slice", {x->name, m.ints({0, start}), m.ints({INT64_MAX, end}), m.ints({x->batch, axis}), m.ints({1, step})},
          Kind::kExact);
    return;
  }
  m.add("Slice", {x->name, m.ints({start}), m.ints({end}), m.ints({axis}), m.ints({step})}, Kind::kExact);
}

void gather(GraphMaker& m) {
  const auto x = any(m);
  if (!x) return;
  const int64_t axis = inner_axis(m, *x), size = extent(*x, axis);
  if (size == 0) return;
  Shape shape = m.dice().one_in(3) ? Shape{} : m.dice().one_in(3) ? Shape{2, 2} : Shape{m.dice().between(1, 4)};
  Tensor indices(Type::kInt64, shape);
  for (int64_t i = 0; i < indices.count(); ++i) indices.data<int64_t>()[i] = m.dice().between(-size, size - 1);
  m.add("Gather", {x->name, m.constant(indices)}, Kind::kExact, {{"axis", axis}});
}

// Rows of a table, by numbers that the model is fed or makes.
void embed(GraphMaker& m) {
  const auto x = m.find([](const Value& v) { return v.type == Type::kInt64 || v.type == Type::kInt32; });
  if (!x) return;
  const std::string index = m.chain("Clip", {x->name, m.scalar(x->type, 0), m.scalar(x->type, 6)}, Kind::kExact);
  if (!index.empty()) m.add("Gather", {m.weights(Type::kFloat32, {7, m.dice().between(1, 5)}), index}, Kind::kExact);
}

// What becomes of elements that are written to.
std::string reduction(GraphMaker& m, const Value& x) {
  if (x.type == Type::kBool || m.opset() < 18 || m.special()) return "none";
  return m.dice().pick(Names{"none", "add", "mul", "max", "min"});
}
Kind kind_of_scatter(const Value& x) { return x.is_float32() ? Kind::kArithmetic : Kind::kExact; }

void gather_elements(GraphMaker& m) {
  const auto x = any(m);
  if (!x || x->batch >= 0) return;
  const int64_t axis = m.dice().below(x->rank()), size = extent(*x, axis);
  if (size == 0) return;
  Tensor indices(Type::kInt64, x->shape);
  for (int64_t i = 0; i < indices.count(); ++i) indices.data<int64_t>()[i] = m.dice().between(-size, size - 1);
  if (m.dice().one_in(2)) {
    m.add("GatherElements", {x->name, m.constant(indices)}, Kind::kExact, {{"axis", axis}});
  } else {
    for (int64_t i = 0; i < indices.count(); ++i) indices.data<int64_t>()[i] = 0;
    Shape one = x->shape;
    one[static_cast<size_t>(axis)] = 1;
    Tensor first(Type::kInt64, one);
    for (int64_t i = 0; i < first.count(); ++i) first.data<int64_t>()[i] = m.dice().between(-size, size - 1);
    m.add("ScatterElements", {x->name, m.constant(first), m.weights(x->type, one)}, kind_of_scatter(*x),
          {{"axis", axis}, {"reduction", reduction(m, *x)}});
  }
}

void scatter_nd(GraphMaker& m) {
  const auto x = any(m);
  if (!x || x->batch == 0 || x->shape[0] < 2) return;
  Shape updates = x->shape;
  updates[0] = 2;
  if (x->batch >= 0) return;
  const int64_t first = m.dice().below(x->shape[0]);
  const std::string at = m.constant(Tensor::of<int64_t>({2, 1}, {first, (first + 1) % x->shape[0]}));
  if (m.dice().one_in(2)) {
    m.add("GatherND", {x->name, at}, Kind::kExact);
  } else {
    m.add("ScatterND", {x->name, at, m.weights(x->type, updates)}, kind_of_scatter(*x),
          {{"reduction", reduction(m, *x)}});
  }
}

void expand(GraphMaker& m) {
  const auto x = any(m, 0);
  if (!x) return;
  Numbers shape = x->shape;
  if (x->batch >= 0) shape[static_cast<size_t>(x->batch)] = 1;
  for (int64_t& each : shape)
    if (each == 1 && m.dice().one_in(2)) each = m.dice().between(1, 3);
  if (x->batch >= 0) shape[static_cast<size_t>(x->batch)] = 1;
  if (m.dice().one_in(3)) shape.insert(shape.begin(), m.dice().between(1, 2));
  m.add("Expand", {x->name, m.ints(shape)}, Kind::kExact);
}

void tile(GraphMaker& m) {
  const auto x = any(m);
  if (!x) return;
  Numbers repeats(static_cast<size_t>(x->rank()), 1);
  repeats[static_cast<size_t>(inner_axis(m, *x))] = m.dice().between(1, 3);
  m.add("Tile", {x->name, m.ints(repeats)}, Kind::kExact);
}

void pad(GraphMaker& m) {
  const auto x = any(m);
  if (!x || x->type == Type::kBool) return;
  const size_t rank = x->shape.size();
  Numbers pads(2 * rank, 0);
  for (size_t i = 0; i < 2 * rank; ++i)
    if (static_cast<int64_t>(i % rank) != x->batch && m.dice().one_in(2)) pads[i] = m.dice().between(0, 2);
  const std::string mode = m.dice().pick(Names{"constant", "constant", "edge", "reflect", "wrap"});
  if (mode == "wrap" && m.opset() < 19) return;
  if (m.opset() >= 18 && m.dice().one_in(4)) {  // of some axes, in any order
    const int64_t axis = inner_axis(m, *x);
    if (axis == x->batch) return;
    m.add("Pad", {x->name, m.ints({m.dice().between(0, 2), m.dice().between(0, 2)}), "", m.ints({axis - x->rank()})},
          Kind::kExact, {{"mode", mode}});
    return;
  }
  Names inputs = {x->name, m.ints(pads)};
  if (mode == "constant" && m.dice().one_in(3)) inputs.push_back(m.scalar(x->type, 2));
  m.add("Pad", inputs, Kind::kExact, {{"mode", mode}});
}

void blocks(GraphMaker& m) {
  const auto x = m.find([](const Value& v) { return v.rank() == 4; });
  if (!x) return;
  if (m.dice().one_in(2)) {
    m.add("SpaceToDepth", {x->name}, Kind::kExact, {{"blocksize", int64_t{2}}});
  } else {
    m.add("DepthToSpace", {x->name}, Kind::kExact,
          {{"blocksize", int64_t{2}}, {"mode", std::string(m.dice().one_in(2) ? "CRD" : "DCR")}});
  }
}

void triangle(GraphMaker& m) {
  if (const auto x = any(m, 2))
    m.add("Trilu", {x->name, m.scalar(Type::kInt64, static_cast<double>(m.dice().between(-2, 2)))}, Kind::kExact,
          {{"upper", m.dice().below(2)}});
}

// What exporters write for a shape that follows another value.
void shapes(GraphMaker& m) {
  const auto x = any(m);
  if (!x) return;
  if (m.dice().one_in(5)) {
    const int64_t from = m.dice().between(-x->rank(), x->rank());
    m.chain("Shape", {x->name}, Kind::kExact, {{"start", from}, {"end", m.dice().between(-1, x->rank() + 1)}});
    return;
  }
  const std::string shape = m.chain("Shape", {x->name}, Kind::kExact);
  if (shape.empty()) return;
  switch (m.dice().below(4)) {
    case 0:
      m.chain("ConstantOfShape", {shape}, Kind::kExact, {{"value", Tensor::of<float>({1}, {0.5f})}});
      return;
    case 1: {
      const std::string first = m.chain("Gather", {shape, m.ints({0})}, Kind::kExact, {{"axis", int64_t{0}}});
      const std::string wanted = m.chain("Concat", {first, m.ints({-1})}, Kind::kExact, {{"axis", int64_t{0}}});
      m.chain("Reshape", {x->name, wanted}, Kind::kExact);
      return;
    }
    case 2: {
      const std::string ones =
          m.chain("ConstantOfShape", {shape}, Kind::kExact, {{"value", Tensor::of<float>({1}, {1.0f})}});
      if (x->is_float32()) m.chain("Mul", {x->name, ones}, Kind::kArithmetic);
      return;
    }
    default:
      m.chain("Size", {x->name}, Kind::kExact);
  }
}

// Positions along an axis, as exporters write them.
void positions(GraphMaker& m) {
  const auto x = m.find_float(1);
  if (!x) return;
  const int64_t axis = inner_axis(m, *x);
  const std::string shape = m.chain("Shape", {x->name}, Kind::kExact);
  const std::string count = m.chain("Gather", {shape, m.scalar(Type::kInt64, static_cast<double>(axis))}, Kind::kExact);
  const std::string range =
      m.chain("Range", {m.scalar(Type::kInt64, 0), count, m.scalar(Type::kInt64, 1)}, Kind::kExact);
  const std::string floats = m.chain("Cast", {range}, Kind::kExact, {{"to", int64_t{1}}});
  if (axis == x->rank() - 1) m.chain("Add", {x->name, floats}, Kind::kArithmetic);
}

void eye(GraphMaker& m) {
  const auto x = m.find([](const Value& v) { return v.rank() == 2; });
  if (x) m.add("EyeLike", {x->name}, Kind::kExact, {{"k", m.dice().between(-1, 1)}, {"dtype", int64_t{1}}});
}

void compress(GraphMaker& m) {
  const auto x = any(m);
  if (!x) return;
  const int64_t axis = inner_axis(m, *x);
  m.add("Compress", {x->name, m.weights(Type::kBool, {extent(*x, axis)})}, Kind::kExact, {{"axis", axis}});
}

void reverse_sequence(GraphMaker& m) {
  const auto x = any(m, 2);
  if (!x || x->batch >= 0 || x->shape[0] == 0 || x->shape[1] == 0) return;
  Tensor lengths(Type::kInt64, {x->shape[1]});
  for (int64_t i = 0; i < lengths.count(); ++i) lengths.data<int64_t>()[i] = m.dice().between(1, x->shape[0]);
  m.add("ReverseSequence", {x->name, m.constant(lengths)}, Kind::kExact,
        {{"time_axis", int64_t{0}}, {"batch_axis", int64_t{1}}});
}

void from_end(GraphMaker& m) {
  const auto x = any(m);
  if (x) m.add("Gather", {x->name, m.scalar(Type::kInt64, -1)}, Kind::kExact, {{"axis", axis_of(m, *x)}});
}

}  // namespace

void add_layout_recipes(std::vector<Recipe>* all) {
  all->insert(all->end(), {{"transpose", 3, transpose, 9},
                           {"positions", 1, positions},
                           {"eye", 1, eye},
                           {"reshape", 3, reshape},
                           {"flatten", 1, flatten},
                           {"squeeze", 2, squeeze},
                           {"concat", 3, concat, 9},
                           {"split", 2, split},
                           {"slice", 3, slice},
                           {"gather", 2, gather},
                           {"embed", 1, embed},
                           {"gather_elements", 1, gather_elements},
                           {"scatter_nd", 1, scatter_nd},
                           {"expand", 1, expand},
                           {"tile", 1, tile},
                           {"pad", 2, pad},
                           {"blocks", 1, blocks},
                           {"triangle", 1, triangle},
                           {"shapes", 2, shapes},
                           {"compress", 1, compress},
                           {"reverse_sequence", 1, reverse_sequence},
                           {"from_end", 1, from_end}});
}

}  // namespace hayate::random_graphs
