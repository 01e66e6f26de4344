// What a file or a caller gives that no operator accepts costs one error, which names the value and what is accepted:
// from every backend, when it is known from the model when that is compiled.
#include <gtest/gtest.h>

#include "backends/backend.h"
#include "conformance/backends.h"
#include "one_node.h"

namespace hayate {
namespace {

Tensor lengths(const std::vector<int32_t>& of) { return Tensor::of<int32_t>({static_cast<int64_t>(of.size())}, of); }

// A layer of T = 4 over two rows, whose lengths are input 4.
OneNode layer_of(const std::string& op, const Tensor& lens, int64_t layout = 0) {
  const int64_t gates = op == "LSTM" ? 4 : op == "GRU" ? 3 : 1, hidden = 2;
  const Shape x = layout == 1 ? Shape{2, 4, 3} : Shape{4, 2, 3};
  OneNode one(op,
              {random_floats(x, 1), random_floats({1, gates * hidden, 3}, 2),
               random_floats({1, gates * hidden, hidden}, 3), Tensor(), lens},
              {{"hidden_size", hidden}, {"layout", layout}}, 2);
  one.constants = {1, 2};
  one.left_out = {3};
  return one;
}

// DynamicQuantizeLSTM of the same shapes.
OneNode quantised_layer(const Tensor& lens) {
  const Tensor none, scale = Tensor::of<float>({1}, {0.01f}), zero = Tensor::of<int8_t>({1}, {0});
  OneNode one("DynamicQuantizeLSTM",
              {random_floats({4, 2, 3}, 1), Tensor(Type::kInt8, {1, 3, 8}), Tensor(Type::kInt8, {1, 2, 8}), none, lens,
               none, none, none, scale, zero, scale, zero},
              {{"hidden_size", int64_t{2}}}, 2, "com.microsoft");
  one.constants = {1, 2, 8, 9, 10, 11};
  one.left_out = {3, 5, 6, 7};
  return one;
}

std::vector<OneNode> layers(const Tensor& lens) {
  std::vector<OneNode> made;
  for (const char* op : {"LSTM", "GRU", "RNN"})
    for (const int64_t layout : {0, 1}) made.push_back(layer_of(op, lens, layout));
  made.push_back(quantised_layer(lens));
  return made;
}

// The error says the words on every backend, or what native says instead.
void expect_refused(const Graph& graph, const std::map<std::string, Tensor>& feeds, const std::string& words,
                    const std::string& what, std::string native = "") {
  if (native.empty()) native = words;
  for (const conformance::Backend& backend : conformance::backends()) {
    const auto ran = backend.run(graph, feeds);
    ASSERT_FALSE(ran.ok()) << backend.name << " answers " << what;
    const std::string& said = backend.name == "reference" ? words : native;
    EXPECT_NE(ran.error().text().find(said), std::string::npos) << backend.name << " " << ran.error().text();
  }
}

// Not even compiled, on the backends of our own.
void expect_not_compiled(const OneNode& one, const std::string& words, const std::string& what) {
  InputTypes types;
  for (const auto& [name, tensor] : one.feeds()) types[name] = {tensor.type(), tensor.shape()};
  for (const char* backend : {"native", "reference"}) {
    Plan plan;
    plan.backend = backend;
    const auto compiled = compile_graph(one.graph(), types, plan);
    ASSERT_FALSE(compiled.ok()) << backend << " compiles " << what;
    EXPECT_NE(compiled.error().text().find(words), std::string::npos) << backend << " " << compiled.error().text();
    EXPECT_TRUE(compiled.error().where.starts_with("made: node")) << backend << " " << compiled.error().text();
  }
}

TEST(Refusals, LengthsOfALayerAreWithinItsSteps) {
  const std::pair<std::vector<int32_t>, std::string> wrong[] = {
      {{9, 4}, "is 9 for row 0; 0 to 4"}, {{4, -1}, "is -1 for row 1; 0 to 4"}, {{INT32_MIN, 5}, "for row 0; 0 to 4"}};
  const std::string outside = "is outside 0 to 4";  // of the steps that native makes of a quantised layer
  for (const auto& [lens, words] : wrong)
    for (const OneNode& one : layers(lengths(lens)))
      expect_refused(one.graph(), one.feeds(), words, one.node.op + " of length " + std::to_string(lens[0]),
                     one.node.domain.empty() ? words : outside);
  for (const OneNode& one : layers(lengths({0, 4}))) expect_native_equals_reference(one, -1, one.node.op);
}

TEST(Refusals, LengthsThatAreConstantAreReadWhenCompiled) {
  for (OneNode& one : layers(lengths({4, 5}))) {
    one.constants.insert(4);
    expect_not_compiled(one, "is 5 for row 1; 0 to 4", one.node.op);
  }
}

// A stump on column 0 of [N, 3]: 1 or 2 for its only output.
std::map<std::string, Attribute> stump() {
  using Integers = std::vector<int64_t>;
  return {{"nodes_treeids", Integers{0, 0, 0}},
          {"nodes_nodeids", Integers{0, 1, 2}},
          {"nodes_featureids", Integers{0, 0, 0}},
          {"nodes_modes", std::vector<std::string>{"BRANCH_LEQ", "LEAF", "LEAF"}},
          {"nodes_truenodeids", Integers{1, 0, 0}},
          {"nodes_falsenodeids", Integers{2, 0, 0}},
          {"nodes_values", std::vector<float>{0.5f, 0, 0}},
          {"target_treeids", Integers{0, 0}},
          {"target_nodeids", Integers{1, 2}},
          {"target_ids", Integers{0, 0}},
          {"target_weights", std::vector<float>{1, 2}},
          {"n_targets", int64_t{1}}};
}

std::map<std::string, Attribute> classifying_stump(int64_t classes) {
  auto made = stump();
  for (const char* key : {"treeids", "nodeids", "ids", "weights"}) {
    auto entry = made.extract(std::string("target_") + key);
    entry.key() = std::string("class_") + key;
    made.insert(std::move(entry));
  }
  std::vector<int64_t> labels(static_cast<size_t>(classes));
  for (size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int64_t>(i);
  made.erase("n_targets");
  made["classlabels_int64s"] = labels;
  return made;
}

// TreeEnsemble of ai.onnx.ml 5: the same stump.
std::map<std::string, Attribute> stump5() {
  using Integers = std::vector<int64_t>;
  return {{"nodes_splits", Tensor::of<float>({1}, {0.5f})},
          {"nodes_featureids", Integers{0}},
          {"nodes_modes", Tensor::of<uint8_t>({1}, {0})},
          {"nodes_truenodeids", Integers{0}},
          {"nodes_trueleafs", Integers{1}},
          {"nodes_falsenodeids", Integers{1}},
          {"nodes_falseleafs", Integers{1}},
          {"tree_roots", Integers{0}},
          {"leaf_targetids", Integers{0, 0}},
          {"leaf_weights", Tensor::of<float>({2}, {1, 2})},
          {"n_targets", int64_t{1}}};
}

OneNode ensemble(const std::string& op, std::map<std::string, Attribute> attributes, Type type = Type::kFloat32) {
  return OneNode(op, {Tensor(type, {2, 3})}, std::move(attributes), op == "TreeEnsembleClassifier" ? 2 : 1,
                 "ai.onnx.ml");
}

TEST(Refusals, BaseValuesAreOnePerOutput) {
  const auto with = [](std::map<std::string, Attribute> attributes, size_t bases) {
    attributes["base_values"] = std::vector<float>(bases, 1.5f);
    return attributes;
  };
  for (int64_t outputs = 1; outputs <= 3; ++outputs)
    for (size_t bases = 1; bases <= 4; ++bases) {
      auto attributes = with(stump(), bases);
      attributes["n_targets"] = outputs;
      const std::string what = std::to_string(bases) + " of " + std::to_string(outputs);
      const OneNode regressor = ensemble("TreeEnsembleRegressor", attributes);
      if (bases == static_cast<size_t>(outputs))
        expect_native_equals_reference(regressor, 0, what);
      else
        expect_not_compiled(regressor, "has " + std::to_string(bases) + " base_values; 0 or ", what);
      if (outputs == 1) continue;
      const OneNode classifier = ensemble("TreeEnsembleClassifier", with(classifying_stump(outputs), bases));
      if (bases == static_cast<size_t>(outputs) || (outputs == 2 && bases == 1))
        expect_native_equals_reference(classifier, 0, what);
      else
        expect_not_compiled(classifier, "has " + std::to_string(bases) + " base_values; 0", what);
    }
}

struct Malformed {
  const char* key;
  Attribute value;
  const char* words;
};

// On floats, which native has trees for, and on integers, which its plain steps run.
void expect_malformed(const std::string& op, const std::map<std::string, Attribute>& good,
                      const std::vector<Malformed>& cases, std::initializer_list<Type> types) {
  for (const Type type : types) {
    expect_native_equals_reference(ensemble(op, good, type), -1, op);
    for (const Malformed& each : cases) {
      auto attributes = good;
      attributes[each.key] = each.value;
      expect_not_compiled(ensemble(op, attributes, type), each.words, op + " with another " + each.key);
    }
  }
}

using Integers = std::vector<int64_t>;
using Texts = std::vector<std::string>;
using Floats = std::vector<float>;

std::vector<Malformed> malformed_nodes() {
  return {{"nodes_truenodeids", Integers{99, 0, 0}, "its child 99 does not exist"},
          {"nodes_truenodeids", Integers{-1, 0, 0}, "its child -1 does not exist"},
          {"nodes_truenodeids", Integers{0, 0, 0}, "has another parent already"},
          {"nodes_falsenodeids", Integers{1, 0, 0}, "has another parent already"},
          {"nodes_nodeids", Integers{0, 1, 1}, "has two nodes 1"},
          {"nodes_modes", Texts{"BRANCH_FOO", "LEAF", "LEAF"}, "nodes_modes 'BRANCH_FOO' is unknown"},
          {"nodes_values", Floats{0.5f}, "its nodes_* attributes differ in length"},
          {"nodes_featureids", Integers{99, 0, 0}, "feature 99 of 3"},
          {"nodes_featureids", Integers{-1, 0, 0}, "feature -1 of 3"},
          {"post_transform", std::string("FOO"), "post_transform 'FOO' is unknown"}};
}

TEST(Refusals, MalformedRegressorsAreNotCompiled) {
  std::vector<Malformed> cases = malformed_nodes();
  cases.insert(cases.end(), {{"target_ids", Integers{0, 9}, "output 9 of 1"},
                             {"target_ids", Integers{0, -1}, "output -1 of 1"},
                             {"target_nodeids", Integers{1, 9}, "node 9, which does not exist"},
                             {"target_weights", Floats{1}, "its target_* attributes differ in length"},
                             {"n_targets", int64_t{0}, "n_targets is 0; 1 to"},
                             {"aggregate_function", std::string("FOO"), "aggregate_function 'FOO' is unknown"}});
  expect_malformed("TreeEnsembleRegressor", stump(), cases, {Type::kFloat32, Type::kFloat64, Type::kInt64});
}

TEST(Refusals, MalformedClassifiersAreNotCompiled) {
  std::vector<Malformed> cases = malformed_nodes();
  cases.push_back({"class_ids", Integers{0, 9}, "output 9 of 2"});
  expect_malformed("TreeEnsembleClassifier", classifying_stump(2), cases,
                   {Type::kFloat32, Type::kFloat64, Type::kInt64});
}

TEST(Refusals, MalformedEnsemblesOfVersion5AreNotCompiled) {
  const std::vector<Malformed> cases = {{"tree_roots", Integers{9}, "root 9 of"},
                                        {"tree_roots", Integers{-1}, "root -1 of"},
                                        {"nodes_truenodeids", Integers{9}, "leaf 9 of 2"},
                                        {"nodes_truenodeids", Integers{-1}, "leaf -1 of 2"},
                                        {"nodes_trueleafs", Integers{0}, "has another parent already"},
                                        {"nodes_modes", Tensor::of<uint8_t>({1}, {99}), "nodes_modes 99 is unknown"},
                                        {"nodes_featureids", Integers{7}, "feature 7 of 3"},
                                        {"leaf_targetids", Integers{0, 5}, "output 5 of 1"},
                                        {"aggregate_function", int64_t{9}, "aggregate_function 9 is unknown"},
                                        {"post_transform", int64_t{9}, "post_transform 9 is unknown"}};
  expect_malformed("TreeEnsemble", stump5(), cases, {Type::kFloat32, Type::kFloat64});
}

TEST(Refusals, UnknownOperatorsAreNamedWithWhoMayRunThem) {
  expect_not_compiled(OneNode("ImageScaler", {random_floats({2}, 1)}),
                      "operator ImageScaler is not supported (opset 17); --backend onnxruntime may run it", "it");
}

// What a plain step of native says is what its kernel says.
TEST(Refusals, IndicesAreNamedWithTheirRange) {
  const Tensor x = random_floats({3, 3}, 1);
  const auto indices = [](const Shape& shape, int64_t value) {
    Tensor made(Type::kInt64, shape);
    std::fill_n(made.data<int64_t>(), made.count(), value);
    return made;
  };
  const std::pair<OneNode, std::string> cases[] = {
      {OneNode("Gather", {x, indices({2}, 7)}), "index 7 of 'i1' is outside -3 to 2"},
      {OneNode("GatherElements", {x, indices({3, 3}, -4)}), "index -4 of 'i1' is outside -3 to 2"},
      {OneNode("GatherND", {x, indices({1, 2}, 3)}), "index 3 of 'i1' is outside -3 to 2"},
      {OneNode("ScatterElements", {x, indices({1, 3}, 9), x}), "index 9 of 'i1' is outside -3 to 2"},
      {OneNode("ScatterND", {x, indices({1, 2}, 9), random_floats({1}, 2)}), "index 9 of 'i1' is outside -3 to 2"},
      {OneNode("CumSum", {x, indices({}, 9)}), "axis 9 is outside shape [3, 3]"},
      {OneNode("Div", {indices({2}, 5), indices({2}, 0)}), "divides an integer by zero"},
      {OneNode("ArrayFeatureExtractor", {x, indices({1}, 9)}, {}, 1, "ai.onnx.ml"),
       "index 9 of 'i1' is outside 0 to 2"}};
  for (auto [one, words] : cases) {
    if (one.node.op == "ScatterElements") one.inputs[2] = random_floats({1, 3}, 2);
    expect_refused(one.graph(), one.feeds(), words, one.node.op);
  }
}

// It says what failed, also when the caller's memory holds something else by then.
TEST(Refusals, AFailureIsToldAfterItsInputsAreGone) {
  const OneNode one("Gather", {random_floats({3, 3}, 1), Tensor::of<int64_t>({1}, {7})});
  const auto compiled = compile_graph(one.graph(), {{"i0", {Type::kFloat32, {3, 3}}}, {"i1", {Type::kInt64, {1}}}}, {});
  ASSERT_TRUE(compiled.ok()) << compiled.error().text();
  const auto state = compiled.value()->state();
  const int64_t wrong = 7, right = 1;
  std::memcpy(state->input(1), &wrong, sizeof wrong);
  const Status status = state->run(compiled.value()->batch().rows);
  ASSERT_FALSE(status.ok());
  std::memcpy(state->input(1), &right, sizeof right);
  EXPECT_NE(state->text(status).find("step 0 (plain: node 'Gather' (Gather)): index 7 of 'i1'"), std::string::npos)
      << state->text(status);
}

}  // namespace
}  // namespace hayate
