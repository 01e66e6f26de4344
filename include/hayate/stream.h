// A model over the last T rows, asked again at every row: the full window's answer at the cost of what the row changes.
// Or a model that carries its own state from row to row (window 0).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "hayate/executable.h"
#include "hayate/model.h"
#include "hayate/plan.h"
#include "hayate/result.h"
#include "hayate/status.h"

namespace hayate {

class Stream;
class StreamGroup;

// A model cut for streaming. A shared handle; const: any thread.
class StreamExecutable {
 public:
  int64_t window() const;
  const std::string& row_type() const;       // of a row's numbers: "float32" ...
  int64_t row_bytes() const;                 // of one row of the model's input
  const std::vector<Port>& outputs() const;  // of one answer
  // Whether a row costs less than a window; why_not() says what keeps it from that.
  bool gains() const;
  const std::string& why_not() const;
  // What every value is: kept columns, steps of a recurrence, or taken at one place; and what runs when.
  std::string explain() const;
  Stream stream() const;
  // Streams that are pushed together. Compiles what answers several rows at once; an error where that, or so many
  // streams, would pass the model's memory_max.
  Result<StreamGroup> group(size_t count) const;
  int64_t stream_bytes() const;  // memory of one stream
  // Whether so many more streams fit the model's memory_max (else the process's limit). stream() itself does not ask.
  Result<bool> room_for_streams(size_t count = 1) const;

  struct Data;
  const std::shared_ptr<const Data>& data() const { return data_; }

 private:
  explicit StreamExecutable(std::shared_ptr<const Data> data) : data_(std::move(data)) {}
  friend Result<StreamExecutable> compile_stream(const Model& model, const Plan& plan);
  friend class Stream;
  std::shared_ptr<const Data> data_;
};

// plan.window rows, time along plan.time_axis; plan.backend runs the parts. With window 0 plan.states names the model's
// states, and a row is all of its other input. An error too where not even one stream would fit the model's memory_max.
Result<StreamExecutable> compile_stream(const Model& model, const Plan& plan);

// One sliding window. One thread at a time; may move.
class Stream {
 public:
  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;
  ~Stream();

  // The row has come: output(i) is then the answer for the window that ends with it. Rows before the first are zeros,
  // or with plan.warm_up "wait" the status is kNotReady until the window is full; ready() says whether it is.
  // Allocates, locks and throws nothing but in steps that are called plain.
  Status push(const void* row) noexcept;
  const void* output(size_t i) const;
  int64_t rows() const;  // that have come
  bool ready() const;

  // What an answer leaves to do for the next ones. Where rows come faster than it is asked for, push() does what the
  // next answer needs, and of the rest what is about to be too late.
  Status settle() noexcept;
  // A slice of it, for who has other work to look after; false: nothing is left.
  bool settle_slice(Status* status) noexcept;

  // From here on a thread of the stream's own settles, on that core (-1: any), as soon as an answer is there; push()
  // waits at most for the slice that it is at. Other streams take other cores. settle_here() ends that.
  void settle_elsewhere(int core = -1);
  void settle_here() noexcept;

  void reset() noexcept;  // as before the first row
  // Rows were missed: here are the last `count`, one behind the other. All that came before is forgotten, and answers
  // are those of windows over these rows and the ones to come, the last row's at once: in about the time of a full
  // window, as that of each row that comes before settle() has done the rest (several windows' time; rows that come
  // meanwhile do some of it). Of more rows than the window has the last count. After a row that fails the stream is as
  // before the first. Of fewer rows than the window has, a stream that waits for its window gives no answer yet
  // (kNotReady), as push() does; they are taken.
  Status refill(const void* rows, int64_t count) noexcept;

  // All that the rows so far have left, to go on from in another process, or on another machine. restore() takes a
  // snapshot of a stream of the same model and plan; any other bytes are an error, and change nothing.
  std::string snapshot() const;
  Result<bool> restore(std::string_view snapshot);

  struct Data;

 private:
  friend class StreamExecutable;
  friend class StreamGroup;
  explicit Stream(std::unique_ptr<Data> data);
  std::unique_ptr<Data> data_;
};

// Streams of several instruments, on one thread: rows that come together are all answered before anything is settled,
// several by one run of a program for so many where the model's rows can be run apart, with the same bits; slices of
// settling go round. One thread at a time; may move.
class StreamGroup {
 public:
  StreamGroup(StreamGroup&&) noexcept;
  StreamGroup& operator=(StreamGroup&&) noexcept;
  ~StreamGroup();

  size_t size() const;
  Stream& operator[](size_t i);
  int64_t rows_at_once() const;  // that one run answers at most; 1: one after another

  // rows[i] is a row of stream which[i]; answered in this order, up to one that fails. A stream that is not there:
  // kBatch. kNotReady: all rows have come; some of these streams wait, for that many rows at most.
  Status push(size_t count, const size_t* which, const void* const* rows) noexcept;
  bool settle_slice(Status* status) noexcept;  // of the next one that has any; false: none has
  Status settle() noexcept;

 private:
  friend class StreamExecutable;
  struct Data;
  explicit StreamGroup(std::unique_ptr<Data> data);
  std::unique_ptr<Data> data_;
};

}  // namespace hayate
