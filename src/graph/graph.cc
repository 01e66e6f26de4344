#include "graph/graph.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <unordered_set>

namespace hayate {
namespace {

std::string attribute_text(const Attribute& attribute) {
  return std::visit(
      [](const auto& value) -> std::string {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, Tensor>)
          return fmt::format("{} {}", type_name(value.type()), shape_text(value.shape()));
        else if constexpr (std::is_same_v<T, std::shared_ptr<const Graph>>)
          return fmt::format("{{{} nodes}}", value->nodes.size());
        else if constexpr (std::is_same_v<T, std::string>)
          return fmt::format("\"{}\"", value);
        else if constexpr (std::is_arithmetic_v<T>)
          return fmt::format("{}", value);
        else if (value.size() > 16)
          return fmt::format("[{} values]", value.size());
        else
          return fmt::format("[{}]", fmt::join(value, ", "));
      },
      attribute);
}

}  // namespace

std::string ValueInfo::text() const {
  std::string out = fmt::format("{} {}", name, has_type ? type_name(type) : "any type");
  if (!has_shape) return printable(out) + " [any rank]";
  std::vector<std::string> extents;
  for (const Dim& dim : dims)
    extents.push_back(dim.fixed() ? fmt::format("{}", dim.value) : dim.symbol.empty() ? "?" : dim.symbol);
  return printable(fmt::format("{} [{}]", out, fmt::join(extents, ", ")));
}

std::string Node::where() const {
  return printable(fmt::format("node '{}' ({}{}{})", name, domain, domain.empty() ? "" : ".", op));
}

int64_t Node::bytes() const {
  size_t bytes = sizeof(Node) + name.size() + op.size();
  for (const auto* names : {&inputs, &outputs})
    for (const std::string& each : *names) bytes += sizeof each + each.size();
  for (const auto& [key, value] : attributes) {
    bytes += 64 + key.size() + sizeof value;
    if (const auto* text = std::get_if<std::string>(&value)) bytes += text->size();
    if (const auto* integers = std::get_if<std::vector<int64_t>>(&value)) bytes += 8 * integers->size();
    if (const auto* numbers = std::get_if<std::vector<float>>(&value)) bytes += 4 * numbers->size();
    if (const auto* texts = std::get_if<std::vector<std::string>>(&value))
      for (const std::string& each : *texts) bytes += sizeof each + each.size();
  }
  return static_cast<int64_t>(bytes);
}

int64_t Graph::parameter_count() const {
  int64_t count = 0;
  for (const auto& [name, tensor] : constants) count += tensor.count();
  return count;
}

std::string Graph::text() const {
  std::string out;
  for (const ValueInfo& input : inputs) out += "input " + input.text() + "\n";
  for (const auto& [name, tensor] : constants)
    out += fmt::format("constant {} {} {}\n", printable(name), type_name(tensor.type()), shape_text(tensor.shape()));
  for (const Node& node : nodes) {
    std::string line = fmt::format("{} = {}{}{}({})", fmt::join(node.outputs, ", "), node.domain,
                                   node.domain.empty() ? "" : ".", node.op, fmt::join(node.inputs, ", "));
    for (const auto& [key, value] : node.attributes) line += fmt::format(" {}={}", key, attribute_text(value));
    out += printable(line) + "\n";
  }
  for (const ValueInfo& output : outputs) out += "output " + output.text() + "\n";
  return out;
}

namespace {

// The values made so far in a graph and, through `outer`, around it.
struct Made {
  const Made* outer = nullptr;
  std::unordered_set<std::string_view> names;

  bool has(const std::string& name) const {
    for (const Made* each = this; each != nullptr; each = each->outer)
      if (each->names.contains(name)) return true;
    return false;
  }
  bool add(const std::string& name) { return !has(name) && names.insert(name).second; }
};

Result<bool> verify_within(const Graph& graph, const Made* outer, const std::string& source) {
  const auto bad = [&](const std::string& where, std::string what) {
    return Error{Code::kInvalidArgument, source + (where.empty() ? "" : ": " + where), std::move(what)};
  };
  Made made{outer, {}};
  made.names.reserve(graph.constants.size() + graph.inputs.size() + graph.nodes.size());
  for (const auto& [name, tensor] : graph.constants) made.names.insert(name);
  for (const ValueInfo& input : graph.inputs)  // of a subgraph: may hide a value around it
    if (!made.names.insert(input.name).second) return bad("", fmt::format("input '{}' is defined twice", input.name));
  for (const Node& node : graph.nodes) {
    if (node.outputs.empty()) return bad(node.where(), "names no outputs");
    for (const std::string& name : node.inputs)
      if (!name.empty() && !made.has(name))
        return bad(node.where(), fmt::format("reads value '{}', which nothing before it makes", name));
    for (const auto& [key, value] : node.attributes)
      if (const auto* subgraph = std::get_if<std::shared_ptr<const Graph>>(&value)) {
        const Result<bool> inner = verify_within(**subgraph, &made, source + ": " + node.where());
        if (!inner.ok()) return inner.error();
      }
    for (const std::string& name : node.outputs)
      if (!name.empty() && !made.add(name))
        return bad(node.where(), fmt::format("makes value '{}', which exists already", name));
  }
  if (graph.outputs.empty()) return bad("", "the graph has no outputs");
  for (const ValueInfo& output : graph.outputs)
    if (!made.has(output.name)) return bad("", fmt::format("output '{}' is made by no node", output.name));
  return true;
}

}  // namespace

Result<bool> verify(const Graph& graph) { return verify_within(graph, nullptr, graph.source); }

const std::string& Node::input(size_t i) const {
  static const std::string kNone;
  return i < inputs.size() ? inputs[i] : kNone;
}

const Tensor* Graph::constant(const std::string& name) const {
  const auto it = constants.find(name);
  return it == constants.end() ? nullptr : &it->second;
}

}  // namespace hayate
