// What the commands share: the model as the options ask for it, and answers of any backend on tensors.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "backends/backend.h"
#include "graph/graph.h"
#include "hayate/plan.h"

namespace hayate {

struct ModelOptions {
  std::string model;
  std::vector<std::string> sets;    // NAME=VALUE
  std::vector<std::string> shapes;  // NAME:D1,D2,...; an input named again starts another bucket of shapes
  bool raw_score = false;
  Plan plan;  // backend, isa, threads, ONNX Runtime's options
};

using Tensors = std::map<std::string, Tensor>;

// The options once for each bucket of shapes: those of `shapes`, else the plan's, else one without any.
std::vector<ModelOptions> by_bucket(const ModelOptions& options);

// The model with --set and --shape applied.
Result<Graph> load_model(const ModelOptions& options);

// plan.backend's answer: inputs checked, compiled for their shapes, run in batches of at most kAnswerRows rows. Where
// the backend must know an input before the run (sizes of a Split, the condition of an If), it is compiled for the
// value given, which a line on stderr says.
constexpr int64_t kAnswerRows = 4096;
Result<Tensors> answer(const Graph& graph, const Tensors& given, const Plan& plan);

// Says on stderr, where a plan of int8 names no rows, that the scales are of made-up ones.
void say_whose_scales(const Plan& plan);

// The plan in a file.
Result<Plan> load_plan(const std::string& path);

// Threads share the steps that are large enough on this machine, where that was measured.
void share_as_measured(Plan* plan);

// The same plan for another backend.
Plan plan_for(Plan plan, std::string_view backend);

// What `make` gives, and the milliseconds it took added to *ms.
template <typename F>
auto timed(double* ms, F&& make) {
  const auto start = std::chrono::steady_clock::now();
  auto made = make();
  *ms += std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return made;
}

// Says the error on stderr; the exit status 1.
int fail(const Error& error);

}  // namespace hayate
