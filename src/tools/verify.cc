#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "backends/inputs.h"
#include "base/json.h"
#include "compress/ranges.h"
#include "import/onnx/onnx.h"
#include "tensor/npy.h"
#include "tools/commands.h"
#include "tools/progress.h"

namespace hayate {
namespace {

namespace fs = std::filesystem;

// One output of one backend, held against what it should be.
struct Finding {
  std::string set, backend, output;  // set: the folder of the records; empty: made up or given
  Difference difference;
  std::string refusal;       // not empty: the backend gave no answer, and why
  bool within_peer = false;  // past the tolerance, but within twice ONNX Runtime's own error
  bool skipped = false;      // the backend cannot be asked (no library, another format)
  bool reduced = false;      // of a reduced precision: told, not judged

  bool good() const {
    return skipped || reduced ||
           (refusal.empty() && difference.shapes.empty() && (difference.outside == 0 || within_peer));
  }
};

using Findings = std::vector<Finding>;

// ONNX Runtime is a peer: where it is not there, or reads no such file, it is skipped, which the report says.
bool may_be_skipped(std::string_view backend, const Error& error, const Graph& graph) {
  return backend == "onnxruntime" && (graph.opset == 0 || error.code == Code::kNotFound);
}

void compare(const Graph& graph, std::string_view backend, const Result<Tensors>& got, const Tensors& wanted,
             const std::string& set, const Tolerance& tolerance, Findings* all) {
  Finding finding;
  finding.set = set, finding.backend = backend;
  if (!got.ok()) {
    finding.refusal = got.error().text();
    finding.skipped = may_be_skipped(backend, got.error(), graph);
    all->push_back(finding);
    return;
  }
  for (const auto& [name, tensor] : wanted) {
    finding.output = name, finding.difference = difference(got.value().at(name), tensor, tolerance);
    all->push_back(finding);
  }
}

// Every float32 engine rounds: past the tolerance an error of ours still passes where it is at most twice ONNX
// Runtime's.
void allow_rounding(Findings* all) {
  std::map<std::pair<std::string, std::string>, double> peer;
  for (const Finding& f : *all)
    if (f.backend == "onnxruntime" && f.refusal.empty() && f.difference.shapes.empty())
      peer[{f.set, f.output}] = f.difference.max_absolute;
  for (Finding& f : *all) {
    const auto it = peer.find({f.set, f.output});
    if (f.backend == "onnxruntime" || it == peer.end() || f.difference.outside == 0) continue;
    f.within_peer = std::isfinite(f.difference.max_absolute) && f.difference.max_absolute <= 2 * it->second;
  }
}

void print_text(const Findings& all) {
  for (const Finding& f : all) {
    const std::string who =
        printable((f.set.empty() ? "" : f.set + " ") + f.backend + (f.output.empty() ? "" : " " + f.output));
    const Difference& d = f.difference;
    if (f.reduced && f.refusal.empty() && f.difference.shapes.empty()) {
      fmt::print("info {}: max absolute error {:.3g}, relative {:.3g}\n", who, f.difference.max_absolute,
                 f.difference.max_relative);
      continue;
    }
    const std::string what =
        !f.refusal.empty() ? f.refusal
        : !d.shapes.empty()
            ? d.shapes
            : fmt::format("max absolute error {:.3g}, relative {:.3g}, {} of {} past tolerance{}", d.max_absolute,
                          d.max_relative, d.outside, d.count, f.within_peer ? ", within twice ONNX Runtime's own" : "");
    fmt::print("{:4} {}: {}\n", f.skipped ? "skip" : f.reduced ? "info" : f.good() ? "ok" : "FAIL", who, what);
  }
}

void print_json(const std::string& model, const Findings& all, bool good) {
  std::string rows;
  for (const Finding& f : all)
    rows += fmt::format(
        "{}\n{{\"set\": {}, \"backend\": {}, \"output\": {}, \"good\": {}, \"skipped\": {}, \"max_abs_error\": {}, "
        "\"max_rel_error\": {}, \"past_tolerance\": {}, \"elements\": {}, \"said\": {}}}",
        rows.empty() ? "" : ",", json_string(f.set), json_string(f.backend), json_string(f.output), f.good(), f.skipped,
        json_number(f.difference.max_absolute), json_number(f.difference.max_relative), f.difference.outside,
        f.difference.count, json_string(f.refusal.empty() ? f.difference.shapes : f.refusal));
  fmt::print("{{\"model\": {}, \"good\": {}, \"results\": [{}]}}\n", json_string(model), good, rows);
}

int report(const ModelOptions& options, const VerifyOptions& verify, Findings all) {
  allow_rounding(&all);
  bool good = true;
  for (const Finding& f : all) good = good && f.good();
  verify.json ? print_json(options.model, all, good) : print_text(all);
  return good ? 0 : 1;
}

// The tensors STEM_0.pb, STEM_1.pb ... of a folder, in that order, under the ports' names.
Result<Tensors> recorded(const fs::path& folder, const std::string& stem, const std::vector<ValueInfo>& ports) {
  Tensors tensors;
  for (size_t i = 0; i < ports.size(); ++i) {
    const std::string path = folder / fmt::format("{}_{}.pb", stem, i);
    const Result<std::string> bytes = read_file(path);
    if (!bytes.ok()) return bytes.error();
    std::string name;
    Result<Tensor> tensor = import_onnx_tensor(bytes.value(), path, &name);
    if (!tensor.ok()) return tensor.error();
    tensors.emplace(ports[i].name, std::move(tensor).value());
  }
  return tensors;
}

// What fewer bits would cost: native's error at each precision, of models with layers that have such a form.
void tell_reduced(const Graph& graph, const Tensors& given, const Tensors& wanted, Plan plan, Findings* all) {
  const auto layer = [&](const Node& node) { return can_be_integers(graph, node); };
  if (std::none_of(graph.nodes.begin(), graph.nodes.end(), layer)) return;
  plan.backend = "native";
  for (const char* precision : {"bf16", "int8"}) {
    plan.precision = precision;
    const size_t first = all->size();
    compare(graph, std::string("native ") + precision, answer(graph, given, plan), wanted, "", {}, all);
    for (size_t i = first; i < all->size(); ++i) (*all)[i].reduced = true;
  }
  say_whose_scales(plan);
}

int verify_model(const ModelOptions& options, const VerifyOptions& verify) {
  Result<Graph> graph = load_model(options);
  if (!graph.ok()) return fail(graph.error());
  const Result<Tensors> given =
      verify.inputs.empty() ? made_inputs(graph.value(), 7, 1) : read_inputs(verify.inputs, graph.value());
  if (!given.ok()) return fail(given.error());
  open_defaults(&graph.value(), given.value());
  const Result<Tensors> wanted = answer(graph.value(), given.value(), plan_for(options.plan, "reference"));
  if (!wanted.ok()) return fail(wanted.error());
  Findings all;
  for (const Backend* backend : backends()) {
    if (backend->name() == "reference") continue;
    compare(graph.value(), backend->name(),
            answer(graph.value(), given.value(), plan_for(options.plan, backend->name())), wanted.value(), "",
            verify.tolerance, &all);
  }
  tell_reduced(graph.value(), given.value(), wanted.value(), options.plan, &all);
  return report(options, verify, std::move(all));
}

int verify_folder(ModelOptions options, const VerifyOptions& verify) {
  const std::string folder = options.model;
  options.model = folder + "/model.onnx";
  const Result<Graph> graph = load_model(options);
  if (!graph.ok()) return fail(graph.error());
  std::set<fs::path> sets;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (entry.path().filename().string().starts_with("test_data_set_")) sets.insert(entry.path());
  if (sets.empty()) return fail({Code::kNotFound, folder, "holds no test_data_set_* folder"});
  Findings all;
  Progress progress(folder, static_cast<int64_t>(sets.size()));
  for (const fs::path& set : sets) {
    const Result<Tensors> inputs = recorded(set, "input", graph.value().inputs),
                          wanted = recorded(set, "output", graph.value().outputs);
    if (!inputs.ok()) return fail(inputs.error());
    if (!wanted.ok()) return fail(wanted.error());
    for (const Backend* backend : backends())
      compare(graph.value(), backend->name(),
              answer(graph.value(), inputs.value(), plan_for(options.plan, backend->name())), wanted.value(),
              set.filename(), verify.tolerance, &all);
    progress.at(static_cast<int64_t>(all.size() / backends().size()));
  }
  return report(options, verify, std::move(all));
}

}  // namespace

int verify(const ModelOptions& options, const VerifyOptions& verify) {
  return fs::is_directory(options.model) ? verify_folder(options, verify) : verify_model(options, verify);
}

}  // namespace hayate
