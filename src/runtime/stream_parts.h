// A model cut for streaming, compiled.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backends/backend.h"
#include "base/memory_budget.h"
#include "compress/ranges.h"
#include "hayate/stream.h"
#include "stream/incremental.h"

namespace hayate {

// How the parts of a model are compiled: with `ranges`, on 8-bit integers.
struct PartsPlan {
  Plan plan;
  std::optional<Ranges> ranges;
};

struct StreamExecutable::Data {
  Graph graph;  // the model; a window's with its extent of time
  PartsPlan as;
  int64_t time = -1;  // the axis
  Incremental cut;
  // As Incremental has them; answer is the whole model where nothing is gained. follow: for one window, and for each
  // size of block. whole: the model where something is gained, for the first answer after a gap; null where that would
  // be rounded otherwise, for what is answered must not depend on how far a stream has settled, or does not fit memory.
  std::shared_ptr<const Compiled> answer, start, prepare, ahead, begin, follow_one, whole;
  std::string no_whole;  // why a model that is cut has none
  struct Block {
    int64_t windows;
    std::shared_ptr<const Compiled> follow;
  };
  std::vector<Block> blocks;
  std::vector<Port> outputs;
  std::vector<size_t> answer_outputs;  // of the model, among answer's
  size_t row_input = 0;
  std::vector<std::pair<size_t, size_t>> carried;  // window 0: inputs that take outputs of the row before
  int64_t row_bytes = 0;
  std::string row_type, source;        // of the model: who needs memory
  int64_t outer = 1, inner_bytes = 0;  // of the input around its time axis
  int64_t macs_answer = 0, macs_follow = 0, macs_start = 0, macs_prepare = 0, macs_ahead = 0, macs_begin = 0,
          macs_window = 0;
  bool waits = false;                    // for a full window, before it gives answers
  std::string identity;                  // of the model and plan: who restores a snapshot must have the same
  std::string scales;                    // of what layers on 8-bit integers read
  std::string blank;                     // the snapshot of a stream that has seen nothing but zeros
  std::shared_ptr<MemoryBudget> budget;  // the model's; null: the process's
  int64_t stream_bytes = 0;
};

// A model rewritten for so many rows of its batch, and cut.
struct CutModel {
  Graph whole, parted;  // rewritten; with recurrences split
  Incremental cut;
  int64_t macs = 0;  // of the whole
};
// For parts that are compiled as `as`.
Result<CutModel> cut_model(const Graph& graph, const InputTypes& types, const PartsPlan& as, int64_t time,
                           int64_t lanes);

// `macs`: set to what one run takes.
Result<std::shared_ptr<const Compiled>> compile_part(const Graph& floats, const PartsPlan& as, int64_t* macs);

// Places of ports by name. They must be there, but for find_input.
std::optional<size_t> find_input(const Compiled& compiled, const std::string& name);
size_t input_of(const Compiled& compiled, const std::string& name);
size_t output_of(const Compiled& compiled, const std::string& name);

}  // namespace hayate
