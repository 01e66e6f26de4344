// Times one model on native, ONNX Runtime and every peer that takes it: in one process, in turns, inputs that vary.
//     hayate_peers MODEL --packages .../site-packages --trees DIR --threads N --json OUT
// writes rows as `hayate bench --json` does, and who was left out, with the reason. bench/peers runs it for every
// sample.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "backends/inputs.h"
#include "base/json.h"
#include "base/tsc.h"
#include "hardware/machine.h"
#include "peer.h"
#include "tools/bench.h"
#include "tools/progress.h"
#include "tools/turns.h"

namespace hayate::peers {
namespace {

namespace fs = std::filesystem;

struct LeftOut {
  std::string backend, precision, reason;
};

// Everything timed, in the order of the rows.
struct Field {
  std::vector<std::unique_ptr<Contestant>> engines;  // native, ONNX Runtime
  std::vector<std::unique_ptr<Peer>> peers;
  std::vector<Runner*> runners;
  std::vector<BenchRow> rows;
  std::vector<LeftOut> out;

  void leave_out(const std::string& backend, const std::string& precision, const std::string& reason) {
    out.push_back({backend, precision, reason});
    fmt::print("  left out: {}{}: {}\n", backend, precision == "fp32" ? "" : " " + precision, reason);
  }
};

// The error without the peer's own name in front.
std::string reason_of(const Error& error, const std::string& name) {
  return name.starts_with(error.where) ? error.what : error.text();
}

// Trees and what else stands in ai.onnx.ml have no layer that runs on fewer bits.
bool has_layers(const Graph& graph) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(), [](const Node& node) {
    return node.op == "Gemm" || node.op == "MatMul" || node.op == "Conv" || node.op == "LSTM" || node.op == "GRU";
  });
}

void add_engine(Field* field, const ModelOptions& options, const Job& job, const std::string& backend,
                const std::string& precision, double load_ms) {
  if (precision != "fp32" && !has_layers(*job.graph))
    return field->leave_out(backend, precision, "no dense, convolution or recurrent layer to run on fewer bits");
  ModelOptions own = options;
  own.plan.precision = precision;
  Result<std::unique_ptr<Contestant>> made = make_contestant(own, backend, job.graph, job.inputs, job.pools, load_ms);
  if (!made.ok()) return field->leave_out(backend, precision, made.error().text());
  Result<BenchRow> row = first_run(options.model, made.value().get(), job.batch);
  if (!row.ok()) return field->leave_out(backend, precision, row.error().text());
  row.value().precision = precision;
  field->rows.push_back(std::move(row).value());
  field->engines.push_back(std::move(made).value());
  field->runners.push_back(field->engines.back().get());
}

// The first float output of the reference, which is what every peer answers.
Result<std::vector<double>> reference(const Job& job) {
  Plan plan;
  plan.backend = "reference";
  const Result<Tensors> all = answer(*job.graph, job.inputs, plan);
  if (!all.ok()) return all.error();
  for (const ValueInfo& output : job.graph->outputs) {
    const Tensor& tensor = all.value().at(output.name);
    if (tensor.type() == Type::kFloat32 || tensor.type() == Type::kFloat64) return hayate::to_doubles(tensor);
  }
  return Error{Code::kUnsupported, job.model.string(), "has no float output to compare"};
}

void add_peer(Field* field, const Job& job, MadePeer made, const std::string& name, const std::string& precision,
              const Result<std::vector<double>>& wanted) {
  if (!made.ok()) return field->leave_out(name, precision, reason_of(made.error(), name));
  if (!wanted.ok()) return field->leave_out(name, precision, wanted.error().text());
  Peer& peer = *made.value();
  const Result<std::vector<double>> got = peer.first();
  if (!got.ok()) return field->leave_out(name, precision, reason_of(got.error(), name));
  if (got.value().size() != wanted.value().size())
    return field->leave_out(name, precision,
                            fmt::format("answers {} numbers instead of {}", got.value().size(), wanted.value().size()));
  BenchRow row{.model = job.model.filename(),
               .backend = name,
               .precision = precision,
               .threads = peer.threads,
               .batch = job.batch};
  row.compile_ms = peer.compile_ms;
  for (size_t i = 0; i < got.value().size(); ++i) {
    const double error = std::fabs(got.value()[i] - wanted.value()[i]);
    if (!(error <= row.max_abs_error)) row.max_abs_error = error;
    if (const double part = error / std::fabs(wanted.value()[i]); error != 0 && !(part <= row.max_rel_error))
      row.max_rel_error = part;
  }
  field->rows.push_back(std::move(row));
  field->runners.push_back(&peer);
  field->peers.push_back(std::move(made).value());
}

void add_peers(Field* field, const Job& job) {
  const Result<std::vector<double>> wanted = reference(job);
  for (const char* precision : {"fp32", "bf16"}) {
    if (std::string(precision) == "bf16" && !has_layers(*job.graph)) {
      field->leave_out("openvino", precision, "no dense, convolution or recurrent layer to run on fewer bits");
      continue;
    }
    add_peer(field, job, make_openvino(job, precision), "openvino", precision, wanted);
    add_peer(field, job, make_onednn(job, precision), "onednn", precision, wanted);
  }
  add_peer(field, job, make_lightgbm(job), "lightgbm", "fp32", wanted);
  add_peer(field, job, make_xgboost(job), "xgboost", "fp32", wanted);
  for (const char* compiler : {"tl2cgen", "lleaves"})
    add_peer(field, job, make_compiled_trees(job, compiler), compiler, "fp32", wanted);
  for (auto& [name, made] : make_torch(job)) add_peer(field, job, std::move(made), name, "fp32", wanted);
}

// The library in ONNX Runtime's package.
std::string ort_library(const fs::path& packages) {
  std::error_code ignored;
  for (const auto& file : fs::directory_iterator(packages / "onnxruntime/capi", ignored))
    if (file.path().filename().string().starts_with("libonnxruntime.so")) return file.path();
  return (packages / "onnxruntime/capi/libonnxruntime.so").string();
}

std::string to_json(const Field& field, const std::string& model, int threads) {
  std::string text = fmt::format("{{\"machine\": {}, \"threads\": {}, \"results\": {}, \"left_out\": [",
                                 hayate::to_json(find_machine()), threads, rows_json(field.rows));
  for (size_t i = 0; i < field.out.size(); ++i)
    text += fmt::format("{}\n{{\"model\": {}, \"threads\": {}, \"backend\": {}, \"precision\": {}, \"reason\": {}}}",
                        i == 0 ? "" : ",", json_string(model), threads, json_string(field.out[i].backend),
                        json_string(field.out[i].precision), json_string(field.out[i].reason));
  return text + "]}\n";
}

// The model, its reference's inputs, and what every call is fed from.
Result<Pools> prepare(Job* job, double* load_ms) {
  ModelOptions options;
  options.model = job->model;
  Result<Graph> loaded = timed(load_ms, [&] { return load_model(options); });
  if (!loaded.ok()) return loaded.error();
  job->graph = std::make_shared<const Graph>(std::move(loaded).value());
  Result<Tensors> inputs = made_inputs(*job->graph, job->batch, 1);
  if (!inputs.ok()) return inputs.error();
  job->inputs = std::move(inputs).value();
  for (auto& [name, tensor] : job->inputs) round_to_float(&tensor);
  job->onnx = fs::path(job->model).replace_extension(".onnx");
  return Pools::make(*job->graph, job->inputs);
}

void add_engines(Field* field, const Job& job, double load_ms) {
  ModelOptions options;
  options.model = job.model;
  options.plan.threads = job.threads;
  share_as_measured(&options.plan);
  options.plan.ort_library = ort_library(job.packages);
  for (const char* precision : {"fp32", "bf16", "int8"}) add_engine(field, options, job, "native", precision, load_ms);
  add_engine(field, options, job, "onnxruntime", "fp32", load_ms);
}

// All of them in turns; times, ratios and bounds into their rows.
void time_all(Field* field, const std::string& label, double seconds) {
  const double ticks_per_us = ticks_per_microsecond();
  Progress progress(label, 100);
  take_turns(field->runners, seconds, [&](double done) {
    progress.at(static_cast<int64_t>(100 * done));
    return !interrupted();
  });
  const Result<Peaks> peaks = load_peaks(find_machine(), peaks_file());
  double ort_p50 = 0;
  for (size_t i = 0; i < field->rows.size(); ++i) {
    BenchRow& row = field->rows[i];
    take_times(&field->runners[i]->ticks, ticks_per_us, &row);
    if (row.backend == "onnxruntime") ort_p50 = row.p50_us;
    if (row.backend == "native" && peaks.ok()) {
      const Contestant& native = *field->engines[i];
      take_bound(work_of(*native.graph, types_of(native.inputs)), peaks.value(), &row);
    }
  }
  for (BenchRow& row : field->rows) row.ratio = row.p50_us == 0 ? 0 : ort_p50 / row.p50_us;
}

void print(const std::vector<BenchRow>& rows) {
  for (const BenchRow& row : rows)
    fmt::print("  {:<20} {:>9} calls  p50 {:>9.2f} us  p99 {:>9.2f}  p99.9 {:>9.2f}  {:>6.2f}x  error {:.2g}\n",
               row.precision == "fp32" ? row.backend : row.backend + " " + row.precision, row.count, row.p50_us,
               row.p99_us, row.p999_us, row.ratio, row.max_abs_error);
}

Result<bool> write(const std::string& path, const std::string& text) {
  std::FILE* file = std::fopen(path.c_str(), "w");
  const bool good = file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if ((file != nullptr && std::fclose(file) != 0) || !good)
    return Error{Code::kInvalidArgument, path, fmt::format("cannot be written: {}", std::strerror(errno))};
  return true;
}

int run(Job job, double seconds, const std::string& json) {
  end_on_interrupt();
  double load_ms = 0;
  const Result<Pools> pools = prepare(&job, &load_ms);
  if (!pools.ok()) return fail(pools.error());
  job.pools = &pools.value();
  fmt::print("{}, batch {}, {} thread{}\n", job.model.filename().string(), job.batch, job.threads,
             job.threads == 1 ? "" : "s");
  Field field;
  add_engines(&field, job, load_ms);
  add_peers(&field, job);
  time_all(&field, job.model.filename(), seconds);
  print(field.rows);
  if (interrupted()) return kInterruptedStatus;
  if (json.empty()) return 0;
  const Result<bool> written = write(json, to_json(field, job.model.filename(), job.threads));
  return written.ok() ? 0 : fail(written.error());
}

}  // namespace
}  // namespace hayate::peers

int main(int argc, char** argv) {
  CLI::App app{"Times one model on native and its peers, in turns", "hayate_peers"};
  hayate::peers::Job job;
  double seconds = 2;
  std::string json;
  app.add_option("model", job.model, "ONNX, LightGBM text, XGBoost JSON or UBJ")->required()->check(CLI::ExistingFile);
  app.add_option("--packages", job.packages, "The site-packages that bench/requirements.txt was installed to");
  app.add_option("--trees", job.trees, "What compile_trees.py made");
  app.add_option("--python", job.python, "Who runs torch");
  app.add_option("--torch-script", job.torch_script, "torch_peers.py");
  app.add_option("--threads", job.threads, "Threads of each peer for one call")->check(CLI::Range(1, 1024));
  app.add_option("--batch", job.batch, "Rows per call")->check(CLI::Range(int64_t{1}, int64_t{1} << 20));
  app.add_option("--seconds", seconds, "Shared by all")->check(CLI::Range(0.01, 3600.0));
  app.add_option("--json", json, "File to write");
  CLI11_PARSE(app, argc, argv);
  return hayate::peers::run(std::move(job), seconds, json);
}
