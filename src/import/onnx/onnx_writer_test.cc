// What goes out as ONNX comes in again and says the same.
#include "import/onnx/onnx_writer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

#include "eval/evaluate.h"
#include "eval/trees.h"
#include "import/import.h"
#include "import/onnx/onnx.h"

namespace hayate {
namespace {

namespace fs = std::filesystem;
using kernels::Objective;
using kernels::Split;
using kernels::Trees;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Graph with_ports(std::vector<Node> nodes, Type type, int64_t columns) {
  Graph graph;
  graph.source = "made";
  graph.inputs = {{"input", type, true, {{-1, "N"}, {columns, ""}}}};
  graph.outputs = {{"output", type, true, {{-1, "N"}, {-1, ""}}}};
  graph.nodes = std::move(nodes);
  return graph;
}

Graph again(const Graph& graph) {
  const Result<std::string> bytes = export_onnx(graph);
  EXPECT_TRUE(bytes.ok()) << bytes.error().text();
  if (!bytes.ok()) return graph;
  const Result<Graph> read = import_onnx(bytes.value(), "written");
  EXPECT_TRUE(read.ok()) << read.error().text();
  return read.ok() ? read.value() : graph;
}

Tensor answer(const Graph& graph, const Tensor& x) {
  const auto out = evaluate(graph, {{graph.inputs[0].name, x}});
  EXPECT_TRUE(out.ok()) << out.error().text();
  return out.ok() ? out.value().begin()->second : Tensor();
}

void expect_same_bits(const Graph& graph, const Tensor& x) {
  const Graph written = again(graph);
  for (const Node& node : written.nodes) EXPECT_NE(node.domain, "hayate");
  const Tensor a = answer(graph, x), b = answer(written, x);
  ASSERT_EQ(a.type(), b.type());
  ASSERT_EQ(a.shape(), b.shape());
  EXPECT_EQ(std::memcmp(a.bytes(), b.bytes(), a.byte_count()), 0);
}

// Column 0: a number; 1: a number with missing zeros; 2: a category; 3: one number more.
Tensor rows(Type type) {
  const std::vector<double> special = {0,
                                       -0.0,
                                       1e-40,
                                       -1e-35,
                                       0.5,
                                       -0.5,
                                       -0.9,
                                       1,
                                       1.5,
                                       2,
                                       3.7,
                                       33,
                                       34,
                                       -1,
                                       -3,
                                       1e12,
                                       5e9,
                                       kNan,
                                       std::numeric_limits<double>::infinity(),
                                       -std::numeric_limits<double>::infinity()};
  const int64_t n = static_cast<int64_t>(special.size());
  Tensor x(type, {n * 4, 4});
  for (int64_t r = 0; r < n * 4; ++r)
    for (int64_t f = 0; f < 4; ++f) {
      const double value = special[static_cast<size_t>((r * (f + 1) + 7 * f) % n)];
      if (type == Type::kFloat64)
        x.data<double>()[r * 4 + f] = value;
      else
        x.data<float>()[r * 4 + f] = static_cast<float>(value);
    }
  return x;
}

uint8_t kind(Split split, int flags = 0) { return static_cast<uint8_t>(static_cast<int>(split) | flags); }

// x2 in {1, 3, 33} ? (x1 <= 0.5 ? a : b) : (x0 < 1.5 ? c : d), by the flags; `targets` outputs in turn.
void add_tree(Trees* t, int set_flags, int zero_flags, Split compare, double scale) {
  const int32_t base = static_cast<int32_t>(t->kind.size());
  const uint32_t words[] = {1u << 0 | 1u << 1 | 1u << 3, 1u << 1};
  const int32_t set = t->add_set(words, 2),
                output = static_cast<int32_t>(t->roots.size()) % static_cast<int32_t>(t->outputs);
  t->roots.push_back(base);
  t->add_node(kind(Split::kInSet, set_flags), 2, set, base + 1, base + 2);
  t->add_node(kind(compare, zero_flags | kernels::kNanTrue), 1, 0.5, base + 3, base + 4);
  t->add_node(kind(compare), 0, 1.5, base + 5, base + 6);
  for (const double leaf : {0.1, 0.7, -0.3, 1e-3}) t->add_leaf(leaf * scale, output);
}

Trees ensemble(bool float64, int64_t outputs) {
  Trees t;
  t.features = 4, t.outputs = outputs, t.float64_sum = float64;
  for (int i = 0; i < 5; ++i)
    if (float64)
      add_tree(&t, kernels::kTruncate, kernels::kZeroMissing, Split::kLessEqual, 1.0 / (i + 3));
    else
      add_tree(&t, kernels::kNanTrue, 0, Split::kLess, static_cast<double>(static_cast<float>(i + 1)));
  if (!float64)
    for (double& w : t.weight) w = static_cast<double>(static_cast<float>(w));
  return t;
}

Graph graph_of(const Trees& t) {
  EXPECT_EQ(kernels::fault(t), "");
  return with_ports({tree_ensemble_node(t, t.float64_sum, "input", "output")},
                    t.float64_sum ? Type::kFloat64 : Type::kFloat32, 4);
}

TEST(OnnxWriter, TreesWithMissingZerosAndCategories) {
  for (const int64_t outputs : {1, 3}) {
    expect_same_bits(graph_of(ensemble(true, outputs)), rows(Type::kFloat64));
    expect_same_bits(graph_of(ensemble(false, outputs)), rows(Type::kFloat32));
  }
}

TEST(OnnxWriter, BaseAverageAndTreesOfOneLeaf) {
  for (const bool float64 : {false, true})
    for (const bool first : {false, true})
      for (const auto aggregate : {kernels::Aggregate::kSum, kernels::Aggregate::kAverage}) {
        Trees t = ensemble(float64, 2);
        t.roots.push_back(t.add_leaf(0.25, 1));
        t.base = {0.5, -2}, t.base_first = first, t.aggregate = aggregate, t.divisor = 3;
        expect_same_bits(graph_of(t), rows(float64 ? Type::kFloat64 : Type::kFloat32));
      }
}

TEST(OnnxWriter, LeavesOfSeveralWeightsBecomeOneTreePerOutput) {
  Trees t = ensemble(false, 2);
  const int32_t root = t.add_node(kind(Split::kLess), 0, 1, 0, 0);
  for (const bool side : {true, false}) {
    const int32_t leaf = t.add_leaf(side ? 0.5 : 3, 0);
    t.weight.push_back(side ? -1 : 0.125), t.weight_output.push_back(1), ++t.on_false[leaf];
    (side ? t.on_true : t.on_false)[root] = leaf;
  }
  t.roots.push_back(root);
  expect_same_bits(graph_of(t), rows(Type::kFloat32));
}

TEST(OnnxWriter, ObjectivesOfBothTypes) {
  for (int k = 0; k <= static_cast<int>(Objective::kStep); ++k)
    for (const Type type : {Type::kFloat32, Type::kFloat64}) {
      Tensor x(type, {7, 3});
      for (int64_t i = 0; i < x.count(); ++i)
        if (type == Type::kFloat64)
          x.data<double>()[i] = 0.7 * static_cast<double>(i) - 6;
        else
          x.data<float>()[i] = 0.7f * static_cast<float>(i) - 6;
      const Graph graph = with_ports({objective_node(static_cast<Objective>(k), 0.6, "input", "output")}, type, 3);
      const Tensor a = answer(graph, x), b = answer(again(graph), x);
      ASSERT_EQ(a.type(), b.type()) << k;
      ASSERT_EQ(a.shape(), b.shape()) << k;
      for (int64_t i = 0; i < a.count(); ++i)
        EXPECT_NEAR(to_doubles(a)[i], to_doubles(b)[i], 1e-6 + 1e-5 * std::fabs(to_doubles(a)[i])) << k;
    }
}

TEST(OnnxWriter, LinearBoosterSkipsNan) {
  const Graph graph = with_ports({linear_booster_node({1, 2, 3, 4, 0.5f}, 1, "input", "output")}, Type::kFloat32, 4);
  const Tensor x = Tensor::of<float>({2, 4}, {1, std::numeric_limits<float>::quiet_NaN(), 1, 1, 2, 2, 2, 2});
  EXPECT_EQ(to_doubles(answer(again(graph), x)), (std::vector<double>{8.5, 20.5}));
}

TEST(OnnxWriter, EveryKindOfAttributeAndSubgraph) {
  auto branch = std::make_shared<Graph>();
  branch->outputs = {{"b", Type::kFloat32, true, {{2, ""}}}};
  branch->nodes = {{"inner", "", "Add", {"x", "c"}, {"b"}, {}}};
  auto other = std::make_shared<Graph>(*branch);
  other->nodes[0].op = "Sub";
  Graph graph;
  graph.opset = 17;
  graph.inputs = {{"x", Type::kFloat32, true, {{2, ""}}}, {"flag", Type::kBool, true, {}}};
  graph.outputs = {{"y", Type::kFloat32, false, {}}};
  graph.constants.emplace("c", Tensor::of<float>({2}, {1, 2}));
  Node choice{"choice", "", "If", {"flag"}, {"z"}, {}};
  choice.attributes["then_branch"] = std::shared_ptr<const Graph>(branch);
  choice.attributes["else_branch"] = std::shared_ptr<const Graph>(other);
  Node scaler{"scaler", "ai.onnx.ml", "Scaler", {"z"}, {"s"}, {}};
  scaler.attributes["offset"] = std::vector<float>{1, 2}, scaler.attributes["scale"] = std::vector<float>{3};
  Node encoder{"encoder", "ai.onnx.ml", "LabelEncoder", {"s"}, {"y"}, {}};
  encoder.attributes["keys_tensor"] = Tensor::of<float>({1}, {3}),
  encoder.attributes["values_tensor"] = Tensor::of<float>({1}, {9});
  encoder.attributes["default_string"] = std::string("none");
  encoder.attributes["values_strings2"] = std::vector<std::string>{"a", ""};
  encoder.attributes["default_float"] = 0.5f, encoder.attributes["some_ints"] = std::vector<int64_t>{1, -2};
  encoder.attributes["one"] = int64_t{-5};
  graph.nodes = {choice, scaler, encoder};
  const Graph back = again(graph);
  EXPECT_EQ(back.text(), graph.text());
  EXPECT_EQ(back.opset, 17);
  for (const auto& [key, value] : encoder.attributes) {
    ASSERT_TRUE(back.nodes[2].attributes.contains(key)) << key;
    EXPECT_EQ(back.nodes[2].attributes.at(key).index(), value.index()) << key;
  }
  EXPECT_EQ(back.nodes[2].get<std::vector<std::string>>("values_strings2", {}), (std::vector<std::string>{"a", ""}));
  EXPECT_EQ(back.nodes[2].get<int64_t>("one", 0), -5);
  ASSERT_NE(back.nodes[0].subgraph("else_branch"), nullptr);
  EXPECT_EQ(back.nodes[0].subgraph("else_branch")->nodes[0].op, "Sub");
}

TEST(OnnxWriter, EverySampleGivesTheSameAgain) {
  int seen = 0;
  for (const auto& entry : fs::directory_iterator(HAYATE_SOURCE_DIR "/models")) {
    const std::string extension = entry.path().extension();
    if (extension != ".onnx" && extension != ".txt" && extension != ".ubj") continue;
    const Result<Graph> graph = import_model(entry.path().string());
    ASSERT_TRUE(graph.ok()) << graph.error().text();
    Shape shape = {2};
    const ValueInfo& input = graph.value().inputs[0];
    for (size_t i = 1; i < input.dims.size(); ++i) shape.push_back(input.dims[i].value);
    Tensor x(input.type, shape);
    visit_type(input.type, [&]<typename T>() {
      for (int64_t i = 0; i < x.count(); ++i) x.data<T>()[i] = static_cast<T>(std::sin(static_cast<double>(i)));
    });
    const Tensor a = answer(graph.value(), x), b = answer(again(graph.value()), x);
    ASSERT_EQ(a.shape(), b.shape()) << entry.path();
    EXPECT_EQ(std::memcmp(a.bytes(), b.bytes(), a.byte_count()), 0) << entry.path();
    ++seen;
  }
  EXPECT_GE(seen, 9);
}

std::string refusal(const Graph& graph, int64_t ml_opset = kMlOpsetMax) {
  const Result<std::string> bytes = export_onnx(graph, ml_opset);
  return bytes.ok() ? "" : bytes.error().text();
}

TEST(OnnxWriter, RefusesByNameWhatOnnxCannotSay) {
  const Trees good = ensemble(true, 1);
  EXPECT_NE(refusal(graph_of(good), 3).find("needs ai.onnx.ml 5"), std::string::npos);
  Trees linear = good;
  for (size_t w = 0; w < linear.weight.size(); ++w) linear.add_terms({0}, {0.5}, 1);
  EXPECT_NE(refusal(graph_of(linear)).find("linear_tree"), std::string::npos);
  Trees mixed = good;
  mixed.kind[1] = static_cast<uint8_t>(mixed.kind[1] & ~kernels::kZeroMissing);
  EXPECT_NE(refusal(graph_of(mixed)).find("column 1 has missing zeros in some nodes only"), std::string::npos);
  Trees both = good;
  both.feature[2] = 2;
  EXPECT_NE(refusal(graph_of(both)).find("column 2 is a category in some nodes only"), std::string::npos);
  Graph function = with_ports({{"n", "", "Relu", {"input"}, {"output"}, {}, 12}}, Type::kFloat32, 4);
  function.opset = 17;
  EXPECT_NE(refusal(function).find("opset 12"), std::string::npos);
  const Graph own = with_ports({{"n", "hayate", "Unheard", {"input"}, {"output"}, {}}}, Type::kFloat32, 4);
  EXPECT_NE(refusal(own).find("Unheard"), std::string::npos);
}

TEST(OnnxWriter, AFileIsReplacedWholeOrLeft) {
  const Graph graph = graph_of(ensemble(true, 1));
  const std::string path = testing::TempDir() + "written.onnx";
  ASSERT_TRUE(export_onnx(graph, path).ok());
  EXPECT_TRUE(import_model(path).ok());
  EXPECT_FALSE(fs::exists(path + ".part"));
  EXPECT_FALSE(export_onnx(graph, path, 3).ok());
  EXPECT_TRUE(import_model(path).ok());
  EXPECT_FALSE(export_onnx(graph, testing::TempDir() + "no_such_folder/written.onnx").ok());
  fs::remove(path);
}

}  // namespace
}  // namespace hayate
