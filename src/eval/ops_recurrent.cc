#include <algorithm>

#include "eval/kernel.h"
#include "kernels/reference/loops.h"

namespace hayate {
namespace {

namespace ref = kernels::reference;

// Runs each direction of the layer with `cell`, which takes `gates` rows of weights per hidden unit.
Result<bool> recurrent(const KernelContext& c, int64_t gates, void (*cell)(const ref::Recurrent&)) {
  const Tensor &x = *c.inputs[0], &w = *c.inputs[1], &r = *c.inputs[2];
  const std::string direction = c.node.get<std::string>("direction", "forward");
  const int64_t directions = w.shape()[0], batch = x.shape()[1], hidden = r.shape()[2], in = x.shape()[2];
  const auto names = c.node.get<std::vector<std::string>>("activations", {});
  Tensor unwanted_h(Type::kFloat32, {directions, batch, hidden}),
      unwanted_c = Tensor(Type::kFloat32, {directions, batch, hidden});
  for (int64_t d = 0; d < directions; ++d) {
    // Input i of this direction; `stride` floats lie between directions.
    const auto part = [&](size_t i, int64_t stride) {
      return c.input(i) == nullptr ? nullptr : c.input(i)->data<float>() + d * stride;
    };
    ref::Recurrent a;
    a.steps = x.shape()[0], a.batch = batch, a.in = in, a.hidden = hidden;
    a.reverse = d == 1 || direction == "reverse";
    a.linear_before_reset = c.node.get<int64_t>("linear_before_reset", 0) != 0;
    a.input_forget = c.node.get<int64_t>("input_forget", 0) != 0;
    a.clip = static_cast<double>(c.node.get<float>("clip", 0));
    const size_t per_direction = gates == 4 ? 3 : gates == 3 ? 2 : 1;
    if (gates == 1) a.activations[0] = ref::Gate::kTanh;
    for (size_t i = 0; i < per_direction && !names.empty(); ++i) {
      const std::string& name = names[d * per_direction + i];
      a.activations[i] = name == "Sigmoid" ? ref::Gate::kSigmoid : name == "Tanh" ? ref::Gate::kTanh : ref::Gate::kRelu;
    }
    a.x = x.data<float>(), a.w = part(1, gates * hidden * in), a.r = part(2, gates * hidden * hidden),
    a.bias = part(3, 2 * gates * hidden);
    a.lens = c.input(4) == nullptr ? nullptr : c.input(4)->data<int32_t>();
    a.h0 = part(5, batch * hidden), a.c0 = part(6, batch * hidden), a.peephole = part(7, 3 * hidden);
    if (c.output(0) != nullptr) a.y = c.output(0)->data<float>() + d * batch * hidden;
    a.y_step = directions * batch * hidden, a.y_row = hidden;
    a.h = (c.output(1) != nullptr ? c.output(1)->data<float>() : unwanted_h.data<float>()) + d * batch * hidden;
    a.c = (c.output(2) != nullptr ? c.output(2)->data<float>() : unwanted_c.data<float>()) + d * batch * hidden;
    cell(a);
  }
  return true;
}

}  // namespace

void add_recurrent_kernels(std::vector<KernelEntry>* table) {
  table->push_back({"", "LSTM", [](const KernelContext& c) { return recurrent(c, 4, ref::lstm); }});
  table->push_back({"", "GRU", [](const KernelContext& c) { return recurrent(c, 3, ref::gru); }});
  table->push_back({"", "RNN", [](const KernelContext& c) { return recurrent(c, 1, ref::rnn); }});
}

}  // namespace hayate
