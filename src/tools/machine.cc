#include "hardware/machine.h"

#include <fmt/format.h>

#include "tools/commands.h"
#include "tools/progress.h"
#include "tune/peaks.h"

namespace hayate {
namespace {

// The machine's JSON object with one more key.
std::string with_peaks(std::string machine, const Peaks& peaks) {
  machine.erase(machine.rfind('}'));
  return fmt::format("{}, \"peaks\": {}}}\n", machine, to_json(peaks));
}

}  // namespace

int machine(const MachineOptions& options) {
  const Machine found = find_machine();
  const std::string path = peaks_file();
  Result<Peaks> peaks = load_peaks(found, path);
  if (options.measure) {
    Progress progress("measuring", 100);
    peaks = measure_peaks(found, [&](double share) { progress.at(static_cast<int64_t>(100 * share), "peaks"); });
    if (const Result<bool> stored = store_peaks(peaks.value(), path); !stored.ok()) return fail(stored.error());
  }
  if (options.json) {
    fmt::print("{}", peaks.ok() ? with_peaks(to_json(found), peaks.value()) : to_json(found));
    return 0;
  }
  fmt::print("{}", to_text(found));
  if (peaks.ok())
    fmt::print("{}", to_text(peaks.value()));
  else
    fmt::print("peaks: {}\n", peaks.error().text());
  return 0;
}

}  // namespace hayate
