// Attention on native: the form that the rewrite makes and the standard's, against the reference.
#include <gtest/gtest.h>

#include "one_node.h"

namespace hayate {
namespace {

using Attributes = std::map<std::string, Attribute>;

OneNode rewritten(const Shape& lead, std::vector<Tensor> mask, std::set<size_t> constants = {}) {
  const auto shape = [&](int64_t places, int64_t features) {
    Shape made = lead;
    made.push_back(places), made.push_back(features);
    return made;
  };
  std::vector<Tensor> inputs{random_floats(shape(21, 12), 1), random_floats(shape(9, 12), 2),
                             random_floats(shape(9, 20), 3)};
  inputs.insert(inputs.end(), mask.begin(), mask.end());
  OneNode one("Attention", inputs, {{"scale", 0.3f}}, 1, "hayate");
  one.constants = std::move(constants);
  return one;
}

TEST(Attention, RewrittenFormOfEveryRank) {
  for (const Shape& lead : {Shape{}, Shape{3}, Shape{2, 3}}) expect_native_equals_reference(rewritten(lead, {}), 0);
  expect_native_equals_reference(rewritten({2, 1, 3}, {}), 1, "five axes");
}

TEST(Attention, MasksThatBroadcastOrNotConstantOrNot) {
  for (const bool constant : {false, true})
    for (const Shape& mask : {Shape{21, 9}, Shape{1, 9}, Shape{9}, Shape{21, 1}, Shape{3, 1, 9}, Shape{2, 1, 21, 9},
                              Shape{2, 3, 21, 9}, Shape{1}})
      expect_native_equals_reference(
          rewritten({2, 3}, {random_floats(mask, 4)}, constant ? std::set<size_t>{3} : std::set<size_t>{}), 0,
          shape_text(mask));
}

// Keys and values of 2 heads for 4 heads of queries; an attribute map for the flat form.
OneNode standard(bool flat, Attributes attributes, std::vector<Tensor> mask = {}) {
  const Shape q = flat ? Shape{2, 21, 4 * 12} : Shape{2, 4, 21, 12},
              k = flat ? Shape{2, 9, 2 * 12} : Shape{2, 2, 9, 12}, v = flat ? Shape{2, 9, 2 * 20} : Shape{2, 2, 9, 20};
  if (flat) attributes["q_num_heads"] = int64_t{4}, attributes["kv_num_heads"] = int64_t{2};
  std::vector<Tensor> inputs{random_floats(q, 1), random_floats(k, 2), random_floats(v, 3)};
  inputs.insert(inputs.end(), mask.begin(), mask.end());
  OneNode one("Attention", inputs, std::move(attributes));
  one.opset = 23;
  if (!mask.empty()) one.constants = {3};
  return one;
}

Tensor every_third() {
  Tensor mask(Type::kBool, {21, 9});
  for (int64_t i = 0; i < mask.count(); ++i) mask.bytes()[i] = std::byte{static_cast<uint8_t>(i % 3 == 0 && i > 8)};
  return mask;  // the first query sees nothing
}

TEST(Attention, StandardFormWithSharedKeys) {
  for (const bool flat : {false, true}) {
    expect_native_equals_reference(standard(flat, {}), 0);
    expect_native_equals_reference(standard(flat, {{"is_causal", int64_t{1}}, {"scale", 0.2f}}), 0, "causal");
    expect_native_equals_reference(standard(flat, {}, {every_third()}), 0, "bool mask");
    expect_native_equals_reference(standard(flat, {}, {random_floats({4, 21, 9}, 5)}), 0, "float mask");
    expect_native_equals_reference(standard(flat, {}, {random_floats({21, 5}, 5)}), 1, "short mask");
    expect_native_equals_reference(standard(flat, {{"softcap", 2.0f}}), 1, "cap");
  }
}

// What is hidden weighs zero, and NaN times that is NaN, as in ONNX Runtime.
TEST(Attention, NanInAHiddenValueIsSeen) {
  OneNode one = standard(false, {{"is_causal", int64_t{1}}});
  one.inputs[2].data<float>()[8 * 20] = NAN;  // of the last key of the first head, hidden from the first query
  const Tensor made = one.reference().value().at("o0");
  EXPECT_TRUE(std::isnan(made.data<float>()[0]));
  EXPECT_FALSE(std::isnan(made.data<float>()[1]));
  expect_native_equals_reference(one, 0);
}

TEST(Attention, ARowThatSeesNothing) {
  // Minus infinity everywhere has no softmax in the spelled-out form; the standard's says 0.
  Tensor mask = random_floats({21, 9}, 6);
  for (int64_t i = 0; i < 9; ++i) mask.data<float>()[i] = -INFINITY;
  const OneNode spelled = rewritten({2, 3}, {mask}, {3});
  const Tensor nan = spelled.reference().value().at("o0"),
               zero = standard(false, {}, {every_third()}).reference().value().at("o0");
  EXPECT_TRUE(std::isnan(nan.data<float>()[0]));
  EXPECT_EQ(zero.data<float>()[0], 0);
  expect_native_equals_reference(spelled, 0);
}

// Scores of minus infinity beside NaN: not a row that sees nothing, in whatever order they stand.
TEST(Attention, NanAmongScoresOfMinusInfinityIsSeen) {
  for (const size_t nan : {0, 1, 2}) {
    Tensor keys = Tensor::of<float>({1, 1, 3, 1}, {-INFINITY, -INFINITY, -INFINITY});
    keys.data<float>()[nan] = NAN;
    OneNode one("Attention", {Tensor::of<float>({1, 1, 1, 1}, {1}), keys, random_floats({1, 1, 3, 1}, 1)});
    one.opset = 23;
    EXPECT_TRUE(std::isnan(one.reference().value().at("o0").data<float>()[0])) << nan;
    expect_native_equals_reference(one, 0);
  }
}

}  // namespace
}  // namespace hayate
