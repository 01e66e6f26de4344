#include "tune/pieces.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "backends/backend.h"
#include "graph/graph.h"
#include "hayate/plan.h"

namespace hayate {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kLayers = 4;
constexpr int kTurns = 9;
constexpr std::chrono::milliseconds kTurn{2};
constexpr int64_t kWidths[] = {64, 96, 128, 192, 256, 384, 512};
constexpr double kPays = 1.05;

// Layers of n x n with a relu behind each.
Graph chain(int64_t n) {
  Graph graph;
  graph.source = "made", graph.opset = 17;
  graph.inputs.push_back({"x0", Type::kFloat32, true, {{1, ""}, {n, ""}}});
  for (int i = 0; i < kLayers; ++i) {
    Tensor weights(Type::kFloat32, {n, n});
    for (int64_t j = 0; j < n * n; ++j)
      weights.data<float>()[j] = static_cast<float>((j * 7 + i) % 13 - 6) / static_cast<float>(4 * n);
    const std::string w = fmt::format("w{}", i), sum = fmt::format("s{}", i);
    graph.constants.emplace(w, std::move(weights));
    graph.nodes.push_back({sum, "", "MatMul", {fmt::format("x{}", i), w}, {sum}, {}});
    graph.nodes.push_back({sum + "r", "", "Relu", {sum}, {fmt::format("x{}", i + 1)}, {}});
  }
  graph.outputs.push_back({fmt::format("x{}", kLayers), Type::kFloat32, false, {}});
  return graph;
}

std::unique_ptr<State> state_with(const Graph& graph, int64_t n, int threads) {
  Plan plan;
  plan.threads = threads, plan.piece_macs = 1;
  const auto compiled = compile_graph(graph, InputTypes{{"x0", {Type::kFloat32, {1, n}}}}, plan);
  if (!compiled.ok()) return nullptr;
  std::unique_ptr<State> state = compiled.value()->state();
  std::fill_n(reinterpret_cast<float*>(state->input(0)), n, 1.0f);
  return state;
}

// Nanoseconds of a run, over one turn.
double turn_ns(State* state) {
  int64_t runs = 0;
  const auto start = Clock::now();
  auto now = start;
  for (; now - start < kTurn; now = Clock::now())
    for (int i = 0; i < 8; ++i, ++runs) (void)state->run(1);
  return std::chrono::duration<double, std::nano>(now - start).count() / static_cast<double>(runs);
}

// The median over turns that are next to each other: what disturbs one pair disturbs no other.
double gain_at(int64_t n) {
  const Graph graph = chain(n);
  const std::unique_ptr<State> one = state_with(graph, n, 1), two = state_with(graph, n, 2);
  if (one == nullptr || two == nullptr) return 0;
  std::vector<double> gains;
  for (int i = 0; i < kTurns; ++i) {
    const double alone = turn_ns(one.get());
    gains.push_back(alone / turn_ns(two.get()));
  }
  std::nth_element(gains.begin(), gains.begin() + kTurns / 2, gains.end());
  return gains[kTurns / 2];
}

}  // namespace

std::vector<SharedSize> measure_shared_sizes(int cores, const std::function<void(double)>& progress) {
  std::vector<SharedSize> sizes;
  if (cores < 2) return sizes;
  for (const int64_t n : kWidths) {
    sizes.push_back({n * n / 2, gain_at(n)});
    if (progress) progress(static_cast<double>(sizes.size()) / std::size(kWidths));
  }
  return sizes;
}

int64_t piece_macs_of(const std::vector<SharedSize>& sizes) {
  int64_t least = 0;
  for (auto size = sizes.rbegin(); size != sizes.rend() && size->gain >= kPays; ++size) least = size->piece_macs;
  return least;
}

}  // namespace hayate
