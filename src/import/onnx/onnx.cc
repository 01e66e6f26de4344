#include "import/onnx/onnx.h"

#include <fmt/format.h>

#include <cstring>
#include <optional>

#include "onnx.pb.h"
#include "tensor/npy.h"

namespace hayate {
namespace {

namespace schema = onnx_schema;

// TensorProto.DataType of the standard.
std::optional<Type> type_from_onnx(int32_t code) {
  switch (code) {
    case 1:
      return Type::kFloat32;
    case 2:
      return Type::kUInt8;
    case 3:
      return Type::kInt8;
    case 4:
      return Type::kUInt16;
    case 5:
      return Type::kInt16;
    case 6:
      return Type::kInt32;
    case 7:
      return Type::kInt64;
    case 9:
      return Type::kBool;
    case 10:
      return Type::kFloat16;
    case 11:
      return Type::kFloat64;
    case 12:
      return Type::kUInt32;
    case 13:
      return Type::kUInt64;
    case 16:
      return Type::kBFloat16;
    default:
      return std::nullopt;
  }
}

Error bad(const std::string& where, std::string what, Code code = Code::kInvalidArgument) {
  return Error{code, where, std::move(what)};
}

// Copies a typed field of the message, narrowing int32_data to the element's type as the standard says.
template <typename T, typename Field>
bool copy_field(const Field& field, Tensor* tensor) {
  if (field.size() != tensor->count()) return false;
  T* out = reinterpret_cast<T*>(tensor->bytes());
  for (int i = 0; i < field.size(); ++i) out[i] = static_cast<T>(field[i]);
  return true;
}

bool copy_typed_data(const schema::Tensor& proto, Tensor* tensor) {
  switch (tensor->type()) {
    case Type::kFloat32:
      return copy_field<float>(proto.float_data(), tensor);
    case Type::kFloat64:
      return copy_field<double>(proto.double_data(), tensor);
    case Type::kInt64:
      return copy_field<int64_t>(proto.int64_data(), tensor);
    case Type::kUInt64:
      return copy_field<uint64_t>(proto.uint64_data(), tensor);
    case Type::kUInt32:
      return copy_field<uint32_t>(proto.uint64_data(), tensor);
    case Type::kInt32:
      return copy_field<int32_t>(proto.int32_data(), tensor);
    case Type::kInt16:
      return copy_field<int16_t>(proto.int32_data(), tensor);
    case Type::kInt8:
      return copy_field<int8_t>(proto.int32_data(), tensor);
    case Type::kUInt8:
      return copy_field<uint8_t>(proto.int32_data(), tensor);
    case Type::kBool:
      return copy_field<bool>(proto.int32_data(), tensor);
    case Type::kUInt16:
    case Type::kFloat16:
    case Type::kBFloat16:
      return copy_field<uint16_t>(proto.int32_data(), tensor);
  }
  return false;
}

Result<Tensor> tensor_from(const schema::Tensor& proto, const std::string& where) {
  const std::optional<Type> type = type_from_onnx(proto.data_type());
  if (!type)
    return bad(where, fmt::format("element type {} of the ONNX standard is not supported", proto.data_type()),
               Code::kUnsupported);
  if (proto.data_location() == 1)
    return bad(where, "its data lie in an external file, which is not read", Code::kUnsupported);
  const Shape shape(proto.dims().begin(), proto.dims().end());
  const Result<int64_t> count = checked_count(shape);
  if (!count.ok()) return bad(where, count.error().what);
  const size_t needed = static_cast<size_t>(count.value()) * type_size(*type);
  const int64_t listed = std::max({proto.float_data_size(), proto.int32_data_size(), proto.int64_data_size(),
                                   proto.double_data_size(), proto.uint64_data_size()});
  // Checked before the tensor is allocated: a few bytes of file must not claim gigabytes.
  if (proto.has_raw_data() ? proto.raw_data().size() != needed : listed != count.value())
    return bad(
        where,
        fmt::format("shape {} of {} needs {} values, {} are there", shape_text(shape), type_name(*type), count.value(),
                    proto.has_raw_data() ? static_cast<int64_t>(proto.raw_data().size() / type_size(*type)) : listed));
  Tensor tensor(*type, shape);
  if (proto.has_raw_data()) {
    if (needed != 0) std::memcpy(tensor.bytes(), proto.raw_data().data(), needed);
    if (*type == Type::kBool)  // any other byte in a bool would be undefined behaviour later
      for (int64_t i = 0; i < tensor.count(); ++i) tensor.bytes()[i] = std::byte{tensor.bytes()[i] != std::byte{0}};
  } else if (!copy_typed_data(proto, &tensor)) {
    return bad(where, "its values are listed under another type than it declares");
  }
  return tensor;
}

// Within subgraphs the type may be left out (it follows from the node that makes or feeds the value).
Result<ValueInfo> value_info_from(const schema::ValueInfo& proto, const std::string& source, int depth) {
  if (depth > 0 && !proto.type().has_tensor_type() && !proto.type().has_sequence_type() && !proto.type().has_map_type())
    return ValueInfo{proto.name(), Type::kFloat32, false, {}};
  const std::string where = fmt::format("{}: value '{}'", source, proto.name());
  if (!proto.type().has_tensor_type())
    return bad(where, "is no tensor; only tensors are supported", Code::kUnsupported);
  const auto& tensor_type = proto.type().tensor_type();
  const std::optional<Type> type = type_from_onnx(tensor_type.elem_type());
  if (!type)
    return bad(where, fmt::format("element type {} is not supported", tensor_type.elem_type()), Code::kUnsupported);
  ValueInfo info{proto.name(), *type, tensor_type.has_shape(), {}};
  for (const auto& dim : tensor_type.shape().dim())
    info.dims.push_back({dim.has_dim_value() && dim.dim_value() > 0 ? dim.dim_value() : -1, dim.dim_param()});
  return info;
}

// The list of maps that ai.onnx.ml.ZipMap makes is declared as no tensor; here the node passes its tensor through.
bool made_by_zip_map(const schema::Graph& proto, const std::string& name) {
  for (const auto& node : proto.node())
    if (node.op_type() == "ZipMap" && node.output_size() == 1 && node.output(0) == name) return true;
  return false;
}

constexpr int kDepthMax = 16;  // subgraphs within subgraphs; protobuf itself stops at 100 messages

Result<Graph> graph_from(const schema::Graph& proto, const std::string& source, int64_t opset, int depth);

Result<Attribute> attribute_from(const schema::Attribute& proto, const std::string& where, int64_t opset, int depth) {
  const std::string here = fmt::format("{}: attribute '{}'", where, proto.name());
  switch (proto.type()) {  // AttributeProto.AttributeType of the standard
    case 1:
      return Attribute(proto.f());
    case 2:
      return Attribute(proto.i());
    case 3:
      return Attribute(proto.s());
    case 4: {
      Result<Tensor> tensor = tensor_from(proto.t(), here);
      if (!tensor.ok()) return tensor.error();
      return Attribute(std::move(tensor).value());
    }
    case 5: {
      Result<Graph> graph = graph_from(proto.g(), here, opset, depth + 1);
      if (!graph.ok()) return graph.error();
      return Attribute(std::make_shared<const Graph>(std::move(graph).value()));
    }
    case 6:
      return Attribute(std::vector<float>(proto.floats().begin(), proto.floats().end()));
    case 7:
      return Attribute(std::vector<int64_t>(proto.ints().begin(), proto.ints().end()));
    case 8:
      return Attribute(std::vector<std::string>(proto.strings().begin(), proto.strings().end()));
    default:
      return bad(here, fmt::format("attribute type {} is not supported", proto.type()), Code::kUnsupported);
  }
}

Result<Node> node_from(const schema::Node& proto, size_t position, const std::string& source, int64_t opset,
                       int depth) {
  Node node;
  node.name = proto.name().empty() ? fmt::format("{}_{}", proto.op_type(), position) : proto.name();
  node.domain = proto.domain() == "ai.onnx" ? "" : proto.domain();
  node.op = proto.op_type();
  node.inputs.assign(proto.input().begin(), proto.input().end());
  node.outputs.assign(proto.output().begin(), proto.output().end());
  for (const auto& attribute : proto.attribute()) {
    Result<Attribute> value = attribute_from(attribute, source + ": " + node.where(), opset, depth);
    if (!value.ok()) return value.error();
    node.attributes.emplace(attribute.name(), std::move(value).value());
  }
  return node;
}

// The tensor a Constant node holds, whichever of the attributes carries it.
Result<Tensor> constant_value(const Node& node, const std::string& source) {
  for (const auto& [key, value] : node.attributes) {
    if (const auto* tensor = std::get_if<Tensor>(&value)) return *tensor;
    if (const auto* number = std::get_if<float>(&value)) return Tensor::of<float>({}, {*number});
    if (const auto* integer = std::get_if<int64_t>(&value)) return Tensor::of<int64_t>({}, {*integer});
    if (const auto* numbers = std::get_if<std::vector<float>>(&value))
      return Tensor::of<float>({static_cast<int64_t>(numbers->size())}, *numbers);
    if (const auto* integers = std::get_if<std::vector<int64_t>>(&value))
      return Tensor::of<int64_t>({static_cast<int64_t>(integers->size())}, *integers);
  }
  return bad(source + ": " + node.where(), "holds no numeric value", Code::kUnsupported);
}

Result<Graph> graph_from(const schema::Graph& proto, const std::string& source, int64_t opset, int depth) {
  if (depth > kDepthMax) return bad(source, fmt::format("subgraphs are nested deeper than {}", kDepthMax));
  Graph graph;
  graph.source = source;
  graph.opset = opset;
  for (const auto& initializer : proto.initializer()) {
    Result<Tensor> tensor = tensor_from(initializer, fmt::format("{}: initializer '{}'", source, initializer.name()));
    if (!tensor.ok()) return tensor.error();
    if (!graph.constants.emplace(initializer.name(), std::move(tensor).value()).second)
      return bad(source, fmt::format("initializer '{}' is defined twice", initializer.name()));
  }
  for (const auto& input : proto.input()) {
    if (graph.constants.count(input.name()) != 0) continue;  // before IR version 4 initializers were listed as inputs
    Result<ValueInfo> info = value_info_from(input, source, depth);
    if (!info.ok()) return info.error();
    graph.inputs.push_back(std::move(info).value());
  }
  for (const auto& output : proto.output()) {
    if (made_by_zip_map(proto, output.name())) {
      graph.outputs.push_back({output.name(), Type::kFloat32, false, {}});
      continue;
    }
    Result<ValueInfo> info = value_info_from(output, source, depth);
    if (!info.ok()) return info.error();
    graph.outputs.push_back(std::move(info).value());
  }
  for (int i = 0; i < proto.node_size(); ++i) {
    Result<Node> node = node_from(proto.node(i), static_cast<size_t>(i), source, opset, depth);
    if (!node.ok()) return node.error();
    if (!node.value().is("Constant") || node.value().outputs.size() != 1) {
      graph.nodes.push_back(std::move(node).value());
      continue;
    }
    Result<Tensor> value = constant_value(node.value(), source);
    if (!value.ok()) return value.error();
    if (!graph.constants.emplace(node.value().outputs[0], std::move(value).value()).second)
      return bad(source + ": " + node.value().where(),
                 fmt::format("makes value '{}', which exists already", node.value().outputs[0]));
  }
  return graph;
}

}  // namespace

Result<Graph> import_onnx(std::string_view bytes, const std::string& source) {
  schema::Model model;
  if (bytes.empty() || bytes.size() > INT32_MAX || !model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return bad(source, "is no readable ONNX model (empty, truncated or another format)");
  if (!model.has_graph()) return bad(source, "is no ONNX model: it holds no graph");
  if (model.functions_size() != 0)
    return bad(source,
               fmt::format("holds the local function '{}'; functions are not supported", model.functions(0).name()),
               Code::kUnsupported);
  int64_t opset = 1;
  for (const auto& import : model.opset_import())
    if (import.domain().empty() || import.domain() == "ai.onnx") opset = import.version();
  Result<Graph> graph = graph_from(model.graph(), source, opset, 0);
  if (!graph.ok()) return graph.error();
  const Result<bool> verified = verify(graph.value());
  if (!verified.ok()) return verified.error();
  return graph;
}

Result<Graph> import_onnx(const std::string& path) {
  const Result<std::string> bytes = read_file(path);
  if (!bytes.ok()) return bytes.error();
  return import_onnx(bytes.value(), path);
}

Result<Tensor> import_onnx_tensor(std::string_view bytes, const std::string& source, std::string* name) {
  schema::Tensor proto;
  if (bytes.size() > INT32_MAX || !proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return bad(source, "is no readable ONNX tensor");
  *name = proto.name();
  return tensor_from(proto, source);
}

}  // namespace hayate
