#include "library.h"

namespace hayate::peers {

namespace fs = std::filesystem;

Result<Library> Library::open(const fs::path& path, const std::string& name) {
  std::error_code ignored;
  fs::path file = fs::is_directory(path, ignored) ? fs::path() : path;
  for (const auto& each : fs::directory_iterator(path, ignored))
    if (each.path().filename().string().starts_with(name) && each.path() > file) file = each.path();
  if (file.empty() || !fs::exists(file, ignored)) return Error{Code::kNotFound, (path / name).string(), "is not there"};
  Library library;
  library.path_ = file;
  library.handle_ = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library.handle_ == nullptr) return Error{Code::kNotFound, file.string(), dlerror()};
  return library;
}

Result<bool> Library::complete() const {
  if (missing_.empty()) return true;
  return Error{Code::kUnsupported, path_, "has no " + missing_ + ": another version than the one this was written for"};
}

}  // namespace hayate::peers
