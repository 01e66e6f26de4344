// The program's subcommands. Each returns the exit status: 0 good, 1 an error (said on stderr) or a result past
// tolerance.
#pragma once

#include <string>

#include "tools/compare.h"
#include "tools/model.h"

namespace hayate {

int info(const ModelOptions& options, bool json);
struct DumpOptions {
  std::string after;    // rewritten up to this pass; "all": every pass; empty: as the file says it
  int64_t batch = 1;    // what open extents are taken as, where anything is rewritten
  bool passes = false;  // instead of the graph: each pass with its rounds, changes and time
};
int dump(const ModelOptions& options, const DumpOptions& dump);

struct ConvertOptions {
  std::string output;
  int64_t ml_opset = 0;  // newest version of ai.onnx.ml that may be used; 0: any
};
// Writes the model, with --set and --shape applied, as an ONNX file.
int convert(const ModelOptions& options, const ConvertOptions& convert);

struct RunOptions {
  std::string inputs, output;  // files; no output: only shapes are printed
  bool memory = false;         // print the process's peak
  std::string quantised;       // .onnx to write at precision int8; empty: none
};
int run(const ModelOptions& options, const RunOptions& run);

struct VerifyOptions {
  std::string inputs;  // a file; empty: made up, seven rows
  Tolerance tolerance;
  bool json = false;
};
// Every backend on the same inputs, compared with the reference. Where options.model is a folder in the ONNX test
// layout (model.onnx, test_data_set_*/input_N.pb, output_N.pb), with what is recorded there.
int verify(const ModelOptions& options, const VerifyOptions& verify);

constexpr int64_t kPeerRows = 1000;  // that `stream --check` holds against ONNX Runtime
struct StreamOptions {
  std::string inputs, output;  // files: rows [N, ...]; answers
  bool check = false;          // every answer against the full window's, some against ONNX Runtime's
  bool explain = false;        // what is kept, stepped and made again
  bool json = false;           // one object for machines
  int64_t burst = 1;           // rows that come before anything is settled
};
// Rows through a sliding window of plan.window rows.
int stream(const ModelOptions& options, const StreamOptions& stream);

struct MachineOptions {
  bool json = false, measure = false;
};
// What hardware was found, and its peaks where they were measured.
int machine(const MachineOptions& options);

}  // namespace hayate
