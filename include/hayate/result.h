// Errors as values: Error says what was wrong and what would be accepted; Result<T> is a T or an Error.
#pragma once

#include <cassert>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace hayate {

enum class Code { kInvalidArgument, kNotFound, kUnsupported, kOutOfRange, kResourceExhausted, kInternal };

// What a file says as a terminal or a log may have it: control bytes, and bytes that are no UTF-8, as \n, \t, \x1b.
// Printing it twice changes nothing more.
std::string printable(std::string_view text);

// An error for a person: `where` names file, node or value; `what` says what was wrong and what would be accepted.
struct Error {
  Code code = Code::kInternal;
  std::string where;
  std::string what;

  // One line, printable; of a `where` that is very long the middle is left out, so that the reason is seen.
  std::string text() const;
};

// A value or an error, exactly one of them. Reading the absent one is a bug of the caller (asserted).
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}      // NOLINT: implicit, so that `return value;` reads well
  Result(Error error) : error_(std::move(error)) {}  // NOLINT

  bool ok() const { return value_.has_value(); }
  const T& value() const& {
    assert(ok());
    return *value_;
  }
  T& value() & {
    assert(ok());
    return *value_;
  }
  T&& value() && {
    assert(ok());
    return std::move(*value_);
  }
  const Error& error() const {
    assert(!ok());
    return error_;
  }

 private:
  std::optional<T> value_;
  Error error_;
};

}  // namespace hayate
