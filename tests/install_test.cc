// After `cmake --install`, a project outside the tree finds the package, builds against it from C++ and C, and runs.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace {

namespace fs = std::filesystem;

std::string output_of(const std::string& command, int* status) {
  std::FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  std::string text;
  std::array<char, 4096> buffer;
  for (size_t got; (got = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) text.append(buffer.data(), got);
  *status = pclose(pipe);
  return text;
}

TEST(Install, AProjectOutsideTheTreeFindsAndRunsIt) {
#ifdef HAYATE_SANITIZED
  GTEST_SKIP() << "a program built without the sanitizer cannot link a library built with it";
#endif
  std::string folder = fs::temp_directory_path() / "hayate-install-XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  int status = 0;
  const auto must = [&](const std::string& command) {
    const std::string said = output_of(command, &status);
    EXPECT_EQ(status, 0) << command << "\n" << said;
    return said;
  };
  must("cmake --install " + std::string(HAYATE_BINARY_DIR) + " --prefix " + folder + "/prefix");
  must("cp -r " + std::string(HAYATE_SOURCE_DIR) + "/examples/embed " + folder + "/embed");
  must("cmake -S " + folder + "/embed -B " + folder + "/build -DCMAKE_PREFIX_PATH=" + folder +
       "/prefix && cmake --build " + folder + "/build");
  const std::string model = std::string(HAYATE_SOURCE_DIR) + "/models/mlp_small.onnx";
  const std::string from_cc = must(folder + "/build/score " + model), from_c = must(folder + "/build/score_c " + model);
  EXPECT_EQ(from_cc.rfind("output: ", 0), 0u) << from_cc;
  EXPECT_EQ(from_cc, from_c);
  // 52 rows of 40 numbers through a window of 50: three answers.
  const std::string streamed = must("seq 1 2080 | sed 's/$/e-3/' | " + folder + "/build/sliding_window " +
                                    std::string(HAYATE_SOURCE_DIR) + "/models/gru.onnx 50");
  EXPECT_EQ(std::count(streamed.begin(), streamed.end(), '\n'), 3) << streamed;
  std::error_code ignored;
  fs::remove_all(folder, ignored);
}

}  // namespace
