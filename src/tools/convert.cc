#include <fmt/format.h>

#include <filesystem>

#include "backends/calibration.h"
#include "import/onnx/onnx_writer.h"
#include "tools/commands.h"

namespace hayate {

int convert(const ModelOptions& options, const ConvertOptions& convert) {
  Result<Graph> graph = load_model(options);
  if (!graph.ok()) return fail(graph.error());
  if (options.plan.precision == "int8") {
    const Result<InputTypes> types = declared_types(graph.value(), 1);
    if (!types.ok()) return fail(types.error());
    graph = quantised_model(graph.value(), find_batch(graph.value(), types.value()), options.plan);
    if (!graph.ok()) return fail(graph.error());
    say_whose_scales(options.plan);
  }
  const int64_t ml_opset = convert.ml_opset == 0 ? kMlOpsetMax : convert.ml_opset;
  const Result<bool> written = export_onnx(graph.value(), convert.output, ml_opset);
  if (!written.ok()) return fail(written.error());
  std::error_code ignored;
  fmt::print("{} bytes written to {}\n", std::filesystem::file_size(convert.output, ignored), convert.output);
  return 0;
}

}  // namespace hayate
