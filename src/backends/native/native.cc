#include "backends/native/native.h"

#include <fmt/format.h>

#include "backends/native/lowering.h"
#include "backends/native/steps.h"
#include "base/memory_budget.h"
#include "base/tsc.h"
#include "compress/quantise.h"
#include "rewrite/needed.h"
#include "rewrite/rewrite.h"

namespace hayate::native {

Result<std::shared_ptr<const NativeExecutable>> NativeExecutable::compile(
    const Graph& graph, const std::map<std::string, TensorType>& inputs, const NativeOptions& options,
    Packing* packing) {
  Result<Graph> rewritten = rewrite(graph, inputs);
  if (!rewritten.ok()) return rewritten.error();
  MemoryClaim unrolled;
  if (const Result<bool> room = claim_work(graph.nodes.size(), rewritten.value(), &unrolled); !room.ok())
    return room.error();
  if (options.integers != nullptr) {
    const Result<int> layers = quantise(&rewritten.value(), *options.integers);
    if (!layers.ok()) return layers.error();
  }
  Result<Facts> facts = infer(rewritten.value(), inputs);
  if (!facts.ok()) return facts.error();
  bool fewer = false;
  Graph needed = needed_places(rewritten.value(), facts.value(), &fewer);
  if (fewer) {
    rewritten = std::move(needed);
    facts = infer(rewritten.value(), inputs);
    if (!facts.ok()) return facts.error();
  }
  Packing own;
  Result<Program> program =
      Lowering(rewritten.value(), facts.value(), kernels::set_for(options.isa), packing == nullptr ? &own : packing,
               {.bf16 = options.bf16,
                .threads = options.threads,
                .trees = options.trees,
                .near = options.bf16 || options.integers != nullptr})
          .lower();
  if (!program.ok()) return program.error();
  int64_t state_bytes = program.value().arena_bytes;  // checked here: making a state cannot fail
  const auto count = [&](const std::string& name) {
    const TensorType& type = facts.value().find(name)->second.type;
    state_bytes += checked_count(type.shape).value() * static_cast<int64_t>(type_size(type.type));
  };
  for (const ValueInfo& input : rewritten.value().inputs) count(input.name);
  for (const ValueInfo& output : rewritten.value().outputs) count(output.name);
  const Result<bool> room = room_for(state_bytes, graph.source + ": the memory of one run");
  if (!room.ok()) return room.error();
  auto made = std::make_shared<NativeExecutable>();
  made->program_ = std::move(program).value();
  made->isa_ = options.isa;
  for (const ValueInfo& input : rewritten.value().inputs) made->inputs_.push_back({input.name, inputs.at(input.name)});
  for (const ValueInfo& output : rewritten.value().outputs)
    made->outputs_.push_back({output.name, facts.value().find(output.name)->second.type});
  return std::shared_ptr<const NativeExecutable>(made);
}

NativeState::NativeState(std::shared_ptr<const NativeExecutable> executable)
    : executable_(std::move(executable)), arena_(Type::kUInt8, {executable_->program().arena_bytes}) {
  bases_ = {arena_.bytes(), nullptr};
  for (const std::vector<Port>* ports : {&executable_->inputs(), &executable_->outputs()})
    for (const Port& port : *ports) {
      memory_.emplace_back(port.type.type, port.type.shape);
      bases_.push_back(memory_.back().bytes());
    }
}

NativeState::NativeState(std::shared_ptr<const NativeExecutable> executable, std::byte* arena)
    : executable_(std::move(executable)), bases_{arena, nullptr} {
  bases_.resize(2 + executable_->inputs().size() + executable_->outputs().size(), nullptr);
}

void NativeState::set_team(Team* team, int64_t piece_macs) {
  helped_ = {nullptr, team, piece_macs, 0};
  if (team != nullptr) helped_.pipelines = quicker_pipelines(executable_->program(), team->threads(), piece_macs);
}

RunStatus NativeState::run() noexcept {
  const Program& program = executable_->program();
  const std::vector<Step>& steps = program.steps;
  size_t done = 0;
  while (done < steps.size() && steps[done].run(steps[done], bases())) ++done;
  if (program.release != nullptr) program.release();
  return done == steps.size() ? RunStatus{} : RunStatus{static_cast<int32_t>(done)};
}

RunStatus NativeState::run_timed(std::vector<uint64_t>* ticks) {
  const std::vector<Step>& steps = executable_->program().steps;
  ticks->resize(steps.size());
  RunStatus status;
  for (size_t i = 0; i < steps.size() && status.ok(); ++i) {
    const uint64_t start = ticks_now();
    if (!steps[i].run(steps[i], bases())) status = {static_cast<int32_t>(i)};
    (*ticks)[i] = ticks_now() - start;
  }
  if (executable_->program().release != nullptr) executable_->program().release();
  return status;
}

Error NativeState::error(RunStatus status) const {
  const size_t at = static_cast<size_t>(status.failed_step);
  const Step& step = executable_->program().steps[at];
  Error error{Code::kOutOfRange, executable_->program().names[at], "a value is out of range"};
  if (step.run != run_plain) return error;
  if (Result<bool> again = call_plain(step, bases()); !again.ok()) error.what = again.error().what;
  return error;
}

}  // namespace hayate::native
