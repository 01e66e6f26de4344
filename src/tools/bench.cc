#include "tools/bench.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "backends/inputs.h"
#include "backends/native/native.h"
#include "backends/native/native_backend.h"
#include "base/tsc.h"
#include "compress/quantise.h"
#include "hardware/machine.h"
#include "runtime/stream_parts.h"
#include "tensor/npy.h"
#include "tools/bare_read.h"
#include "tools/contestant.h"
#include "tools/progress.h"
#include "tools/stream_rows.h"
#include "tools/stream_runner.h"
#include "tune/bound.h"
#include "tune/peaks.h"

namespace hayate {
namespace {

namespace fs = std::filesystem;

// A file that is gone when its owner is.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& suffix)
      : path_(fs::temp_directory_path() / fmt::format("hayate-{}{}", getpid(), suffix)) {}
  ~TemporaryFile() {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// What a program says on stdout; nothing where it fails.
std::string output_of(std::vector<std::string> words) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  int pipes[2];
  if (pipe(pipes) != 0) return "";
  const pid_t child = fork();
  if (child == 0) {
    dup2(pipes[1], 1), dup2(open("/dev/null", O_WRONLY), 2);
    close(pipes[0]), close(pipes[1]);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  close(pipes[1]);
  std::string said;
  char buffer[4096];
  for (ssize_t got; (got = read(pipes[0], buffer, sizeof buffer)) > 0;) said.append(buffer, static_cast<size_t>(got));
  close(pipes[0]);
  int status = 0;
  const bool good = child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  return good ? said : "";
}

// Peak memory of one run in a process of its own, in MB; 0 where it failed.
double peak_memory(const ModelOptions& options, const std::string& program, const Contestant& contestant) {
  const TemporaryFile inputs(".npz");
  if (!write_npz(inputs.path(), contestant.inputs).ok()) return 0;
  std::vector<std::string> words{
      program,    "run",       contestant.file,    "--inputs",  inputs.path(),
      "--memory", "--backend", contestant.backend, "--threads", std::to_string(contestant.plan.threads)};
  for (const std::string& set : options.sets) words.insert(words.end(), {"--set", set});
  for (const std::string& shape : options.shapes) words.insert(words.end(), {"--shape", shape});
  if (contestant.plan.precision != "fp32") words.insert(words.end(), {"--precision", contestant.plan.precision});
  if (!contestant.plan.calibration.empty()) words.insert(words.end(), {"--calibrate", contestant.plan.calibration});
  if (!contestant.plan.trees.empty()) words.insert(words.end(), {"--trees", contestant.plan.trees});
  if (!contestant.plan.isa.empty()) words.insert(words.end(), {"--isa", contestant.plan.isa});
  if (!contestant.plan.ort_library.empty()) words.insert(words.end(), {"--ort-library", contestant.plan.ort_library});
  const std::string said = output_of(std::move(words));
  const size_t at = said.find("peak memory ");
  return at == std::string::npos ? 0 : std::strtod(said.c_str() + at + 12, nullptr);
}

// A stream at each precision, where streams are asked for; their rows go behind the others.
Result<std::vector<std::unique_ptr<StreamRunner>>> make_streams(const ModelOptions& options, const BenchOptions& bench,
                                                                const Pools* pools, std::vector<BenchRow>* rows) {
  std::vector<std::unique_ptr<StreamRunner>> made;
  if (!bench.streams) return made;
  const Result<Model> model = model_for_stream(options);
  if (!model.ok()) return model.error();
  for (const std::string& precision : bench.precisions) {
    ModelOptions own = options;
    own.plan.backend = "native", own.plan.window = bench.window, own.plan.precision = precision;
    double ms = 0;
    const Result<StreamExecutable> cut = timed(&ms, [&] { return compile_stream(model.value(), own.plan); });
    if (!cut.ok()) return cut.error();
    made.push_back(std::make_unique<StreamRunner>(cut.value(), pools));
    Result<BenchRow> row = made.back()->first_rows(own, model.value());
    if (!row.ok()) return row.error();
    row.value().compile_ms = ms;
    rows->push_back(std::move(row).value());
  }
  return made;
}

// Who reads what the stream's answer must read, and nothing else; null where that is not known, or nothing.
std::unique_ptr<BareRead> bare_read(const StreamRunner* stream, const Result<Work>& floats, BenchRow* row) {
  if (!floats.ok() || floats.value().weight_bytes == 0) return nullptr;
  const Work work = at_precision(floats.value(), row->precision);
  if (!work.again.empty()) return nullptr;  // some are read at every step: the bound says what that takes
  row->read_bytes = work.weight_bytes;
  return std::make_unique<BareRead>(work.weight_bytes, work.held_bytes, [=] { return stream->last_settled(); });
}

Result<std::vector<BenchRow>> bench_one(const ModelOptions& options, const BenchOptions& bench, int64_t batch,
                                        double ticks_per_us, const Result<Peaks>& peaks, Progress* progress) {
  double load_ms = 0;
  Result<Graph> loaded = timed(&load_ms, [&] { return load_model(options); });
  if (!loaded.ok()) return loaded.error();
  const auto graph = std::make_shared<const Graph>(std::move(loaded).value());
  const Result<Tensors> inputs = made_inputs(*graph, batch, 1);
  if (!inputs.ok()) return inputs.error();
  const Pools pools = Pools::make(*graph, inputs.value());
  std::vector<std::unique_ptr<Contestant>> all;
  std::vector<BenchRow> rows;
  for (const std::string& backend : bench.streams_alone ? std::vector<std::string>() : bench.backends)
    for (const std::string& precision : backend == "native" ? bench.precisions : std::vector<std::string>{"fp32"}) {
      ModelOptions own = options;
      own.plan.precision = precision;
      Result<std::unique_ptr<Contestant>> made = make_contestant(own, backend, graph, inputs.value(), &pools, load_ms);
      if (!made.ok()) return made.error();
      all.push_back(std::move(made).value());
      Result<BenchRow> row = first_run(options.model, all.back().get(), batch);
      if (!row.ok()) return row.error();
      row.value().precision = precision;
      rows.push_back(std::move(row).value());
    }
  std::vector<Runner*> runners;
  for (const auto& each : all) runners.push_back(each.get());
  auto streams = make_streams(options, bench, &pools, &rows);
  if (!streams.ok()) return streams.error();
  std::vector<Result<Work>> stream_work;
  std::vector<std::unique_ptr<BareRead>> reads;  // beside each stream
  for (size_t s = 0; s < streams.value().size(); ++s) {
    StreamRunner* stream = streams.value()[s].get();
    stream_work.push_back(work_of_answer(stream->executable()));
    runners.push_back(stream);
    reads.push_back(bare_read(stream, stream_work.back(), &rows[all.size() + s]));
    if (reads.back() != nullptr) runners.push_back(reads.back().get());
  }
  take_turns(runners, bench.seconds, [&](double done) {
    progress->at(static_cast<int64_t>(100 * done), fmt::format("{}, batch {}", rows[0].model, batch));
    return !interrupted();
  });
  double peer_p50 = 0;
  for (size_t c = 0; c < all.size(); ++c) {
    take_times(&all[c]->ticks, ticks_per_us, &rows[c]);
    rows[c].peak_rss_mb = peak_memory(options, bench.program, *all[c]);
    if (rows[c].backend == "onnxruntime") peer_p50 = rows[c].p50_us;
    // What one core could do.
    if (rows[c].backend == "native" && rows[c].threads == 1 && peaks.ok())
      take_bound(work_of(*all[c]->graph, types_of(all[c]->inputs)), peaks.value(), &rows[c]);
  }
  for (size_t s = 0; s < streams.value().size(); ++s) {
    BenchRow& row = rows[all.size() + s];
    take_times(&streams.value()[s]->ticks, ticks_per_us, &row);
    streams.value()[s]->take_after(ticks_per_us, &row);
    if (peaks.ok()) take_bound(stream_work[s], peaks.value(), &row);
    if (reads[s] == nullptr) continue;
    BenchRow read{};
    take_times(&reads[s]->ticks, ticks_per_us, &read);
    row.read_p50_us = read.p50_us, row.read_p99_us = read.p99_us;
  }
  for (BenchRow& row : rows) row.ratio = row.p50_us == 0 ? 0 : peer_p50 / row.p50_us;
  return rows;
}

// Where native's time goes: the median of each step over some runs.
Result<bool> print_steps(const std::string& title, const Graph& graph, const Batch& batch, const Tensors& inputs,
                         const Plan& plan, double ticks_per_us) {
  constexpr size_t kRuns = 201;
  const auto native = native_options(graph, batch, plan);
  if (!native.ok()) return native.error();
  const auto made = native::NativeExecutable::compile(graph, types_of(inputs), native.value());
  if (!made.ok()) return made.error();
  native::NativeState state(made.value());
  for (size_t i = 0; i < made.value()->inputs().size(); ++i) {
    const Tensor& tensor = inputs.at(made.value()->inputs()[i].name);
    std::memcpy(state.input(i), tensor.bytes(), tensor.byte_count());
  }
  if (const native::RunStatus status = state.run(); !status.ok()) {
    const Error error = state.error(status);
    return Error{error.code, graph.source + ": " + error.where, error.what};
  }
  std::vector<std::vector<uint64_t>> runs(kRuns);
  for (std::vector<uint64_t>& ticks : runs) (void)state.run_timed(&ticks);
  fmt::print("steps of {}, median of {} runs:\n", title, kRuns);
  for (size_t i = 0; i < runs[0].size(); ++i) {
    std::vector<uint64_t> each;
    for (const std::vector<uint64_t>& ticks : runs) each.push_back(ticks[i]);
    std::sort(each.begin(), each.end());
    fmt::print("  {:9.3f} us  {}\n", static_cast<double>(each[kRuns / 2]) / ticks_per_us,
               made.value()->program().names[i]);
  }
  return true;
}

Result<bool> print_model_steps(const ModelOptions& options, int64_t batch, double ticks_per_us) {
  const Result<Graph> graph = load_model(options);
  if (!graph.ok()) return graph.error();
  const Result<Tensors> inputs = made_inputs(graph.value(), batch, 1);
  if (!inputs.ok()) return inputs.error();
  return print_steps(fmt::format("{} at {} rows, {}", options.model, batch, options.plan.precision), graph.value(),
                     find_batch(graph.value(), types_of(inputs.value())), inputs.value(), options.plan, ticks_per_us);
}

// Of a stream's program from a row to its answer.
Result<bool> print_stream_steps(const ModelOptions& options, const BenchOptions& bench, double ticks_per_us) {
  const Result<Model> model = model_for_stream(options);
  if (!model.ok()) return model.error();
  Plan plan = options.plan;
  plan.backend = "native", plan.window = bench.window;
  const Result<StreamExecutable> cut = compile_stream(model.value(), plan);
  if (!cut.ok()) return cut.error();
  const StreamExecutable::Data& data = *cut.value().data();
  if (data.cut.window == 0 || !cut.value().gains()) {  // those of the model
    if (!bench.streams_alone) return true;
    return print_model_steps(options, 1, ticks_per_us);
  }
  Graph answer = data.cut.answer;
  answer.source = options.model;
  if (data.as.ranges) (void)quantise(&answer, *data.as.ranges);
  const Result<Tensors> inputs = made_inputs(answer, 1, 1);
  if (!inputs.ok()) return inputs.error();
  return print_steps(fmt::format("an answer of {} in a stream, {}", options.model, plan.precision), answer,
                     Batch{1, "a part of a stream", types_of(inputs.value()), {}}, inputs.value(), data.as.plan,
                     ticks_per_us);
}

// What native's threads share.
std::string sharing_text(const Plan& plan) {
  if (plan.piece_macs == 0)
    return "Native runs on one thread: two were no quicker on this machine (hayate machine --measure)";
  return fmt::format("Native's threads share steps of {} multiply-adds or more for each", plan.piece_macs);
}

// What one pair of clock reads costs: it is in every figure.
double clock_ns(double ticks_per_us) {
  constexpr int kReads = 1000;
  const uint64_t first = ticks_now();
  for (int i = 0; i < kReads; ++i) (void)ticks_now();
  return static_cast<double>(ticks_now() - first) / (kReads + 1) / ticks_per_us * 1000;
}

}  // namespace

int bench(const ModelOptions& given, const BenchOptions& bench) {
  end_on_interrupt();
  const double ticks_per_us = ticks_per_microsecond();
  const Result<Peaks> peaks = load_peaks(find_machine(), peaks_file());
  std::vector<BenchRow> all;
  int status = 0;
  print_header(bench);
  for (const std::string& model : bench.models)
    for (ModelOptions& options : by_bucket(given))
      for (const int64_t batch : bench.batches) {
        if (interrupted()) break;
        options.model = model;
        Progress progress(model, 100);
        Result<std::vector<BenchRow>> rows = bench_one(options, bench, batch, ticks_per_us, peaks, &progress);
        std::fflush(stdout);
        if (!rows.ok()) {
          status = fail(rows.error());
          continue;
        }
        if (!options.shapes.empty())
          for (BenchRow& row : rows.value()) row.model += fmt::format(" {}", fmt::join(options.shapes, " "));
        print_rows(rows.value(), bench);
        all.insert(all.end(), rows.value().begin(), rows.value().end());
        for (const std::string& precision : bench.steps ? bench.precisions : std::vector<std::string>()) {
          options.plan.precision = precision;
          std::vector<Result<bool>> said;
          if (!bench.streams_alone) said.push_back(print_model_steps(options, batch, ticks_per_us));
          if (bench.streams) said.push_back(print_stream_steps(options, bench, ticks_per_us));
          for (const Result<bool>& each : said)
            if (!each.ok()) status = fail(each.error());
        }
      }
  fmt::print(
      "One thread of calls, backends alternating in turns of 5 ms whose first half millisecond does not count; inputs "
      "slide over a pool of 256 KB (trees: 4,096 rows).\nThe clock's own {:.0f} ns are in every figure. Ratio: "
      "onnxruntime's p50 / this p50. load, comp: ms to read the file and to compile it (onnxruntime reads it while "
      "compiling).\nMB: peak of a process that runs once.\n",
      clock_ns(ticks_per_us));
  if (given.plan.threads > 1) fmt::print("{}.\n", sharing_text(given.plan));
  const auto int8 = std::find_if(all.begin(), all.end(), [](const BenchRow& row) { return row.precision == "int8"; });
  if (int8 != all.end() && given.plan.calibration.empty())
    fmt::print("int8: scales from made-up normal rows; --calibrate F takes yours.\n");
  if (peaks.ok())
    fmt::print(
        "Bound: weights over the measured bandwidth of where they live or multiply-adds over the measured peak, "
        "and functions and ordered sums on top, at fewer bits of their bytes and peak; share: bound / p50.\n");
  else
    fmt::print("No bound: {}.\n", peaks.error().text());
  if (interrupted()) fmt::print(stderr, "hayate: interrupted; the figures above are complete\n");
  if (!bench.json.empty()) {
    const Result<bool> written = write_json(bench.json, all);
    if (!written.ok()) return fail(written.error());
  }
  return interrupted() ? kInterruptedStatus : status;
}

}  // namespace hayate
