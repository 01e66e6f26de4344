// The windows in flight of a recurrent model. Window q is the one that row q completes; so many rows before, it starts,
// and takes every row's columns as one step. Blocks of windows take a step together, and may lag behind the rows; the
// window whose answer is next is brought up alone where its block lags.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/rows_kept.h"
#include "runtime/stream_parts.h"
#include "runtime/streaming.h"

namespace hayate {

class Windows {
 public:
  // Binds columns and states of `answer`, which must live as long. Requires: of.cut.follow.
  Windows(const StreamExecutable::Data& of, State* answer);

  // Before row number `row` is answered: its window's states lie where the answer reads them, its columns will be
  // written where the windows read them.
  Status expect(int64_t row) noexcept;
  // The same for a row that is taken without an answer.
  Status make_room(int64_t row) noexcept;
  // A piece of that; false: there is room.
  bool step_late(int64_t row, Status* status) noexcept;
  // Of the next `rows` rows the last alone is answered: windows that end before are left out.
  void skip(int64_t rows) noexcept;
  int64_t rows_seen() const noexcept { return rows_seen_; }  // the number of the next row
  // The row was answered.
  void arrived(const void* row) noexcept;
  // The next piece of work on what has arrived; false: all windows have taken all rows. `next`: whether the next answer
  // is for one of these windows.
  bool step(bool next, Status* status) noexcept;
  void keep(Kept* kept) noexcept;
  // After memory came from elsewhere, of a stream that has yet to take `behind` rows; false: it is none that keep()
  // gave.
  bool restored(int64_t behind) noexcept;

 private:
  static constexpr int64_t kLagMax = 31;    // rows that a block may be behind
  static constexpr int64_t kAloneMax = 12;  // steps of one window alone; from there on its block steps

  struct Block {
    int64_t first = 0, windows = 0;  // slots; window q is in slot q % in_flight
    int64_t next = 0;                // the row whose columns it takes next
    int turn = 0;
    std::unique_ptr<State> follow;
    std::vector<Tensor> memory[2];  // of each state [windows, hidden]: read from one, written to the other, in turn
  };
  struct Carried {                                // a state
    float *answer = nullptr, *prepare = nullptr;  // where those read it; null: they do not
    size_t from = 0, to = 0, start = 0;           // of `follow`; of `start`
    int64_t hidden = 0;
    const float* initial = nullptr;
    Tensor alone[2];
  };

  Block& block_of(int64_t window) noexcept;
  Status step(Block* block) noexcept;
  Status bring(int64_t window) noexcept;
  // The states of the window that takes row `row` first go to to(state) + offset.
  template <typename To>
  Status begin(int64_t row, To to) noexcept;
  void bind_columns(State* follow, int64_t row) noexcept;

  const StreamExecutable::Data& of_;
  State* answer_;
  std::unique_ptr<State> start_, prepare_, alone_;
  std::vector<Block> blocks_;
  std::vector<Carried> states_;
  std::vector<std::vector<Tensor>> columns_;            // of the last kLagMax + 1 rows
  std::vector<size_t> column_outputs_, column_inputs_;  // of `answer`; of `follow`
  std::vector<size_t> product_inputs_;                  // of `answer`: what `prepare` makes
  RowsKept rows_;
  int64_t rows_seen_ = 0;  // row numbers below it have arrived
  int64_t brought_ = -1;   // the window whose states the answer has
};

}  // namespace hayate
