// Which type each attribute of the standard has.
#pragma once

#include <string>

#include "graph/graph.h"

namespace hayate {

// Empty where the attribute has the type that the standard, or com.microsoft in its domain, gives its name (or a name
// that is not known, which nothing reads); else what it holds and what is needed.
std::string attribute_fault(const std::string& domain, const std::string& name, const Attribute& value);

}  // namespace hayate
