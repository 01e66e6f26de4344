#include <algorithm>

#include "backends/native/lower_ops.h"

namespace hayate::native {
namespace {

bool recurrent(Lowering& l, const Node& node) {
  const bool gru = node.op == "GRU";
  const int64_t gates = gru ? 3 : 4;
  if (l.type(node.inputs[0]).type != Type::kFloat32) return false;
  const Tensor *w = l.constant(node.inputs[1]), *r = l.constant(node.inputs[2]), *bias = l.constant(node.input(3));
  if (w == nullptr || r == nullptr || (!node.input(3).empty() && bias == nullptr)) return false;
  if (!node.input(4).empty() || !node.input(7).empty() || node.attributes.contains("activations") ||
      node.get<float>("clip", 0) != 0 || node.get<int64_t>("input_forget", 0) != 0)
    return false;
  if (gru && node.get<int64_t>("linear_before_reset", 0) == 0) return false;
  const View x = l.view(node.inputs[0]);
  const std::string direction = node.get<std::string>("direction", "forward");
  const int64_t directions = w->shape()[0], steps = x.shape[0], rows = x.shape[1], in = x.shape[2],
                hidden = r->shape()[2], width = gates * hidden;
  if (steps == 0 || rows == 0) return false;
  const std::string y_name = node.outputs[0];
  const View y = l.scratch(Type::kFloat32, {steps, rows, directions, hidden});
  View c_last = l.scratch(Type::kFloat32, {directions, rows, hidden});
  for (int64_t d = 0; d < directions; ++d) {
    const std::string key = node.inputs[1] + "/" + node.inputs[2] + "/d" + std::to_string(d);
    const View packed_w = l.packed(key + "w", w->data<float>() + d * width * in, in, width, 1, in);
    const View packed_r = l.packed(key + "r", r->data<float>() + d * width * hidden, hidden, width, 1, hidden);
    std::vector<float> on_x(static_cast<size_t>(width), 0.0f), on_h(on_x);
    if (bias != nullptr) {
      const float *wb = bias->data<float>() + d * 2 * width, *rb = wb + width;
      for (int64_t i = 0; i < width; ++i) {
        const bool apart = gru && i >= 2 * hidden;  // inside the reset gate
        on_x[static_cast<size_t>(i)] = wb[i] + (apart ? 0.0f : rb[i]);
        if (apart) on_h[static_cast<size_t>(i)] = rb[i];
      }
    }
    const View bias_x = l.floats(key + node.input(3) + "bx", on_x), bias_h = l.floats(key + node.input(3) + "bh", on_h);
    const View projections = l.scratch(Type::kFloat32, {steps, rows, width});
    emit_dense(l, x, packed_w, in, width, &bias_x, projections, {});
    const View sums = l.scratch(Type::kFloat32, {rows, width});
    // A first state of zeros need not be read; the GRU's cell reads it all the same.
    const auto first = [&](size_t i, bool needed) -> std::optional<View> {
      const Tensor* known = l.constant(node.input(i));
      bool zero = node.input(i).empty();
      if (known != nullptr)
        zero = std::all_of(known->data<float>(), known->data<float>() + known->count(), [](float v) { return v == 0; });
      if (zero) {
        if (!needed) return std::nullopt;
        return l.floats("zeros" + std::to_string(rows * hidden),
                        std::vector<float>(static_cast<size_t>(rows * hidden), 0.0f));
      }
      View v = l.dense(l.view(node.input(i)));
      v.offset += d * rows * hidden;
      return v;
    };
    const std::optional<View> h0 = first(5, gru), c0 = gru ? std::nullopt : first(6, false);
    RecurrentArgs args;
    args.set = &l.set(), args.gru = gru, args.reverse = d == 1 || direction == "reverse";
    args.steps = steps, args.rows = rows, args.hidden = hidden, args.y_step = rows * directions * hidden,
    args.y_row = directions * hidden;
    View own_y = y, own_c = c_last;
    own_y.offset += d * hidden, own_c.offset += d * rows * hidden;
    l.emit(run_recurrent, gru ? "gru" : "lstm", args,
           {&own_y, &packed_r, gru ? &bias_h : nullptr, &projections, &sums, h0 ? &*h0 : nullptr, c0 ? &*c0 : nullptr,
            gru ? nullptr : &own_c});
  }
  if (!y_name.empty()) {
    View made = y;
    made.shape = {steps, directions, rows, hidden};
    made.strides = {y.strides[0], y.strides[2], y.strides[1], 1};
    l.define(y_name, made);
  }
  const auto last_of = [&](int64_t d) {  // h after the last step of direction d, [1, N, H]
    View v = y;
    v.offset += (d == 1 || direction == "reverse" ? 0 : (steps - 1) * y.strides[0]) + d * y.strides[2];
    v.shape = {1, rows, hidden}, v.strides = {hidden, y.strides[1], 1};
    return v;
  };
  if (node.outputs.size() > 1 && !node.outputs[1].empty()) {
    if (directions == 1) {
      l.define(node.outputs[1], last_of(0));
    } else {
      const View h = l.make(node.outputs[1]);
      for (int64_t d = 0; d < directions; ++d) {
        View part = h;
        part.offset += d * h.strides[0], part.shape[0] = 1;
        l.copy(last_of(d), part);
      }
    }
  }
  if (node.outputs.size() > 2 && !node.outputs[2].empty()) l.define(node.outputs[2], c_last);
  return true;
}

}  // namespace

void add_recurrent_lowers(LowerTable* table) { table->insert({{"LSTM", recurrent}, {"GRU", recurrent}}); }

}  // namespace hayate::native
