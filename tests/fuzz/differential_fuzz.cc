// Small valid graphs over the op table: native, with the instruction set that the last byte picks, answers as the
// reference does, or both refuse.
//
// Inputs are multiples of 1/4 below 4 and, now and then, NaN, infinities and zeros of either sign, so that sums and
// products are exact. What an inexact function gives is read only by functions that neither jump nor magnify.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "eval/evaluate.h"
#include "fuzz/attributes.h"
#include "graph/rule_checks.h"
#include "kernels/vector/kernels.h"
#include "tools/compare.h"

using namespace hayate;

namespace {

using Inputs = std::map<std::string, Tensor>;

constexpr size_t kNodesMax = 4;
constexpr int64_t kElementsMax = 1 << 12;  // of any value

bool in(std::string_view op, std::string_view list) {
  const std::vector<std::string> all = fuzz::words(list);
  return std::find(all.begin(), all.end(), op) != all.end();
}

// Exact on exact inputs.
bool exact(const Node& node) {
  return node.domain.empty() &&
         in(node.op,
            "Add Sub Mul Neg Abs Relu Max Min Clip Sum Identity Cast Where Equal Greater Less GreaterOrEqual "
            "LessOrEqual "
            "And Or Xor Not Sign Floor Ceil Round MatMul Gemm ReduceSum ReduceMax ReduceMin ArgMax ArgMin MaxPool "
            "GlobalMaxPool Conv ConvTranspose MatMulInteger ConvInteger Einsum CumSum IsNaN IsInf Reshape Transpose "
            "Flatten Squeeze Unsqueeze Concat Split Slice Gather GatherElements GatherND ScatterElements ScatterND "
            "Expand "
            "Tile Pad Shape Size Range ConstantOfShape EyeLike DepthToSpace SpaceToDepth OneHot Trilu NonZero TopK "
            "ReverseSequence Compress Unique BitwiseAnd BitwiseOr BitwiseXor BitwiseNot BitShift");
}

// Neither jumps nor magnifies an error by more than the size of its inputs.
bool steady(const Node& node) {
  return (node.domain.empty() || node.domain == "hayate") &&
         in(node.op,
            "Add Sub Mul Neg Abs Relu LeakyRelu Max Min Clip Sum Mean Identity Where MatMul Gemm ReduceSum ReduceMax "
            "ReduceMin ReduceMean MaxPool AveragePool GlobalMaxPool GlobalAveragePool Conv Sigmoid Tanh Softmax Elu "
            "Erf "
            "HardSigmoid HardSwish Softsign Softplus Silu Reshape Transpose Flatten Squeeze Unsqueeze Concat Split "
            "Slice "
            "Gather Expand Tile Pad DepthToSpace SpaceToDepth");
}

class Maker {
 public:
  explicit Maker(fuzz::Choices* choices) : c_(*choices) {
    graph_.source = "fuzzed", graph_.opset = 7 + static_cast<int64_t>(c_.below(18));
    for (size_t i = 1 + c_.below(3); i > 0; --i) add_input();
    for (size_t tries = 0; tries < 24 && graph_.nodes.size() < kNodesMax && c_.more(); ++tries) try_node();
    std::set<std::string> read;
    for (const Node& node : graph_.nodes) read.insert(node.inputs.begin(), node.inputs.end());
    for (const Node& node : graph_.nodes)
      for (const std::string& name : node.outputs)
        if (!name.empty() && (!read.contains(name) || c_.one_in(8)))
          graph_.outputs.push_back({name, Type::kFloat32, false, {}});
  }

  const Graph& graph() const { return graph_; }
  const Inputs& inputs() const { return inputs_; }
  bool inexact() const { return inexact_; }

 private:
  struct Value {
    std::string name;
    TensorType type;
    std::optional<Tensor> contents;
    bool exact = true;
  };

  Type any_type() {
    static const std::vector<Type> kTypes = {
        Type::kFloat32, Type::kFloat32, Type::kFloat32,  Type::kFloat32, Type::kFloat32, Type::kFloat32,
        Type::kFloat64, Type::kInt64,   Type::kInt64,    Type::kInt32,   Type::kBool,    Type::kUInt8,
        Type::kInt8,    Type::kFloat16, Type::kBFloat16, Type::kUInt64,  Type::kInt16};
    return c_.of(kTypes);
  }

  Shape any_shape() {
    static const std::vector<int64_t> kExtents = {1, 2, 3, 4, 5, 2, 3, 1, 7, 8, 16, 17, 33, 0, 6, 9};
    Shape shape(c_.below(5));
    for (int64_t& extent : shape) extent = c_.of(kExtents);
    return count(shape) > kElementsMax ? Shape{2, 3} : shape;
  }

  static int64_t count(const Shape& shape) {
    const Result<int64_t> made = checked_count(shape);
    return made.ok() ? made.value() : INT64_MAX;
  }

  // A shape that goes with `other`: the same, its last axes, two of them swapped, ones, a matrix or filter for it.
  Shape related_shape(const Shape& other) {
    Shape shape = other;
    const auto extent = [&](size_t i) { return i < other.size() ? other[i] : 1; };
    switch (c_.below(8)) {
      case 0:
        if (shape.size() > 1) std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
        return shape;
      case 1:
        return other.empty() ? Shape{} : Shape{other.back()};
      case 2:
        return {};
      case 3:
        return {other.empty() ? 1 : other.back(), 1 + static_cast<int64_t>(c_.below(5))};
      case 4:
        for (int64_t& each : shape)
          if (c_.one_in(2)) each = 1;
        return shape;
      case 5:
        shape = {1 + static_cast<int64_t>(c_.below(4)), extent(1)};
        for (size_t i = 2; i < other.size(); ++i) shape.push_back(1 + static_cast<int64_t>(c_.below(3)));
        return shape;
      case 6:
        return {extent(1)};
      default:
        return shape;
    }
  }

  // Contents are made from one byte, not from one each.
  Tensor tensor(Type type, const Shape& shape) {
    Tensor made(type, shape);
    const bool special = c_.one_in(16);
    uint32_t state = c_.byte() * 2654435761u + 12345;
    const auto next = [&] { return (state = state * 1664525u + 1013904223u) >> 16; };
    const double kSpecial[] = {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
                               -std::numeric_limits<double>::infinity(), 0.0, -0.0};
    const auto value = [&] {
      if (special && next() % 4 == 0) return kSpecial[next() % 5];
      return static_cast<double>(static_cast<int>(next() % 32) - 16) / 4;
    };
    visit_type(type, [&]<typename T>() {
      for (int64_t i = 0; i < made.count(); ++i) {
        if constexpr (std::is_floating_point_v<T>)
          made.data<T>()[i] = static_cast<T>(value());
        else if constexpr (std::is_same_v<T, bool>)
          made.data<T>()[i] = next() % 2 == 0;
        else
          made.data<T>()[i] = static_cast<T>(static_cast<int>(next() % 8) - (std::is_signed_v<T> ? 2 : 0));
      }
    });
    if (!is_half_float(type)) return made;
    Tensor wide(Type::kFloat64, shape);
    for (int64_t i = 0; i < wide.count(); ++i) wide.data<double>()[i] = value();
    doubles_to_halves(wide, &made);
    return made;
  }

  void add_input() {
    const Type type = any_type();
    const Shape shape = any_shape();
    const std::string name = "i" + std::to_string(values_.size());
    ValueInfo info{name, type, true, {}};
    for (const int64_t extent : shape) info.dims.push_back({extent > 0 ? extent : -1, ""});
    if (!shape.empty() && c_.one_in(4)) info.dims[0] = {-1, "N"};
    graph_.inputs.push_back(info);
    inputs_.emplace(name, tensor(type, shape));
    values_.push_back({name, {type, shape}, std::nullopt});
  }

  // A constant as input `place` of a node whose first input is `first`: like it, or a short list of integers.
  Value constant(const Value* first, size_t place) {
    const Type type = first == nullptr || c_.one_in(6) ? any_type() : first->type.type;
    Tensor made;
    if (place > 0 && c_.one_in(3)) {
      std::vector<int64_t> list(c_.below(5));
      for (int64_t& each : list) each = fuzz::integer(&c_);
      made = c_.one_in(4) && !list.empty() ? Tensor::of<int64_t>({}, {list[0]})
                                           : Tensor::of<int64_t>({static_cast<int64_t>(list.size())}, list);
    } else {
      const Shape shape = first == nullptr ? any_shape() : related_shape(first->type.shape);
      made = tensor(type, count(shape) > kElementsMax ? Shape{2} : shape);
    }
    return {"c" + std::to_string(named_++), {made.type(), made.shape()}, made};
  }

  void try_node() {
    const OpEntry& entry = op_table()[c_.below(op_table().size())];
    if (entry.op.find("Random") != std::string_view::npos || entry.op == "Dropout") return;
    if (entry.domain == "hayate" && entry.op == "Objective") return;  // importers make it, of kinds that there are
    Node node;
    node.domain = entry.domain, node.op = entry.op;
    node.name = fmt::format("n{}", graph_.nodes.size());
    std::vector<Value> taken;
    const size_t most = std::min<size_t>(entry.inputs_max, entry.inputs_min + 3);
    for (size_t i = 0, n = entry.inputs_min + c_.below(most - entry.inputs_min + 1); i < n; ++i) {
      if (i >= entry.inputs_min && c_.one_in(4)) {
        taken.push_back({});
      } else if (i == 0 ? !c_.one_in(12) : c_.one_in(3)) {
        taken.push_back(c_.one_in(2) ? values_.back() : values_[c_.below(values_.size())]);
      } else {
        taken.push_back(constant(taken.empty() ? nullptr : &taken[0], i));
      }
      node.inputs.push_back(taken.back().name);
    }
    const std::vector<std::string> names = fuzz::words(fuzz::attribute_names(entry.op));
    for (size_t i = c_.below(5); i > 0; --i) {
      const std::string name = c_.of(names);
      node.attributes.insert_or_assign(name, fuzz::attribute(&c_, name));
    }
    for (size_t i = c_.one_in(4) ? 1 + c_.below(3) : 1; i > 0; --i)
      node.outputs.push_back(c_.one_in(16) && i > 1 ? "" : "t" + std::to_string(named_++));
    add(std::move(node), taken);
  }

  void add(Node node, const std::vector<Value>& taken) {
    std::vector<const TensorType*> types;
    std::vector<const Tensor*> contents;
    bool all_exact = true, all_known = true;
    for (const Value& value : taken) {
      types.push_back(value.name.empty() ? nullptr : &value.type);
      contents.push_back(value.contents ? &*value.contents : nullptr);
      all_exact = all_exact && value.exact;
      all_known = all_known && (value.name.empty() || value.contents);
    }
    if (!all_exact && !steady(node)) return;
    const Result<Types> made = output_types(ShapeContext(node, graph_.opset, types, contents));
    if (!made.ok()) return fuzz::check_error(made.error());
    for (const TensorType& type : made.value())
      if (count(type.shape) > kElementsMax) return;
    const bool still_exact = all_exact && exact(node);
    inexact_ = inexact_ || !still_exact;
    for (const Value& value : taken)
      if (value.contents) graph_.constants.emplace(value.name, *value.contents);
    for (size_t i = 0; i < node.outputs.size(); ++i)
      if (!node.outputs[i].empty()) values_.push_back({node.outputs[i], made.value()[i], std::nullopt, still_exact});
    graph_.nodes.push_back(std::move(node));
  }

  fuzz::Choices& c_;
  Graph graph_;
  Inputs inputs_;
  std::vector<Value> values_;
  size_t named_ = 0;
  bool inexact_ = false;
};

// The first elements of two tensors of one shape that are not the same, for whoever reads the report.
std::string first_differing(const Tensor& got, const Tensor& wanted) {
  const std::vector<double> a = to_doubles(got), b = to_doubles(wanted);
  std::string text;
  for (size_t i = 0, said = 0; i < a.size() && said < 4; ++i)
    if (a[i] != b[i] && !(std::isnan(a[i]) && std::isnan(b[i])))
      text += fmt::format("; [{}] is {} instead of {}", i, a[i], b[i]), ++said;
  return text;
}

double largest(const Inputs& tensors) {
  double most = 1;
  for (const auto& [name, tensor] : tensors)
    for (const double value : to_doubles(tensor))
      if (std::isfinite(value)) most = std::max(most, std::fabs(value));
  return most;
}

// Of every value that the reference makes on the way.
double largest_inside(Graph graph, const Inputs& inputs) {
  graph.outputs.clear();
  for (const Node& node : graph.nodes)
    for (const std::string& name : node.outputs)
      if (!name.empty()) graph.outputs.push_back({name, Type::kFloat32, false, {}});
  const auto all = evaluate(graph, inputs);
  return std::max(largest(inputs), all.ok() ? largest(all.value()) : 1.0);
}

Result<Inputs> run(const Graph& graph, const Inputs& inputs, const std::string& isa) {
  InputTypes types;
  for (const auto& [name, tensor] : inputs) types.emplace(name, TensorType{tensor.type(), tensor.shape()});
  Plan plan;
  plan.backend = "native", plan.isa = isa;
  const auto compiled = compile_graph(graph, types, plan);
  if (!compiled.ok()) return compiled.error();
  const std::unique_ptr<State> state = compiled.value()->state();
  return run_on(state.get(), inputs);
}

void compare(const Graph& graph, const Inputs& inputs, bool inexact, kernels::Isa each) {
  if (std::getenv("HAYATE_FUZZ_PRINT") != nullptr) std::fprintf(stderr, "%s\n", graph.text().c_str());
  const Result<Inputs> wanted = evaluate(graph, inputs);
  const auto fail = [&](const std::string& isa, const std::string& what) {
    std::string given;
    for (const auto& [name, tensor] : inputs)
      given += fmt::format("{} {} {}\n", name, type_name(tensor.type()), shape_text(tensor.shape()));
    fuzz::found(fmt::format("{}: {}\nopset {}\n{}{}", isa, what, graph.opset, graph.text(), given));
  };
  // Inside one graph an error of a few roundings grows at most with the largest value.
  const double most = wanted.ok() && inexact ? largest_inside(graph, inputs) : 1;
  const bool norm = std::any_of(graph.nodes.begin(), graph.nodes.end(), [](const Node& node) {
    return node.op.find("Norm") != std::string::npos || node.op == "LRN";
  });
  const Tolerance tolerance{1e-5, (norm ? 1e-3 : 2e-6) * most};
  const std::string isa(kernels::isa_name(each));
  const Result<Inputs> got = run(graph, inputs, isa);
  // A value out of range where nobody reads what comes of it: native leaves that out.
  if (got.ok() && !wanted.ok() && wanted.error().code == Code::kOutOfRange) return;
  if (got.ok() != wanted.ok())
    fail(isa, got.ok() ? "native runs, the reference says: " + wanted.error().text()
                       : "the reference runs, native says: " + got.error().text());
  if (!got.ok()) return;
  // Where a rounding may be as large as this, what grows exponentially makes anything of it.
  const bool grows = std::any_of(graph.nodes.begin(), graph.nodes.end(), [](const Node& node) {
    constexpr std::string_view kGrow[] = {"Exp", "Pow", "Sinh", "Cosh", "Elu", "Selu", "Celu"};
    return std::find(std::begin(kGrow), std::end(kGrow), node.op) != std::end(kGrow);
  });
  if (grows && inexact && !(most < 50)) return;
  for (const auto& [name, tensor] : wanted.value()) {
    const Difference d = difference(got.value().at(name), tensor, tolerance);
    if (!d.shapes.empty()) fail(isa, name + ": " + d.shapes);
    const bool half = is_half_float(tensor.type());  // rounds once more: to a neighbour
    if (d.outside != 0 && !(half && d.max_relative < 1e-2))
      fail(isa, fmt::format("{}: {} of {} differ, by up to {} ({} of the value){}", name, d.outside, d.count,
                            d.max_absolute, d.max_relative, first_differing(got.value().at(name), tensor)));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const MemoryScope scope(std::make_shared<MemoryBudget>(fuzz::kMemoryMax));
  fuzz::Choices choices(data, size);
  const Maker maker(&choices);
  if (maker.graph().nodes.empty() || maker.graph().outputs.empty()) return 0;
  const std::vector<kernels::Isa> isas = kernels::supported_isas();
  const size_t isa = data[size - 1] % isas.size();  // one a run: the next is another
  compare(maker.graph(), maker.inputs(), maker.inexact(), isas[isa]);
  return 0;
}
