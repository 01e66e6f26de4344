#include "import/onnx/onnx_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

#include "base/memory_budget.h"
#include "graph/op_table.h"
#include "import/onnx/standard_ops.h"
#include "onnx.pb.h"

namespace hayate {
namespace {

namespace schema = onnx_schema;

constexpr int kTypeCodeMax = 16;  // of TensorProto.DataType among those that tensors here can have

int32_t code_of(Type type) {
  for (int32_t code = 1; code <= kTypeCodeMax; ++code)
    if (type_from_code(code) == type) return code;
  return 0;
}

void write_tensor(const std::string& name, const Tensor& tensor, schema::Tensor* to) {
  if (!name.empty()) to->set_name(name);
  to->set_data_type(code_of(tensor.type()));
  for (const int64_t extent : tensor.shape()) to->add_dims(extent);
  to->set_raw_data(tensor.bytes(), tensor.byte_count());
}

void write_port(const ValueInfo& port, schema::ValueInfo* to) {
  to->set_name(port.name);
  if (!port.has_type) return;
  auto* type = to->mutable_type()->mutable_tensor_type();
  type->set_elem_type(code_of(port.type));
  if (!port.has_shape) return;
  auto* shape = type->mutable_shape();
  for (const Dim& dim : port.dims) {
    auto* made = shape->add_dim();
    if (dim.fixed())
      made->set_dim_value(dim.value);
    else if (!dim.symbol.empty())
      made->set_dim_param(dim.symbol);
  }
}

// AttributeProto.AttributeType of the standard.
enum Kind : int32_t { kFloat = 1, kInt, kString, kTensor, kGraph, kFloats, kInts, kStrings };

void write_graph(const Graph& graph, const std::string& name, schema::Graph* to);

struct AttributeWriter {
  schema::Attribute* to;

  void operator()(int64_t v) const { to->set_type(kInt), to->set_i(v); }
  void operator()(float v) const { to->set_type(kFloat), to->set_f(v); }
  void operator()(const std::string& v) const { to->set_type(kString), to->set_s(v); }
  void operator()(const Tensor& v) const { to->set_type(kTensor), write_tensor("", v, to->mutable_t()); }
  void operator()(const std::vector<int64_t>& v) const {
    to->set_type(kInts), to->mutable_ints()->Add(v.begin(), v.end());
  }
  void operator()(const std::vector<float>& v) const {
    to->set_type(kFloats), to->mutable_floats()->Add(v.begin(), v.end());
  }
  void operator()(const std::vector<std::string>& v) const {
    to->set_type(kStrings);
    for (const std::string& text : v) to->add_strings(text);
  }
  void operator()(const std::shared_ptr<const Graph>& v) const {
    to->set_type(kGraph), write_graph(*v, to->name(), to->mutable_g());
  }
};

void write_node(const Node& node, schema::Node* to) {
  to->set_name(node.name), to->set_op_type(node.op);
  if (!node.domain.empty()) to->set_domain(node.domain);
  for (const std::string& name : node.inputs) to->add_input(name);
  for (const std::string& name : node.outputs) to->add_output(name);
  for (const auto& [key, value] : node.attributes) {
    schema::Attribute* made = to->add_attribute();
    made->set_name(key);
    std::visit(AttributeWriter{made}, value);
  }
}

void write_graph(const Graph& graph, const std::string& name, schema::Graph* to) {
  to->set_name(name);
  for (const ValueInfo& port : graph.inputs) write_port(port, to->add_input());
  for (const ValueInfo& port : graph.outputs) write_port(port, to->add_output());
  for (const auto& [constant, tensor] : graph.constants) write_tensor(constant, tensor, to->add_initializer());
  for (const Node& node : graph.nodes) write_node(node, to->add_node());
}

// The bytes that weights take, so that nothing is built that cannot be written.
int64_t weight_bytes(const Graph& graph) {
  int64_t bytes = 0;
  for (const auto& [name, tensor] : graph.constants) bytes += static_cast<int64_t>(tensor.byte_count());
  for (const Node& node : graph.nodes) bytes += node.bytes();
  return bytes;
}

// The version of ai.onnx.ml that first has the node as it is.
int64_t ml_version(const Node& node) {
  if (node.op == "TreeEnsemble") return 5;
  if (node.op == "LabelEncoder")
    return node.attributes.contains("keys_tensor") || node.attributes.contains("values_tensor") ? 4 : 2;
  for (const auto& [key, value] : node.attributes)
    if (key.ends_with("_as_tensor")) return 3;
  return 1;
}

// Domains in use and their versions. What TreeEnsemble replaces is gone from version 5 on.
struct Versions {
  std::map<std::string, int64_t> of;
  const Node* replaced = nullptr;  // a node that version 5 no longer has

  std::optional<Error> add(const Graph& graph, int64_t opset, int64_t ml_opset) {
    for (const Node& node : graph.nodes) {
      if (node.opset != 0 && node.opset != opset)
        return Error{Code::kUnsupported, node.where(),
                     fmt::format("comes from a function of opset {} in a model of opset {}; one file has one opset",
                                 node.opset, opset)};
      const bool ml = node.domain == "ai.onnx.ml";
      if (ml && ml_version(node) > ml_opset)
        return Error{Code::kUnsupported, node.where(),
                     fmt::format("needs ai.onnx.ml {}{}; {} was asked for", ml_version(node),
                                 node.op == "TreeEnsemble" ? ", the first with float64 thresholds" : "", ml_opset)};
      if (ml && node.op.starts_with("TreeEnsemble") && node.op != "TreeEnsemble") replaced = &node;
      if (!node.domain.empty()) {
        int64_t& version = of[node.domain];
        version = std::max(version, ml ? ml_version(node) : 1);
      }
      for (const auto& [key, value] : node.attributes)
        if (const auto* inner = std::get_if<std::shared_ptr<const Graph>>(&value))
          if (auto error = add(**inner, opset, ml_opset)) return error;
    }
    return std::nullopt;
  }
};

// The IR version that came with an opset of ai.onnx; older readers than that could not read its operators anyway.
int64_t ir_version(int64_t opset, int64_t ml_opset) {
  const int64_t of_standard = opset >= 23 ? 11 : opset >= 21 ? 10 : opset >= 19 ? 9 : 8;
  return std::max<int64_t>(of_standard, ml_opset >= 5 ? 10 : 8);
}

Error cannot_write(const std::string& path, const std::string& why) {
  return Error{Code::kNotFound, path, "cannot be written: " + why};
}

}  // namespace

Result<std::string> export_onnx(const Graph& given, int64_t ml_opset) {
  const Result<Graph> standard = in_standard_operators(given);
  if (!standard.ok()) return standard.error();
  const Graph& graph = standard.value();
  const int64_t bytes = weight_bytes(graph);
  if (bytes >= INT32_MAX)
    return Error{Code::kUnsupported, graph.source,
                 fmt::format("takes {} MB as ONNX; a file holds less than 2 GB", bytes >> 20)};
  Versions versions;
  if (auto error = versions.add(graph, graph.opset, ml_opset))
    return Error{error->code, graph.source + ": " + error->where, error->what};
  const auto ml = versions.of.find("ai.onnx.ml");
  if (ml != versions.of.end() && ml->second >= 5 && versions.replaced != nullptr)
    return Error{Code::kUnsupported, graph.source + ": " + versions.replaced->where(),
                 "stands beside a TreeEnsemble: ai.onnx.ml 5 has no other operator for trees"};
  if (const Result<bool> room = room_for(3 * bytes, graph.source + ": as ONNX"); !room.ok()) return room.error();
  schema::Model model;
  model.set_ir_version(ir_version(graph.opset, ml == versions.of.end() ? 0 : ml->second));
  model.set_producer_name("hayate");
  model.add_opset_import()->set_version(graph.opset);
  for (const auto& [domain, version] : versions.of) {
    schema::OperatorSetId* import = model.add_opset_import();
    import->set_domain(domain), import->set_version(version);
  }
  write_graph(graph, "hayate", model.mutable_graph());
  std::string made;
  if (!model.SerializeToString(&made)) return Error{Code::kInternal, graph.source, "was not serialised"};
  return made;
}

Result<bool> export_onnx(const Graph& graph, const std::string& path, int64_t ml_opset) {
  const Result<std::string> bytes = export_onnx(graph, ml_opset);
  if (!bytes.ok()) return bytes.error();
  const std::string part = path + ".part";
  std::ofstream file(part, std::ios::binary | std::ios::trunc);
  if (!file) return cannot_write(path, std::strerror(errno));
  file.write(bytes.value().data(), static_cast<std::streamsize>(bytes.value().size()));
  file.close();
  std::error_code fault;
  if (file.fail())
    fault = std::make_error_code(std::errc::io_error);
  else
    std::filesystem::rename(part, path, fault);
  if (!fault) return true;
  std::remove(part.c_str());
  return cannot_write(path, fault.message());
}

}  // namespace hayate
