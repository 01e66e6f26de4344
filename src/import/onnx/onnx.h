// ONNX files and tensors to Graph and Tensor.
#pragma once

#include <string>
#include <string_view>

#include "graph/graph.h"

namespace hayate {

// Reads and verifies a model. Bytes are not trusted: whatever they hold, the answer is a verified graph or an error
// that names file, node and value. Constant nodes become constants. Local functions and external data are refused with
// the reason; so are files nested deeper than kDepthMax subgraphs.
Result<Graph> import_onnx(const std::string& path);
Result<Graph> import_onnx(std::string_view bytes, const std::string& source);

// One TensorProto, as ONNX test folders hold them (input_0.pb).
Result<Tensor> import_onnx_tensor(std::string_view bytes, const std::string& source, std::string* name);

}  // namespace hayate
