#include <fmt/format.h>

#include <cstdlib>

#include "backends/calibration.h"
#include "backends/inputs.h"
#include "import/onnx/onnx_writer.h"
#include "rewrite/rewrite.h"
#include "tensor/npy.h"
#include "tools/commands.h"

namespace hayate {
namespace {

// This process's peak resident memory since it began this program (getrusage would count the parent's too).
double peak_memory_mb() {
  const Result<std::string> status = read_file("/proc/self/status");
  const size_t at = status.ok() ? status.value().find("VmHWM:") : std::string::npos;
  return at == std::string::npos ? 0 : std::strtod(status.value().c_str() + at + 6, nullptr) / 1024;
}

// The model for the first bucket of shapes that the inputs fit (of which the last one's refusal is told), and the
// inputs.
Result<std::pair<Graph, Tensors>> fitting(const ModelOptions& options, const std::string& inputs) {
  Error refusal;
  for (const ModelOptions& bucket : by_bucket(options)) {
    Result<Graph> graph = load_model(bucket);
    if (!graph.ok()) return graph.error();
    Result<Tensors> given = read_inputs(inputs, graph.value());
    if (!given.ok()) return given.error();
    open_defaults(&graph.value(), given.value());
    const Result<Tensors> checked = checked_inputs(given.value(), graph.value());
    if (checked.ok()) return std::pair(std::move(graph).value(), std::move(given).value());
    refusal = checked.error();
  }
  return refusal;
}

int answer_inputs(const ModelOptions& options, const RunOptions& run) {
  const auto found = fitting(options, run.inputs);
  if (!found.ok()) return fail(found.error());
  const auto& [graph, given] = found.value();
  if (!run.quantised.empty()) {
    if (options.plan.precision != "int8")
      return fail({Code::kInvalidArgument, "--save-quantized", "goes with --precision int8"});
    const Result<Graph> made = quantised_model(graph, find_batch(graph, types_of(given)), options.plan);
    if (!made.ok()) return fail(made.error());
    const Result<bool> written = export_onnx(made.value(), run.quantised);
    if (!written.ok()) return fail(written.error());
  }
  const Result<Tensors> answers = answer(graph, given, options.plan);
  if (!answers.ok()) return fail(answers.error());
  say_whose_scales(options.plan);
  for (const auto& [name, tensor] : answers.value())
    fmt::print("{} {} {}\n", printable(name), type_name(tensor.type()), shape_text(tensor.shape()));
  if (run.output.empty()) return 0;
  const Result<bool> written = write_npz(run.output, answers.value());
  return written.ok() ? 0 : fail(written.error());
}

}  // namespace

int run(const ModelOptions& options, const RunOptions& run) {
  const int status = answer_inputs(options, run);
  if (run.memory) fmt::print("peak memory {:.2f} MB\n", peak_memory_mb());
  return status;
}

int dump(const ModelOptions& options, const DumpOptions& dump) {
  Result<Graph> graph = load_model(options);
  std::vector<PassReport> reports;
  if (graph.ok() && (dump.passes || !dump.after.empty())) {
    const Result<InputTypes> types = declared_types(graph.value(), dump.batch);
    if (!types.ok()) return fail(types.error());
    graph = rewrite(std::move(graph).value(), types.value(), dump.after == "all" ? "" : dump.after, &reports);
  }
  if (!graph.ok()) return fail(graph.error());
  fmt::print("{}", dump.passes ? passes_text(reports) : graph.value().text());
  return 0;
}

}  // namespace hayate
