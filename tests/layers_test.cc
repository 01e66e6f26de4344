// Includes point down only: src/LAYERS is the order, and every #include "folder/..." under src/ is read.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>
#include <string>

namespace {

namespace fs = std::filesystem;
using Layers = std::map<std::string, int>;

Layers read_layers() {
  Layers layers;
  std::ifstream in(fs::path(HAYATE_SOURCE_DIR) / "src/LAYERS");
  int number = 0;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    for (std::string word; words >> word;) layers[word.starts_with("include/") ? word.substr(8) : word] = number;
    ++number;
  }
  return layers;
}

// The layer an include names: a public header by its whole path, anything else by its folder; -1 if neither.
int layer_of(const Layers& layers, const std::string& path) {
  if (const auto it = layers.find(path); it != layers.end()) return it->second;
  const auto it = layers.find(path.substr(0, path.find('/')));
  return it == layers.end() ? -1 : it->second;
}

bool allowed(const Layers& layers, const std::string& from, const std::string& to) {
  const int a = layer_of(layers, from), b = layer_of(layers, to);
  if (a < 0 || b < 0) return false;
  return b < a || from.substr(0, from.find('/')) == to.substr(0, to.find('/')) || (a == b && to.starts_with("hayate/"));
}

TEST(Layers, RuleRefusesUpAndSideways) {
  const Layers layers{{"base", 0}, {"tensor", 1}, {"hardware", 1}, {"graph", 2}};
  EXPECT_TRUE(allowed(layers, "graph/a.cc", "tensor/b.h"));
  EXPECT_TRUE(allowed(layers, "graph/a.cc", "graph/b.h"));
  EXPECT_FALSE(allowed(layers, "tensor/a.cc", "graph/b.h"));
  EXPECT_FALSE(allowed(layers, "tensor/a.cc", "hardware/b.h"));
  EXPECT_FALSE(allowed(layers, "tensor/a.cc", "nowhere/b.h"));
}

TEST(Layers, EveryIncludePointsDown) {
  const Layers layers = read_layers();
  ASSERT_GE(layers.size(), 3u);
  const std::regex include(R"re(^\s*#\s*include\s+"([^"]+/[^"]+)")re");
  int seen = 0;
  for (const char* root : {"src", "include"}) {
    const fs::path base = fs::path(HAYATE_SOURCE_DIR) / root;
    for (const auto& entry : fs::recursive_directory_iterator(base)) {
      const std::string extension = entry.path().extension();
      if (extension != ".h" && extension != ".cc") continue;
      const std::string file = fs::relative(entry.path(), base);
      std::ifstream in(entry.path());
      std::smatch match;
      for (std::string line; std::getline(in, line);) {
        if (!std::regex_search(line, match, include)) continue;
        ++seen;
        EXPECT_TRUE(allowed(layers, file, match[1])) << file << " includes " << match[1] << " (see src/LAYERS)";
      }
    }
  }
  EXPECT_GE(seen, 3) << "the pattern no longer finds includes";
}

TEST(Layers, EveryFolderIsListed) {
  const Layers layers = read_layers();
  for (const auto& entry : fs::directory_iterator(fs::path(HAYATE_SOURCE_DIR) / "src"))
    EXPECT_TRUE(!entry.is_directory() || layers.count(entry.path().filename())) << entry.path();
}

}  // namespace
