// The program as a user calls it: exit code and output.
#include "program.h"

#include <gtest/gtest.h>

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

TEST(Program, UnknownCommandIsAnError) {
  EXPECT_NE(call("fly").exit_code, 0);
  EXPECT_NE(call("").exit_code, 0);
}

}  // namespace
}  // namespace hayate
