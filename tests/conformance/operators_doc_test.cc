// docs/operators.md says what the tables hold: made here from the op table, the kernels and the native lowerings,
// probed with the operators' own node tests. Where the page is out of date, the new one lies in the build folder.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "backends/native/lowering.h"
#include "backends/native/native.h"
#include "conformance/node_case.h"
#include "eval/kernel.h"
#include "import/onnx/onnx.h"
#include "tensor/npy.h"

namespace hayate::conformance {
namespace {

namespace fs = std::filesystem;

struct Row {
  std::set<Type> types;  // that its rule accepts as first input
  int64_t opset_min = 0, opset_max = 0;
  bool vector = false, plain = false;
};

constexpr Type kTypes[] = {Type::kFloat32, Type::kFloat64, Type::kFloat16, Type::kBFloat16, Type::kInt8,
                           Type::kUInt8,   Type::kInt16,   Type::kUInt16,  Type::kInt32,    Type::kUInt32,
                           Type::kInt64,   Type::kUInt64,  Type::kBool};

Tensor converted(const Tensor& from, Type type) {
  Tensor wide(Type::kFloat64, from.shape()), made(type, from.shape());
  const std::vector<double> values = to_doubles(from);
  std::copy(values.begin(), values.end(), wide.data<double>());
  if (is_half_float(type)) doubles_to_halves(wide, &made);
  visit_type(type, [&]<typename T>() {
    for (int64_t i = 0; i < made.count(); ++i) made.data<T>()[i] = static_cast<T>(std::min(100.0, std::abs(values[i])));
  });
  return made;
}

// Whether the rule takes the inputs with every tensor of the first one's type made `type`.
bool accepts(const Graph& graph, const std::vector<Tensor>& inputs, Type type) {
  const Node& node = graph.nodes[0];
  std::vector<Tensor> tensors;
  std::map<std::string, size_t> places;
  for (size_t i = 0; i < inputs.size(); ++i) {
    places[graph.inputs[i].name] = i;
    tensors.push_back(inputs[i].type() == inputs[0].type() ? converted(inputs[i], type) : inputs[i]);
  }
  std::vector<TensorType> types(node.inputs.size());
  std::vector<const TensorType*> given(node.inputs.size(), nullptr);
  std::vector<const Tensor*> values(node.inputs.size(), nullptr);
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const auto it = places.find(node.inputs[i]);
    if (it == places.end()) continue;
    values[i] = &tensors[it->second];
    types[i] = {values[i]->type(), values[i]->shape()}, given[i] = &types[i];
  }
  return output_types(ShapeContext(node, graph.opset, given, values)).ok();
}

// How native runs the node: steps by vector kernels, or reference kernels. Tried as it is, and with every input behind
// the first known before the run, as weights are.
void note_native(const Graph& graph, const std::vector<Tensor>& inputs, Row* row) {
  for (const bool weights : {false, true}) {
    Graph bound = graph;
    std::map<std::string, TensorType> types;
    bound.inputs.clear();
    for (size_t i = 0; i < inputs.size(); ++i)
      if (weights && i > 0) {
        bound.constants.emplace(graph.inputs[i].name, inputs[i]);
      } else {
        bound.inputs.push_back(graph.inputs[i]);
        types[graph.inputs[i].name] = {inputs[i].type(), inputs[i].shape()};
      }
    const auto made = native::NativeExecutable::compile(bound, types, {.isa = kernels::Isa::kPlain});
    if (made.ok()) (made.value()->program().plain_steps != 0 ? row->plain : row->vector) = true;
  }
}

void probe(const NodeCase& node_case, std::map<std::string, Row>* rows) {
  const Result<Graph> graph = import_onnx((node_case.folder / "model.onnx").string());
  if (!graph.ok() || graph.value().nodes.size() != 1) return;
  const Node& node = graph.value().nodes[0];
  const auto it = rows->find(node.domain.empty() ? node.op : node.domain + "." + node.op);
  const Result<std::vector<Tensor>> inputs = read_tensors(node_case.folder / "test_data_set_0", "input");
  if (it == rows->end() || !inputs.ok() || inputs.value().empty() ||
      inputs.value().size() != graph.value().inputs.size() ||
      !accepts(graph.value(), inputs.value(), inputs.value()[0].type()))
    return;
  Row& row = it->second;
  for (const Type type : kTypes)
    if (accepts(graph.value(), inputs.value(), type)) row.types.insert(type);
  if (node.domain.empty()) {
    row.opset_min = row.opset_max == 0 ? graph.value().opset : std::min(row.opset_min, graph.value().opset);
    row.opset_max = std::max(row.opset_max, graph.value().opset);
  }
  note_native(graph.value(), inputs.value(), &row);
}

std::string types_text(const std::set<Type>& types) {
  if (types.empty()) return "";
  if (types.size() == std::size(kTypes)) return "all";
  std::set<Type> left = types;
  std::vector<std::string> names;
  const auto group = [&](const char* name, std::initializer_list<Type> members) {
    if (!std::all_of(members.begin(), members.end(), [&](Type type) { return left.contains(type); })) return;
    for (const Type type : members) left.erase(type);
    names.push_back(name);
  };
  group("floats", {Type::kFloat32, Type::kFloat64, Type::kFloat16, Type::kBFloat16});
  group("integers", {Type::kInt8, Type::kUInt8, Type::kInt16, Type::kUInt16, Type::kInt32, Type::kUInt32, Type::kInt64,
                     Type::kUInt64});
  for (const Type type : left) names.emplace_back(type_name(type));
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string native_text(const Row& row, const OpEntry& entry) {
  Node node;
  node.domain = entry.domain, node.op = entry.op;
  const bool vector = row.vector || native::find_lower(node) != nullptr;
  if (vector) return row.plain ? "vector, plain" : "vector";
  return find_kernel(entry.domain, entry.op) != nullptr ? "plain" : "refused";
}

std::string page(const std::map<std::string, Row>& rows) {
  std::string text =
      "# Operators\n\n"
      "Made by `tests/conformance/operators_doc_test.cc`; how to renew it says [CONTRIBUTING](../CONTRIBUTING.md).\n\n"
      "- **Types**: what its shape rule takes as first input, probed with the operator's ONNX node tests. Floats are\n"
      "  float32, float64, float16 and bfloat16; integers are the signed and unsigned ones of 8 to 64 bits. Strings,\n"
      "  sequences, float8 and integers below 8 bits are refused.\n"
      "- **Opsets**: those of ai.onnx that the node tests have it at; rules follow the opset where a form changed.\n"
      "- **Reference**: has a kernel. **Native**: *vector* kernels or views only, or *plain*, the reference kernel as "
      "a\n"
      "  step (which of the two can depend on types, shapes, and on weights being constants).\n"
      "- If and Scan are no rows here: they are resolved before anything runs. An operator that is not listed is "
      "refused\n"
      "  by name; `--backend onnxruntime` may run it.\n\n"
      "| operator | opsets | types | reference | native |\n|---|---|---|---|---|\n";
  for (const OpEntry& entry : op_table()) {
    const std::string name =
        entry.domain.empty() ? std::string(entry.op) : fmt::format("{}.{}", entry.domain, entry.op);
    const Row& row = rows.at(name);
    std::string opsets = row.opset_max == 0 ? "" : std::to_string(row.opset_min);
    if (row.opset_max != row.opset_min) opsets += fmt::format(" to {}", row.opset_max);
    text += fmt::format("| {} | {} | {} | {} | {} |\n", name, opsets, types_text(row.types),
                        find_kernel(entry.domain, entry.op) != nullptr ? "yes" : "no", native_text(row, entry));
  }
  return text;
}

TEST(OperatorsPage, SaysWhatTheTablesHold) {
  const fs::path data = "/usr/share/libonnx-testdata/data/node",
                 wheel = fs::path(HAYATE_BINARY_DIR).parent_path() / "node_tests" / "node";
  if (!fs::is_directory(wheel)) GTEST_SKIP() << "no node tests of the onnx wheel were written";
  std::map<std::string, Row> rows;
  for (const OpEntry& entry : op_table())
    rows[entry.domain.empty() ? std::string(entry.op) : fmt::format("{}.{}", entry.domain, entry.op)] = {};
  for (const fs::path& root : {data, wheel})
    for (const NodeCase& node_case : cases_in(root)) probe(node_case, &rows);
  const std::string made = page(rows);
  const fs::path fresh = fs::path(HAYATE_BINARY_DIR) / "operators.md";
  std::ofstream(fresh) << made;
  const Result<std::string> held = read_file(HAYATE_SOURCE_DIR "/docs/operators.md");
  EXPECT_TRUE(held.ok() && held.value() == made)
      << "docs/operators.md is out of date: cp " << fresh.string() << " docs/operators.md";
}

}  // namespace
}  // namespace hayate::conformance
