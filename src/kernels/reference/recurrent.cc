#include "kernels/reference/recurrent.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

namespace hayate::kernels::reference {

std::optional<Gate> gate_from_name(std::string_view name) {
  static constexpr std::pair<std::string_view, Gate> kGates[] = {
      {"sigmoid", {GateKind::kSigmoid}},
      {"tanh", {GateKind::kTanh}},
      {"relu", {GateKind::kRelu}},
      {"affine", {GateKind::kAffine, 1, 0}},
      {"leakyrelu", {GateKind::kLeakyRelu, static_cast<double>(0.01f)}},
      {"thresholdedrelu", {GateKind::kThresholdedRelu, 1}},
      {"scaledtanh", {GateKind::kScaledTanh, 1, 1}},
      {"hardsigmoid", {GateKind::kHardSigmoid, static_cast<double>(0.2f), 0.5}},
      {"elu", {GateKind::kElu, 1}},
      {"softsign", {GateKind::kSoftsign}},
      {"softplus", {GateKind::kSoftplus}}};
  std::string lower(name);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const auto& [known, gate] : kGates)
    if (known == lower) return gate;
  return std::nullopt;
}

bool takes_alpha(GateKind kind) {
  return kind == GateKind::kAffine || kind == GateKind::kLeakyRelu || kind == GateKind::kThresholdedRelu ||
         kind == GateKind::kScaledTanh || kind == GateKind::kHardSigmoid || kind == GateKind::kElu;
}

bool takes_beta(GateKind kind) {
  return kind == GateKind::kAffine || kind == GateKind::kScaledTanh || kind == GateKind::kHardSigmoid;
}

namespace {

double apply(const Gate& gate, double x) {
  switch (gate.kind) {
    case GateKind::kSigmoid:
      return 1.0 / (1.0 + std::exp(-x));
    case GateKind::kTanh:
      return std::tanh(x);
    case GateKind::kRelu:
      return x > 0 ? x : 0;
    case GateKind::kAffine:
      return gate.alpha * x + gate.beta;
    case GateKind::kLeakyRelu:
      return x < 0 ? gate.alpha * x : x;
    case GateKind::kThresholdedRelu:
      return x > gate.alpha ? x : 0;
    case GateKind::kScaledTanh:
      return gate.alpha * std::tanh(gate.beta * x);
    case GateKind::kHardSigmoid:
      return std::fmin(std::fmax(gate.alpha * x + gate.beta, 0.0), 1.0);
    case GateKind::kElu:
      return x < 0 ? gate.alpha * std::expm1(x) : x;
    case GateKind::kSoftsign:
      return x / (1 + std::fabs(x));
    case GateKind::kSoftplus:  // log(1 + e^x) without overflow
      return std::fmax(x, 0.0) + std::log1p(std::exp(-std::fabs(x)));
  }
  return x;
}

double clipped(double clip, double x) { return clip > 0 ? std::fmin(std::fmax(x, -clip), clip) : x; }

template <typename T, typename X>
double dot(const T* w, const X* x, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(w[i]) * static_cast<double>(x[i]);
  return sum;
}

using State = std::vector<double>;

// Walks the steps of every row; cell(x, h, c) replaces the row's state, kept in float64 between steps.
template <typename T, typename Cell>
void walk(const Recurrent<T>& a, Cell&& cell) {
  for (int64_t row = 0; row < a.batch; ++row) {
    State h(a.hidden, 0.0), c(a.hidden, 0.0);
    const int64_t state = row * a.state_row;
    if (a.h0 != nullptr) h.assign(a.h0 + state, a.h0 + state + a.hidden);
    if (a.c0 != nullptr) c.assign(a.c0 + state, a.c0 + state + a.hidden);
    const int64_t length = a.lens == nullptr ? a.steps : std::clamp<int64_t>(a.lens[row], 0, a.steps);
    for (int64_t i = 0; i < a.steps; ++i) {
      const int64_t t = a.reverse && i < length ? length - 1 - i : i;
      if (i < length) cell(a.x + t * a.x_step + row * a.x_row, h, c);
      if (a.y != nullptr)
        for (int64_t k = 0; k < a.hidden; ++k)
          a.y[t * a.y_step + row * a.y_row + k] = i < length ? static_cast<T>(h[k]) : T{0};
    }
    for (int64_t k = 0; k < a.hidden; ++k) {
      if (a.h != nullptr) a.h[state + k] = static_cast<T>(h[k]);
      if (a.c != nullptr) a.c[state + k] = static_cast<T>(c[k]);
    }
  }
}

// The sum of gate row g from input and state: W x + R h + both biases.
template <typename T>
double pre(const Recurrent<T>& a, int64_t gates, int64_t g, const T* x, const State& h) {
  const double bias =
      a.bias == nullptr ? 0.0 : static_cast<double>(a.bias[g]) + static_cast<double>(a.bias[gates * a.hidden + g]);
  return dot(a.w + g * a.in, x, a.in) + dot(a.r + g * a.hidden, h.data(), a.hidden) + bias;
}

}  // namespace

template <typename T>
void lstm(const Recurrent<T>& a) {
  const int64_t n = a.hidden;
  State next_h(n), next_c(n);
  walk(a, [&](const T* x, State& h, State& c) {
    const auto gate = [&](size_t which, double sum) { return apply(a.activations[which], clipped(a.clip, sum)); };
    const auto peep = [&](int64_t which, int64_t k, double cell) {
      return a.peephole == nullptr ? 0.0 : static_cast<double>(a.peephole[which * n + k]) * cell;
    };
    for (int64_t k = 0; k < n; ++k) {  // gate order of the standard: i, o, f, c
      const double i = gate(0, pre(a, 4, k, x, h) + peep(0, k, c[k]));
      const double f = a.input_forget ? 1.0 - i : gate(0, pre(a, 4, 2 * n + k, x, h) + peep(2, k, c[k]));
      next_c[k] = f * c[k] + i * gate(1, pre(a, 4, 3 * n + k, x, h));
      const double o = gate(0, pre(a, 4, n + k, x, h) + peep(1, k, next_c[k]));
      next_h[k] = o * apply(a.activations[2], next_c[k]);
    }
    h = next_h;
    c = next_c;
  });
}

template <typename T>
void gru(const Recurrent<T>& a) {
  const int64_t n = a.hidden;
  State z(n), r(n), reset(n), next(n);
  walk(a, [&](const T* x, State& h, State&) {
    const auto gate = [&](size_t which, double sum) { return apply(a.activations[which], clipped(a.clip, sum)); };
    for (int64_t k = 0; k < n; ++k) {  // gate order of the standard: z, r, h
      z[k] = gate(0, pre(a, 3, k, x, h));
      r[k] = gate(0, pre(a, 3, n + k, x, h));
      reset[k] = r[k] * h[k];
    }
    for (int64_t k = 0; k < n; ++k) {
      const int64_t g = 2 * n + k;
      const double wb = a.bias == nullptr ? 0.0 : static_cast<double>(a.bias[g]),
                   rb = a.bias == nullptr ? 0.0 : static_cast<double>(a.bias[3 * n + g]);
      const double recurrent =
          a.linear_before_reset ? r[k] * (dot(a.r + g * n, h.data(), n) + rb) : dot(a.r + g * n, reset.data(), n) + rb;
      const double candidate = gate(1, dot(a.w + g * a.in, x, a.in) + wb + recurrent);
      next[k] = (1.0 - z[k]) * candidate + z[k] * h[k];
    }
    h = next;
  });
}

template <typename T>
void rnn(const Recurrent<T>& a) {
  State next(a.hidden);
  walk(a, [&](const T* x, State& h, State&) {
    for (int64_t k = 0; k < a.hidden; ++k) next[k] = apply(a.activations[0], clipped(a.clip, pre(a, 1, k, x, h)));
    h = next;
  });
}

template void lstm(const Recurrent<float>&);
template void lstm(const Recurrent<double>&);
template void gru(const Recurrent<float>&);
template void gru(const Recurrent<double>&);
template void rnn(const Recurrent<float>&);
template void rnn(const Recurrent<double>&);

}  // namespace hayate::kernels::reference
