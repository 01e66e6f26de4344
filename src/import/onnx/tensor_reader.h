// The standard's tensors, dense and sparse, to Tensor.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "hayate/result.h"
#include "onnx.pb.h"
#include "tensor/tensor.h"

namespace hayate {

// The type behind a TensorProto.DataType; an error with the standard's name for what is not supported.
Result<Type> type_from_onnx(int32_t code, const std::string& where);

// Where tensors come from. Without a folder external data are refused.
struct TensorSource {
  std::optional<std::string> folder;  // of the model; empty: the current one
};

// Sizes are checked against the bytes there, and against the memory limit, before memory is claimed.
Result<Tensor> tensor_from(const onnx_schema::Tensor& proto, const TensorSource& source, const std::string& where);
// Zeros but where the indices say: flat or one row per value, rising.
Result<Tensor> dense_from(const onnx_schema::SparseTensor& proto, const TensorSource& source, const std::string& where);

}  // namespace hayate
