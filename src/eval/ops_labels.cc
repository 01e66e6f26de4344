#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>

#include "eval/kernel.h"
#include "graph/labels.h"

namespace hayate {
namespace {

// NaN is one key, after all others; -0 is 0.
template <typename T>
struct Before {
  bool operator()(T a, T b) const {
    if constexpr (std::is_floating_point_v<T>)
      if (std::isnan(a) || std::isnan(b)) return !std::isnan(a) && std::isnan(b);
    return a < b;
  }
};

// Where each element stands among the keys (of equal ones the first counts); -1: nowhere.
template <typename T>
std::vector<int64_t> places(const Tensor& keys, const Tensor& x) {
  std::map<T, int64_t, Before<T>> known;
  for (int64_t i = 0; i < keys.count(); ++i) known.emplace(keys.data<T>()[i], i);
  std::vector<int64_t> found(x.count());
  std::transform(x.data<T>(), x.data<T>() + x.count(), found.begin(), [&](T value) {
    const auto it = known.find(value);
    return it == known.end() ? -1 : it->second;
  });
  return found;
}

Result<bool> label_encoder(const KernelContext& c) {
  const Tensor keys = label_keys(c.node).value(), values = label_values(c.node).value();
  const Tensor other = label_default(c.node, values.type()).value();
  std::vector<int64_t> at;
  visit_type(keys.type(), [&]<typename T>() { at = places<T>(keys, *c.inputs[0]); });
  visit_type(values.type(), [&]<typename T>() {
    std::transform(at.begin(), at.end(), c.outputs[0]->data<T>(),
                   [&](int64_t i) { return i < 0 ? other.data<T>()[0] : values.data<T>()[i]; });
  });
  return true;
}

// As a category: floats lose their fraction; what int64 cannot hold is no category that a file would name.
template <typename T>
int64_t category(T value) {
  if constexpr (std::is_floating_point_v<T>) {
    const double wide = static_cast<double>(value);
    return wide > -9.2e18 && wide < 9.2e18 ? static_cast<int64_t>(value) : INT64_MIN;
  } else {
    return static_cast<int64_t>(value);
  }
}

Result<bool> one_hot_encoder(const KernelContext& c) {
  const auto categories = c.node.get<std::vector<int64_t>>("cats_int64s", {});
  std::unordered_map<int64_t, size_t> place;  // of equal categories the last counts
  for (size_t i = 0; i < categories.size(); ++i) place[categories[i]] = i;
  const bool lenient = c.node.get<int64_t>("zeros", 1) != 0;
  const Tensor& x = *c.inputs[0];
  float* y = c.outputs[0]->data<float>();
  std::fill(y, y + c.outputs[0]->count(), 0.0f);
  int64_t unknown = -1;
  visit_type(x.type(), [&]<typename T>() {
    for (int64_t i = 0; i < x.count(); ++i)
      if (const auto it = place.find(category(x.data<T>()[i])); it != place.end())
        y[static_cast<size_t>(i) * categories.size() + it->second] = 1;
      else if (unknown < 0)
        unknown = i;
  });
  if (!lenient && unknown >= 0)
    return c.error(fmt::format("element {} is none of its {} categories (zeros = 0)", unknown, categories.size()));
  return true;
}

}  // namespace

void add_labels_kernels(std::vector<KernelEntry>* table) {
  table->push_back({"ai.onnx.ml", "LabelEncoder", label_encoder});
  table->push_back({"ai.onnx.ml", "OneHotEncoder", one_hot_encoder});
}

}  // namespace hayate
