// ONNX Runtime's library, loaded at run time. Nothing is printed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backends/onnxruntime/ort_abi.h"
#include "hayate/result.h"

namespace hayate {

class OrtLibrary {
 public:
  // The library at `path`; where that is empty, of the `.venv` in the current folder or in one above the program, else
  // the one the system's loader finds. Stays loaded for the life of the process: its threads do not survive unloading.
  static Result<std::shared_ptr<const OrtLibrary>> open(const std::string& path);

  const std::string& version() const { return version_; }
  const std::string& path() const { return path_; }
  // Execution providers it was built with: "CPUExecutionProvider" ...
  std::vector<std::string> providers() const;

  // Calls the entry at `place`, whose parameters are given as types; false, with the reason in `error`, where it fails.
  template <typename... Parameters, typename... Arguments>
  bool call(ort_abi::Place place, Error* error, Arguments... arguments) const {
    const auto entry = reinterpret_cast<ort_abi::Status* (*)(Parameters...)>(api_[place]);
    return good(entry(static_cast<Parameters>(arguments)...), error);
  }
  template <typename T>
  void release(ort_abi::Place place, T* handle) const {
    if (handle != nullptr) reinterpret_cast<void (*)(T*)>(api_[place])(handle);
  }

 private:
  OrtLibrary() = default;
  bool good(ort_abi::Status* status, Error* error) const;

  std::string path_, version_;
  const ort_abi::Entry* api_ = nullptr;
};

}  // namespace hayate
