// ONNX files that are valid protobuf with wild content: the fuzzer's bytes choose operators, names, types, shapes,
// attributes, subgraphs, functions and data.
#include "fuzz/attributes.h"
#include "graph/op_table.h"
#include "import/onnx/onnx.h"
#include "onnx.pb.h"

using namespace hayate;
namespace schema = onnx_schema;

namespace {

class Grammar {
 public:
  explicit Grammar(fuzz::Choices* choices) : c_(*choices) {}

  schema::Model model() {
    schema::Model made;
    made.set_ir_version(c_.one_in(8) ? c_.byte() : 8);
    add_opset(&made, "", c_.one_in(8) ? fuzz::integer(&c_) : 7 + static_cast<int64_t>(c_.below(18)));
    if (c_.one_in(4)) add_opset(&made, "ai.onnx.ml", 3);
    for (size_t i = c_.below(3); i > 0; --i) function(made.add_functions());
    graph(made.mutable_graph(), 0);
    return made;
  }

 private:
  static void add_opset(schema::Model* model, const std::string& domain, int64_t version) {
    auto* opset = model->add_opset_import();
    opset->set_domain(domain), opset->set_version(version);
  }

  // A name that is there, mostly; else any.
  std::string known() {
    if (c_.one_in(16)) return "";
    return names_.empty() || c_.one_in(16) ? "v" + std::to_string(c_.below(12)) : names_[c_.below(names_.size())];
  }
  // A new name, mostly; else one that may exist.
  std::string fresh() {
    names_.push_back("v" + std::to_string(c_.one_in(16) ? c_.below(12) : made_++));
    return names_.back();
  }

  void value(schema::ValueInfo* info, const std::string& name) {
    info->set_name(name);
    if (c_.one_in(16)) return;
    auto* type = info->mutable_type()->mutable_tensor_type();
    static const std::vector<int32_t> kTypes = {1, 1, 1, 1, 7, 6, 11, 9, 2, 3, 10, 16, 0, 8, 17};
    type->set_elem_type(c_.of(kTypes));
    if (c_.one_in(16)) return;
    type->mutable_shape();
    for (size_t i = c_.below(5); i > 0; --i) {
      auto* dim = type->mutable_shape()->add_dim();
      if (c_.one_in(4))
        dim->set_dim_param(c_.one_in(4) ? "M" : "N");
      else
        dim->set_dim_value(c_.one_in(32) ? fuzz::integer(&c_) : 1 + static_cast<int64_t>(c_.below(5)));
    }
  }

  void tensor(schema::Tensor* made) {
    static const std::vector<int32_t> kTypes = {1, 1, 1, 7, 7, 7, 6, 11, 9, 2, 3, 10, 16, 4, 8, 99};
    made->set_data_type(c_.of(kTypes));
    int64_t count = 1;
    for (size_t i = c_.below(5); i > 0; --i) {
      made->add_dims(c_.one_in(24) ? fuzz::integer(&c_) : static_cast<int64_t>(c_.below(5)));
      const int64_t extent = *made->dims().rbegin();
      count = extent < 0 || extent > 4096 || count > 4096 ? 0 : count * extent;
    }
    count = std::min<int64_t>(count, 4096) + (c_.one_in(24) ? 1 : 0);
    if (c_.one_in(24)) made->set_data_location(1), made->add_external_data()->set_key("location");
    for (int64_t i = 0; i < count; ++i) switch (made->data_type()) {
        case 1:
          made->add_float_data(fuzz::number(&c_));
          break;
        case 7:
          made->add_int64_data(fuzz::integer(&c_));
          break;
        case 11:
          made->add_double_data(fuzz::number(&c_));
          break;
        default:
          made->add_int32_data(static_cast<int32_t>(c_.byte()));
      }
    if (c_.one_in(16)) made->set_raw_data(std::string(c_.below(64), static_cast<char>(c_.byte())));
  }

  void attribute(schema::Attribute* made, const std::string& op, int depth) {
    if (c_.one_in(16)) made->set_ref_attr_name("a");
    const std::string name = c_.one_in(32) ? "a" : c_.of(fuzz::words(fuzz::attribute_names(op)));
    made->set_name(name);
    if (c_.one_in(12) || (name == "value" && !c_.one_in(4))) {
      made->set_type(4);
      return tensor(made->mutable_t());
    }
    if (c_.one_in(48) && depth < 3) {
      made->set_type(5);
      return graph(made->mutable_g(), depth + 1);
    }
    const Attribute chosen = fuzz::attribute(&c_, name);
    if (const auto* integer = std::get_if<int64_t>(&chosen)) made->set_i(*integer), made->set_type(2);
    if (const auto* number = std::get_if<float>(&chosen)) made->set_f(*number), made->set_type(1);
    if (const auto* text = std::get_if<std::string>(&chosen)) made->set_s(*text), made->set_type(3);
    if (const auto* list = std::get_if<std::vector<int64_t>>(&chosen)) {
      for (const int64_t each : *list) made->add_ints(each);
      made->set_type(7);
    }
    if (const auto* list = std::get_if<std::vector<float>>(&chosen)) {
      for (const float each : *list) made->add_floats(each);
      made->set_type(6);
    }
    if (const auto* list = std::get_if<std::vector<std::string>>(&chosen)) {
      for (const std::string& each : *list) made->add_strings(each);
      made->set_type(8);
    }
  }

  void body(schema::Node* node, const char* key, int depth) {
    auto* made = node->add_attribute();
    made->set_name(key), made->set_type(5);
    graph(made->mutable_g(), depth + 1);
  }

  // If, Loop or Scan.
  void control(schema::Node* node, int depth) {
    const size_t kind = c_.below(3);
    node->set_op_type(kind == 0 ? "If" : kind == 1 ? "Loop" : "Scan");
    for (size_t i = kind == 0 ? 1 : 2 + c_.below(2); i > 0; --i) node->add_input(known());
    if (kind == 0) body(node, "then_branch", depth);
    body(node, kind == 0 ? "else_branch" : "body", depth);
    if (kind == 2) {
      auto* scanned = node->add_attribute();
      scanned->set_name("num_scan_inputs"), scanned->set_type(2), scanned->set_i(static_cast<int64_t>(c_.below(4)));
    }
  }

  void node(schema::Node* made, int depth) {
    const OpEntry& op = op_table()[c_.below(op_table().size())];
    if (c_.one_in(12) && depth < 3) {
      control(made, depth);
    } else if (c_.one_in(24)) {
      made->set_op_type("f" + std::to_string(c_.below(2)));
      made->set_domain("own");
    } else if (c_.one_in(10)) {
      made->set_op_type("Constant");
      auto* value = made->add_attribute();
      value->set_name("value"), value->set_type(4);
      tensor(value->mutable_t());
    } else {
      made->set_op_type(std::string(op.op));
      made->set_domain(std::string(op.domain));
      const size_t most = std::min<size_t>(op.inputs_max, op.inputs_min + 3);
      for (size_t i = op.inputs_min + c_.below(most - op.inputs_min + 1); i > 0; --i) made->add_input(known());
      for (size_t i = c_.below(5); i > 0; --i) attribute(made->add_attribute(), std::string(op.op), depth);
    }
    for (size_t i = c_.one_in(6) ? c_.below(4) : 1; i > 0; --i) made->add_output(fresh());
  }

  void function(schema::Function* made) {
    made->set_name("f" + std::to_string(c_.below(2))), made->set_domain("own");
    const std::vector<std::string> outside = std::move(names_);
    names_ = {};
    for (size_t i = c_.below(3); i > 0; --i) made->add_input(fresh());
    if (c_.one_in(2)) made->add_attribute("a");
    for (size_t i = c_.below(4); i > 0; --i) node(made->add_node(), 1);
    for (size_t i = c_.below(3); i > 0; --i) made->add_output(known());
    names_ = outside;
  }

  void graph(schema::Graph* made, int depth) {
    const size_t outside = names_.size();
    for (size_t i = depth == 0 ? 1 + c_.below(3) : c_.below(3); i > 0; --i) value(made->add_input(), fresh());
    for (size_t i = c_.below(4); i > 0; --i) {
      auto* constant = made->add_initializer();
      tensor(constant);
      constant->set_name(fresh());
    }
    if (c_.one_in(16)) {
      auto* sparse = made->add_sparse_initializer();
      tensor(sparse->mutable_values()), tensor(sparse->mutable_indices());
      sparse->mutable_values()->set_name(fresh());
      for (size_t i = c_.below(3); i > 0; --i) sparse->add_dims(fuzz::integer(&c_));
    }
    for (size_t i = 1 + c_.below(depth == 0 ? 6 : 3); i > 0 && c_.more(); --i) node(made->add_node(), depth);
    for (size_t i = 1 + c_.below(2); i > 0; --i)
      value(made->add_output(), c_.one_in(4) || names_.empty() ? known() : names_.back());
    if (depth > 0) names_.resize(std::min(names_.size(), outside));
  }

  fuzz::Choices& c_;
  std::vector<std::string> names_;
  size_t made_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Choices choices(data, size);
  const std::string bytes = Grammar(&choices).model().SerializeAsString();
  const MemoryScope scope(std::make_shared<MemoryBudget>(fuzz::kMemoryMax));
  fuzz::use(import_onnx(bytes, "fuzzed"));
  return 0;
}
