#include "import/import.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/memory_budget.h"
#include "import/lightgbm/lightgbm.h"
#include "import/onnx/onnx.h"
#include "import/xgboost/xgboost.h"
#include "tensor/npy.h"

namespace hayate {
namespace {

constexpr const char* kAccepted = "ONNX, LightGBM text, XGBoost JSON and UBJSON models are accepted";

// JSON and UBJSON both open with a brace; UBJSON goes on with the marker of its first key's length.
enum class Format { kOnnx, kLightGbm, kJson, kUbjson, kUnknown };

Format format_of(std::string_view bytes) {
  if (is_lightgbm(bytes)) return Format::kLightGbm;
  const size_t first = bytes.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && bytes[first] == '{') {
    const size_t second = bytes.find_first_not_of(" \t\r\n", first + 1);
    const char next = second == std::string_view::npos ? '"' : bytes[second];
    return next == '"' || next == '}' ? Format::kJson : Format::kUbjson;
  }
  // A ModelProto opens with one of its low field numbers, of wire type varint or length-delimited.
  const uint8_t tag = static_cast<uint8_t>(bytes[0]);
  const bool onnx = (tag & 7) == 0 || (tag & 7) == 2;
  return onnx && tag >> 3 >= 1 && tag >> 3 <= 26 ? Format::kOnnx : Format::kUnknown;
}

// What the bytes of no accepted format may be.
const char* hint(std::string_view bytes) {
  const std::string_view head = bytes.substr(0, 4096);
  const auto holds = [&](std::string_view word) { return head.find(word) != std::string_view::npos; };
  if (head.starts_with("binf") || ((holds("gbtree") || holds("gblinear") || holds("dart")) && holds(":")))
    return " (an old binary XGBoost model: load it with XGBoost 1.0 to 3.0 and save it as .json)";
  if (head.starts_with("ccopy_reg") || head.starts_with("\x80"))
    return " (a Python pickle: save the model in its library's own format, as text, JSON or ONNX)";
  return "";
}

Result<Graph> from_document(const Result<Document>& document, const std::string& source, const ImportOptions& options) {
  if (!document.ok()) return document.error();
  return import_xgboost(document.value(), source, options.raw_score);
}

}  // namespace

namespace {

// `folder` is the model's, where it is a file.
Result<Graph> import_bytes(std::string_view bytes, const std::string& source, const std::string* folder,
                           const ImportOptions& options) {
  if (bytes.empty()) return Error{Code::kInvalidArgument, source, fmt::format("is empty; {}", kAccepted)};
  MemoryClaim document;
  switch (format_of(bytes)) {
    case Format::kLightGbm:
      return import_lightgbm(bytes, source, options.raw_score);
    case Format::kJson:
      return from_document(parse_json(bytes, source, &document), source, options);
    case Format::kUbjson:
      return from_document(parse_ubjson(bytes, source, &document), source, options);
    case Format::kOnnx: {
      Result<Graph> graph = folder == nullptr ? import_onnx(bytes, source) : import_onnx(bytes, source, *folder);
      if (graph.ok() || !graph.error().what.starts_with("is no readable ONNX")) return graph;
      return Error{graph.error().code, source, fmt::format("{}; {}{}", graph.error().what, kAccepted, hint(bytes))};
    }
    case Format::kUnknown:
      break;
  }
  return Error{Code::kInvalidArgument, source, fmt::format("is of an unknown format; {}{}", kAccepted, hint(bytes))};
}

}  // namespace

Result<Graph> import_model(std::string_view bytes, const std::string& source, const ImportOptions& options) {
  return import_bytes(bytes, source, nullptr, options);
}

Result<Graph> import_model(const std::string& path, const ImportOptions& options) {
  const Result<std::string> bytes = read_file(path);
  if (!bytes.ok()) return bytes.error();
  const MemoryClaim claim(static_cast<int64_t>(bytes.value().size()));
  const std::string folder = std::filesystem::path(path).parent_path();
  return import_bytes(bytes.value(), path, &folder, options);
}

}  // namespace hayate
