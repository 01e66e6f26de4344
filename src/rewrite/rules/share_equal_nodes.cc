#include <cstring>
#include <unordered_map>

#include "rewrite/rules/rules.h"

namespace hayate {
namespace {

bool equal(const Tensor& a, const Tensor& b) {
  return a.type() == b.type() && a.shape() == b.shape() && std::memcmp(a.bytes(), b.bytes(), a.byte_count()) == 0;
}

bool equal(const Node& a, const Node& b) {
  if (a.op != b.op || a.domain != b.domain || a.inputs != b.inputs || a.outputs.size() != b.outputs.size() ||
      a.attributes.size() != b.attributes.size())
    return false;
  for (const auto& [key, value] : a.attributes) {
    const auto it = b.attributes.find(key);
    if (it == b.attributes.end() || it->second.index() != value.index()) return false;
    if (const Tensor* tensor = std::get_if<Tensor>(&value)) {
      if (!equal(*tensor, std::get<Tensor>(it->second))) return false;
    } else {
      const bool same = std::visit(
          [&]<typename T>(const T& held) {
            if constexpr (std::is_same_v<T, Tensor>)
              return false;
            else
              return held == std::get<T>(it->second);
          },
          value);
      if (!same) return false;
    }
  }
  return true;
}

}  // namespace

void share_equal_nodes(Editor* editor) {
  // Equal nodes read the same values: only those are compared.
  std::unordered_map<std::string, std::vector<size_t>> seen;
  for (size_t i = 0; i < editor->node_count(); ++i) {
    Node& node = editor->node(i);
    if (node.inputs.empty() || node.op.find("Random") != std::string::npos || node.op == "Dropout") continue;
    bool shared = false;
    std::string key = node.op;
    for (const std::string& name : node.inputs) key += "\n" + name;
    std::vector<size_t>& others = seen[key];
    for (const size_t k : others) {
      Node& other = editor->node(k);
      if (!equal(other, node)) continue;
      shared = true;
      for (size_t o = 0; o < node.outputs.size(); ++o) {
        if (node.outputs[o].empty()) continue;
        shared = shared && !other.outputs[o].empty() && !editor->is_output(node.outputs[o]);
      }
      if (!shared) continue;
      for (size_t o = 0; o < node.outputs.size(); ++o)
        if (!node.outputs[o].empty()) editor->replace(node.outputs[o], other.outputs[o]);
      editor->remove(&node);
      break;
    }
    if (!shared) others.push_back(i);
  }
}

}  // namespace hayate
