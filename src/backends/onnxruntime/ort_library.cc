#include "backends/onnxruntime/ort_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

namespace hayate {
namespace {

namespace abi = ort_abi;
namespace fs = std::filesystem;

// libonnxruntime.so* inside folder/.venv, newest name first.
std::vector<std::string> in_venv(const fs::path& folder) {
  std::vector<std::string> found;
  std::error_code ignored;
  for (const auto& python : fs::directory_iterator(folder / ".venv/lib", ignored))
    for (const auto& file : fs::directory_iterator(python.path() / "site-packages/onnxruntime/capi", ignored))
      if (file.path().filename().string().starts_with("libonnxruntime.so")) found.push_back(file.path());
  std::sort(found.rbegin(), found.rend());
  return found;
}

std::vector<std::string> candidates(const std::string& path, std::string* looked_in) {
  if (!path.empty()) {
    *looked_in = path;
    return {path};
  }
  std::error_code ignored;
  std::vector<std::string> found = in_venv(fs::current_path(ignored));
  for (fs::path folder = fs::read_symlink("/proc/self/exe", ignored).parent_path(); folder.has_relative_path();
       folder = folder.parent_path())
    for (std::string& file : in_venv(folder)) found.push_back(std::move(file));
  *looked_in = ".venv in the current folder, .venv in the folders above the program, libonnxruntime.so.1 of the system";
  found.push_back("libonnxruntime.so.1");
  found.push_back("libonnxruntime.so");
  return found;
}

}  // namespace

Result<std::shared_ptr<const OrtLibrary>> OrtLibrary::open(const std::string& path) {
  std::string looked_in, reason;
  void* handle = nullptr;
  std::shared_ptr<OrtLibrary> library(new OrtLibrary);
  for (const std::string& candidate : candidates(path, &looked_in)) {
    handle = dlopen(candidate.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    library->path_ = candidate;
    if (handle != nullptr) break;
    if (reason.empty()) reason = dlerror();
  }
  if (handle == nullptr)
    return Error{
        Code::kNotFound, "ONNX Runtime",
        fmt::format("not found ({}); looked in {}. pip install onnxruntime, or --ort-library PATH", reason, looked_in)};
  const auto base_of = reinterpret_cast<const abi::Base* (*)()>(dlsym(handle, "OrtGetApiBase"));
  if (base_of == nullptr)
    return Error{Code::kInvalidArgument, library->path_, "is no ONNX Runtime library (it has no OrtGetApiBase)"};
  library->version_ = base_of()->version();
  library->api_ = base_of()->get_api(abi::kApiVersion);
  if (library->api_ == nullptr)
    return Error{Code::kUnsupported, library->path_,
                 fmt::format("ONNX Runtime {} is too old: it does not offer C API version {}; 1.{} or newer does",
                             library->version_, abi::kApiVersion, abi::kApiVersion)};
  return std::shared_ptr<const OrtLibrary>(library);
}

bool OrtLibrary::good(ort_abi::Status* status, Error* error) const {
  if (status == nullptr) return true;
  const auto message = reinterpret_cast<const char* (*)(const abi::Status*)>(api_[abi::kGetErrorMessage]);
  *error = Error{Code::kUnsupported, "", fmt::format("ONNX Runtime {}: {}", version_, message(status))};
  release(abi::kReleaseStatus, status);
  return false;
}

std::vector<std::string> OrtLibrary::providers() const {
  char** names = nullptr;
  int count = 0;
  Error ignored;
  if (!call<char***, int*>(abi::kGetAvailableProviders, &ignored, &names, &count)) return {};
  std::vector<std::string> found(names, names + count);
  (void)call<char**, int>(abi::kReleaseAvailableProviders, &ignored, names, count);
  return found;
}

}  // namespace hayate
