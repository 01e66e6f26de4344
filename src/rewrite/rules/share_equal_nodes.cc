#include <cstring>
#include <functional>
#include <string_view>
#include <unordered_map>

#include "rewrite/rules/rules.h"

namespace hayate {
namespace {

constexpr size_t kComparedMax = 16;  // equal ones that cannot be shared, outputs of the graph, could be many

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

// Of attributes: equal ones have equal hashes. Graphs inside are told apart by where they lie.
size_t hash_of(const Attribute& attribute) {
  const auto bytes = [](const void* at, size_t n) {
    return std::hash<std::string_view>()({static_cast<const char*>(at), n});
  };
  return std::visit(
      [&]<typename T>(const T& held) -> size_t {
        if constexpr (std::is_same_v<T, Tensor>)
          return bytes(held.bytes(), held.byte_count());
        else if constexpr (std::is_same_v<T, std::vector<int64_t>>)
          return bytes(held.data(), held.size() * sizeof held[0]);
        else if constexpr (std::is_same_v<T, std::vector<float>> || std::is_same_v<T, std::vector<std::string>>)
          return held.size();  // 0 and -0 are equal
        else
          return std::hash<T>()(held);
      },
      attribute);
}

// Equal nodes have equal keys: those of equal key are compared, and are few.
std::string key_of(const Node& node) {
  std::string key = node.op;
  for (const std::string& name : node.inputs) key += "\n" + name;
  for (const auto& [name, value] : node.attributes) key += "\n" + name + " " + std::to_string(hash_of(value));
  return key;
}

}  // namespace

void share_equal_nodes(Editor* editor) {
  std::unordered_map<std::string, std::vector<size_t>> seen;
  for (size_t i = 0; i < editor->node_count(); ++i) {
    Node& node = editor->node(i);
    if (node.inputs.empty() || node.op.find("Random") != std::string::npos || node.op == "Dropout") continue;
    bool shared = false;
    std::vector<size_t>& others = seen[key_of(node)];
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
    if (!shared && others.size() < kComparedMax) others.push_back(i);
  }
}

}  // namespace hayate
