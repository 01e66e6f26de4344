// The program as a user calls it: exit code and output.
#include "program.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

namespace hayate {
namespace {

TEST(Program, MachinePrintsTextAndJson) {
  const Ran text = call("machine");
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_NE(text.output.find("processor"), std::string::npos);
  const Ran json = call("machine --json");
  EXPECT_EQ(json.exit_code, 0);
  EXPECT_EQ(json.output.front(), '{');
  EXPECT_NE(json.output.find("\"caches\""), std::string::npos);
}

TEST(Program, HelpHasAnExample) {
  const Ran help = call("machine --help");
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_NE(help.output.find("Example:"), std::string::npos);
}

TEST(Program, TheDocsHaveTheExplanationOfDeepLob) {
  const std::string root = HAYATE_SOURCE_DIR;
  const Ran said = call("stream " + root + "/models/deeplob.onnx --window 100 --explain");
  EXPECT_EQ(said.exit_code, 0);
  EXPECT_GT(said.output.size(), 5000u);
  std::ifstream file(root + "/docs/streams.md");
  const std::string docs{std::istreambuf_iterator<char>(file), {}};
  EXPECT_NE(docs.find("```\n" + said.output + "```"), std::string::npos) << said.output;
}

TEST(Program, UnknownCommandIsAnError) {
  EXPECT_NE(call("fly").exit_code, 0);
  EXPECT_NE(call("").exit_code, 0);
}

}  // namespace
}  // namespace hayate
