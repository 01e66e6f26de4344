// Models that exporters wrote (tests/exporters), with the outputs ONNX Runtime gave for them, on every backend.
#include <gtest/gtest.h>

#include "conformance/backends.h"
#include "conformance/node_case.h"

namespace hayate::conformance {
namespace {

const std::filesystem::path kFolder = HAYATE_SOURCE_DIR "/tests/data/exported";
constexpr size_t kCasesMin = 20;

class Exported : public testing::TestWithParam<Backend> {};

TEST_P(Exported, GivesWhatWasRecorded) {
  const std::vector<NodeCase> cases = cases_in(kFolder);
  EXPECT_GE(cases.size(), kCasesMin);
  for (const NodeCase& each : cases) {
    const Outcome outcome = run_case(each, GetParam());
    EXPECT_EQ(outcome.fault, "") << each.name;
    EXPECT_FALSE(outcome.loose) << each.name;
    EXPECT_FALSE(outcome.folded) << each.name;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Exported, testing::ValuesIn(backends()),
                         [](const auto& made) { return made.param.name; });

}  // namespace
}  // namespace hayate::conformance
