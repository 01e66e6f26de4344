#include "conformance/node_case.h"

#include <fmt/format.h>

#include <algorithm>

#include "import/onnx/onnx.h"
#include "tensor/npy.h"
#include "tools/compare.h"

namespace hayate::conformance {
namespace {

namespace fs = std::filesystem;

constexpr Tolerance kOnnxRunner{1e-3, 1e-7};  // what ONNX's own runner asks of its node tests
constexpr int64_t kListMax = 64;              // elements of an input that may be a shape, axes or indices

// Which inputs to bind, the fewest first: none; the numbers and lists of integers behind the first input; all of them;
// everything.
enum class Bind { kNothing, kFurtherLists, kLists, kEverything };

bool binds(Bind how, size_t i, const Tensor& tensor) {
  if (how == Bind::kEverything) return true;
  const bool integers = tensor.type() == Type::kInt64 || tensor.type() == Type::kInt32 || tensor.type() == Type::kBool;
  const bool list = tensor.rank() <= 1 && tensor.count() <= (integers ? kListMax : 1);
  return list && (how == Bind::kLists || (how == Bind::kFurtherLists && i > 0));
}

bool asks_to_bind(const Error& error) {
  return error.code == Code::kUnsupported &&
         (error.what.find("known before") != std::string::npos || error.what.find("--set") != std::string::npos);
}

Result<NamedTensors> run_bound(const Graph& graph, const std::vector<Tensor>& inputs, const Backend& backend,
                               bool* folded) {
  for (const Bind how : {Bind::kNothing, Bind::kFurtherLists, Bind::kLists, Bind::kEverything}) {
    Graph bound = graph;
    NamedTensors fed;
    bound.inputs.clear();
    for (size_t i = 0; i < graph.inputs.size(); ++i) {
      if (binds(how, i, inputs[i])) {
        bound.constants.emplace(graph.inputs[i].name, inputs[i]);
      } else {
        bound.inputs.push_back(graph.inputs[i]);
        fed.emplace(graph.inputs[i].name, inputs[i]);
      }
    }
    *folded = fed.empty() && !inputs.empty();
    Result<NamedTensors> outputs = backend.run(bound, fed);
    if (outputs.ok() || how == Bind::kEverything || !asks_to_bind(outputs.error())) return outputs;
  }
  return Error{Code::kInternal, graph.source, "was not run"};
}

std::string compare(const Tensor& got, const Tensor& wanted, bool* loose) {
  const bool sixteen = wanted.type() == Type::kFloat16 || wanted.type() == Type::kBFloat16;
  const bool exact = wanted.type() != Type::kFloat32 && wanted.type() != Type::kFloat64 && !sixteen;
  const Difference strict = difference(got, wanted, exact ? Tolerance{0, 0} : Tolerance{});
  if (!strict.shapes.empty()) return strict.shapes;
  if (strict.outside == 0) return "";
  // 16-bit floats: two steps of the type, since every node of a graph rounds.
  const double step = wanted.type() == Type::kBFloat16 ? 2.0 / 128 : sixteen ? 2.0 / 1024 : kOnnxRunner.relative;
  *loose = true;
  if (!exact && difference(got, wanted, {step, sixteen ? 1e-5 : kOnnxRunner.absolute}).outside == 0) return "";
  return fmt::format("{} of {} elements differ, by at most {:.3g} (relative {:.3g})", strict.outside, wanted.count(),
                     strict.max_absolute, strict.max_relative);
}

std::string run_data_set(const Graph& graph, const fs::path& folder, const Backend& backend, Outcome* outcome) {
  const Result<std::vector<Tensor>> inputs = read_tensors(folder, "input"), outputs = read_tensors(folder, "output");
  if (!inputs.ok()) return inputs.error().text();
  if (!outputs.ok()) return outputs.error().text();
  if (inputs.value().size() != graph.inputs.size() || outputs.value().size() != graph.outputs.size())
    return fmt::format("records {} inputs and {} outputs for {} and {}", inputs.value().size(), outputs.value().size(),
                       graph.inputs.size(), graph.outputs.size());
  const Result<NamedTensors> got = run_bound(graph, inputs.value(), backend, &outcome->folded);
  if (!got.ok()) return got.error().text();
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    const auto it = got.value().find(graph.outputs[i].name);
    if (it == got.value().end()) return fmt::format("gives no output '{}'", graph.outputs[i].name);
    const std::string fault = compare(it->second, outputs.value()[i], &outcome->loose);
    if (!fault.empty()) return fmt::format("output '{}': {}", graph.outputs[i].name, fault);
  }
  return "";
}

}  // namespace

Result<std::vector<Tensor>> read_tensors(const fs::path& folder, const std::string& kind) {
  std::vector<Tensor> tensors;
  for (;;) {
    const fs::path path = folder / fmt::format("{}_{}.pb", kind, tensors.size());
    if (!fs::exists(path)) return tensors;
    const Result<std::string> bytes = read_file(path);
    if (!bytes.ok()) return bytes.error();
    std::string name;
    Result<Tensor> tensor = import_onnx_tensor(bytes.value(), path, &name);
    if (!tensor.ok()) return tensor.error();
    tensors.push_back(std::move(tensor).value());
  }
}

std::vector<NodeCase> cases_in(const fs::path& root) {
  std::vector<NodeCase> cases;
  if (!fs::is_directory(root)) return cases;
  for (const auto& entry : fs::directory_iterator(root))
    if (fs::exists(entry.path() / "model.onnx")) cases.push_back({entry.path().filename(), entry.path()});
  std::sort(cases.begin(), cases.end(), [](const NodeCase& a, const NodeCase& b) { return a.name < b.name; });
  return cases;
}

Outcome run_case(const NodeCase& node_case, const Backend& backend) {
  Outcome outcome;
  const Result<Graph> graph = import_onnx((node_case.folder / "model.onnx").string());
  if (!graph.ok()) {
    outcome.fault = graph.error().text();
    return outcome;
  }
  int sets = 0;
  for (const auto& entry : fs::directory_iterator(node_case.folder)) {
    if (!entry.path().filename().string().starts_with("test_data_set_")) continue;
    ++sets;
    outcome.fault = run_data_set(graph.value(), entry.path(), backend, &outcome);
    if (!outcome.fault.empty()) return outcome;
  }
  if (sets == 0) outcome.fault = "holds no data set";
  return outcome;
}

}  // namespace hayate::conformance
