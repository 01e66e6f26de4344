// Operators that move, cut and join tensors, and those that speak of shapes.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "graph/op_rules.h"

namespace hayate {
namespace {

using Integers = std::vector<int64_t>;

// Integers given as input i (newer opsets) or as an attribute (older ones); empty where neither is there.
Result<std::optional<Integers>> integers_or(const ShapeContext& c, size_t i, const std::string& attribute) {
  if (c.has(i)) return c.integers(i);
  if (c.node.attributes.count(attribute) == 0) return std::optional<Integers>();
  return std::optional<Integers>(c.node.get<Integers>(attribute, {}));
}

Result<Types> reshape(const ShapeContext& c) {
  const auto given = integers_or(c, 1, "shape");
  if (!given.ok()) return given.error();
  if (!given.value()) return c.error("has no shape to give");
  Shape shape = *given.value();
  const bool zero_stays = c.node.get<int64_t>("allowzero", 0) != 0;
  const int64_t count = checked_count(c.shape(0)).value();
  int64_t known = 1, open = -1;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0 && !zero_stays) {
      if (i >= c.shape(0).size())
        return c.error(
            fmt::format("shape {} copies axis {}, which {} lacks", shape_text(shape), i, shape_text(c.shape(0))));
      shape[i] = c.shape(0)[i];
    }
    if (shape[i] == -1 && open < 0) {
      open = static_cast<int64_t>(i);
    } else if (shape[i] < 0 || (shape[i] != 0 && known > (int64_t{1} << 40) / shape[i])) {
      return c.error(fmt::format("cannot give shape {}", shape_text(shape)));
    } else {
      known *= shape[i];
    }
  }
  if (open >= 0) shape[open] = known == 0 ? 0 : count / known;
  if (checked_count(shape).ok() && checked_count(shape).value() == count) return Types{{c.type(0), shape}};
  return c.error(fmt::format("{} elements of shape {} do not fit shape {}", count, shape_text(c.shape(0)),
                             shape_text(*given.value())));
}

Result<Types> flatten(const ShapeContext& c) {
  const int64_t given = c.node.get<int64_t>("axis", 1), axis = given < 0 ? given + c.rank(0) : given;
  if (axis < 0 || axis > c.rank(0))
    return c.error(fmt::format("axis {} is outside shape {}", given, shape_text(c.shape(0))));
  const auto product = [](auto first, auto last) {
    return std::accumulate(first, last, int64_t{1}, std::multiplies<>());
  };
  return Types{
      {c.type(0),
       {product(c.shape(0).begin(), c.shape(0).begin() + axis), product(c.shape(0).begin() + axis, c.shape(0).end())}}};
}

// Marks of the axes listed, each inside `rank` and named once.
Result<std::vector<bool>> axis_marks(const ShapeContext& c, const Integers& axes, int64_t rank) {
  std::vector<bool> marks(rank, false);
  for (const int64_t given : axes) {
    const std::optional<int64_t> axis = normal_axis(given, rank);
    if (!axis || marks[*axis])
      return c.error(fmt::format("axes {} do not name distinct axes of rank {}", shape_text(axes), rank));
    marks[*axis] = true;
  }
  return marks;
}

Result<Types> squeeze(const ShapeContext& c) {
  const auto axes = integers_or(c, 1, "axes");
  if (!axes.ok()) return axes.error();
  Shape out;
  if (!axes.value()) {
    std::copy_if(c.shape(0).begin(), c.shape(0).end(), std::back_inserter(out),
                 [](int64_t extent) { return extent != 1; });
    return Types{{c.type(0), out}};
  }
  const auto marks = axis_marks(c, *axes.value(), c.rank(0));
  if (!marks.ok()) return marks.error();
  for (int64_t i = 0; i < c.rank(0); ++i) {
    if (!marks.value()[i])
      out.push_back(c.shape(0)[i]);
    else if (c.shape(0)[i] != 1)
      return c.error(fmt::format("axis {} of shape {} is not 1", i, shape_text(c.shape(0))));
  }
  return Types{{c.type(0), out}};
}

Result<Types> unsqueeze(const ShapeContext& c) {
  const auto axes = integers_or(c, 1, "axes");
  if (!axes.ok()) return axes.error();
  if (!axes.value()) return c.error("has no axes");
  const int64_t rank = c.rank(0) + static_cast<int64_t>(axes.value()->size());
  const auto marks = axis_marks(c, *axes.value(), rank);
  if (!marks.ok()) return marks.error();
  Shape out;
  size_t next = 0;
  for (int64_t i = 0; i < rank; ++i) out.push_back(marks.value()[i] ? 1 : c.shape(0)[next++]);
  return Types{{c.type(0), out}};
}

Result<Types> transpose(const ShapeContext& c) {
  Integers perm = c.node.get<Integers>("perm", {});
  if (perm.empty())
    for (int64_t i = c.rank(0); i-- > 0;) perm.push_back(i);
  std::vector<bool> seen(c.rank(0), false);
  Shape out;
  for (const int64_t axis : perm) {
    if (axis < 0 || axis >= c.rank(0) || seen[axis])
      return c.error(fmt::format("perm {} does not permute shape {}", shape_text(perm), shape_text(c.shape(0))));
    seen[axis] = true;
    out.push_back(c.shape(0)[axis]);
  }
  if (out.size() != c.shape(0).size())
    return c.error(fmt::format("perm {} does not permute shape {}", shape_text(perm), shape_text(c.shape(0))));
  return Types{{c.type(0), out}};
}

Result<Types> concat(const ShapeContext& c) {
  const std::optional<int64_t> axis = normal_axis(c.node.get<int64_t>("axis", c.opset < 4 ? 1 : 0), c.rank(0));
  if (!axis)
    return c.error(fmt::format("axis {} is outside shape {}", c.node.get<int64_t>("axis", 0), shape_text(c.shape(0))));
  Shape out = c.shape(0);
  for (size_t i = 1; i < c.input_count(); ++i) {
    if (!c.has(i)) return c.error(fmt::format("input {} is left out", i));
    Shape other = c.shape(i);
    if (c.type(i) != c.type(0) || other.size() != out.size())
      return c.error(fmt::format("cannot join {} {} with {} {}", type_name(c.type(0)), shape_text(out),
                                 type_name(c.type(i)), shape_text(other)));
    out[*axis] += other[*axis];
    other[*axis] = out[*axis];
    if (other != out)
      return c.error(fmt::format("cannot join shapes {} and {} along axis {}", shape_text(c.shape(0)),
                                 shape_text(c.shape(i)), *axis));
  }
  return Types{{c.type(0), out}};
}

Result<Types> split(const ShapeContext& c) {
  const std::optional<int64_t> axis = normal_axis(c.node.get<int64_t>("axis", 0), c.rank(0));
  if (!axis) return c.error(fmt::format("axis is outside shape {}", shape_text(c.shape(0))));
  const auto given = integers_or(c, 1, "split");
  if (!given.ok()) return given.error();
  const int64_t extent = c.shape(0)[*axis], parts = static_cast<int64_t>(c.node.outputs.size());
  const int64_t wanted = c.node.get<int64_t>("num_outputs", parts);
  if (wanted != parts || parts == 0)
    return c.error(fmt::format("num_outputs is {}, the node has {} outputs", wanted, parts));
  Integers sizes;
  if (given.value()) {
    sizes = *given.value();
  } else {
    const int64_t chunk = (extent + parts - 1) / parts;
    for (int64_t i = 0; i < parts; ++i) sizes.push_back(std::clamp<int64_t>(extent - i * chunk, 0, chunk));
  }
  int64_t sum = 0;
  for (const int64_t size : sizes) sum += size < 0 || size > extent ? extent + 1 : size;
  if (sum != extent || static_cast<int64_t>(sizes.size()) != parts)
    return c.error(fmt::format("pieces {} do not make up axis {} of shape {} for {} outputs", shape_text(sizes), *axis,
                               shape_text(c.shape(0)), parts));
  Types out;
  for (const int64_t size : sizes) {
    out.push_back({c.type(0), c.shape(0)});
    out.back().shape[*axis] = size;
  }
  return out;
}

Result<Types> slice(const ShapeContext& c) {
  const auto starts = integers_or(c, 1, "starts"), ends = integers_or(c, 2, "ends"), axes = integers_or(c, 3, "axes"),
             steps = integers_or(c, 4, "steps");
  for (const auto* given : {&starts, &ends, &axes, &steps})
    if (!given->ok()) return given->error();
  if (!starts.value() || !ends.value()) return c.error("has no starts or ends");
  const Integers cuts = slice_ranges(c.shape(0), *starts.value(), *ends.value(), axes.value(), steps.value());
  if (cuts.empty() && !(c.shape(0).empty() && starts.value()->empty() && ends.value()->empty()))
    return c.error(
        fmt::format("starts, ends, axes and steps do not describe a slice of shape {}", shape_text(c.shape(0))));
  Shape out;
  for (size_t i = 0; i < c.shape(0).size(); ++i) out.push_back(cuts[3 * i + 2]);
  return Types{{c.type(0), out}};
}

Result<Types> gather(const ShapeContext& c) {
  const std::optional<int64_t> axis = normal_axis(c.node.get<int64_t>("axis", 0), c.rank(0));
  if (!axis) return c.error(fmt::format("axis is outside shape {}", shape_text(c.shape(0))));
  if (c.type(1) != Type::kInt64 && c.type(1) != Type::kInt32)
    return c.error(fmt::format("its indices must be int32 or int64, they are {}", type_name(c.type(1))));
  Shape out(c.shape(0).begin(), c.shape(0).begin() + *axis);
  out.insert(out.end(), c.shape(1).begin(), c.shape(1).end());
  out.insert(out.end(), c.shape(0).begin() + *axis + 1, c.shape(0).end());
  return Types{{c.type(0), out}};
}

Result<Types> gather_elements(const ShapeContext& c) {
  const std::optional<int64_t> axis = normal_axis(c.node.get<int64_t>("axis", 0), c.rank(0));
  if (!axis || c.rank(1) != c.rank(0))
    return c.error(fmt::format("indices {} do not fit shape {}", shape_text(c.shape(1)), shape_text(c.shape(0))));
  if (c.type(1) != Type::kInt64 && c.type(1) != Type::kInt32)
    return c.error(fmt::format("its indices must be int32 or int64, they are {}", type_name(c.type(1))));
  for (int64_t i = 0; i < c.rank(0); ++i)
    if (i != *axis && c.shape(1)[i] > c.shape(0)[i])
      return c.error(fmt::format("indices {} do not fit shape {}", shape_text(c.shape(1)), shape_text(c.shape(0))));
  return Types{{c.type(0), c.shape(1)}};
}

Result<Types> expand(const ShapeContext& c) {
  const auto shape = c.integers(1);
  if (!shape.ok()) return shape.error();
  const std::optional<Shape> both = broadcast(c.shape(0), *shape.value());
  if (!both)
    return c.error(fmt::format("shape {} does not expand to {}", shape_text(c.shape(0)), shape_text(*shape.value())));
  return Types{{c.type(0), *both}};
}

Result<Types> tile(const ShapeContext& c) {
  const auto repeats = c.integers(1);
  if (!repeats.ok()) return repeats.error();
  Shape out = c.shape(0);
  if (repeats.value()->size() != out.size())
    return c.error(fmt::format("repeats {} do not fit shape {}", shape_text(*repeats.value()), shape_text(out)));
  for (size_t i = 0; i < out.size(); ++i) {
    const int64_t repeat = (*repeats.value())[i];
    if (repeat < 0 || repeat > (int64_t{1} << 32) || out[i] > (int64_t{1} << 30))
      return c.error(fmt::format("repeats {} are out of range", shape_text(*repeats.value())));
    out[i] *= repeat;
  }
  return Types{{c.type(0), out}};
}

Result<Types> shape_of(const ShapeContext& c) {
  const int64_t rank = c.rank(0);
  const auto clamp = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank); };
  return Types{
      {Type::kInt64,
       {std::max<int64_t>(0, clamp(c.node.get<int64_t>("end", rank)) - clamp(c.node.get<int64_t>("start", 0)))}}};
}

Result<Types> size_of(const ShapeContext&) { return Types{{Type::kInt64, {}}}; }

Result<Types> constant_of_shape(const ShapeContext& c) {
  const auto shape = c.integers(0);
  if (!shape.ok()) return shape.error();
  const Tensor value = c.node.get<Tensor>("value", Tensor::of<float>({1}, {0.0f}));
  if (value.count() != 1)
    return c.error(fmt::format("its value must be one element, it has shape {}", shape_text(value.shape())));
  return Types{{value.type(), *shape.value()}};
}

Result<Types> range(const ShapeContext& c) {
  for (size_t i = 0; i < 3; ++i) {
    if (c.known(i) == nullptr)
      return c.error(fmt::format("input '{}' decides a shape but is not known before the run", c.node.input(i)),
                     Code::kUnsupported);
    if (c.known(i)->count() != 1 || c.type(i) != c.type(0)) return c.error("takes three scalars of one type");
  }
  const double start = to_doubles(*c.known(0))[0], limit = to_doubles(*c.known(1))[0],
               delta = to_doubles(*c.known(2))[0];
  const double count = std::max(0.0, std::ceil((limit - start) / delta));
  if (!(count < 1e9)) return c.error(fmt::format("from {} to {} by {} has no usable length", start, limit, delta));
  return Types{{c.type(0), {static_cast<int64_t>(count)}}};
}

Result<Types> pad(const ShapeContext& c) {
  const auto given = integers_or(c, 1, "pads");
  if (!given.ok()) return given.error();
  const auto axes = c.integers(3);
  if (!axes.ok()) return axes.error();
  Integers all(c.rank(0));
  std::iota(all.begin(), all.end(), 0);
  const Integers& named = axes.value() ? *axes.value() : all;
  if (!given.value() || given.value()->size() != 2 * named.size())
    return c.error(fmt::format("needs {} pads for shape {}", 2 * named.size(), shape_text(c.shape(0))));
  if (c.has(2) && (c.type(2) != c.type(0) || checked_count(c.shape(2)).value() != 1))
    return c.error("its padding value must be one element of the input's type");
  const auto marks = axis_marks(c, named, c.rank(0));
  if (!marks.ok()) return marks.error();
  Shape out = c.shape(0);
  const std::string mode = c.node.get<std::string>("mode", "constant");
  if (mode != "constant" && mode != "reflect" && mode != "edge" && mode != "wrap")
    return c.error(fmt::format("mode '{}' is unknown; constant, reflect, edge and wrap are", mode));
  for (size_t i = 0; i < named.size(); ++i) {
    const int64_t axis = *normal_axis(named[i], c.rank(0)), before = (*given.value())[i],
                  after = (*given.value())[i + named.size()];
    const int64_t extent = out[axis], most = mode == "constant" ? int64_t{1} << 32 : extent > 0 ? int64_t{1} << 32 : 0;
    if (before > most || after > most || before < -extent || after < -extent || before + after + extent < 0)
      return c.error(fmt::format("pads {} do not fit shape {} in mode {}", shape_text(*given.value()),
                                 shape_text(c.shape(0)), mode));
    out[axis] += before + after;
  }
  return Types{{c.type(0), out}};
}

Result<Types> one_hot(const ShapeContext& c) {
  const auto depth = c.numbers(1);  // the standard lets it be a float
  if (!depth.ok()) return depth.error();
  if (depth.value()->size() != 1 || depth.value()->front() < 0)
    return c.error("its depth must be one number, at least 0");
  if (checked_count(c.shape(2)).value() != 2) return c.error("its values must be two: off and on");
  const std::optional<int64_t> axis = normal_axis(c.node.get<int64_t>("axis", -1), c.rank(0) + 1);
  if (!axis) return c.error("axis is out of range");
  Shape out = c.shape(0);
  out.insert(out.begin() + *axis, depth.value()->front());
  return Types{{c.type(2), out}};
}

}  // namespace

std::vector<int64_t> slice_ranges(const Shape& shape, const std::vector<int64_t>& starts,
                                  const std::vector<int64_t>& ends, const std::optional<std::vector<int64_t>>& axes,
                                  const std::optional<std::vector<int64_t>>& steps) {
  const int64_t rank = static_cast<int64_t>(shape.size());
  Integers out;
  for (const int64_t extent : shape) out.insert(out.end(), {0, 1, extent});
  if (starts.size() != ends.size() || (axes && axes->size() != starts.size()) ||
      (steps && steps->size() != starts.size()))
    return {};
  for (size_t i = 0; i < starts.size(); ++i) {
    const std::optional<int64_t> axis = normal_axis(axes ? (*axes)[i] : static_cast<int64_t>(i), rank);
    const int64_t step = steps ? (*steps)[i] : 1;
    if (!axis || step == 0 || step == INT64_MIN) return {};
    const int64_t extent = shape[*axis], low = step > 0 ? 0 : -1, high = step > 0 ? extent : extent - 1;
    const auto bound = [&](int64_t at) {
      return std::clamp(at < 0 ? at + extent : at, low, high);
    };  // at >= INT64_MIN: no overflow
    const int64_t start = extent == 0 ? 0
                                      : std::clamp<int64_t>(starts[i] < 0 ? starts[i] + extent : starts[i], 0,
                                                            step > 0 ? extent : extent - 1);
    const int64_t end = bound(ends[i]);
    const int64_t span = step > 0 ? end - start : start - end;
    out[3 * *axis] = start;
    out[3 * *axis + 1] = step;
    out[3 * *axis + 2] = extent == 0 || span <= 0 ? 0 : (span - 1) / std::abs(step) + 1;
  }
  return out;
}

void add_layout_rules(std::vector<OpEntry>* table) {
  constexpr size_t kMany = 1 << 20;
  table->push_back({"", "Reshape", 1, 2, reshape});
  table->push_back({"", "Flatten", 1, 1, flatten});
  table->push_back({"", "Squeeze", 1, 2, squeeze});
  table->push_back({"", "Unsqueeze", 1, 2, unsqueeze});
  table->push_back({"", "Transpose", 1, 1, transpose});
  table->push_back({"", "Concat", 1, kMany, concat});
  table->push_back({"", "Split", 1, 2, split});
  table->push_back({"", "Slice", 1, 5, slice});
  table->push_back({"", "Gather", 2, 2, gather});
  table->push_back({"", "GatherElements", 2, 2, gather_elements});
  table->push_back({"", "Expand", 2, 2, expand});
  table->push_back({"", "Tile", 2, 2, tile});
  table->push_back({"", "Shape", 1, 1, shape_of});
  table->push_back({"", "Size", 1, 1, size_of});
  table->push_back({"", "ConstantOfShape", 1, 1, constant_of_shape});
  table->push_back({"", "Range", 3, 3, range});
  table->push_back({"", "Pad", 1, 4, pad});
  table->push_back({"", "OneHot", 3, 3, one_hot});
}

}  // namespace hayate
