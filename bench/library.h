// A shared library opened at run time, and its entries under declarations of ours: the build needs no peer.
#pragma once

#include <dlfcn.h>

#include <filesystem>
#include <string>

#include "hayate/result.h"

namespace hayate::peers {

class Library {
 public:
  // The file at `path`, or where `path` is a folder its newest file whose name starts with `name`. Stays loaded: the
  // threads of such libraries do not survive unloading.
  static Result<Library> open(const std::filesystem::path& path, const std::string& name = "");

  template <typename Function>
  void take(const char* entry, Function** to) {
    *to = reinterpret_cast<Function*>(dlsym(handle_, entry));
    if (*to == nullptr && missing_.empty()) missing_ = entry;
  }
  // An error that names the first entry that was not found.
  Result<bool> complete() const;

 private:
  void* handle_ = nullptr;
  std::string path_, missing_;
};

}  // namespace hayate::peers
