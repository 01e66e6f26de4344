#include <algorithm>
#include <cmath>
#include <vector>

#include "eval/floats.h"
#include "eval/kernel.h"
#include "graph/rule_checks.h"
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

std::optional<Error> lengths_error(const KernelContext& c) {
  if (c.input(4) == nullptr) return std::nullopt;
  const int64_t steps = c.inputs[0]->shape()[c.node.get<int64_t>("layout", 0) == 1];
  const auto fault = lengths_fault(c.node, *c.inputs[4], steps);
  return fault ? std::optional(c.error(*fault)) : std::nullopt;
}

Result<bool> lstm(const KernelContext& c) {
  if (auto error = lengths_error(c)) return *error;
  return on_floats(c.inputs[0]->type(), [&]<typename T>() { directions<T>(c, 4, ref::lstm<T>); });
}
Result<bool> gru(const KernelContext& c) {
  if (auto error = lengths_error(c)) return *error;
  return on_floats(c.inputs[0]->type(), [&]<typename T>() { directions<T>(c, 3, ref::gru<T>); });
}
Result<bool> rnn(const KernelContext& c) {
  if (auto error = lengths_error(c)) return *error;
  return on_floats(c.inputs[0]->type(), [&]<typename T>() { directions<T>(c, 1, ref::rnn<T>); });
}

// The parts that a stream cuts a layer into, see graph/rules_recurrent.cc.
struct Part {
  int64_t gates, width, hidden, rows;
  const float* bias;  // [2 * width] or null
  explicit Part(const KernelContext& c)
      : gates(c.node.get<int64_t>("gates", 4)),
        width(c.inputs[1]->shape()[1]),
        hidden(width / gates),
        rows(c.inputs[0]->shape()[0] * c.inputs[0]->shape()[1]),
        bias(at_or_null<float>(c.input(2), 0)) {}
  bool apart(int64_t i) const { return gates == 3 && i >= 2 * hidden; }  // the candidate's, inside the reset gate
  double on_x(int64_t i) const {
    if (bias == nullptr) return 0;
    return static_cast<double>(bias[i]) + (apart(i) ? 0 : static_cast<double>(bias[width + i]));
  }
  double on_h(int64_t i) const { return bias != nullptr && apart(i) ? static_cast<double>(bias[width + i]) : 0; }
};

double product(const float* weights, const float* x, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(weights[i]) * static_cast<double>(x[i]);
  return sum;
}

template <bool kInput>
Result<bool> recurrent_product(const KernelContext& c) {
  const Part part(c);
  const int64_t in = c.inputs[1]->shape()[2];
  for (int64_t r = 0; r < part.rows; ++r)
    for (int64_t i = 0; i < part.width; ++i)
      c.outputs[0]->data<float>()[r * part.width + i] =
          static_cast<float>(product(c.inputs[1]->data<float>() + i * in, c.inputs[0]->data<float>() + r * in, in) +
                             (kInput ? part.on_x(i) : part.on_h(i)));
  return true;
}

Result<bool> recurrent_steps(const KernelContext& c) {
  const Part part(c);
  const int64_t steps = c.inputs[0]->shape()[0], rows = c.inputs[0]->shape()[1], n = part.hidden;
  const float *r = c.inputs[1]->data<float>(), *h0 = at_or_null<float>(c.input(3), 0),
              *first = at_or_null<float>(c.input(5), 0);
  std::vector<double> sums(static_cast<size_t>(part.width));
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<double> cell(static_cast<size_t>(n), 0.0);
    std::vector<float> h(static_cast<size_t>(n), 0.0f);
    for (int64_t i = 0; i < n; ++i) {
      if (h0 != nullptr) h[static_cast<size_t>(i)] = h0[row * n + i];
      if (c.input(4) != nullptr)
        cell[static_cast<size_t>(i)] = static_cast<double>(c.inputs[4]->data<float>()[row * n + i]);
    }
    for (int64_t t = 0; t < steps; ++t) {
      const float* x = c.inputs[0]->data<float>() + (t * rows + row) * part.width;
      for (int64_t i = 0; i < part.width; ++i)
        sums[static_cast<size_t>(i)] = t == 0 && first != nullptr ? static_cast<double>(first[row * part.width + i])
                                                                  : product(r + i * n, h.data(), n) + part.on_h(i);
      const auto at = [&](int64_t gate, int64_t i) { return sums[static_cast<size_t>(gate * n + i)]; };
      const auto from_x = [&](int64_t gate, int64_t i) { return static_cast<double>(x[gate * n + i]); };
      const auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
      for (int64_t i = 0; i < n; ++i) {
        const auto gate = [&](int64_t g) { return from_x(g, i) + at(g, i); };
        double made = 0;
        if (part.gates == 4) {
          double& own = cell[static_cast<size_t>(i)];
          own = sigmoid(gate(2)) * own + sigmoid(gate(0)) * std::tanh(gate(3));
          made = sigmoid(gate(1)) * std::tanh(own);
        } else {
          const double z = sigmoid(gate(0)), candidate = std::tanh(from_x(2, i) + sigmoid(gate(1)) * at(2, i));
          made = (1 - z) * candidate + z * static_cast<double>(h[static_cast<size_t>(i)]);
        }
        h[static_cast<size_t>(i)] = static_cast<float>(made);
      }
      if (c.output(0) != nullptr) std::copy(h.begin(), h.end(), c.outputs[0]->data<float>() + (t * rows + row) * n);
    }
    if (c.output(1) != nullptr) std::copy(h.begin(), h.end(), c.outputs[1]->data<float>() + row * n);
    if (c.output(2) != nullptr)
      for (int64_t i = 0; i < n; ++i)
        c.outputs[2]->data<float>()[row * n + i] = static_cast<float>(cell[static_cast<size_t>(i)]);
  }
  return true;
}

}  // namespace

void add_recurrent_kernels(std::vector<KernelEntry>* table) {
  table->push_back({"", "LSTM", lstm});
  table->push_back({"", "GRU", gru});
  table->push_back({"", "RNN", rnn});
  table->push_back({"hayate", "RecurrentInput", recurrent_product<true>});
  table->push_back({"hayate", "RecurrentProduct", recurrent_product<false>});
  table->push_back({"hayate", "RecurrentSteps", recurrent_steps});
}

}  // namespace hayate
