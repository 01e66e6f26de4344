#include "backends/onnxruntime/ort_session.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

namespace hayate {
namespace {

namespace abi = ort_abi;

// ONNX's TensorProto.DataType, which ONNX Runtime uses for its elements too.
constexpr std::pair<Type, int> kTypes[] = {
    {Type::kFloat32, 1}, {Type::kUInt8, 2},   {Type::kInt8, 3},     {Type::kUInt16, 4},   {Type::kInt16, 5},
    {Type::kInt32, 6},   {Type::kInt64, 7},   {Type::kBool, 9},     {Type::kFloat16, 10}, {Type::kFloat64, 11},
    {Type::kUInt32, 12}, {Type::kUInt64, 13}, {Type::kBFloat16, 16}};

constexpr std::pair<const char*, int> kLevels[] = {{"none", 0}, {"basic", 1}, {"extended", 2}, {"all", 99}};

constexpr std::string_view kSuffix = "ExecutionProvider";

// "CUDA" from "CUDAExecutionProvider" or "CUDA".
std::string short_name(std::string provider) {
  if (provider.ends_with(kSuffix)) provider.resize(provider.size() - kSuffix.size());
  return provider;
}

}  // namespace

Result<std::shared_ptr<const OrtSession>> OrtSession::create(std::shared_ptr<const OrtLibrary> library,
                                                             const std::string& path, const std::string& bytes,
                                                             const OrtOptions& options) {
  std::shared_ptr<OrtSession> made(new OrtSession);
  made->library_ = std::move(library);
  made->source_ = path;
  Error error;
  const OrtLibrary& l = *made->library_;
  const bool good =
      l.call<int, const char*, abi::Env**>(abi::kCreateEnv, &error, abi::kLogFatal, "hayate", &made->env_) &&
      l.call<abi::SessionOptions**>(abi::kCreateSessionOptions, &error, &made->options_) &&
      made->configure(options, &error) &&
      l.call<int, int, abi::MemoryInfo**>(abi::kCreateCpuMemoryInfo, &error, abi::kArenaAllocator, abi::kDefaultMemory,
                                          &made->memory_) &&
      made->load(path, bytes, &error) &&
      made->names(abi::kSessionGetInputCount, abi::kSessionGetInputName, &made->inputs_, &error) &&
      made->names(abi::kSessionGetOutputCount, abi::kSessionGetOutputName, &made->outputs_, &error);
  if (!good) {
    if (error.where.empty()) error.where = path;
    return error;
  }
  return std::shared_ptr<const OrtSession>(made);
}

OrtSession::~OrtSession() {
  library_->release(abi::kReleaseSession, session_);
  library_->release(abi::kReleaseSessionOptions, options_);
  library_->release(abi::kReleaseMemoryInfo, memory_);
  library_->release(abi::kReleaseEnv, env_);
}

bool OrtSession::load(const std::string& path, const std::string& bytes, Error* error) {
  if (bytes.empty())
    return library_->call<const abi::Env*, const char*, const abi::SessionOptions*, abi::Session**>(
        abi::kCreateSession, error, env_, path.c_str(), options_, &session_);
  return library_->call<const abi::Env*, const void*, size_t, const abi::SessionOptions*, abi::Session**>(
      abi::kCreateSessionFromArray, error, env_, bytes.data(), bytes.size(), options_, &session_);
}

bool OrtSession::configure(const OrtOptions& options, Error* error) {
  const auto* level = std::find_if(std::begin(kLevels), std::end(kLevels),
                                   [&](const auto& known) { return known.first == options.optimisation; });
  if (level == std::end(kLevels)) {
    *error = {Code::kInvalidArgument, "optimisation '" + options.optimisation + "'",
              "is not known to ONNX Runtime; none, basic, extended and all are"};
    return false;
  }
  return library_->call<abi::SessionOptions*, int>(abi::kSetSessionGraphOptimizationLevel, error, options_,
                                                   level->second) &&
         library_->call<abi::SessionOptions*, int>(abi::kSetIntraOpNumThreads, error, options_, options.threads) &&
         library_->call<abi::SessionOptions*, int>(abi::kSetInterOpNumThreads, error, options_, 1) &&
         add_provider(short_name(options.provider), error);
}

bool OrtSession::add_provider(const std::string& provider, Error* error) {
  std::vector<std::string> known = library_->providers();
  std::transform(known.begin(), known.end(), known.begin(), short_name);
  if (std::find(known.begin(), known.end(), provider) == known.end()) {
    *error = {Code::kUnsupported, "execution provider '" + provider + "'",
              fmt::format("is not in {} (ONNX Runtime {}); it has {}", library_->path(), library_->version(),
                          fmt::join(known, ", "))};
    return false;
  }
  if (provider == "CPU") return true;
  if (provider != "CUDA")
    return library_->call<abi::SessionOptions*, const char*, const char* const*, const char* const*, size_t>(
        abi::kAppendProvider, error, options_, provider.c_str(), nullptr, nullptr, size_t{0});
  abi::CudaOptions* cuda = nullptr;  // the generic call does not take it
  const bool good =
      library_->call<abi::CudaOptions**>(abi::kCreateCudaOptions, error, &cuda) &&
      library_->call<abi::SessionOptions*, const abi::CudaOptions*>(abi::kAppendProviderCuda, error, options_, cuda);
  library_->release(abi::kReleaseCudaOptions, cuda);
  return good;
}

// The names of all inputs or outputs; they come in memory of ONNX Runtime's allocator.
bool OrtSession::names(abi::Place count_of, abi::Place name_of, std::vector<std::string>* out, Error* error) const {
  size_t count = 0;
  abi::Allocator* allocator = nullptr;
  if (!library_->call<const abi::Session*, size_t*>(count_of, error, session_, &count) ||
      !library_->call<abi::Allocator**>(abi::kGetAllocatorWithDefaultOptions, error, &allocator))
    return false;
  for (size_t i = 0; i < count; ++i) {
    char* name = nullptr;
    if (!library_->call<const abi::Session*, size_t, abi::Allocator*, char**>(name_of, error, session_, i, allocator,
                                                                              &name))
      return false;
    out->push_back(name);
    if (!library_->call<abi::Allocator*, void*>(abi::kAllocatorFree, error, allocator, name)) return false;
  }
  return true;
}

OrtValues::OrtValues(std::shared_ptr<const OrtSession> session)
    : session_(std::move(session)),
      inputs_(session_->inputs().size(), nullptr),
      outputs_(session_->outputs().size(), nullptr),
      own_memory_(session_->outputs().size(), false) {
  for (const std::string& name : session_->inputs()) input_names_.push_back(name.c_str());
  for (const std::string& name : session_->outputs()) output_names_.push_back(name.c_str());
}

OrtValues::~OrtValues() {
  for (const std::vector<abi::Value*>* values : {&inputs_, &outputs_})
    for (abi::Value* value : *values) session_->library_->release(abi::kReleaseValue, value);
}

bool OrtValues::value_of(const Tensor& tensor, abi::Value** value, Error* error) const {
  session_->library_->release(abi::kReleaseValue, *value);
  *value = nullptr;
  const auto* type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                  [&](const auto& known) { return known.first == tensor.type(); });
  return session_->library_->call<const abi::MemoryInfo*, void*, size_t, const int64_t*, size_t, int, abi::Value**>(
      abi::kCreateTensorWithDataAsOrtValue, error, session_->memory_, const_cast<std::byte*>(tensor.bytes()),
      tensor.byte_count(), tensor.shape().data(), tensor.shape().size(), type->second, value);
}

bool OrtValues::set_input(size_t i, const Tensor& tensor, Error* error) { return value_of(tensor, &inputs_[i], error); }

bool OrtValues::set_output(size_t i, const Tensor& tensor, Error* error) {
  own_memory_[i] = true;
  return value_of(tensor, &outputs_[i], error);
}

bool OrtValues::run(Error* error) {
  for (size_t i = 0; i < outputs_.size(); ++i) {
    if (own_memory_[i]) continue;
    session_->library_->release(abi::kReleaseValue, outputs_[i]);
    outputs_[i] = nullptr;
  }
  return session_->library_->call<abi::Session*, const void*, const char* const*, const abi::Value* const*, size_t,
                                  const char* const*, size_t, abi::Value**>(
      abi::kRun, error, session_->session_, nullptr, input_names_.data(), inputs_.data(), inputs_.size(),
      output_names_.data(), outputs_.size(), outputs_.data());
}

Result<Tensor> OrtValues::output(size_t i) const {
  const OrtLibrary& l = *session_->library_;
  const std::string& name = session_->outputs()[i];
  const auto unsupported = [&](std::string what) {
    return Error{Code::kUnsupported, session_->source(), fmt::format("output '{}' {}", name, what)};
  };
  Error error;
  int is_tensor = 0, code = 0;
  if (!l.call<const abi::Value*, int*>(abi::kIsTensor, &error, outputs_[i], &is_tensor)) return error;
  if (is_tensor == 0) return unsupported("is no tensor; only tensors are supported");
  abi::TensorInfo* info = nullptr;
  if (!l.call<const abi::Value*, abi::TensorInfo**>(abi::kGetTensorTypeAndShape, &error, outputs_[i], &info))
    return error;
  size_t rank = 0;
  void* data = nullptr;
  Shape shape;
  bool good = l.call<const abi::TensorInfo*, int*>(abi::kGetTensorElementType, &error, info, &code) &&
              l.call<const abi::TensorInfo*, size_t*>(abi::kGetDimensionsCount, &error, info, &rank);
  if (good) {
    shape.resize(rank);
    good = l.call<const abi::TensorInfo*, int64_t*, size_t>(abi::kGetDimensions, &error, info, shape.data(), rank) &&
           l.call<const abi::Value*, void**>(abi::kGetTensorMutableData, &error, outputs_[i], &data);
  }
  l.release(abi::kReleaseTensorInfo, info);
  if (!good) return error;
  const auto* type =
      std::find_if(std::begin(kTypes), std::end(kTypes), [&](const auto& known) { return known.second == code; });
  if (type == std::end(kTypes)) return unsupported(fmt::format("has element type {}, which is not supported", code));
  Tensor tensor(type->first, shape);
  if (tensor.byte_count() != 0) std::memcpy(tensor.bytes(), data, tensor.byte_count());
  return tensor;
}

}  // namespace hayate
