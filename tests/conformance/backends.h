// What a suite of cases needs of a backend: a name, and a way to run a graph once. The one place to change when a
// backend comes, goes, or is called otherwise.
#pragma once

#include <functional>
#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "tensor/tensor.h"

namespace hayate::conformance {

using NamedTensors = std::map<std::string, Tensor>;

struct Backend {
  std::string name;
  std::function<Result<NamedTensors>(const Graph&, const NamedTensors&)> run;
};

inline void PrintTo(const Backend& backend, std::ostream* out) { *out << backend.name; }  // for gtest

// reference, and native with each instruction set of this processor, forced.
std::vector<Backend> backends();

}  // namespace hayate::conformance
