#include "tools/contestant.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "backends/inputs.h"

namespace hayate {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kNetworkBytes = 256 * 1024, kTreeRows = 4096, kPlacesMin = 256;
constexpr int64_t kStride = 16;  // elements between two calls' places: a cache line of float32

bool is_forest(const Graph& graph) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(),
                     [](const Node& node) { return node.op.find("TreeEnsemble") != std::string::npos; });
}

}  // namespace

Tensor narrowed(const Tensor& wide) {
  Tensor narrow(Type::kFloat32, wide.shape());
  std::transform(wide.data<double>(), wide.data<double>() + wide.count(), narrow.data<float>(),
                 [](double v) { return static_cast<float>(v); });
  return narrow;
}

void round_to_float(Tensor* tensor) {
  if (tensor->type() != Type::kFloat64) return;
  for (int64_t i = 0; i < tensor->count(); ++i)
    tensor->data<double>()[i] = static_cast<float>(tensor->data<double>()[i]);
}

Pools Pools::make(const Graph& graph, const Tensors& inputs) {
  Pools made;
  uint64_t seed = 2;
  for (const ValueInfo& input : graph.inputs) {
    const Tensor& tensor = inputs.at(input.name);
    const int64_t row = tensor.shape().empty() ? 1 : tensor.count() / std::max<int64_t>(tensor.shape()[0], 1);
    const int64_t wanted =
        is_forest(graph) ? kTreeRows * row : kNetworkBytes / static_cast<int64_t>(type_size(tensor.type()));
    made.pools.push_back(
        random_tensor(tensor.type(), {std::max(tensor.count() + kPlacesMin * kStride, wanted)}, seed++));
    round_to_float(&made.pools.back());
    made.bytes += static_cast<int64_t>(made.pools.back().byte_count());
  }
  return made;
}

void feed_input(const Tensor& pool, size_t k, Type type, int64_t count, std::byte* to) {
  const int64_t places = (pool.count() - count) / kStride + 1;
  // A step that shares no factor with the number of places visits all of them, far apart in a row.
  const int64_t at = static_cast<int64_t>(k) * 7919 % places * kStride;
  if (type == pool.type()) {
    const size_t size = type_size(type);
    std::memcpy(to, pool.bytes() + static_cast<size_t>(at) * size, static_cast<size_t>(count) * size);
    return;
  }
  const double* from = pool.data<double>() + at;
  std::transform(from, from + count, reinterpret_cast<float*>(to), [](double v) { return static_cast<float>(v); });
}

void Contestant::feed(size_t call) {
  for (size_t i = 0; i < compiled->inputs().size(); ++i) {
    const TensorType& type = compiled->inputs()[i].type;
    feed_input(pools->pools[i], call, type.type, checked_count(type.shape).value(), state->input(i));
  }
}

Result<std::unique_ptr<Contestant>> make_contestant(const ModelOptions& options, const std::string& backend,
                                                    const std::shared_ptr<const Graph>& graph, const Tensors& inputs,
                                                    const Pools* pools, double load_ms) {
  auto contestant = std::make_unique<Contestant>();
  Contestant& made = *contestant;
  made.pools = pools;
  if (backend != "onnxruntime") made.load_ms = load_ms;
  made.backend = backend, made.file = options.model, made.graph = graph;
  made.plan = plan_for(options.plan, backend), made.inputs = inputs;
  for (auto& [name, tensor] : made.inputs) round_to_float(&tensor);
  if (backend == "onnxruntime" && graph->opset == 0) {
    ModelOptions sibling = options;
    made.file = sibling.model = fs::path(options.model).replace_extension(".onnx");
    Result<Graph> read = load_model(sibling);
    if (!read.ok()) return read.error();
    made.graph = std::make_shared<const Graph>(std::move(read).value());
    if (made.graph->inputs.size() != 1)
      return Error{Code::kInvalidArgument, made.file, "must take one input to be timed beside " + options.model};
    const ValueInfo& port = made.graph->inputs[0];
    const Tensor given = made.inputs.begin()->second;
    made.inputs = {{port.name, given.type() != port.type && port.type == Type::kFloat32 ? narrowed(given) : given}};
  }
  const auto compiled =
      timed(&made.compile_ms, [&] { return compile_graph(*made.graph, types_of(made.inputs), made.plan); });
  if (!compiled.ok()) return compiled.error();
  made.compiled = compiled.value();
  made.state = made.compiled->state();
  return contestant;
}

}  // namespace hayate
