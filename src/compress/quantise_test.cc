#include "compress/quantise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace hayate {
namespace {

Tensor floats(const Shape& shape, const std::vector<float>& values) {
  Tensor made(Type::kFloat32, shape);
  std::copy(values.begin(), values.end(), made.data<float>());
  return made;
}

// Two layers that read x, one of them with weights [n, k].
Graph two_layers() {
  Graph graph;
  graph.source = "made", graph.opset = 17;
  graph.inputs = {{"x", Type::kFloat32, true, {{2, ""}, {3, ""}}}};
  graph.outputs = {{"a", Type::kFloat32, false, {}}, {"b", Type::kFloat32, false, {}}};
  graph.constants.emplace("w", floats({3, 2}, {1, 0, -2, 0, 0.5f, 0}));
  graph.constants.emplace("v", floats({2, 3}, {1, 2, 4, 0.1f, -0.2f, 0.4f}));
  graph.nodes = {{"fc", "", "MatMul", {"x", "w"}, {"a"}, {}},
                 {"gm", "", "Gemm", {"x", "v"}, {"b"}, {{"transB", int64_t{1}}}}};
  return graph;
}

TEST(Ranges, HoldZeroAndLeaveOutWhatIsNotFinite) {
  const float inf = std::numeric_limits<float>::infinity();
  const auto ranges = find_ranges(two_layers(), {{"x", floats({2, 3}, {1, 3, std::nanf(""), inf, -inf, 2})}});
  ASSERT_TRUE(ranges.ok()) << ranges.error().text();
  ASSERT_EQ(ranges.value().size(), 1u);
  EXPECT_EQ(ranges.value().at("x").low, 0);
  EXPECT_EQ(ranges.value().at("x").high, 3);
}

TEST(Quantise, GivesScalesForTheInputOnceAndForEachChannelOfTheWeights) {
  Graph graph = two_layers();
  const Result<int> layers = quantise(&graph, {{"x", {-1, 4.1f}}});
  ASSERT_TRUE(layers.ok()) << layers.error().text();
  EXPECT_EQ(layers.value(), 2);
  int quantisers = 0;
  for (const Node& node : graph.nodes) quantisers += node.is("QuantizeLinear");
  EXPECT_EQ(quantisers, 1) << graph.text();
  EXPECT_FLOAT_EQ(*graph.constant("x_scale")->data<float>(), 0.02f);
  EXPECT_EQ(*graph.constant("x_zero_point")->data<uint8_t>(), 50);
  const Tensor &w = *graph.constant("w_quantized"), &w_scale = *graph.constant("w_scale");
  EXPECT_EQ(std::vector<int8_t>(w.data<int8_t>(), w.data<int8_t>() + 6), (std::vector<int8_t>{64, 0, -127, 0, 32, 0}));
  EXPECT_FLOAT_EQ(w_scale.data<float>()[0], 2.0f / 127);
  EXPECT_FLOAT_EQ(w_scale.data<float>()[1], 1) << "of zeros alone";
  const Tensor& v_scale = *graph.constant("v_scale");  // transposed: channels along axis 0
  ASSERT_EQ(v_scale.shape(), (Shape{2}));
  EXPECT_FLOAT_EQ(v_scale.data<float>()[0], 4.0f / 127);
  EXPECT_FLOAT_EQ(v_scale.data<float>()[1], 0.4f / 127);
}

TEST(Quantise, TheGraphComputesNearlyTheSame) {
  const std::map<std::string, Tensor> x{{"x", floats({2, 3}, {1, 3, -0.5f, 0.25f, 2, 4})}};
  Graph graph = two_layers();
  const auto wanted = evaluate(graph, x);
  const auto ranges = find_ranges(graph, x);
  ASSERT_TRUE(wanted.ok() && ranges.ok() && quantise(&graph, ranges.value()).ok());
  const auto got = evaluate(graph, x);
  ASSERT_TRUE(got.ok()) << got.error().text();
  // Half a step of x (4.5 / 255) times the sum of the weights (7), and half a step of w (4 / 127) times that of x
  // (7.5).
  for (const auto& [name, tensor] : wanted.value())
    for (int64_t i = 0; i < tensor.count(); ++i)
      EXPECT_NEAR(got.value().at(name).data<float>()[i], tensor.data<float>()[i], 0.062 + 0.119) << name;
}

TEST(Quantise, LeavesWhatHasNoRangeAndRefusesWhatHasNoLayer) {
  Graph graph = two_layers();
  EXPECT_FALSE(quantise(&graph, {{"x", {0, 0}}}).ok());
  graph.constants.erase("w"), graph.constants.erase("v");
  const Result<int> none = quantise(&graph, {{"x", {-1, 1}}});
  ASSERT_FALSE(none.ok());
  EXPECT_NE(none.error().text().find("no dense, convolution or recurrent layer"), std::string::npos);
}

}  // namespace
}  // namespace hayate
