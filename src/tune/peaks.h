// What one core of this machine can do at most, measured once and kept in a file. Bounds stand on it (bound.h).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "hardware/machine.h"
#include "hayate/result.h"

namespace hayate {

struct LevelPeak {
  std::string level;    // "L1", "L2", "L3", "memory"
  int64_t bytes = 0;    // of data that it holds; memory: of the machine
  double gb_per_s = 0;  // read by one core, in order
};

struct Peaks {
  std::string fingerprint;                                // of the machine they were measured on
  std::vector<LevelPeak> levels;                          // nearest first
  double fp32_gmacs = 0, bf16_gmacs = 0, int8_gmacs = 0;  // one core; 0: the processor has no such instruction
  double function_ns = 0;     // one sigmoid, tanh or exp of a long vector, by this engine's kernels
  double float64_add_ns = 0;  // one addition that waits for the one before
  double hand_off_ns = 0;     // a value from one core to another, one way; 0: a single core
  // Multiply-adds of a piece from which on two threads are quicker at a step than one (pieces.h); 0: they never were.
  int64_t piece_macs = 0;

  const LevelPeak& level_of(int64_t bytes) const;  // the nearest that holds so much
};

// Takes about three seconds; `progress` is told the share done. The machine should have nothing else to do.
Peaks measure_peaks(const Machine& machine, const std::function<void(double)>& progress = {});

std::string to_text(const Peaks& peaks);
std::string to_json(const Peaks& peaks);
Result<Peaks> peaks_from_json(const std::string& text, const std::string& source);

// $XDG_CACHE_HOME/hayate/peaks.json, else ~/.cache/hayate/peaks.json; empty where neither is set.
std::string peaks_file();
Result<bool> store_peaks(const Peaks& peaks, const std::string& path);
// What the file holds, if it was measured on this machine. An error says how to measure.
Result<Peaks> load_peaks(const Machine& machine, const std::string& path);

}  // namespace hayate
