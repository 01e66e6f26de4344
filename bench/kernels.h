// The micro-benchmarks that bench/kernels.cc runs beside its own.
#pragma once

namespace hayate {

void add_tree_kernels();

}  // namespace hayate
