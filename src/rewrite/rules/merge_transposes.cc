#include "rewrite/rules/rules.h"

namespace hayate {

// Transpose(Transpose(x, first), second) reads x through first[second[i]]; where that is the identity, x itself.
void merge_transposes(Editor* editor) {
  for (size_t i = 0; i < editor->node_count(); ++i) {
    Node& node = editor->node(i);
    if (!node.is("Transpose")) continue;
    const Node* before = editor->maker(node.inputs[0]);
    if (before == nullptr || !before->is("Transpose")) continue;
    const auto first = before->get<std::vector<int64_t>>("perm", {}),
               second = node.get<std::vector<int64_t>>("perm", {});
    if (first.empty() || first.size() != second.size()) continue;
    std::vector<int64_t> merged;
    bool identity = true;
    for (size_t k = 0; k < second.size(); ++k) {
      merged.push_back(first[static_cast<size_t>(second[k])]);
      identity = identity && merged[k] == static_cast<int64_t>(k);
    }
    const std::string source = before->inputs[0];
    if (identity && editor->replace(node.outputs[0], source)) {
      editor->remove(&node);
      continue;
    }
    node.attributes["perm"] = merged;
    editor->set_inputs(&node, {source});
  }
}

}  // namespace hayate
