// Universal Binary JSON, draft 12 (https://ubjson.org), as far as XGBoost writes it: all numbers big endian,
// arrays typed and counted, or counted, or open.
#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <optional>

#include "import/xgboost/document.h"

namespace hayate {
namespace {

constexpr size_t kPerUbjValue = 64;  // bytes: the name of a field and its place in the map

class UbjReader {
 public:
  UbjReader(std::string_view bytes, const std::string& source, MemoryClaim* memory)
      : bytes_(bytes), source_(source), memory_(memory) {}

  std::optional<Error> read(int depth, Document* out) {
    char marker = 0;
    if (!take(&marker)) return truncated();
    return read(marker, depth, out);
  }

  size_t left() const { return bytes_.size() - at_; }

 private:
  Error bad(std::string what) const {
    return Error{Code::kInvalidArgument, fmt::format("{}: byte {}", source_, at_), std::move(what)};
  }
  Error truncated() const { return bad("ends within the document: the file is truncated"); }

  // What the next part of the document takes.
  std::optional<Error> claim(size_t bytes) {
    const Result<bool> room = memory_->grow(static_cast<int64_t>(bytes), source_);
    if (!room.ok()) return room.error();
    return std::nullopt;
  }

  bool take(char* marker) {
    if (left() < 1) return false;
    *marker = bytes_[at_++];
    return true;
  }
  bool next_is(char marker) {
    if (left() < 1 || bytes_[at_] != marker) return false;
    ++at_;
    return true;
  }

  template <typename U>
  U big_endian() {
    U value = 0;
    for (size_t i = 0; i < sizeof(U); ++i) value = static_cast<U>(value << 8 | static_cast<uint8_t>(bytes_[at_ + i]));
    at_ += sizeof(U);
    return value;
  }

  // Bytes of a number after its marker; 0: the marker is none of a number.
  static size_t number_size(char marker) {
    switch (marker) {
      case 'i':
      case 'U':
        return 1;
      case 'I':
        return 2;
      case 'l':
      case 'd':
        return 4;
      case 'L':
      case 'D':
        return 8;
      default:
        return 0;
    }
  }

  // Requires: number_size(marker) bytes are left, and not zero.
  double number(char marker) {
    switch (marker) {
      case 'i':
        return static_cast<int8_t>(big_endian<uint8_t>());
      case 'U':
        return big_endian<uint8_t>();
      case 'I':
        return static_cast<int16_t>(big_endian<uint16_t>());
      case 'l':
        return static_cast<int32_t>(big_endian<uint32_t>());
      case 'L':
        return static_cast<double>(static_cast<int64_t>(big_endian<uint64_t>()));
      case 'd':
        return static_cast<double>(std::bit_cast<float>(big_endian<uint32_t>()));
      default:
        return std::bit_cast<double>(big_endian<uint64_t>());
    }
  }

  // A length: an integer with its marker. Never more than the bytes left, since everything counted takes at
  // least one (the markers without a body are read one by one).
  std::optional<Error> length(size_t* out) {
    char marker = 0;
    if (!take(&marker)) return truncated();
    if (marker == 'd' || marker == 'D' || number_size(marker) == 0)
      return bad(fmt::format("a length has the marker '{}'", printable(marker)));
    if (left() < number_size(marker)) return truncated();
    const double value = number(marker);
    if (!(value >= 0) || value > static_cast<double>(left()))
      return bad(fmt::format("a length of {} passes the {} bytes left", value, left()));
    *out = static_cast<size_t>(value);
    return std::nullopt;
  }

  static std::string printable(char c) {
    return c >= ' ' && c < 127 ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<uint8_t>(c));
  }

  std::optional<Error> read_text(std::string* out) {
    size_t count = 0;
    if (auto error = length(&count)) return error;
    if (left() < count) return truncated();
    if (auto error = claim(count)) return error;
    out->assign(bytes_.substr(at_, count));
    at_ += count;
    return std::nullopt;
  }

  std::optional<Error> read(char marker, int depth, Document* out) {
    if (++values_ > kDocumentValuesMax) return bad(fmt::format("holds more than {} values", kDocumentValuesMax));
    if (auto error = claim(sizeof(Document) + kPerUbjValue)) return error;
    if (depth > kDocumentDepthMax) return bad(fmt::format("is nested deeper than {} levels", kDocumentDepthMax));
    switch (marker) {
      case '{':
        return read_object(depth, out);
      case '[':
        return read_array(depth, out);
      case 'S':
        out->kind = Document::Kind::kText;
        return read_text(&out->text);
      case 'Z':
        return std::nullopt;
      case 'T':
      case 'F':
        out->kind = Document::Kind::kNumber, out->number = marker == 'T';
        return std::nullopt;
      case 'C':
        if (left() < 1) return truncated();
        out->kind = Document::Kind::kText, out->text = std::string(1, bytes_[at_++]);
        return std::nullopt;
      default:
        break;
    }
    if (number_size(marker) == 0) return bad(fmt::format("the marker '{}' is unknown", printable(marker)));
    if (left() < number_size(marker)) return truncated();
    out->kind = Document::Kind::kNumber, out->number = number(marker);
    return std::nullopt;
  }

  std::optional<Error> read_object(int depth, Document* out) {
    out->kind = Document::Kind::kObject;
    std::optional<size_t> count;
    if (next_is('#')) {
      size_t given = 0;
      if (auto error = length(&given)) return error;
      count = given;
    }
    for (size_t i = 0; !count || i < *count; ++i) {
      if (!count && next_is('}')) return std::nullopt;
      std::string key;
      if (auto error = read_text(&key)) return error;
      Document made;
      if (auto error = read(depth + 1, &made)) return error;
      out->fields.insert_or_assign(std::move(key), std::move(made));
    }
    return std::nullopt;
  }

  std::optional<Error> read_array(int depth, Document* out) {
    out->kind = Document::Kind::kArray;
    char type = 0;
    if (next_is('$') && !take(&type)) return truncated();
    size_t count = 0;
    const bool counted = next_is('#');
    if (type != 0 && !counted) return bad("a typed array has no length");
    if (counted)
      if (auto error = length(&count)) return error;
    if (type != 0) return read_typed(type, count, out);
    for (size_t i = 0; !counted || i < count; ++i) {
      if (!counted && next_is(']')) return std::nullopt;
      if (auto error = read_element(depth, out)) return error;
    }
    return std::nullopt;
  }

  std::optional<Error> read_typed(char type, size_t count, Document* out) {
    const size_t size = number_size(type);
    if (size == 0) return bad(fmt::format("arrays of type '{}' are not supported", printable(type)));
    if (count > left() / size) return truncated();
    if (auto error = claim(count * sizeof(double))) return error;
    out->numbers.resize(count);
    for (double& value : out->numbers) value = number(type);
    return std::nullopt;
  }

  std::optional<Error> read_element(int depth, Document* out) {
    Document made;
    if (auto error = read(depth + 1, &made)) return error;
    const bool is_number = made.kind == Document::Kind::kNumber;
    if (is_number ? !out->items.empty() : !out->numbers.empty())
      return bad("an array holds numbers and other things mixed");
    if (is_number)
      out->numbers.push_back(made.number);
    else
      out->items.push_back(std::move(made));
    return std::nullopt;
  }

  std::string_view bytes_;
  const std::string& source_;
  size_t at_ = 0;
  int64_t values_ = 0;
  MemoryClaim* memory_;
};

}  // namespace

Result<Document> parse_ubjson(std::string_view bytes, const std::string& source, MemoryClaim* memory) {
  UbjReader reader(bytes, source, memory);
  Document out;
  if (auto error = reader.read(0, &out)) return *error;
  if (reader.left() != 0)
    return Error{Code::kInvalidArgument, source, fmt::format("holds {} bytes after its document", reader.left())};
  return out;
}

}  // namespace hayate
