#include "hayate/stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "backends/calibration.h"
#include "backends/native/native_backend.h"
#include "compress/quantise.h"
#include "eval/macs.h"
#include "rewrite/rewrite.h"
#include "runtime/model_data.h"
#include "runtime/snapshot.h"
#include "runtime/stream_data.h"
#include "runtime/stream_parts.h"
#include "runtime/streaming.h"

namespace hayate {
namespace {

constexpr double kGainMin = 0.1;       // of the multiply-adds before an answer: less is not worth a cut
constexpr int64_t kBlockWindows = 12;  // about so many step together: as many rows as the widest tile has

std::string port_names(const std::vector<PortType>& ports) {
  std::string names;
  for (const PortType& port : ports) names += (names.empty() ? "'" : ", '") + port.name + "'";
  return names;
}

Result<int64_t> time_axis(const Graph& graph, const TensorType& type, const Plan& plan) {
  const std::string& name = graph.inputs[0].name;
  const auto bad = [&](std::string what) {
    return Error{Code::kInvalidArgument, graph.source,
                 fmt::format("{}; its input is {}", what, graph.inputs[0].text())};
  };
  if (!plan.time_axis.empty()) {
    const size_t colon = plan.time_axis.rfind(':');
    const std::string number = colon == std::string::npos ? "" : plan.time_axis.substr(colon + 1);
    const bool digits =
        !number.empty() && number.size() < 4 && number.find_first_not_of("0123456789") == std::string::npos;
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

int64_t StreamExecutable::window() const { return data_->cut.window; }
int64_t StreamExecutable::row_bytes() const { return data_->row_bytes; }
const std::string& StreamExecutable::row_type() const { return data_->row_type; }
const std::vector<Port>& StreamExecutable::outputs() const { return data_->outputs; }
bool StreamExecutable::gains() const { return data_->cut.window > 0 && data_->cut.reason.empty(); }
const std::string& StreamExecutable::why_not() const { return data_->cut.reason; }

std::string StreamExecutable::explain() const {
  const Data& d = *data_;
  std::string text;
  for (const Incremental::Line& line : d.cut.lines) {
    const Streamed& what = line.what;
    std::string how;
    if (what.kind == Streamed::kColumns)
      how = fmt::format("kept: {} of {} columns", std::max<int64_t>(0, what.length - what.left - what.right),
                        what.length);
    if (what.kind == Streamed::kSteps) how = fmt::format("steps from the window's start: {}", what.length);
    if (what.kind == Streamed::kTail) how = "for the answer alone";
    if (what.kind == Streamed::kStatic) how = "does not change";
    if (what.left > 0) how += fmt::format(", {} see the zeros before the window", what.left);
    if (what.every > 1) how += fmt::format(", {} rows apart, of which every phase is kept", what.every);
    if (what.right > 0) how += fmt::format(", {} see those behind it and are made again", what.right);
    if (line.begun > 0) how += fmt::format(", {} of {} taps before the row comes", line.begun, line.taps);
    text += fmt::format("{:<28} {}\n    {}\n", how.substr(0, how.find(',')), printable(line.value),
                        line.node + (how.find(',') == std::string::npos ? "" : how.substr(how.find(','))));
  }
  if (window() == 0) {
    for (const auto& [input, output] : d.carried)
      text += fmt::format("state: input '{}' takes output '{}' of the row before\n",
                          printable(d.answer->inputs()[input].name), printable(d.answer->outputs()[output].name));
    return text + fmt::format("Every row runs the model once: {} MACs.\n", d.macs_answer);
  }
  if (!gains())
    return text + fmt::format("Every row runs the whole window ({} MACs): {}.\n", d.macs_window, d.cut.reason);
  text += fmt::format("Before the answer: {} MACs of the window's {}", d.macs_answer, d.macs_window);
  if (d.cut.begun > 0) text += fmt::format(", and {} before its row comes, which convolutions begin with", d.cut.begun);
  if (!d.blocks.empty())
    text += fmt::format("; after it: {} MACs, one step of {} windows in flight{}, in {} blocks{}",
                        d.macs_follow + d.macs_start + d.macs_prepare, d.cut.in_flight,
                        d.cut.every == 1 ? "" : fmt::format(" of one of {} phases", d.cut.every), d.blocks.size(),
                        d.start == nullptr ? "" : fmt::format(" and the first {} rows of one", d.cut.start_rows));
  if (d.cut.edges > 0)
    text += fmt::format(". {} columns that see the window's start are made for every row, by {} MACs after the answer",
                        d.cut.edges, d.macs_ahead);
  if (!d.cut.whole.empty())
    text += fmt::format(". On all of the window, for the answer alone: {}, and what follows", d.cut.whole);
  text += fmt::format(". {} histories, {} states.\n", d.cut.histories.size(), d.cut.states.size());
  if (!d.no_whole.empty())
    text += fmt::format("After a gap rows are taken one by one, not by the full window's program: {}.\n", d.no_whole);
  return text;
}

namespace {

using Parts = StreamExecutable::Data;

// What the layers of the parts see: what the model's see, by the parts' names, and states of known bounds.
Result<Ranges> ranges_of_parts(const Graph& model, const Batch& batch, const Graph& parted, const Incremental& cut,
                               const Plan& plan) {
  Result<Ranges> ranges = calibrated(model, batch, plan);
  if (!ranges.ok()) return ranges;
  const Ranges seen = ranges.value();
  for (const auto& [part, model] : cut.origins)
    if (const auto it = seen.find(model); it != seen.end()) ranges.value()[part] = it->second;
  std::map<std::string, const Node*> of_input;
  for (const Node& node : parted.nodes) {
    if (node.domain != "hayate") continue;
    if (node.op == "RecurrentInput") of_input[node.outputs[0]] = &node;
    const auto input = of_input.find(node.inputs[0]);
    if (node.op != "RecurrentSteps" || input == of_input.end()) continue;
    const auto range = seen.find(input->second->inputs[0]);
    if (range != seen.end() && range->second.high > range->second.low) ranges.value()[node.inputs[1]] = {-1, 1};
  }
  return ranges;
}

// Compiles graph into *to.
Result<bool> compile_into(std::shared_ptr<const Compiled>* to, const Graph& graph, const PartsPlan& plan,
                          int64_t* macs) {
  auto made = compile_part(graph, plan, macs);
  if (!made.ok()) return made.error();
  *to = made.value();
  return true;
}

// The windows in flight in blocks of about kBlockWindows, as even as they go.
Result<bool> compile_blocks(Parts* parts, const PartsPlan& plan) {
  const int64_t flight = parts->cut.in_flight,
                count = std::max<int64_t>(1, (flight + kBlockWindows / 2) / kBlockWindows);
  for (int64_t i = 0; i < count; ++i) {
    Parts::Block block{flight / count + (i < flight % count ? 1 : 0), nullptr};
    if (!parts->blocks.empty() && parts->blocks.back().windows == block.windows) {
      block.follow = parts->blocks.back().follow;
    } else if (const auto made =
                   compile_into(&block.follow, parts->cut.follow_of(block.windows), plan, &parts->macs_follow);
               !made.ok()) {
      return made;
    }
    parts->blocks.push_back(std::move(block));
  }
  auto alone = compile_into(&parts->follow_one, parts->cut.follow_of(1), plan, &parts->macs_follow);
  parts->macs_follow *= flight;
  return alone;
}

// Whether sums over an axis go in float32, one after another, as a stream adds steps up; else in double precision.
bool adds_in_order(const Plan& plan) {
  if (plan.backend != "native") return false;
  const Result<kernels::Isa> isa = isa_of(plan.isa);
  return isa.ok() && isa.value() != kernels::Isa::kPlain;
}

Result<bool> compile_parts(Parts* parts, const Graph& whole, const Batch& batch, const PartsPlan& plan,
                           const Plan& given) {
  const Incremental& cut = parts->cut;
  if (cut.reason.empty() && parts->macs_window == 0) parts->cut.reason = "it has no multiply-adds that could be saved";
  if (cut.reason.empty()) {
    if (auto made = compile_into(&parts->answer, cut.answer, plan, &parts->macs_answer); !made.ok()) return made;
    const double left = static_cast<double>(parts->macs_answer) / static_cast<double>(parts->macs_window);
    if (left > 1 - kGainMin)
      parts->cut.reason = fmt::format("{:.0f} % of its multiply-adds would run at every row{}{}",
                                      100 * std::min(left, 1.0), cut.whole.empty() ? "" : ": ", cut.whole);
  }
  if (!cut.reason.empty()) {
    auto made = compile_graph(whole, batch, given);
    if (!made.ok()) return made.error();
    parts->answer = made.value();
    return true;
  }
  int64_t macs = 0;
  if (adds_in_order(plan.plan) ? cut.reorders : cut.sums) {
    parts->no_whole = "it would add up steps in another order, and round otherwise";
  } else if (auto made = compile_into(&parts->whole, whole, plan, &macs); !made.ok()) {
    if (made.error().code != Code::kResourceExhausted) return made;
    parts->no_whole = "it " + made.error().what;  // a stream answers without it
  }
  if (cut.ahead)
    if (auto made = compile_into(&parts->ahead, *cut.ahead, plan, &parts->macs_ahead); !made.ok()) return made;
  if (cut.begin)
    if (auto made = compile_into(&parts->begin, *cut.begin, plan, &parts->macs_begin); !made.ok()) return made;
  if (!cut.follow || cut.in_flight == 0) return true;
  if (auto made = compile_blocks(parts, plan); !made.ok()) return made;
  if (cut.prepare)
    if (auto made = compile_into(&parts->prepare, *cut.prepare, plan, &parts->macs_prepare); !made.ok()) return made;
  if (cut.start)
    if (auto made = compile_into(&parts->start, *cut.start, plan, &parts->macs_start); !made.ok()) return made;
  return true;
}

void set_outputs(Parts* parts, const Graph& graph, const std::vector<std::string>& left_out) {
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    const std::string& name = graph.outputs[i].name;
    if (std::find(left_out.begin(), left_out.end(), name) != left_out.end()) continue;
    const bool is_cut = parts->cut.window > 0 && parts->cut.reason.empty();
    const size_t place = output_of(*parts->answer, is_cut ? parts->cut.outputs[i] : name);
    const PortType& port = parts->answer->outputs()[place];
    parts->answer_outputs.push_back(place);
    parts->outputs.push_back({name, type_name(port.type.type), port.type.shape, port.row_bytes});
  }
}

// A window over the rows of the graph's only input.
Result<bool> cut_window(Parts* parts, Graph graph, const Plan& plan) {
  if (!plan.states.empty())
    return Error{
        Code::kInvalidArgument, "plan",
        fmt::format("state '{}' is named for a window of {} rows; a model that carries its state takes window 0",
                    plan.states[0], plan.window)};
  if (graph.inputs.size() != 1)
    return Error{Code::kUnsupported, graph.source,
                 fmt::format("takes {} inputs; a window takes one, whose rows arrive (others are bound with --set)",
                             graph.inputs.size())};
  ValueInfo& input = graph.inputs[0];
  for (size_t i = 1; i < input.dims.size(); ++i)  // an open extent besides the batch is time
    if (!input.dims[i].fixed()) input.dims[i] = {plan.window, ""};
  if (plan.time_axis == input.name + ":0" && !input.dims.empty() && !input.dims[0].fixed())
    input.dims[0] = {plan.window, ""};  // no batch: time comes first
  const Result<InputTypes> types = declared_types(graph, 1);
  if (!types.ok()) return types.error();
  const TensorType& type = types.value().begin()->second;
  const Result<int64_t> axis = time_axis(graph, type, plan);
  if (!axis.ok()) return axis.error();
  PartsPlan as{plan, std::nullopt};
  Result<CutModel> cut = cut_model(graph, types.value(), as, axis.value(), 1);
  if (!cut.ok()) return cut.error();
  parts->cut = std::move(cut.value().cut), parts->macs_window = cut.value().macs, parts->time = axis.value();
  const size_t at = static_cast<size_t>(axis.value());
  parts->inner_bytes = static_cast<int64_t>(type_size(type.type));
  for (size_t i = 0; i < type.shape.size(); ++i)
    if (i != at) (i < at ? parts->outer : parts->inner_bytes) *= type.shape[i];
  parts->row_bytes = parts->outer * parts->inner_bytes, parts->row_type = type_name(type.type);
  const Batch batch{1, "the window of a stream", types.value(), {}};
  if (plan.precision == "int8" && plan.backend == "native" && parts->cut.reason.empty()) {
    auto ranges = ranges_of_parts(graph, find_batch(graph, types.value()), cut.value().parted, parts->cut, plan);
    if (!ranges.ok()) return ranges.error();
    for (const auto& [name, range] : ranges.value())
      parts->scales += fmt::format("{} {} {}\n", name, range.low, range.high);
    as.ranges = std::move(ranges).value(), as.plan.precision = "fp32";
  }
  if (auto made = compile_parts(parts, cut.value().whole, batch, as, plan); !made.ok()) return made;
  set_outputs(parts, graph, {});
  parts->graph = std::move(graph), parts->as = std::move(as);
  return true;
}

// "IN=OUT" as the places of an input and an output of one type. Error: it is none.
Result<std::pair<size_t, size_t>> state_pair(const Compiled& compiled, const std::string& text,
                                             const std::string& source) {
  const auto bad = [&](const std::string& what) {
    return Error{Code::kInvalidArgument, source, fmt::format("state '{}' {}", text, what)};
  };
  const size_t equal = text.find('=');
  if (equal == std::string::npos) return bad("is no IN=OUT");
  const auto find = [](const std::vector<PortType>& ports, const std::string& name) {
    return std::find_if(ports.begin(), ports.end(), [&](const PortType& port) { return port.name == name; });
  };
  const auto input = find(compiled.inputs(), text.substr(0, equal));
  const auto output = find(compiled.outputs(), text.substr(equal + 1));
  if (input == compiled.inputs().end())
    return bad(fmt::format("names no input; {} are there", port_names(compiled.inputs())));
  if (output == compiled.outputs().end())
    return bad(fmt::format("names no output; {} are there", port_names(compiled.outputs())));
  if (input->type.type != output->type.type || input->type.shape != output->type.shape || output->open)
    return bad(fmt::format("joins {} {} with {} {}; both must be one type", type_name(output->type.type),
                           output->open ? "of open shape" : shape_text(output->type.shape), type_name(input->type.type),
                           shape_text(input->type.shape)));
  return std::pair{static_cast<size_t>(input - compiled.inputs().begin()),
                   static_cast<size_t>(output - compiled.outputs().begin())};
}

// The model's own state goes from row to row.
Result<bool> carry_states(Parts* parts, const Graph& graph, const Plan& plan) {
  if (plan.states.empty())
    return Error{Code::kInvalidArgument, "plan",
                 "window is 0 and no state is named; 1 or more rows, or the model's states as IN=OUT, are accepted"};
  const Result<InputTypes> types = declared_types(graph, 1);
  if (!types.ok()) return types.error();
  const Result<Graph> rewritten = rewrite(graph, types.value());
  if (!rewritten.ok()) return rewritten.error();
  const Result<Facts> facts = infer(rewritten.value(), types.value());
  if (!facts.ok()) return facts.error();
  parts->macs_window = parts->macs_answer = macs_of(rewritten.value(), facts.value());
  auto compiled =
      compile_graph(rewritten.value(), Batch{1, "a stream that carries its state", types.value(), {}}, plan);
  if (!compiled.ok()) return compiled.error();
  parts->answer = compiled.value();
  std::vector<bool> taken(parts->answer->inputs().size(), false);
  std::vector<std::string> state_outputs;
  for (const std::string& text : plan.states) {
    const auto pair = state_pair(*parts->answer, text, graph.source);
    if (!pair.ok()) return pair.error();
    if (taken[pair.value().first])
      return Error{Code::kInvalidArgument, graph.source, fmt::format("state '{}' names an input again", text)};
    if (std::any_of(parts->carried.begin(), parts->carried.end(),
                    [&](const auto& each) { return each.second == pair.value().second; }))
      return Error{Code::kInvalidArgument, graph.source, fmt::format("state '{}' names an output again", text)};
    taken[pair.value().first] = true;
    parts->carried.push_back(pair.value());
    state_outputs.push_back(parts->answer->outputs()[pair.value().second].name);
  }
  if (std::count(taken.begin(), taken.end(), false) != 1)
    return Error{
        Code::kInvalidArgument, graph.source,
        fmt::format("has {} inputs that are no state; one takes the rows, others are bound with --set ({} are there)",
                    std::count(taken.begin(), taken.end(), false), port_names(parts->answer->inputs()))};
  parts->row_input = static_cast<size_t>(std::find(taken.begin(), taken.end(), false) - taken.begin());
  parts->row_bytes = parts->answer->inputs()[parts->row_input].row_bytes;
  parts->row_type = type_name(parts->answer->inputs()[parts->row_input].type.type);
  set_outputs(parts, graph, state_outputs);
  parts->graph = graph, parts->as.plan = plan;
  if (parts->outputs.empty()) return Error{Code::kInvalidArgument, graph.source, "has no output but its states"};
  return true;
}

// What the programs of one stream run in, ports included.
int64_t programs_bytes(const Parts& parts) {
  std::vector<const Compiled*> programs{parts.answer.get(), parts.whole.get(), parts.ahead.get(), parts.begin.get()};
  for (int64_t phase = 0; phase < parts.cut.every; ++phase) {
    for (const auto* each : {&parts.start, &parts.prepare, &parts.follow_one}) programs.push_back(each->get());
    for (const Parts::Block& block : parts.blocks) programs.push_back(block.follow.get());
  }
  int64_t bytes = 0;
  for (const Compiled* program : programs) {
    if (program == nullptr) continue;
    bytes += program->session_bytes();
    for (const auto* ports : {&program->inputs(), &program->outputs()})
      for (const PortType& port : *ports) bytes += port.row_bytes;
  }
  return bytes;
}

}  // namespace

Result<StreamExecutable> compile_stream(const Model& model, const Plan& asked) {
  Plan plan = asked;
  plan.threads = 1;  // its parts are short; settle_elsewhere() is what another core is good for
  const MemoryScope scope(model.data()->budget);
  const Graph& graph = model.data()->graph;
  if (plan.window < 0)
    return Error{
        Code::kInvalidArgument, "plan",
        fmt::format("window is {}; 1 or more rows are accepted, or 0 for a model that carries its state", plan.window)};
  if (plan.backend != "native" && plan.backend != "reference")
    return Error{
        Code::kUnsupported, "plan",
        fmt::format("streams run on native and reference; backend '{}' runs whole windows alone", plan.backend)};
  if (plan.warm_up != "zeros" && plan.warm_up != "wait")
    return Error{Code::kInvalidArgument, "plan",
                 fmt::format("warm_up is '{}'; 'zeros' and 'wait' are accepted", plan.warm_up)};
  auto data = std::make_shared<StreamExecutable::Data>();
  const Result<bool> made =
      plan.window == 0 ? carry_states(data.get(), graph, plan) : cut_window(data.get(), graph, plan);
  if (!made.ok()) return made.error();
  data->source = graph.source;
  data->waits = plan.warm_up == "wait";
  data->identity = identity_of(graph, plan, data->scales);
  data->budget = model.data()->budget;
  // Most of a stream is what its programs run in, which they say: that much is asked for before it is made. The rest
  // (histories, columns, windows in flight) is what the classes of a stream make of it, counted as they do: to reckon
  // it here as well would be a second truth of all their tensors.
  std::unique_ptr<Streaming> blank;
  const auto fit = [&]() -> Result<bool> {
    if (const Result<bool> room = room_for(programs_bytes(*data), graph.source + ": a stream"); !room.ok()) return room;
    const auto counted = std::make_shared<MemoryBudget>(INT64_MAX);
    {
      const MemoryScope counting(counted);
      blank = make_streaming(*data);
    }
    data->stream_bytes = counted->used();
    return room_for(data->stream_bytes, graph.source + ": a stream");
  };
  Result<bool> room = fit();
  if (!room.ok() && data->whole != nullptr) {
    blank.reset(), data->whole.reset();  // answers after a gap are slower, and the same
    data->no_whole = "a stream with it " + room.error().what;
    room = fit();
  }
  if (!room.ok()) return room.error();
  // Twice the window of zeros: the first fills what is kept, the second lets every window in flight start on it.
  const std::vector<std::byte> row(static_cast<size_t>(data->row_bytes));
  for (int64_t i = 0; i < 2 * plan.window && data->cut.reason.empty(); ++i) {
    Status status = blank->push(row.data());
    while (status.ok() && blank->step(&status)) {
    }
    if (!status.ok()) return Error{Code::kInvalidArgument, graph.source, "fails on rows of zeros"};
  }
  data->blank = kept_bytes(blank.get());
  return StreamExecutable(data);
}

int64_t StreamExecutable::stream_bytes() const { return data_->stream_bytes; }

Result<bool> StreamExecutable::room_for_streams(size_t count) const {
  const MemoryScope scope(data_->budget);
  const int64_t most = INT64_MAX / std::max<int64_t>(1, data_->stream_bytes);
  const bool too_many = count > static_cast<size_t>(most);
  const int64_t bytes = too_many ? INT64_MAX : static_cast<int64_t>(count) * data_->stream_bytes;
  const std::string what = count == 1 ? "a stream" : fmt::format("{} streams", count);
  return room_for(bytes, data_->source + ": " + what);
}

Stream StreamExecutable::stream() const {
  const MemoryScope scope(data_->budget);
  auto data = std::make_unique<Stream::Data>();
  data->of = data_, data->way = make_streaming(*data_);
  Stream made(std::move(data));
  made.reset();
  return made;
}

Stream::Stream(std::unique_ptr<Data> data) : data_(std::move(data)) {}
Stream::Stream(Stream&&) noexcept = default;
Stream& Stream::operator=(Stream&&) noexcept = default;
Stream::~Stream() {
  if (data_ != nullptr) data_->helper.reset();  // before what it works on
}

Status Stream::push(const void* row) noexcept {
  Data::Held held(data_.get());
  if (const Status failed = data_->told(); !failed.ok()) return failed;
  const Status status = data_->way->push(row);
  if (!status.ok()) return status;
  ++data_->rows;
  held.leaves_work = true;
  return data_->answered();
}
Status Stream::settle() noexcept {
  const Data::Held held(data_.get());
  Status status = data_->told();
  while (status.ok() && data_->way->step(&status)) {
  }
  return status;
}
bool Stream::settle_slice(Status* status) noexcept {
  const Data::Held held(data_.get());
  *status = data_->told();
  return status->ok() && data_->way->step(status) && status->ok();
}
const void* Stream::output(size_t i) const { return data_->way->output(i); }
int64_t Stream::rows() const { return data_->rows; }
bool Stream::ready() const { return data_->rows >= data_->of->cut.window; }

void Stream::settle_elsewhere(int core) {
  settle_here();
  data_->helper = std::make_unique<SettlingThread>(data_->way.get(), core);
  Data::Held held(data_.get());
  held.leaves_work = true;  // of answers before
}
void Stream::settle_here() noexcept {
  { const Data::Held held(data_.get()); }  // what it has met so far
  data_->helper.reset();
}

void Stream::reset() noexcept {
  const Data::Held held(data_.get());
  put_back(data_->of->blank, data_->way.get());
  data_->rows = 0;
}

Status Stream::refill(const void* rows, int64_t count) noexcept {
  if (count < 0) return {Status::kBatch, -1, count};
  Data::Held held(data_.get());
  data_->failed = {};  // of rows that are forgotten
  put_back(data_->of->blank, data_->way.get());
  const int64_t window = data_->of->cut.window, first = window == 0 ? 0 : std::max<int64_t>(0, count - window);
  data_->rows = 0;
  if (count == 0) return {};
  const int64_t bytes = data_->of->row_bytes;
  const auto* from = static_cast<const std::byte*>(rows) + first * bytes;
  const Status status = data_->way->refill(from, count - first, bytes);
  held.leaves_work = status.ok();
  if (!status.ok()) {
    put_back(data_->of->blank, data_->way.get());
    return status;
  }
  data_->rows = count;
  return data_->answered();
}

std::string Stream::snapshot() const {
  const Data::Held held(data_.get());
  return make_snapshot(data_->of->identity, data_->rows, kept_bytes(data_->way.get()));
}

Result<bool> Stream::restore(std::string_view snapshot) {
  const Result<Snapshot> read = read_snapshot(snapshot, data_->of->identity, data_->of->blank.size());
  if (!read.ok()) return read.error();
  const Data::Held held(data_.get());
  if (!put_back(read.value().kept, data_->way.get())) {
    put_back(data_->of->blank, data_->way.get());
    data_->rows = 0;
    return Error{Code::kInvalidArgument, "snapshot", "holds row numbers that no stream has; the stream was reset"};
  }
  data_->rows = read.value().rows;
  return true;
}

}  // namespace hayate
