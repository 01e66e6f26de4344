// Checks that several groups of shape rules share.
#pragma once

#include <initializer_list>
#include <optional>

#include "graph/op_table.h"

namespace hayate {

constexpr std::initializer_list<Type> kBytes = {Type::kInt8, Type::kUInt8};

bool is_float(Type type);  // of 16, 32 or 64 bits
// Every input given must be of one float type.
std::optional<Error> float_inputs(const ShapeContext& c);
Error bad(const Node& node, std::string what, Code code = Code::kInvalidArgument);
// Input i, if given, must be of one of these types.
std::optional<Error> type_error(const ShapeContext& c, size_t i, std::initializer_list<Type> types);
// Input i, if given, must have this shape.
std::optional<Error> shape_error(const ShapeContext& c, size_t i, const Shape& wanted);
// What is wrong with `lens`, the sequence_lens of a layer over `steps` steps: one of them outside 0 to `steps`. For the
// rule where they are known before the run, and for the kernel.
std::optional<std::string> lengths_fault(const Node& node, const Tensor& lens, int64_t steps);
inline bool is_one(const Shape& shape) { return shape.empty() || shape == Shape{1}; }

}  // namespace hayate
