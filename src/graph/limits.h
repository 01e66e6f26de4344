// What a file may ask for.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hayate {

constexpr size_t kNodesMax = 100'000;         // that a graph may have to be compiled: each takes some microseconds
constexpr int64_t kMadeNodesMax = kNodesMax;  // that functions may add to a graph, or branches and unrolled loops

}  // namespace hayate
