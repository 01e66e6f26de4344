#include "import/onnx/graph_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "base/memory_budget.h"
#include "graph/limits.h"
#include "graph/op_table.h"
#include "graph/order.h"
#include "import/onnx/attribute_types.h"
#include "import/onnx/file_error.h"
#include "import/onnx/ml_versions.h"

namespace hayate {
namespace {

namespace schema = onnx_schema;

std::string domain_of(const std::string& domain) { return domain == "ai.onnx" ? "" : domain; }

// `follows`: the type may be left out, it follows from the node that makes or feeds the value.
Result<ValueInfo> value_info_from(const schema::ValueInfo& proto, const std::string& source, bool follows) {
  const bool typed = proto.type().has_tensor_type() ? proto.type().tensor_type().elem_type() != 0
                                                    : proto.type().has_sequence_type() || proto.type().has_map_type();
  if (follows && !typed) return ValueInfo{proto.name(), Type::kFloat32, false, {}, false};
  const std::string where = fmt::format("{}: value '{}'", source, proto.name());
  if (!proto.type().has_tensor_type())
    return bad(where, "is no tensor; only tensors are supported", Code::kUnsupported);
  const auto& tensor_type = proto.type().tensor_type();
  const Result<Type> type = type_from_onnx(tensor_type.elem_type(), where);
  if (!type.ok()) return type.error();
  ValueInfo info{proto.name(), type.value(), tensor_type.has_shape(), {}};
  for (const auto& dim : tensor_type.shape().dim())
    info.dims.push_back({dim.has_dim_value() && dim.dim_value() > 0 ? dim.dim_value() : -1, dim.dim_param()});
  return info;
}

// The lists of maps that ai.onnx.ml.ZipMap makes are declared as no tensors; here the nodes pass their tensors through.
std::set<std::string> made_by_zip_maps(const schema::Graph& proto) {
  std::set<std::string> names;
  for (const auto& node : proto.node())
    if (node.op_type() == "ZipMap" && node.output_size() == 1) names.insert(node.output(0));
  return names;
}

bool same(const Tensor& a, const Tensor& b) {
  return a.type() == b.type() && a.shape() == b.shape() &&
         (a.byte_count() == 0 || std::memcmp(a.bytes(), b.bytes(), a.byte_count()) == 0);
}

// The tensor a Constant node holds, whichever of its attributes carries it.
Result<Tensor> constant_value(const Node& node, const std::string& where) {
  if (node.attributes.size() != 1)
    return bad(where, fmt::format("holds {} attributes; a constant has one value", node.attributes.size()));
  const auto& [key, value] = *node.attributes.begin();
  const auto list = [](const auto& values) { return Shape{static_cast<int64_t>(values.size())}; };
  if (key == "value" || key == "sparse_value") {
    if (const auto* tensor = std::get_if<Tensor>(&value)) return *tensor;
  } else if (const auto* number = std::get_if<float>(&value)) {
    return Tensor::of<float>({}, {*number});
  } else if (const auto* integer = std::get_if<int64_t>(&value)) {
    return Tensor::of<int64_t>({}, {*integer});
  } else if (const auto* numbers = std::get_if<std::vector<float>>(&value)) {
    return Tensor::of<float>(list(*numbers), *numbers);
  } else if (const auto* integers = std::get_if<std::vector<int64_t>>(&value)) {
    return Tensor::of<int64_t>(list(*integers), *integers);
  }
  return bad(where, fmt::format("its attribute '{}' holds no numbers", key), Code::kUnsupported);
}

// AttributeProto.AttributeType of the standard; files of IR version 1 leave it out.
int type_of(const schema::Attribute& proto) {
  enum { kFloat = 1, kInt, kString, kTensor, kGraph, kFloats, kInts, kStrings, kSparse = 11 };
  if (proto.type() != 0) return proto.type();
  if (proto.has_f()) return kFloat;
  if (proto.has_i()) return kInt;
  if (proto.has_s()) return kString;
  if (proto.has_t()) return kTensor;
  if (proto.has_g()) return kGraph;
  if (proto.has_sparse_tensor()) return kSparse;
  if (proto.floats_size() != 0) return kFloats;
  return proto.strings_size() != 0 ? kStrings : kInts;
}

}  // namespace

std::string GraphReader::Call::name(const std::string& inner) const {
  if (inner.empty()) return inner;
  const auto it = formals.find(inner);
  return it != formals.end() ? it->second : prefix + inner;
}

GraphReader::GraphReader(const schema::Model& model, const TensorSource& tensors, const std::string& source,
                         int64_t opset)
    : model_(model), tensors_(tensors), source_(source), opset_(opset) {
  for (const auto& import : model.opset_import())
    if (import.domain() == "ai.onnx.ml") ml_opset_ = std::max<int64_t>(ml_opset_, import.version());
}

Result<Graph> GraphReader::read() {
  const Result<bool> functions = collect_functions();
  if (!functions.ok()) return functions.error();
  return graph_from(model_.graph(), source_, 0, nullptr);
}

Result<bool> GraphReader::collect_functions() {
  for (const auto& function : model_.functions()) {
    const FunctionKey key{domain_of(function.domain()), function.name(), function.overload()};
    if (function.name().empty()) return bad(source_, "holds a function without a name");
    if (!functions_.emplace(key, &function).second)
      return bad(source_, fmt::format("function '{}' is defined twice", function.name()));
  }
  return true;
}

Result<Tensor> GraphReader::tensor(const schema::Tensor& proto, const std::string& where, const Call* call) {
  if (call == nullptr) return tensor_from(proto, tensors_, where);
  if (const auto it = shared_.find(&proto); it != shared_.end()) return it->second;
  Result<Tensor> made = tensor_from(proto, tensors_, where);
  if (made.ok()) shared_.emplace(&proto, made.value());
  return made;
}

Result<Attribute> GraphReader::attribute_from(const schema::Attribute& proto, const std::string& where, int depth,
                                              const Call* call) {
  const std::string here = fmt::format("{}: attribute '{}'", where, proto.name());
  switch (type_of(proto)) {
    case 1:
      return Attribute(proto.f());
    case 2:
      return Attribute(proto.i());
    case 3:
      return Attribute(proto.s());
    case 4: {
      Result<Tensor> made = tensor(proto.t(), here, call);
      if (!made.ok()) return made.error();
      return Attribute(std::move(made).value());
    }
    case 5: {
      Result<Graph> graph = graph_from(proto.g(), here, depth + 1, call);
      if (!graph.ok()) return graph.error();
      return Attribute(std::make_shared<const Graph>(std::move(graph).value()));
    }
    case 6:
      return Attribute(std::vector<float>(proto.floats().begin(), proto.floats().end()));
    case 7:
      return Attribute(std::vector<int64_t>(proto.ints().begin(), proto.ints().end()));
    case 8:
      return Attribute(std::vector<std::string>(proto.strings().begin(), proto.strings().end()));
    case 11: {
      Result<Tensor> made = dense_from(proto.sparse_tensor(), tensors_, here);
      if (!made.ok()) return made.error();
      return Attribute(std::move(made).value());
    }
    default:
      return bad(here, fmt::format("attribute type {} is not supported", proto.type()), Code::kUnsupported);
  }
}

Result<Node> GraphReader::node_from(const schema::Node& proto, const std::string& where, size_t position, int depth,
                                    const Call* call) {
  const auto named = [&](const std::string& name) { return call == nullptr ? name : call->name(name); };
  Node node;
  node.name = proto.name().empty() ? fmt::format("{}_{}", proto.op_type(), position) : proto.name();
  if (call != nullptr) node.name = call->prefix + node.name;
  node.domain = domain_of(proto.domain());
  node.op = proto.op_type();
  if (call != nullptr && call->opset != opset_) node.opset = call->opset;
  const auto here = [&] { return where + ": " + node.where(); };
  if (node.op.empty()) return bad(here(), "names no operator");
  for (const std::string& name : proto.input()) node.inputs.push_back(named(name));
  for (const std::string& name : proto.output()) node.outputs.push_back(named(name));
  for (const auto& attribute : proto.attribute()) {
    if (!attribute.ref_attr_name().empty()) {
      if (call == nullptr)
        return bad(here(), fmt::format("attribute '{}' refers to '{}' of a function, but stands in none",
                                       attribute.name(), attribute.ref_attr_name()));
      const auto it = call->attributes.find(attribute.ref_attr_name());
      if (it != call->attributes.end()) node.attributes.emplace(attribute.name(), it->second);
      continue;  // neither given nor with a default: the operator's own default holds
    }
    Result<Attribute> value = attribute_from(attribute, here(), depth, call);
    if (!value.ok()) return value.error();
    if (!node.attributes.emplace(attribute.name(), std::move(value).value()).second)
      return bad(here(), fmt::format("attribute '{}' is given twice", attribute.name()));
  }
  if (node.domain == "ai.onnx.ml") read_as_newest(ml_opset_, &node);
  // The axis that was the default once is said: nobody behind has to know of it.
  if (node.is("Concat") && (node.opset != 0 ? node.opset : opset_) < 4) node.attributes.emplace("axis", int64_t{1});
  return node;
}

Result<bool> GraphReader::add_node(const schema::Node& proto, const std::string& where, int depth, const Call* call,
                                   Graph* graph) {
  Result<Node> made = node_from(proto, where, graph->nodes.size(), depth, call);
  if (!made.ok()) return made.error();
  Node& node = made.value();
  const auto here = [&] { return where + ": " + node.where(); };
  if (call != nullptr) {
    if (++inlined_ > kMadeNodesMax)
      return bad(here(), fmt::format("functions add more than {} nodes", kMadeNodesMax), Code::kResourceExhausted);
  }
  node_bytes_ += node.bytes();  // attributes that functions copy would add up
  if (node_bytes_ >= ask_at_) {
    if (const Result<bool> room = room_for(node_bytes_, here() + ": the nodes so far"); !room.ok()) return room.error();
    ask_at_ = node_bytes_ + (1 << 16);
  }
  const auto function =
      functions_.empty() ? functions_.end() : functions_.find({node.domain, node.op, proto.overload()});
  if (function != functions_.end()) return add_call(*function->second, node, where, depth, call, graph);
  if (node.domain == "hayate")  // what the importers of other formats and the rewrites make
    return bad(here(), unknown_operator(node, graph->opset) + ": its domain is the program's own, in no file",
               Code::kUnsupported);
  const bool known = find_op(node.domain, node.op) != nullptr || node.is("Constant") || node.is("If") ||
                     node.is("Loop") || node.is("Scan");
  for (const auto& [key, value] : node.attributes)  // of operators that are not ours nobody here reads them
    if (const std::string fault = known ? attribute_fault(node.domain, key, value) : ""; !fault.empty())
      return bad(fmt::format("{}: attribute '{}'", here(), key), fault);
  if (!node.is("Constant")) {
    graph->nodes.push_back(std::move(node));
    return true;
  }
  if (node.outputs.size() != 1 || node.outputs[0].empty()) return bad(here(), "a constant has one output");
  Result<Tensor> value = constant_value(node, here());
  if (!value.ok()) return value.error();
  const auto [it, fresh] = graph->constants.emplace(node.outputs[0], value.value());
  if (!fresh && !same(it->second, value.value()))  // said twice, as some fused files do
    return bad(here(), fmt::format("makes value '{}', which exists already", node.outputs[0]));
  return true;
}

Result<GraphReader::Call> GraphReader::bind_call(const schema::Function& function, const Node& node,
                                                 const std::string& here, int depth, const Call* call) {
  Call made;
  made.function = &function;
  made.depth = call == nullptr ? 1 : call->depth + 1;
  if (made.depth > kCallDepthMax)
    return bad(here, fmt::format("functions call each other deeper than {} (one that calls itself?)", kCallDepthMax));
  if (++calls_ > kMadeNodesMax)
    return bad(here, fmt::format("more than {} calls of functions", kMadeNodesMax), Code::kResourceExhausted);
  if (static_cast<int>(node.inputs.size()) > function.input_size() ||
      static_cast<int>(node.outputs.size()) > function.output_size())
    return bad(here,
               fmt::format("gives {} inputs and asks for {} outputs; the function has {} and {}", node.inputs.size(),
                           node.outputs.size(), function.input_size(), function.output_size()));
  made.prefix = fmt::format("{}.{}/", node.name, calls_);
  for (int i = 0; i < function.input_size(); ++i)
    made.formals.insert_or_assign(function.input(i), node.input(static_cast<size_t>(i)));
  const auto versions = imported_versions(function.opset_import(), here);
  if (!versions.ok()) return versions.error();
  const auto standard = versions.value().find("");
  made.opset = standard == versions.value().end() ? opset_ : standard->second;
  if (const Result<bool> known = check_opset(made.opset, here); !known.ok()) return known.error();
  for (const auto& attribute : function.attribute_proto()) {
    Result<Attribute> value = attribute_from(attribute, here, depth, &made);
    if (!value.ok()) return value.error();
    made.attributes.insert_or_assign(attribute.name(), std::move(value).value());
  }
  for (const auto& [key, value] : node.attributes) made.attributes.insert_or_assign(key, value);
  return made;
}

Result<bool> GraphReader::add_call(const schema::Function& function, const Node& node, const std::string& where,
                                   int depth, const Call* call, Graph* graph) {
  const std::string here = where + ": " + node.where();
  Result<Call> bound = bind_call(function, node, here, depth, call);
  if (!bound.ok()) return bound.error();
  Call& inner = bound.value();
  for (int i = 0; i < function.output_size(); ++i) {
    const std::string& formal = function.output(i);
    const std::string wanted = static_cast<size_t>(i) < node.outputs.size() ? node.outputs[static_cast<size_t>(i)] : "";
    if (wanted.empty()) continue;
    // An output that is an input as well, or listed twice, is passed on by a node of its own.
    if (const auto [it, fresh] = inner.formals.emplace(formal, wanted); !fresh)
      graph->nodes.push_back({wanted, "", "Identity", {it->second}, {wanted}, {}});
  }
  for (const auto& each : function.node()) {
    const Result<bool> added = add_node(each, where, depth, &inner, graph);
    if (!added.ok()) return added.error();
  }
  return true;
}

Result<bool> GraphReader::add_initializers(const schema::Graph& proto, const Call* call, Graph* graph) {
  const auto add = [&](const std::string& name, Result<Tensor> made) -> Result<bool> {
    if (!made.ok()) return made.error();
    if (name.empty()) return bad(graph->source, "holds an initializer without a name");
    if (!graph->constants.emplace(call == nullptr ? name : call->name(name), std::move(made).value()).second)
      return bad(graph->source, fmt::format("initializer '{}' is defined twice", name));
    return true;
  };
  for (const auto& each : proto.initializer()) {
    const std::string where = fmt::format("{}: initializer '{}'", graph->source, each.name());
    const Result<bool> added = add(each.name(), tensor(each, where, call));
    if (!added.ok()) return added.error();
  }
  for (const auto& each : proto.sparse_initializer()) {
    const std::string& name = each.values().name();
    const std::string where = fmt::format("{}: sparse initializer '{}'", graph->source, name);
    const Result<bool> added = add(name, dense_from(each, tensors_, where));
    if (!added.ok()) return added.error();
  }
  return true;
}

Result<bool> GraphReader::add_ports(const schema::Graph& proto, int depth, const Call* call, Graph* graph) {
  for (const auto& input : proto.input()) {
    const std::string name = call == nullptr ? input.name() : call->name(input.name());
    Result<ValueInfo> info = value_info_from(input, graph->source, depth > 0);
    if (info.ok()) info.value().name = name;
    if (const Tensor* made = graph->constant(name); made != nullptr) {
      // Before IR version 4 initializers had to be listed as inputs; since then one that is may be fed.
      const bool may_be_fed = depth == 0 && call == nullptr && model_.ir_version() >= kIrWithDefaults;
      if (may_be_fed && info.ok() && info.value().type == made->type()) graph->defaults.push_back(info.value());
      continue;
    }
    if (!info.ok()) return info.error();
    graph->inputs.push_back(std::move(info).value());
  }
  const std::set<std::string> lists_of_maps = made_by_zip_maps(proto);
  for (const auto& output : proto.output()) {
    Result<ValueInfo> info = lists_of_maps.contains(output.name())
                                 ? Result<ValueInfo>(ValueInfo{output.name(), Type::kFloat32, false, {}})
                                 : value_info_from(output, graph->source, true);
    if (!info.ok()) return info.error();
    if (call != nullptr) info.value().name = call->name(output.name());
    graph->outputs.push_back(std::move(info).value());
  }
  return true;
}

Result<Graph> GraphReader::graph_from(const schema::Graph& proto, const std::string& where, int depth,
                                      const Call* call) {
  if (depth > kSubgraphDepthMax)
    return bad(where, fmt::format("subgraphs are nested deeper than {}", kSubgraphDepthMax));
  Graph graph;
  graph.source = where;
  graph.opset = opset_;
  const Result<bool> initializers = add_initializers(proto, call, &graph);
  if (!initializers.ok()) return initializers.error();
  const Result<bool> ports = add_ports(proto, depth, call, &graph);
  if (!ports.ok()) return ports.error();
  for (const auto& node : proto.node()) {
    const Result<bool> added = add_node(node, where, depth, call, &graph);
    if (!added.ok()) return added.error();
  }
  const Result<bool> sorted = sort_nodes(&graph);
  if (!sorted.ok()) return sorted.error();
  return graph;
}

Result<std::map<std::string, int64_t>> imported_versions(const Imports& imports, const std::string& where) {
  std::map<std::string, int64_t> versions, last;  // the standard takes the highest of several
  for (const auto& import : imports) {
    const auto [it, fresh] = versions.emplace(domain_of(import.domain()), import.version());
    it->second = std::max<int64_t>(it->second, import.version()), last[it->first] = import.version();
  }
  // Others take the last: where that is another, an operator has two meanings.
  for (const auto& [domain, version] : versions)
    if (domain.empty() && last.at(domain) != version)
      return bad(where,
                 fmt::format("imports versions {} and {} of ai.onnx; one is accepted", version, last.at(domain)));
  return versions;
}

Result<bool> check_opset(int64_t version, const std::string& where) {
  if (version >= kOpsetMin && version <= kOpsetMax) return true;
  return bad(where, fmt::format("opset {} of ai.onnx; {} to {} are accepted", version, kOpsetMin, kOpsetMax),
             Code::kUnsupported);
}

}  // namespace hayate
