// Convolutions, pools, normalisations and resampling: native beside the reference, values worked out by hand, refusals.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "one_node.h"
#include "rewrite/rules/rule_cases.h"

namespace hayate {
namespace {

using Attributes = std::map<std::string, Attribute>;

std::vector<double> answer(const OneNode& one, const std::string& output = "o0") {
  const auto made = one.reference();
  EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().text());
  return made.ok() ? to_doubles(made.value().at(output)) : std::vector<double>();
}

void expect_refused(const OneNode& one, const std::string& wanted) {
  const auto made = one.reference();
  ASSERT_FALSE(made.ok()) << wanted;
  EXPECT_NE(made.error().text().find(wanted), std::string::npos) << made.error().text();
}

Tensor counted(const Shape& shape) {  // 1, 2, 3 ...
  Tensor made(Type::kFloat32, shape);
  for (int64_t i = 0; i < made.count(); ++i) made.data<float>()[i] = static_cast<float>(i + 1);
  return made;
}

OneNode with_constants(OneNode one, std::set<size_t> constants) {
  one.constants = std::move(constants);
  return one;
}

TEST(Windows, ConvolutionsOfEveryRank) {
  for (size_t rank = 1; rank <= 3; ++rank)
    for (const bool constant : {true, false})
      for (const bool transposed : {false, true}) {
        Shape x{2, 4}, w{4, transposed ? 3 : 2};
        x.insert(x.end(), rank, 6), w.insert(w.end(), rank, 3);
        Attributes attributes{
            {"group", int64_t{transposed ? 1 : 2}}, {"strides", Shape(rank, 2)}, {"pads", Shape(2 * rank, 1)}};
        OneNode one(transposed ? "ConvTranspose" : "Conv", {random_floats(x, 1), random_floats(w, 2)}, attributes);
        if (constant) one.constants = {1};
        expect_native_equals_reference(one, constant && !transposed && rank < 3 ? 0 : 1, std::to_string(rank));
      }
}

// What a Conv reads may lie as it wants it without the zeros around that it pads: those are its own to add.
TEST(Windows, PaddingIsAroundWhateverAConvReads) {
  const std::map<std::string, Tensor> constants = {
      {"four", random_floats({4, 4, 3, 3}, 1)}, {"one", random_floats({1, 4, 1, 1}, 2)},
      {"to4", random_floats({4, 1, 5, 5}, 3)},  {"starts", rule_cases::integers({0})},
      {"ends", rule_cases::integers({3})},      {"axes", rule_cases::integers({2})}};
  const std::string conv = "y = Conv(h, four) pads=[1, 1, 1, 1]";
  for (const std::string& nodes :
       {"h = MaxPool(x) kernel_shape=[2, 2]\n" + conv, "h = GlobalAveragePool(x)\n" + conv,
        "g = Conv(x, four)\nh = Slice(g, starts, ends, axes)\n" + conv + "\nz = Conv(g, four) pads=[1, 1, 1, 1]",
        std::string("g = Conv(x, one)\nh = Tanh(g)\ni = Sigmoid(h)\ny = Conv(i, to4) auto_pad=\"SAME_UPPER\"\n"
                    "z = Conv(h, to4) pads=[2, 2, 2, 2]")}) {
    std::vector<std::string> outputs{"y"};
    if (nodes.find("z =") != std::string::npos) outputs.push_back("z");
    const rule_cases::Case given{{{"x", {2, 4, 6, 5}}}, constants, nodes, outputs};
    expect_native_equals_reference(rule_cases::graph_of(given), {{"x", random_floats({2, 4, 6, 5}, 4)}}, 0, nodes);
  }
}

TEST(Windows, TransposedShapesFollowTheirAttributes) {
  const auto extent = [](Attributes attributes) {
    attributes.emplace("strides", Shape{2});
    const auto made =
        OneNode("ConvTranspose", {counted({1, 1, 4}), counted({1, 1, 3})}, std::move(attributes)).reference();
    EXPECT_TRUE(made.ok());
    return made.ok() ? made.value().at("o0").shape().back() : -1;
  };
  EXPECT_EQ(extent({}), 9);
  EXPECT_EQ(extent({{"output_padding", Shape{1}}}), 10);
  EXPECT_EQ(extent({{"auto_pad", std::string("SAME_UPPER")}}), 8);
  EXPECT_EQ(extent({{"auto_pad", std::string("VALID")}, {"pads", Shape{1, 1}}}), 9);
  EXPECT_EQ(extent({{"output_shape", Shape{7}}}), 7);
}

TEST(Windows, PoolsByHand) {
  const Tensor x = Tensor::of<float>({1, 1, 2, 2}, {3, -4, 1, 2});
  EXPECT_EQ(answer(OneNode("GlobalLpPool", {x}, {{"p", int64_t{1}}})), std::vector<double>{10});
  EXPECT_NEAR(answer(OneNode("LpPool", {x}, {{"kernel_shape", Shape{1, 2}}}))[0], 5, 1e-6);
  OneNode indexed("MaxPool", {x}, {{"kernel_shape", Shape{2, 1}}}, 2);
  EXPECT_EQ(answer(indexed, "o1"), (std::vector<double>{0, 3}));
  indexed.node.attributes.emplace("storage_order", int64_t{1});
  EXPECT_EQ(answer(indexed, "o1"), (std::vector<double>{0, 3}));
  // The window starts one before the end and hangs over it by one: two cells of three are seen.
  const OneNode average("AveragePool", {counted({1, 1, 5})},
                        {{"kernel_shape", Shape{3}}, {"strides", Shape{3}}, {"ceil_mode", int64_t{1}}});
  EXPECT_EQ(answer(average), (std::vector<double>{2, 4.5}));
}

TEST(Windows, PoolsOfNothing) {
  for (const char* op : {"GlobalMaxPool", "GlobalAveragePool"})
    expect_native_equals_reference({op, {Tensor(Type::kFloat32, {2, 3, 0})}}, 1, op);
}

TEST(Windows, MaxUnpoolPutsValuesBack) {
  const Attributes window{{"kernel_shape", Shape{2}}, {"strides", Shape{2}}};
  const OneNode one("MaxUnpool", {counted({1, 1, 2}), Tensor::of<int64_t>({1, 1, 2}, {1, 2})}, window);
  EXPECT_EQ(answer(one), (std::vector<double>{0, 1, 2, 0}));
  expect_native_equals_reference(one, 1);
  const OneNode larger(
      "MaxUnpool", {counted({1, 1, 2}), Tensor::of<int64_t>({1, 1, 2}, {1, 2}), Tensor::of<int64_t>({3}, {1, 1, 6})},
      window);
  EXPECT_EQ(answer(larger), (std::vector<double>{0, 1, 2, 0, 0, 0}));
  for (const int64_t index : {int64_t{4}, int64_t{-1}, INT64_MAX, INT64_MIN})
    expect_refused(OneNode("MaxUnpool", {counted({1, 1, 2}), Tensor::of<int64_t>({1, 1, 2}, {1, index})}, window),
                   "is outside shape");
}

TEST(Windows, PoolsOfBytesAndSixteenBitFloats) {
  const OneNode bytes("MaxPool", {Tensor::of<uint8_t>({1, 1, 4}, {1, 200, 7, 9})}, {{"kernel_shape", Shape{2}}});
  EXPECT_EQ(answer(bytes), (std::vector<double>{200, 200, 9}));
  expect_native_equals_reference(bytes, 1);
  Tensor half(Type::kFloat16, {1, 1, 2});
  reinterpret_cast<uint16_t*>(half.bytes())[0] = half_from_float(1),
  reinterpret_cast<uint16_t*>(half.bytes())[1] = half_from_float(2);
  EXPECT_EQ(answer(OneNode("AveragePool", {half}, {{"kernel_shape", Shape{2}}})), std::vector<double>{1.5});
  expect_refused(OneNode("AveragePool", {Tensor::of<uint8_t>({1, 1, 2}, {1, 2})}, {{"kernel_shape", Shape{2}}}),
                 "is not supported on uint8");
}

TEST(Normalizations, ByHand) {
  const Tensor x = Tensor::of<float>({1, 2, 2}, {3, 4, 6, 8});
  const auto near = [](const std::vector<double>& have, const std::vector<double>& want) {
    ASSERT_EQ(have.size(), want.size());
    for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(have[i], want[i], 1e-5) << i;
  };
  near(answer(OneNode("LpNormalization", {x})), {0.6, 0.8, 0.6, 0.8});
  near(answer(OneNode("LpNormalization", {x}, {{"p", int64_t{1}}, {"axis", int64_t{1}}})),
       {1. / 3, 1. / 3, 2. / 3, 2. / 3});
  near(answer(OneNode("RMSNormalization", {x, Tensor::of<float>({2}, {1, 2})}, {{"epsilon", 0.0f}})),
       {3 / std::sqrt(12.5), 8 / std::sqrt(12.5), 6 / std::sqrt(50), 16 / std::sqrt(50)});
  near(answer(OneNode("LRN", {x}, {{"size", int64_t{2}}, {"alpha", 2.0f}, {"beta", 1.0f}, {"bias", 1.0f}})),
       {3. / 46, 4. / 81, 6. / 37, 8. / 65});
  OneNode groups("GroupNormalization", {x, Tensor::of<float>({1}, {2}), Tensor::of<float>({1}, {1})},
                 {{"num_groups", int64_t{1}}, {"epsilon", 0.0f}});
  groups.opset = 18;
  const double deviation = std::sqrt((5.0625 + 1.5625 + 0.5625 + 7.5625) / 4);
  near(answer(groups), {1 - 4.5 / deviation, 1 - 2.5 / deviation, 1 + 1.5 / deviation, 1 + 5.5 / deviation});
  groups.opset = 21;
  expect_refused(groups, "must have shape [2]");
  groups.inputs[1] = Tensor::of<float>({2}, {2, 0}), groups.inputs[2] = Tensor::of<float>({2}, {1, 5});
  near(answer(groups), {1 - 4.5 / deviation, 1 - 2.5 / deviation, 5, 5});
  near(answer(OneNode("MeanVarianceNormalization", {x}, {{"axes", Shape{2}}})), {-1, 1, -1, 1});
}

// Infinity divides what stands beside it to zero, and is NaN itself.
TEST(Normalizations, OfInfinity) {
  const float inf = std::numeric_limits<float>::infinity();
  const OneNode one("RMSNormalization",
                    {Tensor::of<float>({2, 3}, {inf, 1, 2, 3, 4, 5}), Tensor::of<float>({3}, {1, 2, 1})});
  const std::vector<double> made = answer(one);
  EXPECT_TRUE(std::isnan(made[0]));
  EXPECT_EQ(made[1], 0);
  EXPECT_EQ(made[2], 0);
  expect_native_equals_reference(with_constants(one, {1}), 0);
}

TEST(Normalizations, NativeEqualsTheReference) {
  const Tensor x = random_floats({2, 6, 5, 4}, 1), c = random_floats({6}, 2), d = random_floats({6}, 3),
               v = random_floats({20}, 4);
  expect_native_equals_reference(OneNode("GroupNormalization", {x, c, d}, {{"num_groups", int64_t{6}}}), 1);
  expect_native_equals_reference(OneNode("LRN", {x}, {{"size", int64_t{3}}}), 1);
  expect_native_equals_reference(OneNode("MeanVarianceNormalization", {x}), 1);
  expect_native_equals_reference(OneNode("LpNormalization", {x}), 1);
  expect_native_equals_reference(OneNode("InstanceNormalization", {x, c, d}), 1);
  const Tensor flat = random_floats({3, 7, 20}, 5);
  expect_native_equals_reference(with_constants(OneNode("LayerNormalization", {flat, v}), {1}), 0);
  expect_native_equals_reference(with_constants(OneNode("LayerNormalization", {flat, v}, {}, 3), {1}), 1);
  expect_native_equals_reference(with_constants(OneNode("RMSNormalization", {flat, v}), {1}), 0);
}

OneNode resize(const Shape& x, const std::vector<float>& scales, Attributes attributes) {
  OneNode one("Resize", {counted(x), Tensor(), Tensor::of<float>({static_cast<int64_t>(scales.size())}, scales)},
              std::move(attributes));
  one.left_out = {1}, one.constants = {2};
  return one;
}

TEST(Resize, CoordinatesAndModesByHand) {
  const auto mode = [](const char* name, const char* coordinates) {
    return Attributes{{"mode", std::string(name)}, {"coordinate_transformation_mode", std::string(coordinates)}};
  };
  EXPECT_EQ(answer(resize({1, 1, 3}, {1, 1, 2}, mode("nearest", "asymmetric"))),
            (std::vector<double>{1, 1, 2, 2, 3, 3}));
  EXPECT_EQ(answer(resize({1, 1, 2}, {1, 1, 2}, mode("linear", "half_pixel"))),
            (std::vector<double>{1, 1.25, 1.75, 2}));
  EXPECT_EQ(answer(resize({1, 1, 2}, {1, 1, 1.5}, mode("linear", "align_corners"))), (std::vector<double>{1, 1.5, 2}));
  EXPECT_EQ(answer(resize({1, 1, 4}, {1, 1, 0.5}, mode("linear", "half_pixel"))), (std::vector<double>{1.5, 3.5}));
  Attributes smooth = mode("linear", "half_pixel");
  smooth.emplace("antialias", int64_t{1});
  EXPECT_EQ(answer(resize({1, 1, 4}, {1, 1, 0.5}, smooth)), (std::vector<double>{1.625, 3.375}));
  EXPECT_EQ(answer(resize({1, 1, 4}, {1, 1, 0.5}, mode("cubic", "asymmetric"))), (std::vector<double>{1, 3}));
  for (const char* name : {"nearest", "linear", "cubic"})
    expect_native_equals_reference(resize({2, 3, 4, 5}, {1, 1, 1.7f, 0.6f}, mode(name, "pytorch_half_pixel")), 1, name);
}

TEST(Resize, UnusableSizesAreRefused) {
  expect_refused(resize({1, 1, 3}, {1, 2}, {}), "needs 3 scales");
  expect_refused(resize({1, 1, 3}, {1, 1, -1}, {}), "out of range");
  expect_refused(resize({1, 1, 3}, {1, 1, 1e30f}, {}), "out of range");
  expect_refused(resize({1, 1, 3}, {1, 1, NAN}, {}), "out of range");
  expect_refused(resize({1, 1, 3}, {1, 1, 2}, {{"mode", std::string("area")}}), "'area' is not supported");
  expect_refused(resize({1, 1, 3}, {1, 1, 2}, {{"axes", Shape{0, 0, 1}}}), "axes [0, 0, 1]");
}

}  // namespace
}  // namespace hayate
