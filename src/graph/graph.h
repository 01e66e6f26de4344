// The IR: a graph of nodes over named values, as the file says it. Nodes stand in an order in which they can run.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tensor/tensor.h"

namespace hayate {

// One extent of a declared shape: fixed (value >= 0), or symbolic with the file's name for it ("N"; may be empty).
struct Dim {
  int64_t value = -1;
  std::string symbol;

  bool fixed() const { return value >= 0; }
};

// What a graph promises of an input or output. Without `has_shape` even the rank is open. An output may leave out its
// type, which then follows from the node that makes it.
struct ValueInfo {
  std::string name;
  Type type = Type::kFloat32;
  bool has_shape = false;
  std::vector<Dim> dims;
  bool has_type = true;

  std::string text() const;  // "input float32 [N, 40]"
};

struct Graph;

// A subgraph (of If, Loop, Scan) reads the values around it by name.
using Attribute = std::variant<int64_t, float, std::string, Tensor, std::vector<int64_t>, std::vector<float>,
                               std::vector<std::string>, std::shared_ptr<const Graph>>;

// A node's attributes by name. Copies share them until one is changed: those of a tree ensemble take megabytes.
class Attributes {
 public:
  using Map = std::map<std::string, Attribute>;

  Attributes() = default;
  Attributes(Map map) : map_(std::make_shared<Map>(std::move(map))) {}
  Attributes(std::initializer_list<Map::value_type> values) : Attributes(Map(values)) {}

  operator const Map&() const { return map(); }
  Map::const_iterator begin() const { return map().begin(); }
  Map::const_iterator end() const { return map().end(); }
  Map::const_iterator find(const std::string& key) const { return map().find(key); }
  bool contains(const std::string& key) const { return map().contains(key); }
  size_t count(const std::string& key) const { return map().count(key); }
  size_t size() const { return map().size(); }
  bool empty() const { return map().empty(); }
  const Attribute& at(const std::string& key) const { return map().at(key); }

  Attribute& operator[](const std::string& key) { return own()[key]; }
  auto emplace(const std::string& key, Attribute value) { return own().emplace(key, std::move(value)); }
  auto insert_or_assign(const std::string& key, Attribute value) {
    return own().insert_or_assign(key, std::move(value));
  }
  size_t erase(const std::string& key) { return own().erase(key); }
  void clear() { map_.reset(); }

 private:
  const Map& map() const {
    static const Map kNone;
    return map_ == nullptr ? kNone : *map_;
  }
  Map& own() {
    if (map_ == nullptr)
      map_ = std::make_shared<Map>();
    else if (map_.use_count() > 1)
      map_ = std::make_shared<Map>(*map_);
    return *map_;
  }
  std::shared_ptr<Map> map_;
};

struct Node {
  std::string name;    // as the file has it, or "Op_7" by position
  std::string domain;  // empty for ai.onnx
  std::string op;
  std::vector<std::string> inputs;   // empty: an optional input left out
  std::vector<std::string> outputs;  // empty: an output nobody asked for
  Attributes attributes;
  int64_t opset = 0;  // of ai.onnx, where it is not the graph's: a function may import another; else 0

  std::string where() const;  // "node 'fc1' (Gemm)"
  int64_t bytes() const;      // about what a copy takes; tensors and graphs are shared
  bool is(std::string_view of_op) const { return domain.empty() && op == of_op; }
  const std::string& input(size_t i) const;  // empty where left out
  std::shared_ptr<const Graph> subgraph(const std::string& key) const {
    return get(key, std::shared_ptr<const Graph>());
  }
  // The attribute if it is there with that type, else the fallback.
  template <typename T>
  T get(const std::string& key, T fallback) const {
    const auto it = attributes.find(key);
    if (it == attributes.end()) return fallback;
    const T* value = std::get_if<T>(&it->second);
    return value == nullptr ? fallback : *value;
  }
};

struct Graph {
  std::string source;  // the file, for errors
  int64_t opset = 0;   // of ai.onnx
  std::vector<ValueInfo> inputs, outputs;
  std::map<std::string, Tensor> constants;
  std::vector<Node> nodes;
  std::vector<ValueInfo> defaults;  // constants that the file lets a caller feed instead
  // A part of a graph that has been rewritten: what moves rounding is left alone, lest the part's answers differ from
  // the whole's.
  bool rounds_as_it_is = false;

  int64_t opset_of(const Node& node) const { return node.opset != 0 ? node.opset : opset; }
  int64_t parameter_count() const;
  const Tensor* constant(const std::string& name) const;  // null where `name` is none
  std::string text() const;                               // one line per input, constant, node and output
};

// What every later station relies on: each value is made exactly once and before it is read, each output is made.
// Subgraphs are checked with the values that surround them.
Result<bool> verify(const Graph& graph);

}  // namespace hayate
