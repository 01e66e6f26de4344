// The smallest whole backend, to be copied when a new one starts: it runs Relu, Neg and Identity on float32 and refuses
// the rest with a reason. The conformance suite runs it, with a list of what it refuses; the new backend shrinks the
// list.
#pragma once

#include "backends/backend.h"

namespace hayate {

const Backend& skeleton_backend();

}  // namespace hayate
