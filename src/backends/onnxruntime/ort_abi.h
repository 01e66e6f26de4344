// The entries of ONNX Runtime's C ABI that are used, declared here because the PyPI wheel ships the library without
// headers. OrtApi is a table of function pointers whose order never changes: new ones are added at its end only.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hayate::ort_abi {

struct Env;
struct Status;  // null: success
struct Session;
struct SessionOptions;
struct MemoryInfo;
struct Value;
struct TypeInfo;
struct TensorInfo;
struct Allocator;
struct CudaOptions;

using Entry = void (*)();

// Place of each entry in the table of API version 12 (ONNX Runtime 1.12).
enum Place : size_t {
  kGetErrorMessage = 2,
  kCreateEnv = 3,
  kCreateSession = 7,
  kCreateSessionFromArray = 8,
  kRun = 9,
  kCreateSessionOptions = 10,
  kSetSessionGraphOptimizationLevel = 23,
  kSetIntraOpNumThreads = 24,
  kSetInterOpNumThreads = 25,
  kSessionGetInputCount = 30,
  kSessionGetOutputCount = 31,
  kSessionGetInputName = 36,
  kSessionGetOutputName = 37,
  kCreateTensorWithDataAsOrtValue = 49,
  kIsTensor = 50,
  kGetTensorMutableData = 51,
  kGetTensorElementType = 60,
  kGetDimensionsCount = 61,
  kGetDimensions = 62,
  kGetTensorTypeAndShape = 65,
  kCreateCpuMemoryInfo = 69,
  kAllocatorFree = 76,
  kGetAllocatorWithDefaultOptions = 78,
  kReleaseEnv = 92,
  kReleaseStatus = 93,
  kReleaseMemoryInfo = 94,
  kReleaseSession = 95,
  kReleaseValue = 96,
  kReleaseTensorInfo = 99,
  kReleaseSessionOptions = 100,
  kGetAvailableProviders = 125,
  kReleaseAvailableProviders = 126,
  kAppendProviderCuda = 204,
  kCreateCudaOptions = 205,
  kReleaseCudaOptions = 208,
  kAppendProvider = 216
};

struct Base {                                 // what OrtGetApiBase() gives
  const Entry* (*get_api)(uint32_t version);  // null where the library is older than `version`
  const char* (*version)();
};

constexpr uint32_t kApiVersion = 12;
constexpr int kLogFatal = 4, kArenaAllocator = 1, kDefaultMemory = 0;

}  // namespace hayate::ort_abi
