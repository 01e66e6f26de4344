// The op table: for every operator, which types and shapes come out when given ones go in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "graph/graph.h"
#include "tensor/tensor.h"

namespace hayate {

struct TensorType {
  Type type = Type::kFloat32;
  Shape shape;

  bool operator==(const TensorType&) const = default;
  std::string text() const;  // "float32 [2, 3]"
};

// What a shape rule sees of a node. An input left out has neither type nor value; a value is there where it is known
// before the run (constants, and what follows from shapes).
class ShapeContext {
 public:
  ShapeContext(const Node& node, int64_t opset, std::vector<const TensorType*> types, std::vector<const Tensor*> values)
      : node(node), opset(node.opset != 0 ? node.opset : opset), types_(std::move(types)), values_(std::move(values)) {}

  const Node& node;
  const int64_t opset;

  size_t input_count() const { return types_.size(); }
  bool has(size_t i) const { return i < types_.size() && types_[i] != nullptr; }
  // Requires: has(i).
  Type type(size_t i) const { return types_[i]->type; }
  const Shape& shape(size_t i) const { return types_[i]->shape; }
  int64_t rank(size_t i) const { return static_cast<int64_t>(types_[i]->shape.size()); }
  const Tensor* known(size_t i) const { return i < values_.size() ? values_[i] : nullptr; }

  // Integers that decide a shape: from input i where it is there and known. Empty where it is left out; an error where
  // it depends on what the model is fed.
  Result<std::optional<std::vector<int64_t>>> integers(size_t i) const;
  // The same of any type, cut to whole numbers.
  Result<std::optional<std::vector<int64_t>>> numbers(size_t i) const;
  Error error(std::string what, Code code = Code::kInvalidArgument) const {
    return Error{code, node.where(), std::move(what)};
  }

 private:
  std::vector<const TensorType*> types_;
  std::vector<const Tensor*> values_;
};

// One type per output of the node, also for those nobody asked for. A rule checks whatever the kernels rely on.
using Types = std::vector<TensorType>;
using ShapeRule = Result<Types> (*)(const ShapeContext&);

struct OpEntry {
  std::string_view domain, op;
  size_t inputs_min = 0, inputs_max = 0;
  ShapeRule rule = nullptr;
};

// Null where the operator is unknown.
const OpEntry* find_op(std::string_view domain, std::string_view op);
const std::vector<OpEntry>& op_table();  // sorted by domain and name

// "operator domain.Op is not supported (opset 17)".
std::string unknown_operator(const Node& node, int64_t opset);

// Checks the number of inputs and calls the rule. Unknown operators are refused by name.
Result<Types> output_types(const ShapeContext& context);

// Helpers that rules share.
// NumPy's broadcasting of the two; nothing where they do not fit.
std::optional<Shape> broadcast(const Shape& a, const Shape& b);
// Start, step and count of every axis (three numbers each) that Slice takes from `shape`; empty where they do not fit.
std::vector<int64_t> slice_ranges(const Shape& shape, const std::vector<int64_t>& starts,
                                  const std::vector<int64_t>& ends, const std::optional<std::vector<int64_t>>& axes,
                                  const std::optional<std::vector<int64_t>>& steps);
// Which axes a reduction folds: those given, all where none are (or none, with noop_with_empty_axes).
Result<std::vector<bool>> reduced_axes(const Node& node, int64_t rank,
                                       const std::optional<std::vector<int64_t>>& given);
// ONNX's TensorProto.DataType codes that tensors here can have.
std::optional<Type> type_from_code(int64_t code);
// "22 (int4)", "float32" where tensors can have it, "99" where the standard has none.
std::string element_type_text(int64_t code);
// The distinct slices of a tensor along `axis` (without one: its elements): where each first occurs, in rising order of
// contents or of occurrence; and for every slice of the tensor which of those it equals.
std::pair<std::vector<int64_t>, std::vector<int64_t>> unique_slices(const Tensor& tensor, std::optional<int64_t> axis,
                                                                    bool sorted);
// 0 <= axis < rank from -rank <= axis < rank; nothing outside.
std::optional<int64_t> normal_axis(int64_t axis, int64_t rank);

}  // namespace hayate
