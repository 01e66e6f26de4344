// Writing JSON: the one place that quotes and that knows what is no number there.
#pragma once

#include <string>
#include <string_view>

namespace hayate {

// `text` as a JSON string, quotes included. Bytes above 0x7f stay as they are: text is taken for UTF-8.
std::string json_string(std::string_view text);

// Six digits of it; null where it is infinite or NaN, which JSON has no word for.
std::string json_number(double number);

}  // namespace hayate
