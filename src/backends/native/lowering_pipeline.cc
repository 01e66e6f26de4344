// Which steps of a program are recurrent layers that several threads may run one behind the other, or the two
// directions of one.
#include <algorithm>
#include <set>

#include "backends/native/lowering.h"

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
  return is_recurrence(run) ? o == 0 || o == 4 || o == 7 : run == run_narrow ? o == 0 : o == 1;
}

int64_t width_of(StepFunction run, const RecurrentArgs& args) {
  return args.hidden * (run == run_rnn ? 1 : args.gru ? 3 : 4);
}

// Multiply-adds as if of float32.
int64_t as_floats(int64_t macs, const std::optional<kernels::Narrow>& narrow) {
  return !narrow ? macs : *narrow == kernels::Narrow::kInt8 ? macs / 4 : macs / 2;
}

int64_t macs_of(const kernels::DenseShape& dense) { return dense.m * dense.n * dense.k; }

bool same_place(const View& a, const View& b) { return a.buffer == b.buffer && a.offset == b.offset; }

}  // namespace

const RecurrentArgs& Lowering::recurrence(size_t at) const {
  return *static_cast<const RecurrentArgs*>(pending_[at].args);
}

// Whether `at` and the step behind it are projections and the recurrence over them.
bool Lowering::is_projected(size_t at) const {
  return at + 1 < pending_.size() && (pending_[at].run == run_dense || pending_[at].run == run_narrow_dense) &&
         is_recurrence(pending_[at + 1].run) && same_place(pending_[at + 1].operands[3], pending_[at].operands[1]);
}

// The layer whose projections begin at `at`, behind a recurrence; where it ends, or `at`.
size_t Lowering::pipelined_layer(size_t at) const {
  const RecurrentArgs& args = recurrence(at - 1);
  const View& y = pending_[at - 1].operands[0];
  const int64_t rows = args.steps * args.rows;
  size_t next = at;
  View read = y;
  if (next < pending_.size() && pending_[next].run == run_narrow) {
    const auto& narrowing = *static_cast<const NarrowArgs*>(pending_[next].args);
    if (!same_place(pending_[next].operands[1], y) || narrowing.call.n != rows * args.hidden) return at;
    read = pending_[next++].operands[0];
  }
  if (!is_projected(next)) return at;
  const Pending& dense = pending_[next];
  bool fits = false;
  if (dense.run == run_dense) {
    const auto& of = *static_cast<const DenseArgs*>(dense.args);
    fits = is_plain_rows(of.dense, of.images, rows);
  } else {
    const auto& of = *static_cast<const NarrowDenseArgs*>(dense.args);
    fits = is_plain_rows(of.dense, of.images, rows) && !of.narrow_y;
  }
  if (!fits || !same_place(dense.operands[0], read) || dense.operands[4].buffer >= 0) return at;
  const RecurrentArgs& of = recurrence(next + 1);
  const bool fits_steps = of.reverse == args.reverse && of.steps == args.steps && of.rows == args.rows &&
                          of.y_row == of.hidden && of.x_row == width_of(pending_[next + 1].run, of) &&
                          of.x_step == of.rows * of.x_row;
  return fits_steps ? next + 2 : at;
}

// Layers that may run one behind the other, the first of which has its recurrence at `at`: where each ends, which is
// with its recurrence. One end: none.
std::vector<size_t> Lowering::pipelined_layers(size_t at) const {
  std::vector<size_t> ends{at + 1};
  if (!is_recurrence(pending_[at].run)) return ends;
  const RecurrentArgs& first = recurrence(at);
  if (first.rows <= 0 || first.y_row != first.hidden || first.steps <= chunk_of(first.steps)) return ends;
  std::set<int> written;
  for (size_t begin = at; ends.size() < kPipelinedMax; begin = ends[ends.size() - 2]) {
    for (size_t i = begin; i < ends.back(); ++i)
      for (size_t o = 0; o < pending_[i].operands.size(); ++o)
        if (writes(pending_[i].run, o)) written.insert(pending_[i].operands[o].buffer);
    const size_t end = pipelined_layer(ends.back());
    if (end == ends.back()) break;
    // The layer's first state must not wait for what a layer before it leaves.
    const std::vector<View>& next = pending_[end - 1].operands;
    const auto waits = [&](size_t o) {
      return o < next.size() && next[o].buffer >= 0 && written.contains(next[o].buffer);
    };
    if (waits(5) || waits(6) || waits(8)) break;
    ends.push_back(end);
  }
  return ends;
}

// The two directions of one layer, the first of which has its projections at `at`: where each ends. One end: none.
std::vector<size_t> Lowering::directions(size_t at) const {
  const bool are = is_projected(at) && is_projected(at + 2) &&
                   pending_[at + 1].operands[0].buffer == pending_[at + 3].operands[0].buffer &&
                   recurrence(at + 1).reverse != recurrence(at + 3).reverse;
  return are ? std::vector<size_t>{at + 2, at + 4} : std::vector<size_t>{at + 1};
}

// What the steps from `begin` to before `end` multiply.
PipelineArgs::Stage Lowering::stage_of(size_t begin, size_t end) const {
  const StepFunction run = pending_[end - 1].run;
  const RecurrentArgs& args = recurrence(end - 1);
  PipelineArgs::Stage stage;
  for (size_t i = begin; i < end; ++i)
    if (pending_[i].run == run_dense)
      stage.input_macs = macs_of(static_cast<const DenseArgs*>(pending_[i].args)->dense) / args.steps;
    else if (const auto* of = static_cast<const NarrowDenseArgs*>(pending_[i].args);
             pending_[i].run == run_narrow_dense)
      stage.input_macs = as_floats(macs_of(of->dense), of->narrow) / args.steps;
  const int64_t macs = as_floats(args.rows * width_of(run, args) * args.hidden, args.narrow);
  const int64_t gates = run == run_gru_reset_first ? macs / 3 * 2 : macs;
  stage.state_macs = {gates, macs - gates};
  return stage;
}

void Lowering::pipeline_layers() {
  if (threads() < 2) return;
  std::vector<Pending> made;
  size_t pipelines = 0;
  for (size_t at = 0; at < pending_.size();) {
    std::vector<size_t> ends = pipelined_layers(at);
    const bool one_layer = ends.size() < 2;
    if (one_layer) ends = directions(at);
    if (ends.size() < 2 || pipelines == kPipelinesMax) {
      made.push_back(std::move(pending_[at++]));
      continue;
    }
    auto args = std::make_shared<PipelineArgs>();
    const RecurrentArgs& first = recurrence(ends[0] - 1);
    args->time = first.steps, args->rows = first.rows, args->reverse = first.reverse;
    args->chunk = one_layer ? first.steps : chunk_of(first.steps);
    args->place = pipelines++, args->release = program_.release;
    Pending group{one_layer ? run_directions : run_pipeline, args.get(), "", {}};
    group.name = one_layer ? "two directions" : "pipeline of " + std::to_string(ends.size()) + " layers";
    for (const size_t end : ends) {
      args->stages.push_back(stage_of(at, end));
      group.stages.push_back(end - at);
      group.name += (group.parts.empty() ? ": " : ", ") + pending_[end - 1].name;
      for (; at < end; ++at) group.parts.push_back(std::move(pending_[at]));
    }
    keep(args);
    made.push_back(std::move(group));
  }
  pending_ = std::move(made);
}

}  // namespace hayate::native
