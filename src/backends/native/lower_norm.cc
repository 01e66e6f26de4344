#include <numeric>

#include "backends/native/lower_ops.h"

namespace hayate::native {
namespace {

using kernels::Reduce;

// Along an axis that is not the last: it changes place with that one for the while.
void softmax_inside(Lowering& l, const Node& node, int64_t axis) {
  const View x = l.view(node.inputs[0]);
  std::vector<int64_t> swap(static_cast<size_t>(x.rank()));
  std::iota(swap.begin(), swap.end(), 0);
  std::swap(swap[static_cast<size_t>(axis)], swap.back());
  const View from = l.dense(transposed(x, swap)), y = l.scratch(Type::kFloat32, from.shape);
  RowsArgs args;
  args.set = &l.set(), args.n = from.shape.back(), args.log = node.op == "LogSoftmax";
  args.rows = args.n == 0 ? 0 : y.count() / args.n;
  if (args.rows > 0) l.emit(run_softmax, "softmax", args, {&y, &from});
  l.define(node.outputs[0], transposed(y, swap));
}

bool softmax(Lowering& l, const Node& node) {
  if (!all_floats(l, node)) return false;
  const Shape shape = l.type(node.outputs[0]).shape;
  if (shape.empty()) return false;
  const int64_t rank = static_cast<int64_t>(shape.size());
  int64_t axis = node.get<int64_t>("axis", l.graph().opset_of(node) < 13 ? 1 : -1);
  if (axis < 0) axis += rank;
  int64_t n = 1;
  if (l.graph().opset_of(node) < 13) {
    for (int64_t i = axis; i < rank; ++i) n *= shape[static_cast<size_t>(i)];
  } else if (axis == rank - 1) {
    n = shape.back();
  } else {
    softmax_inside(l, node, axis);
    return true;
  }
  const View x = l.dense(l.view(node.inputs[0])), y = l.make(node.outputs[0]);
  if (n == 0) return true;
  RowsArgs args;
  args.set = &l.set(), args.n = n, args.rows = y.count() / n, args.log = node.op == "LogSoftmax";
  l.emit(run_softmax, "softmax", args, {&y, &x});
  return true;
}

bool layer_norm(Lowering& l, const Node& node) {
  if (!all_floats(l, node)) return false;
  for (size_t i = 1; i < node.outputs.size(); ++i)
    if (!node.outputs[i].empty()) return false;
  const Shape shape = l.type(node.outputs[0]).shape;
  int64_t axis = node.get<int64_t>("axis", -1);
  if (axis < 0) axis += static_cast<int64_t>(shape.size());
  int64_t n = 1;
  for (size_t i = static_cast<size_t>(axis); i < shape.size(); ++i) n *= shape[i];
  const Tensor *scale = l.constant(node.inputs[1]), *bias = l.constant(node.input(2));
  if (n == 0 || scale == nullptr || scale->count() != n ||
      (!node.input(2).empty() && (bias == nullptr || bias->count() != n)))
    return false;
  const View x = l.dense(l.view(node.inputs[0])), s = l.view(node.inputs[1]);
  std::optional<View> b;
  if (bias != nullptr) b = l.view(node.input(2));
  const View y = l.make(node.outputs[0]);
  RowsArgs args;
  args.set = &l.set(), args.n = n, args.rows = y.count() / n, args.epsilon = node.get<float>("epsilon", 1e-5f);
  l.emit(run_layer_norm, "layer_norm", args, {&y, &x, &s, b ? &*b : nullptr});
  return true;
}

bool rms_norm(Lowering& l, const Node& node) {
  if (!all_floats(l, node)) return false;
  const Shape shape = l.type(node.outputs[0]).shape;
  int64_t axis = node.get<int64_t>("axis", -1);
  if (axis < 0) axis += static_cast<int64_t>(shape.size());
  int64_t n = 1;
  for (size_t i = static_cast<size_t>(axis); i < shape.size(); ++i) n *= shape[i];
  const View x = l.dense(l.view(node.inputs[0])), s = l.dense(l.view(node.inputs[1]));
  if (n == 0 || s.count() != n) return false;
  const View y = l.make(node.outputs[0]);
  RowsArgs args;
  args.set = &l.set(), args.n = n, args.rows = y.count() / n, args.epsilon = node.get<float>("epsilon", 1e-5f);
  l.emit(run_rms_norm, "rms_norm", args, {&y, &x, &s});
  return true;
}

template <kernels::Reduce kOp>
bool reduce(Lowering& l, const Node& node) {
  if (!all_floats(l, Node{"", "", "", {node.inputs[0]}, node.outputs, {}})) return false;
  const Shape in = l.type(node.inputs[0]).shape;
  std::optional<std::vector<int64_t>> axes;
  if (!node.input(1).empty()) {
    axes = integers(l, node, 1);
    if (!axes) return false;
  } else if (node.attributes.contains("axes")) {
    axes = node.get<std::vector<int64_t>>("axes", {});
  }
  const Result<std::vector<bool>> folded = reduced_axes(node, static_cast<int64_t>(in.size()), axes);
  if (!folded.ok()) return false;
  int64_t outer = 1, middle = 1, inner = 1;
  int state = 0;
  for (size_t i = 0; i < in.size(); ++i) {
    if (in[i] == 1) continue;
    if (folded.value()[i]) {
      if (state == 2) return false;  // two separate runs of axes
      state = 1;
      middle *= in[i];
    } else {
      if (state == 1) state = 2;
      (state == 0 ? outer : inner) *= in[i];
    }
  }
  if (outer * middle * inner == 0) return false;
  const View x = l.dense(l.view(node.inputs[0])), y = l.make(node.outputs[0]);
  RowsArgs args;
  args.set = &l.set(), args.rows = outer, args.n = middle, args.inner = inner, args.reduce = kOp;
  l.emit(run_reduce, "reduce", args, {&y, &x});
  return true;
}

}  // namespace

void add_norm_lowers(LowerTable* table) {
  table->insert({{"Softmax", softmax},
                 {"LogSoftmax", softmax},
                 {"LayerNormalization", layer_norm},
                 {"RMSNormalization", rms_norm},
                 {"ReduceMean", reduce<Reduce::kMean>},
                 {"ReduceSum", reduce<Reduce::kSum>},
                 {"ReduceMax", reduce<Reduce::kMax>},
                 {"ReduceMin", reduce<Reduce::kMin>},
                 {"ReduceProd", reduce<Reduce::kProd>},
                 {"ReduceSumSquare", reduce<Reduce::kSumSquare>},
                 {"ReduceL2", reduce<Reduce::kL2>}});
}

}  // namespace hayate::native
