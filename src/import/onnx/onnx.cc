#include "import/onnx/onnx.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "base/memory_budget.h"
#include "import/onnx/file_error.h"
#include "import/onnx/graph_reader.h"
#include "import/onnx/parsed_size.h"
#include "onnx.pb.h"
#include "tensor/npy.h"

namespace hayate {
namespace {

namespace schema = onnx_schema;

constexpr int64_t kIrWithOpsets = 3;  // the first IR version in which a model must say its opsets

// The version of ai.onnx that the model imports.
Result<int64_t> opset_of(const schema::Model& model, const std::string& source) {
  const auto imported = imported_versions(model.opset_import(), source);
  if (!imported.ok()) return imported.error();
  const std::map<std::string, int64_t>& versions = imported.value();
  if (const auto it = versions.find(""); it != versions.end()) {
    const Result<bool> known = check_opset(it->second, source);
    if (!known.ok()) return known.error();
    return it->second;
  }
  if (versions.empty() && model.ir_version() < kIrWithOpsets) return int64_t{1};
  const auto standard = std::find_if(model.graph().node().begin(), model.graph().node().end(), [](const auto& node) {
    return node.domain().empty() || node.domain() == "ai.onnx";
  });
  if (standard == model.graph().node().end()) return kOpsetMax;  // nothing depends on it
  return bad(source, fmt::format("uses operator {} but imports no opset of ai.onnx; {} to {} are accepted",
                                 standard->op_type(), kOpsetMin, kOpsetMax));
}

Result<Graph> read_model(std::string_view bytes, const TensorSource& tensors, const std::string& source) {
  schema::Model model;
  if (bytes.size() > INT32_MAX)
    return bad(source, "is larger than the 2 GB that an ONNX file may have; put its weights into external data");
  MemoryClaim claim;
  if (const Result<bool> room = claim.grow(parsed_model_size(bytes), source); !room.ok()) return room.error();
  if (bytes.empty() || !model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return bad(source, "is no readable ONNX model (empty, truncated or another format)");
  if (!model.has_graph()) return bad(source, "is no ONNX model: it holds no graph");
  const Result<int64_t> opset = opset_of(model, source);
  if (!opset.ok()) return opset.error();
  Result<Graph> graph = GraphReader(model, tensors, source, opset.value()).read();
  if (!graph.ok()) return graph;
  const Result<bool> verified = verify(graph.value());
  if (!verified.ok()) return verified.error();
  return graph;
}

}  // namespace

Result<Graph> import_onnx(std::string_view bytes, const std::string& source) { return read_model(bytes, {}, source); }

Result<Graph> import_onnx(std::string_view bytes, const std::string& source, const std::string& folder) {
  return read_model(bytes, {folder}, source);
}

Result<Graph> import_onnx(const std::string& path) {
  const Result<std::string> bytes = read_file(path);
  if (!bytes.ok()) return bytes.error();
  return import_onnx(bytes.value(), path, std::filesystem::path(path).parent_path());
}

Result<Tensor> import_onnx_tensor(std::string_view bytes, const std::string& source, std::string* name) {
  schema::Tensor proto;
  if (bytes.size() > INT32_MAX || !proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return bad(source, "is no readable ONNX tensor");
  *name = proto.name();
  return tensor_from(proto, {}, source);
}

}  // namespace hayate
