// native behind the common interface: a batch of any size is covered by programs for fixed numbers of rows.
#pragma once

#include "backends/backend.h"
#include "backends/native/native.h"
#include "kernels/vector/kernels.h"

namespace hayate {

const Backend& native_backend();

// What a plan says to native; int8 calibrates here, which takes an evaluation by the reference.
Result<native::NativeOptions> native_options(const Graph& graph, const Batch& batch, const Plan& plan);

// The instruction set of a plan; an error that names what this processor runs.
Result<kernels::Isa> isa_of(const std::string& name);

}  // namespace hayate
