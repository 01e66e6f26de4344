// How a row of bench is filled: errors from the first call, times from the turns, the bound from the graph.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>

#include "backends/inputs.h"
#include "tools/bench.h"
#include "tools/compare.h"
#include "tools/contestant.h"

namespace hayate {
namespace {

namespace fs = std::filesystem;

double percentile(const std::vector<uint64_t>& sorted, double part) {
  const double rank = std::ceil(part * static_cast<double>(sorted.size()));
  return static_cast<double>(sorted[static_cast<size_t>(std::max(rank, 1.0)) - 1]);
}

}  // namespace

Result<BenchRow> first_run(const std::string& model, Contestant* c, int64_t batch) {
  const Result<Tensors> got = run_on(c->state.get(), c->inputs);
  if (!got.ok()) return Error{got.error().code, model + " on " + c->backend, got.error().text()};
  const Result<Tensors> wanted = answer(*c->graph, c->inputs, plan_for(c->plan, "reference"));
  if (!wanted.ok()) return wanted.error();
  BenchRow row{.model = fs::path(model).filename(), .backend = c->backend, .batch = batch};
  row.plain_steps = c->compiled->plain_steps();
  row.threads = c->backend == "reference" ? 1 : c->plan.threads;
  row.load_ms = c->load_ms, row.compile_ms = c->compile_ms;
  for (const auto& [name, tensor] : wanted.value()) {
    const Difference d = difference(got.value().at(name), tensor, {});
    if (!d.shapes.empty())
      return Error{Code::kInternal, model + " on " + c->backend, "output " + name + " " + d.shapes};
    row.max_abs_error = std::max(row.max_abs_error, d.max_absolute);
    row.max_rel_error = std::max(row.max_rel_error, d.max_relative);
  }
  return row;
}

void take_times(std::vector<uint64_t>* ticks, double ticks_per_us, BenchRow* row) {
  if (ticks->empty()) return;
  std::sort(ticks->begin(), ticks->end());
  const auto us = [&](double part) { return percentile(*ticks, part) / ticks_per_us; };
  row->count = static_cast<int64_t>(ticks->size());
  row->p50_us = us(0.5), row->p99_us = us(0.99), row->p999_us = us(0.999), row->max_us = us(1);
  double sum = 0;
  for (const uint64_t each : *ticks) sum += static_cast<double>(each);
  row->rows_per_s = sum == 0 ? 0 : static_cast<double>(row->count * row->batch) / (sum / ticks_per_us) * 1e6;
}

Work at_precision(Work work, const std::string& precision) {
  const int64_t shorter = precision == "int8" ? 4 : precision == "bf16" ? 2 : 1;
  work.weight_bytes /= shorter, work.held_bytes /= shorter;
  for (Work::Again& each : work.again) each.bytes /= shorter;
  return work;
}

void take_bound(const Result<Work>& work, const Peaks& peaks, BenchRow* row) {
  if (!work.ok() || (row->precision == "int8" && peaks.int8_gmacs == 0)) return;
  Peaks at = peaks;
  if (row->precision == "int8") at.fp32_gmacs = peaks.int8_gmacs;
  // Without an instruction of its own bfloat16 is widened to float32 as it is read.
  if (row->precision == "bf16") at.fp32_gmacs = std::max(peaks.fp32_gmacs, peaks.bf16_gmacs);
  const Bound bound = bound_of(at_precision(work.value(), row->precision), at);
  row->bound_us = bound.us, row->bound_of = bound.of;
}

}  // namespace hayate
