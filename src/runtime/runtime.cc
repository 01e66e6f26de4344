// Model, Executable and Session over the import and the backends.
#include <fmt/format.h>

#include "backends/backend.h"
#include "base/memory_budget.h"
#include "hayate/executable.h"
#include "import/import.h"
#include "import/onnx/onnx_writer.h"
#include "rewrite/bind.h"
#include "runtime/model_data.h"
#include "runtime/shape_pool.h"

namespace hayate {

namespace {

constexpr int64_t kBatchMax = int64_t{1} << 20;  // rows
constexpr int kThreadsMax = 1024;

std::vector<ModelPort> ports_of(const std::vector<ValueInfo>& infos) {
  std::vector<ModelPort> ports;
  for (const ValueInfo& info : infos) {
    ModelPort port{info.name, type_name(info.type), {}};
    for (const Dim& dim : info.dims) port.shape.push_back(dim.fixed() ? dim.value : -1);
    ports.push_back(std::move(port));
  }
  return ports;
}

std::vector<Port> ports_of(const std::vector<PortType>& types) {
  std::vector<Port> ports;
  for (const PortType& port : types)
    ports.push_back({port.name, type_name(port.type.type), port.type.shape, port.row_bytes});
  return ports;
}

}  // namespace

Result<Model> Model::load(const std::string& path, const LoadOptions& options) {
  if (options.memory_max < 0)
    return Error{Code::kInvalidArgument, path,
                 fmt::format("memory_max is {}; 0 or more bytes are accepted", options.memory_max)};
  const auto budget = options.memory_max > 0 ? std::make_shared<MemoryBudget>(options.memory_max) : nullptr;
  const MemoryScope scope(budget);
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
  model.data_ = std::make_shared<const Data>(Data{std::move(graph).value(), budget});
  return model;
}

Result<bool> Model::save(const std::string& path) const { return export_onnx(data_->graph, path); }

std::vector<ModelPort> Model::inputs() const { return ports_of(data_->graph.inputs); }
std::vector<ModelPort> Model::outputs() const { return ports_of(data_->graph.outputs); }
int64_t Model::parameter_count() const { return data_->graph.parameter_count(); }
std::string Model::text() const { return data_->graph.text(); }

struct Executable::Data {
  std::shared_ptr<const Compiled> compiled;
  std::vector<Port> inputs, outputs;
  std::shared_ptr<ShapePool> pool;
};

namespace {

std::shared_ptr<const Executable::Data> data_of(std::shared_ptr<const Compiled> compiled,
                                                const std::shared_ptr<ShapePool>& pool) {
  std::vector<Port> inputs = ports_of(compiled->inputs()), outputs = ports_of(compiled->outputs());
  return std::make_shared<const Executable::Data>(
      Executable::Data{std::move(compiled), std::move(inputs), std::move(outputs), pool});
}

}  // namespace

Result<Executable> compile(const Model& model, const Plan& plan) {
  if (plan.batch_max < 1 || plan.batch_max > kBatchMax)
    return Error{Code::kInvalidArgument, "plan",
                 fmt::format("batch_max is {}; 1 to {} is accepted", plan.batch_max, kBatchMax)};
  if (plan.threads < 1 || plan.threads > kThreadsMax)
    return Error{Code::kInvalidArgument, "plan",
                 fmt::format("threads is {}; 1 to {} is accepted", plan.threads, kThreadsMax)};
  const auto pool = ShapePool::make(model.data()->graph, plan, model.data()->budget);
  if (!pool.ok()) return pool.error();
  Executable executable(data_of(pool.value()->first(), pool.value()));
  if (const Result<bool> room = executable.room_for_session(); !room.ok()) return room.error();
  return executable;
}

Result<Executable> Executable::at(const std::vector<std::string>& shapes) const {
  auto compiled = data_->pool->at(shapes);
  if (!compiled.ok()) return compiled.error();
  return Executable(data_of(std::move(compiled).value(), data_->pool));
}

std::optional<Executable> Executable::ready(const std::vector<std::string>& shapes) const {
  auto compiled = data_->pool->ready(shapes);
  if (compiled == nullptr) return std::nullopt;
  return Executable(data_of(std::move(compiled), data_->pool));
}

const std::vector<Port>& Executable::inputs() const { return data_->inputs; }
const std::vector<Port>& Executable::outputs() const { return data_->outputs; }
int64_t Executable::batch_max() const { return data_->compiled->batch().rows; }
const std::string& Executable::fixed_batch() const { return data_->compiled->batch().fixed; }
std::string Executable::text() const { return data_->compiled->text(); }

int64_t Executable::session_bytes() const {
  int64_t bytes = data_->compiled->session_bytes();
  const int64_t rows = fixed_batch().empty() ? batch_max() : 1;
  for (const std::vector<Port>* ports : {&data_->inputs, &data_->outputs})
    for (const Port& port : *ports) bytes += port.row_bytes * rows;
  return bytes;
}

Result<bool> Executable::room_for_session() const {
  const MemoryScope scope(data_->pool->budget());
  return room_for(session_bytes(), data_->pool->source() + ": a session");
}

struct Session::Data {
  std::unique_ptr<State> state;
};

Session Executable::session() const {
  const MemoryScope scope(data_->pool->budget());
  return Session(std::make_unique<Session::Data>(Session::Data{data_->compiled->state()}));
}

Session::Session(std::unique_ptr<Data> data) : data_(std::move(data)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

void* Session::input(size_t i) { return data_->state->input(i); }
const void* Session::output(size_t i) const { return data_->state->output(i); }
void Session::bind_input(size_t i, void* memory) { data_->state->bind_input(i, static_cast<std::byte*>(memory)); }
void Session::bind_output(size_t i, void* memory) { data_->state->bind_output(i, static_cast<std::byte*>(memory)); }
Status Session::run(int64_t n) noexcept { return data_->state->run(n); }
std::string Session::text(Status status) const { return data_->state->text(status); }

}  // namespace hayate
