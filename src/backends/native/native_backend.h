// native behind the common interface: a batch of any size is covered by programs for fixed numbers of rows.
#pragma once

#include "backends/backend.h"
#include "kernels/vector/kernels.h"

namespace hayate {

const Backend& native_backend();

// The instruction set of a plan; an error that names what this processor runs.
Result<kernels::Isa> isa_of(const std::string& name);

}  // namespace hayate
