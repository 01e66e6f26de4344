#include "graph/spelling.h"

#include <fmt/format.h>

#include <algorithm>

#include "graph/op_rules.h"

namespace hayate {
namespace {

const std::vector<SpellingEntry>& spellings() {
  static const std::vector<SpellingEntry> kTable = [] {
    std::vector<SpellingEntry> table;
    add_float_spellings(&table);
    add_attention_spellings(&table);
    add_quant_spellings(&table);
    return table;
  }();
  return kTable;
}

int64_t code_of(Type type) {
  for (int64_t code = 1; code <= 16; ++code)
    if (type_from_code(code) == type) return code;
  return 0;
}

}  // namespace

Spelling find_spelling(std::string_view domain, std::string_view op) {
  const auto it = std::find_if(spellings().begin(), spellings().end(),
                               [&](const SpellingEntry& entry) { return entry.domain == domain && entry.op == op; });
  return it == spellings().end() ? nullptr : it->spelling;
}

Result<Graph> spelled(const ShapeContext& c) { return find_spelling(c.node.domain, c.node.op)(c); }

Result<Types> spelled_types(const ShapeContext& c) {
  const Result<Graph> graph = spelled(c);
  if (!graph.ok()) return graph.error();
  std::map<std::string, TensorType> types;
  for (size_t i = 0; i < c.input_count(); ++i)
    if (c.has(i)) types[fmt::format("i{}", i)] = {c.type(i), c.shape(i)};
  for (const auto& [name, tensor] : graph.value().constants) types[name] = {tensor.type(), tensor.shape()};
  for (const Node& node : graph.value().nodes) {
    std::vector<const TensorType*> in;
    std::vector<const Tensor*> known;
    for (const std::string& name : node.inputs) {
      in.push_back(name.empty() ? nullptr : &types.at(name));
      known.push_back(graph.value().constant(name));
    }
    const Result<Types> out = output_types(ShapeContext(node, graph.value().opset, std::move(in), std::move(known)));
    if (!out.ok()) return c.error(fmt::format("in its {}", out.error().text()), out.error().code);
    for (size_t i = 0; i < node.outputs.size(); ++i) types[node.outputs[i]] = out.value()[i];
  }
  Types made;
  for (const ValueInfo& output : graph.value().outputs)
    made.push_back(output.name.empty() ? TensorType{} : types.at(output.name));
  return made;
}

std::string Speller::in(size_t i) const { return c.has(i) ? fmt::format("i{}", i) : ""; }

std::string Speller::add(const std::string& op, std::vector<std::string> inputs,
                         std::map<std::string, Attribute> attributes, size_t outputs) {
  const std::string name = fmt::format("{}{}", op, graph_.nodes.size());
  Node node{name, "", op, std::move(inputs), {name}, std::move(attributes)};
  for (size_t i = 1; i < outputs; ++i) node.outputs.push_back(fmt::format("{}.{}", name, i));
  graph_.nodes.push_back(std::move(node));
  return name;
}

std::string Speller::constant(Tensor tensor) {
  const std::string name = fmt::format("c{}", graph_.constants.size());
  graph_.constants.emplace(name, std::move(tensor));
  return name;
}

std::string Speller::ints(const std::vector<int64_t>& values) {
  return constant(Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values));
}

std::string Speller::number(double value, Type type) {
  Tensor made(type, {});
  visit_type(type, [&]<typename T>() { made.data<T>()[0] = static_cast<T>(value); });
  return constant(std::move(made));
}

std::string Speller::cast(const std::string& value, Type type) { return add("Cast", {value}, {{"to", code_of(type)}}); }

std::string Speller::reshape(const std::string& value, const std::vector<int64_t>& shape) {
  return add("Reshape", {value, ints(shape)});
}

std::string Speller::slice(const std::string& value, int64_t axis, int64_t start, int64_t end) {
  return add("Slice", {value, ints({start}), ints({end}), ints({axis})});
}

Result<std::string> Speller::activation(const std::string& value, const std::string& name,
                                        const std::vector<float>& given) {
  const auto parameter = [&](size_t i, float otherwise) { return i < given.size() ? given[i] : otherwise; };
  if (name.empty()) return value;
  if (name == "Relu" || name == "Sigmoid" || name == "Tanh" || name == "Softplus" || name == "Softsign")
    return add(name, {value});
  if (name == "LeakyRelu") return add(name, {value}, {{"alpha", parameter(0, 0.01f)}});
  if (name == "Elu") return add(name, {value}, {{"alpha", parameter(0, 1)}});
  if (name == "HardSigmoid") return add(name, {value}, {{"alpha", parameter(0, 0.2f)}, {"beta", parameter(1, 0.5f)}});
  if (name == "Clip" && given.size() == 2)
    return add(name, {value, number(static_cast<double>(given[0]), c.type(0)),
                      number(static_cast<double>(given[1]), c.type(0))});
  return c.error(fmt::format("activation '{}' with {} parameters is not supported", name, given.size()),
                 Code::kUnsupported);
}

Result<Graph> Speller::give(std::vector<std::string> outputs) {
  for (size_t i = 0; i < c.input_count(); ++i)
    if (c.has(i)) {
      ValueInfo info{in(i), c.type(i), true, {}};
      for (const int64_t extent : c.shape(i)) info.dims.push_back({extent, ""});
      graph_.inputs.push_back(std::move(info));
    }
  for (size_t i = 0; i < outputs.size(); ++i) {
    std::string name = asked(i) ? outputs[i] : "";
    const bool made = std::any_of(graph_.nodes.begin(), graph_.nodes.end(), [&](const Node& node) {
      return std::find(node.outputs.begin(), node.outputs.end(), name) != node.outputs.end();
    });
    const bool twice = std::any_of(graph_.outputs.begin(), graph_.outputs.end(),
                                   [&](const ValueInfo& output) { return output.name == name; });
    if (!name.empty() && (!made || twice)) name = add("Identity", {name});
    graph_.outputs.push_back({name, Type::kFloat32, false, {}});
  }
  graph_.source = c.node.where();
  return std::move(graph_);
}

void add_spelled_rules(std::vector<OpEntry>* table) {
  for (const SpellingEntry& entry : spellings())
    table->push_back({entry.domain, entry.op, entry.inputs_min, entry.inputs_max, entry.rule});
}

}  // namespace hayate
