#include "tools/compare.h"

#include <fmt/format.h>

#include <cmath>

namespace hayate {

Difference difference(const Tensor& got, const Tensor& wanted, const Tolerance& tolerance) {
  Difference d;
  if (got.type() != wanted.type() || got.shape() != wanted.shape()) {
    d.shapes = fmt::format("{} {} instead of {} {}", type_name(got.type()), shape_text(got.shape()),
                           type_name(wanted.type()), shape_text(wanted.shape()));
    return d;
  }
  const std::vector<double> a = to_doubles(got), b = to_doubles(wanted);
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    const double error = std::fabs(a[i] - b[i]), relative = error / std::fabs(b[i]);
    if (!(error <= d.max_absolute)) d.max_absolute = error;
    if (!(relative <= d.max_relative)) d.max_relative = relative;
    if (!(error <= tolerance.relative * std::fabs(b[i]) + tolerance.absolute)) ++d.outside;
  }
  return d;
}

}  // namespace hayate
