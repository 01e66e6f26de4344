// A JSON or UBJSON document in memory: what XGBoost's two model formats have in common.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/memory_budget.h"
#include "hayate/result.h"

namespace hayate {

// One value. Numbers and booleans are float64, those written as fractions having been rounded to float32
// first, as the library reads them. An array of numbers lies in `numbers`, of anything else in `items`; an
// empty one is both.
struct Document {
  enum class Kind : uint8_t { kNull, kNumber, kText, kArray, kObject };
  Kind kind = Kind::kNull;
  double number = 0;
  std::string text;
  std::vector<double> numbers;
  std::vector<Document> items;
  std::map<std::string, Document, std::less<>> fields;

  // The field, or a null document.
  const Document& operator[](std::string_view key) const;
};

constexpr int kDocumentDepthMax = 32;
constexpr int64_t kDocumentValuesMax = int64_t{1} << 22;  // numbers in arrays do not count; a tree has some 20

// Bytes are not trusted: nesting and values beyond the limits, more than the memory budget holds, counts beyond the
// bytes and mixed arrays are errors. What the document takes is added to `memory`, which is to live as long as it.
Result<Document> parse_json(std::string_view bytes, const std::string& source, MemoryClaim* memory);
Result<Document> parse_ubjson(std::string_view bytes, const std::string& source, MemoryClaim* memory);

}  // namespace hayate
