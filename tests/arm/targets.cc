// The one function of Highway's library that kernels call, so that the cross build needs no library of the other
// architecture: the sweep runs what it was compiled for.
#include <hwy/targets.h>

namespace hwy {
int64_t SupportedTargets() { return HWY_NEON; }
}  // namespace hwy
