#include "rewrite/needed.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <set>

#include "eval/rows.h"
#include "graph/axes.h"
#include "graph/places.h"

namespace hayate {
namespace {

constexpr int kQuantisersMax = 2;  // QuantizeLinear and DequantizeLinear, one of each

using Need = std::optional<Places>;  // nothing: all of the value

class Pruner {
 public:
  Pruner(const Graph& graph, const Facts& facts) : graph_(graph), facts_(facts) {}

  // Whether anything is saved.
  bool look() {
    if (std::none_of(graph_.nodes.begin(), graph_.nodes.end(), [&](const Node& node) { return taken_places(node, 0); }))
      return false;
    for (const Node& node : graph_.nodes)  // what a subgraph reads, it reads by name
      for (const auto& [key, value] : node.attributes)
        if (std::holds_alternative<std::shared_ptr<const Graph>>(value)) return false;
    for (const ValueInfo& output : graph_.outputs) whole_.insert(output.name);
    for (auto node = graph_.nodes.rbegin(); node != graph_.nodes.rend(); ++node) {
      const Need need = need_of_maker(*node);
      for (size_t i = 0; i < node->inputs.size(); ++i)
        if (!node->inputs[i].empty()) ask(node->inputs[i], input_need(*node, i, need));
    }
    bool saves = false;
    for (const Node& node : graph_.nodes) saves = saves || need_of_maker(node).has_value();
    return saves;
  }

  Graph made() {
    Graph made = graph_;
    made.nodes.clear();
    to_ = &made;
    for (const Node& node : graph_.nodes) {
      const Need need = need_of_maker(node);
      Node copy = node;
      for (size_t i = 0; i < node.inputs.size(); ++i)
        if (!node.inputs[i].empty() && (!taken_places(node, i) || need_there(node.inputs[i])))
          copy.inputs[i] = read(node.inputs[i], input_need(node, i, need));
      if (need) narrow(node, *need, &copy);
      if (taken_places(node, 0) && need_there(node.inputs[0])) take_all(node, &copy);
      made.nodes.push_back(std::move(copy));
    }
    return made;
  }

 private:
  const Shape* shape(const std::string& name) const {
    const auto it = facts_.find(name);
    return it == facts_.end() ? nullptr : &it->second.type.shape;
  }
  int64_t rank(const std::string& name) const {
    const Shape* known = shape(name);
    return known == nullptr ? 0 : static_cast<int64_t>(known->size());
  }
  const Tensor* constant(const std::string& name) const {
    const auto it = name.empty() ? facts_.end() : facts_.find(name);
    return it == facts_.end() || !it->second.value ? nullptr : &*it->second.value;
  }
  std::optional<std::vector<int64_t>> numbers(const std::string& name) const {
    const Tensor* tensor = constant(name);
    if (tensor == nullptr) return std::nullopt;
    return to_integers(*tensor);
  }

  void ask(const std::string& name, const Need& need) {
    if (whole_.contains(name)) return;
    const auto it = needs_.find(name);
    if (!need || (it != needs_.end() && it->second.axis != need->axis)) {
      whole_.insert(name);
      needs_.erase(name);
    } else {
      needs_[name] = it == needs_.end() ? *need : both(it->second, *need);
    }
  }

  // What of the node's only output is to be made; nothing: all of it.
  Need need_of_maker(const Node& node) const {
    if (node.outputs.empty() || node.outputs[0].empty()) return std::nullopt;
    for (size_t i = 1; i < node.outputs.size(); ++i)
      if (!node.outputs[i].empty()) return std::nullopt;
    const auto it = needs_.find(node.outputs[0]);
    if (it == needs_.end() || constant(node.outputs[0]) != nullptr) return std::nullopt;
    const Places& need = it->second;
    const Shape& made = *shape(node.outputs[0]);
    if (std::find(made.begin(), made.end(), 0) != made.end()) return std::nullopt;  // nothing to save
    if (need.count >= made[static_cast<size_t>(need.axis)]) return std::nullopt;
    return can_be_narrowed(node, need) ? Need(need) : std::nullopt;
  }

  static bool is_reshape(const Node& node) {
    return node.is("Reshape") || node.is("Squeeze") || node.is("Unsqueeze") || node.is("Flatten");
  }
  static bool is_window(const Node& node) { return node.is("Conv") || node.is("MaxPool") || node.is("AveragePool"); }
  bool is_by_element(const Node& node) const {
    if (node.is("QuantizeLinear") || node.is("DequantizeLinear")) {
      for (size_t i = 1; i < 3; ++i)
        if (!node.input(i).empty() && rank(node.inputs[i]) > 0 && constant(node.inputs[i]) == nullptr) return false;
      const Tensor* scale = constant(node.input(1));
      return scale != nullptr && scale->count() == 1 && node.get<int64_t>("block_size", 0) == 0;
    }
    // CastLike: of its second input the type alone.
    return (is_elementwise(node) && !node.is("CastLike")) || (node.domain == "hayate" && node.op == "Silu");
  }
  // Over the last axes, from this one on.
  std::optional<int64_t> normalised_from(const Node& node) const {
    const bool softmax = node.is("Softmax") || node.is("LogSoftmax");
    if (!softmax && !node.is("LayerNormalization") && !node.is("RMSNormalization")) return std::nullopt;
    if (softmax && graph_.opset_of(node) < 13) return std::nullopt;
    int64_t axis = node.get<int64_t>("axis", -1);
    if (axis < 0) axis += rank(node.inputs[0]);
    return softmax && axis != rank(node.inputs[0]) - 1 ? std::nullopt : std::optional(axis);
  }

  bool can_be_narrowed(const Node& node, const Places& need) const {
    const int64_t r = rank(node.outputs[0]);
    if (is_by_element(node)) return true;
    if (node.is("Transpose") || node.is("Identity")) return true;
    if (is_reshape(node)) return kept_axis(*shape(node.outputs[0]), *shape(node.inputs[0]), need.axis).has_value();
    if (const auto from = normalised_from(node)) return need.axis < *from;
    if (node.is("MatMul")) {
      const int64_t left = rank(node.inputs[0]), right = rank(node.inputs[1]);
      return left == r && right >= 2 && need.axis < r - 1 && (need.axis == r - 2 || right == 2);
    }
    if (node.is("Gemm"))
      return need.axis == 0 && node.get<int64_t>("transA", 0) == 0 &&
             (node.input(2).empty() || rank(node.inputs[2]) < 2 || (*shape(node.inputs[2]))[0] == 1);
    if (node.domain == "hayate" && node.op == "Attention")
      return need.axis == r - 2 && node.get<int64_t>("causal", 0) == 0;
    if (node.is("Concat")) {
      int64_t axis = node.get<int64_t>("axis", 0);
      return (axis < 0 ? axis + r : axis) != need.axis;
    }
    return is_window(node) && narrowed_window(node, need).has_value();
  }

  std::optional<Narrowed> narrowed_window(const Node& node, const Places& need) const {
    if (need.axis < 2 || node.get<int64_t>("ceil_mode", 0) != 0) return std::nullopt;
    const Shape& x = *shape(node.inputs[0]);
    const Shape kernel = node.is("Conv") ? Shape(shape(node.inputs[1])->begin() + 2, shape(node.inputs[1])->end())
                                         : node.get<Shape>("kernel_shape", {});
    const Result<Window> found = sliding_window(node, Shape(x.begin() + 2, x.end()), kernel);
    if (!found.ok()) return std::nullopt;
    return narrowed(found.value(), need, x[static_cast<size_t>(need.axis)]);
  }

  // What of input i the node reads where `need` of its output is made.
  Need input_need(const Node& node, size_t i, const Need& need) const {
    const std::string& name = node.inputs[i];
    if (shape(name) == nullptr) return std::nullopt;
    if (const Need taken = taken_places(node, i)) return taken;
    if (!need) return std::nullopt;
    const int64_t r = rank(node.outputs[0]), own = rank(name);
    Places made = *need;
    if (is_by_element(node) || node.is("Identity") || node.is("Concat")) {
      made.axis -= r - own;
      // Of an input that is the same at every place, all.
      return made.axis < 0 || (*shape(name))[static_cast<size_t>(made.axis)] == 1 ? std::nullopt : Need(made);
    }
    if (node.is("Transpose")) {
      Shape perm = node.get<Shape>("perm", {});
      if (perm.empty())
        for (int64_t a = r; a-- > 0;) perm.push_back(a);
      made.axis = perm[static_cast<size_t>(need->axis)];
      return made;
    }
    if (is_reshape(node)) {
      if (i > 0) return std::nullopt;
      made.axis = *kept_axis(*shape(node.outputs[0]), *shape(name), need->axis);
      return made;
    }
    if (is_window(node)) return i > 0 ? std::nullopt : Need(narrowed_window(node, *need)->reads);
    if (node.domain == "hayate" && node.op == "Attention" && i == 3) {  // the mask: rows of queries, or one for all
      made.axis = own - 2;
      return made.axis < 0 || (*shape(name))[static_cast<size_t>(made.axis)] == 1 ? std::nullopt : Need(made);
    }
    return i == 0 ? Need(made) : std::nullopt;  // layers and normalisations: the rows
  }

  // Of input 0 of a Gather or Slice: the places that it takes of one axis.
  Need taken_places(const Node& node, size_t i) const {
    if (i != 0 || (!node.is("Gather") && !node.is("Slice"))) return std::nullopt;
    const std::string& name = node.inputs[0];
    if (shape(name) == nullptr || constant(name) != nullptr) return std::nullopt;
    const auto at = [&](int64_t axis) { return axis < 0 ? axis + rank(name) : axis; };
    if (node.is("Gather")) {
      const auto index = numbers(node.input(1));
      const int64_t axis = at(node.get<int64_t>("axis", 0)), length = (*shape(name))[static_cast<size_t>(axis)];
      if (!index || index->size() != 1 || index->front() >= length || index->front() < -length) return std::nullopt;
      return Places{axis, index->front() < 0 ? index->front() + length : index->front(), 1, 1};
    }
    const auto starts = numbers(node.input(1)), ends = numbers(node.input(2)), steps = numbers(node.input(4));
    auto axes = numbers(node.input(3));
    if (!axes && node.input(3).empty()) axes = std::vector<int64_t>{0};
    if (!starts || !ends || !axes || starts->size() != 1 || axes->size() != 1 || (!node.input(4).empty() && !steps))
      return std::nullopt;
    const int64_t axis = at(axes->front()), length = (*shape(name))[static_cast<size_t>(axis)],
                  step = steps ? steps->front() : 1;
    if (step < 1) return std::nullopt;
    const auto place = [&](int64_t p) { return std::clamp<int64_t>(p < 0 ? p + length : p, 0, length); };
    const int64_t start = place(starts->front()), end = place(ends->front());
    if (start >= end) return std::nullopt;
    return Places{axis, start, step, (end - start - 1) / step + 1};
  }

  // ---- the new graph
  std::string add_constant(const std::string& base, const std::vector<int64_t>& values) {
    const std::string name = fresh(base);
    to_->constants.emplace(name, Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values));
    return name;
  }
  std::string fresh(const std::string& base) {
    std::string name;
    do name = fmt::format("{}/needed#{}", base, count_++);
    while (facts_.find(name) != facts_.end());
    return name;
  }

  const Node* maker(const std::string& name) {
    if (makers_.empty())
      for (const Node& node : graph_.nodes)
        for (const std::string& output : node.outputs) makers_[output] = &node;
    const auto it = makers_.find(name);
    return it == makers_.end() ? nullptr : it->second;
  }

  // The value's needed places under the name that the new graph has them by.
  std::string read(const std::string& name, const Need& need, int behind = 0) {
    if (!need) return name;
    const Node* made_by = maker(name);
    const Need there = made_by == nullptr ? std::nullopt : need_of_maker(*made_by);
    Places of = *need;
    const int64_t length = there ? there->count : (*shape(name))[static_cast<size_t>(of.axis)];
    if (there)
      of.start = (need->start - there->start) / there->step, of.step = std::max<int64_t>(need->step / there->step, 1);
    if (of.count == length) return name;
    const std::tuple key{name, of.axis, of.start, of.step, of.count};
    if (const auto known = slices_.find(key); known != slices_.end()) return known->second;
    // Quantisers come behind the slice, so that a layer still reads what comes out of one.
    if (made_by != nullptr && (made_by->is("QuantizeLinear") || made_by->is("DequantizeLinear")) &&
        is_by_element(*made_by) && behind < kQuantisersMax) {
      Node again = *made_by;
      again.inputs[0] = read(made_by->inputs[0], need, behind + 1);
      again.name = again.outputs[0] = fresh(name);
      to_->nodes.push_back(again);
      return slices_[key] = again.outputs[0];
    }
    const std::string sliced = slices_[key] = fresh(name);
    Node slice{sliced, "", "Slice", {name}, {sliced}, {}};
    for (const int64_t number : {of.start, of.last() + 1, of.axis, of.step})
      slice.inputs.push_back(add_constant(name, {number}));
    if (graph_.opset < 10) slice.opset = 10;
    to_->nodes.push_back(std::move(slice));
    return sliced;
  }

  // What else of the node changes where it makes `need` alone.
  void narrow(const Node& node, const Places& need, Node* copy) {
    if (is_reshape(node)) {
      Shape to = *shape(node.outputs[0]);
      to[static_cast<size_t>(need.axis)] = need.count;
      copy->op = "Reshape", copy->attributes = {};
      copy->inputs = {copy->inputs[0], add_constant(node.outputs[0], to)};
      if (graph_.opset < 5) copy->opset = 5;
    }
    if (!is_window(node)) return;
    set_window(narrowed_window(node, need)->window, copy);
  }

  // A Gather or Slice that is given what it takes, and nothing else.
  void take_all(const Node& node, Node* copy) {
    if (node.is("Slice")) {
      copy->op = "Identity", copy->attributes = {};
      copy->inputs.resize(1);
      return;
    }
    const Tensor& index = *constant(node.inputs[1]);
    Tensor zero(index.type(), index.shape());
    std::fill(zero.bytes(), zero.bytes() + zero.byte_count(), std::byte{0});
    copy->inputs[1] = fresh(node.inputs[1]);
    to_->constants.emplace(copy->inputs[1], zero);
  }
  bool need_there(const std::string& name) {
    const Node* made_by = maker(name);
    return made_by != nullptr && need_of_maker(*made_by).has_value();
  }

  const Graph& graph_;
  const Facts& facts_;
  std::map<std::string, Places> needs_;
  std::set<std::string> whole_;
  std::map<std::string, const Node*> makers_;
  std::map<std::tuple<std::string, int64_t, int64_t, int64_t, int64_t>, std::string> slices_;
  Graph* to_ = nullptr;
  int count_ = 0;
};

}  // namespace

Graph needed_places(const Graph& graph, const Facts& facts, bool* changed) {
  Pruner pruner(graph, facts);
  const bool saves = pruner.look();
  if (changed != nullptr) *changed = saves;
  return saves ? pruner.made() : graph;
}

}  // namespace hayate
