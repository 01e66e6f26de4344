// Times backends beside each other: in one process, alternating, one thread of calls, inputs that vary.
#pragma once

#include <string>
#include <vector>

#include "tools/contestant.h"
#include "tools/model.h"
#include "tune/bound.h"
#include "tune/peaks.h"

namespace hayate {

struct BenchOptions {
  std::vector<std::string> models;
  std::vector<std::string> backends = {"native", "onnxruntime"};
  std::vector<std::string> precisions = {"fp32"};  // of native
  std::vector<int64_t> batches = {1};
  double seconds = 1;          // per model and batch, shared by the backends
  std::string json;            // file to write; empty: none
  bool summary = false;        // one line per model instead of the table
  bool steps = false;          // also print what each step of native takes
  bool streams = false;        // also streams
  int64_t window = -1;         // of those, rows; 0: the model carries its state
  bool streams_alone = false;  // without the full windows
  std::string program;         // this program, to measure memory in child processes
};

// One line of the result.
struct BenchRow {
  std::string model, backend, precision = "fp32";
  int threads = 1;  // its own, for one call
  int64_t batch = 0, count = 0, plain_steps = 0;
  double p50_us = 0, p99_us = 0, p999_us = 0, max_us = 0, rows_per_s = 0;
  double max_abs_error = 0, max_rel_error = 0;  // against the reference
  double peak_rss_mb = 0;                       // of a process of its own; 0: not known
  double load_ms = 0, compile_ms = 0;           // of the file, and for this batch; onnxruntime's compile reads the file
  double ratio = 0;                             // onnxruntime's p50 over this one; 0: not timed
  double bound_us = 0;                          // the least that this machine's core could take; 0: not measured
  std::string bound_of = {};                    // what most of the bound is
  bool stream = false;                          // times are of a row's answer
  int64_t window = 0;
  double after_p50_us = 0, after_p99_us = 0;  // of what an answer leaves to do
  int64_t read_bytes = 0;                     // of weights that an answer reads; 0: not known
  double read_p50_us = 0, read_p99_us = 0;    // of reading as many and nothing else, in turns with the stream
};

int bench(const ModelOptions& options, const BenchOptions& bench);

// ---- bench_rows.cc
// Makes the first call and holds it against the reference.
Result<BenchRow> first_run(const std::string& model, Contestant* contestant, int64_t batch);
// Sorts the ticks and takes the percentiles; an empty list leaves the row as it is.
void take_times(std::vector<uint64_t>* ticks, double ticks_per_us, BenchRow* row);
// What the work is at a precision if all weights had its bytes: what stays float32 takes longer.
Work at_precision(Work work, const std::string& precision);
// The bound of such work; left out where it cannot be told.
void take_bound(const Result<Work>& work, const Peaks& peaks, BenchRow* row);

// ---- bench_report.cc
void print_header(const BenchOptions& bench);
void print_rows(const std::vector<BenchRow>& rows, const BenchOptions& bench);
std::string rows_json(const std::vector<BenchRow>& rows);  // an array
Result<bool> write_json(const std::string& path, const std::vector<BenchRow>& rows);

}  // namespace hayate
