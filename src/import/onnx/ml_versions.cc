#include "import/onnx/ml_versions.h"

#include <algorithm>
#include <cmath>

namespace hayate {
namespace {

constexpr int64_t kNanIsKey = 4;  // the first version in which it is

template <typename T>
void keep(const char* key, const std::vector<bool>& kept, Node* node) {
  std::vector<T> values = node->get<std::vector<T>>(key, {});
  if (values.size() != kept.size()) return;
  size_t count = 0;
  for (size_t i = 0; i < kept.size(); ++i)
    if (kept[i]) values[count++] = values[i];
  values.resize(count);
  node->attributes.insert_or_assign(key, std::move(values));
}

}  // namespace

void read_as_newest(int64_t version, Node* node) {
  if (node->op != "LabelEncoder" || version >= kNanIsKey) return;
  const auto keys = node->get<std::vector<float>>("keys_floats", {});
  std::vector<bool> kept;
  for (const float key : keys) kept.push_back(!std::isnan(key));
  const auto kept_count = std::count(kept.begin(), kept.end(), true);
  if (kept_count == 0 || kept_count == static_cast<int64_t>(kept.size())) return;
  keep<float>("values_floats", kept, node);
  keep<int64_t>("values_int64s", kept, node);
  keep<std::string>("values_strings", kept, node);
  keep<float>("keys_floats", kept, node);
}

}  // namespace hayate
