#include "backends/onnxruntime/ort.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>

#include "backends/onnxruntime/ort_abi.h"

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
  *looked_in = ".venv in the current folder";
  for (fs::path folder = fs::read_symlink("/proc/self/exe", ignored).parent_path(); folder.has_relative_path();
       folder = folder.parent_path())
    for (std::string& file : in_venv(folder)) found.push_back(std::move(file));
  *looked_in += ", .venv in the folders above the program, libonnxruntime.so.1 of the system";
  found.push_back("libonnxruntime.so.1");
  found.push_back("libonnxruntime.so");
  return found;
}

// ONNX's TensorProto.DataType, which ONNX Runtime uses for its elements too.
constexpr std::pair<Type, int> kTypes[] = {
    {Type::kFloat32, 1}, {Type::kUInt8, 2},   {Type::kInt8, 3},     {Type::kUInt16, 4},   {Type::kInt16, 5},
    {Type::kInt32, 6},   {Type::kInt64, 7},   {Type::kBool, 9},     {Type::kFloat16, 10}, {Type::kFloat64, 11},
    {Type::kUInt32, 12}, {Type::kUInt64, 13}, {Type::kBFloat16, 16}};

}  // namespace

Result<std::shared_ptr<const OrtLibrary>> OrtLibrary::open(const std::string& path) {
  std::string looked_in, reason;
  void* handle = nullptr;
  std::shared_ptr<OrtLibrary> library(new OrtLibrary);
  for (const std::string& candidate : candidates(path, &looked_in)) {
    handle = dlopen(candidate.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle == nullptr) {
      if (reason.empty()) reason = dlerror();
      continue;
    }
    library->path_ = candidate;
    break;
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
                 fmt::format("ONNX Runtime {} does not offer C API version {}; 1.0 or newer does", library->version_,
                             abi::kApiVersion)};
  return std::shared_ptr<const OrtLibrary>(library);
}

struct OrtSession::State {
  std::shared_ptr<const OrtLibrary> library;
  std::string source;
  abi::Env* env = nullptr;
  abi::Session* session = nullptr;
  abi::SessionOptions* options = nullptr;
  abi::MemoryInfo* memory = nullptr;
  std::vector<std::string> inputs, outputs;
  // Of bind(): values of the inputs, then of the outputs; which outputs are the caller's; the names as the ABI takes
  // them.
  std::vector<abi::Value*> bound;
  std::vector<bool> own_output;
  std::vector<const char*> input_names, output_names;
  std::vector<Tensor> kept;

  ~State() {
    for (abi::Value* value : bound) release(abi::kReleaseValue, value);
    release(abi::kReleaseSession, session);
    release(abi::kReleaseSessionOptions, options);
    release(abi::kReleaseMemoryInfo, memory);
    release(abi::kReleaseEnv, env);
  }

  template <typename T>
  void release(abi::Place place, T* handle) const {
    if (handle != nullptr) library->entry<void (*)(T*)>(place)(handle);
  }

  // Calls the entry at `place`; false, with the reason in `error`, where it fails.
  template <typename... Parameters, typename... Arguments>
  bool call(abi::Place place, Error* error, Arguments... arguments) const {
    abi::Status* status = library->entry<abi::Status* (*)(Parameters...)>(place)(static_cast<Parameters>(arguments)...);
    if (status == nullptr) return true;
    *error = Error{Code::kUnsupported, source,
                   fmt::format("ONNX Runtime {}: {}", library->version(),
                               library->entry<const char* (*)(const abi::Status*)>(abi::kGetErrorMessage)(status))};
    release(abi::kReleaseStatus, status);
    return false;
  }

  // The names of all inputs or outputs; they come in memory of ONNX Runtime's allocator.
  bool names(abi::Place count_of, abi::Place name_of, std::vector<std::string>* out, Error* error) const {
    size_t count = 0;
    abi::Allocator* allocator = nullptr;
    if (!call<const abi::Session*, size_t*>(count_of, error, session, &count) ||
        !call<abi::Allocator**>(abi::kGetAllocatorWithDefaultOptions, error, &allocator))
      return false;
    for (size_t i = 0; i < count; ++i) {
      char* name = nullptr;
      if (!call<const abi::Session*, size_t, abi::Allocator*, char**>(name_of, error, session, i, allocator, &name))
        return false;
      out->push_back(name);
      if (!call<abi::Allocator*, void*>(abi::kAllocatorFree, error, allocator, name)) return false;
    }
    return true;
  }

  bool value_of(const Tensor& tensor, abi::Value** value, Error* error) const {
    const auto* type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                    [&](const auto& known) { return known.first == tensor.type(); });
    return call<const abi::MemoryInfo*, void*, size_t, const int64_t*, size_t, int, abi::Value**>(
        abi::kCreateTensorWithDataAsOrtValue, error, memory, const_cast<std::byte*>(tensor.bytes()),
        tensor.byte_count(), tensor.shape().data(), tensor.shape().size(), type->second, value);
  }

  // A copy of the value, which must be a dense tensor.
  Result<Tensor> tensor_of(const abi::Value* value, const std::string& name) const {
    Error error;
    int is_tensor = 0, code = 0;
    if (!call<const abi::Value*, int*>(abi::kIsTensor, &error, value, &is_tensor)) return error;
    if (is_tensor == 0)
      return Error{Code::kUnsupported, source,
                   fmt::format("output '{}' is no tensor; only tensors are supported", name)};
    abi::TensorInfo* info = nullptr;
    if (!call<const abi::Value*, abi::TensorInfo**>(abi::kGetTensorTypeAndShape, &error, value, &info)) return error;
    const std::unique_ptr<abi::TensorInfo, std::function<void(abi::TensorInfo*)>> owned(
        info, [this](abi::TensorInfo* made) { release(abi::kReleaseTensorInfo, made); });
    size_t rank = 0;
    if (!call<const abi::TensorInfo*, int*>(abi::kGetTensorElementType, &error, info, &code) ||
        !call<const abi::TensorInfo*, size_t*>(abi::kGetDimensionsCount, &error, info, &rank))
      return error;
    Shape shape(rank);
    void* data = nullptr;
    if (!call<const abi::TensorInfo*, int64_t*, size_t>(abi::kGetDimensions, &error, info, shape.data(), rank) ||
        !call<const abi::Value*, void**>(abi::kGetTensorMutableData, &error, value, &data))
      return error;
    const auto* type =
        std::find_if(std::begin(kTypes), std::end(kTypes), [&](const auto& known) { return known.second == code; });
    if (type == std::end(kTypes))
      return Error{Code::kUnsupported, source,
                   fmt::format("output '{}' has element type {}, which is not supported", name, code)};
    Tensor tensor(type->first, shape);
    if (tensor.byte_count() != 0) std::memcpy(tensor.bytes(), data, tensor.byte_count());
    return tensor;
  }
};

OrtSession::OrtSession(std::unique_ptr<State> state) : state_(std::move(state)) {}
OrtSession::~OrtSession() = default;

Result<std::unique_ptr<OrtSession>> OrtSession::create(std::shared_ptr<const OrtLibrary> library,
                                                       std::string_view model, const std::string& source,
                                                       const OrtOptions& options) {
  auto state = std::make_unique<State>();
  state->library = std::move(library);
  state->source = source;
  Error error;
  const bool made =
      state->call<int, const char*, abi::Env**>(abi::kCreateEnv, &error, abi::kLogErrors, "hayate", &state->env) &&
      state->call<abi::SessionOptions**>(abi::kCreateSessionOptions, &error, &state->options) &&
      state->call<abi::SessionOptions*, int>(abi::kSetSessionGraphOptimizationLevel, &error, state->options,
                                             options.optimisation) &&
      state->call<abi::SessionOptions*, int>(abi::kSetIntraOpNumThreads, &error, state->options, options.threads) &&
      state->call<abi::SessionOptions*, int>(abi::kSetInterOpNumThreads, &error, state->options, 1) &&
      state->call<int, int, abi::MemoryInfo**>(abi::kCreateCpuMemoryInfo, &error, abi::kArenaAllocator,
                                               abi::kDefaultMemory, &state->memory) &&
      state->call<const abi::Env*, const void*, size_t, const abi::SessionOptions*, abi::Session**>(
          abi::kCreateSessionFromArray, &error, state->env, model.data(), model.size(), state->options,
          &state->session) &&
      state->names(abi::kSessionGetInputCount, abi::kSessionGetInputName, &state->inputs, &error) &&
      state->names(abi::kSessionGetOutputCount, abi::kSessionGetOutputName, &state->outputs, &error);
  if (!made) return error;
  return std::unique_ptr<OrtSession>(new OrtSession(std::move(state)));
}

Result<std::map<std::string, Tensor>> OrtSession::run(const std::map<std::string, Tensor>& inputs) {
  const State& s = *state_;
  std::vector<abi::Value*> values(s.inputs.size() + s.outputs.size(), nullptr);
  const std::unique_ptr<std::vector<abi::Value*>, std::function<void(std::vector<abi::Value*>*)>> owned(
      &values, [&](auto* made) {
        for (abi::Value* value : *made) s.release(abi::kReleaseValue, value);
      });
  std::vector<const char*> input_names, output_names;
  Error error;
  for (size_t i = 0; i < s.inputs.size(); ++i) {
    const auto it = inputs.find(s.inputs[i]);
    if (it == inputs.end())
      return Error{Code::kInvalidArgument, s.source, fmt::format("input '{}' is not given", s.inputs[i])};
    if (!s.value_of(it->second, &values[i], &error)) return error;
    input_names.push_back(s.inputs[i].c_str());
  }
  for (const std::string& name : s.outputs) output_names.push_back(name.c_str());
  if (!s.call<abi::Session*, const void*, const char* const*, const abi::Value* const*, size_t, const char* const*,
              size_t, abi::Value**>(abi::kRun, &error, s.session, nullptr, input_names.data(), values.data(),
                                    s.inputs.size(), output_names.data(), s.outputs.size(),
                                    values.data() + s.inputs.size()))
    return error;
  std::map<std::string, Tensor> outputs;
  for (size_t i = 0; i < s.outputs.size(); ++i) {
    Result<Tensor> tensor = s.tensor_of(values[s.inputs.size() + i], s.outputs[i]);
    if (!tensor.ok()) return tensor.error();
    outputs.emplace(s.outputs[i], std::move(tensor).value());
  }
  return outputs;
}

Result<bool> OrtSession::bind(const std::map<std::string, Tensor>& inputs,
                              const std::map<std::string, Tensor>& outputs) {
  State& s = *state_;
  Error error;
  for (abi::Value* value : s.bound) s.release(abi::kReleaseValue, value);
  s.bound.assign(s.inputs.size() + s.outputs.size(), nullptr);
  s.own_output.assign(s.outputs.size(), false);
  s.input_names.clear(), s.output_names.clear(), s.kept.clear();
  const auto take = [&](const Tensor& tensor, size_t at) {
    s.kept.push_back(tensor);
    return s.value_of(tensor, &s.bound[at], &error);
  };
  for (size_t i = 0; i < s.inputs.size(); ++i) {
    const auto it = inputs.find(s.inputs[i]);
    if (it == inputs.end())
      return Error{Code::kInvalidArgument, s.source, fmt::format("input '{}' is not given", s.inputs[i])};
    if (!take(it->second, i)) return error;
    s.input_names.push_back(s.inputs[i].c_str());
  }
  for (size_t i = 0; i < s.outputs.size(); ++i) {
    s.output_names.push_back(s.outputs[i].c_str());
    const auto it = outputs.find(s.outputs[i]);
    if (it == outputs.end()) continue;
    s.own_output[i] = true;
    if (!take(Tensor(it->second.type(), it->second.shape()), s.inputs.size() + i)) return error;
  }
  return true;
}

Result<bool> OrtSession::run_bound() {
  State& s = *state_;
  Error error;
  for (size_t i = 0; i < s.outputs.size(); ++i) {
    abi::Value*& value = s.bound[s.inputs.size() + i];
    if (s.own_output[i] || value == nullptr) continue;
    s.release(abi::kReleaseValue, value);
    value = nullptr;
  }
  if (!s.call<abi::Session*, const void*, const char* const*, const abi::Value* const*, size_t, const char* const*,
              size_t, abi::Value**>(abi::kRun, &error, s.session, nullptr, s.input_names.data(), s.bound.data(),
                                    s.inputs.size(), s.output_names.data(), s.outputs.size(),
                                    s.bound.data() + s.inputs.size()))
    return error;
  return true;
}

Result<std::map<std::string, Tensor>> OrtSession::bound_outputs() const {
  std::map<std::string, Tensor> outputs;
  for (size_t i = 0; i < state_->outputs.size(); ++i) {
    Result<Tensor> tensor = state_->tensor_of(state_->bound[state_->inputs.size() + i], state_->outputs[i]);
    if (!tensor.ok()) return tensor.error();
    outputs.emplace(state_->outputs[i], std::move(tensor).value());
  }
  return outputs;
}

}  // namespace hayate
