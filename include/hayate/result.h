// Errors as values: Error says what was wrong and what would be accepted; Result<T> is a T or an Error.
#pragma once

#include <cassert>
#include <optional>
#include <string>
#include <utility>

namespace hayate {

enum class Code { kInvalidArgument, kNotFound, kUnsupported, kOutOfRange, kResourceExhausted, kInternal };

// An error for a person: `where` names file, node or value; `what` says what was wrong and what would be accepted.
struct Error {
  Code code = Code::kInternal;
  std::string where;
  std::string what;

  std::string text() const { return where.empty() ? what : where + ": " + what; }
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
