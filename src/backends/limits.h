// What a file may ask of every backend.
#pragma once

#include <cstddef>

namespace hayate {

constexpr size_t kNodesMax = 200'000;  // that a graph may have to be compiled: each takes some microseconds

}  // namespace hayate
