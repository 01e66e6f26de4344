#include "conformance/exclusions.h"

#include <fmt/format.h>

#include <sstream>

namespace hayate::conformance {

bool Exclusion::covers(const std::string& name) const {
  if (!pattern.ends_with('*')) return name == pattern;
  return name.starts_with(std::string_view(pattern).substr(0, pattern.size() - 1));
}

Result<Exclusions> Exclusions::parse(const std::string& text, const std::string& source) {
  Exclusions made;
  std::istringstream lines(text);
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    Exclusion exclusion;
    words >> exclusion.pattern >> exclusion.where >> std::ws;
    std::getline(words, exclusion.reason);
    if (exclusion.reason.empty())
      return Error{Code::kInvalidArgument, fmt::format("{}:{}", source, number), "is no PATTERN WHERE REASON"};
    made.all_.push_back(std::move(exclusion));
  }
  return made;
}

const Exclusion* Exclusions::find(const std::string& name, const std::string& suite, const std::string& backend) const {
  for (const Exclusion& exclusion : all_)
    if ((exclusion.where == "all" || exclusion.where == suite || backend.starts_with(exclusion.where)) &&
        exclusion.covers(name))
      return &exclusion;
  return nullptr;
}

}  // namespace hayate::conformance
