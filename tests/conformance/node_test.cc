// ONNX's own node tests on every backend: those of Debian's libonnx-testdata, and those that the installed `onnx` wheel
// generates (write_node_tests.py). What is not expected to pass stands in exclusions.txt with its reason; a case there
// that passes is a failure, so that the list only holds what is true.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>

#include "conformance/exclusions.h"
#include "conformance/node_case.h"
#include "tensor/npy.h"

namespace hayate::conformance {
namespace {

namespace fs = std::filesystem;

// exclusions.txt: never expected to pass. pending.txt: not there yet, exact names only (prune_pending.sh empties it).
constexpr const char* kLists[] = {HAYATE_SOURCE_DIR "/tests/conformance/exclusions.txt",
                                  HAYATE_SOURCE_DIR "/tests/conformance/pending.txt"};
const fs::path kFolder = fs::path(HAYATE_BINARY_DIR) / "node_tests";  // counts and lists of failures go there

struct Suite {
  std::string name;
  std::vector<fs::path> roots;

  std::vector<NodeCase> cases() const {
    std::vector<NodeCase> all;
    for (const fs::path& root : roots)
      for (NodeCase& node_case : cases_in(root)) all.push_back(std::move(node_case));
    return all;
  }
};

void PrintTo(const Suite& suite, std::ostream* out) { *out << suite.name; }

Suite debian() {
  const fs::path data = "/usr/share/libonnx-testdata/data";
  return {"libonnx-testdata", {data / "node", data / "simple", data / "pytorch-operator", data / "pytorch-converted"}};
}
Suite wheel() { return {"onnx_wheel", {fs::path(HAYATE_BINARY_DIR).parent_path() / "node_tests" / "node"}}; }

Exclusions exclusions() {
  std::string text;
  for (const char* list : kLists) {
    const Result<std::string> bytes = read_file(list);
    if (!bytes.ok()) ADD_FAILURE() << bytes.error().text();
    if (bytes.ok()) text += bytes.value();
  }
  const Result<Exclusions> parsed = Exclusions::parse(text, "exclusions.txt and pending.txt");
  if (parsed.ok()) return parsed.value();
  ADD_FAILURE() << parsed.error().text();
  return Exclusions();
}

class NodeTests : public testing::TestWithParam<std::tuple<Suite, Backend>> {};

TEST_P(NodeTests, Pass) {
  const auto& [suite, backend] = GetParam();
  const std::vector<NodeCase> cases = suite.cases();
  if (cases.empty() && suite.name == "onnx_wheel") GTEST_SKIP() << "no node tests of the onnx wheel were written";
  ASSERT_FALSE(cases.empty()) << "install libonnx-testdata";
  const Exclusions excluded = exclusions();
  fs::create_directories(kFolder);
  const std::string file = (kFolder / fmt::format("{}-{}", suite.name, backend.name)).string();
  std::ofstream failures(file + ".failures"), passes(file + ".passes"), excluded_faults(file + ".excluded");
  size_t passed = 0, loose = 0, folded = 0, left_out = 0;
  for (const NodeCase& node_case : cases) {
    const Outcome outcome = run_case(node_case, backend);
    if (const Exclusion* exclusion = excluded.find(node_case.name, suite.name, backend.name); exclusion != nullptr) {
      ++left_out;
      EXPECT_FALSE(outcome.fault.empty())
          << node_case.name << " passes on " << backend.name << "; take it out of exclusions.txt or pending.txt";
      excluded_faults << node_case.name << ": " << outcome.fault << '\n';
      if (outcome.fault.empty()) passes << node_case.name << '\n';
      continue;
    }
    EXPECT_EQ(outcome.fault, "") << node_case.name << " on " << backend.name;
    if (!outcome.fault.empty()) failures << node_case.name << ": " << outcome.fault << '\n';
    passed += outcome.fault.empty();
    loose += outcome.fault.empty() && outcome.loose;
    folded += outcome.fault.empty() && outcome.folded;
  }
  std::ofstream(file + ".count") << fmt::format(
      "{} of {} node tests of {} pass on {}, {} excluded ({} within 1e-3 only, {} known before the run)\n", passed,
      cases.size() - left_out, suite.name, backend.name, left_out, loose, folded);
}

INSTANTIATE_TEST_SUITE_P(Onnx, NodeTests,
                         testing::Combine(testing::Values(debian(), wheel()), testing::ValuesIn(backends())),
                         [](const auto& info) {
                           std::string name = std::get<0>(info.param).name + "_" + std::get<1>(info.param).name;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(NodeTestExclusions, EachMatchesACase) {
  std::vector<NodeCase> cases = wheel().cases();
  if (cases.empty()) GTEST_SKIP() << "no node tests of the onnx wheel were written";
  for (NodeCase& node_case : debian().cases()) cases.push_back(std::move(node_case));
  const Exclusions excluded = exclusions();
  for (const Exclusion& exclusion : excluded.all())
    EXPECT_TRUE(std::any_of(cases.begin(), cases.end(), [&](const NodeCase& c) { return exclusion.covers(c.name); }))
        << exclusion.pattern << " matches no case";
}

TEST(NodeTestExclusions, ParseAndCover) {
  const Result<Exclusions> parsed =
      Exclusions::parse("# a comment\n\ntest_a all needs strings\ntest_b* native slow\ntest_c s wrong records\n", "x");
  ASSERT_TRUE(parsed.ok()) << parsed.error().text();
  const Exclusions& e = parsed.value();
  EXPECT_EQ(e.find("test_a", "s", "reference")->reason, "needs strings");
  EXPECT_EQ(e.find("test_ab", "s", "reference"), nullptr);
  EXPECT_NE(e.find("test_bc", "s", "native_plain"), nullptr);
  EXPECT_EQ(e.find("test_bc", "s", "reference"), nullptr);
  EXPECT_NE(e.find("test_c", "s", "reference"), nullptr);
  EXPECT_EQ(e.find("test_c", "another", "reference"), nullptr);
  EXPECT_FALSE(Exclusions::parse("test_a all\n", "x").ok()) << "a reason is demanded";
}

}  // namespace
}  // namespace hayate::conformance
