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

}  // namespace

// The layer whose projections begin at `at`, behind a recurrence with these arguments; where it ends, or `at`.
size_t Lowering::pipelined_layer(size_t at, const Pending& before, const RecurrentArgs& args) const {
  const View& y = before.operands[0];
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
      steps.operands[3].buffer != dense.operands[1].buffer)
    return at;
  const auto& of = *static_cast<const RecurrentArgs*>(steps.args);
  return of.reverse || of.steps != args.steps || of.rows != args.rows ? at : next + 2;
}

void Lowering::pipeline_layers() {
  if (threads() < 2) return;
  std::vector<Pending> made;
  for (size_t at = 0; at < pending_.size();) {
    const auto* first =
        pending_[at].run == run_recurrent ? static_cast<const RecurrentArgs*>(pending_[at].args) : nullptr;
    if (first == nullptr || first->reverse || first->rows == 0 || first->y_row != first->hidden ||
        first->steps <= chunk_of(first->steps)) {
      made.push_back(std::move(pending_[at++]));
      continue;
    }
    auto args = std::make_shared<PipelineArgs>();
    args->time = first->steps, args->rows = first->rows, args->chunk = chunk_of(first->steps);
    args->macs = INT64_MAX, args->release = set_.release;
    std::set<int> written;
    std::vector<size_t> ends{at + 1};  // of layers
    const RecurrentArgs* last = first;
    size_t begins = at;  // of the layer whose recurrence is the last seen
    for (;;) {
      const Pending& steps = pending_[ends.back() - 1];
      const int64_t width = last->hidden * (last->gru ? 3 : 4), in = begins == at ? 0 : last->hidden,
                    size = !last->narrow                             ? 4
                           : *last->narrow == kernels::Narrow::kInt8 ? 1
                                                                     : 2;
      args->macs = std::min(args->macs, args->chunk * args->rows * width * (last->hidden + in) * size / 4);
      for (size_t i = begins; i < ends.back(); ++i)
        for (const View& operand : pending_[i].operands) written.insert(operand.buffer);
      if (ends.size() == kPipelinedMax) break;
      const size_t end = pipelined_layer(ends.back(), steps, *last);
      if (end == ends.back()) break;
      // The layer's first state must not wait for what a layer before it leaves.
      const Pending& next = pending_[end - 1];
      const auto waits = [&](size_t i) {
        return next.operands[i].buffer >= 0 && buffers_[next.operands[i].buffer].base != 1 &&
               written.contains(next.operands[i].buffer);
      };
      const auto* of = static_cast<const RecurrentArgs*>(next.args);
      if (waits(5) || waits(6) || waits(8) || of->y_row != of->hidden) break;
      begins = ends.back(), last = of;
      ends.push_back(end);
    }
    if (ends.size() < 2) {
      made.push_back(std::move(pending_[at++]));
      continue;
    }
    Pending group{run_pipeline, args.get(), "pipeline of " + std::to_string(ends.size()) + " layers", {}, nullptr,
                  {},           {}};
    for (size_t layer = 0; layer < ends.size(); ++layer) {
      const size_t from = layer == 0 ? at : ends[layer - 1];
      group.layers.push_back(ends[layer] - from);
      group.name += (layer == 0 ? ": " : ", ") + pending_[ends[layer] - 1].name;
      for (size_t i = from; i < ends[layer]; ++i) group.parts.push_back(std::move(pending_[i]));
    }
    keep(args);
    at = ends.back();
    made.push_back(std::move(group));
  }
  pending_ = std::move(made);
}

}  // namespace hayate::native
