#include "base/json.h"

#include <fmt/format.h>

#include <cmath>

namespace hayate {

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\u{:04x}", static_cast<int>(c));
    else
      out += c;
  }
  return out + "\"";
}

std::string json_number(double number) { return std::isfinite(number) ? fmt::format("{:.6g}", number) : "null"; }

}  // namespace hayate
