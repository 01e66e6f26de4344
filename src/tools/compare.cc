#include "tools/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "graph/rule_checks.h"

namespace hayate {
namespace {

double number_or_infinity(double x) { return std::isnan(x) ? std::numeric_limits<double>::infinity() : x; }

}  // namespace

Difference difference(const Tensor& got, const Tensor& wanted, const Tolerance& tolerance) {
  Difference d;
  d.count = wanted.count();
  if (got.type() != wanted.type() || got.shape() != wanted.shape()) {
    d.shapes = fmt::format("{} {} instead of {} {}", type_name(got.type()), shape_text(got.shape()),
                           type_name(wanted.type()), shape_text(wanted.shape()));
    return d;
  }
  const std::vector<double> a = to_doubles(got), b = to_doubles(wanted);
  const size_t size = type_size(got.type());
  const auto same_bits = [&](size_t i) {
    return std::memcmp(got.bytes() + i * size, wanted.bytes() + i * size, size) == 0;
  };
  for (size_t i = 0; i < a.size(); ++i) {
    if (is_float(got.type()) ? a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i])) : same_bits(i)) continue;
    const double error = number_or_infinity(std::fabs(a[i] - b[i]));
    d.max_absolute = std::max(d.max_absolute, error);
    d.max_relative = std::max(d.max_relative, number_or_infinity(error / std::fabs(b[i])));
    // A finite number is not near an infinite one, though relative * infinity would allow any error.
    const bool within = is_float(got.type()) && std::isfinite(error) &&
                        error <= tolerance.relative * std::fabs(b[i]) + tolerance.absolute;
    d.outside += within ? 0 : 1;
  }
  return d;
}

}  // namespace hayate
