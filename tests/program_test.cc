// The program as a user calls it: exit code and output.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <string>

namespace {

struct Ran {
  int exit_code;
  std::string output;  // stdout and stderr together
};

Ran run(const std::string& arguments) {
  FILE* pipe = popen((std::string(HAYATE_PROGRAM) + " " + arguments + " 2>&1").c_str(), "r");
  Ran ran{-1, ""};
  if (pipe == nullptr) return ran;
  char buffer[4096];
  for (size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) ran.output.append(buffer, n);
  ran.exit_code = WEXITSTATUS(pclose(pipe));
  return ran;
}

TEST(Program, MachinePrintsTextAndJson) {
  const Ran text = run("machine");
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_NE(text.output.find("processor"), std::string::npos);
  const Ran json = run("machine --json");
  EXPECT_EQ(json.exit_code, 0);
  EXPECT_EQ(json.output.front(), '{');
  EXPECT_NE(json.output.find("\"caches\""), std::string::npos);
}

TEST(Program, HelpHasAnExample) {
  const Ran help = run("machine --help");
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_NE(help.output.find("Example:"), std::string::npos);
}

TEST(Program, UnknownCommandIsAnError) {
  EXPECT_NE(run("fly").exit_code, 0);
  EXPECT_NE(run("").exit_code, 0);
}

}  // namespace
