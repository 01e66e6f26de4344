// Every choice that turns a model into something that runs.
#pragma once

#include <cstdint>
#include <string>

#include "hayate/model.h"
#include "hayate/result.h"

namespace hayate {

struct Plan {
  std::string backend = "native";
  std::string isa;        // "avx512", "avx2", "sse4", "neon", "plain"; empty: the best there is when compiled
  int64_t batch_max = 1;  // rows that one run may take

  static Plan defaults(const Model& model);
  // {"version": 1, "backend": ..., "isa": ..., "batch_max": ...}; unknown keys and other versions are errors.
  std::string to_json() const;
  static Result<Plan> from_json(const std::string& text);

  bool operator==(const Plan&) const = default;
};

}  // namespace hayate
