#include "graph/labels.h"

#include <fmt/format.h>

namespace hayate {
namespace {

template <typename T>
Tensor list_tensor(const std::vector<T>& values) {
  return Tensor::of<T>({static_cast<int64_t>(values.size())}, values);
}

Result<Tensor> labels(const Node& node, const std::string& kind) {
  const auto fault = [&](std::string what, Code code) { return Error{code, node.where(), std::move(what)}; };
  if (node.attributes.contains(kind + "_strings") || node.attributes.contains("classes_strings"))
    return fault(fmt::format("its {} are texts, which are not supported; int64, float32 and float64 are", kind),
                 Code::kUnsupported);
  if (const auto ints = node.get<std::vector<int64_t>>(kind + "_int64s", {}); !ints.empty()) return list_tensor(ints);
  if (const auto floats = node.get<std::vector<float>>(kind + "_floats", {}); !floats.empty())
    return list_tensor(floats);
  const Tensor tensor = node.get<Tensor>(kind + "_tensor", Tensor());
  if (tensor.count() == 0)
    return fault(fmt::format("has no {}; {}_int64s, {}_floats or {}_tensor give them", kind, kind, kind, kind),
                 Code::kInvalidArgument);
  if (is_half_float(tensor.type()))
    return fault(
        fmt::format("its {} are {}; float32, float64 and integers are supported", kind, type_name(tensor.type())),
        Code::kUnsupported);
  return tensor;
}

}  // namespace

Result<Tensor> label_keys(const Node& node) { return labels(node, "keys"); }
Result<Tensor> label_values(const Node& node) { return labels(node, "values"); }

Result<Tensor> label_default(const Node& node, Type type) {
  const Tensor given = node.get<Tensor>("default_tensor", Tensor());
  if (given.count() == 1 && given.type() == type) return given;
  if (given.count() != 0)
    return Error{Code::kInvalidArgument, node.where(),
                 fmt::format("default_tensor is {} {}; one {} is needed", type_name(given.type()),
                             shape_text(given.shape()), type_name(type))};
  Tensor made(type, {1});
  visit_type(type, [&]<typename T>() {
    if constexpr (std::is_floating_point_v<T>)
      made.data<T>()[0] = static_cast<T>(node.get<float>("default_float", -0.0f));
    else
      made.data<T>()[0] = static_cast<T>(node.get<int64_t>("default_int64", -1));
  });
  return made;
}

}  // namespace hayate
