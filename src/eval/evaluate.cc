#include "eval/evaluate.h"

#include <fmt/format.h>

#include <algorithm>

#include "eval/inference.h"
#include "eval/macs.h"
#include "eval/spelled.h"
#include "graph/spelling.h"

namespace hayate {
namespace {

constexpr int64_t kFollowedMax = 4096;  // elements: shapes and indices are far smaller, weights far larger

const std::vector<KernelEntry>& kernel_table() {
  static const std::vector<KernelEntry> kTable = [] {
    std::vector<KernelEntry> table;
    add_elementwise_kernels(&table);
    add_layout_kernels(&table);
    add_dense_kernels(&table);
    add_norm_kernels(&table);
    add_window_kernels(&table);
    add_resize_kernels(&table);
    add_attention_kernels(&table);
    add_recurrent_kernels(&table);
    add_reduce_kernels(&table);
    add_ml_kernels(&table);
    add_svm_kernels(&table);
    add_labels_kernels(&table);
    add_quant_kernels(&table);
    add_fused_kernels(&table);
    add_index_kernels(&table);
    add_matrix_kernels(&table);
    add_bits_kernels(&table);
    std::sort(table.begin(), table.end(), [](const KernelEntry& a, const KernelEntry& b) {
      return std::pair(a.domain, a.op) < std::pair(b.domain, b.op);
    });
    return table;
  }();
  return kTable;
}

// The node's kernel on inputs whose types the rule has seen.
Result<std::vector<Tensor>> run_typed(const Node& node, int64_t opset, const std::vector<const Tensor*>& inputs,
                                      const Types& types) {
  const Kernel kernel = find_kernel(node.domain, node.op);
  if (kernel == nullptr) return Error{Code::kUnsupported, node.where(), "has no reference kernel"};
  std::vector<Tensor> outputs(node.outputs.size());
  KernelContext context{node, node.opset != 0 ? node.opset : opset, inputs,
                        std::vector<Tensor*>(outputs.size(), nullptr)};
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (i > 0 && node.outputs[i].empty()) continue;  // the first is there for kernels that have no other
    Result<Tensor> made =
        Tensor::make(types[i].type, types[i].shape, node.where() + ": output '" + node.outputs[i] + "'");
    if (!made.ok()) return made.error();
    outputs[i] = std::move(made).value();
    context.outputs[i] = &outputs[i];
  }
  const Result<bool> ran = call_kernel(kernel, context);
  if (!ran.ok()) return ran.error();
  return outputs;
}

}  // namespace

Kernel find_kernel(std::string_view domain, std::string_view op) {
  const auto& table = kernel_table();
  const auto it = std::lower_bound(
      table.begin(), table.end(), std::pair(domain, op),
      [](const KernelEntry& entry, const auto& key) { return std::pair(entry.domain, entry.op) < key; });
  if (it != table.end() && it->domain == domain && it->op == op) return it->kernel;
  return find_spelling(domain, op) != nullptr ? run_spelled : nullptr;
}

Result<std::vector<Tensor>> run_node(const Node& node, int64_t opset, const std::vector<const Tensor*>& inputs) {
  std::vector<TensorType> types(inputs.size());
  std::vector<const TensorType*> pointers(inputs.size(), nullptr);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i] == nullptr) continue;
    types[i] = {inputs[i]->type(), inputs[i]->shape()};
    pointers[i] = &types[i];
  }
  const Result<Types> out = output_types(ShapeContext(node, opset, std::move(pointers), inputs));
  if (!out.ok()) return out.error();
  return run_typed(node, opset, inputs, out.value());
}

Result<std::map<std::string, Tensor>> evaluate(const Graph& graph, const std::map<std::string, Tensor>& inputs) {
  std::map<std::string, Tensor> values(graph.constants.begin(), graph.constants.end());
  for (const ValueInfo& input : graph.inputs) {
    const auto it = inputs.find(input.name);
    if (it == inputs.end())
      return Error{Code::kInvalidArgument, graph.source, fmt::format("input {} is not given", input.text())};
    values.insert_or_assign(input.name, it->second);
  }
  // The last reader of a value frees it: big models do not keep every intermediate.
  std::map<std::string, size_t> last_use;
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    for (const std::string& name : graph.nodes[i].inputs) last_use[name] = i;
  for (const ValueInfo& output : graph.outputs) last_use[output.name] = graph.nodes.size();
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    std::vector<const Tensor*> arguments;
    for (const std::string& name : node.inputs) arguments.push_back(name.empty() ? nullptr : &values.at(name));
    Result<std::vector<Tensor>> results = run_node(node, graph.opset, arguments);
    if (!results.ok()) {
      Error error = results.error();
      error.where = graph.source + ": " + error.where;
      return error;
    }
    for (size_t k = 0; k < node.outputs.size(); ++k)
      if (!node.outputs[k].empty()) values.insert_or_assign(node.outputs[k], std::move(results.value()[k]));
    for (const std::string& name : node.inputs)
      if (!name.empty() && last_use[name] == i) values.erase(name);
  }
  std::map<std::string, Tensor> outputs;
  for (const ValueInfo& output : graph.outputs) outputs.emplace(output.name, values.at(output.name));
  return outputs;
}

namespace {

// What Shape or Size of `shape` gives.
Tensor shape_answer(const Node& node, const Shape& shape) {
  if (node.is("Size")) return Tensor::of<int64_t>({}, {checked_count(shape).value()});
  const int64_t rank = static_cast<int64_t>(shape.size());
  const auto clamp = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank); };
  const int64_t start = clamp(node.get<int64_t>("start", 0)),
                end = std::max(start, clamp(node.get<int64_t>("end", rank)));
  return Tensor::of<int64_t>({end - start}, Shape(shape.begin() + start, shape.begin() + end));
}

}  // namespace

Error Inference::located(Error error) const {
  error.where = error.where.empty() ? source_ : source_ + ": " + error.where;
  return error;
}

Result<bool> Inference::know(const std::string& name, Fact fact) {
  if (facts_.emplace(name, std::move(fact)).second) return true;
  return located({Code::kInvalidArgument, "", fmt::format("value '{}' is made twice", name)});
}

Result<bool> Inference::add_constant(const std::string& name, const Tensor& tensor) {
  return know(name, {{tensor.type(), tensor.shape()}, tensor});
}

Result<bool> Inference::add_input(const ValueInfo& input, const std::map<std::string, TensorType>& types) {
  const auto it = types.find(input.name);
  if (it == types.end())
    return located({Code::kInvalidArgument, "", fmt::format("input {} has no bound shape", input.text())});
  return know(input.name, {it->second, std::nullopt});
}

Result<bool> Inference::add(const Node& node) {
  std::vector<const TensorType*> types;
  std::vector<const Tensor*> values;
  bool known = true;
  for (const std::string& name : node.inputs) {
    const auto it = name.empty() ? facts_.end() : facts_.find(name);
    if (it == facts_.end() && !name.empty())
      return located(
          {Code::kInvalidArgument, node.where(), fmt::format("reads value '{}', which nothing before it makes", name)});
    const Fact* fact = name.empty() ? nullptr : &it->second;
    types.push_back(fact == nullptr ? nullptr : &fact->type);
    values.push_back(fact != nullptr && fact->value ? &*fact->value : nullptr);
    if (fact != nullptr && !fact->value) known = false;
  }
  // Shape and Size need no contents at all: their answer is the type of their input.
  const bool of_shape = node.is("Shape") || node.is("Size");
  const Result<Types> out = output_types(ShapeContext(node, opset_, types, values));
  if (!out.ok()) return located(out.error());
  bool small = true;
  for (const TensorType& type : out.value()) small = small && checked_count(type.shape).value() <= kFollowedMax;
  for (size_t k = 0; k < node.outputs.size(); ++k) {
    if (node.outputs[k].empty()) continue;
    const Result<bool> fresh = know(node.outputs[k], {out.value()[k], std::nullopt});
    if (!fresh.ok()) return fresh;
  }
  std::vector<Tensor> contents;
  if (small && of_shape && types[0] != nullptr) {
    contents.push_back(shape_answer(node, types[0]->shape));
  } else if (small && known && node.op.find("Random") == std::string::npos) {
    const int64_t work = work_of(node, facts_);
    if (work > kFollowedWorkMax - work_) return true;
    work_ += work;
    Result<std::vector<Tensor>> ran = run_typed(node, opset_, values, out.value());
    if (!ran.ok()) return located(ran.error());
    contents = std::move(ran).value();
  }
  for (size_t k = 0; k < std::min(contents.size(), node.outputs.size()); ++k)
    if (!node.outputs[k].empty()) facts_.find(node.outputs[k])->second.value = std::move(contents[k]);
  return true;
}

Result<Facts> infer(const Graph& graph, const std::map<std::string, TensorType>& inputs) {
  Inference inference(graph);
  for (const auto& [name, tensor] : graph.constants)
    if (const Result<bool> added = inference.add_constant(name, tensor); !added.ok()) return added.error();
  for (const ValueInfo& input : graph.inputs)
    if (const Result<bool> added = inference.add_input(input, inputs); !added.ok()) return added.error();
  for (const Node& node : graph.nodes)
    if (const Result<bool> added = inference.add(node); !added.ok()) return added.error();
  return std::move(inference.facts_);
}

}  // namespace hayate
