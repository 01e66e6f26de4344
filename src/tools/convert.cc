#include <fmt/format.h>

#include <filesystem>

#include "import/onnx/onnx_writer.h"
#include "tools/commands.h"

namespace hayate {

int convert(const ModelOptions& options, const ConvertOptions& convert) {
  const Result<Graph> graph = load_model(options);
  if (!graph.ok()) return fail(graph.error());
  const int64_t ml_opset = convert.ml_opset == 0 ? kMlOpsetMax : convert.ml_opset;
  const Result<bool> written = export_onnx(graph.value(), convert.output, ml_opset);
  if (!written.ok()) return fail(written.error());
  std::error_code ignored;
  fmt::print("{} bytes written to {}\n", std::filesystem::file_size(convert.output, ignored), convert.output);
  return 0;
}

}  // namespace hayate
