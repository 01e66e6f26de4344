#include "tools/bench.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>

#include "backends/native/native.h"
#include "backends/onnxruntime/ort.h"
#include "base/tsc.h"
#include "hardware/machine.h"
#include "tensor/npy.h"
#include "tools/compare.h"
#include "tools/inputs.h"

namespace hayate {
namespace {

namespace fs = std::filesystem;

volatile std::sig_atomic_t interrupted = 0;

// A backend ready to be timed: inputs are written in place, outputs read in place.
struct Contestant {
  std::string backend, precision = "fp32";
  std::vector<std::byte*> inputs;  // in the order of the graph's inputs; null where it takes none of that name
  std::vector<bool> narrowed;      // per input: it takes float32 where the graph takes float64
  std::function<bool()> run;
  std::function<std::map<std::string, Tensor>()> outputs;
  int64_t plain_steps = 0;
  std::shared_ptr<void> kept;
  std::vector<uint64_t> ticks;
};

struct Row {
  std::string model, backend;
  int64_t batch = 0, count = 0, plain_steps = 0;
  double p50 = 0, p99 = 0, p999 = 0, max = 0, rows_per_s = 0, max_abs = 0, max_rel = 0, rss = 0, ratio = 0;
};

Result<Contestant> native_contestant(const ModelOptions& options, const Graph& graph,
                                     const std::map<std::string, Tensor>& inputs, bool steps) {
  const Result<kernels::Isa> isa = wanted_isa(options);
  if (!isa.ok()) return isa.error();
  const auto executable = native::NativeExecutable::compile(graph, types_of(inputs), {isa.value()});
  if (!executable.ok()) return executable.error();
  auto state = std::make_shared<native::NativeState>(executable.value());
  Contestant made;
  made.backend = "native";
  made.plain_steps = executable.value()->program().plain_steps;
  for (size_t i = 0; i < executable.value()->inputs().size(); ++i) {
    made.inputs.push_back(state->input(i));
    made.narrowed.push_back(false);
  }
  made.run = [s = state.get()] { return s->run().ok(); };
  made.outputs = [state, ports = executable.value()->outputs()] {
    std::map<std::string, Tensor> out;
    for (size_t i = 0; i < ports.size(); ++i) {
      Tensor tensor(ports[i].type.type, ports[i].type.shape);
      std::memcpy(tensor.bytes(), state->output(i), tensor.byte_count());
      out.emplace(ports[i].name, tensor);
    }
    return out;
  };
  if (steps) {
    constexpr int kRuns = 200;
    std::vector<uint64_t> ticks;
    for (size_t i = 0; i < executable.value()->inputs().size(); ++i)
      std::memcpy(state->input(i), inputs.at(executable.value()->inputs()[i].name).bytes(),
                  inputs.at(executable.value()->inputs()[i].name).byte_count());
    (void)state->run();
    for (int i = 0; i < kRuns; ++i) (void)state->run_timed(&ticks);
    const double per_us = ticks_per_microsecond();
    for (size_t i = 0; i < ticks.size(); ++i)
      fmt::print("  {:9.3f} us  {}\n", static_cast<double>(ticks[i]) / kRuns / per_us,
                 executable.value()->program().names[i]);
  }
  made.kept = state;
  return made;
}

// ONNX Runtime at its best: the C ABI, all optimisations, values made once over memory that stays.
Result<Contestant> peer_contestant(const ModelOptions& options, const std::string& file, const Graph& graph,
                                   std::map<std::string, Tensor> inputs, const std::map<std::string, Tensor>& outputs) {
  const auto library = OrtLibrary::open(options.ort_library);
  if (!library.ok()) return library.error();
  const Result<std::string> bytes = read_file(file);
  if (!bytes.ok()) return bytes.error();
  Result<std::unique_ptr<OrtSession>> session =
      OrtSession::create(library.value(), bytes.value(), file, {.threads = options.threads});
  if (!session.ok()) return session.error();
  Contestant made;
  made.backend = "onnxruntime";
  auto memory = std::make_shared<std::map<std::string, Tensor>>();
  for (const auto& [name, tensor] :
       inputs) {  // copies of our own, to be overwritten; as float32 where the peer's file is ONNX
    Tensor own(tensor.type() == Type::kFloat64 && file != options.model ? Type::kFloat32 : tensor.type(),
               tensor.shape());
    memory->emplace(name, own);
  }
  for (const ValueInfo& input : graph.inputs) {
    made.inputs.push_back(memory->at(input.name).bytes());
    made.narrowed.push_back(memory->at(input.name).type() != input.type);
  }
  for (const std::string& set : options.sets) {
    const std::string name = set.substr(0, set.find('='));
    memory->emplace(name, *graph.constant(name));
  }
  // What comes out of text trees and of their ONNX sibling differs in type, so that the peer makes its own outputs
  // there.
  auto shared = std::shared_ptr<OrtSession>(std::move(session).value());
  const Result<bool> bound = shared->bind(*memory, file == options.model ? outputs : std::map<std::string, Tensor>());
  if (!bound.ok()) return bound.error();
  made.run = [s = shared.get()] { return s->run_bound().ok(); };
  made.outputs = [shared] {
    Result<std::map<std::string, Tensor>> got = shared->bound_outputs();
    return got.ok() ? std::move(got).value() : std::map<std::string, Tensor>();
  };
  made.kept = std::make_shared<std::pair<std::shared_ptr<OrtSession>, std::shared_ptr<std::map<std::string, Tensor>>>>(
      shared, memory);
  return made;
}

// Peak memory of one run in a process of its own, in MB; 0 where it failed.
double peak_memory(const BenchOptions& bench, const ModelOptions& options, const std::string& file,
                   const std::string& backend, const std::string& inputs) {
  std::vector<std::string> words{bench.program, "run",       file,    "--inputs",  inputs,
                                 "--memory",    "--backend", backend, "--threads", std::to_string(options.threads)};
  for (const std::string& set : options.sets) words.insert(words.end(), {"--set", set});
  if (!options.ort_library.empty()) words.insert(words.end(), {"--ort-library", options.ort_library});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  int pipes[2];
  if (pipe(pipes) != 0) return 0;
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
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) return 0;
  const size_t at = said.find("peak memory ");
  return at == std::string::npos ? 0 : std::strtod(said.c_str() + at + 12, nullptr);
}

double percentile(const std::vector<uint64_t>& sorted, double part) {
  if (sorted.empty()) return 0;
  const size_t at =
      std::min(sorted.size() - 1,
               static_cast<size_t>(std::ceil(part * static_cast<double>(sorted.size()))) - (part > 0 ? 1 : 0));
  return static_cast<double>(sorted[at]);
}

bool is_text(const std::string& path) { return fs::path(path).extension() != ".onnx"; }

std::string row_json(const Row& row, int threads) {
  return fmt::format(
      "{{\"model\": {}, \"backend\": \"{}\", \"precision\": \"fp32\", \"batch\": {}, \"threads\": {}, \"count\": {}, "
      "\"p50_us\": {:.3f}, \"p99_us\": {:.3f}, \"p999_us\": {:.3f}, \"max_us\": {:.3f}, "
      "\"rows_per_s\": {:.1f}, \"max_abs_error\": {:.6g}, \"max_rel_error\": {:.6g}, \"peak_rss_mb\": {:.2f}, "
      "\"plain_steps\": {}, \"ratio_to_onnxruntime\": {:.3f}}}",
      json_string(row.model), row.backend, row.batch, threads, row.count, row.p50, row.p99, row.p999, row.max,
      row.rows_per_s, row.max_abs, row.max_rel, row.rss, row.plain_steps, row.ratio);
}

void feed_input(const Contestant& c, size_t i, const std::byte* from, size_t bytes) {
  if (!c.narrowed[i]) {
    std::memcpy(c.inputs[i], from, bytes);
    return;
  }
  const double* wide = reinterpret_cast<const double*>(from);
  std::transform(wide, wide + bytes / sizeof(double), reinterpret_cast<float*>(c.inputs[i]),
                 [](double v) { return static_cast<float>(v); });
}

// Times the contestants; `windows` holds for each input the places in its pool where a call's data start.
void alternate(std::vector<Contestant>* all, const std::vector<Tensor>& pools, const std::vector<size_t>& sizes,
               double seconds) {
  constexpr size_t kStarts = 4096;
  constexpr auto kBlock = std::chrono::milliseconds(5);
  std::vector<size_t> next(all->size(), 0);
  const auto feed = [&](size_t c, size_t number) {
    for (size_t i = 0; i < pools.size(); ++i) {
      const size_t room = pools[i].byte_count() - sizes[i], step = std::max<size_t>(64, room / kStarts / 64 * 64);
      feed_input((*all)[c], i, pools[i].bytes() + number * step % (room / 64 * 64 + 64) % (room + 1) / 64 * 64,
                 sizes[i]);
    }
  };
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  for (int round = 0; interrupted == 0 && (round < 4 || std::chrono::steady_clock::now() < end); ++round)
    for (size_t c = 0; c < all->size(); ++c) {
      Contestant& contestant = (*all)[c];
      const auto stop = std::chrono::steady_clock::now() + kBlock;
      for (int call = 0; call < 8 || std::chrono::steady_clock::now() < stop; ++call) {
        feed(c, next[c]++);
        const uint64_t start = ticks_now();
        contestant.run();
        const uint64_t took = ticks_now() - start;
        if (round > 0 && call > 2)
          contestant.ticks.push_back(took);  // the first warm the caches after the other's turn
      }
    }
}

Result<std::vector<Row>> bench_one(const ModelOptions& given, const BenchOptions& bench, const std::string& model,
                                   int64_t batch, double ticks_per_us) {
  ModelOptions options = given;
  options.model = model;
  const Result<Graph> graph = load_model(options);
  if (!graph.ok()) return graph.error();
  const Result<std::map<std::string, Tensor>> inputs = made_inputs(graph.value(), batch, 1);
  if (!inputs.ok()) return inputs.error();
  const auto wanted = reference_answer(graph.value(), inputs.value());
  if (!wanted.ok()) return wanted.error();
  std::string peer_file = model;
  if (is_text(model)) peer_file = fs::path(model).replace_extension(".onnx");
  std::vector<Contestant> all;
  for (const std::string& backend : bench.backends) {
    Result<Contestant> made = backend == "native"
                                  ? native_contestant(options, graph.value(), inputs.value(), bench.steps)
                                  : peer_contestant(options, peer_file, graph.value(), inputs.value(), wanted.value());
    if (!made.ok()) return made.error();
    all.push_back(std::move(made).value());
  }
  // Pools that windows slide over: varied calls without leaving the cache.
  std::vector<Tensor> pools;
  std::vector<size_t> sizes;
  for (const ValueInfo& input : graph.value().inputs) {
    const Tensor& tensor = inputs.value().at(input.name);
    const int64_t count = std::max<int64_t>(tensor.count() + 256 * 16,
                                            is_text(model) || graph.value().nodes.size() <= 4 ? 4096 * 64 : 65536);
    pools.push_back(random_tensor(tensor.type(), {count}, 2));
    sizes.push_back(tensor.byte_count());
  }
  std::vector<Row> rows;
  for (Contestant& c : all) {
    for (size_t i = 0; i < graph.value().inputs.size(); ++i)
      feed_input(c, i, inputs.value().at(graph.value().inputs[i].name).bytes(), sizes[i]);
    if (!c.run()) return Error{Code::kInternal, model, c.backend + " failed"};
    Row row{.model = fs::path(model).filename(), .backend = c.backend, .batch = batch};
    row.plain_steps = c.plain_steps;
    const std::map<std::string, Tensor> got = c.outputs();
    for (const auto& [name, tensor] : wanted.value()) {
      const auto it = got.find(name);
      if (it == got.end() || it->second.type() != tensor.type()) continue;
      const Difference d = difference(it->second, tensor, {1e-5, 1e-6});
      row.max_abs = std::max(row.max_abs, d.max_absolute), row.max_rel = std::max(row.max_rel, d.max_relative);
    }
    rows.push_back(row);
  }
  alternate(&all, pools, sizes, bench.seconds);
  const std::string feed = fmt::format("/tmp/hayate-bench-{}.npz", getpid());
  Result<bool> written = write_npz(feed, inputs.value());
  const std::string peer_feed = fmt::format("/tmp/hayate-bench-{}-peer.npz", getpid());
  std::map<std::string, Tensor> narrow = inputs.value();
  for (auto& [name, tensor] : narrow) {
    if (peer_file == model || tensor.type() != Type::kFloat64) continue;
    Tensor floats(Type::kFloat32, tensor.shape());
    std::transform(tensor.data<double>(), tensor.data<double>() + tensor.count(), floats.data<float>(),
                   [](double v) { return static_cast<float>(v); });
    tensor = floats;
  }
  if (written.ok()) written = write_npz(peer_feed, narrow);
  double peer_p50 = 0;
  for (size_t c = 0; c < all.size(); ++c) {
    std::vector<uint64_t>& t = all[c].ticks;
    std::sort(t.begin(), t.end());
    Row& row = rows[c];
    row.count = static_cast<int64_t>(t.size());
    row.p50 = percentile(t, 0.5) / ticks_per_us, row.p99 = percentile(t, 0.99) / ticks_per_us,
    row.p999 = percentile(t, 0.999) / ticks_per_us, row.max = percentile(t, 1) / ticks_per_us;
    double sum = 0;
    for (const uint64_t each : t) sum += static_cast<double>(each);
    row.rows_per_s = sum == 0 ? 0 : static_cast<double>(row.count * batch) / (sum / ticks_per_us) * 1e6;
    if (written.ok())
      row.rss = peak_memory(bench, options, row.backend == "onnxruntime" ? peer_file : model, row.backend,
                            row.backend == "onnxruntime" ? peer_feed : feed);
    if (row.backend == "onnxruntime") peer_p50 = row.p50;
  }
  std::error_code ignored;
  fs::remove(feed, ignored);
  fs::remove(peer_feed, ignored);
  for (Row& row : rows) row.ratio = row.p50 == 0 ? 0 : peer_p50 / row.p50;
  return rows;
}

}  // namespace

namespace {

void print_header(bool summary) {
  if (summary)
    fmt::print("{:<24} {:>5}  {:>12} {:>14} {:>8}   {}\n", "model", "batch", "native p50", "onnxruntime", "ratio",
               "memory, native : onnxruntime");
  else
    fmt::print("{:<24} {:<12} {:>5} {:>9} {:>9} {:>9} {:>9} {:>9} {:>12} {:>9} {:>7} {:>5} {:>7}\n", "model", "backend",
               "batch", "count", "p50 us", "p99 us", "p99.9 us", "max us", "rows/s", "max err", "MB", "plain", "ratio");
}

void print_rows(const std::vector<Row>& rows, bool summary) {
  if (!summary) {
    for (const Row& row : rows)
      fmt::print(
          "{:<24} {:<12} {:>5} {:>9} {:>9.2f} {:>9.2f} {:>9.2f} {:>9.1f} {:>12.0f} {:>9.2g} {:>7.1f} {:>5} {:>7}\n",
          row.model, row.backend, row.batch, row.count, row.p50, row.p99, row.p999, row.max, row.rows_per_s,
          row.max_abs, row.rss, row.plain_steps, row.ratio == 0 ? "" : fmt::format("{:.2f}x", row.ratio));
    return;
  }
  const auto of = [&](const char* backend) {
    const auto it = std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return row.backend == backend; });
    return it == rows.end() ? Row() : *it;
  };
  const Row own = of("native"), peer = of("onnxruntime");
  std::string bar;
  for (int i = 0; i < static_cast<int>(std::min(own.ratio, 20.0) * 2); ++i) bar += "▪";
  fmt::print("{:<24} {:>5}  {:>9.2f} us {:>11.2f} us {:>7.2f}x   {:4.0f} : {:4.0f} MB  {}\n", rows[0].model,
             rows[0].batch, own.p50, peer.p50, own.ratio, own.rss, peer.rss, bar);
}

}  // namespace

int bench(const ModelOptions& options, const BenchOptions& bench) {
  std::signal(SIGINT, [](int) { interrupted = 1; });
  const double ticks_per_us = ticks_per_microsecond();
  const uint64_t first = ticks_now();
  for (int i = 0; i < 1000; ++i) (void)ticks_now();
  const double overhead = static_cast<double>(ticks_now() - first) / 1001 / ticks_per_us;
  print_header(bench.summary);
  std::vector<Row> all;
  int status = 0;
  for (const std::string& model : bench.models)
    for (const int64_t batch : bench.batches) {
      if (interrupted != 0) break;
      if (isatty(2))
        fmt::print(stderr, "\r{} ({} of {}) ...\033[K", fs::path(model).filename().string(),
                   all.size() / bench.backends.size() + 1, bench.models.size() * bench.batches.size());
      const Result<std::vector<Row>> rows = bench_one(options, bench, model, batch, ticks_per_us);
      if (isatty(2)) fmt::print(stderr, "\r\033[K");
      if (!rows.ok()) {
        std::fflush(stdout);
        fmt::print(stderr, "hayate: {}\n", rows.error().text());
        status = 1;
        continue;
      }
      print_rows(rows.value(), bench.summary);
      all.insert(all.end(), rows.value().begin(), rows.value().end());
      std::fflush(stdout);
    }
  fmt::print(
      "One thread of calls, backends alternating, inputs varying over a pool; the clock's own {:.0f} ns are in every "
      "figure. Ratio: onnxruntime's p50 / this p50.\n",
      overhead * 1000);
  if (interrupted != 0) fmt::print(stderr, "hayate: interrupted; the figures above are complete\n");
  if (!bench.json.empty()) {
    std::string text = fmt::format("{{\"machine\": {}, \"results\": [", to_json(find_machine()));
    for (size_t i = 0; i < all.size(); ++i) text += (i == 0 ? "\n" : ",\n") + row_json(all[i], options.threads);
    text += "]}\n";
    std::FILE* file = std::fopen(bench.json.c_str(), "w");
    const bool good = file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
    if ((file != nullptr && std::fclose(file) != 0) || !good) {
      fmt::print(stderr, "hayate: {}: cannot be written: {}\n", bench.json, std::strerror(errno));
      return 1;
    }
  }
  return interrupted != 0 ? 130 : status;
}

}  // namespace hayate
