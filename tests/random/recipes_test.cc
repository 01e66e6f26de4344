// Which operators random graphs are made of: every one of the op table, but those named here with the reason.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "graph/op_table.h"
#include "random/graph_maker.h"

namespace hayate::random_graphs {
namespace {

constexpr uint64_t kSeedsMax = 40'000;  // tried until each operator was met

const std::map<std::string, std::string>& without_recipe() {
  static const std::string kRewritten = "no file holds it: native makes it of what the recipes write";
  static const std::string kImported =
      "no file of ONNX holds it: the importers of LightGBM and XGBoost make it, whose "
      "tests have random models of their own";
  static const std::map<std::string, std::string> kAll = {
      {"hayate.Attention", kRewritten},        {"hayate.RecurrentInput", kRewritten},
      {"hayate.RecurrentProduct", kRewritten}, {"hayate.RecurrentSteps", kRewritten},
      {"hayate.ConvBegin", kRewritten},        {"hayate.ConvEnd", kRewritten},
      {"hayate.LinearBooster", kImported},     {"hayate.Objective", kImported},
      {"hayate.TreeEnsemble", kImported},
  };
  return kAll;
}

std::string full_name(std::string_view domain, std::string_view op) {
  return domain.empty() ? std::string(op) : fmt::format("{}.{}", domain, op);
}

TEST(RandomGraphs, EveryOperatorHasARecipeOrAReason) {
#ifdef HAYATE_SANITIZED
  GTEST_SKIP() << "the release build says the same sooner";
#endif
  std::set<std::string> missing;
  for (const OpEntry& entry : op_table()) missing.insert(full_name(entry.domain, entry.op));
  const size_t operators = missing.size();
  for (const auto& [name, why] : without_recipe())
    EXPECT_EQ(missing.erase(name), 1u) << name << " is no operator of the table";
  uint64_t seed = 0;
  while (!missing.empty() && ++seed <= kSeedsMax) {
    const GraphMaker maker(seed);
    for (const Node& node : maker.graph().nodes) {
      const std::string name = full_name(node.domain, node.op);
      missing.erase(name);
      EXPECT_FALSE(without_recipe().contains(name)) << name << " has a recipe by now";
    }
  }
  for (const std::string& name : missing)
    ADD_FAILURE() << name << " is in no random graph: it needs a recipe, or a reason here";
  fmt::print("{} of {} operators in {} random graphs, {} by other means\n",
             operators - missing.size() - without_recipe().size(), operators, seed, without_recipe().size());
}

}  // namespace
}  // namespace hayate::random_graphs
