// Which steps of a program are recurrent layers that several threads may run one behind the other.
#include <algorithm>
#include <set>

#include "backends/native/lowering.h"
#include "backends/native/pipeline.h"

namespace hayate::native {
namespace {

// A turn is so many rows of a projection at least: a whole tile of AVX-512. More turns than some ten hand over more
// often than it takes to fill the pipeline.
constexpr int64_t kRowsOfATurn = 6, kTurns = 10;

int64_t chunk_of(int64_t time) {
  return (std::max<int64_t>(time / kTurns, 1) + kRowsOfATurn - 1) / kRowsOfATurn * kRowsOfATurn;
}

// Rows one behind another, so that any part of them is a layer of its own.
bool is_plain_rows(const kernels::DenseShape& dense, int64_t images, int64_t m) {
  return images == 1 && dense.m == m && (dense.inner == 1 || dense.inner == dense.m) && dense.segments == 1;
}

// Whether a step of a layer writes its operand `o`: what it makes, and where a recurrence works.
bool writes(StepFunction run, size_t o) {
  return run == run_recurrent ? o == 0 || o == 4 || o == 7 : run == run_narrow ? o == 0 : o == 1;
}

int64_t width_of(const RecurrentArgs& args) { return args.hidden * (args.gru ? 3 : 4); }

// Multiply-adds as if of float32.
int64_t as_floats(int64_t macs, const std::optional<kernels::Narrow>& narrow) {
  return !narrow ? macs : *narrow == kernels::Narrow::kInt8 ? macs / 4 : macs / 2;
}

}  // namespace

// The layer whose projections begin at `at`, behind a recurrence; where it ends, or `at`.
size_t Lowering::pipelined_layer(size_t at) const {
  const RecurrentArgs& args = *static_cast<const RecurrentArgs*>(pending_[at - 1].args);
  const View& y = pending_[at - 1].operands[0];
  size_t next = at;
  View read = y;
  if (next < pending_.size() && pending_[next].run == run_narrow) {
    const auto& narrowing = *static_cast<const NarrowArgs*>(pending_[next].args);
    const View& from = pending_[next].operands[1];
    if (from.buffer != y.buffer || from.offset != y.offset || narrowing.call.n != args.steps * args.rows * args.hidden)
      return at;
    read = pending_[next++].operands[0];
  }
  if (next + 1 >= pending_.size()) return at;
  const Pending &dense = pending_[next], &steps = pending_[next + 1];
  const int64_t rows = args.steps * args.rows;
  bool fits = false;
  if (dense.run == run_dense) {
    const auto& of = *static_cast<const DenseArgs*>(dense.args);
    fits = is_plain_rows(of.dense, of.images, rows);
  } else if (dense.run == run_narrow_dense) {
    const auto& of = *static_cast<const NarrowDenseArgs*>(dense.args);
    fits = is_plain_rows(of.dense, of.images, rows) && !of.narrow_y;
  }
  if (!fits || dense.operands[0].buffer != read.buffer || dense.operands[0].offset != read.offset ||
      dense.operands[4].buffer >= 0 || steps.run != run_recurrent ||
      steps.operands[3].buffer != dense.operands[1].buffer || steps.operands[3].offset != dense.operands[1].offset)
    return at;
  const auto& of = *static_cast<const RecurrentArgs*>(steps.args);
  const bool fits_steps = !of.reverse && of.steps == args.steps && of.rows == args.rows && of.y_row == of.hidden &&
                          of.x_row == width_of(of) && of.x_step == of.rows * of.x_row;
  return fits_steps ? next + 2 : at;
}

void Lowering::pipeline_layers() {
  if (threads() < 2) return;
  std::vector<Pending> made;
  for (size_t at = 0; at < pending_.size();) {
    const auto args_of = [&](size_t i) { return static_cast<const RecurrentArgs*>(pending_[i].args); };
    const RecurrentArgs* first = pending_[at].run == run_recurrent ? args_of(at) : nullptr;
    std::vector<size_t> ends{at + 1};  // of layers, each of which ends with its recurrence
    if (first != nullptr && !first->reverse && first->rows > 0 && first->y_row == first->hidden &&
        first->steps > chunk_of(first->steps)) {
      std::set<int> written;
      for (size_t begin = at; ends.size() < kPipelinedMax; begin = ends[ends.size() - 2]) {
        for (size_t i = begin; i < ends.back(); ++i)
          for (size_t o = 0; o < pending_[i].operands.size(); ++o)
            if (writes(pending_[i].run, o)) written.insert(pending_[i].operands[o].buffer);
        const size_t end = pipelined_layer(ends.back());
        if (end == ends.back()) break;
        // The layer's first state must not wait for what a layer before it leaves.
        const std::vector<View>& next = pending_[end - 1].operands;
        const auto waits = [&](size_t o) { return next[o].buffer >= 0 && written.contains(next[o].buffer); };
        if (waits(5) || waits(6) || waits(8)) break;
        ends.push_back(end);
      }
    }
    if (ends.size() < 2) {
      made.push_back(std::move(pending_[at++]));
      continue;
    }
    auto args = std::make_shared<PipelineArgs>();
    args->time = first->steps, args->rows = first->rows, args->chunk = chunk_of(first->steps);
    args->release = program_.release;
    Pending group{run_pipeline, args.get(), "pipeline of " + std::to_string(ends.size()) + " layers", {}};
    int64_t before = 0;
    for (const size_t end : ends) {
      const RecurrentArgs& of = *args_of(end - 1);
      const int64_t width = of.rows * width_of(of);
      args->stages.push_back({{}, as_floats(width * before, of.narrow), as_floats(width * of.hidden, of.narrow)});
      group.stages.push_back(end - at);
      before = of.hidden;
      group.name += (group.parts.empty() ? ": " : ", ") + pending_[end - 1].name;
      for (; at < end; ++at) group.parts.push_back(std::move(pending_[at]));
    }
    keep(args);
    made.push_back(std::move(group));
  }
  pending_ = std::move(made);
}

}  // namespace hayate::native
