// LightGBM's text.
#include "fuzz/fuzz.h"
#include "import/lightgbm/lightgbm.h"

using namespace hayate;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const MemoryScope scope(std::make_shared<MemoryBudget>(fuzz::kMemoryMax));
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  fuzz::use(import_lightgbm(bytes, "fuzzed", false));
  return 0;
}
