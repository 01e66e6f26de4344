// An error of a file at the place named.
#pragma once

#include <string>
#include <utility>

#include "hayate/result.h"

namespace hayate {

inline Error bad(const std::string& where, std::string what, Code code = Code::kInvalidArgument) {
  return Error{code, where, std::move(what)};
}

}  // namespace hayate
