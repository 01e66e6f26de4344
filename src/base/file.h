// Whole files as bytes.
#pragma once

#include <string>

#include "hayate/result.h"

namespace hayate {

// The bytes of a regular file, or an error that says why not. Nothing is waited for: a folder, FIFO, socket or device
// is refused. What is read fits the memory budget before memory is claimed for it, also where the file grows meanwhile;
// one that shrinks meanwhile is an error.
Result<std::string> read_file(const std::string& path);

}  // namespace hayate
