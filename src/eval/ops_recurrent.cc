#include <algorithm>

#include "eval/floats.h"
#include "eval/kernel.h"
#include "kernels/reference/recurrent.h"

namespace hayate {
namespace {

namespace ref = kernels::reference;

size_t functions_of(int64_t gates) { return gates == 4 ? 3 : gates == 3 ? 2 : 1; }

// The functions of all directions. Those that have parameters take theirs from the lists in turn, and their own where a
// list has ended.
std::vector<ref::Gate> gate_functions(const Node& node, int64_t gates, int64_t directions) {
  const std::vector<ref::Gate> usual =
      gates == 1 ? std::vector<ref::Gate>{{ref::GateKind::kTanh}}
                 : std::vector<ref::Gate>{{ref::GateKind::kSigmoid}, {ref::GateKind::kTanh}, {ref::GateKind::kTanh}};
  const auto names = node.get<std::vector<std::string>>("activations", {});
  const auto alphas = node.get<std::vector<float>>("activation_alpha", {}),
             betas = node.get<std::vector<float>>("activation_beta", {});
  std::vector<ref::Gate> made;
  size_t alpha = 0, beta = 0;
  for (size_t i = 0; i < functions_of(gates) * static_cast<size_t>(directions); ++i) {
    ref::Gate gate = names.empty() ? usual[i % functions_of(gates)] : *ref::gate_from_name(names[i]);
    if (ref::takes_alpha(gate.kind) && alpha < alphas.size()) gate.alpha = static_cast<double>(alphas[alpha++]);
    if (ref::takes_beta(gate.kind) && beta < betas.size()) gate.beta = static_cast<double>(betas[beta++]);
    made.push_back(gate);
  }
  return made;
}

template <typename T>
T* at_or_null(Tensor* tensor, int64_t offset) {
  return tensor == nullptr ? nullptr : tensor->data<T>() + offset;
}
template <typename T>
const T* at_or_null(const Tensor* tensor, int64_t offset) {
  return tensor == nullptr ? nullptr : tensor->data<T>() + offset;
}

// Runs each direction of the layer with `cell`, which takes `gates` rows of weights per hidden unit.
template <typename T>
void directions(const KernelContext& c, int64_t gates, void (*cell)(const ref::Recurrent<T>&)) {
  const Tensor &x = *c.inputs[0], &w = *c.inputs[1], &r = *c.inputs[2];
  const bool batch_first = c.node.get<int64_t>("layout", 0) == 1;
  const int64_t count = w.shape()[0], steps = x.shape()[batch_first], batch = x.shape()[!batch_first],
                hidden = r.shape()[2], in = x.shape()[2];
  const std::vector<ref::Gate> functions = gate_functions(c.node, gates, count);
  for (int64_t d = 0; d < count; ++d) {
    ref::Recurrent<T> a;
    a.steps = steps, a.batch = batch, a.in = in, a.hidden = hidden;
    a.reverse = d == 1 || c.node.get<std::string>("direction", "forward") == "reverse";
    a.linear_before_reset = c.node.get<int64_t>("linear_before_reset", 0) != 0;
    a.input_forget = c.node.get<int64_t>("input_forget", 0) != 0;
    a.clip = static_cast<double>(c.node.get<float>("clip", 0));
    std::copy_n(functions.begin() + d * static_cast<int64_t>(functions_of(gates)), functions_of(gates), a.activations);
    a.x = x.data<T>(), a.x_step = batch_first ? in : batch * in, a.x_row = batch_first ? steps * in : in;
    a.w = w.data<T>() + d * gates * hidden * in, a.r = r.data<T>() + d * gates * hidden * hidden;
    a.bias = at_or_null<T>(c.input(3), d * 2 * gates * hidden);
    a.lens = at_or_null<int32_t>(c.input(4), 0);
    a.peephole = at_or_null<T>(c.input(7), d * 3 * hidden);
    const int64_t state = batch_first ? d * hidden : d * batch * hidden;
    a.state_row = batch_first ? count * hidden : hidden;
    a.h0 = at_or_null<T>(c.input(5), state), a.c0 = at_or_null<T>(c.input(6), state);
    a.h = at_or_null<T>(c.output(1), state), a.c = at_or_null<T>(c.output(2), state);
    a.y = at_or_null<T>(c.output(0), state);
    a.y_step = count * (batch_first ? hidden : batch * hidden), a.y_row = batch_first ? steps * count * hidden : hidden;
    cell(a);
  }
}

Result<bool> lstm(const KernelContext& c) {
  return on_floats(c.inputs[0]->type(), [&]<typename T>() { directions<T>(c, 4, ref::lstm<T>); });
}
Result<bool> gru(const KernelContext& c) {
  return on_floats(c.inputs[0]->type(), [&]<typename T>() { directions<T>(c, 3, ref::gru<T>); });
}
Result<bool> rnn(const KernelContext& c) {
  return on_floats(c.inputs[0]->type(), [&]<typename T>() { directions<T>(c, 1, ref::rnn<T>); });
}

}  // namespace

void add_recurrent_kernels(std::vector<KernelEntry>* table) {
  table->push_back({"", "LSTM", lstm});
  table->push_back({"", "GRU", gru});
  table->push_back({"", "RNN", rnn});
}

}  // namespace hayate
