#include <algorithm>
#include <limits>

#include "backends/native/lower_ops.h"

namespace hayate::native {
namespace {

using kernels::Activation;
using kernels::Binary;
using kernels::Unary;

const std::map<std::string_view, Unary> kUnary = {{"Relu", Unary::kRelu},
                                                  {"LeakyRelu", Unary::kLeakyRelu},
                                                  {"Sigmoid", Unary::kSigmoid},
                                                  {"Tanh", Unary::kTanh},
                                                  {"Elu", Unary::kElu},
                                                  {"HardSigmoid", Unary::kHardSigmoid},
                                                  {"HardSwish", Unary::kHardSwish},
                                                  {"Softplus", Unary::kSoftplus},
                                                  {"Neg", Unary::kNeg},
                                                  {"Abs", Unary::kAbs},
                                                  {"Sqrt", Unary::kSqrt},
                                                  {"Reciprocal", Unary::kReciprocal},
                                                  {"Exp", Unary::kExp},
                                                  {"Log", Unary::kLog},
                                                  {"Erf", Unary::kErf},
                                                  {"Floor", Unary::kFloor},
                                                  {"Ceil", Unary::kCeil},
                                                  {"Gelu", Unary::kGelu},
                                                  {"Swish", Unary::kSilu}};

// Operand v of the loop must have steps of 0 or 1 in the innermost dimension; else it is moved to lie as y does.
bool steps_fit(const Loop& loop, size_t v) {
  return loop.extents.back() == 1 || loop.strides[v].back() == 0 || loop.strides[v].back() == 1;
}

View alike(Lowering& l, const View& x, const View& y) {
  View to = l.scratch(x.type, y.shape);
  Shape order(y.shape.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return y.strides[a] > y.strides[b]; });
  int64_t step = 1;
  for (size_t i = order.size(); i-- > 0;) to.strides[order[i]] = step, step *= y.shape[order[i]];
  l.copy(broadcast_to(x, y.shape), to);
  return to;
}

bool unary(Lowering& l, const Node& node) {
  const Activation op = activation_of(l, node);
  if (op.op == Unary::kNone || l.type(node.outputs[0]).shape.size() > kDimsMax) return false;
  return emit_unary(l, node.outputs[0], l.view(node.inputs[0]), op);
}

bool clip(Lowering& l, const Node& node) {
  if (!all_floats(l, node) || l.type(node.outputs[0]).shape.size() > kDimsMax) return false;
  Activation op{Unary::kClip, node.get<float>("min", std::numeric_limits<float>::lowest()),
                node.get<float>("max", std::numeric_limits<float>::max())};
  for (const size_t i : {size_t{1}, size_t{2}}) {
    if (node.input(i).empty()) continue;
    const Tensor* bound = l.constant(node.input(i));
    if (bound == nullptr) return false;
    (i == 1 ? op.alpha : op.beta) = bound->data<float>()[0];
  }
  op.alpha = std::min(op.alpha, op.beta);  // of bounds that cross, the upper one holds
  return emit_unary(l, node.outputs[0], l.view(node.inputs[0]), op);
}

template <kernels::Binary kOp>
bool binary(Lowering& l, const Node& node) {
  if (!all_floats(l, node) || node.inputs.size() != 2 || l.type(node.outputs[0]).shape.size() > kDimsMax) return false;
  return emit_binary(l, node.outputs[0], l.view(node.inputs[0]), l.view(node.inputs[1]), kOp);
}

}  // namespace

Activation activation_of(const Lowering& l, const Node& node) {
  const auto it = kUnary.find(node.op);
  if (it == kUnary.end() || !node.domain.empty() || l.type(node.inputs[0]).type != Type::kFloat32) return {};
  Activation a{it->second};
  if (a.op == Unary::kLeakyRelu) a.alpha = node.get<float>("alpha", 0.01f);
  if (a.op == Unary::kElu) a.alpha = node.get<float>("alpha", 1.0f);
  if (a.op == Unary::kHardSigmoid) a.alpha = node.get<float>("alpha", 0.2f), a.beta = node.get<float>("beta", 0.5f);
  if (a.op == Unary::kGelu && node.get<std::string>("approximate", "none") == "tanh") a.op = Unary::kGeluTanh;
  if (a.op == Unary::kGelu && l.near()) a.op = Unary::kGeluNear;
  if (a.op == Unary::kSilu && node.get<float>("alpha", 1.0f) != 1.0f) a.op = Unary::kNone;
  return a;
}

View make_like(Lowering& l, const std::string& name, const std::vector<View>& operands) {
  const Shape shape = l.type(name).shape;
  for (const View& x : operands)
    if (x.shape == shape && shape.size() >= 3 && shape.size() <= 4 && shape[1] > 1 && x.strides[1] == 1)
      return l.make_image(name);
  return l.make(name);
}

bool emit_unary(Lowering& l, const std::string& name, View x, Activation op) {
  const View y = make_like(l, name, {x});
  Loop loop = merged_loop({y, x});
  if (!(loop.extents.back() == 1 || (loop.strides[0].back() == 1 && loop.strides[1].back() == 1))) {
    x = alike(l, x, y);
    loop = merged_loop({y, x});
  }
  if (loop.extents.size() > kDimsMax) return false;
  UnaryArgs args;
  args.set = &l.set(), args.op = op, args.n = loop.extents.back();
  args.outer.dims = static_cast<int>(loop.extents.size()) - 1;
  for (int i = 0; i < args.outer.dims; ++i)
    args.outer.extents[i] = loop.extents[i], args.outer.strides[0][i] = loop.strides[0][i],
    args.outer.strides[1][i] = loop.strides[1][i];
  l.emit(run_unary, "unary", args, {&y, &x});
  return true;
}

bool emit_binary(Lowering& l, const std::string& made, View a, View b, kernels::Binary op) {
  std::string name = made;
  const Activation activation = l.take_activation(&name);
  const View y = make_like(l, name, {a, b});
  a = broadcast_to(a, y.shape), b = broadcast_to(b, y.shape);
  Loop loop = merged_loop({y, a, b});
  if (!steps_fit(loop, 1)) a = alike(l, a, y), loop = merged_loop({y, a, b});
  if (!steps_fit(loop, 2)) b = alike(l, b, y), loop = merged_loop({y, a, b});
  BinaryStepArgs args;
  args.set = &l.set(), args.op = op;
  args.binary.activation = activation;
  const size_t dims = loop.extents.size();
  args.binary.n = loop.extents.back();
  args.binary.a_step = loop.extents.back() == 1 ? 1 : loop.strides[1].back(),
  args.binary.b_step = loop.extents.back() == 1 ? 1 : loop.strides[2].back();
  size_t inner = 1;
  if (dims > 1) {
    inner = 2;
    args.binary.rows = loop.extents[dims - 2];
    args.binary.y_row = loop.strides[0][dims - 2], args.binary.a_row = loop.strides[1][dims - 2],
    args.binary.b_row = loop.strides[2][dims - 2];
  }
  args.outer.dims = static_cast<int>(dims - inner);
  for (int i = 0; i < args.outer.dims; ++i) {
    args.outer.extents[i] = loop.extents[i];
    for (int v = 0; v < 3; ++v) args.outer.strides[v][i] = loop.strides[v][i];
  }
  l.emit(run_binary, "binary", args, {&y, &a, &b});
  return true;
}

void add_elementwise_lowers(LowerTable* table) {
  for (const auto& [name, op] : kUnary) table->insert({std::string(name), unary});
  table->insert({{"Clip", clip},
                 {"Add", binary<Binary::kAdd>},
                 {"Sub", binary<Binary::kSub>},
                 {"Mul", binary<Binary::kMul>},
                 {"Div", binary<Binary::kDiv>},
                 {"Pow", binary<Binary::kPow>},
                 {"Min", binary<Binary::kMin>},
                 {"Max", binary<Binary::kMax>}});
}

}  // namespace hayate::native
