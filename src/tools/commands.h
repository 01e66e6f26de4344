// The program's subcommands. Each returns the exit status: 0 good, 1 an error (said on stderr) or a result past
// tolerance.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "kernels/vector/kernels.h"

namespace hayate {

struct ModelOptions {
  std::string model;
  std::vector<std::string> sets;    // NAME=VALUE
  std::vector<std::string> shapes;  // NAME:D1,D2,...
  bool raw_score = false;
  std::string backend = "native";  // or "reference", "onnxruntime"
  std::string isa;                 // of native; empty: the best this processor runs
  std::string ort_library;         // empty: searched for
  int threads = 1;
};

// The model with --set and --shape applied.
Result<Graph> load_model(const ModelOptions& options);
// Inputs checked, branches resolved for their shapes, every node by its reference kernel.
Result<std::map<std::string, Tensor>> reference_answer(const Graph& graph, const std::map<std::string, Tensor>& given);
// What --isa asks for; an error that names what this processor runs.
Result<kernels::Isa> wanted_isa(const ModelOptions& options);
std::string json_string(const std::string& text);

int info(const ModelOptions& options, bool json);
// Rewritten up to the pass `after` ("all": every pass) with open extents taken as `batch`; empty: as the file says it.
int dump(const ModelOptions& options, const std::string& after, int64_t batch);
int run(const ModelOptions& options, const std::string& inputs, const std::string& output, bool memory);
// Runs every backend on the inputs (empty: made up, seven rows) and compares each with the reference.
int verify_model(const ModelOptions& options, const std::string& inputs, double relative, double absolute);
// `path` is a folder in the ONNX test layout: model.onnx and test_data_set_*/input_N.pb, output_N.pb.
int verify_folder(const std::string& path, const std::vector<std::string>& sets, double relative, double absolute);

}  // namespace hayate
