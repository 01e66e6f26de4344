// One caller's memory of a compiled model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "hayate/status.h"

namespace hayate {

class Executable;

// One thread at a time; may move. Row r of input i lies at input(i) + r * the port's row_bytes.
class Session {
 public:
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  void* input(size_t i);
  const void* output(size_t i) const;
  // The caller's memory instead, for batch_max rows, 64-byte aligned; null: the session's own again.
  void bind_input(size_t i, void* memory);
  void bind_output(size_t i, void* memory);

  // Rows 0 to n - 1, n from 0 to the plan's batch_max; zero rows give zero rows. Nothing is allocated, locked or thrown
  // but by steps that Executable::text() calls plain.
  Status run(int64_t n) noexcept;
  std::string text(Status status) const;

 private:
  friend class Executable;
  struct Data;
  explicit Session(std::unique_ptr<Data> data);
  std::unique_ptr<Data> data_;
};

}  // namespace hayate
