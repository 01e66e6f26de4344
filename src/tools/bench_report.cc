// How bench's rows look: a table, one line per model, or JSON.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/json.h"
#include "hardware/machine.h"
#include "tools/bench.h"

namespace hayate {
namespace {

const BenchRow* row_of(const std::vector<BenchRow>& rows, std::string_view backend) {
  const auto it = std::find_if(rows.begin(), rows.end(),
                               [&](const BenchRow& row) { return row.backend == backend && !row.stream; });
  return it == rows.end() ? nullptr : &*it;
}

void print_summary(const std::vector<BenchRow>& rows) {
  constexpr double kBarMax = 20;  // times ONNX Runtime
  const BenchRow *own = row_of(rows, "native"), *peer = row_of(rows, "onnxruntime");
  if (own == nullptr) own = &rows[0];
  std::string bar;
  for (int i = 0; i < static_cast<int>(std::min(own->ratio, kBarMax) * 2); ++i) bar += "▪";
  if (peer == nullptr) {
    fmt::print("{:<24} {:>5}  {:>9.2f} us\n", own->model, own->batch, own->p50_us);
    return;
  }
  fmt::print("{:<24} {:>5}  {:>9.2f} us {:>11.2f} us {:>7.2f}x   {:4.0f} : {:4.0f} MB  {}\n", own->model, own->batch,
             own->p50_us, peer->p50_us, own->ratio, own->peak_rss_mb, peer->peak_rss_mb, bar);
}

double share_of_bound(const BenchRow& row) { return row.p50_us == 0 ? 0 : row.bound_us / row.p50_us; }

std::string bound_json(const BenchRow& row) {
  if (row.bound_us == 0) return "";
  return fmt::format(", \"bound_us\": {:.3f}, \"bound_of\": {}, \"share_of_bound\": {:.3f}", row.bound_us,
                     json_string(row.bound_of), share_of_bound(row));
}

std::string stream_json(const BenchRow& row) {
  if (!row.stream) return "";
  std::string text =
      fmt::format(", \"stream\": true, \"window\": {}, \"after_p50_us\": {:.3f}, \"after_p99_us\": {:.3f}", row.window,
                  row.after_p50_us, row.after_p99_us);
  if (row.read_bytes > 0)
    text += fmt::format(", \"read_bytes\": {}, \"read_p50_us\": {:.3f}, \"read_p99_us\": {:.3f}", row.read_bytes,
                        row.read_p50_us, row.read_p99_us);
  return text;
}

std::string row_json(const BenchRow& row) {
  return fmt::format(
      "{{\"model\": {}, \"backend\": {}, \"precision\": {}, \"batch\": {}, \"threads\": {}, \"count\": {}, "
      "\"p50_us\": {:.3f}, \"p99_us\": {:.3f}, \"p999_us\": {:.3f}, \"max_us\": {:.3f}, \"rows_per_s\": {:.1f}, "
      "\"max_abs_error\": {}, \"max_rel_error\": {}, \"peak_rss_mb\": {:.2f}, \"plain_steps\": {}, "
      "\"load_ms\": {:.3f}, \"compile_ms\": {:.3f}, \"ratio_to_onnxruntime\": {:.3f}{}{}}}",
      json_string(row.model), json_string(row.backend), json_string(row.precision), row.batch, row.threads, row.count,
      row.p50_us, row.p99_us, row.p999_us, row.max_us, row.rows_per_s, json_number(row.max_abs_error),
      json_number(row.max_rel_error), row.peak_rss_mb, row.plain_steps, row.load_ms, row.compile_ms, row.ratio,
      bound_json(row), stream_json(row));
}

}  // namespace

namespace {

// "native", "native bf16", "stream", "stream bf16".
std::string name_of(const BenchRow& row) {
  const std::string name = row.stream ? "stream" : row.backend;
  return row.precision == "fp32" ? name : name + " " + row.precision;
}

}  // namespace

void print_header(const BenchOptions& bench) {
  if (bench.summary)
    fmt::print("{:<24} {:>5}  {:>12} {:>14} {:>8}   {}\n", "model", "batch", "native p50", "onnxruntime", "ratio",
               "memory, native : onnxruntime");
  else
    fmt::print(
        "{:<24} {:<12} {:>5} {:>9} {:>9} {:>9} {:>9} {:>9} {:>12} {:>9} {:>7} {:>6} {:>6} {:>5} {:>7} {:>8} {:>6}\n",
        "model", "backend", "batch", "count", "p50 us", "p99 us", "p99.9 us", "max us", "rows/s", "max err", "MB",
        "load", "comp", "plain", "ratio", "bound us", "share");
}

void print_rows(const std::vector<BenchRow>& rows, const BenchOptions& bench) {
  if (bench.summary) return print_summary(rows);
  for (const BenchRow& row : rows)
    fmt::print(
        "{:<24} {:<12} {:>5} {:>9} {:>9.2f} {:>9.2f} {:>9.2f} {:>9.1f} {:>12.0f} {:>9.2g} {:>7} {:>6.1f} {:>6.1f} "
        "{:>5} {:>7} {:>8} {:>6}\n",
        row.model, name_of(row), row.batch, row.count, row.p50_us, row.p99_us, row.p999_us, row.max_us, row.rows_per_s,
        row.max_abs_error, row.peak_rss_mb == 0 ? "?" : fmt::format("{:.1f}", row.peak_rss_mb), row.load_ms,
        row.compile_ms, row.plain_steps, row.ratio == 0 ? "" : fmt::format("{:.2f}x", row.ratio),
        row.bound_us == 0 ? "" : fmt::format("{:.2f}", row.bound_us),
        row.bound_us == 0 ? "" : fmt::format("{:.0f}%", 100 * share_of_bound(row)));
  for (const BenchRow& row : rows) {
    if (!row.stream) continue;
    fmt::print("  {}: {}, after an answer p50 {:.2f} us, p99 {:.2f} us; one core sustains {:.0f} rows/s\n",
               name_of(row), row.window == 0 ? "carries its state" : fmt::format("window {}", row.window),
               row.after_p50_us, row.after_p99_us, row.rows_per_s);
    if (row.read_bytes > 0)
      fmt::print("  to read its {:.0f} KB of weights and nothing else took p50 {:.2f} us, p99 {:.2f} us here\n",
                 static_cast<double>(row.read_bytes) / 1024, row.read_p50_us, row.read_p99_us);
  }
}

std::string rows_json(const std::vector<BenchRow>& rows) {
  std::string text = "[";
  for (size_t i = 0; i < rows.size(); ++i) text += (i == 0 ? "\n" : ",\n") + row_json(rows[i]);
  return text + "]";
}

Result<bool> write_json(const std::string& path, const std::vector<BenchRow>& rows) {
  std::string machine = to_json(find_machine());
  while (!machine.empty() && machine.back() == '\n') machine.pop_back();
  const std::string text = fmt::format("{{\"machine\": {}, \"results\": {}}}\n", machine, rows_json(rows));
  std::FILE* file = std::fopen(path.c_str(), "w");
  const bool good = file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if ((file != nullptr && std::fclose(file) != 0) || !good)
    return Error{Code::kInvalidArgument, path, fmt::format("cannot be written: {}", std::strerror(errno))};
  return true;
}

}  // namespace hayate
