#include "runtime/stream_parts.h"

#include "compress/quantise.h"
#include "eval/macs.h"
#include "rewrite/rewrite.h"
#include "stream/split.h"

namespace hayate {
namespace {

std::optional<size_t> place_of(const std::vector<PortType>& ports, const std::string& name) {
  for (size_t i = 0; i < ports.size(); ++i)
    if (ports[i].name == name) return i;
  return std::nullopt;
}

}  // namespace

std::optional<size_t> find_input(const Compiled& compiled, const std::string& name) {
  return place_of(compiled.inputs(), name);
}
size_t input_of(const Compiled& compiled, const std::string& name) { return place_of(compiled.inputs(), name).value(); }
size_t output_of(const Compiled& compiled, const std::string& name) {
  return place_of(compiled.outputs(), name).value();
}

Result<CutModel> cut_model(const Graph& graph, const InputTypes& types, const PartsPlan& as, int64_t time,
                           int64_t lanes) {
  Result<Graph> whole = rewrite(graph, types);
  if (!whole.ok()) return whole.error();
  const Result<Facts> facts = infer(whole.value(), types);
  if (!facts.ok()) return facts.error();
  Graph parted = split_recurrences(whole.value(), facts.value());
  const Result<Facts> parted_facts = infer(parted, types);
  if (!parted_facts.ok()) return parted_facts.error();
  Result<Incremental> cut = make_incremental(parted, parted_facts.value(), time, as.plan.precision != "bf16", lanes);
  if (!cut.ok()) return cut.error();
  const int64_t macs = macs_of(whole.value(), facts.value());
  return CutModel{std::move(whole).value(), std::move(parted), std::move(cut).value(), macs};
}

Result<std::shared_ptr<const Compiled>> compile_part(const Graph& floats, const PartsPlan& as, int64_t* macs) {
  Graph part = floats;
  if (as.ranges) (void)quantise(&part, *as.ranges);  // a part without such layers stays as it is
  const Result<InputTypes> types = declared_types(part, 1);
  if (!types.ok()) return types.error();
  const Result<Facts> facts = infer(part, types.value());
  if (!facts.ok()) return facts.error();
  *macs = macs_of(part, facts.value());
  return compile_graph(part, Batch{1, "a part of a stream", types.value(), {}}, as.plan);
}

}  // namespace hayate
