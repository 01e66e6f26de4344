#include "rewrite/rewrite.h"

#include <gtest/gtest.h>

#include <ctime>

#include "rewrite/rules/rule_cases.h"

namespace hayate {
namespace {

using rule_cases::Case;
using rule_cases::graph_of;
using rule_cases::integers;
using rule_cases::nodes_text;
using rule_cases::noise;
using rule_cases::number;
using rule_cases::types_of;

TEST(Rewrite, TheDoorNamesAndTimesItsPasses) {
  std::vector<PassReport> reports;
  const Case given{{{"x", {2, 3}}}, {}, "y = Relu(x)"};
  ASSERT_TRUE(rewrite(graph_of(given), types_of(given), "", &reports).ok());
  EXPECT_EQ(reports.size(), passes().size());
  EXPECT_EQ(reports[0].runs, 1);
  EXPECT_NE(passes_text(reports).find("fold_constants"), std::string::npos);
  const Result<Graph> unknown = rewrite(graph_of(given), types_of(given), "nonsense");
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.error().text().find("fold_constants"), std::string::npos);
}

TEST(Rewrite, AfterStopsAtThatPassOfTheFirstRound) {
  std::vector<PassReport> reports;
  const Case given{{{"x", {2, 3}}}, {}, "a = Identity(x)\n y = Relu(a)"};
  const Result<Graph> made = rewrite(graph_of(given), types_of(given), "fold_constants", &reports);
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(reports.size(), 1u);
  EXPECT_EQ(nodes_text(made.value()), "a = Identity(x)\ny = Relu(a)\n");
}

// A round that changes nothing ends it: what comes out is a fixed point.
TEST(Rewrite, RewritingAgainChangesNothing) {
  const Case given{
      {{"x", {2, 5, 4}}},
      {{"w", noise({4, 3})}, {"b", noise({3})}, {"c", noise({3})}, {"two", number(2)}, {"axis", integers({0})}},
      R"(t = Mul(x, two)
                      m = MatMul(t, w)
                      a = Add(m, b)
                      s = Mul(a, c)
                      u = Unsqueeze(s, axis)
                      v = Squeeze(u, axis)
                      y = Tanh(v))"};
  const Graph once = rule_cases::expect_equal_after_all(given);
  EXPECT_EQ(nodes_text(once).find("Mul("), std::string::npos) << nodes_text(once);
  std::vector<PassReport> reports;
  const Result<Graph> twice = rewrite(once, types_of(given), "", &reports);
  ASSERT_TRUE(twice.ok());
  EXPECT_EQ(twice.value().text(), once.text());
  for (const PassReport& report : reports) EXPECT_EQ(report.runs, 1) << report.name;
}

// A graph of many nodes takes time in proportion: chains, one value with many readers, many equal nodes, and identities
// that feed each other.
TEST(Rewrite, TimeIsNearLinearInNodes) {
  const auto seconds = [](int64_t count) {
    Graph graph = graph_of({{{"x", {2, 3}}}, {{"c", number(1.5f)}}, "y = Relu(x)"});
    graph.nodes.clear();
    std::string value = "x";
    for (int64_t i = 0; i < count; i += 4) {
      const std::string n = std::to_string(i);
      graph.nodes.push_back({"i" + n, "", "Identity", {value}, {"i" + n}, {}});
      graph.nodes.push_back({"m" + n, "", "Mul", {"i" + n, "c"}, {"m" + n}, {}});
      graph.nodes.push_back({"t" + n, "", "Tanh", {"x"}, {"t" + n}, {}});
      graph.nodes.push_back({"a" + n, "", "Add", {"m" + n, "t" + n}, {"a" + n}, {}});
      value = "a" + n;
    }
    graph.outputs[0].name = value;
    const std::clock_t start = std::clock();  // of this process alone: the machine may have other work
    const Result<Graph> made = rewrite(std::move(graph), {{"x", {Type::kFloat32, {2, 3}}}});
    EXPECT_TRUE(made.ok());
    EXPECT_EQ(static_cast<int64_t>(made.value().nodes.size()), count / 2 + 1);
    return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  };
#ifdef HAYATE_SANITIZED
  constexpr int64_t kSmall = 1'000;
#else
  constexpr int64_t kSmall = 10'000;
#endif
  const double small = seconds(kSmall), large = seconds(10 * kSmall);
  EXPECT_LT(large, 30 * small + 1) << small << " s for " << kSmall << " nodes";
}

}  // namespace
}  // namespace hayate
