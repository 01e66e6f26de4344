#include "stream/incremental.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <tuple>

#include "eval/rows.h"
#include "graph/axes.h"
#include "graph/op_table.h"
#include "graph/places.h"
#include "kernels/vector/kernels.h"

namespace hayate {
namespace {

constexpr int64_t kFlightMax = 4096;  // windows: each row takes a step of all
constexpr int64_t kBegunMin = 2000;   // multiply-adds: to begin with fewer costs as much as it saves

struct Value : Streamed {
  int64_t batch = -1;  // of steps: the axis of extent 1 that counts windows in `follow`
  std::string name;    // in `answer`: columns and steps with 1 + right columns, of which the first is the newest kept
  std::string step;    // in `follow`, with one column; empty: not there
  std::string first;   // in `start`, with the window's first columns
  int64_t firsts = 0;  // of them
  bool lazy = false;   // of columns: none of them is kept; those that somebody asks for are made again for every row
  int64_t late = 0;    // then: the first that sees the newest row
};

Value plain_value(Streamed::Kind kind, const std::string& name = "") {
  Value made;
  made.kind = kind, made.name = name;
  return made;
}

Tensor integers(const std::vector<int64_t>& values) {
  return Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values);
}

class Cutter {
  // Columns of a value that see the window's start.
  struct Edge {
    Places at;
    std::string name;
    bool given = false;  // from `ahead` to `answer`
  };
  // What a node reads in each of three graphs.
  struct Inputs {
    std::vector<std::string> answer, follow, start;
  };

 public:
  // `rows` are those that `start` takes; `lanes` those of the batch.
  Cutter(const Graph& graph, const Facts& facts, int64_t time, bool begin, int64_t rows, int64_t lanes,
         std::map<std::string, int64_t> deepest)
      : graph_(graph),
        facts_(facts),
        time_(time),
        rows_(rows),
        lanes_(lanes),
        begin_(begin),
        deepest_(std::move(deepest)) {}

  // Columns that `start` has too many of where a recurrence begins: so many rows fewer will do.
  int64_t spare_rows() const { return spare_; }
  // How far back each value's columns are asked for.
  const std::map<std::string, int64_t>& depths() const { return deepest_; }

  Incremental run() {
    made_.answer.source = graph_.source, made_.answer.opset = graph_.opset;
    follow_.source = graph_.source + " (windows in flight)", follow_.opset = graph_.opset;
    const ValueInfo& input = graph_.inputs[0];
    const TensorType& type = facts_.find(input.name)->second.type;
    made_.window = type.shape[static_cast<size_t>(time_)];
    Value row;
    row.kind = Streamed::kColumns, row.axis = time_, row.length = made_.window, row.name = input.name;
    row.first = input.name, row.firsts = rows_;
    start_.source = graph_.source + " (a window's start)", start_.opset = graph_.opset;
    prepare_.source = graph_.source + " (before a row)", prepare_.opset = graph_.opset;
    ahead_.source = graph_.source + " (the next window's start)", ahead_.opset = graph_.opset;
    begun_.source = graph_.source + " (what convolutions begin with)", begun_.opset = graph_.opset;
    add_input(&start_, input.name, type.type, with(type.shape, time_, rows_));
    made_.start_rows = rows_;
    add_input(&made_.answer, input.name, type.type, with(type.shape, time_, 1));
    values_[input.name] = row;
    say(input.name, "the model's input", row);
    for (const Node& node : graph_.nodes)
      if (!cut(node)) return give_up();
    for (const ValueInfo& output : graph_.outputs) {
      const Value v = values_[output.name];
      std::string name = output.name;
      if (v.kind == Streamed::kColumns) {  // all of them, most from its history
        const std::string all = columns_at(&made_.answer, output.name, {v.axis, 0, 1, v.length});
        if (all.empty()) return give_up();
        name = add_node(&made_.answer, "Identity", {all}, output.name);
      } else if (v.kind != Streamed::kTail) {
        refuse(v.kind == Streamed::kSteps
                   ? "output '" + output.name + "' holds every step of a recurrence, and each window has its own"
                   : "output '" + output.name + "' does not depend on the rows");
        return give_up();
      }
      made_.answer.outputs.insert(made_.answer.outputs.begin() + position_++, {name, output.type, false, {}});
      made_.outputs.push_back(name);
    }
    renew_histories();
    for (Graph* each : {&made_.answer, &follow_, &start_, &prepare_, &ahead_, &begun_}) each->rounds_as_it_is = true;
    for (auto [graph, to] : {std::pair{&ahead_, &made_.ahead}, std::pair{&begun_, &made_.begin}}) {
      if (graph->outputs.empty()) continue;
      for (const auto& [name, tensor] : graph_.constants) graph->constants.emplace(name, tensor);
      *to = std::move(*graph);
    }
    if (!made_.states.empty()) {
      for (Graph* each : {&made_.answer, &follow_, &start_, &prepare_})
        for (const auto& [name, tensor] : graph_.constants) each->constants.emplace(name, tensor);
      made_.follow = std::move(follow_);
      if (!prepare_.outputs.empty()) made_.prepare = std::move(prepare_);
      if (left_ > 0) made_.start = std::move(start_);
    } else {
      for (const auto& [name, tensor] : graph_.constants) made_.answer.constants.emplace(name, tensor);
    }
    return std::move(made_);
  }

 private:
  static Shape with(Shape shape, int64_t axis, int64_t extent) {
    shape[static_cast<size_t>(axis)] = extent;
    return shape;
  }
  const TensorType& type(const std::string& name) const { return facts_.find(name)->second.type; }
  const Shape& shape(const std::string& name) const { return type(name).shape; }
  const Tensor* constant(const std::string& name) const {
    if (name.empty()) return nullptr;
    const auto it = facts_.find(name);
    return it == facts_.end() || !it->second.value ? nullptr : &*it->second.value;
  }
  std::optional<std::vector<int64_t>> numbers(const std::string& name) const {
    const Tensor* tensor = constant(name);
    if (tensor == nullptr) return std::nullopt;
    return to_integers(*tensor);
  }

  bool refuse(std::string why) {
    if (made_.reason.empty()) made_.reason = std::move(why);
    return false;
  }
  bool refuse(const Node& node, const char* why) { return refuse(node.where() + " " + why); }
  Incremental give_up() {
    Incremental whole;
    whole.reason = made_.reason, whole.window = made_.window, whole.lines = std::move(made_.lines);
    return whole;
  }
  void say(const std::string& value, const std::string& node, const Streamed& what) {
    const auto [begun, taps] = taps_[value];
    made_.lines.push_back({value, node, what, begun, taps});
  }

  static void add_input(Graph* graph, const std::string& name, Type type, const Shape& shape) {
    ValueInfo info{name, type, true, {}};
    for (const int64_t extent : shape) info.dims.push_back({extent, ""});
    graph->inputs.push_back(std::move(info));
  }
  void add_output(Graph* graph, const std::string& name, Type type) {
    if (std::none_of(graph->outputs.begin(), graph->outputs.end(), [&](const ValueInfo& o) { return o.name == name; }))
      graph->outputs.push_back({name, type, false, {}});
  }
  std::string add_constant(const std::string& base, const Tensor& tensor) {
    const std::string name = fmt::format("{}/stream_{}", base, count_++);
    for (Graph* each : {&made_.answer, &follow_, &start_, &ahead_, &begun_}) each->constants.emplace(name, tensor);
    return name;
  }
  std::string add_node(Graph* graph, const std::string& op, std::vector<std::string> inputs, const std::string& base,
                       Attributes attributes = {}) {
    const std::string name = fmt::format("{}/stream_{}", base, count_++);
    graph->nodes.push_back({name, "", op, std::move(inputs), {name}, std::move(attributes)});
    return name;
  }
  std::string slice(Graph* graph, const std::string& name, int64_t axis, int64_t begin, int64_t end, int64_t step = 1) {
    std::vector<std::string> inputs{name};
    for (const int64_t number : {begin, end, axis, step}) inputs.push_back(add_constant(name, integers({number})));
    return add_node(graph, "Slice", std::move(inputs), name);
  }

  // The value's columns from `back` kept ones before the newest on: back + 1 + right of them.
  std::string lengthened(const std::string& value, int64_t back) {
    const Value v = values_[value];
    if (back == 0) return v.name;
    if (std::string& made = lengthened_[{value, back}]; !made.empty()) return made;
    if (const Node* maker = quantiser_of(value))
      return lengthened_[{value, back}] = quantised(&made_.answer, *maker, lengthened(maker->inputs[0], back));
    const int64_t most = deepest(value, back);
    if (most > back) {
      const std::string all = lengthened(value, most);
      return lengthened_[{value, back}] = slice(&made_.answer, all, v.axis, most - back, most + 1 + v.right);
    }
    keep_history(value, back);
    const std::string columns = newest_phase(&made_.answer, value, back);
    return lengthened_[{value, back}] = add_node(&made_.answer, "Concat", {columns, v.name}, value, {{"axis", v.axis}});
  }

  // Has so many columns kept, of every phase. Requires: nobody asks for more of them.
  void keep_history(const std::string& value, int64_t back) {
    const bool is_kept = std::any_of(made_.histories.begin(), made_.histories.end(), [&](const auto& each) {
      return each.value == value && each.input == history_name(value, back);
    });
    if (is_kept) return;
    const Value& v = values_[value];
    Incremental::History history;
    const Image image(shape(value), v.axis, back * v.every);
    history.value = value, history.input = history_name(value, back), history.type = type(value).type;
    history.shape = image.shape, history.axis = static_cast<size_t>(v.axis - (image.last_channels ? 1 : 0));
    made_.histories.push_back(history);
  }
  static std::string history_name(const std::string& value, int64_t back) {
    return fmt::format("{}/history_{}", value, back);
  }
  // What the histories take in behind a row: the newest column of each value.
  void renew_histories() {
    for (Incremental::History& history : made_.histories) {
      const Value& v = values_[history.value];
      history.output = v.right == 0 ? v.name : slice(&made_.answer, v.name, v.axis, 0, 1);
      if (const Image image(shape(history.value), v.axis, 1); image.last_channels)
        history.output = add_node(&made_.answer, "Transpose", {history.output}, history.value, {{"perm", image.to}});
      if (history.output == graph_.inputs[0].name)
        history.output = add_node(&made_.answer, "Identity", {history.output}, history.value);
      add_output(&made_.answer, history.output, history.type);
    }
  }

  // What makes columns by QuantizeLinear or DequantizeLinear: of them what they were made of is kept, so that a layer
  // that reads several finds both nodes before it, as in the model. Null: another node does.
  const Node* quantiser_of(const std::string& value) const {
    const auto it = makers_.find(value);
    const bool is = it != makers_.end() && (it->second->is("QuantizeLinear") || it->second->is("DequantizeLinear"));
    return is ? it->second : nullptr;
  }
  std::string quantised(Graph* graph, const Node& node, const std::string& columns) {
    if (columns.empty()) return "";
    Node copy = node;
    copy.inputs[0] = columns, copy.outputs[0] = fmt::format("{}/stream_{}", node.outputs[0], count_++);
    const std::string made = copy.outputs[0];
    put(graph, node, std::move(copy));
    return made;
  }

  // How a history lies: of images with channels last, as engines have them: what goes in and out is copied as it lies.
  struct Image {
    Image(const Shape& value, int64_t axis, int64_t rows) : shape(with(value, axis, rows)) {
      last_channels = axis > 1 && shape.size() > 2;
      for (int64_t i = 0; i < static_cast<int64_t>(shape.size()); ++i) to.push_back(i), from.push_back(i);
      if (!last_channels) return;
      std::rotate(to.begin() + 1, to.begin() + 2, to.end());
      std::rotate(from.begin() + 1, from.end() - 1, from.end());
      std::rotate(shape.begin() + 1, shape.begin() + 2, shape.end());
    }
    Shape shape, to, from;  // permutations to there and back
    bool last_channels;
  };

  // The history of so many kept columns, an input of that graph; of every phase.
  std::string past(Graph* graph, const std::string& value, int64_t back) {
    std::string& made = pasts_[{graph, value, back}];
    if (!made.empty()) return made;
    const Value& v = values_[value];
    const Image image(shape(value), v.axis, back * v.every);
    const std::string input = history_name(value, back);
    add_input(graph, input, type(value).type, image.shape);
    return made = image.last_channels ? add_node(graph, "Transpose", {input}, value, {{"perm", image.from}}) : input;
  }
  // Of that the columns of the phase that the next row completes.
  std::string newest_phase(Graph* graph, const std::string& value, int64_t back) {
    const Value& v = values_[value];
    const std::string all = past(graph, value, back);
    return v.every == 1 ? all : slice(graph, all, v.axis, 0, back * v.every, v.every);
  }
  // The columns that a history of a value is made for: the most that anybody asks for. Known in the second run.
  int64_t deepest(const std::string& value, int64_t back) {
    int64_t& most = deepest_[value];
    return most = std::max(most, back);
  }

  // One step's worth of a value of columns, for `follow`; all windows read the same.
  std::string column(const std::string& value) {
    Value& v = values_[value];
    if (!v.step.empty()) return v.step;
    v.step = v.right == 0 ? v.name : slice(&made_.answer, v.name, v.axis, 0, 1);
    add_output(&made_.answer, v.step, type(value).type);
    add_input(&follow_, v.step, type(value).type, with(shape(value), v.axis, 1));
    made_.columns.push_back(v.step);
    return v.step;
  }

  void define(const Node& node, size_t output, Value value) {
    const std::string& name = node.outputs[output];
    if (name.empty()) return;
    if (value.name.empty()) value.name = name;
    if (value.kind == Streamed::kSteps && value.step.empty()) value.step = name;
    if (value.first.empty()) value.first = name;
    // One column is no time any more.
    if ((value.kind == Streamed::kColumns || value.kind == Streamed::kSteps) && value.length == 1) {
      value = plain_value(Streamed::kTail, value.name);
    }
    values_[name] = value;
    if (value.kind == Streamed::kColumns) makers_[name] = &node;
    say(name, node.where(), value);
  }

  // Output 0 as columns that are made when they are asked for.
  bool define_lazy(const Node& node, Value v) {
    const std::string& name = node.outputs[0];
    v.lazy = true, v.left = v.length, v.right = v.firsts = 0, v.name = v.first = "";
    values_[name] = v, makers_[name] = &node;
    if (v.length > 1) {
      say(name, node.where(), v);
      return true;
    }
    const std::string only = edge(&made_.answer, name, {v.axis, 0, 1, 1});
    if (only.empty()) return false;
    made_.answer.nodes.push_back({node.name, "", "Identity", {only}, {name}, {}});  // tails read it by its name
    define(node, 0, plain_value(Streamed::kTail));
    return true;
  }

  // The first column that is not there before the newest row is.
  static int64_t late_of(const Value& v) { return v.lazy ? v.late : v.length - v.right - 1; }

  // Columns `at` of the window: those that are kept from there, those that see its start made again. In `ahead` it is
  // the next one's, of which nothing sees the newest row. Empty: refused.
  std::string columns_at(Graph* graph, const std::string& value, const Places& at) {
    const Value v = values_[value];
    if (const Node* maker = quantiser_of(value))
      return quantised(graph, *maker, columns_at(graph, maker->inputs[0], at));
    const Places edges = below(at, v.left), kept = behind(at, edges);
    std::string made;
    if (edges.count > 0) {
      made = edge(graph, value, edges);
      if (made.empty()) return "";
    }
    if (kept.count == 0) return made;
    const int64_t newest = v.length - v.right - 1, back = std::max<int64_t>(0, newest - kept.start);
    std::string from;
    if (graph == &ahead_ || graph == &begun_) {
      const int64_t most = deepest(value, back);
      keep_history(value, most);
      from = places(graph, newest_phase(graph, value, most), newest - most, newest, kept);
    } else {
      from = places(graph, lengthened(value, back), newest - back, v.length, kept);
    }
    return joined(graph, value, made, from);
  }

  // Those of them before `end`.
  static Places below(Places at, int64_t end) {
    at.count = at.start >= end ? 0 : std::min(at.count, (end - 1 - at.start) / at.step + 1);
    if (at.count <= 1) at.step = 1;
    return at;
  }
  // Those of them behind their first.
  static Places behind(const Places& at, const Places& first) {
    Places rest{at.axis, at.start + first.count * at.step, at.step, at.count - first.count};
    if (rest.count <= 1) rest.step = 1;
    return rest;
  }
  std::string joined(Graph* graph, const std::string& value, const std::string& first, const std::string& then) {
    if (first.empty() || then.empty()) return first.empty() ? then : first;
    return add_node(graph, "Concat", {first, then}, value, {{"axis", values_[value].axis}});
  }

  // Of what has the places `first` to `end` - 1.
  std::string places(Graph* graph, const std::string& from, int64_t first, int64_t end, const Places& at) {
    if (at.start == first && at.step == 1 && at.last() == end - 1) return from;
    return slice(graph, from, at.axis, at.start - first, at.last() - first + 1, at.step);
  }

  // Where the node, of whose value the columns `at` are to be made, reads its inputs; and its window over those. None:
  // padding alone.
  std::optional<Narrowed> read_by(const Node& node, Places at) const {
    const Value& x = values_.at(node.inputs[moving_inputs(node)[0]]);
    at.axis = x.axis;
    if (is_sliding(node)) return narrowed(window_of(node), at, x.length);
    if (slices_time(node)) {
      const int64_t begin = (*numbers(node.inputs[1]))[0];
      at.start += std::clamp<int64_t>(begin < 0 ? begin + x.length : begin, 0, x.length);
    }
    return Narrowed{at, {}};
  }

  // Notes all columns that have to be made again for those, so that each is made once. What it returns are the values
  // that have such columns, in the order of the model.
  std::vector<std::string> want(const std::string& value, const Places& at) {
    std::map<std::string, Places> more{{value, at}};
    std::vector<std::string> values;
    const auto add = [](std::map<std::string, Places>* to, const std::string& name, const Places& wanted) {
      const auto [it, is_new] = to->emplace(name, wanted);
      if (!is_new) it->second = both(it->second, wanted);
    };
    for (auto node = graph_.nodes.rbegin(); node != graph_.nodes.rend(); ++node) {
      if (node->outputs.empty()) continue;
      const auto it = more.find(node->outputs[0]);
      if (it == more.end()) continue;
      add(&wanted_, it->first, it->second);
      values.push_back(it->first);
      const std::optional<Narrowed> reads = read_by(*node, wanted_[it->first]);
      if (!reads) continue;
      for (const size_t i : moving_inputs(*node)) {
        Places edges = below(reads->reads, values_[node->inputs[i]].left);
        edges.axis = values_[node->inputs[i]].axis;
        if (edges.count > 0) add(&more, node->inputs[i], edges);
      }
    }
    std::reverse(values.begin(), values.end());
    return values;
  }

  // Columns of a value, each of which sees the window's start: those that do not see the newest row from `ahead`.
  std::string edge(Graph* graph, const std::string& value, const Places& at) {
    if (const auto it = wanted_.find(value); it == wanted_.end() || both(it->second, at) != it->second)
      for (const std::string& each : want(value, at))  // inputs first: nothing calls itself as deep as the model
        if (!make_wanted(each)) return "";
    const int64_t late = late_of(values_[value]);
    const Places all = wanted_[value], early = below(all, late), now = below(at, late), then = behind(at, now);
    std::string before, after;
    if (now.count > 0) before = taken(graph, value, early, now);
    if (then.count > 0) after = taken(&made_.answer, value, behind(all, early), then);
    if ((now.count > 0 && before.empty()) || (then.count > 0 && after.empty())) return "";
    return joined(graph, value, before, after);
  }

  // Makes all columns of a value that are wanted.
  bool make_wanted(const std::string& value) {
    const Places all = wanted_[value], early = below(all, late_of(values_[value])), then = behind(all, early);
    return (early.count == 0 || made_edge(value, early) != nullptr) &&
           (then.count == 0 || made_edge(value, then) != nullptr);
  }

  // Columns of a value that are made together, those that do not see the newest row in `ahead`. Null: refused.
  Edge* made_edge(const std::string& value, const Places& all) {
    const bool early = all.last() < late_of(values_[value]);
    Edge& known = edges_[{value, early}];
    if (known.at == all) return &known;
    const std::string made = make_edge(early ? &ahead_ : &made_.answer, value, all);
    if (made.empty()) return nullptr;
    known = {all, made, false};
    return &known;
  }

  // Columns `at` of those that are made together, in `graph`.
  std::string taken(Graph* graph, const std::string& value, const Places& all, const Places& at) {
    Graph* where = all.last() < late_of(values_[value]) ? &ahead_ : &made_.answer;
    Edge* edge = made_edge(value, all);
    if (edge == nullptr) return "";
    Edge& known = *edge;
    if (where != graph && !known.given) {
      known.given = true;
      add_output(&ahead_, known.name, type(value).type);
      add_input(&made_.answer, known.name, type(value).type, with(shape(value), all.axis, all.count));
    }
    if (all == at) return known.name;
    return slice(graph, known.name, at.axis, (at.start - all.start) / all.step, (at.last() - all.start) / all.step + 1,
                 at.count > 1 ? at.step / all.step : 1);
  }

  std::string make_edge(Graph* graph, const std::string& value, const Places& at) {
    const Node& node = *makers_[value];
    const std::optional<Narrowed> reads = read_by(node, at);
    if (!reads) {
      refuse(node, "makes columns of padding alone");
      return "";
    }
    Node copy = node;
    copy.outputs = {fmt::format("{}/edge_{}", value, count_++)};
    for (const size_t i : moving_inputs(node)) {
      Places of_input = reads->reads;
      of_input.axis = values_[node.inputs[i]].axis;
      copy.inputs[i] = columns_at(graph, node.inputs[i], of_input);
      if (copy.inputs[i].empty()) return "";
    }
    if (is_sliding(node)) {
      set_window(reads->window, &copy);
    } else if (slices_time(node)) {  // whose part of the window `reads` has taken
      copy.op = "Identity", copy.attributes = {}, copy.inputs.resize(1);
    } else if (is_reshape(node)) {
      copy.op = "Reshape", copy.attributes = {};
      copy.inputs = {copy.inputs[0], add_constant(value, integers(with(shape(value), at.axis, at.count)))};
    }
    made_.edges += at.count;
    const std::string name = copy.outputs[0];
    put(graph, node, std::move(copy));
    return name;
  }

  // Whether it takes a part of the window, be that all of it: slice_node() lets no other axis be cut beside time.
  bool slices_time(const Node& node) const {
    if (!node.is("Slice")) return false;
    const Value& x = values_.at(node.inputs[0]);
    const int64_t rank = static_cast<int64_t>(shape(node.inputs[0]).size());
    const std::vector<int64_t> axes = numbers(node.input(3)).value_or(std::vector<int64_t>{0});
    return axes.size() == 1 && (axes[0] < 0 ? axes[0] + rank : axes[0]) == x.axis;
  }
  static bool is_sliding(const Node& node) { return node.is("Conv") || node.is("MaxPool") || node.is("AveragePool"); }
  // Requires: one that window() has taken.
  Window window_of(const Node& node) const {
    const Shape& x = shape(node.inputs[0]);
    const Shape kernel = node.is("Conv") ? Shape(shape(node.inputs[1]).begin() + 2, shape(node.inputs[1]).end())
                                         : node.get<Shape>("kernel_shape", {});
    return sliding_window(node, Shape(x.begin() + 2, x.end()), kernel).value();
  }

  // The inputs that change from window to window.
  std::vector<size_t> moving_inputs(const Node& node) const {
    std::vector<size_t> moving;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i].empty() || constant(node.inputs[i]) != nullptr) continue;
      const auto it = values_.find(node.inputs[i]);
      if (it != values_.end() && it->second.kind != Streamed::kStatic) moving.push_back(i);
    }
    return moving;
  }

  // The node of the model as `copy`, which may read other values.
  void put(Graph* graph, const Node& node, Node copy) {
    if (!copy.inputs.empty() && copy.inputs[0] != node.inputs[0]) made_.origins[copy.inputs[0]] = node.inputs[0];
    graph->nodes.push_back(std::move(copy));
  }
  void keep(Graph* graph, const Node& node, const std::vector<std::string>& inputs) {
    Node copy = node;
    copy.inputs = inputs;
    put(graph, node, std::move(copy));
  }

  bool cut(const Node& node) {
    bool known = true;
    for (const std::string& output : node.outputs) known = known && (output.empty() || constant(output) != nullptr);
    if (known && node.is("DequantizeLinear")) {  // weights that a layer on integers takes as they are
      for (Graph* each : {&made_.answer, &follow_, &start_, &prepare_, &ahead_, &begun_}) keep(each, node, node.inputs);
      return true;
    }
    if (known) {
      for (const std::string& output : node.outputs)
        for (Graph* each : {&made_.answer, &follow_, &start_, &prepare_, &ahead_, &begun_})
          if (!output.empty()) each->constants.emplace(output, *constant(output));
      return true;
    }
    const std::vector<size_t> moving = moving_inputs(node);
    if (moving.empty() || all_tails(node, moving)) {
      keep(&made_.answer, node, node.inputs);
      if (moving.empty())
        for (Graph* each : {&follow_, &start_, &prepare_, &ahead_, &begun_}) keep(each, node, node.inputs);
      for (size_t o = 0; o < node.outputs.size(); ++o)
        define(node, o, plain_value(moving.empty() ? Streamed::kStatic : Streamed::kTail));
      return true;
    }
    return by_columns(node, moving) || whole(node, moving);
  }

  // The node for the columns that are new alone. Where it refuses, nothing has been made.
  bool by_columns(const Node& node, const std::vector<size_t>& moving) {
    for (const size_t i : moving)
      if (values_[node.inputs[i]].kind == Streamed::kTail)
        return refuse(node, "mixes what is taken from one place of the window with all of it");
    if (node.is("CastLike")) return refuse(node, "takes its type from a value of the window");
    if (is_elementwise(node)) return elementwise(node, moving);
    if (node.is("Gather") && moving == std::vector<size_t>{1}) return look_up(node);
    if (!node.is("Concat") && (moving.size() != 1 || moving[0] != 0))
      return refuse(node, "mixes values of the window with each other");
    if (node.is("Transpose")) return transpose(node);
    if (is_reshape(node)) return reshape(node);
    if (node.is("Concat")) return concat(node, moving);
    if (node.is("Slice")) return slice_node(node);
    if (node.is("Gather")) return gather_node(node);
    if (is_sliding(node)) return window(node, moving);
    if (node.is("Gemm") || node.is("MatMul")) return dense(node, moving);
    if (node.is("LayerNormalization") || node.is("RMSNormalization") || node.is("Softmax") || node.is("LogSoftmax"))
      return last_axes(node);
    if (node.is("LSTM") || node.is("GRU") || node.is("RNN") || is_own(node, "RecurrentSteps")) return recurrent(node);
    if (node.is("QuantizeLinear") || node.is("DequantizeLinear")) return quantiser(node);
    if (node.domain.empty() && node.op.starts_with("Reduce")) return reduction(node);
    if (is_own(node, "RecurrentInput"))
      return emit(node, values_[node.inputs[0]], of_first(node, values_[node.inputs[0]]));
    return refuse(node, "is not known to leave columns of time apart");
  }

  // The node on whole windows, for the answer alone: of each value that changes all columns are kept.
  bool whole(const Node& node, const std::vector<size_t>& moving) {
    for (const size_t i : moving) {
      if (values_[node.inputs[i]].kind == Streamed::kSteps) return false;
    }
    Node copy = node;
    for (const size_t i : moving) {
      const Value v = values_[node.inputs[i]];
      if (v.kind != Streamed::kColumns) continue;
      if (v.left > 0) {
        copy.inputs[i] = columns_at(&made_.answer, node.inputs[i], {v.axis, 0, 1, v.length});
        if (copy.inputs[i].empty()) return false;
        continue;
      }
      const int64_t back = v.length - v.right - 1;  // below 0 where none of it is kept: all is of the right edge
      copy.inputs[i] =
          back >= 0 ? lengthened(node.inputs[i], back) : slice(&made_.answer, v.name, v.axis, -back, 1 + v.right);
    }
    put(&made_.answer, node, std::move(copy));
    for (size_t o = 0; o < node.outputs.size(); ++o) define(node, o, plain_value(Streamed::kTail));
    // Why it runs on whole windows; should the rest be refused, that is what is said.
    if (made_.whole.empty()) made_.whole = std::move(made_.reason);
    made_.reason.clear();
    return true;
  }

  bool all_tails(const Node& node, const std::vector<size_t>& moving) {
    return std::all_of(moving.begin(), moving.end(),
                       [&](size_t i) { return values_[node.inputs[i]].kind == Streamed::kTail; });
  }

  // Inputs brought to the same columns: what has fewer right-edge columns gives kept ones further back. False where
  // steps would have to be kept for that.
  bool align(const Node& node, const std::vector<size_t>& moving, Value* all, Inputs* inputs) {
    std::vector<std::string>*answer = &inputs->answer, *follow = &inputs->follow;
    *answer = *follow = inputs->start = node.inputs;
    all->firsts = INT64_MAX;
    for (const size_t i : moving) all->firsts = std::min(all->firsts, values_[node.inputs[i]].firsts);
    for (const size_t i : moving) {
      const Value& v = values_[node.inputs[i]];
      if ((v.length != all->length && all->length != 0) || v.every != values_[node.inputs[moving[0]]].every)
        return refuse(node, "joins values whose windows have different lengths");
      all->every = v.every;
      all->length = v.length, all->left = std::max(all->left, v.left), all->right = std::max(all->right, v.right);
      all->kind = std::max(all->kind, v.kind), all->lazy = all->lazy || v.lazy;
      all->late = i == moving[0] ? late_of(v) : std::min(all->late, late_of(v));
    }
    if (all->lazy) return all->kind == Streamed::kColumns || refuse(node, "joins steps with columns that are not kept");
    for (const size_t i : moving) {
      const Value v = values_[node.inputs[i]];
      const int64_t back = all->right - v.right;
      if (v.kind == Streamed::kSteps && back != 0)
        return refuse(node, "joins steps with columns of another right edge");
      (*answer)[i] = lengthened(node.inputs[i], back);
      inputs->start[i] = v.firsts == all->firsts ? v.first : slice(&start_, v.first, v.axis, 0, all->firsts);
      if (all->kind != Streamed::kSteps) continue;
      if (v.kind == Streamed::kColumns && back != 0)
        return refuse(node, "joins steps with columns of another right edge");
      (*follow)[i] = v.kind == Streamed::kSteps ? v.step : column(node.inputs[i]);
      if (v.kind == Streamed::kSteps && all->batch < 0) all->batch = v.batch;
    }
    return true;
  }

  // A node with a single streamed input, the first.
  Inputs of_first(const Node& node, const Value& v) {
    Inputs made{node.inputs, node.inputs, node.inputs};
    made.answer[0] = v.name, made.follow[0] = v.step, made.start[0] = v.first;
    return made;
  }

  bool emit(const Node& node, Value value, const Inputs& inputs) {
    for (size_t o = 1; o < node.outputs.size(); ++o)
      if (!node.outputs[o].empty() && (value.lazy || value.left > 0))
        return refuse(node, "has several outputs over columns that see the window's start");
    if (value.lazy) return define_lazy(node, value);
    // The windows in flight lie on the axis of the batch: nothing else may.
    if (value.kind == Streamed::kSteps && shape(node.outputs[0])[static_cast<size_t>(value.batch)] != lanes_)
      return refuse(node, "has several rows of a batch behind a recurrence");
    keep(&made_.answer, node, inputs.answer);
    if (value.kind == Streamed::kSteps) keep(&follow_, node, inputs.follow);
    keep(&start_, node, inputs.start);
    value.name = value.step = value.first = "";
    for (size_t o = 0; o < node.outputs.size(); ++o) define(node, o, value);
    return true;
  }

  bool elementwise(const Node& node, const std::vector<size_t>& moving) {
    Value all;
    Inputs inputs;
    const int64_t rank = static_cast<int64_t>(shape(node.outputs[0]).size());
    int64_t from_end = -1, batch_from_end = -1;
    for (const size_t i : moving) {
      const Value& v = values_[node.inputs[i]];
      const int64_t own = static_cast<int64_t>(shape(node.inputs[i]).size());
      if (from_end >= 0 && from_end != own - v.axis) return refuse(node, "joins values whose time axes do not meet");
      from_end = own - v.axis;
      if (v.kind == Streamed::kSteps) batch_from_end = own - v.batch;
    }
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i].empty() || std::find(moving.begin(), moving.end(), i) != moving.end()) continue;
      const Shape& own = shape(node.inputs[i]);
      if (static_cast<int64_t>(own.size()) >= from_end && own[own.size() - static_cast<size_t>(from_end)] != 1)
        return refuse(node, "adds something of its own to every place of the window");
    }
    if (!align(node, moving, &all, &inputs)) return false;
    all.axis = rank - from_end;
    if (all.kind == Streamed::kSteps) all.batch = rank - batch_from_end;
    return emit(node, all, inputs);
  }

  bool transpose(const Node& node) {
    Value v = values_[node.inputs[0]];
    const int64_t rank = static_cast<int64_t>(shape(node.inputs[0]).size());
    Shape perm = node.get<Shape>("perm", {});
    if (perm.empty())
      for (int64_t i = rank; i-- > 0;) perm.push_back(i);
    const auto to = [&](int64_t axis) { return std::find(perm.begin(), perm.end(), axis) - perm.begin(); };
    const Inputs inputs = of_first(node, v);
    v.axis = to(v.axis);
    if (v.batch >= 0) v.batch = to(v.batch);
    return emit(node, v, inputs);
  }

  bool reshape(const Node& node) {
    Value v = values_[node.inputs[0]];
    const Shape &from = shape(node.inputs[0]), &to = shape(node.outputs[0]);
    const std::optional<int64_t> axis = kept_axis(from, to, v.axis);
    if (!axis) return refuse(node, "merges time with another axis");
    if (v.lazy) {
      v.axis = *axis;
      return define_lazy(node, v);
    }
    if (v.kind == Streamed::kSteps) {
      // Extents that tell the axes apart.
      constexpr int64_t kTime = 10007, kBatch = 10009;
      const Shape marked = with(with(from, v.axis, kTime), v.batch, kBatch);
      std::optional<int64_t> batch;
      for (size_t b = 0; b < to.size() && !batch; ++b) {
        if (to[b] != lanes_ || static_cast<int64_t>(b) == *axis) continue;
        const Shape there = with(with(to, *axis, kTime), static_cast<int64_t>(b), kBatch);
        if (kept_axis(marked, there, v.batch) == static_cast<int64_t>(b) && kept_axis(marked, there, v.axis) == *axis)
          batch = static_cast<int64_t>(b);
      }
      if (!batch) return refuse(node, "merges the windows in flight with another axis");
      v.batch = *batch;
      Node step = node;
      step.op = "Reshape", step.attributes = {};
      made_.shaped.push_back({follow_.nodes.size(), with(to, *axis, 1), static_cast<size_t>(v.batch)});
      step.inputs = {v.step, ""};
      follow_.nodes.push_back(std::move(step));
    }
    Node block = node;
    block.op = "Reshape", block.attributes = {};
    block.inputs = {v.name, add_constant(node.outputs[0], integers(with(to, *axis, 1 + v.right)))};
    Node firsts = block;
    firsts.inputs = {v.first, add_constant(node.outputs[0], integers(with(to, *axis, v.firsts)))};
    made_.answer.nodes.push_back(std::move(block));
    start_.nodes.push_back(std::move(firsts));
    v.axis = *axis, v.name = v.step = v.first = "";
    define(node, 0, v);
    return true;
  }

  bool concat(const Node& node, const std::vector<size_t>& moving) {
    const int64_t rank = static_cast<int64_t>(shape(node.outputs[0]).size());
    int64_t axis = node.get<int64_t>("axis", 0);
    if (axis < 0) axis += rank;
    const Value& first = values_[node.inputs[moving[0]]];
    for (const size_t i : moving)
      if (values_[node.inputs[i]].axis != first.axis) return refuse(node, "joins values whose time axes do not meet");
    if (axis == first.axis || moving.size() != node.inputs.size()) return refuse(node, "joins along time");
    Value all;
    all.axis = first.axis, all.batch = first.batch;
    Inputs inputs;
    if (!align(node, moving, &all, &inputs)) return false;
    if (all.kind == Streamed::kSteps)
      for (const size_t i : moving)
        if (values_[node.inputs[i]].kind != Streamed::kSteps) return refuse(node, "joins steps with columns");
    return emit(node, all, inputs);
  }

  bool slice_node(const Node& node) {
    Value v = values_[node.inputs[0]];
    const int64_t rank = static_cast<int64_t>(shape(node.inputs[0]).size());
    const auto starts = numbers(node.input(1)), ends = numbers(node.input(2)), steps = numbers(node.input(4));
    auto axes = numbers(node.input(3));
    if (!starts || !ends || (!node.input(3).empty() && !axes) || (!node.input(4).empty() && !steps))
      return refuse(node, "takes a part that is not known before the run");
    if (!axes) {
      axes.emplace();
      for (size_t i = 0; i < starts->size(); ++i) axes->push_back(static_cast<int64_t>(i));
    }
    for (size_t i = 0; i < axes->size(); ++i) {
      const int64_t axis = (*axes)[i] < 0 ? (*axes)[i] + rank : (*axes)[i];
      if (axis != v.axis) continue;
      if (axes->size() != 1 || (steps && (*steps)[i] != 1)) return refuse(node, "takes a part of the window in steps");
      const auto place = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + v.length : at, 0, v.length); };
      return part(node, v, place((*starts)[i]), place((*ends)[i]));
    }
    return emit(node, v, of_first(node, v));
  }

  // Columns begin to end - 1.
  bool part(const Node& node, Value v, int64_t begin, int64_t end) {
    if (begin >= end) return refuse(node, "takes an empty part of the window");
    if (v.kind == Streamed::kSteps && !(end == v.length && begin == end - 1))
      return refuse(node, "takes more than the last step of a recurrence");
    const int64_t cut = v.length - end;
    Value made = v;
    if (v.kind == Streamed::kColumns && (v.lazy || begin < v.left) && begin == end - 1) {
      const std::string from = columns_at(&made_.answer, node.inputs[0], {v.axis, begin, 1, 1});
      return !from.empty() && alias(node, plain_value(Streamed::kTail), from);
    }
    if (v.lazy) {
      made.length = end - begin, made.late = std::clamp<int64_t>(v.late - begin, 0, made.length);
      return define_lazy(node, made);
    }
    made.length = end - begin, made.left = std::max<int64_t>(0, v.left - begin),
    made.right = std::max<int64_t>(0, v.right - cut);
    made.firsts = std::clamp<int64_t>(v.firsts - begin, 0, made.length);
    made.first = slice(&start_, v.first, v.axis, begin, begin + made.firsts);
    if (v.kind == Streamed::kSteps) {  // the last of 1 + right
      const std::string last = slice(&made_.answer, v.name, v.axis, v.right, v.right + 1);
      return alias(node, made, last);
    }
    if (begin == end - 1) {  // one place: a kept column, or one of the right edge
      const int64_t at = begin - (v.length - v.right - 1), back = std::max<int64_t>(0, -at);
      const std::string from = lengthened(node.inputs[0], back);
      return alias(node, made,
                   slice(&made_.answer, from, v.axis, std::max<int64_t>(at, 0), std::max<int64_t>(at, 0) + 1));
    }
    if (v.right >= cut) return alias(node, made, slice(&made_.answer, v.name, v.axis, 0, 1 + v.right - cut));
    const std::string from = lengthened(node.inputs[0], cut - v.right);
    return alias(node, made, slice(&made_.answer, from, v.axis, 0, 1));
  }

  bool alias(const Node& node, Value made, const std::string& name) {
    made_.answer.nodes.push_back({node.name, "", "Identity", {name}, {node.outputs[0]}, {}});
    made.name = made.step = "";
    define(node, 0, made);
    return true;
  }

  bool gather_node(const Node& node) {
    Value v = values_[node.inputs[0]];
    const int64_t rank = static_cast<int64_t>(shape(node.inputs[0]).size());
    int64_t axis = node.get<int64_t>("axis", 0);
    if (axis < 0) axis += rank;
    const auto index = numbers(node.input(1));
    if (index && axis != v.axis) {  // of each row the same places
      if (axis == v.batch) return refuse(node, "takes places of the axis of the windows in flight");
      const int64_t more = static_cast<int64_t>(shape(node.inputs[1]).size()) - 1;
      const Inputs inputs = of_first(node, v);
      if (axis < v.axis) v.axis += more;
      if (axis < v.batch) v.batch += more;
      return emit(node, v, inputs);
    }
    if (!index || index->size() != 1) return refuse(node, "takes several places of the window, or unknown ones");
    const int64_t at = (*index)[0] < 0 ? (*index)[0] + v.length : (*index)[0];
    Node cut = node;
    cut.outputs = {node.outputs[0] + "/column"};
    if (!part(cut, v, at, at + 1)) return false;
    made_.lines.pop_back();
    Node taken = node;
    taken.inputs = {cut.outputs[0], add_constant(node.outputs[0], index_zero(node.input(1)))};
    made_.answer.nodes.push_back(std::move(taken));
    define(node, 0, plain_value(Streamed::kTail));
    return true;
  }

  // Rows of a table, by the numbers that columns hold.
  bool look_up(const Node& node) {
    const Value& v = values_[node.inputs[1]];
    if (node.get<int64_t>("axis", 0) != 0 || constant(node.inputs[0]) == nullptr)
      return refuse(node, "takes other places than rows of a table");
    Inputs inputs{node.inputs, node.inputs, node.inputs};
    inputs.answer[1] = v.name, inputs.follow[1] = v.step, inputs.start[1] = v.first;
    return emit(node, v, inputs);
  }

  // 0 in the type and shape of an index.
  Tensor index_zero(const std::string& name) const {
    const Tensor& index = *constant(name);
    Tensor zero(index.type(), index.shape());
    std::fill(zero.bytes(), zero.bytes() + zero.byte_count(), std::byte{0});
    return zero;
  }

  bool window(const Node& node, const std::vector<size_t>& moving) {
    if (moving.size() != 1 || moving[0] != 0 || node.outputs.size() > 1) return refuse(node, "is no plain window");
    Value v = values_[node.inputs[0]];
    if (v.kind != Streamed::kColumns) return refuse(node, "slides over steps of a recurrence");
    if (v.axis < 2) return refuse(node, "takes time for channels or the batch");
    const Shape& x = shape(node.inputs[0]);
    const Shape kernel = node.is("Conv") ? Shape(shape(node.inputs[1]).begin() + 2, shape(node.inputs[1]).end())
                                         : node.get<Shape>("kernel_shape", {});
    const Result<Window> found = sliding_window(node, Shape(x.begin() + 2, x.end()), kernel);
    if (!found.ok() || node.get<int64_t>("ceil_mode", 0) != 0) return refuse(node, "is no plain window");
    const Window& w = found.value();
    const size_t t = static_cast<size_t>(v.axis) - 2;
    const int64_t reach = (w.kernel[t] - 1) * w.dilation[t], stride = w.stride[t], before = w.pads_begin[t];
    const int64_t length = (v.length + before + w.pads_end[t] - reach - 1) / stride + 1;
    // The newest column that is kept, and how many columns of the input lie behind the newest that it sees.
    const int64_t sees = v.length - 1 - v.right - reach + before, newest = sees / stride, rest = sees % stride,
                  left = (v.left + before + stride - 1) / stride;
    if (length <= 0) return refuse(node, "reaches over more than the whole window");
    if (v.lazy || v.firsts + before - reach <= 0 || sees < 0 || newest < left) {
      v.late = std::clamp<int64_t>((late_of(v) - reach + before + stride - 1) / stride, 0, length);
      v.length = length, v.every *= stride;
      return define_lazy(node, v);
    }
    Node own = node;
    Shape pads = w.pads_begin;
    pads[t] = 0;
    pads.insert(pads.end(), w.pads_end.begin(), w.pads_end.end());
    own.attributes["pads"] = pads;
    own.attributes["auto_pad"] = std::string("NOTSET");
    if (const int64_t taps = first_taps(node, w, reach + rest, length - newest); taps > 0) {
      begin_window(node, own, w, reach + rest, length - newest, taps);
    } else {
      own.inputs[0] = lengthened(node.inputs[0], reach + rest);
      put(&made_.answer, node, own);
    }
    pads = own.get<Shape>("pads", {});
    pads[t] = w.pads_begin[t], pads[t + w.kernel.size()] = 0;
    own.attributes["pads"] = pads;
    own.inputs[0] = v.first;
    put(&start_, node, std::move(own));
    v.firsts = (v.firsts + before - reach - 1) / stride + 1, v.length = length;
    v.left = left, v.right = length - 1 - newest, v.every *= stride;
    v.name = v.step = v.first = "";
    define(node, 0, v);
    return true;
  }

  // How many taps of a convolution see kept columns alone in all of the newest `columns` columns that it makes of those
  // of its input from `back` kept ones on. 0: it cannot begin with them, or that saves too little.
  int64_t first_taps(const Node& node, const Window& w, int64_t back, int64_t columns) const {
    if (!begin_ || !node.is("Conv")) return 0;
    const Value& x = values_.at(node.inputs[0]);
    const bool known =
        constant(node.inputs[1]) != nullptr && (node.input(2).empty() || constant(node.input(2)) != nullptr);
    if (!known || type(node.inputs[0]).type != Type::kFloat32 || w.kernel.size() > 2) return 0;
    const size_t t = static_cast<size_t>(x.axis) - 2;
    const Shape& weights = shape(node.inputs[1]);
    // Sums have to go through the first taps first, and those of a kernel row may go as one run (lower_conv.cc).
    const bool in_row = t + 1 == w.kernel.size(), apart = weights[1] % kernels::kChainsRound == 0 ||
                                                          w.dilation[t] > 1 || node.get<int64_t>("taps_apart", 0) != 0;
    if (in_row && (!apart || (t == 1 && w.kernel[0] > 1))) return 0;
    const int64_t seen = back - (columns - 1) * w.stride[t];
    const int64_t taps = std::min(w.kernel[t] - 1, (seen + w.dilation[t] - 1) / w.dilation[t]);
    if (seen <= 0 || taps < 1) return 0;
    const Shape made = with(shape(node.outputs[0]), x.axis, columns);
    return checked_count(made).value() * macs_of(node, taps) >= kBegunMin ? taps : 0;
  }

  // Cuts such a convolution behind so many taps; `own` is it for the newest columns.
  void begin_window(const Node& node, const Node& own, const Window& w, int64_t back, int64_t columns, int64_t taps) {
    const std::string &x = node.inputs[0], &y = node.outputs[0], sums = y + "/begun";
    const Value& v = values_[x];
    const size_t t = static_cast<size_t>(v.axis) - 2;
    const int64_t groups = node.get<int64_t>("group", 1), size = kernels::begun_size(shape(y)[1] / groups),
                  reads = (taps - 1) * w.dilation[t] + (columns - 1) * w.stride[t] + 1;
    Node begin = own, end = own;
    begin.op = "ConvBegin", end.op = "ConvEnd";
    Shape pads = own.get<Shape>("pads", {});
    pads[t + w.kernel.size()] = 0;
    begin.attributes["pads"] = pads, begin.attributes["size"] = size;
    for (Node* each : {&begin, &end})
      each->domain = "hayate", each->attributes["axis"] = v.axis, each->attributes["taps"] = taps;

    begin.inputs[0] = columns_at(&begun_, x, {v.axis, v.length - v.right - 1 - back, 1, reads});
    begin.outputs = {sums};
    put(&begun_, node, std::move(begin));
    add_output(&begun_, sums, Type::kFloat32);

    Shape made = with(shape(y), v.axis, columns);
    made_.begun += checked_count(made).value() * macs_of(node, taps);
    made[1] = groups, made.push_back(size);
    add_input(&made_.answer, sums, Type::kFloat32, made);
    end.inputs = {lengthened(x, back - taps * w.dilation[t]), node.inputs[1], sums, node.input(2)};
    put(&made_.answer, node, std::move(end));
    taps_[y] = {taps, w.kernel[t]};
  }
  // Multiply-adds of one place of what a convolution makes, over so many taps along time.
  int64_t macs_of(const Node& node, int64_t taps) const {
    const Shape& weights = shape(node.inputs[1]);
    return checked_count(with(weights, values_.at(node.inputs[0]).axis, taps)).value() / weights[0];
  }

  bool dense(const Node& node, const std::vector<size_t>& moving) {
    const Value& v = values_[node.inputs[0]];
    if (moving.size() != 1 || moving[0] != 0) return refuse(node, "multiplies values of the window with each other");
    const int64_t rank = static_cast<int64_t>(shape(node.inputs[0]).size());
    if (v.axis == rank - 1 || v.batch == rank - 1 || node.get<int64_t>("transA", 0) != 0)
      return refuse(node, "sums over time");
    if (node.is("MatMul") && shape(node.inputs[1]).size() > 2)
      return refuse(node, "multiplies with matrices of its own for places of the window");
    if (node.is("Gemm") && !node.input(2).empty()) {
      const Shape& bias = shape(node.inputs[2]);
      if (bias.size() == 2 && bias[0] != 1)
        return refuse(node, "adds something of its own to every place of the window");
    }
    return emit(node, v, of_first(node, v));
  }

  bool last_axes(const Node& node) {
    const Value& v = values_[node.inputs[0]];
    const int64_t rank = static_cast<int64_t>(shape(node.inputs[0]).size());
    const bool softmax = node.is("Softmax") || node.is("LogSoftmax"), old = graph_.opset_of(node) < 13;
    int64_t axis = node.get<int64_t>("axis", softmax && old ? 1 : -1);
    if (axis < 0) axis += rank;
    const bool alone = softmax && !old;  // over this axis, not those behind it too
    if (alone ? axis == v.axis : axis <= v.axis) return refuse(node, "normalises over time");
    if (v.kind == Streamed::kSteps && (alone ? axis == v.batch : axis <= v.batch))
      return refuse(node, "normalises over the axis of the windows in flight");
    if (softmax && old && axis != rank - 1) return refuse(node, "normalises over several axes");
    return emit(node, v, of_first(node, v));
  }

  static bool is_reshape(const Node& node) {
    return node.is("Reshape") || node.is("Squeeze") || node.is("Unsqueeze") || node.is("Flatten") ||
           node.is("Identity");
  }
  static bool is_own(const Node& node, std::string_view op) { return node.domain == "hayate" && node.op == op; }

  bool recurrent(const Node& node) {
    const std::string& x = node.inputs[0];
    Value v = values_[x];
    const bool split = is_own(node, "RecurrentSteps");
    if (v.lazy) return refuse(node, "steps over columns none of which is kept");
    if (!split && quantiser_of(x) != nullptr) return refuse(node, "steps over integers as a layer that is not split");
    if (node.get<std::string>("direction", "forward") != "forward") return refuse(node, "reads the window backwards");
    if (node.get<int64_t>("layout", 0) != 0 || v.axis != 0)
      return refuse(node, "has time on another axis than the first");
    if (v.every != 1 && v.left > 0)
      return refuse(node, "steps over columns that lie several rows apart and see the zeros before the window");
    if (!split && !node.input(4).empty()) return refuse(node, "has lengths of its own");
    const bool lstm = split ? node.get<int64_t>("gates", 4) == 4 : node.is("LSTM");
    const size_t h_at = split ? 3 : 5;
    if (type(x).type != Type::kFloat32) return refuse(node, "is not of float32");
    if (shape(x)[1] != lanes_ || (v.kind == Streamed::kSteps && v.batch != 1))
      return refuse(node, "runs several rows of a batch");
    const int64_t flight = v.length - v.left - v.right - 1;
    if (flight > kFlightMax) return refuse(node, "would keep thousands of windows in flight");
    if (!made_.states.empty() && (made_.in_flight != flight || left_ != v.left || made_.every != v.every))
      return refuse(node, "runs beside a recurrence of another length");
    // With no window in flight there is none whose first steps `start` could have run.
    if (flight < (v.left > 0 ? 1 : 0) || v.firsts < v.left)
      return refuse(node, "has no column of its window that is kept");
    for (size_t at = h_at; at < h_at + (lstm ? 2 : 1); ++at)
      if (!node.input(at).empty() &&
          (constant(node.input(at)) == nullptr ||
           constant(node.input(at))->count() != lanes_ * shape(node.inputs[split ? 1 : 2])[2]))
        return refuse(node, "starts from a state that is not constant");
    made_.in_flight = flight, made_.every = v.every, left_ = v.left;
    if (v.kind == Streamed::kColumns) spare_ = std::min(spare_, v.firsts - v.left);
    const int64_t hidden = shape(node.inputs[split ? 1 : 2])[2];
    Node answer = node, follow = node, first = node;
    const size_t wide = split ? 6 : lstm ? 8 : 6;
    answer.inputs.resize(wide), follow.inputs.resize(wide), follow.outputs.resize(lstm ? 3 : 2);
    first.outputs.resize(lstm ? 3 : 2);
    first.inputs[0] = v.firsts == v.left ? v.first : slice(&start_, v.first, 0, 0, v.left);
    answer.inputs[0] = v.name;
    if (v.kind == Streamed::kColumns) {
      made_.shaped.push_back({follow_.nodes.size(), with(shape(x), 0, 1), 1});
      const std::string from = column(x);
      follow.inputs[0] = add_node(&follow_, "Expand", {from, ""}, x);
    } else {
      follow.inputs[0] = v.step;
    }
    for (const size_t at : lstm ? std::vector<size_t>{h_at, h_at + 1} : std::vector<size_t>{h_at}) {
      Incremental::State state;
      state.node = node.where(), state.hidden = hidden;
      state.input =
          fmt::format("{}/state_{}", node.outputs[0].empty() ? node.name : node.outputs[0], made_.states.size());
      state.output = state.input + "/next", state.start = state.input + "/start";
      state.initial.assign(static_cast<size_t>(hidden), 0.0f);
      if (!node.input(at).empty()) {
        const Tensor* given = constant(node.input(at));
        std::copy(given->data<float>(), given->data<float>() + hidden, state.initial.begin());
      }
      follow.inputs[at] = state.input;
      follow.outputs[at == h_at ? 1 : 2] = state.output;
      first.outputs[at == h_at ? 1 : 2] = state.start;
      start_.outputs.push_back({state.start, Type::kFloat32, false, {}});
      const bool prepared = split && flight > 0 && at == h_at;
      if (prepared) answer.inputs[5] = prepare(node, state.input, hidden);
      answer.inputs[at] = prepared && lstm ? "" : state.input;
      if (!answer.inputs[at].empty()) add_input(&made_.answer, state.input, Type::kFloat32, {1, lanes_, hidden});
      made_.states.push_back(state);
    }
    put(&made_.answer, node, answer), put(&follow_, node, follow), put(&start_, node, first);
    Value y = v;
    y.kind = Streamed::kSteps, y.axis = 0, y.batch = 2, y.name = y.step = y.first = "", y.firsts = v.left;
    if (!node.outputs[0].empty()) define(node, 0, y);
    for (size_t o = 1; o < node.outputs.size(); ++o) define(node, o, plain_value(Streamed::kTail));
    return true;
  }

  // By constants: one for all, or one for each place of another axis than time.
  bool quantiser(const Node& node) {
    const Value v = values_[node.inputs[0]];
    const int64_t rank = static_cast<int64_t>(shape(node.inputs[0]).size());
    int64_t axis = node.get<int64_t>("axis", 1);
    if (axis < 0) axis += rank;
    if (shape(node.inputs[1]).size() > 1 || node.get<int64_t>("block_size", 0) != 0)
      return refuse(node, "has scales of its own for places of the window");
    if (type(node.inputs[1]).shape != Shape{} && shape(node.inputs[1])[0] != 1 && (axis == v.axis || axis == v.batch))
      return refuse(node, "has scales of its own for places of the window");
    return emit(node, v, of_first(node, v));
  }

  // Of each row by itself, or of the steps of a recurrence over time.
  bool reduction(const Node& node) {
    Value v = values_[node.inputs[0]];
    const Shape& x = shape(node.inputs[0]);
    const auto marks = reduced_axes(node, static_cast<int64_t>(x.size()), axes_of(node));
    if (!marks.ok()) return refuse(node, "has axes that are not known before the run");
    const auto reduces = [&](int64_t axis) { return axis >= 0 && marks.value()[static_cast<size_t>(axis)]; };
    if (reduces(v.axis))
      return v.kind == Streamed::kSteps ? reduction_over_steps(node) : refuse(node, "reduces over time");
    if (reduces(v.batch)) return refuse(node, "reduces over the axis of the windows in flight");
    // Kernels add up what lies side by side in another order than what has other axes behind it, of which time, the
    // windows in flight and the rows of several streams are more in one part than in another.
    const bool exact = node.is("ReduceMax") || node.is("ReduceMin");
    bool adds = false;
    for (size_t axis = 0; axis < x.size() && !exact; ++axis) {
      adds = adds || (marks.value()[axis] && x[axis] != 1);
      if (adds && !marks.value()[axis]) return refuse(node, "adds up an axis with others behind it");
    }
    const Inputs inputs = of_first(node, v);
    if (node.get<int64_t>("keepdims", 1) == 0) {
      const auto behind = [&](int64_t axis) {
        return std::count(marks.value().begin(), marks.value().begin() + axis, true);
      };
      const int64_t batch = v.batch < 0 ? v.batch : v.batch - behind(v.batch);
      v.axis -= behind(v.axis), v.batch = batch;
    }
    return emit(node, v, inputs);
  }

  // Mean, sum or extreme over all steps: each window in flight carries it on as one more state, one after another.
  bool reduction_over_steps(const Node& node) {
    const Value v = values_[node.inputs[0]];
    const Shape& x = shape(node.inputs[0]);
    const bool mean = node.is("ReduceMean");
    if (!mean && !node.is("ReduceSum") && !node.is("ReduceMax") && !node.is("ReduceMin"))
      return refuse(node, "is no mean, sum or extreme over the steps of a recurrence");
    const auto marks = reduced_axes(node, static_cast<int64_t>(x.size()), axes_of(node));
    if (!marks.ok()) return refuse(node, "has axes that are not known before the run");
    for (size_t i = 0; i < x.size(); ++i)
      if (marks.value()[i] != (static_cast<int64_t>(i) == v.axis))
        return refuse(node, "reduces steps of a recurrence over other axes than time");
    if (type(node.inputs[0]).type != Type::kFloat32 || v.right != 0 || v.firsts != v.left)
      return refuse(node, "reduces steps that are not as old as their windows");
    int64_t size = 1;  // of one step of one window, which has to lie in one piece
    for (size_t i = 0; i < x.size(); ++i) {
      if (static_cast<int64_t>(i) == v.axis || static_cast<int64_t>(i) == v.batch) continue;
      if (static_cast<int64_t>(i) < v.batch && x[i] != 1) return refuse(node, "has the batch behind other axes");
      size *= x[i];
    }
    const float infinite = std::numeric_limits<float>::infinity();
    const float none = node.is("ReduceMax") ? -infinite : node.is("ReduceMin") ? infinite : 0.0f;
    const std::string join = node.is("ReduceMax") ? "Max" : node.is("ReduceMin") ? "Min" : "Add", &y = node.outputs[0];
    Incremental::State state;
    state.node = node.where(), state.hidden = size;
    state.input = fmt::format("{}/state_{}", y, made_.states.size());
    state.output = state.input + "/next", state.start = state.input + "/start";
    state.initial.assign(static_cast<size_t>(size), none);
    made_.shaped.push_back({follow_.nodes.size(), {1, 1, size}, 1});
    const std::string step = add_node(&follow_, "Reshape", {v.step, ""}, y);
    follow_.nodes.push_back({node.name, "", join, {state.input, step}, {state.output}, {}});
    if (v.left > 0) {
      Node first = node;
      first.inputs[0] = v.first, first.outputs[0] = fmt::format("{}/stream_{}", y, count_++);
      const std::string sum = first.outputs[0];
      if (mean) {  // of these steps the sum is carried on; axes were an attribute of ReduceSum up to opset 12
        first.op = "ReduceSum";
        if (node.input(1).empty()) first.opset = 11;
      }
      start_.nodes.push_back(std::move(first));
      start_.nodes.push_back(
          {node.name, "", "Reshape", {sum, add_constant(y, integers({1, lanes_, size}))}, {state.start}, {}});
    }
    start_.outputs.push_back({state.start, Type::kFloat32, false, {}});
    const std::string to = add_constant(y, integers(shape(y)));
    add_input(&made_.answer, state.input, Type::kFloat32, {1, lanes_, size});
    const std::string before = add_node(&made_.answer, "Reshape", {state.input, to}, y),
                      last = add_node(&made_.answer, "Reshape", {v.name, to}, y);
    Node all{node.name, "", join, {before, last}, {y}, {}};
    if (mean) {
      const std::string sum = add_node(&made_.answer, join, {before, last}, y);
      const std::string steps = add_constant(y, number(static_cast<float>(v.length)));
      all = {node.name, "", "Div", {sum, steps}, {y}, {{"apart", int64_t{1}}}};
    }
    made_.answer.nodes.push_back(std::move(all));
    made_.states.push_back(std::move(state));
    int64_t inner = 1;
    for (size_t i = static_cast<size_t>(v.axis) + 1; i < x.size(); ++i) inner *= x[i];
    if (mean || node.is("ReduceSum"))
      made_.sums = true, made_.reorders = made_.reorders || inner == 1 || v.length > kernels::kSumBlock;
    define(node, 0, plain_value(Streamed::kTail));
    return true;
  }

  // As a node says them; none: what reduced_axes makes of that.
  std::optional<Shape> axes_of(const Node& node) const {
    if (!node.input(1).empty()) return numbers(node.input(1));
    if (node.attributes.contains("axes")) return node.get<Shape>("axes", {});
    return std::nullopt;
  }
  static Tensor number(float value) { return Tensor::of<float>({1}, {value}); }

  // The product of the recurrent weights with state h, made before the row comes: an input of `answer`.
  std::string prepare(const Node& node, const std::string& h, int64_t hidden) {
    const std::string name = h + "/product";
    const Attributes gates{{"gates", node.get<int64_t>("gates", 4)}};
    add_input(&prepare_, h, Type::kFloat32, {1, lanes_, hidden});
    prepare_.nodes.push_back({node.name + " (of its state)",
                              "hayate",
                              "RecurrentProduct",
                              {h, node.inputs[1], node.inputs[2]},
                              {name},
                              gates});
    prepare_.outputs.push_back({name, Type::kFloat32, false, {}});
    add_input(&made_.answer, name, Type::kFloat32, {1, lanes_, shape(node.inputs[1])[1]});
    return name;
  }

  int64_t spare_ = INT64_MAX, left_ = 0;
  Graph start_;
  const Graph& graph_;
  const Facts& facts_;
  int64_t time_, rows_, lanes_;
  bool begin_;
  Incremental made_;
  Graph follow_, prepare_, ahead_, begun_;
  std::map<std::string, Value> values_;
  std::map<std::pair<std::string, int64_t>, std::string> lengthened_;
  std::map<std::tuple<Graph*, std::string, int64_t>, std::string> pasts_;
  std::map<std::string, int64_t> deepest_;
  std::map<std::string, const Node*> makers_;                // of values of columns
  std::map<std::pair<std::string, bool>, Edge> edges_;       // of values; whether in `ahead`
  std::map<std::string, Places> wanted_;                     // of those, what will have to be made
  std::map<std::string, std::pair<int64_t, int64_t>> taps_;  // of values whose convolution begins: as Line has them
  int64_t position_ = 0;
  int count_ = 0;
};

}  // namespace

const char* kind_name(Streamed::Kind kind) {
  constexpr const char* kNames[] = {"static", "columns", "steps", "tail"};
  return kNames[kind];
}

Result<Incremental> make_incremental(const Graph& graph, const Facts& facts, int64_t time, bool begin, int64_t lanes) {
  if (graph.inputs.size() != 1)
    return Error{Code::kUnsupported, graph.source,
                 fmt::format("takes {} inputs; a stream takes one, whose rows arrive (bind others with --set)",
                             graph.inputs.size())};
  const int64_t window = facts.find(graph.inputs[0].name)->second.type.shape[static_cast<size_t>(time)];
  Cutter all(graph, facts, time, begin, window, lanes, {});
  Incremental made = all.run();
  std::set<std::string> kept;
  for (const Incremental::History& each : made.histories) kept.insert(each.value);
  if (!made.start && kept.size() == made.histories.size()) return made;
  // Once more, for a start of as few rows as do and one history of each value.
  return Cutter(graph, facts, time, begin, made.start ? window - all.spare_rows() : window, lanes, all.depths()).run();
}

Graph Incremental::follow_of(int64_t windows) const {
  Graph made = *follow;
  for (size_t i = 0; i < shaped.size(); ++i) {
    Shape to = shaped[i].to;
    to[shaped[i].axis] = windows;
    const std::string name = fmt::format("stream_windows_{}", i);
    made.constants.emplace(name, integers(to));
    made.nodes[shaped[i].node].inputs[1] = name;
  }
  for (const State& state : states) {
    ValueInfo input{state.input, Type::kFloat32, true, {}};
    for (const int64_t extent : {int64_t{1}, windows, state.hidden}) input.dims.push_back({extent, ""});
    made.inputs.push_back(input);
    made.outputs.push_back({state.output, Type::kFloat32, false, {}});
  }
  return made;
}

}  // namespace hayate
