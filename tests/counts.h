// What a test counted, for whoever runs all of them: ./test.sh prints every line.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

namespace hayate {

inline void write_count(const std::string& name, const std::string& line) {
  const std::filesystem::path folder = HAYATE_BINARY_DIR "/node_tests";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / (name + ".count")) << line << '\n';
}

}  // namespace hayate
