#include "runtime/windows.h"

#include <algorithm>

namespace hayate {
namespace {

float* floats(std::byte* memory) { return static_cast<float*>(static_cast<void*>(memory)); }

// Where an input of that name lies; null where there is none.
float* input_memory(State* state, const std::string& name) {
  if (state == nullptr) return nullptr;
  const auto& inputs = state->compiled().inputs();
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].name == name) return floats(state->input(i));
  return nullptr;
}

Tensor zeros(const Shape& shape) {
  Tensor made(Type::kFloat32, shape);
  std::fill_n(made.data<float>(), made.count(), 0.0f);
  return made;
}

}  // namespace

Windows::Windows(const StreamExecutable::Data& of, State* answer)
    : of_(of),
      answer_(answer),
      start_(of.start ? of.start->state() : nullptr),
      prepare_(of.prepare ? of.prepare->state() : nullptr),
      alone_(of.follow_one->state()),
      rows_(of.start ? of.cut.start_rows + kLagMax + 1 : 0, of.outer, of.inner_bytes) {
  for (const Incremental::State& each : of.cut.states) {
    Carried state;
    state.hidden = each.hidden, state.initial = each.initial.data();
    state.answer = input_memory(answer, each.input), state.prepare = input_memory(prepare_.get(), each.input);
    state.from = input_of(*of.follow_one, each.input), state.to = output_of(*of.follow_one, each.output);
    if (start_ != nullptr) state.start = output_of(*of.start, each.start);
    for (Tensor& tensor : state.alone) tensor = zeros({each.hidden});
    states_.push_back(std::move(state));
  }
  rows_seen_ = of.cut.window;  // so that no row number that is asked for lies below 0
  int64_t slot = 0;
  for (const StreamExecutable::Data::Block& each : of.blocks) {
    Block block;
    block.first = slot, block.windows = each.windows, block.next = rows_seen_, block.follow = each.follow->state();
    slot += each.windows;
    for (const Carried& state : states_)
      for (std::vector<Tensor>& memory : block.memory) {
        memory.push_back(zeros({each.windows, state.hidden}));
        for (int64_t w = 0; w < each.windows; ++w)
          std::copy_n(state.initial, state.hidden, memory.back().data<float>() + w * state.hidden);
      }
    blocks_.push_back(std::move(block));
  }
  for (const std::string& column : of.cut.columns) {
    column_outputs_.push_back(output_of(answer->compiled(), column));
    column_inputs_.push_back(input_of(*of.follow_one, column));
  }
  columns_.resize(kLagMax + 1);
  for (std::vector<Tensor>& row : columns_)
    for (const size_t output : column_outputs_) row.push_back(zeros(answer->compiled().outputs()[output].type.shape));
  if (prepare_ != nullptr)
    for (const PortType& port : of.prepare->outputs())
      product_inputs_.push_back(input_of(answer->compiled(), port.name));
}

Windows::Block& Windows::block_of(int64_t window) noexcept {
  const int64_t slot = window % of_.cut.in_flight;
  return *std::find_if(blocks_.begin(), blocks_.end(),
                       [&](const Block& block) { return slot < block.first + block.windows; });
}

void Windows::bind_columns(State* follow, int64_t row) noexcept {
  std::vector<Tensor>& columns = columns_[static_cast<size_t>(row % (kLagMax + 1))];
  for (size_t i = 0; i < columns.size(); ++i) follow->bind_input(column_inputs_[i], columns[i].bytes());
}

template <typename To>
Status Windows::begin(int64_t row, To to) noexcept {
  if (start_ != nullptr) {
    rows_.copy(row - of_.cut.start_rows, of_.cut.start_rows, start_->input(0));
    if (const Status status = start_->run(1); !status.ok()) return status;
  }
  for (size_t i = 0; i < states_.size(); ++i) {
    const float* from = start_ == nullptr ? states_[i].initial : floats(start_->output(states_[i].start));
    std::copy_n(from, states_[i].hidden, to(i));
  }
  return {};
}

// One row's columns for all windows of the block.
Status Windows::step(Block* block) noexcept {
  const int64_t row = block->next, joins = row % of_.cut.in_flight - block->first;
  std::vector<Tensor>&before = block->memory[block->turn], &after = block->memory[1 - block->turn];
  if (joins >= 0 && joins < block->windows) {
    const Status status = begin(row, [&](size_t i) { return before[i].data<float>() + joins * states_[i].hidden; });
    if (!status.ok()) return status;
  }
  bind_columns(block->follow.get(), row);
  for (size_t i = 0; i < states_.size(); ++i) {
    block->follow->bind_input(states_[i].from, before[i].bytes());
    block->follow->bind_output(states_[i].to, after[i].bytes());
  }
  const Status status = block->follow->run(1);
  block->turn = 1 - block->turn;
  ++block->next;
  return status;
}

// The window's states go to where the next answer reads them, and what follows from them alone is made.
Status Windows::bring(int64_t window) noexcept {
  const Block& block = block_of(window);
  const int64_t slot = window % of_.cut.in_flight - block.first, born = window - of_.cut.in_flight;
  int turn = 0;
  int64_t row = block.next;
  if (row <= born) {  // the block still has the one before it in its place
    row = born;
    if (const Status status = begin(row, [&](size_t i) { return states_[i].alone[0].data<float>(); }); !status.ok())
      return status;
  } else {
    for (size_t i = 0; i < states_.size(); ++i)
      std::copy_n(block.memory[block.turn][i].data<float>() + slot * states_[i].hidden, states_[i].hidden,
                  states_[i].alone[0].data<float>());
  }
  for (; row < window; ++row) {
    bind_columns(alone_.get(), row);
    for (Carried& state : states_) {
      alone_->bind_input(state.from, state.alone[turn].bytes());
      alone_->bind_output(state.to, state.alone[1 - turn].bytes());
    }
    if (const Status status = alone_->run(1); !status.ok()) return status;
    turn = 1 - turn;
  }
  for (const Carried& state : states_)
    for (float* to : {state.answer, state.prepare})
      if (to != nullptr) std::copy_n(state.alone[turn].data<float>(), state.hidden, to);
  brought_ = window;
  for (size_t i = 0; i < product_inputs_.size(); ++i) answer_->bind_input(product_inputs_[i], prepare_->output(i));
  return prepare_ == nullptr ? Status{} : prepare_->run(1);
}

bool Windows::step_late(int64_t row, Status* status) noexcept {
  const auto late =
      std::find_if(blocks_.begin(), blocks_.end(), [&](const Block& block) { return block.next < row - kLagMax; });
  if (late == blocks_.end()) return false;
  *status = step(&*late);
  return true;
}

Status Windows::make_room(int64_t row) noexcept {
  // The columns that this row will write over must have been taken.
  Status status;
  while (step_late(row, &status))
    if (!status.ok()) return status;
  std::vector<Tensor>& columns = columns_[static_cast<size_t>(row % (kLagMax + 1))];
  for (size_t i = 0; i < columns.size(); ++i) answer_->bind_output(column_outputs_[i], columns[i].bytes());
  return {};
}

void Windows::skip(int64_t rows) noexcept {
  // From the row on that the window of the last answer takes first; a block before its first window joins does nothing.
  const int64_t flight = of_.cut.in_flight, from = rows_seen_ + rows - 1 - flight;
  for (Block& block : blocks_) {
    const int64_t until = (block.first + flight - (from % flight)) % flight;
    const bool own = &block == &block_of(from);
    block.next = std::max(block.next, own ? from : from + until);
  }
}

Status Windows::expect(int64_t row) noexcept {
  if (const Status status = make_room(row); !status.ok()) return status;
  Block& own = block_of(row);
  if (row - own.next > kAloneMax)
    while (own.next < row)
      if (const Status status = step(&own); !status.ok()) return status;
  if (brought_ != row)
    if (const Status status = bring(row); !status.ok()) return status;
  return {};
}

void Windows::arrived(const void* row) noexcept {
  if (start_ != nullptr) rows_.put(rows_seen_, row);
  ++rows_seen_;
}

bool Windows::step(bool is_next, Status* status) noexcept {
  // The block of the next answer's window first, then that window, then the blocks after it in turn.
  const int64_t next = rows_seen_;
  Block& own = block_of(next);
  if (own.next < next) {
    *status = step(&own);
    return true;
  }
  if (is_next && brought_ != next) {
    *status = bring(next);
    return true;
  }
  const size_t first = static_cast<size_t>(&own - blocks_.data());
  for (size_t i = 1; i < blocks_.size(); ++i) {
    Block& block = blocks_[(first + i) % blocks_.size()];
    if (block.next >= next) continue;
    *status = step(&block);
    return true;
  }
  return false;
}

void Windows::keep(Kept* kept) noexcept {
  kept->at(&rows_seen_, sizeof rows_seen_);
  for (Block& block : blocks_) {
    kept->at(&block.next, sizeof block.next);
    for (Tensor& tensor : block.memory[block.turn]) kept->at(tensor.bytes(), tensor.byte_count());
  }
  for (std::vector<Tensor>& row : columns_)
    for (Tensor& tensor : row) kept->at(tensor.bytes(), tensor.byte_count());
  kept->at(rows_.memory().bytes(), rows_.memory().byte_count());
}

bool Windows::restored(int64_t behind) noexcept {
  brought_ = -1;
  return rows_seen_ >= of_.cut.window && rows_seen_ < INT64_MAX / 2 &&
         std::all_of(blocks_.begin(), blocks_.end(), [&](const Block& block) {
           return block.next <= rows_seen_ + behind && block.next >= std::max(of_.cut.window, rows_seen_ - kLagMax - 1);
         });
}

}  // namespace hayate
