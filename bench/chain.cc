#include "chain.h"

#include <algorithm>

#include "backends/inputs.h"
#include "rewrite/rewrite.h"

namespace hayate::peers {
namespace {

// How the value of the moment lies. kSteps: as LSTM answers, [time, 1, batch, channels].
enum class Layout : uint8_t { kRows, kBatchFirst, kTimeFirst, kSteps };

bool is_zero(const Graph& graph, const std::string& name) {
  const Tensor* tensor = graph.constant(name);
  if (tensor == nullptr || tensor->type() != Type::kFloat32) return name.empty();
  const float* values = tensor->data<float>();
  return std::all_of(values, values + tensor->count(), [](float value) { return value == 0; });
}

// The last of `steps`: as -1, or counted from the start.
bool is_last(const Tensor* index, int64_t steps) {
  if (index == nullptr || index->type() != Type::kInt64 || !index->shape().empty()) return false;
  return *index->data<int64_t>() == -1 || *index->data<int64_t>() == steps - 1;
}

class Reader {
 public:
  Reader(const Graph& graph, const Shape& input)
      : graph_(graph),
        steps_(input.size() == 3 ? input[1] : 0),
        layout_(input.size() == 3 ? Layout::kBatchFirst : Layout::kRows) {}

  bool take(const Node& node) {
    return !softmax && (take_move(node) || take_recurrent(node) || take_dense(node) || take_activation(node));
  }
  bool complete() const { return layout_ == Layout::kRows && !layers.empty(); }

  std::vector<Layer> layers;
  bool softmax = false;

 private:
  bool becomes(Layout layout) {
    layout_ = layout;
    return true;
  }

  bool take_move(const Node& node) {
    const bool turned = layout_ == Layout::kTimeFirst || layout_ == Layout::kBatchFirst;
    const auto order = node.is("Transpose") ? node.get("perm", std::vector<int64_t>()) : std::vector<int64_t>();
    if (layout_ == Layout::kSteps && order == std::vector<int64_t>{0, 2, 1, 3}) return true;  // of one direction
    if (turned && order == std::vector<int64_t>{1, 0, 2})
      return becomes(layout_ == Layout::kTimeFirst ? Layout::kBatchFirst : Layout::kTimeFirst);
    if (turned && node.is("Gather") && node.get("axis", int64_t{0}) == (layout_ == Layout::kTimeFirst ? 0 : 1) &&
        is_last(graph_.constant(node.input(1)), steps_))
      return becomes(Layout::kRows);
    if (layout_ == Layout::kSteps && (node.is("Squeeze") || is_reshape_to_three(node)))
      return becomes(Layout::kTimeFirst);
    return false;
  }

  bool is_reshape_to_three(const Node& node) const {
    const Tensor* shape = node.is("Reshape") ? graph_.constant(node.input(1)) : nullptr;
    return shape != nullptr && shape->count() == 3;
  }

  bool take_recurrent(const Node& node) {
    const bool lstm = node.is("LSTM"), gru = node.is("GRU") && node.get("linear_before_reset", int64_t{0}) == 1;
    if (layout_ != Layout::kTimeFirst || (!lstm && !gru) || !node.input(4).empty()) return false;
    if (node.get("direction", std::string("forward")) != "forward" || node.get("layout", int64_t{0}) != 0) return false;
    if (node.attributes.contains("activations") || node.attributes.contains("clip") ||
        node.get("input_forget", int64_t{0}) != 0 || !node.input(7).empty())
      return false;
    if (!is_zero(graph_, node.input(5)) || !is_zero(graph_, node.input(6))) return false;
    const Layer layer{lstm ? LayerKind::kLstm : LayerKind::kGru, weights_of(node, 1), weights_of(node, 2),
                      weights_of(node, 3)};
    if (layer.weights == nullptr || layer.recurrent == nullptr || layer.bias == nullptr) return false;
    layers.push_back(layer);
    return becomes(Layout::kSteps);
  }

  bool take_dense(const Node& node) {
    const Tensor *weights = weights_of(node, 1), *bias = weights_of(node, 2);
    if (layout_ != Layout::kRows || !node.is("Gemm") || weights == nullptr || bias == nullptr ||
        bias->shape().size() != 1 || node.get("alpha", 1.0f) != 1 || node.get("beta", 1.0f) != 1 ||
        node.get("transA", int64_t{0}) != 0)
      return false;
    layers.push_back({LayerKind::kDense, weights, nullptr, bias, node.get("transB", int64_t{0}) != 0});
    return true;
  }

  bool take_activation(const Node& node) {
    if (layers.empty() || layers.back().kind != LayerKind::kDense) return false;
    const int64_t axis = node.get("axis", int64_t{-1});
    if (node.is("Softmax") && (axis == -1 || axis == 1)) return softmax = true;
    return node.is("Relu") && !layers.back().relu && (layers.back().relu = true);
  }

  const Tensor* weights_of(const Node& node, size_t i) const {
    const Tensor* tensor = graph_.constant(node.input(i));
    return tensor != nullptr && tensor->type() == Type::kFloat32 ? tensor : nullptr;
  }

  const Graph& graph_;
  int64_t steps_;
  Layout layout_;
};

}  // namespace

Result<Chain> chain_of(const Job& job, const char* peer) {
  const Error other{Code::kUnsupported, peer, "is timed on chains of LSTM, GRU and dense layers"};
  if (job.inputs.size() != 1) return other;
  Result<Graph> rewritten = rewrite(*job.graph, types_of(job.inputs));
  if (!rewritten.ok()) return rewritten.error();
  Chain chain;
  chain.graph = std::make_shared<const Graph>(std::move(rewritten).value());
  Reader reader(*chain.graph, job.inputs.begin()->second.shape());
  std::string value = chain.graph->inputs[0].name;
  for (const Node& node : chain.graph->nodes) {
    if (node.input(0) != value || !reader.take(node)) return other;
    value = node.outputs[0];
  }
  if (!reader.complete() || value != chain.graph->outputs[0].name) return other;
  chain.layers = std::move(reader.layers), chain.softmax = reader.softmax;
  return chain;
}

}  // namespace hayate::peers
