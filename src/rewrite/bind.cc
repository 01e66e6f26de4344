#include "rewrite/bind.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>

#include "base/memory_budget.h"
#include "eval/inference.h"
#include "graph/limits.h"

namespace hayate {

Result<bool> bind_input(Graph* graph, const std::string& name, const std::string& value) {
  const auto it = std::find_if(graph->inputs.begin(), graph->inputs.end(),
                               [&](const ValueInfo& input) { return input.name == name; });
  if (it == graph->inputs.end()) {
    std::string known;
    for (const ValueInfo& input : graph->inputs) known += (known.empty() ? "" : ", ") + input.text();
    return Error{Code::kInvalidArgument, graph->source,
                 fmt::format("has no input '{}' to set; its inputs are: {}", name, known)};
  }
  double number = 0;
  const auto parsed = std::from_chars(value.data(), value.data() + value.size(), number);
  if (parsed.ec != std::errc{} || parsed.ptr != value.data() + value.size())
    return Error{Code::kInvalidArgument, graph->source,
                 fmt::format("input '{}' is set to '{}', which is no number", name, value)};
  Shape shape;
  for (const Dim& dim : it->dims) shape.push_back(dim.fixed() ? dim.value : 1);
  const Result<int64_t> count = checked_count(shape);
  if (!count.ok() || count.value() > 1 << 20)
    return Error{Code::kInvalidArgument, graph->source, fmt::format("input {} is too large to set", it->text())};
  Tensor tensor(it->type, shape);
  const bool filled = visit_type(it->type, [&]<typename T>() {
    for (int64_t i = 0; i < tensor.count(); ++i) tensor.data<T>()[i] = static_cast<T>(number);
  });
  if (!filled) return Error{Code::kUnsupported, graph->source, fmt::format("input {} cannot be set", it->text())};
  graph->inputs.erase(it);
  graph->constants.insert_or_assign(name, std::move(tensor));
  return true;
}

Result<bool> bind_text(Graph* graph, const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos)
    return Error{Code::kInvalidArgument, "--set " + text, "must be NAME=VALUE, as in --set sr=16000"};
  return bind_input(graph, text.substr(0, equals), text.substr(equals + 1));
}

Result<bool> fix_shape(Graph* graph, const std::string& given) {
  const std::string where = "--shape " + given;
  const size_t colon = given.rfind(':');
  if (colon == std::string::npos)
    return Error{Code::kInvalidArgument, where, "must be NAME:D1,D2,..., as in --shape input:1,512"};
  const std::string name = given.substr(0, colon);
  const auto it = std::find_if(graph->inputs.begin(), graph->inputs.end(),
                               [&](const ValueInfo& input) { return input.name == name; });
  if (it == graph->inputs.end()) {
    std::string known;
    for (const ValueInfo& input : graph->inputs) known += (known.empty() ? "" : ", ") + input.text();
    return Error{Code::kInvalidArgument, where,
                 fmt::format("{} has no input '{}'; its inputs are: {}", graph->source, name, known)};
  }
  std::vector<Dim> dims;
  for (size_t at = colon + 1; at <= given.size();) {
    const size_t end = std::min(given.find(',', at), given.size());
    if (given.compare(at, end - at, "*") == 0) {
      dims.push_back(dims.size() < it->dims.size() ? it->dims[dims.size()] : Dim{});
      at = end + 1;
      continue;
    }
    int64_t extent = -1;
    const auto parsed = std::from_chars(given.data() + at, given.data() + end, extent);
    if (parsed.ec != std::errc{} || parsed.ptr != given.data() + end || extent < 0)
      return Error{Code::kInvalidArgument, where,
                   fmt::format("'{}' is no extent; a whole number of 0 or more is, or * for what the model says",
                               given.substr(at, end - at))};
    dims.push_back({extent, ""});
    at = end + 1;
  }
  bool fits = !it->has_shape || it->dims.size() == dims.size();
  for (size_t i = 0; fits && it->has_shape && i < dims.size(); ++i)
    fits = !it->dims[i].fixed() || it->dims[i].value == dims[i].value;  // * gave the same
  if (!fits) return Error{Code::kInvalidArgument, where, fmt::format("does not fit input {}", it->text())};
  it->has_shape = true, it->dims = std::move(dims);
  return true;
}

namespace {

constexpr size_t kBranchesMax = 10'000;    // replaced in one graph: a file must not grow without end
constexpr int64_t kLoopStepsMax = 10'000;  // of one Loop
constexpr int64_t kScanWithoutBatch = 9;   // the opset whose Scan has no batch axis

using Names = std::map<std::string, std::string>;

// A subgraph with the names in `names` replaced, in the graphs nested in it too: those read values around them by name,
// but for those that they hide by inputs and constants of their own.
Graph renamed(const Graph& graph, const Names& names) {
  const auto within = [&](const Graph& inner) {
    Names seen = names;
    for (const ValueInfo& input : inner.inputs) seen.erase(input.name);
    for (const auto& [name, tensor] : inner.constants) seen.erase(name);
    return renamed(inner, seen);
  };
  const auto apply = [&](std::string* name) {
    if (const auto it = names.find(*name); it != names.end()) *name = it->second;
  };
  Graph out = graph;
  for (Node& node : out.nodes) {
    for (std::string& name : node.inputs) apply(&name);
    for (const auto& [key, value] : Attributes(node.attributes))
      if (const auto* subgraph = std::get_if<std::shared_ptr<const Graph>>(&value))
        node.attributes[key] = std::make_shared<const Graph>(within(**subgraph));
  }
  for (ValueInfo& output : out.outputs) apply(&output.name);
  return out;
}

// Adds the body's nodes and constants under names of their own ("prefix/..."), its inputs read from `feeds`. Gives the
// names its outputs now have.
std::vector<std::string> inline_body(const Graph& body, const std::string& prefix,
                                     const std::vector<std::string>& feeds, std::vector<Node>* nodes,
                                     std::map<std::string, Tensor>* constants) {
  Names names;
  for (const auto& [name, tensor] : body.constants) names[name] = prefix + name;
  for (const Node& node : body.nodes)
    for (const std::string& name : node.outputs)
      if (!name.empty()) names[name] = prefix + name;
  for (size_t i = 0; i < body.inputs.size(); ++i) names[body.inputs[i].name] = feeds[i];
  Graph own = renamed(body, names);
  for (const auto& [name, tensor] : body.constants) constants->emplace(prefix + name, tensor);
  for (Node& node : own.nodes) {
    for (std::string& name : node.outputs)
      if (!name.empty()) name = prefix + name;
    node.name = prefix + node.name;
    nodes->push_back(std::move(node));
  }
  std::vector<std::string> outputs;
  for (const ValueInfo& output : own.outputs) outputs.push_back(output.name);
  return outputs;
}

Node make_node(const std::string& name, const std::string& op, std::vector<std::string> inputs,
               const std::string& output, std::map<std::string, Attribute> attributes = {}) {
  return {name, "", op, std::move(inputs), {output}, std::move(attributes)};
}

// What one copy of a Loop's or Scan's body adds, with what feeds and joins it.
int64_t nodes_per_step(const Graph& body) {
  return static_cast<int64_t>(body.nodes.size() + body.inputs.size() + body.outputs.size()) + 1;
}

int64_t step_bytes(const Graph& body) {
  int64_t bytes = 0;
  for (const Node& node : body.nodes) bytes += node.bytes();
  return bytes;
}

Result<bool> take_branch(const Graph& graph, const Node& node, const Facts& facts, size_t number,
                         std::vector<Node>* nodes, std::map<std::string, Tensor>* constants) {
  const std::string where = graph.source + ": " + node.where();
  const auto condition = facts.find(node.input(0));
  if (condition == facts.end() || !condition->second.value) {
    std::string names;
    for (const ValueInfo& input : graph.inputs) names += (names.empty() ? "" : ", ") + input.name;
    return Error{Code::kUnsupported, where,
                 fmt::format("its condition '{}' depends on what the model is fed; bind the input that decides it with "
                             "--set NAME=VALUE (inputs: {})",
                             node.input(0), names)};
  }
  const Tensor& value = *condition->second.value;
  if (value.type() != Type::kBool || value.count() != 1)
    return Error{Code::kInvalidArgument, where, "its condition is not one bool"};
  const auto branch = node.subgraph(value.data<bool>()[0] ? "then_branch" : "else_branch");
  if (!branch || branch->outputs.size() < node.outputs.size() || !branch->inputs.empty())
    return Error{Code::kInvalidArgument, where, "its branch is missing, takes inputs or gives too few outputs"};
  const std::vector<std::string> made =
      inline_body(*branch, fmt::format("{}.{}/", node.name, number), {}, nodes, constants);
  for (size_t i = 0; i < node.outputs.size(); ++i)
    if (!node.outputs[i].empty())
      nodes->push_back(
          make_node(fmt::format("{}.{}/out{}", node.name, number, i), "Identity", {made[i]}, node.outputs[i]));
  return true;
}

// value [..] -> [1, ..]
Node unsqueezed(const Graph& graph, const std::string& value, const std::string& name,
                std::map<std::string, Tensor>* constants) {
  if (graph.opset < 13) return make_node(name, "Unsqueeze", {value}, name, {{"axes", Shape{0}}});
  constants->emplace(name + "/axes", Tensor::of<int64_t>({1}, {0}));
  return make_node(name, "Unsqueeze", {value, name + "/axes"}, name);
}

// Scan of opset 8 runs apart for every row of a batch: becomes one newer Scan for each, their outputs joined again.
Result<bool> split_scan_rows(const Graph& graph, const Node& node, const Facts& facts, size_t number,
                             std::vector<Node>* nodes, std::map<std::string, Tensor>* constants) {
  const auto bad = [&](std::string what, Code code = Code::kInvalidArgument) {
    return Error{code, graph.source + ": " + node.where(), std::move(what)};
  };
  if (!node.input(0).empty()) return bad("lengths of sequences are not supported", Code::kUnsupported);
  const auto scanned = facts.find(node.inputs.back());
  if (node.inputs.size() < 2 || scanned == facts.end() || scanned->second.type.shape.size() < 2)
    return bad("has nothing to scan");
  const int64_t rows = scanned->second.type.shape[0];
  if (rows < 1 || rows > kMadeNodesMax)
    return bad(fmt::format("{} rows; 1 to {} are unrolled", rows, kMadeNodesMax), Code::kUnsupported);
  std::vector<std::vector<std::string>> made(node.outputs.size());
  for (int64_t row = 0; row < rows; ++row) {
    const std::string prefix = fmt::format("{}.{}.row{}/", node.name, number, row);
    constants->emplace(prefix + "row", Tensor::of<int64_t>({}, {row}));
    Node one = node;
    one.name = prefix + "scan", one.opset = kScanWithoutBatch, one.inputs.clear();
    if (const auto it = node.attributes.find("directions"); it != node.attributes.end())
      one.attributes["scan_input_directions"] = it->second;
    for (size_t i = 1; i < node.inputs.size(); ++i) {
      one.inputs.push_back(fmt::format("{}in{}", prefix, i));
      nodes->push_back(make_node(one.inputs.back(), "Gather", {node.inputs[i], prefix + "row"}, one.inputs.back(),
                                 {{"axis", int64_t{0}}}));
    }
    for (size_t i = 0; i < one.outputs.size(); ++i)
      if (!node.outputs[i].empty()) one.outputs[i] = fmt::format("{}out{}", prefix, i);
    nodes->push_back(one);
    for (size_t i = 0; i < one.outputs.size(); ++i) {
      if (node.outputs[i].empty()) continue;
      made[i].push_back(one.outputs[i] + "/row");
      nodes->push_back(unsqueezed(graph, one.outputs[i], made[i].back(), constants));
    }
  }
  for (size_t i = 0; i < node.outputs.size(); ++i)
    if (!node.outputs[i].empty())
      nodes->push_back(make_node(fmt::format("{}.{}/out{}", node.name, number, i), "Concat", made[i], node.outputs[i],
                                 {{"axis", int64_t{0}}}));
  return true;
}

// One copy of the body per step: states go from copy to copy, scanned inputs are gathered along their axes, and what
// each copy gives is joined along its axis.
Result<bool> unroll_scan(const Graph& graph, const Node& node, const Facts& facts, size_t number,
                         std::vector<Node>* nodes, std::map<std::string, Tensor>* constants) {
  const auto bad = [&](std::string what, Code code = Code::kInvalidArgument) {
    return Error{code, graph.source + ": " + node.where(), std::move(what)};
  };
  if (graph.opset_of(node) < kScanWithoutBatch) return split_scan_rows(graph, node, facts, number, nodes, constants);
  const auto body = node.subgraph("body");
  const int64_t scanned = node.get<int64_t>("num_scan_inputs", 0),
                states = static_cast<int64_t>(node.inputs.size()) - scanned;
  if (!body || scanned < 1 || states < 0 || body->inputs.size() != node.inputs.size() ||
      body->outputs.size() != node.outputs.size() || static_cast<int64_t>(node.outputs.size()) < states)
    return bad("its body does not fit its inputs and outputs");
  const auto listed = [&](const char* key, size_t i) {  // axes and directions: 0 where the list is absent
    const Shape values = node.get<Shape>(key, {});
    return i < values.size() ? values[i] : 0;
  };
  const auto sequence = facts.find(node.inputs[states]);
  if (sequence == facts.end()) return bad("has nothing to scan");
  const Shape& scanned_shape = sequence->second.type.shape;
  const std::optional<int64_t> along =
      normal_axis(listed("scan_input_axes", 0), static_cast<int64_t>(scanned_shape.size()));
  if (!along) return bad(fmt::format("cannot scan shape {}", shape_text(scanned_shape)));
  const int64_t steps = scanned_shape[*along];
  if (steps < 1 || steps > kMadeNodesMax / nodes_per_step(*body))
    return bad(fmt::format("{} steps of {} nodes; 1 step to {} nodes in all are unrolled", steps, body->nodes.size(),
                           kMadeNodesMax),
               Code::kUnsupported);
  if (const Result<bool> room = room_for(steps * step_bytes(*body), graph.source + ": " + node.where() + ": its steps");
      !room.ok())
    return room.error();
  std::vector<std::string> state(node.inputs.begin(), node.inputs.begin() + states);
  std::vector<std::vector<std::string>> rows(node.outputs.size() - states);
  for (int64_t step = 0; step < steps; ++step) {
    const std::string prefix = fmt::format("{}.{}.{}/", node.name, number, step);
    std::vector<std::string> feeds = state;
    constants->emplace(prefix + "step", Tensor::of<int64_t>({}, {step}));
    constants->emplace(prefix + "back", Tensor::of<int64_t>({}, {steps - 1 - step}));
    for (int64_t i = 0; i < scanned; ++i) {
      const std::string index = prefix + (listed("scan_input_directions", i) == 0 ? "step" : "back");
      feeds.push_back(prefix + "in" + std::to_string(i));
      nodes->push_back(make_node(feeds.back(), "Gather", {node.inputs[states + i], index}, feeds.back(),
                                 {{"axis", listed("scan_input_axes", i)}}));
    }
    const std::vector<std::string> made = inline_body(*body, prefix, feeds, nodes, constants);
    state.assign(made.begin(), made.begin() + states);
    for (size_t i = 0; i < rows.size(); ++i) {
      rows[i].push_back(prefix + "out" + std::to_string(i));
      std::vector<std::string> inputs{made[states + i]};
      const int64_t axis = listed("scan_output_axes", i);
      std::map<std::string, Attribute> attributes;
      if (graph.opset < 13) {  // where Unsqueeze takes its axes
        attributes.emplace("axes", Shape{axis});
      } else {
        inputs.push_back(fmt::format("{}axes{}", prefix, i));
        constants->emplace(inputs.back(), Tensor::of<int64_t>({1}, {axis}));
      }
      nodes->push_back(make_node(rows[i].back(), "Unsqueeze", inputs, rows[i].back(), attributes));
    }
  }
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i].empty()) continue;
    const std::string name = fmt::format("{}.{}/out{}", node.name, number, i);
    if (static_cast<int64_t>(i) < states) {
      nodes->push_back(make_node(name, "Identity", {state[i]}, node.outputs[i]));
      continue;
    }
    std::vector<std::string>& pieces = rows[i - states];
    if (listed("scan_output_directions", i - states) != 0) std::reverse(pieces.begin(), pieces.end());
    nodes->push_back(
        make_node(name, "Concat", pieces, node.outputs[i], {{"axis", listed("scan_output_axes", i - states)}}));
  }
  return true;
}

// What a Loop is told before it runs.
struct LoopTerms {
  int64_t trips = INT64_MAX;
  bool goes_on = true;
};

Result<LoopTerms> loop_terms(const Graph& graph, const Node& node, const Facts& facts) {
  LoopTerms terms;
  for (size_t i = 0; i < 2; ++i) {
    if (node.input(i).empty()) continue;
    const auto fact = facts.find(node.input(i));
    const std::string where = graph.source + ": " + node.where();
    if (fact == facts.end() || !fact->second.value)
      return Error{
          Code::kUnsupported, where,
          fmt::format("its {} '{}' depends on what the model is fed; bind the input that decides it with --set "
                      "NAME=VALUE",
                      i == 0 ? "trip count" : "condition", node.input(i))};
    const Tensor& value = *fact->second.value;
    if (value.count() != 1 || value.type() != (i == 0 ? Type::kInt64 : Type::kBool))
      return Error{Code::kInvalidArgument, where, "its trip count must be one int64, its condition one bool"};
    if (i == 0)
      terms.trips = value.data<int64_t>()[0];
    else
      terms.goes_on = value.data<bool>()[0];
  }
  return terms;
}

// Whether the body goes on whenever it was told to: its condition is handed through, or constantly true.
bool always_goes_on(const Graph& body) {
  std::string name = body.outputs[0].name;
  for (size_t i = body.nodes.size(); i-- > 0;)
    if (const Node& node = body.nodes[i]; node.is("Identity") && node.outputs == std::vector{name})
      name = node.input(0);
  if (name == body.inputs[1].name) return true;
  const Tensor* value = body.constant(name);
  return value != nullptr && value->type() == Type::kBool && value->count() == 1 && value->data<bool>()[0];
}

// The joined rows of a Loop that runs not once: as its body declares a row, and as ONNX Runtime has it, extents that it
// leaves open are 0.
Result<Tensor> no_rows(const ValueInfo& row, const std::string& where) {
  if (!row.has_type)
    return Error{Code::kUnsupported, where,
                 fmt::format("runs no step, and its body does not say of which type '{}' is", row.name)};
  Shape shape{0};
  for (const Dim& dim : row.dims) shape.push_back(dim.fixed() ? dim.value : 0);
  return Tensor::make(row.type, shape, where);
}

// The rest of a Loop that runs no further: its states are the outputs; its joined outputs are rows [0, ..] of the step
// before, named by the attribute that peeling left.
Result<bool> end_loop(const Graph& graph, const Node& node, const std::string& prefix, size_t states,
                      std::vector<Node>* nodes, std::map<std::string, Tensor>* constants) {
  const auto rows = node.get<std::vector<std::string>>("hayate.rows", {});
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i].empty()) continue;
    const std::string name = fmt::format("{}out{}", prefix, i);
    if (i < states) {
      nodes->push_back(make_node(name, "Identity", {node.inputs[2 + i]}, node.outputs[i]));
      continue;
    }
    if (rows.size() <= i - states) {
      Result<Tensor> empty = no_rows(node.subgraph("body")->outputs[1 + i], graph.source + ": " + node.where());
      if (!empty.ok()) return empty.error();
      constants->emplace(name + "/none", std::move(empty).value());
      nodes->push_back(make_node(name, "Identity", {name + "/none"}, node.outputs[i]));
      continue;
    }
    constants->emplace(prefix + "none", Tensor::of<int64_t>({1}, {0}));
    std::map<std::string, Attribute> attributes;
    std::vector<std::string> inputs{rows[i - states]};
    if (graph.opset < 10)
      attributes = {{"axes", Shape{0}}, {"starts", Shape{0}}, {"ends", Shape{0}}};
    else
      inputs.insert(inputs.end(), 3, prefix + "none");
    nodes->push_back(make_node(name, "Slice", inputs, node.outputs[i], attributes));
  }
  return true;
}

// One copy of the body per step where the number of steps is known at once; else one copy and a Loop for the rest,
// whose condition the next round knows.
Result<bool> unroll_loop(const Graph& graph, const Node& node, const Facts& facts, size_t number,
                         std::vector<Node>* nodes, std::map<std::string, Tensor>* constants) {
  const auto bad = [&](std::string what, Code code = Code::kInvalidArgument) {
    return Error{code, graph.source + ": " + node.where(), std::move(what)};
  };
  const auto body = node.subgraph("body");
  if (!body || node.inputs.size() < 2 || body->inputs.size() != node.inputs.size() || body->outputs.empty() ||
      body->outputs.size() != node.outputs.size() + 1 || node.outputs.size() + 2 < node.inputs.size())
    return bad("its body does not fit its inputs and outputs");
  const Result<LoopTerms> terms = loop_terms(graph, node, facts);
  if (!terms.ok()) return terms.error();
  const size_t states = node.inputs.size() - 2;
  const std::string own = fmt::format("{}.{}/", node.name, number);
  if (terms.value().trips <= 0 || !terms.value().goes_on) return end_loop(graph, node, own, states, nodes, constants);
  const bool whole = always_goes_on(*body);
  const int64_t steps = whole ? terms.value().trips : 1, first = node.get<int64_t>("hayate.first", 0);
  if (first + 1 > kLoopStepsMax || steps > kLoopStepsMax || steps > kMadeNodesMax / nodes_per_step(*body))
    return bad(fmt::format("its steps of {} nodes are too many to unroll; {} steps and {} nodes are the most",
                           body->nodes.size(), kLoopStepsMax, kMadeNodesMax),
               Code::kUnsupported);
  if (const Result<bool> room = room_for(steps * step_bytes(*body), graph.source + ": " + node.where() + ": its steps");
      !room.ok())
    return room.error();
  std::vector<std::string> state(node.inputs.begin() + 2, node.inputs.end()), last_rows;
  std::vector<std::vector<std::string>> rows(node.outputs.size() - states);
  std::string condition;
  // Scalars, or of one element where the body says so.
  const auto shape_of = [&](size_t i) { return body->inputs[i].dims.size() == 1 ? Shape{1} : Shape{}; };
  constants->emplace(own + "true", Tensor::of<bool>(shape_of(1), {true}));
  for (int64_t step = 0; step < steps; ++step) {
    const std::string prefix = fmt::format("{}{}/", own, step);
    constants->emplace(prefix + "step", Tensor::of<int64_t>(shape_of(0), {first + step}));
    std::vector<std::string> feeds{prefix + "step", own + "true"};
    feeds.insert(feeds.end(), state.begin(), state.end());
    const std::vector<std::string> made = inline_body(*body, prefix, feeds, nodes, constants);
    condition = made[0];
    state.assign(made.begin() + 1, made.begin() + 1 + static_cast<int64_t>(states));
    for (size_t i = 0; i < rows.size(); ++i) {
      rows[i].push_back(fmt::format("{}row{}", prefix, i));
      nodes->push_back(unsqueezed(graph, made[1 + states + i], rows[i].back(), constants));
    }
  }
  for (const auto& each : rows) last_rows.push_back(each.back());
  if (!whole) {
    Node rest = node;
    rest.attributes["hayate.first"] = first + 1, rest.attributes["hayate.rows"] = last_rows;
    if (!node.input(0).empty()) {
      rest.inputs[0] = own + "left";
      constants->emplace(rest.inputs[0], Tensor::of<int64_t>({}, {terms.value().trips - 1}));
    }
    rest.inputs[1] = condition;
    for (size_t i = 0; i < states; ++i) rest.inputs[2 + i] = state[i];
    for (size_t i = 0; i < rows.size(); ++i)
      if (!node.outputs[states + i].empty())
        rest.outputs[states + i] = fmt::format("{}rest{}", own, i), rows[i].push_back(rest.outputs[states + i]);
    nodes->push_back(std::move(rest));
  }
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i].empty() || (i < states && !whole)) continue;
    const std::string name = fmt::format("{}out{}", own, i);
    nodes->push_back(i < states ? make_node(name, "Identity", {state[i]}, node.outputs[i])
                                : make_node(name, "Concat", rows[i - states], node.outputs[i], {{"axis", int64_t{0}}}));
  }
  return true;
}

}  // namespace

Result<Graph> resolve_branches(Graph graph, const std::map<std::string, TensorType>& inputs,
                               std::vector<std::string>* deciding) {
  const auto is_control = [](const Node& node) { return node.is("If") || node.is("Scan") || node.is("Loop"); };
  if (std::none_of(graph.nodes.begin(), graph.nodes.end(), is_control)) return graph;
  Inference inference(graph);
  for (const auto& [name, tensor] : graph.constants)
    if (const Result<bool> added = inference.add_constant(name, tensor); !added.ok()) return added.error();
  for (const ValueInfo& input : graph.inputs)
    if (const Result<bool> added = inference.add_input(input, inputs); !added.ok()) return added.error();
  // Nodes still to be looked at, the next one last; what a node becomes is looked at right after it.
  std::vector<Node> pending(std::make_move_iterator(graph.nodes.rbegin()), std::make_move_iterator(graph.nodes.rend()));
  graph.nodes.clear();
  size_t replaced = 0;
  int64_t made = 0;
  MemoryClaim claim;
  while (!pending.empty()) {
    const Node node = std::move(pending.back());
    pending.pop_back();
    if (!is_control(node)) {
      if (const Result<bool> added = inference.add(node); !added.ok()) return added.error();
      graph.nodes.push_back(node);
      continue;
    }
    const std::string where = graph.source + ": " + node.where();
    if (++replaced > kBranchesMax)
      return Error{Code::kResourceExhausted, where, fmt::format("the graph holds more than {} branches", kBranchesMax)};
    if (deciding != nullptr && !node.is("Scan"))
      for (size_t i = 0; i < 2 && (i == 0 || node.is("Loop")); ++i)
        if (!node.input(i).empty()) deciding->push_back(node.inputs[i]);
    std::vector<Node> nodes;
    std::map<std::string, Tensor> constants;
    const auto replace = node.is("If") ? take_branch : node.is("Scan") ? unroll_scan : unroll_loop;
    const Result<bool> done = replace(graph, node, inference.facts(), replaced - 1, &nodes, &constants);
    if (!done.ok()) return done.error();
    made += static_cast<int64_t>(nodes.size());
    if (made > kMadeNodesMax)
      return Error{Code::kResourceExhausted, where,
                   fmt::format("branches and loops make more than {} nodes", kMadeNodesMax)};
    int64_t bytes = 0;
    for (const Node& each : nodes) bytes += each.bytes();
    if (const Result<bool> room = claim.grow(bytes, where + ": its steps"); !room.ok()) return room.error();
    for (auto& [name, tensor] : constants) {
      if (const Result<bool> added = inference.add_constant(name, tensor); !added.ok()) return added.error();
      graph.constants.emplace(name, tensor);
    }
    pending.insert(pending.end(), std::make_move_iterator(nodes.rbegin()), std::make_move_iterator(nodes.rend()));
  }
  const Result<bool> verified = verify(graph);
  if (!verified.ok()) return verified.error();
  return graph;
}

}  // namespace hayate
