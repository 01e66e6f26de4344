#include "kernels/tree_tuning.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <random>

namespace hayate::kernels {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kRowsMax = 512, kValuesMax = 1 << 19;
constexpr int64_t kFirstRows = 16;  // show which methods are twice as slow as others; those are not timed again
constexpr int kTurns = 7;

// Values that splits tell apart: at, just below and just above the thresholds of their columns.
std::vector<double> made_rows(const Trees& trees, int64_t rows) {
  std::vector<std::vector<double>> thresholds(static_cast<size_t>(trees.features));
  for (size_t node = 0; node < trees.threshold.size(); ++node)
    if (trees.feature[node] >= 0 && trees.feature[node] < trees.features && std::isfinite(trees.threshold[node]))
      thresholds[static_cast<size_t>(trees.feature[node])].push_back(trees.threshold[node]);
  std::minstd_rand random(1);
  std::vector<double> made(static_cast<size_t>(rows * trees.features), 0.0);
  for (size_t i = 0; i < made.size(); ++i) {
    const std::vector<double>& own = thresholds[i % thresholds.size()];
    if (own.empty()) continue;
    const double at = own[random() % own.size()], step = (static_cast<double>(random() % 3) - 1) * 1e-3;
    made[i] = at + step * std::max(std::fabs(at), 1e-3);
  }
  return made;
}

// Nanoseconds of a row, over so many.
template <typename Sum>
double pass_ns(const TreeProgram& program, const std::vector<double>& values, int64_t rows, std::vector<Sum>* out) {
  const auto start = Clock::now();
  for (int64_t r = 0; r < rows; ++r) program.run(values.data() + r * program.features(), 1, out->data());
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count() / static_cast<double>(rows);
}

}  // namespace

std::optional<TreeProgram> build_measured(const Trees& trees, Isa isa) {
  std::vector<TreeProgram> programs;
  for (const TreeMethod method : TreeProgram::methods(trees, isa))
    if (auto program = TreeProgram::build(trees, method)) programs.push_back(std::move(*program));
  if (programs.empty()) return std::nullopt;
  if (programs.size() == 1 || trees.features == 0) return std::move(programs[0]);
  const int64_t rows = std::clamp<int64_t>(kValuesMax / trees.features, kFirstRows, kRowsMax);
  const std::vector<double> values = made_rows(trees, rows);
  std::vector<double> out64(static_cast<size_t>(trees.outputs));
  std::vector<float> out32(out64.size());
  const auto row_ns = [&](const TreeProgram& program, int64_t some) {
    return trees.float64_sum ? pass_ns(program, values, some, &out64) : pass_ns(program, values, some, &out32);
  };
  std::vector<double> least;
  for (const TreeProgram& program : programs) least.push_back(row_ns(program, kFirstRows));
  const double far = 2 * *std::min_element(least.begin(), least.end());
  for (int turn = 0; turn < kTurns; ++turn)
    for (size_t i = 0; i < programs.size(); ++i)
      if (least[i] <= far) least[i] = std::min(least[i], row_ns(programs[i], rows));
  return std::move(programs[static_cast<size_t>(std::min_element(least.begin(), least.end()) - least.begin())]);
}

}  // namespace hayate::kernels
