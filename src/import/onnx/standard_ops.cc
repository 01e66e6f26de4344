#include "import/onnx/standard_ops.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>

#include "eval/trees.h"
#include "import/onnx/tree_lists.h"

namespace hayate {
namespace {

using kernels::Objective;
using kernels::Split;
using kernels::Trees;

constexpr int64_t kOpset = 17;  // of ai.onnx, where nothing depends on it yet

Error refused(const Node& node, std::string what) {
  return Error{Code::kUnsupported, node.where(), "cannot be said in ONNX: " + std::move(what)};
}

// How a column is read before its nodes compare it.
struct Column {
  bool zero_missing = false, plain_zero = false;  // by some nodes
  bool truncated = false, floored = false, number = false;
};

Result<std::vector<Column>> columns_of(const Node& node, const Trees& t) {
  std::vector<Column> columns(static_cast<size_t>(t.features));
  for (int64_t i = 0; i < t.node_count(); ++i) {
    if (t.split(i) == Split::kLeaf) continue;
    Column& column = columns[static_cast<size_t>(t.feature[i])];
    ((t.kind[i] & kernels::kZeroMissing) != 0 ? column.zero_missing : column.plain_zero) = true;
    const bool category = t.split(i) == Split::kInSet && (t.kind[i] & kernels::kMember) == 0;
    (!category ? column.number : (t.kind[i] & kernels::kTruncate) != 0 ? column.truncated : column.floored) = true;
  }
  for (size_t f = 0; f < columns.size(); ++f) {
    const Column& c = columns[f];
    if (c.zero_missing && c.plain_zero)
      return refused(node, fmt::format("column {} has missing zeros in some nodes only", f));
    if (c.number + c.truncated + c.floored > 1)
      return refused(node, fmt::format("column {} is a category in some nodes only", f));
  }
  return columns;
}

// Builds the graph anew, node by node.
class Speller {
 public:
  explicit Speller(const Graph& from) : made_(from) {
    made_.nodes.clear();
    // A file without a node of ai.onnx may have named no opset, or the newest.
    const bool standard =
        std::any_of(from.nodes.begin(), from.nodes.end(), [](const Node& n) { return n.domain.empty(); });
    if (made_.opset == 0 || !standard) made_.opset = kOpset;
    for (const auto& [name, value] : from.constants) taken_.insert(name), types_[name] = value.type();
    for (const ValueInfo& input : from.inputs) taken_.insert(input.name), types_[input.name] = input.type;
    for (const Node& node : from.nodes) taken_.insert(node.outputs.begin(), node.outputs.end());
  }

  std::optional<Error> add(const Node& node) {
    if (node.domain == "ai.onnx.ml" && node.op == "ZipMap") {  // its tensor passes through
      op("Identity", {node.inputs[0]}, {}, node.outputs[0]);
      return std::nullopt;
    }
    if (node.domain != "hayate") {
      made_.nodes.push_back(node);
      return std::nullopt;
    }
    if (made_.opset < kOpset)
      return refused(node, fmt::format("it stands in a model of opset {}; {} is needed", made_.opset, kOpset));
    const auto input = types_.find(node.input(0));
    if (input == types_.end()) return refused(node, "the type of its input is not known");
    if (node.op == "TreeEnsemble") return trees(node, input->second);
    if (node.op == "LinearBooster") return linear(node);
    if (node.op == "Objective") return objective(node, input->second);
    return refused(node, "no operator of the standard does the same");
  }

  Graph take() { return std::move(made_); }

 private:
  std::string fresh(const std::string& stem) {
    std::string name = stem;
    for (int i = 1; !taken_.insert(name).second; ++i) name = fmt::format("{}_{}", stem, i);
    return name;
  }

  // A node; the name of its output (`to`, where it is given).
  std::string op(const std::string& kind, std::vector<std::string> inputs,
                 std::map<std::string, Attribute> attributes = {}, std::string to = "",
                 const std::string& domain = "") {
    if (to.empty()) to = fresh(kind);
    made_.nodes.push_back({to + "/" + kind, domain, kind, std::move(inputs), {to}, std::move(attributes)});
    return to;
  }

  std::string constant(const std::string& stem, const Tensor& value) {
    const std::string name = fresh(stem);
    made_.constants.emplace(name, value);
    return name;
  }

  std::string number(double value, Type type) {
    return constant("number", type == Type::kFloat64 ? Tensor::of<double>({}, {value})
                                                     : Tensor::of<float>({}, {static_cast<float>(value)}));
  }

  std::string row(const std::vector<double>& values, Type type) {
    const Shape shape = {static_cast<int64_t>(values.size())};
    return constant("row", type == Type::kFloat64 ? Tensor::of<double>(shape, values)
                                                  : Tensor::of<float>(shape, {values.begin(), values.end()}));
  }

  // Which columns a property has, as a mask over the row; empty: none.
  std::string mask(const std::vector<Column>& columns, bool Column::*property) {
    Tensor made(Type::kBool, {static_cast<int64_t>(columns.size())});
    bool any = false;
    for (size_t f = 0; f < columns.size(); ++f) {
      made.data<bool>()[f] = columns[f].*property;
      any = any || columns[f].*property;
    }
    return any ? constant("columns", made) : "";
  }

  // Missing zeros become NaN, categories whole numbers: toward 0 (LightGBM), or down, where what lies below 0 is none
  // (XGBoost).
  std::string prepared(std::string x, Type type, const std::vector<Column>& columns) {
    if (const std::string zeros = mask(columns, &Column::zero_missing); !zeros.empty()) {
      const std::string small = op("LessOrEqual", {op("Abs", {x}), number(kernels::kZeroBound, type)});
      x = op("Where", {op("And", {small, zeros}), number(std::numeric_limits<double>::quiet_NaN(), type), x});
    }
    if (const std::string whole = mask(columns, &Column::truncated); !whole.empty())
      x = op("Where", {whole, op("Mul", {op("Sign", {x}), op("Floor", {op("Abs", {x})})}), x});
    if (const std::string whole = mask(columns, &Column::floored); !whole.empty())
      x = op("Where", {whole, op("Floor", {x}), x});
    return x;
  }

  std::optional<Error> trees(const Node& node, Type type) {
    const Result<Trees> read = trees_from(node, {});
    if (!read.ok()) return read.error();
    const Trees& t = read.value();
    const bool float64 = node.get<Tensor>("threshold", Tensor()).type() == Type::kFloat64;
    if (t.linear()) return refused(node, "leaves that are linear functions of the row (linear_tree)");
    if (float64 != t.float64_sum || float64 != (type == Type::kFloat64))
      return refused(node, "thresholds, sums and rows are not of one type");
    const bool extreme = t.aggregate == kernels::Aggregate::kMin || t.aggregate == kernels::Aggregate::kMax;
    if (extreme && t.base_first && !t.base.empty()) return refused(node, "a base before a minimum or maximum");
    const Result<std::vector<Column>> columns = columns_of(node, t);
    if (!columns.ok()) return columns.error();
    std::string x = prepared(node.inputs[0], type, columns.value());
    const bool average = t.aggregate == kernels::Aggregate::kAverage, base_last = !t.base.empty() && !t.base_first;
    const std::string& y = node.outputs[0];
    x = op("TreeEnsemble", {x}, tree_lists(t, float64), average || base_last ? "" : y, "ai.onnx.ml");
    if (average) x = op("Div", {x, number(t.divisor, type)}, {}, base_last ? "" : y);
    if (base_last) op("Add", {x, row(t.base, type)}, {}, y);
    types_[y] = type;
    return std::nullopt;
  }

  std::optional<Error> linear(const Node& node) {
    const Tensor all = node.get<Tensor>("weights", Tensor());
    if (all.type() != Type::kFloat32 || all.rank() != 2 || all.shape()[0] < 1) return refused(node, "its weights");
    const int64_t features = all.shape()[0] - 1, outputs = all.shape()[1];
    const float* w = all.data<float>();
    const std::string zero = number(0, Type::kFloat32), x = node.inputs[0];
    const std::string known = op("Where", {op("IsNaN", {x}), zero, x});
    op("Gemm",
       {known, constant("weights", Tensor::of<float>({features, outputs}, {w, w + features * outputs})),
        constant("bias", Tensor::of<float>({outputs}, {w + features * outputs, w + all.count()}))},
       {}, node.outputs[0]);
    types_[node.outputs[0]] = Type::kFloat32;
    return std::nullopt;
  }

  std::optional<Error> objective(const Node& node, Type type) {
    const auto kind = kernels::objective_from_name(node.get<std::string>("kind", ""));
    const std::vector<double> scale = to_doubles(node.get<Tensor>("scale", Tensor::of<double>({}, {1.0})));
    if (!kind || scale.size() != 1) return refused(node, "its kind is not known");
    const std::string x = node.inputs[0], &y = node.outputs[0];
    const auto one = [&] { return number(1, type); };
    const auto code = [](Type of) {
      return std::map<std::string, Attribute>{{"to", int64_t{of == Type::kFloat64 ? 11 : 1}}};
    };
    switch (*kind) {
      case Objective::kIdentity:
        op("Identity", {x}, {}, y);
        break;
      case Objective::kSigmoid:
        op("Div", {one(), op("Add", {one(), op("Exp", {op("Mul", {x, number(-scale[0], type)})})})}, {}, y);
        break;
      case Objective::kClampedSigmoid: {
        const std::string exponent = op("Min", {op("Neg", {x}), number(88.7f, type)});
        const std::string below = op("Add", {op("Add", {op("Exp", {exponent}), one()}), number(1e-16f, type)});
        op("Div", {one(), below}, {}, y);
        break;
      }
      case Objective::kSoftmax:
        op("Softmax", {x}, {{"axis", int64_t{-1}}}, y);
        break;
      case Objective::kArgmax:
        op("Cast", {op("ArgMax", {x}, {{"axis", int64_t{1}}, {"keepdims", int64_t{1}}})}, code(type), y);
        break;
      case Objective::kExp:
        op("Exp", {x}, {}, y);
        break;
      case Objective::kWideExp:
        op("Cast", {op("Exp", {op("Cast", {x}, code(Type::kFloat64))})}, code(type), y);
        break;
      case Objective::kLog1pExp:
        op("Log", {op("Add", {op("Exp", {x}), one()})}, {}, y);
        break;
      case Objective::kSignedSquare:
        op("Mul", {op("Mul", {op("Sign", {x}), x}), x}, {}, y);
        break;
      case Objective::kStep:
        op("Cast", {op("Greater", {x, number(0, type)})}, code(type), y);
        break;
    }
    types_[y] = type;
    return std::nullopt;
  }

  Graph made_;
  std::set<std::string> taken_;
  std::map<std::string, Type> types_;
};

}  // namespace

Result<Graph> in_standard_operators(const Graph& graph) {
  Speller speller(graph);
  for (const Node& node : graph.nodes)
    if (const auto error = speller.add(node))
      return Error{error->code, graph.source + ": " + error->where, error->what};
  return speller.take();
}

}  // namespace hayate
