// Random graphs, one per seed: native on every instruction set gives what the reference gives, for many rows and few;
// and ONNX Runtime, which gets them as ONNX files, gives the same. HAYATE_GRAPHS runs another number of them than
// 2,000, HAYATE_SEED starts at another seed.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "backends/backend.h"
#include "backends/onnxruntime/ort_library.h"
#include "counts.h"
#include "eval/evaluate.h"
#include "import/onnx/onnx.h"
#include "import/onnx/onnx_writer.h"
#include "import/onnx/standard_ops.h"
#include "kernels/vector/kernels.h"
#include "random/graph_maker.h"
#include "tools/compare.h"

namespace hayate::random_graphs {
namespace {

namespace fs = std::filesystem;
using NamedTensors = std::map<std::string, Tensor>;

#ifdef HAYATE_SANITIZED
constexpr uint64_t kGraphs = 200;
#else
constexpr uint64_t kGraphs = 2000;
#endif
constexpr uint64_t kFaultsMax = 5;  // shown, each with its graph

uint64_t setting(const char* name, uint64_t fallback) {
  const char* given = std::getenv(name);
  return given == nullptr ? fallback : std::strtoull(given, nullptr, 10);
}

bool rounds(Type type) { return type == Type::kFloat32 || type == Type::kFloat64; }

// ONNX Runtime's Sigmoid and Tanh are off by more than float32 rounds, by up to 3e-7 whatever their value; a product
// makes that larger.
constexpr Tolerance kPeer{1e-5, 1e-5};

// Empty where all outputs are equal within the tolerance; integers, bools and 16-bit floats exactly.
std::string differ(const NamedTensors& got, const NamedTensors& wanted, const Tolerance& tolerance = {}) {
  for (const auto& [name, want] : wanted) {
    const auto it = got.find(name);
    if (it == got.end()) return fmt::format("gives no '{}'", name);
    const Difference d = difference(it->second, want, rounds(want.type()) ? tolerance : Tolerance{0, 0});
    if (!d.shapes.empty()) return fmt::format("'{}': {}", name, d.shapes);
    if (d.outside != 0)
      return fmt::format("'{}': {} of {} elements differ, by at most {:.3g} (relative {:.3g})", name, d.outside,
                         d.count, d.max_absolute, d.max_relative);
  }
  return "";
}

InputTypes types_of(const NamedTensors& tensors) {
  InputTypes types;
  for (const auto& [name, tensor] : tensors) types.emplace(name, TensorType{tensor.type(), tensor.shape()});
  return types;
}

Result<NamedTensors> run_rows(State* state, const NamedTensors& feeds, int64_t rows) {
  const Compiled& compiled = state->compiled();
  for (size_t i = 0; i < compiled.inputs().size(); ++i) {
    const Tensor& given = feeds.at(compiled.inputs()[i].name);
    std::copy_n(given.bytes(), given.byte_count(), state->input(i));
  }
  if (const Status status = state->run(rows); !status.ok()) return Error{Code::kInternal, "", state->text(status)};
  NamedTensors made;
  for (size_t i = 0; i < compiled.outputs().size(); ++i) {
    const TensorType type = state->made(i, rows);
    made.emplace(compiled.outputs()[i].name, Tensor(type.type, type.shape, state->output(i)));
  }
  return made;
}

// Compiled for kRows rows, where rows can be run apart run with 16, 7, 3 and 1; else for the numbers of rows that the
// graph was made at. What was made goes to `all`, by rows.
std::string native_fault(const GraphMaker& maker, const std::map<int64_t, NamedTensors>& wanted, const Plan& plan,
                         int* apart, std::map<int64_t, NamedTensors>* all) {
  const auto compiled = compile_graph(maker.graph(), types_of(maker.feeds(kRows)), plan);
  if (!compiled.ok()) return compiled.error().text();
  const bool fixed = !compiled.value()->batch().fixed.empty();
  *apart += maker.symbolic() && !fixed;
  for (const auto& [rows, want] : wanted) {
    if (fixed && rows != kRows && rows != kFewRows) continue;
    const NamedTensors feeds = maker.feeds(rows);
    const auto own = fixed && rows != kRows ? compile_graph(maker.graph(), types_of(feeds), plan) : compiled;
    if (!own.ok()) return own.error().text();
    const std::unique_ptr<State> state = own.value()->state();
    const auto got = run_rows(state.get(), feeds, fixed ? own.value()->batch().rows : rows);
    if (!got.ok()) return fmt::format("{} rows: {}", rows, got.error().text());
    if (const std::string fault = differ(got.value(), want); !fault.empty())
      return fmt::format("{} rows: {}\n{}", rows, fault, own.value()->text());
    for (const auto& [name, tensor] : got.value()) {
      Tensor copy(tensor.type(), tensor.shape());  // got's are views of the state
      std::copy_n(tensor.bytes(), tensor.byte_count(), copy.bytes());
      (*all)[rows].emplace(name, std::move(copy));
    }
  }
  return "";
}

// Where the bits of two differ; NaN is NaN.
std::string other_bits(const std::map<int64_t, NamedTensors>& a, const std::map<int64_t, NamedTensors>& b) {
  for (const auto& [rows, tensors] : a)
    for (const auto& [name, tensor] : tensors) {
      const Tensor& other = b.at(rows).at(name);
      const size_t size = type_size(tensor.type());
      for (size_t at = 0; at < tensor.byte_count(); at += size) {
        if (std::equal(tensor.bytes() + at, tensor.bytes() + at + size, other.bytes() + at)) continue;
        if (tensor.type() == Type::kFloat32 && std::isnan(tensor.data<float>()[at / size]) &&
            std::isnan(other.data<float>()[at / size]))
          continue;
        return fmt::format("{} rows: '{}' at {}", rows, name, at / size);
      }
    }
  return "";
}

std::string fault_on_native(const GraphMaker& maker, int* apart) {
  std::map<int64_t, NamedTensors> wanted;
  for (const int64_t rows : maker.symbolic() ? std::vector<int64_t>{kRows, 7, kFewRows, 1} : std::vector{kRows}) {
    auto evaluated = evaluate(maker.graph(), maker.feeds(rows));
    if (!evaluated.ok() && (rows == kRows || rows == kFewRows)) return "reference: " + evaluated.error().text();
    if (evaluated.ok()) wanted.emplace(rows, std::move(evaluated).value());
  }
  Plan plan;
  plan.batch_max = kRows;
  std::map<int64_t, NamedTensors> first;  // of an instruction set with a fused multiply-add: all have the same bits
  for (const kernels::Isa isa : kernels::supported_isas()) {
    plan.isa = kernels::isa_name(isa);
    std::map<int64_t, NamedTensors> made;
    const std::string fault = native_fault(maker, wanted, plan, apart, &made);
    if (!fault.empty()) return fmt::format("native {}: {}", plan.isa, fault);
    if (isa == kernels::Isa::kPlain || isa == kernels::Isa::kSse4) continue;
    if (first.empty()) first = made;
    if (const std::string other = other_bits(first, made); !other.empty())
      return fmt::format("native {} has other bits: {}", plan.isa, other);
  }
  return "";
}

TEST(RandomGraphs, NativeEqualsReference) {
  const uint64_t first = setting("HAYATE_SEED", 1), count = setting("HAYATE_GRAPHS", kGraphs);
  std::map<std::string, int> used;
  std::map<std::string, int> operators;
  size_t nodes = 0, symbolic = 0, faults = 0;
  int apart = 0;
  for (uint64_t seed = first; seed < first + count && faults < kFaultsMax; ++seed) {
    const GraphMaker maker(seed);
    const std::string fault = fault_on_native(maker, &apart);
    EXPECT_EQ(fault, "") << "HAYATE_SEED=" << seed << " HAYATE_GRAPHS=1\n" << maker.graph().text();
    faults += !fault.empty();
    if (count == 1) fmt::print("{}", maker.graph().text());
    nodes += maker.graph().nodes.size(), symbolic += maker.symbolic();
    for (const auto& [recipe, made] : maker.used()) used[recipe] += made;
    for (const Node& node : maker.graph().nodes) ++operators[node.op];
  }
  const std::string counted = fmt::format(
      "{} random graphs of {} nodes and {} operators, {} with an open batch: {} differ between native and reference",
      count, nodes, operators.size(), symbolic, faults);
  fmt::print("{}; {} times run apart\n", counted, apart);
  write_count("random_native", counted);
  if (count < 500) return;
  for (const std::string& recipe : GraphMaker::recipe_names())
    EXPECT_GT(used[recipe], 0) << recipe << " never makes a node that is accepted";
}

// As ONNX reads back what was written.
std::string round_trip_fault(const Graph& graph, const std::string& path) {
  const auto written = export_onnx(graph, path);
  if (!written.ok()) return written.error().text();
  const auto imported = import_onnx(path);
  if (!imported.ok()) return imported.error().text();
  Graph declared = in_standard_operators(graph).value();
  // An extent of zero is read as an open one.
  for (ValueInfo& input : declared.inputs)
    for (Dim& dim : input.dims)
      if (dim.value == 0) dim = {};
  if (imported.value().text() != declared.text()) return "reads back as\n" + imported.value().text();
  return "";
}

TEST(RandomGraphs, OnnxRuntimeEqualsReference) {
  if (const auto library = OrtLibrary::open(""); !library.ok()) GTEST_SKIP() << library.error().text();
  const uint64_t first = setting("HAYATE_SEED", 1), count = setting("HAYATE_GRAPHS", kGraphs);
  const fs::path folder = fs::path(testing::TempDir()) / fmt::format("hayate_random_graphs_{}", first);
  fs::create_directories(folder);
  const std::string path = folder / "model.onnx";
  std::map<std::string, int> refused;
  size_t ran = 0, special = 0, halves = 0, empties = 0, faults = 0;
  Plan plan;
  plan.backend = "onnxruntime";
  plan.ort_optimisation = "none";  // its fusion of Transpose into MatMul by a vector gives other numbers
  for (uint64_t seed = first; seed < first + count && faults < kFaultsMax; ++seed) {
    const GraphMaker maker(seed);
    // Its rules for NaN differ from kernel to kernel, it computes 16-bit floats in float32 across nodes, and some of
    // its kernels divide by an extent, so that one of zero ends the process.
    if (maker.special() || maker.halves() || maker.empties()) {
      ++(maker.special() ? special : maker.halves() ? halves : empties);
      continue;
    }
    std::string fault = round_trip_fault(maker.graph(), path);
    if (fault.empty()) {
      Graph graph = maker.graph();
      graph.source = path;
      const NamedTensors feeds = maker.feeds(kRows);
      const auto compiled = compile_graph(graph, types_of(feeds), plan);
      if (!compiled.ok()) {
        ++refused[compiled.error().text()];
        continue;
      }
      const auto got = run_on(compiled.value()->state().get(), feeds);
      if (!got.ok()) {
        ++refused[got.error().text()];
        continue;
      }
      fault = differ(got.value(), evaluate(graph, feeds).value(), kPeer);
      ++ran;
    }
    EXPECT_EQ(fault, "") << "HAYATE_SEED=" << seed << " HAYATE_GRAPHS=1\n" << maker.graph().text();
    faults += !fault.empty();
  }
  fs::remove_all(folder);
  size_t left = 0;
  for (const auto& [why, times] : refused) left += static_cast<size_t>(times);
  const std::string counted = fmt::format(
      "{} of {} random graphs run on ONNX Runtime, {} differ; {} refused; left out {} for NaN and infinity, {} for "
      "16-bit "
      "floats, {} for extents of zero",
      ran, count, faults, left, special, halves, empties);
  fmt::print("{}\n", counted);
  write_count("random_onnxruntime", counted);
  for (const auto& [why, times] : refused) fmt::print("  {} x {}\n", times, why);
}

}  // namespace
}  // namespace hayate::random_graphs
