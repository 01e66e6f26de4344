// Micro-benchmarks of the methods of tree ensembles, at the sizes of the benchmarked models and at others where the
// choice between methods may tip. Names: trees/TREESxLEAVESxCOLUMNS/METHOD, one row a call; the label lists the
// instruction sets whose plan takes the method. bench/kernels says how near that is to the quickest.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <memory>
#include <random>

#include "kernels.h"
#include "kernels/tree_program.h"

namespace hayate {
namespace {

using kernels::Isa;
using kernels::TreeMethod;
using kernels::TreeProgram;
using kernels::Trees;

struct Forest {
  int trees, leaves, columns;
};
// gbt_a, lightgbm_500x31, gbt_b, xgboost_200x6; small ones; several pages of codes; and what masks are too many for.
constexpr Forest kForests[] = {{250, 11, 60}, {500, 31, 64},   {1000, 93, 125}, {200, 64, 64},
                               {5, 4, 5},     {1, 31, 10},     {20, 31, 30},    {100, 200, 50},
                               {50, 93, 300}, {300, 31, 300},  {300, 93, 1000}, {300, 400, 200}};
constexpr int kRows = 4096;  // more than branch predictors learn by heart

// Grown leaf by leaf, any of the leaves being split next; as LightGBM's, neither balanced nor chains.
void grow(Trees* t, const Forest& forest, std::minstd_rand* random) {
  struct Growing {
    int column = 0, low = -1, high = -1;
    double at = 0;
  };
  std::vector<Growing> nodes(1);
  std::vector<int> leaves{0};
  while (static_cast<int>(leaves.size()) < forest.leaves) {
    const size_t which = (*random)() % leaves.size();
    Growing& node = nodes[leaves[which]];
    node.column = static_cast<int>((*random)() % forest.columns);
    node.at = static_cast<double>((*random)() % 60) * 0.05 - 1.475;
    node.low = static_cast<int>(nodes.size()), node.high = node.low + 1;
    leaves[which] = node.low, leaves.push_back(node.high);
    nodes.resize(nodes.size() + 2);
  }
  std::vector<int32_t> made(nodes.size());
  for (size_t i = nodes.size(); i-- > 0;)
    made[i] = nodes[i].low < 0 ? t->add_leaf(static_cast<double>((*random)() % 1000) * 1e-3, 0)
                               : t->add_node(static_cast<uint8_t>(kernels::Split::kLessEqual), nodes[i].column,
                                             nodes[i].at, made[nodes[i].low], made[nodes[i].high]);
  t->roots.push_back(made[0]);
}

struct Case {
  Trees trees;
  std::vector<double> rows;
};

Case make_case(const Forest& forest) {
  Case made;
  made.trees.features = forest.columns;
  std::minstd_rand random(1);
  for (int i = 0; i < forest.trees; ++i) grow(&made.trees, forest, &random);
  std::normal_distribution<double> normal;
  for (int i = 0; i < kRows * forest.columns; ++i) made.rows.push_back(normal(random));
  return made;
}

std::string takers(const Trees& trees, TreeMethod method) {
  std::string names;
  for (const Isa isa : kernels::supported_isas())
    if (TreeProgram::build_for(trees, isa)->method() == method) names += std::string(" ") + kernels::isa_name(isa);
  return names;
}

void run(benchmark::State& state, const Case& with, TreeMethod method) {
  const auto program = TreeProgram::build(with.trees, method);
  if (!program) return state.SkipWithError("does not apply");
  double out = 0;
  int64_t row = 0;
  for (auto _ : state) {
    program->run(with.rows.data() + row * with.trees.features, 1, &out);
    benchmark::DoNotOptimize(out);
    row = (row + 1) % kRows;
  }
  state.SetLabel(takers(with.trees, method));
}

}  // namespace

void add_tree_kernels() {
  for (const Forest& forest : kForests) {
    // Made when it is first asked for.
    const auto with = std::make_shared<std::unique_ptr<Case>>();
    for (int i = 0; i < kernels::kTreeMethods; ++i) {
      const auto method = static_cast<TreeMethod>(i);
      const std::string name = fmt::format("trees/{}x{}x{}/{}", forest.trees, forest.leaves, forest.columns,
                                           kernels::tree_method_name(method));
      benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
        if (*with == nullptr) *with = std::make_unique<Case>(make_case(forest));
        run(state, **with, method);
      });
    }
  }
}

}  // namespace hayate
