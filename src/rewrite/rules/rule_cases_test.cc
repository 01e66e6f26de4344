#include "rewrite/rules/rule_cases.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <random>
#include <set>
#include <sstream>

#include "rewrite/rules/rules.h"

namespace hayate::rule_cases {
namespace {

std::string trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(' ');
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(' ') - first + 1);
}

std::vector<std::string> listed(const std::string& text) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(trimmed(part));
  return parts;
}

Attribute attribute_of(const std::string& text) {
  const auto is_float = [](const std::string& t) { return t.find_first_of(".e") != std::string::npos; };
  if (text[0] == '"') return text.substr(1, text.size() - 2);
  if (text[0] != '[') return is_float(text) ? Attribute(std::stof(text)) : Attribute(int64_t{std::stoll(text)});
  const std::vector<std::string> parts = listed(text.substr(1, text.size() - 2));
  std::vector<int64_t> values;
  std::vector<float> floats;
  for (const std::string& part : parts) values.push_back(std::stoll(part)), floats.push_back(std::stof(part));
  return is_float(text) ? Attribute(floats) : Attribute(values);
}

Node node_of(const std::string& line, size_t at) {
  const size_t equals = line.find(" = "), open = line.find('('), close = line.find(')');
  Node node;
  node.name = "n" + std::to_string(at);
  node.outputs = listed(line.substr(0, equals));
  node.op = trimmed(line.substr(equals + 3, open - equals - 3));
  if (const size_t dot = node.op.rfind('.'); dot != std::string::npos)
    node.domain = node.op.substr(0, dot), node.op = node.op.substr(dot + 1);
  node.inputs = listed(line.substr(open + 1, close - open - 1));
  std::string rest = trimmed(line.substr(close + 1));
  while (!rest.empty()) {
    const size_t is = rest.find('='), bracket = rest.find(']');
    const bool list = rest[is + 1] == '[';
    const size_t end = list ? bracket + 1 : std::min(rest.find(' ', is), rest.size());
    node.attributes[rest.substr(0, is)] = attribute_of(rest.substr(is + 1, end - is - 1));
    rest = trimmed(rest.substr(end));
  }
  return node;
}

std::map<std::string, Tensor> fed(const Case& given) {
  std::map<std::string, Tensor> inputs;
  unsigned seed = 7;
  for (const auto& [name, shape] : given.inputs) inputs.emplace(name, noise(shape, seed++));
  return inputs;
}

void expect_same_values(const Case& given, const Graph& before, const Graph& after) {
  const auto wanted = evaluate(before, fed(given)), got = evaluate(after, fed(given));
  ASSERT_TRUE(wanted.ok()) << wanted.error().text();
  ASSERT_TRUE(got.ok()) << got.error().text();
  for (const auto& [name, tensor] : wanted.value()) {
    const Tensor& other = got.value().at(name);
    ASSERT_EQ(tensor.shape(), other.shape()) << name;
    const std::vector<double> a = to_doubles(tensor), b = to_doubles(other);
    for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-5 * (1 + std::fabs(a[i]))) << name << " " << i;
  }
}

Tensor positive(Shape shape, unsigned seed) {
  Tensor made = noise(std::move(shape), seed);
  for (int64_t i = 0; i < made.count(); ++i)
    made.data<float>()[i] = 0.5f + made.data<float>()[i] * made.data<float>()[i];
  return made;
}

std::string lines_of(const std::string& text) {  // trimmed, without empty ones
  std::string made;
  std::stringstream stream(text);
  for (std::string line; std::getline(stream, line);)
    if (!trimmed(line).empty()) made += trimmed(line) + "\n";
  return made;
}

}  // namespace

Tensor number(float value) { return Tensor::of<float>({}, {value}); }

Tensor noise(Shape shape, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Tensor made(Type::kFloat32, std::move(shape));
  for (int64_t i = 0; i < made.count(); ++i) made.data<float>()[i] = normal(random);
  return made;
}

Tensor integers(std::vector<int64_t> values) {
  return Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values);
}

std::map<std::string, Tensor> numbers() {
  return {{"one", number(1)},
          {"two", number(2)},
          {"three", number(3)},
          {"six", number(6)},
          {"zero", number(0)},
          {"half", number(0.5f)},
          {"sixth", number(1.0f / 6)},
          {"minus_half", number(-0.5f)},
          {"root2", number(1.41421354f)},
          {"root_half", number(0.70710678f)},
          {"k", number(0.79788456f)},
          {"c", number(0.044715f)},
          {"epsilon", number(1e-5f)},
          {"minus", number(-1)}};
}

std::map<std::string, Tensor> weights() {
  return {{"w", noise({4, 3}, 1)},
          {"t", noise({3, 4}, 2)},
          {"b", noise({3}, 3)},
          {"c", noise({3}, 4)},
          {"in", noise({4}, 5)},
          {"two", number(2)},
          {"far", number(50000)},
          {"k", noise({6, 2, 3, 3}, 6)},
          {"kb", noise({6}, 7)},
          {"per_filter", noise({6, 1, 1}, 8)},
          {"per_input", noise({4, 1, 1}, 9)},
          {"per_column", noise({3}, 10)},
          {"s", noise({6}, 11)},
          {"m", noise({6}, 12)},
          {"v", positive({6}, 13)},
          {"is", noise({4}, 14)},
          {"im", noise({4}, 15)},
          {"iv", positive({4}, 16)}};
}

Case of_x(const std::string& nodes, std::vector<std::string> outputs) {
  return {{{"x", {2, 3}}}, numbers(), nodes, std::move(outputs)};
}

Case norm_of(const std::string& nodes, std::vector<std::string> outputs) {
  std::map<std::string, Tensor> constants = numbers();
  constants["scale"] = noise({4}, 2), constants["bias"] = noise({4}, 3), constants["wide"] = noise({1, 1, 4}, 4),
  constants["middle"] = noise({3, 1}, 5), constants["block"] = noise({3, 4}, 6);
  return {{{"x", {2, 3, 4}}}, std::move(constants), nodes, std::move(outputs), 17};
}

Case rows(const std::string& nodes, std::vector<std::string> outputs) {
  return {{{"x", {2, 4}}}, weights(), nodes, std::move(outputs)};
}
Case deep(const std::string& nodes) { return {{{"x", {2, 5, 4}}}, weights(), nodes}; }
Case image(const std::string& nodes, std::vector<std::string> outputs) {
  return {{{"x", {2, 4, 6, 5}}}, weights(), nodes, std::move(outputs)};
}

Graph graph_of(const Case& given) {
  Graph graph;
  graph.source = "made", graph.opset = given.opset, graph.constants = given.constants;
  for (const auto& [name, shape] : given.inputs) {
    ValueInfo info{name, Type::kFloat32, true, {}};
    for (const int64_t extent : shape) info.dims.push_back({extent, ""});
    graph.inputs.push_back(info);
  }
  std::stringstream stream(given.nodes);
  for (std::string line; std::getline(stream, line);)
    if (!trimmed(line).empty()) graph.nodes.push_back(node_of(trimmed(line), graph.nodes.size()));
  const std::vector<std::string> outputs = given.outputs.empty() ? graph.nodes.back().outputs : given.outputs;
  for (const std::string& name : outputs) graph.outputs.push_back({name, Type::kFloat32, false, {}});
  return graph;
}

std::string nodes_text(const Graph& graph) {
  std::string made;
  std::stringstream stream(graph.text());
  for (std::string line; std::getline(stream, line);)
    if (line.find(" = ") != std::string::npos) made += line + "\n";
  return made;
}

std::map<std::string, TensorType> types_of(const Case& given) {
  std::map<std::string, TensorType> types;
  for (const auto& [name, shape] : given.inputs) types[name] = {Type::kFloat32, shape};
  return types;
}

void expect_becomes(const Case& given, Rule rule, const std::string& wanted) {
  SCOPED_TRACE(given.nodes);
  const Graph before = graph_of(given);
  Result<Graph> after = apply_rule(before, types_of(given), rule);
  ASSERT_TRUE(after.ok()) << after.error().text();
  after = apply_rule(std::move(after).value(), types_of(given), drop_dead);
  ASSERT_TRUE(after.ok()) << after.error().text();
  EXPECT_EQ(nodes_text(after.value()), lines_of(wanted));
  expect_same_values(given, before, after.value());
}

void expect_kept(const Case& given, Rule rule) {
  SCOPED_TRACE(given.nodes);
  const Graph before = graph_of(given);
  int changes = -1;
  const Result<Graph> after = apply_rule(before, types_of(given), rule, &changes);
  ASSERT_TRUE(after.ok()) << after.error().text();
  EXPECT_EQ(changes, 0);
  EXPECT_EQ(after.value().text(), before.text());
}

Graph expect_equal_after_all(const Case& given) {
  const Graph before = graph_of(given);
  const Result<Graph> after = rewrite(before, types_of(given));
  EXPECT_TRUE(after.ok()) << after.error().text();
  expect_same_values(given, before, after.value());
  return after.value();
}

// A .cc without a header of its own is a rule.
TEST(RuleCases, EveryRuleHasItsTestBesideIt) {
  const std::filesystem::path folder = std::filesystem::path(HAYATE_SOURCE_DIR) / "src/rewrite/rules";
  std::set<std::string> rules;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string stem = entry.path().stem();
    if (entry.path().extension() != ".cc" || stem.ends_with("_test")) continue;
    if (std::filesystem::exists(folder / (stem + ".h"))) continue;
    rules.insert(stem);
    EXPECT_TRUE(std::filesystem::exists(folder / (stem + "_test.cc"))) << stem;
  }
  for (const Pass& pass : passes())
    EXPECT_TRUE(pass.name == "drop_unread" || rules.contains(std::string(pass.name))) << pass.name;
}

TEST(RuleCases, TextGoesBothWays) {
  const std::string text =
      "a, b = Split(x) axis=1 num_outputs=2\n"
      "y = hayate.Attention(a, b, b, mask) scale=0.25\n"
      "z = Gelu(y) approximate=\"tanh\"\n"
      "t = Transpose(z) perm=[1, 0]\n";
  EXPECT_EQ(nodes_text(graph_of({{{"x", {2, 6}}}, {{"mask", number(0)}}, text})), text);
}

}  // namespace hayate::rule_cases
