// Models that older versions of XGBoost wrote (tests/data/xgboost), with the predictions that those versions gave: both
// backends give the same bits.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "backends/native/native.h"
#include "eval/evaluate.h"
#include "import/import.h"
#include "kernels/vector/kernels.h"
#include "tensor/npy.h"

namespace hayate {
namespace {

namespace fs = std::filesystem;

Tensor array(const fs::path& path) {
  const Result<std::string> bytes = read_file(path);
  EXPECT_TRUE(bytes.ok()) << bytes.error().text();
  const Result<Tensor> made = parse_npy(bytes.ok() ? bytes.value() : "", path);
  EXPECT_TRUE(made.ok()) << made.error().text();
  return made.ok() ? made.value() : Tensor();
}

void expect_bits(const std::byte* got, const Tensor& wanted, const std::string& who) {
  EXPECT_EQ(std::memcmp(got, wanted.bytes(), wanted.byte_count()), 0) << who;
}

TEST(Formats, OlderXgboostFilesGiveTheirOwnVersionsPredictions) {
  const fs::path folder = fs::path(HAYATE_SOURCE_DIR) / "tests/data/xgboost";
  const Tensor rows = array(folder / "rows.npy");
  int files = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".json") continue;
    ++files;
    const std::string name = entry.path().filename();
    const Result<Graph> graph = import_model(entry.path());
    ASSERT_TRUE(graph.ok()) << graph.error().text();
    const Tensor wanted = array(fs::path(entry.path()).replace_extension(".npy"));
    const auto answer = evaluate(graph.value(), {{"input", rows}});
    ASSERT_TRUE(answer.ok()) << answer.error().text();
    ASSERT_EQ(answer.value().at("output").shape(), wanted.shape()) << name;
    expect_bits(answer.value().at("output").bytes(), wanted, name + " on reference");
    for (const kernels::Isa isa : kernels::supported_isas()) {
      const auto executable =
          native::NativeExecutable::compile(graph.value(), {{"input", {rows.type(), rows.shape()}}}, {.isa = isa});
      ASSERT_TRUE(executable.ok()) << executable.error().text();
      native::NativeState state(executable.value());
      std::memcpy(state.input(0), rows.bytes(), rows.byte_count());
      ASSERT_TRUE(state.run().ok());
      expect_bits(state.output(0), wanted, name + " on native " + kernels::isa_name(isa));
    }
  }
  EXPECT_EQ(files, 9);
}

}  // namespace
}  // namespace hayate
