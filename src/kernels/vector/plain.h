// The plain set, which vector sets also fall back to for what is not worth a vector kernel.
#pragma once

#include "kernels/vector/kernels.h"

namespace hayate::kernels::plain {

Set set();

}  // namespace hayate::kernels::plain
