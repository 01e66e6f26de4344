// One case in ONNX's test layout: a folder with model.onnx and test_data_set_*/{input,output}_N.pb.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "conformance/backends.h"

namespace hayate::conformance {

struct NodeCase {
  std::string name;
  std::filesystem::path folder;
};

// The cases below `root`, by name. None where there is no such folder.
std::vector<NodeCase> cases_in(const std::filesystem::path& root);

// The tensors kind_0.pb, kind_1.pb, ... of a data set.
Result<std::vector<Tensor>> read_tensors(const std::filesystem::path& folder, const std::string& kind);

struct Outcome {
  std::string fault;    // empty: every recorded output was met
  bool loose = false;   // some float only within the 1e-3 of ONNX's own runner
  bool folded = false;  // every input had to be bound, so that the answer was known before the run
};

// Runs every data set. Inputs that decide shapes are bound to their values, as a user does with --set, where the
// backend asks for it.
Outcome run_case(const NodeCase& node_case, const Backend& backend);

}  // namespace hayate::conformance
