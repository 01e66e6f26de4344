// How much memory an ONNX file takes once it is parsed, told from its bytes without parsing it: an empty node of two
// bytes becomes an object of some hundred.
#pragma once

#include <cstdint>
#include <string_view>

namespace hayate {

// About the bytes that the parsed Model takes, never much less; of unreadable bytes, of what can be read.
int64_t parsed_model_size(std::string_view bytes);

}  // namespace hayate
