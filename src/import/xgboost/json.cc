#include <fmt/format.h>
#include <simdjson.h>

#include <charconv>
#include <limits>
#include <optional>

#include "import/xgboost/document.h"

namespace hayate {

const Document& Document::operator[](std::string_view key) const {
  static const Document kNone;
  const auto it = fields.find(key);
  return it == fields.end() ? kNone : it->second;
}

namespace {

namespace json = simdjson::ondemand;

constexpr size_t kParserPerByte = 7;  // simdjson: a copy, places of 4 bytes, texts of up to 5/3
constexpr size_t kPerJsonValue = 64;  // bytes: the name of a field and its place in the map

// The reader walks forward once; any fault of the text ends it with simdjson's own words.
class JsonReader {
 public:
  JsonReader(const std::string& source, MemoryClaim* memory) : source_(source), memory_(memory) {}

  std::optional<Error> read(json::value value, int depth, Document* out) {
    if (++values_ > kDocumentValuesMax) return bad(fmt::format("holds more than {} values", kDocumentValuesMax));
    if (auto error = claim(sizeof(Document) + kPerJsonValue)) return error;
    if (depth > kDocumentDepthMax) return bad(fmt::format("is nested deeper than {} levels", kDocumentDepthMax));
    json::json_type type;
    if (const auto error = value.type().get(type)) return bad(error);
    switch (type) {
      case json::json_type::object:
        return read_object(value, depth, out);
      case json::json_type::array:
        return read_array(value, depth, out);
      case json::json_type::string:
        return read_text(value, out);
      case json::json_type::null: {
        bool null = false;
        if (const auto error = value.is_null().get(null)) return bad(error);
        return std::nullopt;
      }
      default:
        out->kind = Document::Kind::kNumber;
        return read_number(value, type, &out->number);
    }
  }

  Error bad(simdjson::error_code error) const {
    return bad(fmt::format("is no readable JSON (truncated?): {}", simdjson::error_message(error)));
  }
  Error bad(std::string what) const { return Error{Code::kInvalidArgument, source_, std::move(what)}; }

 private:
  std::optional<Error> read_object(json::value value, int depth, Document* out) {
    out->kind = Document::Kind::kObject;
    json::object object;
    if (const auto error = value.get_object().get(object)) return bad(error);
    for (auto field : object) {
      std::string_view key;
      json::value inner;
      if (const auto error = field.unescaped_key().get(key)) return bad(error);
      Document& made = out->fields[std::string(key)];
      if (const auto error = field.value().get(inner)) return bad(error);
      made = Document();
      if (auto error = read(inner, depth + 1, &made)) return error;
    }
    return std::nullopt;
  }

  std::optional<Error> read_array(json::value value, int depth, Document* out) {
    out->kind = Document::Kind::kArray;
    json::array array;
    if (const auto error = value.get_array().get(array)) return bad(error);
    for (auto element : array) {
      json::value inner;
      json::json_type type;
      if (const auto error = element.get(inner)) return bad(error);
      if (auto error = claim(2 * sizeof(double))) return error;  // the vector grows by doubling
      if (const std::optional<double> beyond = not_finite(inner)) {
        if (!out->items.empty()) return bad("holds an array of numbers and other things mixed");
        out->numbers.push_back(*beyond);
        continue;
      }
      if (const auto error = inner.type().get(type)) return bad(error);
      const bool number = type == json::json_type::number || type == json::json_type::boolean;
      if (number ? !out->items.empty() : !out->numbers.empty())
        return bad("holds an array of numbers and other things mixed");
      std::optional<Error> error = number ? read_number(inner, type, &out->numbers.emplace_back())
                                          : read(inner, depth + 1, &out->items.emplace_back());
      if (error) return error;
    }
    return std::nullopt;
  }

  // What the next part of the document takes.
  std::optional<Error> claim(size_t bytes) {
    const Result<bool> room = memory_->grow(static_cast<int64_t>(bytes), source_);
    if (!room.ok()) return room.error();
    return std::nullopt;
  }

  // NaN, Infinity and -Infinity, which JSON does not know but XGBoost writes (in the split_conditions of vector
  // leaves).
  static std::optional<double> not_finite(json::value value) {
    const std::string_view token = value.raw_json_token();
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    if (token.starts_with("NaN")) return std::numeric_limits<double>::quiet_NaN();
    if (token.starts_with("Infinity")) return kInfinity;
    return token.starts_with("-Infinity") ? std::optional(-kInfinity) : std::nullopt;
  }

  std::optional<Error> read_text(json::value value, Document* out) {
    out->kind = Document::Kind::kText;
    std::string_view text;
    if (const auto error = value.get_string().get(text)) return bad(error);
    if (auto error = claim(text.size())) return error;
    out->text = text;
    return std::nullopt;
  }

  std::optional<Error> read_number(json::value value, json::json_type type, double* out) {
    if (type == json::json_type::boolean) {
      bool truth = false;
      if (const auto error = value.get_bool().get(truth)) return bad(error);
      *out = truth ? 1 : 0;
      return std::nullopt;
    }
    std::string_view token = value.raw_json_token();
    while (!token.empty() &&
           (token.back() == ' ' || token.back() == '\n' || token.back() == '\r' || token.back() == '\t'))
      token.remove_suffix(1);
    double exact = 0;  // simdjson checks the grammar, its value is not used: float32 must round once
    if (const auto error = value.get_double().get(exact)) return bad(error);
    *out = exact;
    if (token.find_first_of(".eE") == std::string_view::npos) return std::nullopt;
    float rounded = 0;
    const auto [at, status] = std::from_chars(token.data(), token.data() + token.size(), rounded);
    *out = status == std::errc() ? rounded : static_cast<double>(static_cast<float>(exact));
    return std::nullopt;
  }

  const std::string& source_;
  int64_t values_ = 0;
  MemoryClaim* memory_;
};

}  // namespace

Result<Document> parse_json(std::string_view bytes, const std::string& source, MemoryClaim* memory) {
  MemoryClaim parser_memory;
  if (const Result<bool> room = parser_memory.grow(static_cast<int64_t>(bytes.size() * kParserPerByte), source);
      !room.ok())
    return room.error();
  const simdjson::padded_string padded(bytes);
  json::parser parser;
  json::document document;
  const JsonReader bare(source, memory);
  if (const auto error = parser.iterate(padded).get(document)) return bare.bad(error);
  json::value root;
  if (const auto error = document.get_value().get(root)) return bare.bad(error);
  Document out;
  if (auto error = JsonReader(source, memory).read(root, 0, &out)) return *error;
  const char* behind = nullptr;  // an error there says that nothing follows
  if (document.current_location().get(behind) == simdjson::SUCCESS) return bare.bad("holds more than one JSON value");
  return out;
}

}  // namespace hayate
