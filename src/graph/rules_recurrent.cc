// LSTM, GRU and RNN of the standard.
#include <fmt/format.h>

#include "graph/op_rules.h"

namespace hayate {
namespace {

// X [T, N, I], W [D, G*H, I], R [D, G*H, H], B [D, 2*G*H], sequence_lens [N], initial_h [D, N, H], for `gates` G.
// Gives Y [T, D, N, H], Y_h [D, N, H] and, with a cell, Y_c [D, N, H].
Result<Types> recurrent(const ShapeContext& c, int64_t gates) {
  for (size_t i = 0; i < c.input_count(); ++i) {
    if (!c.has(i)) continue;
    const Type wanted = i == 4 ? Type::kInt32 : Type::kFloat32;
    if (c.type(i) != wanted)
      return c.error(
          fmt::format("input '{}' must be {}, it is {}", c.node.input(i), type_name(wanted), type_name(c.type(i))),
          Code::kUnsupported);
  }
  const std::string direction = c.node.get<std::string>("direction", "forward");
  if (direction != "forward" && direction != "reverse" && direction != "bidirectional")
    return c.error(fmt::format("direction '{}' is unknown", direction));
  if (c.node.get<int64_t>("layout", 0) != 0)
    return c.error("layout 1 (batch first) is not supported", Code::kUnsupported);
  const int64_t directions = direction == "bidirectional" ? 2 : 1;
  if (c.rank(0) != 3 || c.rank(1) != 3 || c.rank(2) != 3) return c.error("X, W and R must have three axes");
  const int64_t steps = c.shape(0)[0], batch = c.shape(0)[1], in = c.shape(0)[2], hidden = c.shape(2)[2];
  const auto check = [&](size_t i, const Shape& wanted) -> std::optional<Error> {
    if (!c.has(i) || c.shape(i) == wanted) return std::nullopt;
    return c.error(fmt::format("input '{}' must have shape {}, it has {}", c.node.input(i), shape_text(wanted),
                               shape_text(c.shape(i))));
  };
  const Shape state{directions, batch, hidden};
  const std::vector<std::pair<size_t, Shape>> wanted = {{1, {directions, gates * hidden, in}},
                                                        {2, {directions, gates * hidden, hidden}},
                                                        {3, {directions, 2 * gates * hidden}},
                                                        {4, {batch}},
                                                        {5, state},
                                                        {6, state},
                                                        {7, {directions, 3 * hidden}}};
  for (const auto& [i, shape] : wanted)
    if (const auto error = check(i, shape)) return *error;
  if (hidden < 1 || c.node.get<int64_t>("hidden_size", hidden) != hidden)
    return c.error(fmt::format("hidden_size and R {} differ", shape_text(c.shape(2))));
  const auto activations = c.node.get<std::vector<std::string>>("activations", {});
  const size_t per_direction = gates == 4 ? 3 : gates == 3 ? 2 : 1;
  if (!activations.empty() && activations.size() != per_direction * directions)
    return c.error(fmt::format("needs {} activations, {} are given", per_direction * directions, activations.size()));
  for (const std::string& name : activations)
    if (name != "Sigmoid" && name != "Tanh" && name != "Relu")
      return c.error(fmt::format("activation '{}' is not supported; Sigmoid, Tanh and Relu are", name),
                     Code::kUnsupported);
  Types out{{Type::kFloat32, {steps, directions, batch, hidden}}, {Type::kFloat32, state}};
  if (gates == 4) out.push_back({Type::kFloat32, state});
  return out;
}

}  // namespace

void add_recurrent_rules(std::vector<OpEntry>* table) {
  table->push_back({"", "LSTM", 3, 8, [](const ShapeContext& c) { return recurrent(c, 4); }});
  table->push_back({"", "GRU", 3, 6, [](const ShapeContext& c) { return recurrent(c, 3); }});
  table->push_back({"", "RNN", 3, 6, [](const ShapeContext& c) { return recurrent(c, 1); }});
}

}  // namespace hayate
