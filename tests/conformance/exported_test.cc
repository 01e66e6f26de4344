// Models as exporters write them, with the answers recorded when they were exported (tests/exporters), on every
// backend.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "conformance/node_case.h"
#include "counts.h"

namespace hayate::conformance {
namespace {

class Exported : public testing::TestWithParam<Backend> {};

void expect_recorded_answers(const std::string& folder, size_t cases_min, const Backend& backend) {
  const std::vector<NodeCase> cases = cases_in(HAYATE_SOURCE_DIR "/tests/data/exported/" + folder);
  EXPECT_GE(cases.size(), cases_min);
  size_t equal = 0;
  for (const NodeCase& each : cases) {
    const Outcome outcome = run_case(each, backend);
    EXPECT_EQ(outcome.fault, "") << each.name;
    EXPECT_FALSE(outcome.loose) << each.name << " differs by more than a float32 result may";
    equal += outcome.fault.empty() && !outcome.loose;
  }
  write_count("exported_" + folder + "_" + backend.name,
              fmt::format("{} of {} models that {} exported give their recorded answers on {}", equal, cases.size(),
                          folder, backend.name));
}

TEST_P(Exported, TorchModelsGiveTheirRecordedAnswers) { expect_recorded_answers("torch", 40, GetParam()); }

// scikit-learn, LightGBM, XGBoost and CatBoost.
TEST_P(Exported, PipelinesAndTreesGiveTheirRecordedAnswers) { expect_recorded_answers("sklearn", 27, GetParam()); }

// Keras 3 and Keras 2.
TEST_P(Exported, TensorflowModelsGiveTheirRecordedAnswers) { expect_recorded_answers("tf", 36, GetParam()); }

INSTANTIATE_TEST_SUITE_P(Onnx, Exported, testing::ValuesIn(backends()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace hayate::conformance
