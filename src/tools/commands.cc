#include "tools/commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>

#include "backends/native/native.h"
#include "backends/onnxruntime/ort.h"
#include "import/import.h"
#include "import/onnx/onnx.h"
#include "rewrite/bind.h"
#include "rewrite/rewrite.h"
#include "tensor/npy.h"
#include "tools/compare.h"
#include "tools/inputs.h"

namespace hayate {
namespace {

namespace fs = std::filesystem;

int fail(const Error& error) {
  fmt::print(stderr, "hayate: {}\n", error.text());
  return 1;
}

}  // namespace

Result<Graph> load_model(const ModelOptions& options) {
  Result<Graph> graph = import_model(options.model, ImportOptions{options.raw_score});
  if (!graph.ok()) return graph;
  for (const std::string& set : options.sets) {
    const Result<bool> bound = bind_text(&graph.value(), set);
    if (!bound.ok()) return bound.error();
  }
  for (const std::string& given : options.shapes) {
    const Result<bool> fixed = fix_shape(&graph.value(), given);
    if (!fixed.ok()) return fixed.error();
  }
  return graph;
}

Result<std::map<std::string, Tensor>> reference_answer(const Graph& graph, const std::map<std::string, Tensor>& given) {
  Result<std::map<std::string, Tensor>> inputs = checked_inputs(given, graph);
  if (!inputs.ok()) return inputs;
  const Result<Graph> resolved = resolve_branches(graph, types_of(inputs.value()));
  if (!resolved.ok()) return resolved.error();
  return evaluate(resolved.value(), inputs.value());
}

Result<kernels::Isa> wanted_isa(const ModelOptions& options) {
  const std::vector<kernels::Isa> supported = kernels::supported_isas();
  if (options.isa.empty()) return supported.front();
  const auto isa = kernels::isa_from_name(options.isa);
  if (isa && std::find(supported.begin(), supported.end(), *isa) != supported.end()) return *isa;
  std::string known;
  for (const kernels::Isa each : supported) known += (known.empty() ? "" : ", ") + std::string(kernels::isa_name(each));
  return Error{Code::kUnsupported, "--isa " + options.isa, "is not what this processor runs; it runs " + known};
}

// A JSON string: what is not printable ASCII is escaped, bytes as they stand in the file.
std::string json_string(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\u{:04x}", static_cast<int>(c));
    else
      out += c;
  }
  return out + "\"";
}

namespace {

// ONNX Runtime's answer, given the file as it is; inputs bound by --set are fed.
Result<std::map<std::string, Tensor>> peer_answer(const ModelOptions& options, const Graph& graph,
                                                  const std::map<std::string, Tensor>& given) {
  Result<std::map<std::string, Tensor>> inputs = checked_inputs(given, graph);
  if (!inputs.ok()) return inputs;
  for (const std::string& set : options.sets) {
    const std::string name = set.substr(0, set.find('='));
    inputs.value().emplace(name, *graph.constant(name));
  }
  const auto library = OrtLibrary::open(options.ort_library);
  if (!library.ok()) return library.error();
  const Result<std::string> bytes = read_file(options.model);
  if (!bytes.ok()) return bytes.error();
  const auto session = OrtSession::create(library.value(), bytes.value(), options.model, {.threads = options.threads});
  if (!session.ok()) return session.error();
  return session.value()->run(inputs.value());
}

// The native engine's answer, compiled for the shapes of what it is given.
Result<std::map<std::string, Tensor>> native_answer(const ModelOptions& options, const Graph& graph,
                                                    const std::map<std::string, Tensor>& given) {
  Result<std::map<std::string, Tensor>> inputs = checked_inputs(given, graph);
  if (!inputs.ok()) return inputs;
  const Result<kernels::Isa> isa = wanted_isa(options);
  if (!isa.ok()) return isa.error();
  const auto executable = native::NativeExecutable::compile(graph, types_of(inputs.value()), {isa.value()});
  if (!executable.ok()) return executable.error();
  native::NativeState state(executable.value());
  const auto& ports = executable.value()->inputs();
  for (size_t i = 0; i < ports.size(); ++i) {
    const Tensor& tensor = inputs.value().at(ports[i].name);
    std::memcpy(state.input(i), tensor.bytes(), tensor.byte_count());
  }
  const native::RunStatus status = state.run();
  if (!status.ok()) {
    Error error = state.error(status);
    error.where = graph.source + ": " + error.where;
    return error;
  }
  std::map<std::string, Tensor> outputs;
  for (size_t i = 0; i < executable.value()->outputs().size(); ++i) {
    const native::Port& port = executable.value()->outputs()[i];
    Tensor tensor(port.type.type, port.type.shape);
    std::memcpy(tensor.bytes(), state.output(i), tensor.byte_count());
    outputs.emplace(port.name, std::move(tensor));
  }
  return outputs;
}

Result<std::map<std::string, Tensor>> backend_answer(const std::string& backend, const ModelOptions& options,
                                                     const Graph& graph, const std::map<std::string, Tensor>& given) {
  if (backend == "onnxruntime") return peer_answer(options, graph, given);
  return backend == "native" ? native_answer(options, graph, given) : reference_answer(graph, given);
}

std::map<std::string, int> operator_counts(const Graph& graph) {
  std::map<std::string, int> counts;
  for (const Node& node : graph.nodes) {
    ++counts[node.domain.empty() ? node.op : node.domain + "." + node.op];
    for (const auto& [key, value] : node.attributes)
      if (const auto* subgraph = std::get_if<std::shared_ptr<const Graph>>(&value))
        for (const auto& [op, count] : operator_counts(**subgraph)) counts[op] += count;
  }
  return counts;
}

std::string ports_json(const std::vector<ValueInfo>& ports) {
  std::string out = "[";
  for (const ValueInfo& port : ports) {
    out += fmt::format("{}{{\"name\": {}, \"type\": \"{}\", \"shape\": ", out.size() > 1 ? ", " : "",
                       json_string(port.name), type_name(port.type));
    if (!port.has_shape)
      out += "null}";
    else {
      std::string dims;
      for (const Dim& dim : port.dims)
        dims += (dims.empty() ? "" : ", ") +
                (dim.fixed() ? fmt::format("{}", dim.value) : json_string(dim.symbol.empty() ? "?" : dim.symbol));
      out += fmt::format("[{}]}}", dims);
    }
  }
  return out + "]";
}

int64_t constant_bytes(const Graph& graph) {
  int64_t bytes = 0;
  for (const auto& [name, tensor] : graph.constants) bytes += static_cast<int64_t>(tensor.byte_count());
  return bytes;
}

// This process's peak resident memory since it began this program (getrusage would count the parent's too).
double peak_memory_mb() {
  const Result<std::string> status = read_file("/proc/self/status");
  const size_t at = status.ok() ? status.value().find("VmHWM:") : std::string::npos;
  return at == std::string::npos ? 0 : std::strtod(status.value().c_str() + at + 6, nullptr) / 1024;
}

// The operators nothing here runs.
std::vector<std::string> refused_operators(const Graph& graph) {
  std::vector<std::string> refused;
  for (const auto& [op, count] : operator_counts(graph)) {
    const size_t dot = op.rfind('.');
    const std::string domain = dot == std::string::npos ? "" : op.substr(0, dot),
                      name = dot == std::string::npos ? op : op.substr(dot + 1);
    if (op != "If" && op != "Scan" && find_op(domain, name) == nullptr) refused.push_back(op);
  }
  return refused;
}

}  // namespace

int info(const ModelOptions& options, bool json) {
  const Result<Graph> loaded = load_model(options);
  if (!loaded.ok()) return fail(loaded.error());
  const Graph& graph = loaded.value();
  const std::vector<std::string> refused = refused_operators(graph);
  std::string verdict = refused.empty() ? "runs" : "refuses ";
  for (const std::string& op : refused) verdict += (op == refused.front() ? "" : ", ") + op;
  if (json) {
    std::string ops;
    for (const auto& [op, count] : operator_counts(graph))
      ops += fmt::format("{}{}: {}", ops.empty() ? "" : ", ", json_string(op), count);
    fmt::print(
        "{{\"model\": {}, \"opset\": {}, \"inputs\": {}, \"outputs\": {}, \"operators\": {{{}}}, \"parameters\": {}, "
        "\"constant_bytes\": {}, \"backends\": {{\"reference\": {}}}}}\n",
        json_string(graph.source), graph.opset, ports_json(graph.inputs), ports_json(graph.outputs), ops,
        graph.parameter_count(), constant_bytes(graph), json_string(verdict));
    return 0;
  }
  fmt::print("model       {}\nopset       {}\n", graph.source, graph.opset);
  for (const ValueInfo& input : graph.inputs) fmt::print("input       {}\n", input.text());
  for (const ValueInfo& output : graph.outputs) fmt::print("output      {}\n", output.text());
  for (const auto& [op, count] : operator_counts(graph)) fmt::print("operator    {:5} x {}\n", count, op);
  fmt::print("parameters  {}\nconstants   {:.1f} KiB\nreference   {}\n", graph.parameter_count(),
             static_cast<double>(constant_bytes(graph)) / 1024, verdict);
  return 0;
}

int dump(const ModelOptions& options, const std::string& after, int64_t batch) {
  Result<Graph> graph = load_model(options);
  if (graph.ok() && !after.empty()) {
    std::map<std::string, TensorType> types;
    for (const ValueInfo& input : graph.value().inputs) {
      Shape shape;
      for (const Dim& dim : input.dims) shape.push_back(dim.fixed() ? dim.value : batch);
      types.emplace(input.name, TensorType{input.type, shape});
    }
    graph = rewrite(std::move(graph).value(), types, after == "all" ? "" : after);
  }
  if (!graph.ok()) return fail(graph.error());
  fmt::print("{}", graph.value().text());
  return 0;
}

int run(const ModelOptions& options, const std::string& inputs, const std::string& output, bool memory) {
  const Result<Graph> graph = load_model(options);
  if (!graph.ok()) return fail(graph.error());
  const auto given = read_inputs(inputs, graph.value());
  if (!given.ok()) return fail(given.error());
  const auto answers = backend_answer(options.backend, options, graph.value(), given.value());
  if (!answers.ok()) return fail(answers.error());
  for (const auto& [name, tensor] : answers.value())
    fmt::print("{} {} {}\n", name, type_name(tensor.type()), shape_text(tensor.shape()));
  if (memory) fmt::print("peak memory {:.2f} MB\n", peak_memory_mb());
  if (output.empty()) return 0;
  const Result<bool> written = write_npz(output, answers.value());
  return written.ok() ? 0 : fail(written.error());
}

namespace {

// The tensors STEM_0.pb, STEM_1.pb ... of a folder, in that order, under the ports' names.
Result<std::map<std::string, Tensor>> recorded(const fs::path& folder, const std::string& stem,
                                               const std::vector<ValueInfo>& ports) {
  std::map<std::string, Tensor> tensors;
  for (size_t i = 0; i < ports.size(); ++i) {
    const std::string path = folder / fmt::format("{}_{}.pb", stem, i);
    const Result<std::string> bytes = read_file(path);
    if (!bytes.ok()) return bytes.error();
    std::string name;
    Result<Tensor> tensor = import_onnx_tensor(bytes.value(), path, &name);
    if (!tensor.ok()) return tensor.error();
    tensors.emplace(ports[i].name, std::move(tensor).value());
  }
  return tensors;
}

}  // namespace

int verify_model(const ModelOptions& options, const std::string& inputs, double relative, double absolute) {
  const Result<Graph> graph = load_model(options);
  if (!graph.ok()) return fail(graph.error());
  const auto given = inputs.empty() ? made_inputs(graph.value(), 7, 1) : read_inputs(inputs, graph.value());
  if (!given.ok()) return fail(given.error());
  const auto wanted = reference_answer(graph.value(), given.value()),
             own = native_answer(options, graph.value(), given.value());
  if (!wanted.ok()) return fail(wanted.error());
  bool good = true;
  // Past the tolerance an error still passes where it is at most twice ONNX Runtime's own: every float32 engine rounds.
  std::map<std::string, double> peer_error;
  const auto compare = [&](const char* backend, const Result<std::map<std::string, Tensor>>& got, bool is_peer) {
    if (!got.ok()) {
      fmt::print("FAIL {}: {}\n", backend, got.error().text());
      good = false;
      return;
    }
    for (const auto& [name, tensor] : wanted.value()) {
      const Difference d = difference(got.value().at(name), tensor, {relative, absolute});
      const bool rounding =
          !is_peer && d.shapes.empty() && peer_error.contains(name) && d.max_absolute <= 2 * peer_error.at(name);
      const bool equal = d.shapes.empty() && (d.outside == 0 || rounding);
      if (is_peer && d.shapes.empty()) peer_error[name] = d.max_absolute;
      good = good && equal;
      fmt::print("{:4} {} {}: {}{}\n", equal ? "ok" : "FAIL", backend, name,
                 d.shapes.empty() ? fmt::format("max absolute error {:.3g}, relative {:.3g}, {} of {} past tolerance",
                                                d.max_absolute, d.max_relative, d.outside, tensor.count())
                                  : d.shapes,
                 d.outside != 0 && rounding ? ", within twice ONNX Runtime's own" : "");
    }
  };
  if (graph.value().opset != 0)
    compare("onnxruntime", peer_answer(options, graph.value(), given.value()), true);
  else
    fmt::print("skip onnxruntime: it reads ONNX alone\n");
  compare("native", own, false);
  return good ? 0 : 1;
}

int verify_folder(const std::string& path, const std::vector<std::string>& sets, double relative, double absolute) {
  ModelOptions options;
  options.model = path + "/model.onnx";
  options.sets = sets;
  const Result<Graph> graph = load_model(options);
  if (!graph.ok()) return fail(graph.error());
  std::set<fs::path> cases;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(path, ignored))
    if (entry.path().filename().string().starts_with("test_data_set_")) cases.insert(entry.path());
  if (cases.empty()) return fail({Code::kNotFound, path, "holds no test_data_set_* folder"});
  bool good = true;
  for (const fs::path& folder : cases) {
    const auto inputs = recorded(folder, "input", graph.value().inputs),
               wanted = recorded(folder, "output", graph.value().outputs);
    if (!inputs.ok()) return fail(inputs.error());
    if (!wanted.ok()) return fail(wanted.error());
    const auto answers = reference_answer(graph.value(), inputs.value());
    if (!answers.ok()) return fail(answers.error());
    for (const auto& [name, tensor] : wanted.value()) {
      const Difference d = difference(answers.value().at(name), tensor, {relative, absolute});
      const bool equal = d.shapes.empty() && d.outside == 0;
      good = good && equal;
      fmt::print("{:4} {} {}: {}\n", equal ? "ok" : "FAIL", folder.filename().string(), name,
                 d.shapes.empty() ? fmt::format("max absolute error {:.3g}, relative {:.3g}, {} of {} past tolerance",
                                                d.max_absolute, d.max_relative, d.outside, tensor.count())
                                  : d.shapes);
    }
  }
  return good ? 0 : 1;
}

}  // namespace hayate
