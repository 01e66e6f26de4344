// LSTM, GRU and RNN of the standard, one direction at a time: plain loops, sums and states in float64.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace hayate::kernels::reference {

enum class GateKind {
  kSigmoid,
  kTanh,
  kRelu,
  kAffine,           // alpha x + beta
  kLeakyRelu,        // x < 0: alpha x
  kThresholdedRelu,  // x > alpha ? x : 0
  kScaledTanh,       // alpha tanh(beta x)
  kHardSigmoid,      // alpha x + beta within 0..1
  kElu,              // x < 0: alpha (e^x - 1)
  kSoftsign,
  kSoftplus
};
struct Gate {
  GateKind kind = GateKind::kSigmoid;
  double alpha = 0, beta = 0;
};
// The function of that name, in whatever case, with the parameters it has where none are given; nothing where unknown.
std::optional<Gate> gate_from_name(std::string_view name);
bool takes_alpha(GateKind kind);
bool takes_beta(GateKind kind);

// One direction: w [gates * hidden, in], r [gates * hidden, hidden], bias [2 * gates * hidden] or null, lens [batch] or
// null, peephole [3 * hidden] or null. Input step t of row b stands at x + t * x_step + b * x_row; the output at y + t
// * y_step + b * y_row (y null: not wanted). States h0, c0 (null: zeros), h, c (receive the last; null: not wanted)
// have row b at b * state_row.
template <typename T>
struct Recurrent {
  int64_t steps = 0, batch = 0, in = 0, hidden = 0;
  bool reverse = false, linear_before_reset = false, input_forget = false;
  double clip = 0;  // 0: none
  Gate activations[3] = {{GateKind::kSigmoid}, {GateKind::kTanh}, {GateKind::kTanh}};
  const T *x = nullptr, *w = nullptr, *r = nullptr, *bias = nullptr, *h0 = nullptr, *c0 = nullptr, *peephole = nullptr;
  const int32_t* lens = nullptr;
  int64_t x_step = 0, x_row = 0, state_row = 0;
  T* y = nullptr;
  int64_t y_step = 0, y_row = 0;
  T *h = nullptr, *c = nullptr;
};
template <typename T>
void lstm(const Recurrent<T>& args);
template <typename T>
void gru(const Recurrent<T>& args);
template <typename T>
void rnn(const Recurrent<T>& args);

}  // namespace hayate::kernels::reference
