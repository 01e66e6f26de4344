#include "backends/native/native_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "backends/calibration.h"
#include "backends/native/lowering.h"
#include "backends/native/native.h"
#include "kernels/tree_program.h"

namespace hayate {
namespace {

using native::NativeExecutable;
using native::NativeState;

constexpr int64_t kSpinMax = 60'000'000;
constexpr int64_t kTiles[] = {16, 4,
                              1};  // rows of the programs that cover a batch; each row's bits are the same in all

class NativeCompiled : public Compiled {
 public:
  static Result<std::shared_ptr<const Compiled>> make(const Graph& graph, const Batch& batch,
                                                      const native::NativeOptions& options) {
    std::shared_ptr<NativeCompiled> made(new NativeCompiled(batch, options));
    native::Packing packing;
    for (const int64_t rows : made->tile_rows()) {
      const auto tile =
          NativeExecutable::compile(graph, batch.fixed.empty() ? batch.types_at(rows) : batch.types, options, &packing);
      if (!tile.ok()) return tile.error();
      made->tiles_.push_back({rows, tile.value()});
    }
    made->take_ports();
    return std::shared_ptr<const Compiled>(made);
  }

  struct Tile {
    int64_t rows;
    std::shared_ptr<const NativeExecutable> executable;
  };
  const std::vector<Tile>& tiles() const { return tiles_; }
  std::unique_ptr<Team> team() const { return threads_ > 1 ? std::make_unique<Team>(threads_, spin_) : nullptr; }
  int64_t piece_macs() const { return piece_macs_; }

  std::unique_ptr<State> state() const override;
  int64_t plain_steps() const override { return tiles_.back().executable->program().plain_steps; }
  int64_t session_bytes() const override {
    int64_t bytes = 0;  // tiles run one after another
    for (const Tile& tile : tiles_) bytes = std::max(bytes, tile.executable->program().arena_bytes);
    return bytes;
  }
  std::string text() const override {
    std::string text;
    for (const Tile& tile : tiles_) {
      const native::Program& program = tile.executable->program();
      text += fmt::format("program for {} {}, {}, {} steps ({} plain), {} bytes of memory a session\n", tile.rows,
                          tile.rows == 1 ? "row" : "rows", kernels::isa_name(tile.executable->isa()),
                          program.steps.size(), program.plain_steps, program.arena_bytes);
      for (const std::string& name : program.names) text += "  " + name + "\n";
    }
    return text;
  }

 private:
  NativeCompiled(const Batch& batch, const native::NativeOptions& options)
      : Compiled(batch), threads_(options.threads), spin_(options.spin_us), piece_macs_(options.piece_macs) {}

  std::vector<int64_t> tile_rows() const {
    if (!batch().fixed.empty()) return {batch().rows};
    std::vector<int64_t> rows;
    std::copy_if(std::begin(kTiles), std::end(kTiles), std::back_inserter(rows),
                 [&](int64_t tile) { return tile <= batch().rows; });
    return rows;
  }

  void take_ports() {
    std::vector<PortType> inputs, outputs;
    for (const native::Port& each : tiles_[0].executable->inputs())
      inputs.push_back(port(each.name, batch().types.at(each.name)));
    for (const native::Port& each : tiles_[0].executable->outputs()) {
      TensorType type = each.type;
      if (batch().fixed.empty()) type.shape[0] = batch().rows;
      outputs.push_back(port(each.name, type));
    }
    set_ports(std::move(inputs), std::move(outputs));
  }

  std::vector<Tile> tiles_;  // most rows first
  int threads_;
  std::chrono::microseconds spin_;
  int64_t piece_macs_;
};

class NativeTiles : public State {
 public:
  explicit NativeTiles(std::shared_ptr<const NativeCompiled> compiled)
      : State(compiled), native_(*compiled), arena_(Type::kUInt8, {native_.session_bytes()}), team_(native_.team()) {
    for (const NativeCompiled::Tile& tile : native_.tiles())
      states_.emplace_back(tile.executable, arena_.bytes()).set_team(team_.get(), native_.piece_macs());
  }

 protected:
  Status run_rows(int64_t n) noexcept override {
    int64_t row = 0;
    for (size_t t = 0; t < states_.size(); ++t)
      for (const int64_t rows = native_.tiles()[t].rows; row + rows <= n; row += rows) {
        place(&states_[t], row);
        const native::RunStatus status = states_[t].run();
        if (!status.ok()) {
          keep_failure(states_[t], status);
          return {Status::kValue, status.failed_step, static_cast<int64_t>(t)};
        }
      }
    return {};
  }

  std::string failure(Status status) const override {
    return fmt::format("step {} ({}): {}", status.step, failure_.where, failure_.what);
  }

 private:
  // Now: the caller's memory may be gone when somebody asks.
  void keep_failure(const NativeState& state, native::RunStatus status) noexcept {
    try {
      failure_ = state.error(status);
    } catch (const std::exception&) {  // no memory for words
      failure_ = {};
    }
  }
  void place(NativeState* state, int64_t row) noexcept {
    for (size_t i = 0; i < native_.inputs().size(); ++i)
      state->bind_input(i, input(i) + row * native_.inputs()[i].row_bytes);
    for (size_t i = 0; i < native_.outputs().size(); ++i)
      state->bind_output(i, output(i) + row * native_.outputs()[i].row_bytes);
  }

  const NativeCompiled& native_;
  Tensor arena_;
  std::unique_ptr<Team> team_;
  std::vector<NativeState> states_;  // of each tile, over the one arena
  Error failure_;                    // of the last run that failed
};

std::unique_ptr<State> NativeCompiled::state() const {
  return std::unique_ptr<State>(new NativeTiles(std::static_pointer_cast<const NativeCompiled>(shared_from_this())));
}

class NativeBackend : public Backend {
 public:
  std::string_view name() const override { return "native"; }
  Result<std::shared_ptr<const Compiled>> compile(const Graph& graph, const Batch& batch,
                                                  const Plan& plan) const override {
    const Result<native::NativeOptions> options = native_options(graph, batch, plan);
    if (!options.ok()) return options.error();
    return NativeCompiled::make(graph, batch, options.value());
  }
};

}  // namespace

Result<native::NativeOptions> native_options(const Graph& graph, const Batch& batch, const Plan& plan) {
  const Result<kernels::Isa> isa = isa_of(plan.isa);
  if (!isa.ok()) return isa.error();
  if (plan.threads > Team::kPartsMax)
    return Error{Code::kInvalidArgument, "plan",
                 fmt::format("threads is {}; native takes 1 to {}", plan.threads, Team::kPartsMax)};
  if (plan.spin_us < 0 || plan.spin_us > kSpinMax)
    return Error{Code::kInvalidArgument, "plan",
                 fmt::format("spin_us is {}; 0 to {} is accepted", plan.spin_us, kSpinMax)};
  if (!plan.trees.empty() && plan.trees != "measured" && !kernels::tree_method_from_name(plan.trees)) {
    std::string known = "measured";
    for (int i = 0; i < kernels::kTreeMethods; ++i)
      known += std::string(", ") + kernels::tree_method_name(static_cast<kernels::TreeMethod>(i));
    return Error{Code::kInvalidArgument, "plan", fmt::format("trees is '{}'; {} are accepted", plan.trees, known)};
  }
  native::NativeOptions options{.isa = isa.value(), .bf16 = plan.precision == "bf16"};
  if (plan.piece_macs < 0)
    return Error{Code::kInvalidArgument, "plan",
                 fmt::format("piece_macs is {}; 0 (steps are never shared) or more is accepted", plan.piece_macs)};
  options.threads = plan.piece_macs == 0 ? 1 : plan.threads;
  options.trees = plan.trees;
  options.spin_us = plan.spin_us, options.piece_macs = plan.piece_macs;
  if (plan.precision == "int8") {
    Result<Ranges> ranges = calibrated(graph, batch, plan);
    if (!ranges.ok()) return ranges.error();
    options.integers = std::make_shared<const Ranges>(std::move(ranges).value());
  }
  return options;
}

Result<kernels::Isa> isa_of(const std::string& name) {
  const std::vector<kernels::Isa> supported = kernels::supported_isas();
  if (name.empty()) return supported.front();
  const auto isa = kernels::isa_from_name(name);
  if (isa && std::find(supported.begin(), supported.end(), *isa) != supported.end()) return *isa;
  std::string known;
  for (const kernels::Isa each : supported) known += (known.empty() ? "" : ", ") + std::string(kernels::isa_name(each));
  return Error{Code::kUnsupported, "isa '" + name + "'", "is not what this processor runs; it runs " + known};
}

const Backend& native_backend() {
  static const NativeBackend kBackend;
  return kBackend;
}

}  // namespace hayate
