// Models as exporters write them, with the answers recorded when they were exported (tests/exporters), on every
// backend.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "conformance/node_case.h"

namespace hayate::conformance {
namespace {

class Exported : public testing::TestWithParam<Backend> {};

TEST_P(Exported, TorchModelsGiveTheirRecordedAnswers) {
  const std::vector<NodeCase> cases = cases_in(HAYATE_SOURCE_DIR "/tests/data/exported/torch");
  EXPECT_GE(cases.size(), 40u);
  for (const NodeCase& each : cases) {
    const Outcome outcome = run_case(each, GetParam());
    EXPECT_EQ(outcome.fault, "") << each.name;
    EXPECT_FALSE(outcome.loose) << each.name << " differs by more than a float32 result may";
  }
}

INSTANTIATE_TEST_SUITE_P(Onnx, Exported, testing::ValuesIn(backends()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace hayate::conformance
