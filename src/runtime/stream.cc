#include "hayate/stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>

#include "backends/backend.h"
#include "eval/macs.h"
#include "rewrite/rewrite.h"
#include "runtime/model_data.h"
#include "stream/incremental.h"
#include "stream/split.h"

namespace hayate {
namespace {

// Places of ports by name. Require: has_input(), and that it is there.
bool has_input(const Compiled& compiled, const std::string& name) {
  return std::any_of(compiled.inputs().begin(), compiled.inputs().end(), [&](const PortType& p) { return p.name == name; });
}
size_t place_of(const std::vector<PortType>& ports, const std::string& name) {
  size_t i = 0;
  while (i + 1 < ports.size() && ports[i].name != name) ++i;
  assert(ports[i].name == name);
  return i;
}
size_t input_of(const Compiled& compiled, const std::string& name) { return place_of(compiled.inputs(), name); }
size_t output_of(const Compiled& compiled, const std::string& name) { return place_of(compiled.outputs(), name); }

Result<int64_t> time_axis(const Graph& graph, const TensorType& type, const Plan& plan) {
  const std::string& name = graph.inputs[0].name;
  const auto bad = [&](std::string what) {
    return Error{Code::kInvalidArgument, graph.source,
                 fmt::format("{}; its input is {}", what, graph.inputs[0].text())};
  };
  if (!plan.time_axis.empty()) {
    const size_t colon = plan.time_axis.rfind(':');
    const std::string number = colon == std::string::npos ? "" : plan.time_axis.substr(colon + 1);
    const bool digits = !number.empty() && number.size() < 4 && number.find_first_not_of("0123456789") == std::string::npos;
    const int64_t axis = digits ? std::stoll(number) : -1;
    if (!digits || plan.time_axis.substr(0, colon) != name || axis >= static_cast<int64_t>(type.shape.size()))
      return bad(fmt::format("time axis '{}' is no NAME:AXIS of it", plan.time_axis));
    if (type.shape[static_cast<size_t>(axis)] != plan.window)
      return bad(fmt::format("axis {} has {} places, not the window's {}", axis, type.shape[static_cast<size_t>(axis)],
                             plan.window));
    return axis;
  }
  std::vector<int64_t> found;
  for (size_t i = 1; i < type.shape.size(); ++i)
    if (type.shape[i] == plan.window) found.push_back(static_cast<int64_t>(i));
  if (found.empty()) return bad(fmt::format("no axis has the window's {} places", plan.window));
  if (found.size() > 1)
    return bad(fmt::format("several axes have the window's {} places: say which with the time axis, '{}:{}'",
                           plan.window, name, found[0]));
  return found[0];
}

}  // namespace

struct StreamExecutable::Data {
  Incremental cut;
  std::shared_ptr<const Compiled> start, answer, follow, prepare;  // answer: of the whole window where nothing is gained
  std::vector<Port> outputs;
  std::vector<size_t> answer_outputs;  // of the model, among answer's
  int64_t row_bytes = 0;
  int64_t outer = 1, inner_bytes = 0;  // of the input around its time axis
  int64_t macs_answer = 0, macs_follow = 0, macs_start = 0, macs_prepare = 0, macs_window = 0;
};

int64_t StreamExecutable::window() const { return data_->cut.window; }
int64_t StreamExecutable::row_bytes() const { return data_->row_bytes; }
const std::vector<Port>& StreamExecutable::outputs() const { return data_->outputs; }
bool StreamExecutable::gains() const { return data_->cut.reason.empty(); }
const std::string& StreamExecutable::why_not() const { return data_->cut.reason; }

std::string StreamExecutable::explain() const {
  const Data& d = *data_;
  std::string text;
  for (const Incremental::Line& line : d.cut.lines) {
    const Streamed& what = line.what;
    std::string how;
    if (what.kind == Streamed::kColumns)
      how = fmt::format("kept: {} of {} columns", what.length - what.left - what.right, what.length);
    if (what.kind == Streamed::kSteps) how = fmt::format("steps from the window's start: {}", what.length);
    if (what.kind == Streamed::kTail) how = "for the answer alone";
    if (what.kind == Streamed::kStatic) how = "does not change";
    if (what.left > 0) how += fmt::format(", {} see the zeros before the window", what.left);
    if (what.right > 0) how += fmt::format(", {} see those behind it and are made again", what.right);
    text += fmt::format("{:<28} {}\n    {}\n", how.substr(0, how.find(',')), line.value,
                        line.node + (how.find(',') == std::string::npos ? "" : how.substr(how.find(','))));
  }
  if (!gains()) return text + fmt::format("Every row runs the whole window ({} MACs): {}.\n", d.macs_window, d.cut.reason);
  text += fmt::format("Before the answer: {} MACs of the window's {}", d.macs_answer, d.macs_window);
  if (d.follow != nullptr)
    text += fmt::format("; after it: {} MACs, one step of {} windows in flight{}", d.macs_follow + d.macs_start + d.macs_prepare,
                        d.cut.in_flight,
                        d.start == nullptr ? "" : fmt::format(" and the first {} rows of one", d.cut.start_rows));
  return text + fmt::format(". {} histories, {} states.\n", d.cut.histories.size(), d.cut.states.size());
}

Result<StreamExecutable> compile_stream(const Model& model, const Plan& plan) {
  const MemoryScope scope(model.data()->budget);
  Graph graph = model.data()->graph;
  if (plan.window < 1)
    return Error{Code::kInvalidArgument, "plan", fmt::format("window is {}; 1 or more rows are accepted", plan.window)};
  if (graph.inputs.size() != 1)
    return Error{Code::kUnsupported, graph.source,
                 fmt::format("takes {} inputs; a stream takes one, whose rows arrive", graph.inputs.size())};
  // An open extent besides the batch is time.
  ValueInfo& input = graph.inputs[0];
  for (size_t i = 1; i < input.dims.size(); ++i)
    if (!input.dims[i].fixed()) input.dims[i] = {plan.window, ""};
  const Result<InputTypes> types = declared_types(graph, 1);
  if (!types.ok()) return types.error();
  const TensorType& type = types.value().begin()->second;
  const Result<int64_t> axis = time_axis(graph, type, plan);
  if (!axis.ok()) return axis.error();
  Result<Graph> rewritten = rewrite(graph, types.value());
  if (!rewritten.ok()) return rewritten.error();
  const Result<Facts> facts = infer(rewritten.value(), types.value());
  if (!facts.ok()) return facts.error();
  auto data = std::make_shared<StreamExecutable::Data>();
  if (plan.precision == "int8")
    return Error{Code::kUnsupported, "plan", "precision int8 is not streamed yet; fp32 and bf16 are"};
  // Only our own engines know the parts of a recurrent layer.
  const bool split = plan.backend == "native" || plan.backend == "reference";
  const Graph parted = split ? split_recurrences(rewritten.value(), facts.value()) : rewritten.value();
  const Result<Facts> parted_facts = infer(parted, types.value());
  if (!parted_facts.ok()) return parted_facts.error();
  Result<Incremental> cut = make_incremental(parted, parted_facts.value(), axis.value());
  if (!cut.ok()) return cut.error();
  data->cut = std::move(cut).value();
  data->macs_window = macs_of(rewritten.value(), facts.value());
  const size_t at = static_cast<size_t>(axis.value());
  data->inner_bytes = static_cast<int64_t>(type_size(type.type));
  for (size_t i = 0; i < type.shape.size(); ++i) (i < at ? data->outer : i > at ? data->inner_bytes : data->row_bytes) *= type.shape[i];
  data->row_bytes = data->outer * data->inner_bytes;

  const auto compile_part = [&](const Graph& part, int64_t* macs) -> Result<std::shared_ptr<const Compiled>> {
    const Result<InputTypes> own = declared_types(part, 1);
    if (!own.ok()) return own.error();
    const Result<Facts> own_facts = infer(part, own.value());
    if (!own_facts.ok()) return own_facts.error();
    *macs = macs_of(part, own_facts.value());
    return compile_graph(part, Batch{1, "a part of a stream", own.value(), {}}, plan);
  };
  int64_t ignored = 0;
  auto answer = data->cut.reason.empty() ? compile_part(data->cut.answer, &data->macs_answer)
                                         : compile_part(rewritten.value(), &ignored);
  if (!answer.ok()) return answer.error();
  data->answer = answer.value();
  if (data->cut.reason.empty() && data->cut.follow && data->cut.in_flight > 0) {
    auto follow = compile_part(*data->cut.follow, &data->macs_follow);
    if (!follow.ok()) return follow.error();
    data->follow = follow.value();
    if (data->cut.prepare) {
      auto prepare = compile_part(*data->cut.prepare, &data->macs_prepare);
      if (!prepare.ok()) return prepare.error();
      data->prepare = prepare.value();
    }
    if (data->cut.start) {
      auto start = compile_part(*data->cut.start, &data->macs_start);
      if (!start.ok()) return start.error();
      data->start = start.value();
    }
  }
  for (const ValueInfo& output : graph.outputs) {
    const size_t place = output_of(*data->answer, output.name);
    const PortType& port = data->answer->outputs()[place];
    data->answer_outputs.push_back(place);
    data->outputs.push_back({port.name, type_name(port.type.type), port.type.shape, port.row_bytes});
  }
  return StreamExecutable(data);
}

struct Stream::Data {
  explicit Data(std::shared_ptr<const StreamExecutable::Data> executable)
      : of(std::move(executable)),
        answer(of->answer->state()),
        follow(of->follow ? of->follow->state() : nullptr),
        start(of->start ? of->start->state() : nullptr),
        prepare(of->prepare ? of->prepare->state() : nullptr) {
    const Incremental& cut = of->cut;
    row_input = cut.reason.empty() ? input_of(*of->answer, cut.answer.inputs[0].name) : 0;
    if (!cut.reason.empty()) {
      rows = Tensor(Type::kUInt8, {cut.window * of->row_bytes});
      return;
    }
    for (const Incremental::History& each : cut.histories)
      histories.push_back({input_of(*of->answer, each.input), output_of(*of->answer, each.output),
                           {zeros(*of->answer, each.input), zeros(*of->answer, each.input)}});
    for (const Incremental::State& each : cut.states) {
      Ring ring;
      ring.hidden = each.hidden, ring.initial = each.initial.data();
      if (has_input(*of->answer, each.input))
        ring.answer = static_cast<float*>(static_cast<void*>(answer->input(input_of(*of->answer, each.input))));
      if (prepare != nullptr && has_input(*of->prepare, each.input))
        ring.prepare = static_cast<float*>(static_cast<void*>(prepare->input(input_of(*of->prepare, each.input))));
      if (follow != nullptr) {
        ring.from = input_of(*of->follow, each.input), ring.to = output_of(*of->follow, each.output);
        for (Tensor& tensor : ring.memory) {
          tensor = zeros(*of->follow, each.input);
          for (int64_t w = 0; w < cut.in_flight; ++w)
            std::copy(each.initial.begin(), each.initial.end(), tensor.data<float>() + w * each.hidden);
        }
      }
      if (start != nullptr) ring.start = output_of(*of->start, each.start);
      rings.push_back(std::move(ring));
    }
    if (start != nullptr) rows = Tensor(Type::kUInt8, {(cut.start_rows + 1) * of->row_bytes});
    if (follow != nullptr)
      for (const std::string& column : cut.columns)
        follow->bind_input(input_of(*of->follow, column), answer->output(output_of(*of->answer, column)));
    for (const size_t place : of->answer_outputs)
      for (Tensor& tensor : answers.emplace_back())
        tensor = Tensor(Type::kUInt8, {of->answer->outputs()[place].row_bytes});
    if (prepare != nullptr)
      for (size_t i = 0; i < of->prepare->outputs().size(); ++i)
        answer->bind_input(input_of(*of->answer, of->prepare->outputs()[i].name), prepare->output(i));
    bind();
    (void)take_oldest();
  }

  static Tensor zeros(const Compiled& compiled, const std::string& input) {
    Tensor made(Type::kFloat32, compiled.inputs()[input_of(compiled, input)].type.shape);
    std::fill(made.bytes(), made.bytes() + made.byte_count(), std::byte{0});
    return made;
  }

  // Histories and states are read from one memory and written to the other, in turn; so are answers, which stay what
  // they are while a run without a row warms the caches.
  void bind() noexcept {
    for (size_t i = 0; i < answers.size(); ++i)
      answer->bind_output(of->answer_outputs[i], answers[i][1 - turn].bytes());
    for (History& each : histories) {
      answer->bind_input(each.input, each.memory[turn].bytes());
      answer->bind_output(each.output, each.memory[1 - turn].bytes());
    }
  }
  void bind_rings() noexcept {
    for (Ring& each : rings) {
      follow->bind_input(each.from, each.memory[ring_turn].bytes());
      follow->bind_output(each.to, each.memory[1 - ring_turn].bytes());
    }
  }

  Status push(const void* row) noexcept {
    if (!of->cut.reason.empty()) return push_whole(row);
    if (unsettled)
      if (const Status status = settle(); !status.ok()) return status;
    std::memcpy(answer->input(row_input), row, static_cast<size_t>(of->row_bytes));
    const Status status = answer->run(1);
    if (!status.ok()) return status;
    turn = 1 - turn;
    bind();
    if (start != nullptr) keep_row(row, of->cut.start_rows + 1);
    unsettled = follow != nullptr;
    return {};
  }

  Status settle() noexcept {
    if (!unsettled) return {};
    unsettled = false;
    if (start != nullptr) {
      put_rows(start->input(0), of->cut.start_rows, of->cut.start_rows + 1);
      if (const Status status = start->run(1); !status.ok()) return status;
    }
    for (Ring& each : rings) {  // the oldest window is done; another joins in its place
      const float* from =
          start == nullptr ? each.initial : reinterpret_cast<const float*>(start->output(each.start));
      std::memcpy(each.memory[ring_turn].data<float>() + oldest * each.hidden, from,
                  static_cast<size_t>(each.hidden) * sizeof(float));
    }
    bind_rings();
    const Status status = follow->run(1);
    ring_turn = 1 - ring_turn;
    oldest = (oldest + 1) % of->cut.in_flight;
    const Status taken = take_oldest();
    // What ran here has driven from the caches what the next answer reads. The last row once more brings it back; all
    // that writes is written again.
    (void)answer->run(1);
    return status.ok() ? taken : status;
  }

  // The oldest window's states go to where the next answer reads them, and what follows from them alone is made.
  Status take_oldest() noexcept {
    for (const Ring& each : rings) {
      const float* from = follow == nullptr ? each.initial : each.memory[ring_turn].data<float>() + oldest * each.hidden;
      for (float* to : {each.answer, each.prepare})
        if (to != nullptr) std::memcpy(to, from, static_cast<size_t>(each.hidden) * sizeof(float));
    }
    return prepare == nullptr ? Status{} : prepare->run(1);
  }

  Status push_whole(const void* row) noexcept {
    keep_row(row, of->cut.window);
    put_rows(answer->input(0), of->cut.window, of->cut.window);
    return answer->run(1);
  }

  // The last `room` rows go round in `rows`.
  void keep_row(const void* row, int64_t room) noexcept {
    std::memcpy(rows.bytes() + next_row * of->row_bytes, row, static_cast<size_t>(of->row_bytes));
    next_row = (next_row + 1) % room;
  }
  // The oldest `n` of them, as the model's input has them.
  void put_rows(std::byte* to, int64_t n, int64_t room) noexcept {
    for (int64_t o = 0; o < of->outer; ++o)
      for (int64_t t = 0; t < n; ++t)
        std::memcpy(to + (o * n + t) * of->inner_bytes,
                    rows.bytes() + (next_row + t) % room * of->row_bytes + o * of->inner_bytes,
                    static_cast<size_t>(of->inner_bytes));
  }

  struct History {
    size_t input, output;
    Tensor memory[2];
  };
  struct Ring {  // a state of all windows in flight
    float *answer = nullptr, *prepare = nullptr;  // where those read the oldest window's; null: they do not
    size_t from = 0, to = 0, start = 0;           // of `follow`, and of `start`
    int64_t hidden = 0;
    const float* initial = nullptr;
    Tensor memory[2];
  };
  std::shared_ptr<const StreamExecutable::Data> of;
  std::unique_ptr<State> answer, follow, start, prepare;
  std::vector<History> histories;
  std::vector<std::array<Tensor, 2>> answers;  // of each output; empty: where `answer` has them
  std::vector<Ring> rings;
  Tensor rows, row;  // the last ones, where the whole window or a window's start runs on them; one of zeros
  size_t row_input = 0;
  int turn = 0, ring_turn = 0;
  int64_t oldest = 0, next_row = 0, count = 0;
  bool unsettled = false;
};

Stream StreamExecutable::stream() const {
  Stream made(std::make_unique<Stream::Data>(data_));
  made.data_->row = Tensor(Type::kUInt8, {data_->row_bytes});
  made.reset();
  return made;
}

Stream::Stream(std::unique_ptr<Data> data) : data_(std::move(data)) {}
Stream::Stream(Stream&&) noexcept = default;
Stream& Stream::operator=(Stream&&) noexcept = default;
Stream::~Stream() = default;

Status Stream::push(const void* row) noexcept {
  const Status status = data_->push(row);
  if (status.ok()) ++data_->count;
  return status;
}
Status Stream::settle() noexcept { return data_->settle(); }
const void* Stream::output(size_t i) const {
  const Data& d = *data_;
  return d.answers.empty() ? d.answer->output(d.of->answer_outputs[i]) : d.answers[i][static_cast<size_t>(d.turn)].bytes();
}
bool Stream::ready() const { return data_->count >= data_->of->cut.window; }

// Twice the window of zeros: the first fills the histories, the second lets every window in flight start on them.
void Stream::reset() noexcept {
  Data& d = *data_;
  std::memset(d.row.bytes(), 0, d.row.byte_count());
  for (int64_t i = 0; i < 2 * d.of->cut.window; ++i) {
    (void)d.push(d.row.bytes());
    (void)d.settle();
  }
  d.count = 0;
}

}  // namespace hayate
