// Every choice that turns a model into something that runs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hayate/model.h"
#include "hayate/result.h"

namespace hayate {

struct Plan {
  std::string backend = "native";  // or "onnxruntime", "reference"
  std::string isa;                 // native: "amx", "avx512", "avx2", "sse4", "neon", "plain"; empty: the best there is
  // native: "fp32"; "bf16": dense, convolution and recurrent layers on bfloat16 with sums in float32; "int8": on 8-bit
  // integers, with the scales of what they read from `calibration`, a file of inputs (.npz, .npy), or from made-up
  // normal rows where it is empty. What has no such form stays float32.
  std::string precision = "fp32", calibration;
  // native: how tree ensembles run: empty: as a table of costs says; "measured": each method is timed when the model is
  // compiled, in tenths of a second, and the quickest taken; else a method by its name ("trees_walk"), for all of them.
  std::string trees;
  // Streams (stream.h): rows of the window, and which axis of the model's input is time ("input:1"); empty: the one
  // that has `window` places. With window 0 the model carries its state: `states` are "IN=OUT", an input that takes an
  // output of the row before.
  int64_t window = 0;
  std::string time_axis;
  std::vector<std::string> states;
  // Before `window` rows have come: "zeros": those before the first are zeros, and answered with; "wait": push() takes
  // the row and says Status::kNotReady.
  std::string warm_up = "zeros";
  int64_t batch_max = 1;  // rows that one run may take
  // Threads for one run. onnxruntime: of its own. native: the caller and helpers of each session, which share the steps
  // that are large enough to pay and spin for `spin_us` microseconds after one before they sleep; the first run after
  // that wakes them, and goes on without them meanwhile. They run where the thread that makes the session may run, each
  // needs a core of its own, and nobody whose priority is above theirs should wait for them. Answers have the same
  // bits. Streams take one (Stream::settle_elsewhere).
  int threads = 1;
  int64_t spin_us = 100;
  // A step is shared where each piece has so many multiply-adds at least: a hand-off there and back then takes a
  // quarter of what it saves on most machines. `hayate machine --measure` finds this machine's number; 0: no step is
  // shared.
  int64_t piece_macs = 16'384;

  // onnxruntime: its library (empty: searched for in .venv and the system), "all", "extended", "basic" or "none" of its
  // optimisations, and the execution provider, "CPU" or what the library has ("CUDA", "OpenVINO" ...).
  std::string ort_library, ort_optimisation = "all", ort_provider = "CPU";

  // Extents besides the batch that are open in the model: one bucket of shapes ("input:*,512", one for each such input)
  // for each that is compiled at the start, the first of them for sessions that ask for none; and how many others may
  // be kept that were compiled when asked for (Executable::at).
  std::vector<std::vector<std::string>> shapes;
  int shapes_max = 8;

  // The fingerprint of the machine that this was made for (this_machine() there); empty: any. Compiling on another one
  // refuses a plan of which a choice depends on the machine.
  std::string machine;

  static Plan defaults(const Model& model);
  static std::string this_machine();  // "x86_64-0123456789abcdef"; reads a few system files
  // A named instruction set or method of trees, more threads than one, a library's path or a provider other than CPU.
  bool depends_on_machine() const;

  // {"version": 1, "machine": ..., "backend": ..., "isa": ..., "batch_max": ...}; unknown keys and other versions are
  // errors.
  std::string to_json() const;
  static Result<Plan> from_json(const std::string& text);

  bool operator==(const Plan&) const = default;
};

}  // namespace hayate
