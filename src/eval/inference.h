// Types and small contents of values, followed node by node: what infer() (eval/evaluate.h) does with a whole graph.
#pragma once

#include <map>
#include <string>

#include "eval/evaluate.h"

namespace hayate {

// Contents are followed as long as that takes no more than kFollowedWorkMax steps (eval/macs.h) in all.
constexpr int64_t kFollowedWorkMax = 1 << 24;  // milliseconds

// Each node reads what was added before it.
class Inference {
 public:
  explicit Inference(const Graph& graph) : source_(graph.source), opset_(graph.opset) {}

  const Facts& facts() const { return facts_; }
  // Where the value is known already, or one that the node reads is not, the error says so.
  Result<bool> add_constant(const std::string& name, const Tensor& tensor);
  Result<bool> add_input(const ValueInfo& input, const std::map<std::string, TensorType>& types);
  Result<bool> add(const Node& node);

 private:
  friend Result<Facts> infer(const Graph& graph, const std::map<std::string, TensorType>& inputs);

  Result<bool> know(const std::string& name, Fact fact);
  Error located(Error error) const;

  std::string source_;
  int64_t opset_;
  Facts facts_;
  int64_t work_ = 0;  // done for contents
};

}  // namespace hayate
