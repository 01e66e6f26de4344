// Categories as numbers: LabelEncoder and OneHotEncoder of ai.onnx.ml. Texts are refused by name.
#include <fmt/format.h>

#include <array>

#include "graph/labels.h"
#include "graph/ml_rows.h"
#include "graph/op_rules.h"

namespace hayate {
namespace {

Result<Types> label_encoder(const ShapeContext& c) {
  const Result<Tensor> keys = label_keys(c.node), values = label_values(c.node);
  if (!keys.ok()) return keys.error();
  if (!values.ok()) return values.error();
  if (keys.value().count() != values.value().count())
    return c.error(fmt::format("{} keys do not fit {} values", keys.value().count(), values.value().count()));
  if (const Result<Tensor> other = label_default(c.node, values.value().type()); !other.ok()) return other.error();
  if (c.type(0) != keys.value().type())
    return c.error(fmt::format("its keys are {}, it is given {}", type_name(keys.value().type()), type_name(c.type(0))),
                   Code::kUnsupported);
  return Types{{values.value().type(), c.shape(0)}};
}

Result<Types> one_hot_encoder(const ShapeContext& c) {
  if (!c.node.get<std::vector<std::string>>("cats_strings", {}).empty())
    return c.error("has categories of texts (cats_strings), which are not supported; encode them as integers first",
                   Code::kUnsupported);
  if (!any_of(c.type(0), kMlTypes))
    return c.error(fmt::format("does not take {}", type_name(c.type(0))), Code::kUnsupported);
  const int64_t categories = length_of<int64_t>(c.node, "cats_int64s");
  if (categories < 1) return c.error("has no categories in cats_int64s");
  Shape out = c.shape(0);
  out.push_back(categories);
  return Types{{Type::kFloat32, out}};
}

}  // namespace

void add_labels_rules(std::vector<OpEntry>* table) {
  table->push_back({"ai.onnx.ml", "LabelEncoder", 1, 1, label_encoder});
  table->push_back({"ai.onnx.ml", "OneHotEncoder", 1, 1, one_hot_encoder});
}

}  // namespace hayate
