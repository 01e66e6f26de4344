#include "random/recipes.h"

namespace hayate::random_graphs {
namespace {

using Names = std::vector<std::string>;

// Lengths of the rows, states before the first step and an LSTM's peepholes, for some.
void add_states(GraphMaker& m, const std::string& op, const Shape& state, int64_t steps, Names* inputs) {
  inputs->resize(4);
  Tensor lengths(Type::kInt32, {state[1]});
  for (int64_t i = 0; i < lengths.count(); ++i)
    lengths.data<int32_t>()[i] = static_cast<int32_t>(m.dice().between(1, steps));
  const auto sometimes = [&](const std::string& name) { inputs->push_back(m.dice().one_in(2) ? name : ""); };
  sometimes(m.constant(lengths));
  sometimes(m.weights(Type::kFloat32, state, 0.5));
  if (op != "LSTM") return;
  sometimes(m.weights(Type::kFloat32, state, 0.5));
  sometimes(m.weights(Type::kFloat32, {state[0], 3 * state[2]}, 0.5));
}

// [batch, steps, features] through one recurrent layer, as torch exports it.
void recurrent(GraphMaker& m) {
  const auto x = m.find([](const Value& v) {
    return v.is_float32() && v.rank() == 3 && v.batch <= 0 && v.shape[0] > 0 && v.shape[1] > 0 && v.shape[2] > 0;
  });
  if (!x) return;
  const std::string op = m.dice().pick(Names{"LSTM", "GRU", "RNN"});
  const int64_t gates = op == "LSTM"  ? 4
                        : op == "GRU" ? 3
                                      : 1,
                hidden = m.dice().pick({1, 3, 5, 8, 16}), features = x->shape[2], steps = x->shape[1];
  const std::string direction = m.dice().pick(Names{"forward", "forward", "reverse", "bidirectional"});
  const int64_t directions = direction == "bidirectional" ? 2 : 1;
  GraphMaker::Attributes attributes = {{"hidden_size", hidden}, {"direction", direction}};
  if (op == "GRU") attributes["linear_before_reset"] = m.dice().below(2);
  if (m.dice().one_in(5)) attributes["clip"] = 0.75f;
  if (m.dice().one_in(8)) {  // the batch first; ONNX Runtime has no kernel for that
    attributes["layout"] = int64_t{1};
    m.add(op,
          {x->name, m.weights(Type::kFloat32, {directions, gates * hidden, features}, 0.5),
           m.weights(Type::kFloat32, {directions, gates * hidden, hidden}, 0.5)},
          Kind::kArithmetic, attributes, 2);
    return;
  }
  const std::string turned = m.chain("Transpose", {x->name}, Kind::kExact, {{"perm", std::vector<int64_t>{1, 0, 2}}});
  if (turned.empty()) return;
  Names inputs = {turned, m.weights(Type::kFloat32, {directions, gates * hidden, features}, 0.5),
                  m.weights(Type::kFloat32, {directions, gates * hidden, hidden}, 0.5)};
  if (m.dice().one_in(2)) inputs.push_back(m.weights(Type::kFloat32, {directions, 2 * gates * hidden}, 0.3));
  if (x->batch < 0 && m.dice().one_in(3)) add_states(m, op, {directions, x->shape[0], hidden}, steps, &inputs);
  constexpr int64_t kFewSteps = 4;  // the errors of more add up
  const auto made = m.add(op, inputs, steps > kFewSteps ? Kind::kNorm : Kind::kArithmetic, attributes, 2);
  if (!made) return;
  if (m.dice().one_in(2)) {
    m.chain("Squeeze", {(*made)[1].name, m.ints({0})}, Kind::kExact);
    return;
  }
  const std::string back =
      m.chain("Transpose", {(*made)[0].name}, Kind::kExact, {{"perm", std::vector<int64_t>{2, 0, 1, 3}}});
  const std::string rows = m.chain("Reshape", {back, m.ints({0, steps, directions * hidden})}, Kind::kExact);
  if (!rows.empty() && m.dice().one_in(2))
    m.add("Gather", {rows, m.scalar(Type::kInt64, -1)}, Kind::kExact, {{"axis", int64_t{1}}});
}

}  // namespace

void add_recurrent_recipes(std::vector<Recipe>* all) { all->push_back({"recurrent", 3, recurrent}); }

}  // namespace hayate::random_graphs
