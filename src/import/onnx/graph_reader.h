// A ModelProto's graph to Graph: nodes with their attributes, subgraphs, and local functions put in the place of their
// calls.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "graph/graph.h"
#include "import/onnx/tensor_reader.h"
#include "onnx.pb.h"

namespace hayate {

constexpr int kSubgraphDepthMax = 16;  // graphs within graphs; protobuf itself stops at 100 messages
constexpr int kCallDepthMax = 32;      // functions that call functions

constexpr int64_t kOpsetMin = 1, kOpsetMax = 28;  // of ai.onnx

constexpr int64_t kIrWithDefaults = 4;  // the first IR version in which an initializer may be fed

// Whether the version is one that is read; else an error with the range.
Result<bool> check_opset(int64_t version, const std::string& where);

// The version of each domain ("" is ai.onnx) that a model or a function imports; an error where one is imported in two.
using Imports = google::protobuf::RepeatedPtrField<onnx_schema::OperatorSetId>;
Result<std::map<std::string, int64_t>> imported_versions(const Imports& imports, const std::string& where);

class GraphReader {
 public:
  // All must outlive the reader. `opset` is that of ai.onnx in the model.
  GraphReader(const onnx_schema::Model& model, const TensorSource& tensors, const std::string& source, int64_t opset);

  Result<Graph> read();

 private:
  // One call of a function: how the names, attribute references and opset of its body become those of the caller.
  struct Call {
    const onnx_schema::Function* function = nullptr;
    std::string prefix;                          // of the names that the body makes
    std::map<std::string, std::string> formals;  // inputs and outputs, as the caller names them
    std::map<std::string, Attribute> attributes;
    int64_t opset = 0;
    int depth = 0;

    std::string name(const std::string& inner) const;
  };
  using FunctionKey = std::tuple<std::string, std::string, std::string>;  // domain, name, overload

  Result<bool> collect_functions();
  Result<Graph> graph_from(const onnx_schema::Graph& proto, const std::string& where, int depth, const Call* call);
  Result<bool> add_initializers(const onnx_schema::Graph& proto, const Call* call, Graph* graph);
  Result<bool> add_ports(const onnx_schema::Graph& proto, int depth, const Call* call, Graph* graph);
  // Adds the node, the nodes of the function it calls, or the constant it holds.
  Result<bool> add_node(const onnx_schema::Node& proto, const std::string& where, int depth, const Call* call,
                        Graph* graph);
  Result<bool> add_call(const onnx_schema::Function& function, const Node& node, const std::string& where, int depth,
                        const Call* call, Graph* graph);
  Result<Call> bind_call(const onnx_schema::Function& function, const Node& node, const std::string& here, int depth,
                         const Call* call);
  Result<Node> node_from(const onnx_schema::Node& proto, const std::string& where, size_t position, int depth,
                         const Call* call);
  Result<Attribute> attribute_from(const onnx_schema::Attribute& proto, const std::string& where, int depth,
                                   const Call* call);
  Result<Tensor> tensor(const onnx_schema::Tensor& proto, const std::string& where, const Call* call);

  const onnx_schema::Model& model_;
  const TensorSource& tensors_;
  const std::string& source_;
  const int64_t opset_;
  int64_t ml_opset_ = 0;  // of ai.onnx.ml; 0: not imported
  std::map<FunctionKey, const onnx_schema::Function*> functions_;
  std::unordered_map<const onnx_schema::Tensor*, Tensor> shared_;  // a function's tensors are read once for all calls
  int64_t calls_ = 0, inlined_ = 0, node_bytes_ = 0;
  int64_t ask_at_ = 0;  // bytes of nodes at which room for them is asked for again
};

}  // namespace hayate
