#include "tools/stream_runner.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/tsc.h"
#include "tools/stream_rows.h"

namespace hayate {

StreamRunner::StreamRunner(StreamExecutable executable, const Pools* pools)
    : executable_(std::move(executable)),
      stream_(executable_.stream()),
      pools_(pools),
      row_(type_called(executable_.row_type()),
           {executable_.row_bytes() / static_cast<int64_t>(type_size(type_called(executable_.row_type())))}) {}

void StreamRunner::feed(size_t call) { feed_input(pools_->pools[0], call, row_.type(), row_.count(), row_.bytes()); }

void StreamRunner::settle() {
  const uint64_t start = ticks_now();
  (void)stream_.settle();
  after_.push_back(ticks_now() - start);
}

Result<BenchRow> StreamRunner::first_rows(const ModelOptions& options, const Model& model) {
  constexpr int64_t kCompared = 5;
  BenchRow row{.model = std::filesystem::path(options.model).filename(), .backend = options.plan.backend};
  row.precision = options.plan.precision, row.batch = 1, row.stream = true, row.window = executable_.window();
  auto reference = by_hand(model, options.plan, "reference");
  if (!reference.ok()) return reference.error();
  const int64_t count = executable_.window() + kCompared;
  Tensor rows(row_.type(), {count, row_.count()});
  Apart apart;
  for (int64_t r = 0; r < count; ++r) {
    feed(static_cast<size_t>(r));
    std::memcpy(rows.bytes() + r * executable_.row_bytes(), row_.bytes(), row_.byte_count());
    if (const Status status = stream_.push(row_.bytes()); !status.ok() && status.code != Status::kNotReady)
      return Error{Code::kOutOfRange, options.model, "a step of the stream met a value it cannot take"};
    if (executable_.window() > 0 && r < count - kCompared) continue;
    if (!reference.value()->run(rows, r).ok())
      return Error{Code::kOutOfRange, options.model, "reference failed on a row"};
    for (size_t i = 0; i < executable_.outputs().size(); ++i) {
      const Port& port = executable_.outputs()[i];
      apart.add(port, stream_.output(i), reference.value()->output(port.name));
    }
  }
  row.max_abs_error = apart.absolute, row.max_rel_error = apart.relative;
  return row;
}

void StreamRunner::take_after(double ticks_per_us, BenchRow* row) const {
  BenchRow after;
  std::vector<uint64_t> sorted = after_;
  take_times(&sorted, ticks_per_us, &after);
  row->after_p50_us = after.p50_us, row->after_p99_us = after.p99_us;
  double total = 0;
  for (const std::vector<uint64_t>* each : {&ticks, &after_}) {
    double sum = 0;
    for (const uint64_t one : *each) sum += static_cast<double>(one);
    total += each->empty() ? 0 : sum / static_cast<double>(each->size());
  }
  row->rows_per_s = total == 0 ? 0 : ticks_per_us / total * 1e6;
}

}  // namespace hayate
