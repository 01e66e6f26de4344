// Structs of the C interface that grew since a caller's header, or are yet to grow: `size` says how much there is.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "hayate/result.h"

namespace hayate::c_api {

constexpr size_t kStructMax = 4096;  // bytes; a size past it is no size

// The struct as this library knows it, zeros where the caller's ends before. Null is all zeros. An error where the size
// is none, or where bytes that are not 0 lie past what is known here.
template <typename T>
Result<T> taken(const T* given, std::string_view name) {
  T made{};
  if (given == nullptr) return made;
  if (given->size < sizeof given->size || given->size > kStructMax)
    return Error{
        Code::kInvalidArgument, std::string(name),
        fmt::format("its size is {}; set it to sizeof({}), {} bytes in this version", given->size, name, sizeof(T))};
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  const bool later = given->size > sizeof(T) &&
                     std::any_of(bytes + sizeof(T), bytes + given->size, [](unsigned char byte) { return byte != 0; });
  if (later)
    return Error{
        Code::kUnsupported, std::string(name),
        fmt::format("sets what this version does not have: {} bytes, of which {} are known", given->size, sizeof(T))};
  std::memcpy(&made, given, std::min(given->size, sizeof(T)));
  return made;
}

// Into the caller's struct, as far as it reaches; false where its size is none.
template <typename T>
bool give(T made, T* to) {
  if (to->size < sizeof to->size || to->size > kStructMax) return false;
  made.size = to->size;
  std::memcpy(to, &made, std::min(to->size, sizeof(T)));
  return true;
}

}  // namespace hayate::c_api
