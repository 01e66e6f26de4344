// What comes in as ONNX: functions, external data, sparse tensors, and files that lie.
#include "import/onnx/onnx.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "base/memory_budget.h"
#include "eval/evaluate.h"
#include "import/onnx/onnx_writer.h"
#include "onnx.pb.h"

namespace hayate {
namespace {

namespace fs = std::filesystem;
namespace schema = onnx_schema;

void set_value(schema::ValueInfo* info, const std::string& name, std::initializer_list<int64_t> dims) {
  info->set_name(name);
  info->mutable_type()->mutable_tensor_type()->set_elem_type(1);
  for (const int64_t dim : dims)
    info->mutable_type()->mutable_tensor_type()->mutable_shape()->add_dim()->set_dim_value(dim);
}

// x float32 [2] -> y float32 [2], opset 17; nodes to be added.
schema::Model empty_model() {
  schema::Model model;
  model.set_ir_version(8);
  model.add_opset_import()->set_version(17);
  set_value(model.mutable_graph()->add_input(), "x", {2});
  set_value(model.mutable_graph()->add_output(), "y", {2});
  return model;
}

template <typename Owner>
schema::Node* add_node(Owner* owner, const std::string& op, std::initializer_list<const char*> inputs,
                       std::initializer_list<const char*> outputs, const std::string& domain = "") {
  schema::Node* node = owner->add_node();
  node->set_op_type(op);
  node->set_domain(domain);
  for (const char* name : inputs) node->add_input(name);
  for (const char* name : outputs) node->add_output(name);
  return node;
}

schema::Attribute* add_attribute(schema::Node* node, const std::string& name, int type) {
  schema::Attribute* attribute = node->add_attribute();
  attribute->set_name(name);
  attribute->set_type(type);
  return attribute;
}

schema::Tensor* add_floats(schema::Graph* graph, const std::string& name, std::initializer_list<float> values) {
  schema::Tensor* tensor = graph->add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(1);
  tensor->add_dims(static_cast<int64_t>(values.size()));
  for (const float value : values) tensor->add_float_data(value);
  return tensor;
}

// y for x = (1, 2).
std::vector<double> answer(const schema::Model& model) {
  const Result<Graph> graph = import_onnx(model.SerializeAsString(), "m.onnx");
  EXPECT_TRUE(graph.ok()) << (graph.ok() ? "" : graph.error().text());
  if (!graph.ok()) return {};
  const auto outputs = evaluate(graph.value(), {{"x", Tensor::of<float>({2}, {1, 2})}});
  EXPECT_TRUE(outputs.ok()) << (outputs.ok() ? "" : outputs.error().text());
  return outputs.ok() ? to_doubles(outputs.value().at("y")) : std::vector<double>();
}

void expect_refused(const schema::Model& model, std::initializer_list<const char*> words) {
  const Result<Graph> graph = import_onnx(model.SerializeAsString(), "m.onnx");
  ASSERT_FALSE(graph.ok()) << *words.begin();
  for (const char* word : words)
    EXPECT_NE(graph.error().text().find(word), std::string::npos) << word << " is not in: " << graph.error().text();
}

schema::Function* add_function(schema::Model* model, const std::string& name, std::initializer_list<const char*> inputs,
                               std::initializer_list<const char*> outputs) {
  schema::Function* function = model->add_functions();
  function->set_domain("own");
  function->set_name(name);
  for (const char* input : inputs) function->add_input(input);
  for (const char* output : outputs) function->add_output(output);
  return function;
}

// The key that is NaN stands for itself from ai.onnx.ml 4 on, and for nothing before.
TEST(OnnxImport, LabelEncoderKnowsNanFromVersion4On) {
  for (const auto& [version, wanted] : std::initializer_list<std::pair<int64_t, double>>{{2, -5}, {3, -5}, {4, 7}}) {
    schema::Model model = empty_model();
    schema::OperatorSetId* ml = model.add_opset_import();
    ml->set_domain("ai.onnx.ml"), ml->set_version(version);
    schema::Node* node = add_node(model.mutable_graph(), "LabelEncoder", {"x"}, {"y"}, "ai.onnx.ml");
    schema::Attribute* keys = add_attribute(node, "keys_floats", 6);
    for (const float key : {std::nanf(""), 1.0f}) keys->add_floats(key);
    schema::Attribute* values = add_attribute(node, "values_floats", 6);
    for (const float value : {7.0f, 8.0f}) values->add_floats(value);
    add_attribute(node, "default_float", 1)->set_f(-5);
    const Result<Graph> graph = import_onnx(model.SerializeAsString(), "m.onnx");
    ASSERT_TRUE(graph.ok()) << graph.error().text();
    const auto made = evaluate(graph.value(), {{"x", Tensor::of<float>({2}, {std::nanf(""), 1})}});
    ASSERT_TRUE(made.ok()) << made.error().text();
    EXPECT_EQ(to_doubles(made.value().at("y")), (std::vector<double>{wanted, 8})) << version;
  }
}

// What an operator that is not known here calls its attributes is its own matter: another backend may know it.
TEST(OnnxImport, AttributesOfUnknownOperatorsAreTaken) {
  schema::Model model = empty_model();
  schema::Attribute* bias = add_attribute(add_node(model.mutable_graph(), "ImageScaler", {"x"}, {"y"}), "bias", 6);
  bias->add_floats(1);
  const Result<Graph> graph = import_onnx(model.SerializeAsString(), "m.onnx");
  ASSERT_TRUE(graph.ok()) << graph.error().text();
  const auto made = evaluate(graph.value(), {{"x", Tensor::of<float>({2}, {1, 2})}});
  ASSERT_FALSE(made.ok());
  EXPECT_NE(
      made.error().text().find("operator ImageScaler is not supported (opset 17); --backend onnxruntime may run it"),
      std::string::npos)
      << made.error().text();
}

// An output may leave out its type, or say that it is undefined: it follows.
TEST(OnnxImport, OutputsWithoutTypeFollow) {
  for (const bool undefined : {false, true}) {
    schema::Model model = empty_model();
    schema::ValueInfo* output = model.mutable_graph()->mutable_output(0);
    output->clear_type();
    if (undefined) output->mutable_type()->mutable_tensor_type();
    add_node(model.mutable_graph(), "ArgMax", {"x"}, {"y"});
    const Result<Graph> graph = import_onnx(model.SerializeAsString(), "m.onnx");
    ASSERT_TRUE(graph.ok()) << graph.error().text();
    EXPECT_NE(graph.value().text().find("output y any type"), std::string::npos) << graph.value().text();
    const auto made = evaluate(graph.value(), {{"x", Tensor::of<float>({2}, {1, 2})}});
    ASSERT_TRUE(made.ok()) << made.error().text();
    EXPECT_EQ(made.value().at("y").type(), Type::kInt64);
    const Result<std::string> written = export_onnx(graph.value());
    ASSERT_TRUE(written.ok());
    schema::Model again;
    ASSERT_TRUE(again.ParseFromString(written.value()));
    EXPECT_FALSE(again.graph().output(0).has_type()) << "no wrong type is written";
  }
  schema::Model model = empty_model();
  model.mutable_graph()->mutable_input(0)->clear_type();
  add_node(model.mutable_graph(), "Relu", {"x"}, {"y"});
  expect_refused(model, {"value 'x'"});
}

TEST(OnnxImport, FunctionsAreInlinedWithinFunctions) {
  schema::Model model = empty_model();
  schema::Function* twice = add_function(&model, "Twice", {"a"}, {"b"});
  add_node(twice, "Add", {"a", "a"}, {"b"});
  schema::Function* four = add_function(&model, "Four", {"a"}, {"b"});
  add_node(four, "Twice", {"a"}, {"t"}, "own");
  add_node(four, "Twice", {"t"}, {"b"}, "own");
  add_node(model.mutable_graph(), "Four", {"x"}, {"t"}, "own");
  add_node(model.mutable_graph(), "Four", {"t"}, {"y"}, "own");
  EXPECT_EQ(answer(model), (std::vector<double>{16, 32}));
}

TEST(OnnxImport, AnOutputMayLeaveItsTypeToItsNode) {
  schema::Model model = empty_model();
  add_node(model.mutable_graph(), "Neg", {"x"}, {"y"});
  model.mutable_graph()->mutable_output(0)->clear_type();
  EXPECT_EQ(answer(model), (std::vector<double>{-1, -2}));
  model.mutable_graph()->mutable_input(0)->clear_type();
  expect_refused(model, {"value 'x'", "is no tensor"});
}

TEST(OnnxImport, AConstantSaidTwiceIsOneIfEqual) {
  schema::Model model = empty_model();
  for (int i = 0; i < 2; ++i)
    add_attribute(add_node(model.mutable_graph(), "Constant", {}, {"c"}), "value_float", 1)->set_f(3);
  add_node(model.mutable_graph(), "Add", {"x", "c"}, {"y"});
  EXPECT_EQ(answer(model), (std::vector<double>{4, 5}));
  model.mutable_graph()->mutable_node(1)->mutable_attribute(0)->set_f(4);
  expect_refused(model, {"makes value 'c', which exists already"});
}

// An attribute of com.microsoft may have another type than the standard's of that name.
TEST(OnnxImport, AttributeTypesFollowTheDomain) {
  schema::Model model = empty_model();
  schema::Node* node = add_node(model.mutable_graph(), "FusedGemm", {"x", "x"}, {"y"}, "com.microsoft");
  add_attribute(node, "activation_alpha", 1)->set_f(0.5f);
  EXPECT_TRUE(import_onnx(model.SerializeAsString(), "m.onnx").ok());
  node->set_domain(""), node->set_op_type("LSTM");
  expect_refused(model, {"activation_alpha", "a list of numbers is needed"});
}

TEST(OnnxImport, OverloadsAreToldApart) {
  schema::Model model = empty_model();
  schema::Function *add = add_function(&model, "F", {"a"}, {"b"}), *negate = add_function(&model, "F", {"a"}, {"b"});
  negate->set_overload("minus");
  add_node(add, "Add", {"a", "a"}, {"b"});
  add_node(negate, "Neg", {"a"}, {"b"});
  add_node(model.mutable_graph(), "F", {"x"}, {"t"}, "own");
  add_node(model.mutable_graph(), "F", {"t"}, {"y"}, "own")->set_overload("minus");
  EXPECT_EQ(answer(model), (std::vector<double>{-2, -4}));
  *model.add_functions() = *negate;
  expect_refused(model, {"function 'F' is defined twice"});
}

TEST(OnnxImport, AttributesOfAFunctionReachItsNodes) {
  schema::Model model = empty_model();
  schema::Function* leak = add_function(&model, "Leak", {"a"}, {"b"});
  leak->add_attribute("slope");
  schema::Attribute* fallback = leak->add_attribute_proto();
  fallback->set_name("base");
  fallback->set_type(1);
  fallback->set_f(5);
  add_node(leak, "Neg", {"a"}, {"n"});
  add_attribute(add_node(leak, "LeakyRelu", {"n"}, {"r"}), "alpha", 1)->set_ref_attr_name("slope");
  add_attribute(add_node(leak, "Constant", {}, {"c"}), "value_float", 1)->set_ref_attr_name("base");
  add_node(leak, "Add", {"r", "c"}, {"b"});
  add_attribute(add_node(model.mutable_graph(), "Leak", {"x"}, {"y"}, "own"), "slope", 1)->set_f(0.5f);
  EXPECT_EQ(answer(model), (std::vector<double>{4.5, 4}));
  model.mutable_graph()->mutable_node(0)->clear_attribute();  // LeakyRelu's own 0.01
  EXPECT_NEAR(answer(model)[0], 4.99, 1e-6);
}

TEST(OnnxImport, AFunctionKeepsItsOpset) {
  schema::Model model = empty_model();  // opset 17: axes of ReduceMax are an attribute; of Squeeze an input
  schema::Function* old = add_function(&model, "Old", {"a"}, {"b"});
  old->add_opset_import()->set_version(11);
  add_attribute(add_node(old, "Unsqueeze", {"a"}, {"u"}), "axes", 7)->add_ints(0);
  add_attribute(add_node(old, "Squeeze", {"u"}, {"b"}), "axes", 7)->add_ints(0);
  add_node(model.mutable_graph(), "Old", {"x"}, {"y"}, "own");
  const Result<Graph> graph = import_onnx(model.SerializeAsString(), "m.onnx");
  ASSERT_TRUE(graph.ok()) << graph.error().text();
  EXPECT_EQ(graph.value().nodes[0].opset, 11);
  EXPECT_EQ(answer(model), (std::vector<double>{1, 2}));
  old->mutable_opset_import(0)->set_version(99);
  expect_refused(model, {"Old", "opset 99", "1 to 28"});
}

TEST(OnnxImport, FunctionsThatCallThemselvesOrMultiplyAreRefused) {
  schema::Model model = empty_model();
  add_node(add_function(&model, "F", {"a"}, {"b"}), "F", {"a"}, {"b"}, "own");
  add_node(model.mutable_graph(), "F", {"x"}, {"y"}, "own");
  expect_refused(model, {"calls itself"});
#ifndef HAYATE_SANITIZED               // a minute of names that grow
  schema::Model bomb = empty_model();  // 2^30 nodes
  for (int i = 0; i < 30; ++i) {
    schema::Function* f = add_function(&bomb, fmt::format("F{}", i), {"a"}, {"b"});
    const std::string next = fmt::format("F{}", i + 1);
    add_node(f, i == 29 ? "Neg" : next, {"a"}, {"t"}, i == 29 ? "" : "own");
    add_node(f, i == 29 ? "Neg" : next, {"t"}, {"b"}, i == 29 ? "" : "own");
  }
  add_node(bomb.mutable_graph(), "F0", {"x"}, {"y"}, "own");
  expect_refused(bomb, {"functions add more than 100000 nodes"});
#endif
}

TEST(OnnxImport, InputsAFunctionIsNotGivenAreLeftOut) {
  schema::Model model = empty_model();
  schema::Function* clip = add_function(&model, "C", {"a", "low", "high"}, {"b", "same"});
  add_node(clip, "Clip", {"a", "low", "high"}, {"b"});
  add_node(clip, "Identity", {"a"}, {"same"});
  add_floats(model.mutable_graph(), "low", {1.5f})->clear_dims();
  add_node(model.mutable_graph(), "C", {"x", "low"}, {"y"}, "own");
  EXPECT_EQ(answer(model), (std::vector<double>{1.5, 2}));
  model.mutable_graph()->mutable_node(0)->add_input("x");
  model.mutable_graph()->mutable_node(0)->add_input("x");
  expect_refused(model, {"gives 4 inputs", "the function has 3"});
}

TEST(OnnxImport, NodesOutOfOrderAreSortedAndCyclesRefused) {
  schema::Model model = empty_model();
  add_node(model.mutable_graph(), "Neg", {"b"}, {"y"});
  add_node(model.mutable_graph(), "Neg", {"a"}, {"b"});
  add_node(model.mutable_graph(), "Add", {"x", "x"}, {"a"});
  EXPECT_EQ(answer(model), (std::vector<double>{2, 4}));
  model.mutable_graph()->mutable_node(2)->set_input(0, "y");
  expect_refused(model, {"the graph has a cycle"});
}

TEST(OnnxImport, ConstantsComeInEveryForm) {
  schema::Model model = empty_model();
  const auto constant = [&](const char* key, int type, const char* name) {
    return add_attribute(add_node(model.mutable_graph(), "Constant", {}, {name}), key, type);
  };
  schema::Attribute* floats = constant("value_floats", 6, "a");
  floats->add_floats(10), floats->add_floats(20);
  constant("value_float", 1, "b")->set_f(100);
  schema::SparseTensor* sparse = constant("sparse_value", 11, "c")->mutable_sparse_tensor();
  sparse->add_dims(2);
  sparse->mutable_values()->set_data_type(1), sparse->mutable_values()->add_dims(1);
  sparse->mutable_values()->add_float_data(1000);
  sparse->mutable_indices()->set_data_type(7), sparse->mutable_indices()->add_dims(1);
  sparse->mutable_indices()->add_int64_data(1);
  add_node(model.mutable_graph(), "Sum", {"x", "a", "b", "c"}, {"y"});
  EXPECT_EQ(answer(model), (std::vector<double>{111, 1122}));
  sparse->mutable_indices()->set_int64_data(0, 2);
  expect_refused(model, {"index 0 lies outside of shape [2]"});
  sparse->set_dims(0, int64_t{1} << 36);
  expect_refused(model, {"memory limit"});
}

TEST(OnnxImport, SparseInitializersBecomeDense) {
  schema::Model model = empty_model();
  schema::SparseTensor* sparse = model.mutable_graph()->add_sparse_initializer();
  sparse->add_dims(1), sparse->add_dims(2);
  schema::Tensor *values = sparse->mutable_values(), *indices = sparse->mutable_indices();
  values->set_name("w"), values->set_data_type(1), values->add_dims(1), values->add_float_data(7);
  indices->set_data_type(7), indices->add_dims(1), indices->add_dims(2);
  indices->add_int64_data(0), indices->add_int64_data(1);
  add_node(model.mutable_graph(), "Add", {"x", "w"}, {"s"});
  schema::Tensor* shape = model.mutable_graph()->add_initializer();
  shape->set_name("shape"), shape->set_data_type(7), shape->add_dims(1), shape->add_int64_data(2);
  add_node(model.mutable_graph(), "Reshape", {"s", "shape"}, {"y"});
  EXPECT_EQ(answer(model), (std::vector<double>{1, 9}));
}

TEST(OnnxImport, TensorsThatLieAreRefused) {
  const auto with = [](const auto& change) {
    schema::Model model = empty_model();
    change(add_floats(model.mutable_graph(), "w", {1, 2}));
    add_node(model.mutable_graph(), "Add", {"x", "w"}, {"y"});
    return model;
  };
  expect_refused(with([](schema::Tensor* t) { t->set_dims(0, 3); }),
                 {"initializer 'w'", "needs 3 values, 2 are there"});
  expect_refused(with([](schema::Tensor* t) { t->set_dims(0, -2); }), {"negative extent"});
  expect_refused(with([](schema::Tensor* t) { t->set_dims(0, 1 << 29); }), {"needs 536870912 values, 2 are there"});
  expect_refused(with([](schema::Tensor* t) { t->add_dims(INT64_MAX), t->add_dims(INT64_MAX); }), {"larger than"});
  expect_refused(with([](schema::Tensor* t) { t->set_data_type(11); }), {"listed under another type"});
  expect_refused(with([](schema::Tensor* t) { t->set_data_type(8); }), {"element type 8 (string) is not supported"});
  expect_refused(with([](schema::Tensor* t) { t->set_data_type(77); }), {"element type 77 is none"});
  expect_refused(with([](schema::Tensor* t) { t->set_raw_data("1234567"); }), {"needs 2 values, 1 are there"});
  expect_refused(with([](schema::Tensor* t) { t->mutable_segment(); }), {"segment"});
}

TEST(OnnxImport, OpsetsAreChecked) {
  schema::Model model = empty_model();
  add_node(model.mutable_graph(), "Neg", {"x"}, {"y"});
  model.mutable_opset_import(0)->set_version(1000);
  expect_refused(model, {"opset 1000 of ai.onnx; 1 to 28 are accepted"});
  model.mutable_opset_import(0)->set_version(-1);
  expect_refused(model, {"opset -1 of ai.onnx; 1 to 28 are accepted"});
  model.mutable_opset_import(0)->set_domain("com.example");
  expect_refused(model, {"uses operator Neg but imports no opset of ai.onnx"});
  model.mutable_opset_import(0)->set_domain("ai.onnx");
  model.mutable_opset_import(0)->set_version(13);
  model.add_opset_import()->set_domain("com.example");
  EXPECT_EQ(answer(model), (std::vector<double>{-1, -2}));
  model.add_opset_import()->set_version(13);  // twice the same, as "" and "ai.onnx"
  EXPECT_EQ(answer(model), (std::vector<double>{-1, -2}));
  model.mutable_opset_import(2)->set_version(17);
  EXPECT_EQ(answer(model), (std::vector<double>{-1, -2}));  // the highest, which is the last
  model.mutable_opset_import(2)->set_version(11);
  expect_refused(model, {"imports versions 13 and 11 of ai.onnx; one is accepted"});
  model.mutable_opset_import(2)->set_domain("com.example");
  EXPECT_EQ(answer(model), (std::vector<double>{-1, -2}));
}

TEST(OnnxImport, OperatorsOfOurOwnAreInNoFile) {
  schema::Model model = empty_model();
  add_node(model.mutable_graph(), "Objective", {"x"}, {"y"})->set_domain("hayate");
  expect_refused(model, {"node 'Objective_0'", "operator hayate.Objective is not supported", "in no file"});
}

TEST(OnnxImport, NamesCannotWriteToTheTerminal) {
  schema::Model model = empty_model();
  add_node(model.mutable_graph(), "Neg", {"x\x1b[2J\nhayate: good"}, {"y"})->set_name("a\nb");
  expect_refused(model, {"node 'a\\nb' (Neg)", "'x\\x1b[2J\\nhayate: good'"});
}

TEST(OnnxImport, NodesThatLieAreRefused) {
  const auto with = [](const auto& change) {
    schema::Model model = empty_model();
    change(add_node(model.mutable_graph(), "Softmax", {"x"}, {"y"}));
    return model;
  };
  expect_refused(with([](schema::Node* n) { add_attribute(n, "axis", 6)->add_floats(1); }),
                 {"attribute 'axis'", "holds a list of numbers; an integer is needed"});
  expect_refused(with([](schema::Node* n) { add_attribute(n, "axis", 2), add_attribute(n, "axis", 2); }),
                 {"attribute 'axis' is given twice"});
  expect_refused(with([](schema::Node* n) { add_attribute(n, "axis", 2)->set_ref_attr_name("a"); }),
                 {"stands in none"});
  expect_refused(with([](schema::Node* n) { add_attribute(n, "axis", 99); }), {"attribute type 99"});
  expect_refused(with([](schema::Node* n) { n->set_op_type(""); }), {"names no operator"});
  expect_refused(with([](schema::Node* n) { n->set_output(0, "x"); }), {"makes value 'x', which exists already"});
  expect_refused(with([](schema::Node* n) { n->add_output("y"); }), {"'y', which exists already"});
  expect_refused(with([](schema::Node* n) { n->set_input(0, "z"); }), {"reads value 'z'"});
}

TEST(OnnxImport, DeepGraphsAreRefused) {
  schema::Model model = empty_model();
  schema::Graph* graph = model.mutable_graph();
  for (int i = 0; i < 20; ++i) {
    graph = add_attribute(add_node(graph, "If", {"x"}, {"y"}), "then_branch", 5)->mutable_g();
    graph->add_output()->set_name("x");
  }
  expect_refused(model, {"nested deeper than 16"});
}

TEST(OnnxImport, EveryCutAndEveryFlipIsAnAnswer) {
  schema::Model model = empty_model();
  schema::Function* leak = add_function(&model, "Leak", {"a"}, {"b"});
  add_attribute(add_node(leak, "LeakyRelu", {"a"}, {"b"}), "alpha", 1)->set_ref_attr_name("slope");
  add_floats(model.mutable_graph(), "w", {1, 2});
  add_attribute(add_node(model.mutable_graph(), "Leak", {"x"}, {"t"}, "own"), "slope", 1)->set_f(0.5f);
  add_node(model.mutable_graph(), "Add", {"t", "w"}, {"y"});
  const std::string good = model.SerializeAsString();
  ASSERT_TRUE(import_onnx(good, "m.onnx").ok());
  int refused = 0;
  for (size_t i = 0; i < good.size(); ++i) {
    refused += import_onnx(std::string_view(good).substr(0, i), "m.onnx").ok() ? 0 : 1;
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = good;
      flipped[i] = static_cast<char>(flipped[i] ^ 1 << bit);
      const Result<Graph> graph = import_onnx(flipped, "m.onnx");
      if (graph.ok()) (void)evaluate(graph.value(), {{"x", Tensor::of<float>({2}, {1, 2})}}).ok();
    }
  }
  EXPECT_GT(refused, static_cast<int>(good.size()) / 2);
}

class OnnxExternalData : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / (fmt::format("hayate_external_{}", getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "model/deep");
    write(folder_ / "model/w.bin", std::string("----") + std::string(8, '\0'));
    write(folder_ / "secret.bin", std::string(64, 's'));
  }
  void TearDown() override { fs::remove_all(folder_); }

  static void write(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }
  Result<Graph> load(const std::string& location, const std::string& offset = "4", const std::string& length = "8") {
    schema::Model model = empty_model();
    schema::Tensor* tensor = model.mutable_graph()->add_initializer();
    tensor->set_name("w"), tensor->set_data_type(1), tensor->add_dims(2), tensor->set_data_location(1);
    for (const auto& [key, value] : {std::pair("location", location), {"offset", offset}, {"length", length}}) {
      auto* entry = tensor->add_external_data();
      entry->set_key(key), entry->set_value(value);
    }
    add_node(model.mutable_graph(), "Add", {"x", "w"}, {"y"});
    write(folder_ / "model/m.onnx", model.SerializeAsString());
    return import_onnx((folder_ / "model/m.onnx").string());
  }
  void expect_refused(const Result<Graph>& graph, const char* word) {
    ASSERT_FALSE(graph.ok()) << word;
    EXPECT_NE(graph.error().text().find(word), std::string::npos) << word << " is not in: " << graph.error().text();
    EXPECT_NE(graph.error().text().find("initializer 'w'"), std::string::npos) << graph.error().text();
  }

  fs::path folder_;
};

TEST_F(OnnxExternalData, AreReadBelowTheModelsFolder) {
  const Result<Graph> graph = load("w.bin");
  ASSERT_TRUE(graph.ok()) << graph.error().text();
  EXPECT_EQ(to_doubles(graph.value().constants.at("w")), (std::vector<double>{0, 0}));
  fs::rename(folder_ / "model/w.bin", folder_ / "model/deep/w.bin");
  EXPECT_TRUE(load("deep/w.bin").ok());
  EXPECT_TRUE(load("./deep/w.bin").ok());
}

TEST_F(OnnxExternalData, OutsideOfItAreRefused) {
  for (const std::string& location :
       {(folder_ / "secret.bin").string(), std::string("../secret.bin"), std::string("deep/../../secret.bin"),
        std::string(""), std::string("deep//w.bin"), std::string("deep\\w.bin"), std::string("w.bin\0x", 7)})
    expect_refused(load(location), "relative path");
}

TEST_F(OnnxExternalData, LinksFoldersAndPipesAreRefused) {
  fs::create_symlink("../secret.bin", folder_ / "model/link");
  expect_refused(load("link"), "symbolic link");
  fs::create_directory_symlink("..", folder_ / "model/up");
  expect_refused(load("up/secret.bin"), "up/secret.bin");
  fs::create_hard_link(folder_ / "secret.bin", folder_ / "model/hard");
  expect_refused(load("hard"), "2 names (hard links)");
  expect_refused(load("deep"), "no regular file");
  ASSERT_EQ(mkfifo((folder_ / "model/pipe").c_str(), 0600), 0);
  expect_refused(load("pipe"), "no regular file");
  expect_refused(load("absent"), "No such file");
}

TEST_F(OnnxExternalData, WrongPlacesAreRefused) {
  expect_refused(load("w.bin", "5"), "has 12 bytes; 8 at offset 5 are needed");
  expect_refused(load("w.bin", "9223372036854775807"), "has 12 bytes");
  expect_refused(load("w.bin", "9223372036854775808"), "a whole number of bytes");
  expect_refused(load("w.bin", "-4"), "a whole number of bytes");
  expect_refused(load("w.bin", "4", "4"), "needs 8 bytes, its external data have 4");
}

TEST_F(OnnxExternalData, BytesWithoutAFolderAreRefused) {
  ASSERT_TRUE(load("w.bin").ok());
  std::ifstream in(folder_ / "model/m.onnx", std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  expect_refused(import_onnx(bytes, "m.onnx"), "load the model by its path");
}

}  // namespace
}  // namespace hayate
