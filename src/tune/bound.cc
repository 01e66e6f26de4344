#include "tune/bound.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "eval/macs.h"
#include "eval/trees.h"
#include "graph/window.h"
#include "rewrite/needed.h"
#include "rewrite/rewrite.h"
#include "runtime/stream_parts.h"

namespace hayate {
namespace {

const TensorType* type_of(const Facts& facts, const std::string& name) {
  const auto it = facts.find(name);
  return it == facts.end() ? nullptr : &it->second.type;
}

int64_t count_of(const Facts& facts, const std::string& name) {
  const TensorType* type = type_of(facts, name);
  const Result<int64_t> count = type == nullptr ? Result<int64_t>(0) : checked_count(type->shape);
  return count.ok() ? count.value() : 0;
}

int64_t functions_of(const Node& node, const Facts& facts) {
  static const std::set<std::string_view> kFunctions = {"Sigmoid", "Tanh",    "Exp",        "Log",      "Erf",   "Gelu",
                                                        "Elu",     "Softmax", "LogSoftmax", "Softplus", "Swish", "Mish",
                                                        "Selu",    "Celu",    "Sin",        "Cos"};
  if (node.op == "Attention") {
    const TensorType *q = type_of(facts, node.inputs[0]), *k = type_of(facts, node.inputs[1]);
    if (q == nullptr || k == nullptr || q->shape.size() < 2 || q->shape.back() == 0) return 0;
    return count_of(facts, node.inputs[0]) / q->shape.back() * k->shape.end()[-2];
  }
  if (node.is("LSTM") || node.is("GRU") || node.is("RNN")) {
    const TensorType* x = type_of(facts, node.inputs[0]);
    const TensorType* r = type_of(facts, node.inputs[2]);
    if (x == nullptr || r == nullptr || x->shape.size() != 3 || r->shape.size() != 3) return 0;
    const int64_t each = node.is("LSTM") ? 5 : node.is("GRU") ? 3 : 1;
    return x->shape[0] * x->shape[1] * r->shape[0] * r->shape[2] * each;
  }
  if (node.domain == "hayate" && node.op == "RecurrentSteps") {  // its input holds the sums of all gates
    const int64_t gates = node.get<int64_t>("gates", 4);
    return count_of(facts, node.inputs[0]) / gates * (gates == 4 ? 5 : 3);
  }
  return node.domain.empty() && kFunctions.contains(node.op) ? count_of(facts, node.outputs[0]) : 0;
}

// A layer's weights are read once, a recurrent layer's own at every step.
int64_t times_read(const Node& node, size_t input, const Facts& facts) {
  const bool recurrent = node.is("LSTM") || node.is("GRU") || node.is("RNN");
  const TensorType* x = type_of(facts, node.inputs[0]);
  return recurrent && input == 2 && x != nullptr && x->shape.size() == 3 ? x->shape[0] : 1;
}

// Of a constant that a node takes: what it has to read of it at all.
int64_t bytes_read(const Node& node, size_t input, const Tensor& constant, const Facts& facts) {
  const int64_t bytes = static_cast<int64_t>(constant.byte_count());
  if (input != 1) return bytes;
  if (node.domain == "hayate" && node.op == "RecurrentSteps") {  // a single step whose product is given reads none
    const TensorType* sums = type_of(facts, node.inputs[0]);
    return sums != nullptr && sums->shape[0] == 1 && !node.input(5).empty() ? 0 : bytes;
  }
  if (is_conv_part(node) && constant.shape().size() > 2) {
    const Shape kernel(constant.shape().begin() + 2, constant.shape().end());
    const Taps taps = taps_of(node, kernel);
    return kernel[taps.axis] == 0 ? 0 : bytes / kernel[taps.axis] * taps.count;
  }
  return bytes;
}

void add_weights(const Graph& graph, const Node& node, const Facts& facts, std::map<std::string, int64_t>* seen,
                 Work* work) {
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const Tensor* constant = node.inputs[i].empty() ? nullptr : graph.constant(node.inputs[i]);
    if (constant == nullptr ||
        (constant->type() != Type::kFloat32 && constant->type() != Type::kInt8 && constant->type() != Type::kUInt8))
      continue;
    const int64_t bytes = bytes_read(node, i, *constant, facts);
    int64_t& known = (*seen)[node.inputs[i]];  // who reads more of it reads what others do
    work->weight_bytes += std::max<int64_t>(0, bytes - known), known = std::max(known, bytes);
    if (const int64_t times = times_read(node, i, facts); times > 1) work->again.push_back({bytes, times - 1});
  }
}

// One addition after another for each tree of a sum; sums of other outputs and rows may go beside it. The plainest form
// reads one node a level, so no bytes are claimed.
void add_trees(const Node& node, const Facts& facts, Work* work) {
  const TensorType* x = type_of(facts, node.inputs[0]);
  if (x == nullptr || x->shape.size() != 2) return;
  const Result<kernels::Trees> trees = trees_from(node, *x);
  if (!trees.ok()) return;
  const int64_t sums = std::max<int64_t>(1, trees.value().outputs);
  work->ordered_sums += (static_cast<int64_t>(trees.value().roots.size()) + sums - 1) / sums;
}

}  // namespace

Work work_of(const Graph& graph, const Facts& facts) {
  Work work;
  work.macs = macs_of(graph, facts);
  std::map<std::string, int64_t> seen;
  for (const Node& node : graph.nodes) {
    if (node.outputs.empty() || node.inputs.empty()) continue;
    if (is_tree_ensemble(node))
      add_trees(node, facts, &work);
    else
      work.functions += functions_of(node, facts), add_weights(graph, node, facts, &seen, &work);
  }
  work.held_bytes = work.weight_bytes;
  return work;
}

Result<Work> work_of(const Graph& model, const InputTypes& types) {
  const Result<Graph> rewritten = rewrite(model, types);
  if (!rewritten.ok()) return rewritten.error();
  Result<Facts> facts = infer(rewritten.value(), types);
  if (!facts.ok()) return facts.error();
  const Graph needed = needed_places(rewritten.value(), facts.value());
  facts = infer(needed, types);
  if (!facts.ok()) return facts.error();
  return work_of(needed, facts.value());
}

Result<Work> work_of_answer(const StreamExecutable& stream) {
  const StreamExecutable::Data& data = *stream.data();
  const Result<InputTypes> window = declared_types(data.graph, 1);
  if (!window.ok()) return window.error();
  const Result<Work> whole = work_of(data.graph, window.value());
  if (!whole.ok() || data.cut.window == 0 || !stream.gains()) return whole;
  const Graph& answer = data.cut.answer;
  const Result<InputTypes> types = declared_types(answer, 1);
  if (!types.ok()) return types.error();
  const Result<Facts> facts = infer(answer, types.value());
  if (!facts.ok()) return facts.error();
  Work work = work_of(answer, facts.value());
  work.held_bytes = std::max(work.held_bytes, whole.value().weight_bytes);
  return work;
}

Bound bound_of(const Work& work, const Peaks& peaks) {
  const LevelPeak& level = peaks.level_of(work.weight_bytes);
  double reading = static_cast<double>(work.weight_bytes) / level.gb_per_s / 1000;  // GB/s are bytes per ns
  for (const Work::Again& each : work.again)
    reading += static_cast<double>(each.bytes * each.times) / peaks.level_of(each.bytes).gb_per_s / 1000;
  const double multiplying = static_cast<double>(work.macs) / peaks.fp32_gmacs / 1000,
               functions = static_cast<double>(work.functions) * peaks.function_ns / 1000,
               sums = static_cast<double>(work.ordered_sums) * peaks.float64_add_ns / 1000;
  const std::pair<double, std::string> parts[] = {{reading, "weights from " + level.level},
                                                  {multiplying, "multiply-adds"},
                                                  {functions, "functions"},
                                                  {sums, "ordered sums"}};
  const auto& most = *std::max_element(std::begin(parts), std::end(parts));
  return {std::max(reading, multiplying) + functions + sums, most.second};
}

}  // namespace hayate
