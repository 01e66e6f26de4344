#include <cmath>

#include "rewrite/pattern.h"
#include "rewrite/rules/rules.h"

namespace hayate {

// x / 2 (1 + erf(x / sqrt 2)) = Gelu(x); x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) its approximation; factors
// in any order and powers as products, as exporters write them.
void recognise_gelu(Editor* editor) {
  const double root = std::sqrt(2 / M_PI);
  for (size_t i = 0; i < editor->node_count(); ++i) {
    const Node& node = editor->node(i);
    const bool erf = node.is("Erf");
    if (!erf && !node.is("Tanh")) continue;
    const std::vector<double> wanted =
        erf ? std::vector<double>{0, std::sqrt(0.5)} : std::vector<double>{0, root, 0, root * 0.044715};
    const std::string argument = node.inputs[0], f = node.outputs[0];
    for (const std::string& x : product_candidates(editor, f)) {
      if (!is_polynomial(editor, argument, x, wanted)) continue;
      const std::optional<Product> product = product_with(editor, f, x, 1, 0.5);
      if (!product) break;
      std::map<std::string, Attribute> attributes;
      if (!erf) attributes["approximate"] = std::string("tanh");
      editor->become(product->last, "Gelu", {x}, attributes);
      break;
    }
  }
}

}  // namespace hayate
