// The plain loops behind the common interface: the truth the other backends are held to.
#pragma once

#include "backends/backend.h"

namespace hayate {

const Backend& reference_backend();

}  // namespace hayate
