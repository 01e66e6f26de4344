// Names come from files: what they hold must not move a terminal's cursor, nor look like a line of its own.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "hayate/result.h"

namespace hayate {
namespace {

constexpr size_t kWhereMax = 220, kWhereHead = 100, kWhereTail = 110;  // bytes of Error::where that text() shows

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// A character of UTF-8 and how many bytes it takes; 0 bytes where there is none.
struct Character {
  uint32_t code = 0;
  size_t bytes = 0;
};

Character character_at(std::string_view text) {
  constexpr uint32_t kLowest[] = {0, 0, 0x80, 0x800, 0x10000};  // of so many bytes: what is lower is no UTF-8
  const unsigned first = static_cast<unsigned char>(text[0]);
  const size_t bytes = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
  if (bytes == 0 || bytes > text.size()) return {};
  if (bytes == 1) return {first, 1};
  uint32_t code = first & (0x7fU >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    if (!continues(text[i])) return {};
    code = code << 6 | (static_cast<unsigned char>(text[i]) & 0x3fU);
  }
  if (code < kLowest[bytes] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return {};
  return {code, bytes};
}

// Control characters, line separators, and what turns the direction of the text behind it.
bool is_control(uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x2028 && code <= 0x202e) ||
         (code >= 0x2066 && code <= 0x2069);
}

std::string escaped(char c) {
  if (c == '\n') return "\\n";
  if (c == '\r') return "\\r";
  if (c == '\t') return "\\t";
  return fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
}

}  // namespace

std::string printable(std::string_view text) {
  if (std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; })) return std::string(text);
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const auto [code, bytes] = character_at(text.substr(i));
    if (bytes != 0 && !is_control(code)) {
      out.append(text.substr(i, bytes));
      i += bytes;
      continue;
    }
    for (const size_t end = i + std::max<size_t>(bytes, 1); i < end; ++i) out += escaped(text[i]);
  }
  return out;
}

std::string Error::text() const {
  std::string at = printable(where);
  if (at.size() > kWhereMax) {
    size_t head = kWhereHead, tail = at.size() - kWhereTail;
    while (continues(at[head])) --head;
    while (continues(at[tail])) ++tail;
    at = at.substr(0, head) + " ... " + at.substr(tail);
  }
  return at.empty() ? printable(what) : at + ": " + printable(what);
}

}  // namespace hayate
