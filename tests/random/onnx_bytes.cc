#include "random/onnx_bytes.h"

#include "onnx.pb.h"

namespace hayate::random_graphs {
namespace {

constexpr int kFloat = 1, kInt = 2, kString = 3, kTensor = 4, kFloats = 6, kInts = 7, kStrings = 8;  // AttributeType

int32_t code_of(Type type) {
  for (int32_t code = 1; code < 32; ++code)
    if (type_from_code(code) == type) return code;
  return 0;
}

void write(const Tensor& tensor, onnx_schema::Tensor* proto) {
  for (const int64_t extent : tensor.shape()) proto->add_dims(extent);
  proto->set_data_type(code_of(tensor.type()));
  proto->set_raw_data(tensor.bytes(), tensor.byte_count());
}

void write(const Attribute& value, onnx_schema::Attribute* proto) {
  if (const auto* i = std::get_if<int64_t>(&value)) proto->set_type(kInt), proto->set_i(*i);
  if (const auto* f = std::get_if<float>(&value)) proto->set_type(kFloat), proto->set_f(*f);
  if (const auto* s = std::get_if<std::string>(&value)) proto->set_type(kString), proto->set_s(*s);
  if (const auto* t = std::get_if<Tensor>(&value)) proto->set_type(kTensor), write(*t, proto->mutable_t());
  if (const auto* all = std::get_if<std::vector<int64_t>>(&value)) {
    proto->set_type(kInts);
    for (const int64_t each : *all) proto->add_ints(each);
  }
  if (const auto* all = std::get_if<std::vector<float>>(&value)) {
    proto->set_type(kFloats);
    for (const float each : *all) proto->add_floats(each);
  }
  if (const auto* all = std::get_if<std::vector<std::string>>(&value)) {
    proto->set_type(kStrings);
    for (const std::string& each : *all) proto->add_strings(each);
  }
}

void write(const ValueInfo& info, Type type, onnx_schema::ValueInfo* proto) {
  proto->set_name(info.name);
  auto* tensor = proto->mutable_type()->mutable_tensor_type();
  tensor->set_elem_type(code_of(type));
  if (!info.has_shape) return;
  auto* shape = tensor->mutable_shape();
  for (const Dim& dim : info.dims) {
    auto* made = shape->add_dim();
    if (dim.fixed()) made->set_dim_value(dim.value);
    if (!dim.fixed()) made->set_dim_param(dim.symbol);
  }
}

void write(const Node& node, onnx_schema::Node* proto) {
  proto->set_name(node.name);
  proto->set_domain(node.domain);
  proto->set_op_type(node.op);
  for (const std::string& name : node.inputs) proto->add_input(name);
  for (const std::string& name : node.outputs) proto->add_output(name);
  for (const auto& [name, value] : node.attributes) {
    auto* attribute = proto->add_attribute();
    attribute->set_name(name);
    write(value, attribute);
  }
}

}  // namespace

std::string onnx_bytes(const Graph& graph, const std::map<std::string, TensorType>& types) {
  onnx_schema::Model model;
  model.set_ir_version(10);
  auto* opset = model.add_opset_import();
  opset->set_domain("");
  opset->set_version(graph.opset);
  auto* proto = model.mutable_graph();
  proto->set_name("random");
  for (const ValueInfo& input : graph.inputs) write(input, input.type, proto->add_input());
  for (const ValueInfo& output : graph.outputs) write(output, types.at(output.name).type, proto->add_output());
  for (const auto& [name, tensor] : graph.constants) {
    auto* made = proto->add_initializer();
    made->set_name(name);
    write(tensor, made);
  }
  for (const Node& node : graph.nodes) write(node, proto->add_node());
  return model.SerializeAsString();
}

}  // namespace hayate::random_graphs
