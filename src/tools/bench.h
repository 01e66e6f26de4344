// Times backends beside each other: in one process, alternating, one thread of calls, inputs that vary.
#pragma once

#include <string>
#include <vector>

#include "tools/commands.h"

namespace hayate {

struct BenchOptions {
  std::vector<std::string> models;
  std::vector<std::string> backends = {"native", "onnxruntime"};
  std::vector<int64_t> batches = {1};
  double seconds = 1;    // per model and batch, shared by the backends
  std::string json;      // file to write; empty: none
  bool summary = false;  // one line per model instead of the table
  bool steps = false;    // also print what each step of native takes
  std::string program;   // this program, to measure memory in child processes
};

int bench(const ModelOptions& options, const BenchOptions& bench);

}  // namespace hayate
