#include "runtime/streaming.h"

#include <algorithm>
#include <array>
#include <optional>

#include "runtime/history.h"
#include "runtime/phases.h"
#include "runtime/rows_kept.h"

namespace hayate {
namespace {

Tensor zeros(const PortType& port) {
  Tensor made(port.type.type, port.type.shape);
  if (made.byte_count() > 0) std::memset(made.bytes(), 0, made.byte_count());
  return made;
}

// Memory that is read at one row and written for the next, in turn.
using Pair = std::array<Tensor, 2>;

constexpr int64_t kTaken = 4;  // of the rows that a refill has left, before each that comes meanwhile

// A model that is cut. A refill is answered by the whole window's program, where there is one: to take its rows one by
// one takes several times as long, and is left to step(). Rows that come before that is done are answered so too and
// wait behind them; as kTaken go for each that comes, the last is taken before another third of a window has come.
class Incrementally final : public Streaming {
 public:
  explicit Incrementally(const StreamExecutable::Data& of)
      : of_(of),
        answer_(of.answer->state()),
        ahead_{of.ahead ? of.ahead->state() : nullptr},
        begun_{of.begin ? of.begin->state() : nullptr},
        whole_(of.whole ? of.whole->state() : nullptr),
        row_(input_of(*of.answer, of.cut.answer.inputs[0].name)),
        rows_(of.cut.window, of.outer, of.inner_bytes),
        next_(of.cut.window) {
    for (const Incremental::History& each : of.cut.histories)
      histories_.push_back({History(each.type, each.shape, each.axis), output_of(*of.answer, each.output), {}});
    for (State* state : {answer_.get(), ahead_.state.get(), begun_.state.get()})
      for (size_t h = 0; state != nullptr && h < histories_.size(); ++h)
        if (const auto place = find_input(state->compiled(), of.cut.histories[h].input))
          histories_[h].inputs.push_back({state, *place});
    for (State* state : {ahead_.state.get(), begun_.state.get()})
      for (size_t i = 0; state != nullptr && i < state->compiled().outputs().size(); ++i)
        answer_->bind_input(input_of(*of.answer, state->compiled().outputs()[i].name), state->output(i));
    for (size_t i = 0; i < of.answer_outputs.size(); ++i) {
      const PortType& port = of.answer->outputs()[of.answer_outputs[i]];
      answers_.push_back({zeros(port), zeros(port)});
      if (whole_ != nullptr) wholes_.push_back(output_of(*of.whole, of.outputs[i].name));
    }
    if (of.cut.follow && of.cut.in_flight > 0) windows_.emplace(of, answer_.get());
    if (windows_ == std::nullopt)  // the states that a window starts from are those of every answer
      for (const Incremental::State& each : of.cut.states)
        std::copy_n(each.initial.data(), each.hidden,
                    static_cast<float*>(static_cast<void*>(answer_->input(input_of(*of.answer, each.input)))));
    bind();
  }

  bool lags() const noexcept override { return behind_ > 0; }
  Status push(const void* row) noexcept override {
    for (int64_t taken = 0; taken < kTaken && behind_ > 0; ++taken)
      if (const Status status = take(); !status.ok()) return status;
    if (behind_ == 0 || whole_ == nullptr) return Streaming::push(row);
    rows_.put(next_, row);
    return answer_whole(1);
  }
  Status begin(const void* row) noexcept override {
    while (behind_ > 0)
      if (const Status status = take(); !status.ok()) return status;
    for (Before* each : {&begun_, &ahead_})
      if (const Status status = each->run(); !status.ok()) return status;
    if (windows_)
      if (const Status status = windows_->expect(); !status.ok()) return status;
    std::memcpy(answer_->input(row_), row, static_cast<size_t>(of_.row_bytes));
    return {};
  }
  State* answer() noexcept override { return answer_.get(); }
  Status refill(const std::byte* rows, int64_t count, int64_t row_bytes) noexcept override {
    if (count * (of_.macs_answer + of_.macs_begin + of_.macs_ahead + of_.macs_follow) <= of_.macs_window)
      return Streaming::refill(rows, count, row_bytes);
    next_ = of_.cut.window;
    for (int64_t r = 0; r < count; ++r) rows_.put(next_ + r, rows + r * row_bytes);
    if (whole_ != nullptr) return answer_whole(count);
    next_ += count - 1, behind_ = count - 1;
    if (windows_) windows_->skip(count);
    return Streaming::push(rows + (count - 1) * row_bytes);
  }
  void end(const void* row) noexcept override {
    answered_ = 1 - answered_;
    taken(row);
  }

  bool step(Status* status) noexcept override {
    if (warm_) return false;
    if (behind_ > 0) {
      if (!windows_ || !windows_->step_late(status)) *status = take();
      return true;
    }
    if (any_full()) {
      for (Own& each : histories_)
        if (each.history.is_full()) each.history.make_room();
      bind();
      return true;
    }
    for (Before* each : {&begun_, &ahead_})
      if (each->is_due()) {
        *status = each->run();
        return true;
      }
    if (windows_ && windows_->step(status)) return true;
    warm_ = true;
    if (!windows_) return false;
    // They have driven from the caches what the next answer reads. The last row once more brings it back; all that
    // writes is written again before it is read.
    (void)answer_->run(1);
    return true;
  }

  const void* output(size_t i) const noexcept override { return answers_[i][answered_].bytes(); }

  void keep(Kept* kept) noexcept override {
    for (Own& each : histories_) each.history.keep(kept);
    for (Pair& each : answers_) kept->at(each[answered_].bytes(), each[answered_].byte_count());
    kept->at(&next_, sizeof next_), kept->at(&behind_, sizeof behind_);
    kept->at(rows_.memory().bytes(), rows_.memory().byte_count());
    if (windows_) windows_->keep(kept);
  }
  bool restored() noexcept override {
    const int64_t window = of_.cut.window;
    const bool good = behind_ >= 0 && behind_ <= window && next_ >= window && next_ < INT64_MAX / 2 &&
                      (!windows_ || windows_->restored(behind_));
    renewed();
    return good;
  }

 private:
  struct Own {
    History history;
    size_t output;                                  // of answer_: its newest column
    std::vector<std::pair<State*, size_t>> inputs;  // that take it
  };
  // What runs on histories before a row comes; null: nothing.
  struct Before {
    std::unique_ptr<State> state;
    bool has_run = false;

    bool is_due() const { return state != nullptr && !has_run; }
    Status run() noexcept {
      if (!is_due()) return {};
      const Status status = state->run(1);
      has_run = status.ok();
      return status;
    }
  };

  // Of the window that ends with the last of `rows` more, which are kept.
  Status answer_whole(int64_t rows) noexcept {
    const int64_t window = of_.cut.window;
    rows_.copy(next_ + rows - window, window, whole_->input(0));
    if (const Status status = whole_->run(1); !status.ok()) return status;
    answered_ = 1 - answered_;
    for (size_t i = 0; i < answers_.size(); ++i)
      std::memcpy(answers_[i][answered_].bytes(), whole_->output(wholes_[i]), answers_[i][answered_].byte_count());
    bind();
    next_ += rows, behind_ += rows;
    if (windows_) windows_->skip(behind_ + 1);
    warm_ = false;
    return {};
  }
  // The first of the rows that are behind, without its answer: histories and columns follow from rows alone, whatever
  // the states and the columns that see the window's start.
  Status take() noexcept {
    if (const Status status = begun_.run(); !status.ok()) return status;
    if (windows_)
      if (const Status status = windows_->make_room(); !status.ok()) return status;
    const std::byte* row = rows_.row(next_ - behind_);
    std::memcpy(answer_->input(row_), row, static_cast<size_t>(of_.row_bytes));
    if (const Status status = answer_->run(1); !status.ok()) return status;
    --behind_;
    taken(row);
    return {};
  }
  void taken(const void* row) noexcept {
    for (Own& each : histories_) each.history.take(static_cast<const std::byte*>(answer_->output(each.output)));
    bind();
    if (windows_) windows_->arrived(row);
    renewed();
  }
  bool any_full() const noexcept {
    return std::any_of(histories_.begin(), histories_.end(), [](const Own& each) { return each.history.is_full(); });
  }
  // The histories are others than before.
  void renewed() noexcept {
    ahead_.has_run = begun_.has_run = false;
    warm_ = !windows_ && !any_full() && !ahead_.is_due() && !begun_.is_due() && behind_ == 0;
  }

  void bind() noexcept {
    for (size_t i = 0; i < answers_.size(); ++i)
      answer_->bind_output(of_.answer_outputs[i], answers_[i][1 - answered_].bytes());
    for (Own& each : histories_)
      for (const auto& [state, input] : each.inputs) state->bind_input(input, each.history.bytes());
  }

  const StreamExecutable::Data& of_;
  std::unique_ptr<State> answer_;
  Before ahead_, begun_;
  std::unique_ptr<State> whole_;
  size_t row_;
  std::vector<Own> histories_;
  std::vector<Pair> answers_;   // stay what they are while the caches are warmed and rows are taken
  std::vector<size_t> wholes_;  // the same, among whole_'s
  std::optional<Phases> windows_;
  size_t answered_ = 0;        // of answers_
  RowsKept rows_;              // since a refill, as long as any is behind
  int64_t next_, behind_ = 0;  // the number of the row after those; how many, the last of them, are to be taken
  bool warm_ = true;           // nothing is left to do
};

// Every row runs the whole window.
class Wholly final : public Streaming {
 public:
  explicit Wholly(const StreamExecutable::Data& of)
      : of_(of), answer_(of.answer->state()), rows_(of.cut.window, of.outer, of.inner_bytes), seen_(of.cut.window) {}

  Status begin(const void* row) noexcept override {
    rows_.put(seen_, row);  // in the place of the one that leaves the window
    rows_.copy(seen_ + 1 - of_.cut.window, of_.cut.window, answer_->input(0));
    return {};
  }
  State* answer() noexcept override { return answer_.get(); }
  Status refill(const std::byte* rows, int64_t count, int64_t row_bytes) noexcept override {
    for (int64_t r = 0; r + 1 < count; ++r) rows_.put(seen_++, rows + r * row_bytes);
    return push(rows + (count - 1) * row_bytes);
  }
  void end(const void*) noexcept override { ++seen_; }
  bool step(Status*) noexcept override { return false; }
  const void* output(size_t i) const noexcept override { return answer_->output(of_.answer_outputs[i]); }
  void keep(Kept* kept) noexcept override {
    kept->at(&seen_, sizeof seen_), kept->at(rows_.memory().bytes(), rows_.memory().byte_count());
    for (const size_t output : of_.answer_outputs)
      kept->at(answer_->output(output), static_cast<size_t>(of_.answer->outputs()[output].row_bytes));
  }
  bool restored() noexcept override { return seen_ >= of_.cut.window && seen_ < INT64_MAX / 2; }

 private:
  const StreamExecutable::Data& of_;
  std::unique_ptr<State> answer_;
  RowsKept rows_;
  int64_t seen_;
};

// The model's own state goes from one row to the next.
class Carrying final : public Streaming {
 public:
  explicit Carrying(const StreamExecutable::Data& of) : of_(of), answer_(of.answer->state()) {
    for (const auto& [input, output] : of.carried) {
      const PortType& port = of.answer->inputs()[input];
      states_.push_back({input, output, {zeros(port), zeros(port)}});
    }
  }

  Status begin(const void* row) noexcept override {
    std::memcpy(answer_->input(of_.row_input), row, static_cast<size_t>(of_.row_bytes));
    for (Own& each : states_) {
      answer_->bind_input(each.input, each.memory[turn_].bytes());
      answer_->bind_output(each.output, each.memory[1 - turn_].bytes());
    }
    return {};
  }
  State* answer() noexcept override { return answer_.get(); }
  void end(const void*) noexcept override { turn_ = 1 - turn_; }
  bool step(Status*) noexcept override { return false; }
  const void* output(size_t i) const noexcept override { return answer_->output(of_.answer_outputs[i]); }
  void keep(Kept* kept) noexcept override {
    for (Own& each : states_) kept->at(each.memory[turn_].bytes(), each.memory[turn_].byte_count());
    for (const size_t output : of_.answer_outputs)
      kept->at(answer_->output(output), static_cast<size_t>(of_.answer->outputs()[output].row_bytes));
  }
  bool restored() noexcept override { return true; }

 private:
  struct Own {
    size_t input, output;
    Pair memory;
  };
  const StreamExecutable::Data& of_;
  std::unique_ptr<State> answer_;
  std::vector<Own> states_;
  size_t turn_ = 0;
};

}  // namespace

std::unique_ptr<Streaming> make_streaming(const StreamExecutable::Data& of) {
  if (of.cut.window == 0) return std::make_unique<Carrying>(of);
  if (!of.cut.reason.empty()) return std::make_unique<Wholly>(of);
  return std::make_unique<Incrementally>(of);
}

}  // namespace hayate
