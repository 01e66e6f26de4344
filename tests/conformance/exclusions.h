// Which cases of a suite are not expected to pass, each with its reason: the lines of exclusions.txt.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hayate/result.h"

namespace hayate::conformance {

struct Exclusion {
  std::string pattern;  // a case's name; with a * at its end, every name that starts so
  std::string where;    // "all", the name of a suite, or how a backend's name starts
  std::string reason;

  bool covers(const std::string& name) const;
};

class Exclusions {
 public:
  // Lines "PATTERN WHERE REASON ..."; empty ones and those that start with # say nothing.
  static Result<Exclusions> parse(const std::string& text, const std::string& source);
  // Null where the case is expected to pass on the backend.
  const Exclusion* find(const std::string& name, const std::string& suite, const std::string& backend) const;
  const std::vector<Exclusion>& all() const { return all_; }

 private:
  std::vector<Exclusion> all_;
};

}  // namespace hayate::conformance
