#include "runtime/together.h"

#include <array>
#include <cstring>
#include <optional>

#include "rewrite/rewrite.h"

namespace hayate {
namespace {

// Whether row r of `wide` lies in one piece, where `alone` has all: one extent is `rows` there and 1 here, and nothing
// but ones before it.
bool lies_apart(const PortType& alone, const PortType& wide, int64_t rows) {
  const Shape &one = alone.type.shape, &all = wide.type.shape;
  if (alone.name != wide.name || alone.type.type != wide.type.type || alone.open || wide.open) return false;
  if (one.size() != all.size() || wide.row_bytes != rows * alone.row_bytes) return false;
  size_t axis = 0;
  while (axis < one.size() && one[axis] == 1 && all[axis] == 1) ++axis;
  if (axis == one.size() || one[axis] != 1 || all[axis] != rows) return false;
  return std::equal(one.begin() + static_cast<std::ptrdiff_t>(axis) + 1, one.end(),
                    all.begin() + static_cast<std::ptrdiff_t>(axis) + 1);
}

bool lie_apart(const std::vector<PortType>& alone, const std::vector<PortType>& wide, int64_t rows) {
  return std::equal(alone.begin(), alone.end(), wide.begin(), wide.end(),
                    [&](const PortType& one, const PortType& all) { return lies_apart(one, all, rows); });
}

// The model with an open batch where it has a batch of one row.
Graph with_open_batch(Graph graph, int64_t time) {
  for (ValueInfo& input : graph.inputs)
    if (time != 0 && !input.dims.empty() && input.dims[0].fixed() && input.dims[0].value == 1)
      input.dims[0] = {-1, "stream_lanes"};
  return graph;
}

// The program for `rows` rows; null where there is none.
Result<std::shared_ptr<const Compiled>> compile_wide(const StreamExecutable::Data& of, const Graph& graph,
                                                     int64_t rows) {
  const std::shared_ptr<const Compiled> none;
  const Result<InputTypes> types = declared_types(graph, rows);
  if (!types.ok()) return none;
  if (of.cut.window > 0) {
    const Result<CutModel> cut = cut_model(graph, types.value(), of.as, of.time, rows);
    if (!cut.ok()) return cut.error();
    if (!cut.value().cut.reason.empty()) return none;
    int64_t macs = 0;
    return compile_part(cut.value().cut.answer, of.as, &macs);
  }
  const Result<Graph> whole = rewrite(graph, types.value());
  if (!whole.ok()) return whole.error();
  return compile_graph(whole.value(), Batch{1, "rows of several streams", types.value(), {}}, of.as.plan);
}

}  // namespace

Together::Together(const Compiled& alone, const Compiled& program, int64_t rows)
    : rows_(rows), state_(program.state()) {
  for (const PortType& port : alone.inputs()) input_bytes_.push_back(static_cast<size_t>(port.row_bytes));
  for (const PortType& port : alone.outputs()) output_bytes_.push_back(static_cast<size_t>(port.row_bytes));
}

bool Together::push(Stream::Data* const* streams, const void* const* rows) noexcept {
  const auto n = static_cast<size_t>(rows_);
  std::array<std::optional<Stream::Data::Held>, kTogetherMax> held;
  for (size_t s = 0; s < n; ++s) held[s].emplace(streams[s]);
  for (size_t s = 0; s < n; ++s)
    if (streams[s]->way->lags()) return false;
  for (size_t s = 0; s < n; ++s) {
    if (!streams[s]->failed.ok() || !streams[s]->way->begin(rows[s]).ok()) return false;
    const State& alone = *streams[s]->way->answer();
    for (size_t i = 0; i < input_bytes_.size(); ++i)
      std::memcpy(state_->input(i) + s * input_bytes_[i], alone.input(i), input_bytes_[i]);
  }
  if (!state_->run(1).ok()) return false;
  for (size_t s = 0; s < n; ++s) {
    const State& alone = *streams[s]->way->answer();
    for (size_t o = 0; o < output_bytes_.size(); ++o)
      std::memcpy(alone.output(o), state_->output(o) + s * output_bytes_[o], output_bytes_[o]);
    streams[s]->way->end(rows[s]);
    ++streams[s]->rows;
    held[s]->leaves_work = true;
  }
  return true;
}

Result<std::vector<Together>> make_together(const StreamExecutable::Data& of, int64_t count) {
  std::vector<Together> made;
  // Whole windows have rows enough to use what they read of the weights; and to bring together what a row takes of its
  // histories takes as long as is won (a TCN: 1.0 us a row either way).
  if (of.cut.window > 0 && (!of.cut.reason.empty() || !of.cut.histories.empty())) return made;
  if (of.as.plan.precision == "int8") return made;  // of a model that carries its state: scales made for one row
  const Graph graph = with_open_batch(of.graph, of.time);
  const Result<InputTypes> types = declared_types(graph, kTogetherMax);
  if (!types.ok()) return made;
  const Batch batch = find_batch(graph, types.value());
  if (!batch.fixed.empty() || batch.rows != kTogetherMax) return made;
  for (int64_t rows = kTogetherMax; rows > 1; rows /= 2) {
    if (rows > count) continue;
    const auto program = compile_wide(of, graph, rows);
    // Without it rows go by fewer at once, with the same answers; what memory is asked for was the caller's wish.
    if (!program.ok() && program.error().code != Code::kResourceExhausted) continue;
    if (!program.ok()) return program.error();
    if (program.value() == nullptr || !lie_apart(of.answer->inputs(), program.value()->inputs(), rows) ||
        !lie_apart(of.answer->outputs(), program.value()->outputs(), rows))
      return std::vector<Together>();
    made.emplace_back(*of.answer, *program.value(), rows);
  }
  return made;
}

}  // namespace hayate
