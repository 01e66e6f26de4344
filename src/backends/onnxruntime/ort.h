// ONNX Runtime behind values: the library loaded at run time, a session that runs named tensors. Nothing is printed.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "hayate/result.h"
#include "tensor/tensor.h"

namespace hayate {

class OrtLibrary {
 public:
  // The library at `path`; where that is empty, of the `.venv` in the current folder or in one above the program, else
  // the one the system's loader finds. Stays loaded for the life of the process: its threads do not survive unloading.
  static Result<std::shared_ptr<const OrtLibrary>> open(const std::string& path);

  const std::string& version() const { return version_; }
  const std::string& path() const { return path_; }

  // The table's entry at `place`, as a function of type F.
  template <typename F>
  F entry(size_t place) const {
    return reinterpret_cast<F>(api_[place]);
  }

 private:
  OrtLibrary() = default;
  std::string path_, version_;
  void (*const* api_)() = nullptr;
};

struct OrtOptions {
  int threads = 1;
  int optimisation = 99;  // 0 none, 1 basic, 2 extended, 99 all
};

// One thread at a time.
class OrtSession {
 public:
  static Result<std::unique_ptr<OrtSession>> create(std::shared_ptr<const OrtLibrary> library, std::string_view model,
                                                    const std::string& source, const OrtOptions& options);
  ~OrtSession();
  OrtSession(const OrtSession&) = delete;
  OrtSession& operator=(const OrtSession&) = delete;

  // The inputs' bytes are read in place.
  Result<std::map<std::string, Tensor>> run(const std::map<std::string, Tensor>& inputs);

  // Values made once over the tensors' memory, which the caller keeps and may overwrite between runs. Outputs not given
  // are made anew in each run.
  Result<bool> bind(const std::map<std::string, Tensor>& inputs, const std::map<std::string, Tensor>& outputs);
  Result<bool> run_bound();
  Result<std::map<std::string, Tensor>> bound_outputs() const;  // copies

 private:
  struct State;
  explicit OrtSession(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace hayate
