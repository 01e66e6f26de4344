// Model, Plan, Executable and Session over the import, the rewrite and the native backend.
#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <map>

#include "backends/native/native.h"
#include "eval/rows.h"
#include "hayate/executable.h"
#include "import/import.h"
#include "rewrite/bind.h"

namespace hayate {

struct Model::Data {
  Graph graph;
};

namespace {

constexpr int kPlanVersion = 1;
constexpr int64_t kTiles[] = {16, 4,
                              1};  // rows of the programs that cover a batch; each row's bits are the same in all

ModelPort port_of(const ValueInfo& info) {
  ModelPort port{info.name, type_name(info.type), {}};
  for (const Dim& dim : info.dims) port.shape.push_back(dim.fixed() ? dim.value : -1);
  return port;
}

// The inputs' types when open extents are `batch`; an error where another axis than the first is open under another
// name.
Result<std::map<std::string, TensorType>> types_at(const Graph& graph, int64_t batch) {
  std::string symbol;
  for (const ValueInfo& input : graph.inputs)
    if (input.has_shape && !input.dims.empty() && !input.dims[0].fixed()) symbol = input.dims[0].symbol;
  std::map<std::string, TensorType> types;
  for (const ValueInfo& input : graph.inputs) {
    if (!input.has_shape)
      return Error{Code::kInvalidArgument, graph.source,
                   fmt::format("input {} has no shape; give it: {}:D1,D2,...", input.text(), input.name)};
    Shape shape;
    for (size_t i = 0; i < input.dims.size(); ++i) {
      const Dim& dim = input.dims[i];
      if (!dim.fixed() && i != 0 && (symbol.empty() || dim.symbol != symbol))
        return Error{
            Code::kInvalidArgument, graph.source,
            fmt::format("axis {} of input {} is open; give its shape: {}:D1,D2,...", i, input.text(), input.name)};
      shape.push_back(dim.fixed() ? dim.value : batch);
    }
    const Result<int64_t> count = checked_count(shape);
    if (!count.ok()) return Error{count.error().code, graph.source + ": input " + input.name, count.error().what};
    types.emplace(input.name, TensorType{input.type, shape});
  }
  return types;
}

}  // namespace

Result<Model> Model::load(const std::string& path, const LoadOptions& options) {
  Result<Graph> graph = import_model(path, ImportOptions{options.raw_score});
  if (!graph.ok()) return graph.error();
  for (const std::string& set : options.sets) {
    const Result<bool> bound = bind_text(&graph.value(), set);
    if (!bound.ok()) return bound.error();
  }
  for (const std::string& shape : options.shapes) {
    const Result<bool> fixed = fix_shape(&graph.value(), shape);
    if (!fixed.ok()) return fixed.error();
  }
  Model model;
  model.data_ = std::make_shared<const Data>(Data{std::move(graph).value()});
  return model;
}

std::vector<ModelPort> Model::inputs() const {
  std::vector<ModelPort> ports;
  for (const ValueInfo& info : data_->graph.inputs) ports.push_back(port_of(info));
  return ports;
}

std::vector<ModelPort> Model::outputs() const {
  std::vector<ModelPort> ports;
  for (const ValueInfo& info : data_->graph.outputs) ports.push_back(port_of(info));
  return ports;
}

int64_t Model::parameter_count() const { return data_->graph.parameter_count(); }
std::string Model::text() const { return data_->graph.text(); }

Plan Plan::defaults(const Model&) { return {}; }

std::string Plan::to_json() const {
  // Both texts are names checked when a plan is used; anything that JSON would have to escape is no such name.
  std::string plain_backend, plain_isa;
  for (const auto& [from, to] : {std::pair(&backend, &plain_backend), std::pair(&isa, &plain_isa)})
    for (const char c : *from)
      if (static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\') *to += c;
  return fmt::format("{{\"version\": {}, \"backend\": \"{}\", \"isa\": \"{}\", \"batch_max\": {}}}", kPlanVersion,
                     plain_backend, plain_isa, batch_max);
}

Result<Plan> Plan::from_json(const std::string& text) {
  const auto bad = [](std::string what) { return Error{Code::kInvalidArgument, "plan", std::move(what)}; };
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  if (parser.parse(text).get(object) != simdjson::SUCCESS) return bad("is no JSON object");
  Plan plan;
  int64_t version = 0;
  for (const auto& [key, value] : object) {
    simdjson::error_code error = simdjson::SUCCESS;
    std::string_view word;
    if (key == "version")
      error = value.get(version);
    else if (key == "backend")
      (error = value.get(word)) == simdjson::SUCCESS ? plan.backend = word : "";
    else if (key == "isa")
      (error = value.get(word)) == simdjson::SUCCESS ? plan.isa = word : "";
    else if (key == "batch_max")
      error = value.get(plan.batch_max);
    else
      return bad(fmt::format("has an unknown key '{}'; keys are version, backend, isa, batch_max", key));
    if (error != simdjson::SUCCESS) return bad(fmt::format("'{}' has a value of the wrong type", key));
  }
  if (version != kPlanVersion) return bad(fmt::format("has version {}; version {} is read", version, kPlanVersion));
  return plan;
}

struct Executable::Data {
  std::vector<Port> inputs, outputs;
  std::string fixed_batch;
  int64_t batch_max = 1;
  std::vector<std::shared_ptr<const native::NativeExecutable>> tiles;  // most rows first
};

Result<Executable> compile(const Model& model, const Plan& plan) {
  const Graph& graph = model.data()->graph;
  if (plan.backend != "native")
    return Error{Code::kUnsupported, "plan",
                 fmt::format("backend '{}' cannot be compiled for sessions; native can", plan.backend)};
  if (plan.batch_max < 1 || plan.batch_max > int64_t{1} << 20)
    return Error{Code::kInvalidArgument, "plan",
                 fmt::format("batch_max is {}; 1 to {} is accepted", plan.batch_max, int64_t{1} << 20)};
  native::NativeOptions options;
  if (!plan.isa.empty()) {
    const auto isa = kernels::isa_from_name(plan.isa);
    const std::vector<kernels::Isa> supported = kernels::supported_isas();
    if (!isa || std::find(supported.begin(), supported.end(), *isa) == supported.end()) {
      std::string known;
      for (const kernels::Isa each : supported)
        known += (known.empty() ? "" : ", ") + std::string(kernels::isa_name(each));
      return Error{Code::kUnsupported, "plan",
                   fmt::format("isa '{}' is not what this processor runs; it runs {}", plan.isa, known)};
    }
    options.isa = *isa;
  }
  auto data = std::make_shared<Executable::Data>();
  data->batch_max = plan.batch_max;
  const auto at_3 = types_at(graph, 3), at_5 = types_at(graph, 5), at_max = types_at(graph, plan.batch_max);
  if (!at_3.ok()) return at_3.error();
  if (!at_5.ok()) return at_5.error();
  if (!at_max.ok()) return at_max.error();
  const Result<Graph> resolved = resolve_branches(graph, at_3.value());
  if (!resolved.ok()) return resolved.error();
  data->fixed_batch = rows_depend(resolved.value(), at_3.value(), at_5.value());
  std::vector<int64_t> sizes;
  if (!data->fixed_batch.empty())
    sizes = {plan.batch_max};
  else
    for (const int64_t tile : kTiles)
      if (tile <= plan.batch_max) sizes.push_back(tile);
  for (const int64_t size : sizes) {
    const auto types = types_at(graph, size);
    const auto compiled = native::NativeExecutable::compile(graph, types.value(), options);
    if (!compiled.ok()) return compiled.error();
    data->tiles.push_back(compiled.value());
  }
  const auto ports = [&](const std::vector<native::Port>& from, std::vector<Port>* to) {
    for (const native::Port& port : from) {
      Port made{port.name, type_name(port.type.type), port.type.shape, 0};
      int64_t bytes = checked_count(port.type.shape).value() * static_cast<int64_t>(type_size(port.type.type));
      if (data->fixed_batch.empty()) bytes /= sizes[0], made.shape[0] = plan.batch_max;
      made.row_bytes = bytes;
      to->push_back(std::move(made));
    }
  };
  ports(data->tiles[0]->inputs(), &data->inputs);
  ports(data->tiles[0]->outputs(), &data->outputs);
  Executable executable;
  executable.data_ = std::move(data);
  return executable;
}

const std::vector<Port>& Executable::inputs() const { return data_->inputs; }
const std::vector<Port>& Executable::outputs() const { return data_->outputs; }
const std::string& Executable::fixed_batch() const { return data_->fixed_batch; }

std::string Executable::text() const {
  std::string text;
  for (const auto& tile : data_->tiles) {
    text += fmt::format("{} rows, {}, {} bytes of memory a session\n",
                        data_->fixed_batch.empty()
                            ? fmt::format("{}", tile->outputs().empty() ? 0 : tile->outputs()[0].type.shape[0])
                            : "all",
                        kernels::isa_name(tile->isa()), tile->program().arena_bytes);
    for (const std::string& name : tile->program().names) text += "  " + name + "\n";
  }
  return text;
}

struct Session::Data {
  std::shared_ptr<const Executable::Data> executable;
  std::vector<Tensor> memory;               // inputs, then outputs
  std::vector<std::byte*> ports;            // where they lie now
  std::vector<native::NativeState> states;  // of each tile
  std::vector<size_t> failed_tile = {0};
};

Session::Session(std::unique_ptr<Data> data) : data_(std::move(data)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Session Executable::session() const {
  auto data = std::make_unique<Session::Data>();
  data->executable = data_;
  const int64_t rows = data_->fixed_batch.empty() ? data_->batch_max : 1;
  for (const std::vector<Port>* ports : {&data_->inputs, &data_->outputs})
    for (const Port& port : *ports) {
      data->memory.emplace_back(Type::kUInt8, Shape{port.row_bytes * rows});
      data->ports.push_back(data->memory.back().bytes());
    }
  for (const auto& tile : data_->tiles) data->states.emplace_back(tile);
  return Session(std::move(data));
}

void* Session::input(size_t i) { return data_->ports[i]; }
const void* Session::output(size_t i) const { return data_->ports[data_->executable->inputs.size() + i]; }

void Session::bind_input(size_t i, void* memory) {
  data_->ports[i] = memory == nullptr ? data_->memory[i].bytes() : static_cast<std::byte*>(memory);
}

void Session::bind_output(size_t i, void* memory) {
  const size_t at = data_->executable->inputs.size() + i;
  data_->ports[at] = memory == nullptr ? data_->memory[at].bytes() : static_cast<std::byte*>(memory);
}

Status Session::run(int64_t n) noexcept {
  Data& d = *data_;
  const Executable::Data& e = *d.executable;
  if (n == 0) return {};
  if (n < 0 || n > e.batch_max || (!e.fixed_batch.empty() && n != e.batch_max)) return {Status::kBatch, -1, n};
  int64_t row = 0;
  for (size_t t = 0; t < d.states.size(); ++t) {
    const int64_t rows = e.fixed_batch.empty() ? e.tiles[t]->inputs()[0].type.shape[0] : n;
    native::NativeState& state = d.states[t];
    for (; row + rows <= n; row += rows) {
      const int64_t at = e.fixed_batch.empty() ? row : 0;
      for (size_t i = 0; i < e.inputs.size(); ++i) state.bind_input(i, d.ports[i] + at * e.inputs[i].row_bytes);
      for (size_t i = 0; i < e.outputs.size(); ++i)
        state.bind_output(i, d.ports[e.inputs.size() + i] + at * e.outputs[i].row_bytes);
      const native::RunStatus status = state.run();
      if (!status.ok()) return {Status::kValue, status.failed_step, static_cast<int64_t>(t)};
    }
  }
  return {};
}

std::string Session::text(Status status) const {
  const Executable::Data& e = *data_->executable;
  if (status.ok()) return "good";
  if (status.code == Status::kBatch)
    return e.fixed_batch.empty()
               ? fmt::format("{} rows were asked for; 0 to {} are accepted", status.value, e.batch_max)
               : fmt::format("{} rows were asked for; the batch is fixed at {}: {}", status.value, e.batch_max,
                             e.fixed_batch);
  const auto& names = e.tiles[static_cast<size_t>(status.value)]->program().names;
  return fmt::format("step {} ({}): a value is out of range", status.step, names[static_cast<size_t>(status.step)]);
}

}  // namespace hayate
