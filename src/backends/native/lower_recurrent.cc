// LSTM, GRU and RNN: the projections of all steps as one dense layer, then a step that walks them.
#include <algorithm>
#include <cctype>

#include "backends/native/lower_ops.h"

namespace hayate::native {
namespace {

using kernels::Activation;
using kernels::Unary;

// The names of the activations in lower case; those of the standard where none are given.
std::vector<std::string> function_names(const Node& node, int64_t directions) {
  auto names = node.get<std::vector<std::string>>("activations", {});
  if (names.empty())
    for (int64_t d = 0; d < directions; ++d) {
      if (node.op == "LSTM") names.insert(names.end(), {"sigmoid", "tanh", "tanh"});
      if (node.op == "GRU") names.insert(names.end(), {"sigmoid", "tanh"});
      if (node.op == "RNN") names.emplace_back("tanh");
    }
  for (std::string& name : names)
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return names;
}

std::optional<Unary> simple_function(const std::string& name) {
  if (name == "tanh") return Unary::kTanh;
  if (name == "relu") return Unary::kRelu;
  if (name == "sigmoid") return Unary::kSigmoid;
  return std::nullopt;
}

bool has_fast_form(const Node& node, int64_t directions) {
  if (!node.input(4).empty() || !node.input(7).empty() || node.get<float>("clip", 0) != 0 ||
      node.get<int64_t>("input_forget", 0) != 0)
    return false;
  const std::vector<std::string> names = function_names(node, directions);
  if (node.op != "RNN") return names == function_names(Node{"", "", node.op, {}, {}, {}}, directions);
  return std::all_of(names.begin(), names.end(), [](const std::string& name) { return simple_function(name); });
}

// The biases [D, 2*G*H] (null: zeros) of direction d: what is added to W x, and to R h (a GRU's candidate keeps its own
// inside the reset gate, unless that comes first).
std::pair<std::vector<float>, std::vector<float>> added_to_products(const Tensor* bias, int64_t gates, int64_t hidden,
                                                                    int64_t d = 0, bool reset_first = false) {
  const int64_t width = gates * hidden;
  std::vector<float> on_x(static_cast<size_t>(width), 0.0f), on_h(on_x);
  if (bias == nullptr) return {on_x, on_h};
  const float *wb = bias->data<float>() + d * 2 * width, *rb = wb + width;
  for (int64_t i = 0; i < width; ++i) {
    const bool apart = gates == 3 && !reset_first && i >= 2 * hidden;
    on_x[static_cast<size_t>(i)] = wb[i] + (apart ? 0.0f : rb[i]);
    if (apart) on_h[static_cast<size_t>(i)] = rb[i];
  }
  return {on_x, on_h};
}

// A layer of one or two directions, in the layout [T, N, ...] whatever the file has.
struct Layer {
  Lowering& l;
  const Node& node;
  const Tensor &w, &r;
  const Tensor* bias;
  std::optional<Integers> over_x, over_h;  // weights for all directions
  View x;
  bool batch_first, gru, rnn, reset_first;
  int64_t gates, directions, steps, rows, in, hidden, width;
  View y, c_last;
  RecurrentArgs args;  // of the direction at hand

  Layer(Lowering& lowering, const Node& of)
      : l(lowering),
        node(of),
        w(*l.constant(node.inputs[1])),
        r(*l.constant(node.inputs[2])),
        bias(l.constant(node.input(3))),
        over_x(l.integers_of(of, 1, 1)),
        over_h(over_x ? l.integers_of(of, 2, 1) : std::nullopt),
        x(l.view(over_x ? over_x->x : node.inputs[0])),
        batch_first(node.get<int64_t>("layout", 0) == 1),
        gru(node.op == "GRU"),
        rnn(node.op == "RNN"),
        reset_first(gru && node.get<int64_t>("linear_before_reset", 0) == 0) {
    if (batch_first) x = transposed(x, {1, 0, 2});
    gates = gru ? 3 : rnn ? 1 : 4;
    directions = w.shape()[0], steps = x.shape[0], rows = x.shape[1], in = x.shape[2];
    hidden = r.shape()[2], width = gates * hidden;
  }

  bool backwards(int64_t d) const { return d == 1 || node.get<std::string>("direction", "forward") == "reverse"; }

  // The first state of direction d, [N, H]. One of zeros is left out where it need not be read.
  std::optional<View> first(size_t i, int64_t d, bool needed) const {
    const Tensor* known = l.constant(node.input(i));
    bool zero = node.input(i).empty();
    if (known != nullptr)
      zero = std::all_of(known->data<float>(), known->data<float>() + known->count(), [](float v) { return v == 0; });
    if (zero) {
      if (!needed) return std::nullopt;
      return l.floats(std::vector<float>(static_cast<size_t>(rows * hidden), 0.0f));
    }
    View v = l.view(node.input(i));
    if (batch_first) v = transposed(v, {1, 0, 2});
    v.offset += d * v.strides[0];
    v.shape = {rows, hidden}, v.strides = {v.strides[1], v.strides[2]};
    return l.dense(v);
  }

  // The layer over the state, columns `first` to `first + n` of the gates.
  DenseWeights over_state(const float* rd, int64_t from, int64_t n) const {
    const float* weights = rd + from * hidden;
    // What relu makes has no bound, so that no scale is known for it.
    if (args.activation.op == Unary::kRelu) return l.float_weights(weights, hidden, n, 1, hidden);
    if (!over_h) return l.weights(weights, 1, hidden, n, 1, hidden);
    Integers of_state = *over_h;
    of_state.x_scale = 1 / kStateScale, of_state.x_zero = static_cast<int32_t>(kStateZero);
    of_state.w_scales.erase(of_state.w_scales.begin(), of_state.w_scales.begin() + from);
    return l.weights(weights, 1, hidden, n, 1, hidden, &of_state);
  }

  void emit_direction(int64_t d) {
    const float *wd = w.data<float>() + d * width * in, *rd = r.data<float>() + d * width * hidden;
    const DenseWeights weights_x = l.weights(wd, 1, in, width, 1, in, over_x ? &*over_x : nullptr);
    const auto [on_x, on_h] = added_to_products(bias, gates, hidden, d, reset_first);
    const View bias_x = l.floats(on_x), bias_h = l.floats(on_h);
    const View projections = l.scratch(Type::kFloat32, {steps, rows, width}),
               work = l.scratch(Type::kFloat32, {rows * (width + hidden) + 4});  // h of fewer bits behind the gates
    emit_dense(l, x, weights_x, &bias_x, projections, {});
    args = {};
    args.set = &l.set(), args.gru = gru, args.reverse = backwards(d);
    args.steps = steps, args.rows = rows, args.hidden = hidden, args.y_step = rows * directions * hidden,
    args.y_row = directions * hidden, args.x_step = rows * width, args.x_row = width;
    View own_y = y, own_c = c_last;
    own_y.offset += d * hidden, own_c.offset += d * rows * hidden;
    const std::optional<View> h0 = first(5, d, gru || rnn), c0 = gru || rnn ? std::nullopt : first(6, d, false);
    if (reset_first) {
      const DenseWeights gates_r = over_state(rd, 0, 2 * hidden), candidate_r = over_state(rd, 2 * hidden, hidden);
      args.narrow = gates_r.narrow;
      l.emit(run_gru_reset_first, "gru", args,
             {&own_y, &gates_r.packed, &candidate_r.packed, &projections, &work, &*h0});
      return;
    }
    if (rnn) args.activation.op = *simple_function(function_names(node, directions)[static_cast<size_t>(d)]);
    const DenseWeights weights_r = over_state(rd, 0, width);
    args.narrow = weights_r.narrow;
    if (rnn) {
      l.emit(run_rnn, "rnn", args, {&own_y, &weights_r.packed, nullptr, &projections, &work, &*h0});
      return;
    }
    l.emit(run_recurrent, gru ? "gru" : "lstm", args,
           {&own_y, &weights_r.packed, gru ? &bias_h : nullptr, &projections, &work, h0 ? &*h0 : nullptr,
            c0 ? &*c0 : nullptr, gru ? nullptr : &own_c, nullptr});
  }

  // Defines a state [D, N, H] as the file lays it out.
  void define_state(const std::string& name, const View& state) const {
    l.define(name, batch_first ? transposed(state, {1, 0, 2}) : state);
  }

  void define_outputs() {
    if (!node.outputs[0].empty()) {
      View made = y;
      made.shape = {steps, directions, rows, hidden};
      made.strides = {y.strides[0], y.strides[2], y.strides[1], 1};
      l.define(node.outputs[0], batch_first ? transposed(made, {2, 0, 1, 3}) : made);
    }
    const auto last_of = [&](int64_t d) {  // h after the last step of direction d, [1, N, H]
      View v = y;
      v.offset += (backwards(d) ? 0 : (steps - 1) * y.strides[0]) + d * y.strides[2];
      v.shape = {1, rows, hidden}, v.strides = {hidden, y.strides[1], 1};
      return v;
    };
    if (node.outputs.size() > 1 && !node.outputs[1].empty()) {
      if (directions == 1) {
        define_state(node.outputs[1], last_of(0));
      } else {
        const View h = l.scratch(Type::kFloat32, {directions, rows, hidden});
        for (int64_t d = 0; d < directions; ++d) {
          View part = h;
          part.offset += d * h.strides[0], part.shape[0] = 1;
          l.copy(last_of(d), part);
        }
        define_state(node.outputs[1], h);
      }
    }
    if (node.outputs.size() > 2 && !node.outputs[2].empty()) define_state(node.outputs[2], c_last);
  }
};

// The parts that a stream cuts an LSTM or a GRU (linear_before_reset = 1) into, see graph/rules_recurrent.cc. Kernels,
// packed weights and order of sums are those of the whole layer: so are the bits.
struct Part {
  Lowering& l;
  const Node& node;
  int64_t gates, hidden, width;
  const Tensor* bias;

  Part(Lowering& lowering, const Node& of, const Tensor& weights, size_t bias_at)
      : l(lowering),
        node(of),
        gates(of.get<int64_t>("gates", 4)),
        hidden(weights.shape()[1] / gates),
        width(weights.shape()[1]),
        bias(l.constant(of.input(bias_at))) {}

  View dense_over(const Tensor& weights, const View& x, const Integers* integers,
                  const std::vector<float>& added) const {
    const int64_t in = weights.shape()[2];
    const DenseWeights packed = l.weights(weights.data<float>(), 1, in, width, 1, in, integers);
    const View on = l.floats(added), y = l.make(node.outputs[0]);
    emit_dense(l, x, packed, &on, y, {});
    return y;
  }
};

// Of a layer over a state whose weights, input 1, are integers.
std::optional<Integers> integers_of_state(const Lowering& l, const Node& node) {
  auto scales = l.weight_scales(node, 1, 1);
  if (!scales) return std::nullopt;
  return Integers{"", 1 / kStateScale, static_cast<int32_t>(kStateZero), std::move(*scales)};
}

// Input 1 of a part; null where it, or the biases behind it, are not known before the run.
const Tensor* known_weights(const Lowering& l, const Node& node) {
  return node.input(2).empty() || l.constant(node.input(2)) != nullptr ? l.constant(node.inputs[1]) : nullptr;
}

bool recurrent_input(Lowering& l, const Node& node) {
  const Tensor* w = known_weights(l, node);
  if (w == nullptr) return false;
  const Part part(l, node, *w, 2);
  const std::optional<Integers> integers = l.integers_of(node, 1, 1);
  part.dense_over(*w, l.view(integers ? integers->x : node.inputs[0]), integers ? &*integers : nullptr,
                  added_to_products(part.bias, part.gates, part.hidden).first);
  return true;
}

bool recurrent_product(Lowering& l, const Node& node) {
  const Tensor* r = known_weights(l, node);
  if (r == nullptr) return false;
  const Part part(l, node, *r, 2);
  const std::optional<Integers> integers = integers_of_state(l, node);
  part.dense_over(*r, l.view(node.inputs[0]), integers ? &*integers : nullptr,
                  added_to_products(part.bias, part.gates, part.hidden).second);
  return true;
}

bool recurrent_steps(Lowering& l, const Node& node) {
  const Tensor* r = known_weights(l, node);
  if (r == nullptr) return false;
  const Part part(l, node, *r, 2);
  View x = l.view(node.inputs[0]);
  if (x.strides[2] != 1) x = l.dense(x);
  const bool gru = part.gates == 3;
  const int64_t steps = x.shape[0], rows = x.shape[1], hidden = part.hidden, width = part.width;
  if (steps == 0 || rows == 0) return false;
  const std::optional<Integers> integers = integers_of_state(l, node);
  const DenseWeights weights =
      l.weights(r->data<float>(), 1, hidden, width, 1, hidden, integers ? &*integers : nullptr);
  RecurrentArgs args;
  args.set = &l.set(), args.gru = gru, args.narrow = weights.narrow;
  args.steps = steps, args.rows = rows, args.hidden = hidden, args.y_step = rows * hidden, args.y_row = hidden;
  args.x_step = x.strides[0], args.x_row = x.strides[1];
  const auto given = [&](size_t i) -> std::optional<View> {
    if (node.input(i).empty()) return std::nullopt;
    return l.dense(l.view(node.input(i)));
  };
  const std::optional<View> h0 = given(3), c0 = given(4), product = given(5);
  const View on_h = l.floats(added_to_products(part.bias, part.gates, hidden).second),
             work = l.scratch(Type::kFloat32, {rows * (width + hidden) + 4}),
             y = l.scratch(Type::kFloat32, {steps, 1, rows, hidden}), c = l.scratch(Type::kFloat32, {1, rows, hidden});
  const auto or_null = [](const std::optional<View>& view) { return view ? &*view : nullptr; };
  l.emit(run_recurrent, gru ? "gru" : "lstm", args,
         {&y, &weights.packed, gru ? &on_h : nullptr, &x, &work, or_null(h0), or_null(c0), gru ? nullptr : &c,
          or_null(product)});
  View last = y;
  last.offset += (steps - 1) * y.strides[0];
  last.shape = {1, rows, hidden}, last.strides = {rows * hidden, hidden, 1};
  const View* made[] = {&y, &last, &c};
  for (size_t i = 0; i < node.outputs.size(); ++i)
    if (!node.outputs[i].empty()) l.define(node.outputs[i], *made[i]);
  return true;
}

bool recurrent(Lowering& l, const Node& node) {
  const Tensor *w = l.constant(node.inputs[1]), *r = l.constant(node.inputs[2]);
  if (l.type(node.inputs[0]).type != Type::kFloat32 || w == nullptr || r == nullptr ||
      (!node.input(3).empty() && l.constant(node.input(3)) == nullptr) || !has_fast_form(node, w->shape()[0]))
    return false;
  Layer layer(l, node);
  if (layer.steps == 0 || layer.rows == 0) return false;
  layer.y = l.scratch(Type::kFloat32, {layer.steps, layer.rows, layer.directions, layer.hidden});
  layer.c_last = l.scratch(Type::kFloat32, {layer.directions, layer.rows, layer.hidden});
  for (int64_t d = 0; d < layer.directions; ++d) layer.emit_direction(d);
  layer.define_outputs();
  return true;
}

}  // namespace

void add_recurrent_lowers(LowerTable* table) {
  table->insert({{"LSTM", recurrent},
                 {"GRU", recurrent},
                 {"RNN", recurrent},
                 {"hayate.RecurrentInput", recurrent_input},
                 {"hayate.RecurrentProduct", recurrent_product},
                 {"hayate.RecurrentSteps", recurrent_steps}});
}

}  // namespace hayate::native
