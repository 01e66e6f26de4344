// XGBoost's JSON.
#include "fuzz/fuzz.h"
#include "import/xgboost/xgboost.h"

using namespace hayate;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const MemoryScope scope(std::make_shared<MemoryBudget>(fuzz::kMemoryMax));
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  MemoryClaim memory;
  const Result<Document> document = parse_json(bytes, "fuzzed", &memory);
  if (document.ok())
    fuzz::use(import_xgboost(document.value(), "fuzzed", false));
  else
    fuzz::check_error(document.error());
  return 0;
}
