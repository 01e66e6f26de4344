// What the targets of tests/fuzz found, each as the smallest file or graph that shows it.
#include <gtest/gtest.h>

#include "backends/backend.h"
#include "import/onnx/onnx.h"
#include "one_node.h"
#include "onnx.pb.h"

namespace hayate {
namespace {

namespace schema = onnx_schema;

// x -> op -> outputs; y is x.
std::string model_with(const std::string& op, const std::vector<std::string>& outputs) {
  schema::Model model;
  model.set_ir_version(8);
  model.add_opset_import()->set_version(17);
  auto* graph = model.mutable_graph();
  auto* x = graph->add_input();
  x->set_name("x");
  x->mutable_type()->mutable_tensor_type()->set_elem_type(1);
  x->mutable_type()->mutable_tensor_type()->mutable_shape()->add_dim()->set_dim_value(2);
  auto* node = graph->add_node();
  node->set_op_type(op);
  node->add_input("x");
  for (const std::string& name : outputs) node->add_output(name);
  auto* identity = graph->add_node();
  identity->set_op_type("Identity");
  identity->add_input("x");
  identity->add_output("y");
  graph->add_output()->set_name("y");
  return model.SerializeAsString();
}

TEST(Fuzzed, ANodeWithoutOutputsIsRefused) {
  const Result<Graph> refused = import_onnx(model_with("Exp", {}), "made.onnx");
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().text().find("node 'Exp_0' (Exp): names no outputs"), std::string::npos)
      << refused.error().text();
}

// Nobody asks for what the first node makes: it runs all the same where nothing has dropped it.
TEST(Fuzzed, ANodeWhoseOnlyOutputIsLeftOutRuns) {
  const Result<Graph> graph = import_onnx(model_with("Exp", {""}), "made.onnx");
  ASSERT_TRUE(graph.ok()) << graph.error().text();
  expect_native_equals_reference(graph.value(), {{"x", Tensor::of<float>({2}, {1, 2})}}, 0);
}

TEST(Fuzzed, TheFirstOfTwoOutputsMayBeLeftOut) {
  OneNode pool("MaxPool", {random_floats({1, 1, 6}, 1)}, {{"kernel_shape", std::vector<int64_t>{2}}}, 2);
  OneNode top("TopK", {random_floats({2, 5}, 2), Tensor::of<int64_t>({1}, {2})}, {}, 2);
  OneNode split("Split", {random_floats({2, 4}, 3)}, {{"num_outputs", int64_t{2}}}, 2);
  OneNode unique("Unique", {Tensor::of<float>({4}, {2, 1, 2, 3})}, {}, 2);
  OneNode quantised("DynamicQuantizeLinear", {random_floats({2, 5}, 4)}, {}, 3);
  OneNode norm("LayerNormalization", {random_floats({2, 4}, 5), random_floats({4}, 6)}, {}, 2);
  top.constants = {1};
  split.opset = 18;
  for (OneNode* one : {&pool, &top, &split, &quantised, &norm}) {
    one->node.outputs[0].clear();
    expect_native_equals_reference(*one, -1, one->node.op);
  }
  unique.node.outputs[0].clear();
  EXPECT_TRUE(unique.reference().ok()) << "its shape follows from values: on the reference alone";
}

// Its graph of other operators leaves out what nobody asks for, too.
TEST(Fuzzed, TheFirstOutputOfASpelledOperatorMayBeLeftOut) {
  const Tensor weights = Tensor::of<int8_t>({1, 2, 8}, {1, -2, 3, 4, 5, -6, 7, 8, 9, 10, -11, 12, 13, 14, 15, 16});
  const Tensor scale = Tensor::of<float>({1}, {0.01f}), zero = Tensor::of<int8_t>({1}, {0});
  const Tensor none;
  OneNode layer("DynamicQuantizeLSTM",
                {random_floats({3, 1, 2}, 7), weights, weights, none, none, none, none, none, scale, zero, scale, zero},
                {{"hidden_size", int64_t{2}}}, 2, "com.microsoft");
  layer.left_out = {3, 4, 5, 6, 7};
  layer.node.outputs[0].clear();
  expect_native_equals_reference(layer, -1, "last alone");
}

TEST(Fuzzed, AxesThatAreNoIntegersAreRefused) {
  OneNode one("ReduceMean", {random_floats({2, 3}, 1), Tensor::of<float>({1}, {1.5})});
  one.constants = {1};
  const auto refused = one.reference();
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().text().find("must be a list of integers, it is float32 [1]"), std::string::npos)
      << refused.error().text();
}

// Of an opset that knows only one of the two places.
TEST(Fuzzed, AxesGivenTwiceAreTakenFromTheInput) {
  OneNode one("ReduceMean", {random_floats({2, 3, 4}, 1), Tensor::of<int64_t>({1}, {1})},
              {{"axes", std::vector<int64_t>{2}}});
  one.constants = {1};
  one.opset = 10;
  expect_native_equals_reference(one, 0);
}

TEST(Fuzzed, ASliceOfAScalarIsRefused) {
  const Tensor zero = Tensor::of<int64_t>({}, {0});
  OneNode one("Slice", {Tensor::of<float>({}, {1}), zero, zero});
  one.constants = {1, 2};
  const auto refused = one.reference();
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().text().find("do not describe a slice of shape []"), std::string::npos)
      << refused.error().text();
}

// What an attribute of the input's name says does not matter.
TEST(Fuzzed, ACumSumWithAnAttributeOfTheNameAxis) {
  OneNode one("CumSum", {random_floats({3, 4}, 1), Tensor::of<int64_t>({1}, {1})}, {{"axis", int64_t{-2}}});
  one.constants = {1};
  const auto compiled = compile_graph(one.graph(), {{"i0", {Type::kFloat32, {3, 4}}}}, {});
  ASSERT_TRUE(compiled.ok()) << compiled.error().text();
  expect_native_equals_reference(one, -1);
}

// One axis is one row of features: what is asked for the whole must not be made row by row.
TEST(Fuzzed, FeaturesOfOneRowAreNotRows) {
  for (const char* op : {"Normalizer", "Scaler", "Imputer"}) {
    OneNode one(op, {Tensor::of<float>({4}, {1, 2, -3, 8})},
                {{"offset", std::vector<float>{1, 2, 3, 4}},
                 {"scale", std::vector<float>{5, 6, 7, 8}},
                 {"imputed_value_floats", std::vector<float>{1, 2, 3, 4}},
                 {"replaced_value_float", 2.0f}},
                1, "ai.onnx.ml");
    Graph graph = one.graph();
    graph.inputs[0].dims[0] = {-1, "N"};
    const auto compiled = compile_graph(graph, {{"i0", {Type::kFloat32, {4}}}}, {});
    ASSERT_TRUE(compiled.ok()) << compiled.error().text();
    EXPECT_NE(compiled.value()->batch().fixed, "") << op;
    const auto got = run_on(compiled.value()->state().get(), one.feeds()), wanted = one.reference();
    ASSERT_TRUE(got.ok() && wanted.ok()) << op;
    EXPECT_EQ(to_doubles(got.value().at("o0")), to_doubles(wanted.value().at("o0"))) << op;
  }
}

TEST(Fuzzed, AMatrixProductOfMicrosoftsTakesFloats) {
  const Tensor x = Tensor::of<uint8_t>({1, 1}, {1});
  const auto refused = OneNode("FusedMatMul", {x, x}, {{"alpha", -1.0f}}, 1, "com.microsoft").reference();
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().text().find("float32"), std::string::npos) << refused.error().text();
}

// When it is compiled, not with the first row.
TEST(Fuzzed, TreesOfWrongAttributesAreNotCompiled) {
  const OneNode one("TreeEnsembleClassifier", {Tensor(Type::kFloat32, {0, 2})},
                    {{"classlabels_int64s", std::vector<int64_t>{0, 1}}, {"nodes_featureids", std::vector<int64_t>{1}}},
                    1, "ai.onnx.ml");
  const auto refused = compile_graph(one.graph(), {{"i0", {Type::kFloat32, {0, 2}}}}, {});
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().text().find("nodes_* attributes differ in length"), std::string::npos)
      << refused.error().text();
}

TEST(Fuzzed, ASoftmaxOfAScalar) {
  int ran = 0;
  for (const int64_t opset : {11, 17})
    for (const int64_t axis : {-1, 0}) {
      OneNode one("Softmax", {Tensor::of<float>({}, {3})}, {{"axis", axis}});
      one.opset = opset;
      const auto made = one.reference();
      if (!made.ok()) continue;  // an axis that there is not
      EXPECT_EQ(to_doubles(made.value().at("o0")), std::vector<double>{1});
      expect_native_equals_reference(one, 1);
      ++ran;
    }
  EXPECT_GE(ran, 2);
}

TEST(Fuzzed, ShrinkOfIntegersGivesTheNearestThatTheirTypeHolds) {
  const auto shrunk = [](float bias) {
    const auto got =
        OneNode("Shrink", {Tensor::of<uint64_t>({3}, {0, 1, 100})}, {{"bias", bias}, {"lambd", 0.5f}}).reference();
    return got.ok() ? to_int64s(got.value().at("o0")) : std::vector<int64_t>{};
  };
  EXPECT_EQ(shrunk(99.0f), (std::vector<int64_t>{0, 0, 1}));
  EXPECT_EQ(shrunk(std::nanf("")), (std::vector<int64_t>{0, 0, 0}));
}

// Its axis was 1 where none was said.
TEST(Fuzzed, AnOldConcatOfNoAxis) {
  const Tensor x = random_floats({4, 4, 2}, 1);
  OneNode one("Concat", {x, x, x});
  one.opset = 3;
  expect_native_equals_reference(one, 0);
}

TEST(Fuzzed, AConvolutionWithoutFiltersOrChannels) {
  OneNode filters("Conv", {random_floats({1, 2, 5}, 1), Tensor(Type::kFloat32, {0, 2, 3})});
  OneNode channels("Conv", {Tensor(Type::kFloat32, {1, 0, 5}), Tensor(Type::kFloat32, {3, 0, 3})});
  for (OneNode* one : {&filters, &channels}) {
    one->constants = {1};
    const auto made = one->reference();
    ASSERT_TRUE(made.ok()) << made.error().text();
    expect_native_equals_reference(*one, -1);
  }
}

TEST(Fuzzed, SumsOfIntegersTimesFloatsAreCutToTheType) {
  OneNode one("Gemm", {Tensor::of<uint8_t>({1, 1}, {3}), Tensor::of<uint8_t>({1, 2}, {5, 200})}, {{"alpha", -0.5f}});
  const auto made = one.reference();
  ASSERT_TRUE(made.ok()) << made.error().text();
  EXPECT_EQ(made.value().at("o0").data<uint8_t>()[0], 0);
  EXPECT_EQ(made.value().at("o0").data<uint8_t>()[1], 0);
}

TEST(Fuzzed, ATensorOfMoreAxesThanNumPyHoldsIsRefused) {
  schema::Tensor tensor;
  tensor.set_data_type(1);
  for (int i = 0; i < 65; ++i) tensor.add_dims(1);
  tensor.add_float_data(1);
  std::string name;
  const Result<Tensor> refused = import_onnx_tensor(tensor.SerializeAsString(), "made.pb", &name);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().text().find("65 axes; up to 64"), std::string::npos) << refused.error().text();
}

}  // namespace
}  // namespace hayate
