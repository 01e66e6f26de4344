// A library that looks like ONNX Runtime 1.0: it offers the first version of the C API alone. For tests.
#include <cstdint>

namespace {

using Entry = void (*)();
const Entry kNone[1] = {nullptr};

const Entry* get_api(uint32_t version) { return version == 1 ? kNone : nullptr; }
const char* version() { return "1.0.0"; }

struct Base {
  const Entry* (*get_api)(uint32_t version);
  const char* (*version)();
};
const Base kBase = {get_api, version};

}  // namespace

extern "C" const void* OrtGetApiBase() { return &kBase; }
