// ONNX files and tensors to Graph and Tensor.
#pragma once

#include <string>
#include <string_view>

#include "graph/graph.h"

namespace hayate {

// Reads and verifies a model. Bytes are not trusted: whatever they hold, the answer is a verified graph or an error
// that names file, node and value. Constant nodes become constants, sparse tensors dense ones, calls of local functions
// their bodies (an own opset stays with their nodes); nodes out of order are sorted. An initializer that is also an
// input is a constant. Training information is skipped. External data are read below `folder`, the model's; without one
// they are refused.
Result<Graph> import_onnx(std::string_view bytes, const std::string& source);
Result<Graph> import_onnx(std::string_view bytes, const std::string& source, const std::string& folder);
Result<Graph> import_onnx(const std::string& path);

// One TensorProto, as ONNX test folders hold them (input_0.pb).
Result<Tensor> import_onnx_tensor(std::string_view bytes, const std::string& source, std::string* name);

}  // namespace hayate
