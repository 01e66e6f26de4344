// LSTM, GRU and RNN of the standard.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "graph/op_rules.h"
#include "graph/rule_checks.h"

namespace hayate {
namespace {

// In lower case: their case is free.
constexpr std::string_view kGateFunctions[] = {"sigmoid",         "tanh",       "relu",        "affine", "leakyrelu",
                                               "thresholdedrelu", "scaledtanh", "hardsigmoid", "elu",    "softsign",
                                               "softplus"};

bool is_gate_function(std::string name) {
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return std::find(std::begin(kGateFunctions), std::end(kGateFunctions), name) != std::end(kGateFunctions);
}

std::optional<Error> types_error(const ShapeContext& c) {
  if (!is_float(c.type(0)))
    return c.error(fmt::format("takes floats, it is given {}", type_name(c.type(0))), Code::kUnsupported);
  for (size_t i = 1; i < c.input_count(); ++i)
    if (auto error = type_error(c, i, {i == 4 ? Type::kInt32 : c.type(0)})) return error;
  return std::nullopt;
}

std::optional<Error> functions_error(const ShapeContext& c, size_t wanted) {
  const auto names = c.node.get<std::vector<std::string>>("activations", {});
  if (!names.empty() && names.size() != wanted)
    return c.error(fmt::format("needs {} activations, {} are given", wanted, names.size()));
  for (const std::string& name : names)
    if (!is_gate_function(name))
      return c.error(fmt::format("activation '{}' is unknown; Sigmoid, Tanh, Relu, Affine, LeakyRelu, ThresholdedRelu, "
                                 "ScaledTanh, HardSigmoid, Elu, Softsign and Softplus are known",
                                 name),
                     Code::kUnsupported);
  return std::nullopt;
}

// X [T, N, I], W [D, G*H, I], R [D, G*H, H], B [D, 2*G*H], sequence_lens [N], initial_h [D, N, H], for `gates` G.
// Gives Y [T, D, N, H], Y_h [D, N, H] and, with a cell, Y_c [D, N, H]. Layout 1 has N first: X [N, T, I], states
// [N, D, H], Y [N, T, D, H].
Result<Types> recurrent(const ShapeContext& c, int64_t gates) {
  if (auto error = types_error(c)) return *error;
  const std::string direction = c.node.get<std::string>("direction", "forward");
  if (direction != "forward" && direction != "reverse" && direction != "bidirectional")
    return c.error(fmt::format("direction '{}' is unknown", direction));
  const int64_t layout = c.node.get<int64_t>("layout", 0);
  if (layout != 0 && layout != 1) return c.error(fmt::format("layout {} is unknown; 0 and 1 are known", layout));
  const int64_t directions = direction == "bidirectional" ? 2 : 1;
  if (c.rank(0) != 3 || c.rank(1) != 3 || c.rank(2) != 3) return c.error("X, W and R must have three axes");
  const bool batch_first = layout == 1;
  const int64_t steps = c.shape(0)[batch_first], batch = c.shape(0)[!batch_first], in = c.shape(0)[2],
                hidden = c.shape(2)[2];
  const Shape state = batch_first ? Shape{batch, directions, hidden} : Shape{directions, batch, hidden};
  const std::pair<size_t, Shape> wanted[] = {{1, {directions, gates * hidden, in}},
                                             {2, {directions, gates * hidden, hidden}},
                                             {3, {directions, 2 * gates * hidden}},
                                             {4, {batch}},
                                             {5, state},
                                             {6, state},
                                             {7, {directions, 3 * hidden}}};
  for (const auto& [i, shape] : wanted)
    if (auto error = shape_error(c, i, shape)) return *error;
  if (const Tensor* lens = c.known(4))
    if (const auto fault = lengths_fault(c.node, *lens, steps)) return c.error(*fault, Code::kOutOfRange);
  if (hidden < 1 || c.node.get<int64_t>("hidden_size", hidden) != hidden)
    return c.error(fmt::format("hidden_size and R {} differ", shape_text(c.shape(2))));
  const size_t per_direction = gates == 4 ? 3 : gates == 3 ? 2 : 1;
  if (auto error = functions_error(c, per_direction * static_cast<size_t>(directions))) return *error;
  const Shape y = batch_first ? Shape{batch, steps, directions, hidden} : Shape{steps, directions, batch, hidden};
  Types out{{c.type(0), y}, {c.type(0), state}};
  if (gates == 4) out.push_back({c.type(0), state});
  return out;
}

// What a stream cuts an LSTM (gates = 4) or a GRU with linear_before_reset = 1 (gates = 3) into, forward, with the
// usual functions; G = gates, B [1, 2*G*H] as the standard has it. All float32.
//   hayate.RecurrentInput(x [T, N, I], W [1, G*H, I], B) -> W x with its biases, [T, N, G*H]
//   hayate.RecurrentProduct(h [1, N, H], R [1, G*H, H], B) -> R h, with the bias inside a GRU's reset gate, [1, N, G*H]
//   hayate.RecurrentSteps(W x [T, N, G*H], R, B, h [1, N, H], c [1, N, H], R h [1, N, G*H] of the first step) -> Y,
//   Y_h,
//     Y_c as the layer gives them. h may be left out where R h is given and gates = 4; c is an LSTM's.
std::optional<Error> part_error(const ShapeContext& c, size_t shapes) {
  for (size_t i = 0; i < c.input_count(); ++i)
    if (auto error = type_error(c, i, {Type::kFloat32})) return error;
  const int64_t gates = c.node.get<int64_t>("gates", 4);
  if (gates != 3 && gates != 4) return c.error(fmt::format("gates is {}; 3 and 4 are known", gates));
  if (c.rank(0) != 3 || c.rank(1) != 3 || c.shape(1)[0] != 1 || c.shape(1)[1] % gates != 0)
    return c.error(fmt::format("weights {} are not [1, {}*H, ...]", shape_text(c.shape(1)), gates));
  const int64_t width = c.shape(1)[1];
  if (auto error = shape_error(c, 2, {1, 2 * width})) return error;
  if (c.shape(0)[2] != (shapes == 3 ? width : c.shape(1)[2]))
    return c.error(fmt::format("input {} does not fit weights {}", shape_text(c.shape(0)), shape_text(c.shape(1))));
  return std::nullopt;
}

Result<Types> recurrent_product(const ShapeContext& c) {
  if (auto error = part_error(c, 2)) return *error;
  return Types{{c.type(0), {c.shape(0)[0], c.shape(0)[1], c.shape(1)[1]}}};
}

Result<Types> recurrent_steps(const ShapeContext& c) {
  if (auto error = part_error(c, 3)) return *error;
  const int64_t steps = c.shape(0)[0], rows = c.shape(0)[1], width = c.shape(1)[1], hidden = c.shape(1)[2];
  const bool lstm = c.node.get<int64_t>("gates", 4) == 4;
  const Shape state{1, rows, hidden};
  if (auto error = shape_error(c, 3, state)) return *error;
  if (auto error = shape_error(c, 4, state)) return *error;
  if (auto error = shape_error(c, 5, {1, rows, width})) return *error;
  if (width != (lstm ? 4 : 3) * hidden || c.has(4) != lstm || (!c.has(3) && !(lstm && c.has(5))))
    return c.error("needs R of G*H by H, c where it is an LSTM, and h or an LSTM's R h");
  Types out{{c.type(0), {steps, 1, rows, hidden}}, {c.type(0), state}};
  if (lstm) out.push_back({c.type(0), state});
  return out;
}

}  // namespace

void add_recurrent_rules(std::vector<OpEntry>* table) {
  table->push_back({"", "LSTM", 3, 8, [](const ShapeContext& c) { return recurrent(c, 4); }});
  table->push_back({"", "GRU", 3, 6, [](const ShapeContext& c) { return recurrent(c, 3); }});
  table->push_back({"", "RNN", 3, 6, [](const ShapeContext& c) { return recurrent(c, 1); }});
  table->push_back({"hayate", "RecurrentInput", 2, 3, recurrent_product});
  table->push_back({"hayate", "RecurrentProduct", 2, 3, recurrent_product});
  table->push_back({"hayate", "RecurrentSteps", 2, 6, recurrent_steps});
}

}  // namespace hayate
