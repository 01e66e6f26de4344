// Questions that several rules ask of nodes around a value. None changes anything; depths are bounded, so that a
// question costs the same in any graph.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rewrite/editor.h"

namespace hayate {

// Equal up to the rounding of a float32 constant.
bool near(std::optional<double> value, double wanted);

// The node of that operator (of ai.onnx) that makes `name`; else null.
Node* made_by(Editor* editor, const std::string& name, std::string_view op);
// The node of that operator that alone reads `name`, once, where `name` is no output; else null.
Node* read_by(Editor* editor, const std::string& name, std::string_view op);
// Of a node with two inputs, the one that is not `name`; empty where it is not there.
std::string other_input(const Node& node, const std::string& name);
bool same_type(Editor* editor, const std::string& a, const std::string& b);  // false where one is not known

// One step of arithmetic with a single number that keeps the type: made = of * factor + shift.
struct AffineStep {
  std::string of, made;
  double factor = 1, shift = 0;
};
std::optional<AffineStep> affine_made(Editor* editor, const std::string& name);  // by the maker of `name`
std::optional<AffineStep> affine_read(Editor* editor, const std::string& name);  // by the only reader of `name`

// The coefficients (of 1, x, x^2, x^3) of what `name` is as a polynomial in x; empty where it is none of degree 3.
std::optional<std::vector<double>> polynomial_in(Editor* editor, const std::string& name, const std::string& x);
bool is_polynomial(Editor* editor, const std::string& name, const std::string& x, const std::vector<double>& wanted);

// The value whose square `name` is (x * x, x ^ 2); empty where it is none.
std::string square_root_of(Editor* editor, const std::string& name);

// Where a value f(x) is multiplied by x and by numbers in any order, as exporters write x * f(x) / c.
struct Product {
  Node* last = nullptr;  // makes factor * x * f(x); the values between have no other reader
  double factor = 0;
};
// `f` is f(x) * b + a on the way (single readers), with a == shift * b. Null where it is not multiplied by x that way.
std::optional<Product> product_with(Editor* editor, const std::string& f, const std::string& x, double shift,
                                    double wanted_factor);

// What x may be, given f(x): the value it is multiplied by, and what that is a multiple of. Empty where it is none.
std::vector<std::string> product_candidates(Editor* editor, const std::string& f);

// A constant that holds one number for each of the `channels` along `axis` of a value of this shape, or one for all.
std::optional<std::vector<double>> per_channel(Editor* editor, const std::string& name, const Shape& shape,
                                               int64_t axis);
Tensor floats_of(const std::vector<double>& values);

}  // namespace hayate
