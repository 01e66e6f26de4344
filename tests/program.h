// The `hayate` program as a user calls it.
#pragma once

#include <sys/wait.h>

#include <cstdio>
#include <string>

namespace hayate {

struct Ran {
  int exit_code = -1;
  std::string output;  // stdout and stderr together
};

inline Ran call(const std::string& arguments) {
  FILE* pipe = popen((std::string(HAYATE_PROGRAM) + " " + arguments + " 2>&1").c_str(), "r");
  Ran ran;
  if (pipe == nullptr) return ran;
  char buffer[4096];
  for (size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) ran.output.append(buffer, n);
  const int status = pclose(pipe);
  ran.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return ran;
}

}  // namespace hayate
