// A model over the last T rows, asked again at every row: the full window's answer at the cost of what the row changes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "hayate/executable.h"
#include "hayate/model.h"
#include "hayate/plan.h"
#include "hayate/result.h"
#include "hayate/status.h"

namespace hayate {

class Stream;

// A model cut for streaming. A shared handle; const: any thread.
class StreamExecutable {
 public:
  int64_t window() const;
  int64_t row_bytes() const;                // of one row of the model's input
  const std::vector<Port>& outputs() const;  // of one answer
  // Whether a row costs less than a window; why_not() says what keeps it from that.
  bool gains() const;
  const std::string& why_not() const;
  // What every value is: kept columns, steps of a recurrence, or taken at one place; and what runs when.
  std::string explain() const;
  Stream stream() const;

  struct Data;

 private:
  explicit StreamExecutable(std::shared_ptr<const Data> data) : data_(std::move(data)) {}
  friend Result<StreamExecutable> compile_stream(const Model& model, const Plan& plan);
  friend class Stream;
  std::shared_ptr<const Data> data_;
};

// plan.window rows, time along plan.time_axis; plan.backend runs the parts.
Result<StreamExecutable> compile_stream(const Model& model, const Plan& plan);

// One sliding window. One thread at a time; may move.
class Stream {
 public:
  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;
  ~Stream();

  // The row has come: output(i) is then the answer for the window that ends with it. Rows before the first are zeros;
  // ready() says whether the window is full. Allocates, locks and throws nothing but in steps that are called plain.
  Status push(const void* row) noexcept;
  const void* output(size_t i) const;
  bool ready() const;

  // What an answer leaves to do for the next ones. push() does it first where it was not asked for.
  Status settle() noexcept;

  void reset() noexcept;  // as before the first row

 private:
  friend class StreamExecutable;
  struct Data;
  explicit Stream(std::unique_ptr<Data> data);
  std::unique_ptr<Data> data_;
};

}  // namespace hayate
