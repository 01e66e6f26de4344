#include "rewrite/deciding.h"

#include <algorithm>

#include "rewrite/bind.h"

namespace hayate {
namespace {

constexpr int64_t kDecidingMax = 64;       // elements of an input that may be a shape, axes or a size
constexpr size_t kDecidingInputsMax = 16;  // each is tried with an inference of the whole graph

bool follows(const Graph& graph, const std::map<std::string, TensorType>& types) {
  const Result<Graph> resolved = resolve_branches(graph, types);
  return resolved.ok() && infer(resolved.value(), types).ok();
}

bool may_decide(const Tensor& tensor) {
  const bool integers = tensor.type() == Type::kInt64 || tensor.type() == Type::kInt32 || tensor.type() == Type::kBool;
  return tensor.rank() <= 1 && tensor.count() <= (integers ? kDecidingMax : 1);
}

Graph with_bound(const Graph& graph, const std::vector<std::string>& names, const std::map<std::string, Tensor>& fed) {
  Graph bound = graph;
  std::erase_if(bound.inputs, [&](const ValueInfo& input) {
    return std::find(names.begin(), names.end(), input.name) != names.end();
  });
  for (const std::string& name : names) bound.constants.insert_or_assign(name, fed.at(name));
  return bound;
}

}  // namespace

std::vector<std::string> bind_deciding(Graph* graph, const std::map<std::string, Tensor>& fed) {
  std::map<std::string, TensorType> types;
  std::vector<std::string> names;
  for (const ValueInfo& input : graph->inputs) {
    const auto it = fed.find(input.name);
    if (it == fed.end()) return {};
    types.emplace(input.name, TensorType{it->second.type(), it->second.shape()});
    if (may_decide(it->second)) names.push_back(input.name);
  }
  if (names.empty() || names.size() > kDecidingInputsMax || follows(*graph, types) ||
      !follows(with_bound(*graph, names, fed), types))
    return {};
  for (size_t i = names.size(); i-- > 0;) {
    std::vector<std::string> fewer = names;
    fewer.erase(fewer.begin() + static_cast<int64_t>(i));
    if (follows(with_bound(*graph, fewer, fed), types)) names = std::move(fewer);
  }
  *graph = with_bound(*graph, names, fed);
  return names;
}

}  // namespace hayate
