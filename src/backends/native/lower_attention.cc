#include <cmath>
#include <limits>

#include "backends/native/lower_ops.h"

namespace hayate::native {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

// Queries, keys or values as [batch, heads, places, features], features consecutive.
struct Operands {
  View q, k, v, y;
};

View consecutive(Lowering& l, const View& view) {
  return view.shape.back() == 1 || view.strides.back() == 1 ? view : l.dense(view);
}

// Leading axes are added until there are four.
View four_axes(View view) {
  while (view.rank() < 4) view.shape.insert(view.shape.begin(), 1), view.strides.insert(view.strides.begin(), 0);
  return view;
}

// [N, places, heads * features] as [N, heads, places, features].
View split_heads(const View& x, int64_t heads) {
  View made = x;
  const int64_t features = x.shape[2] / heads;
  made.shape = {x.shape[0], heads, x.shape[1], features};
  made.strides = {x.strides[0], features, x.strides[1], 1};
  return made;
}

// A place for the result [.., heads, places, features] in which the heads of one place lie side by side, as the layer
// behind attention reads them.
View make_beside(Lowering& l, const std::string& name) {
  const TensorType& t = l.type(name);
  for (const ValueInfo& output : l.graph().outputs)
    if (output.name == name) return l.make(name);
  const size_t rank = t.shape.size();
  if (rank < 3) return l.make(name);
  Shape laid = t.shape;
  std::swap(laid[rank - 3], laid[rank - 2]);
  View made = l.scratch(t.type, laid);
  std::swap(made.shape[rank - 3], made.shape[rank - 2]), std::swap(made.strides[rank - 3], made.strides[rank - 2]);
  l.define(name, made);
  return made;
}

// What a constant mask adds to each score.
std::vector<float> added_by(const Tensor& mask) {
  std::vector<float> values(static_cast<size_t>(mask.count()));
  for (int64_t i = 0; i < mask.count(); ++i)
    values[static_cast<size_t>(i)] =
        mask.type() == Type::kBool ? (mask.bytes()[i] != std::byte{0} ? 0.0f : kNever) : mask.data<float>()[i];
  return values;
}

// The mask with queries consecutive, for the kernel's lanes are queries: turned here where it is a constant, else by a
// copy step. Nothing where it is of another type, or bool and not constant.
std::optional<View> turned_mask(Lowering& l, const std::string& name) {
  const TensorType type = l.type(name);
  const Tensor* constant = l.constant(name);
  if (type.type != Type::kFloat32 && (type.type != Type::kBool || constant == nullptr)) return std::nullopt;
  const size_t rank = type.shape.size();
  const bool same_for_queries = rank < 2 || type.shape[rank - 2] == 1;
  View mask{-1, 0, Type::kFloat32, type.shape, row_major(type.shape)};
  std::vector<int64_t> perm(rank);
  for (size_t i = 0; i < rank; ++i) perm[i] = static_cast<int64_t>(i);
  if (!same_for_queries) std::swap(perm[rank - 1], perm[rank - 2]);
  if (constant == nullptr) {
    mask = l.dense(transposed(l.view(name), perm));
  } else {
    const std::vector<float> values = added_by(*constant);
    const View from = transposed(mask, perm);
    std::vector<float> turned;
    Shape index(rank, 0);
    for (size_t n = 0; n < values.size(); ++n) {
      int64_t at = 0;
      for (size_t i = 0; i < rank; ++i) at += index[i] * from.strides[i];
      turned.push_back(values[static_cast<size_t>(at)]);
      for (size_t i = rank; i-- > 0 && ++index[i] == from.shape[i];) index[i] = 0;
    }
    mask.buffer = l.floats(turned).buffer;
    mask.shape = from.shape, mask.strides = row_major(from.shape);
  }
  return transposed(mask, perm);
}

bool emit_attention(Lowering& l, const Operands& o, std::optional<View> mask, AttentionArgs args) {
  args.set = &l.set();
  args.batch = o.q.shape[0], args.heads = o.q.shape[1];
  kernels::Attention& head = args.head;
  head.m = o.q.shape[2], head.e = o.q.shape[3], head.s = o.k.shape[2], head.f = o.v.shape[3];
  if (head.s == 0 || o.k.shape[1] == 0) return false;
  args.group = args.heads / o.k.shape[1];
  head.q_row = o.q.strides[2], head.k_row = o.k.strides[2], head.v_row = o.v.strides[2], head.y_row = o.y.strides[2];
  args.y = {o.y.strides[0], o.y.strides[1]}, args.q = {o.q.strides[0], o.q.strides[1]};
  args.k = {o.k.strides[0], o.k.strides[1]}, args.v = {o.v.strides[0], o.v.strides[1]};
  if (mask) {
    const View whole = broadcast_to(*mask, {args.batch, args.heads, head.m, head.s});
    args.mask = {whole.strides[0], whole.strides[1]};
    head.mask_query = whole.strides[2], head.mask_key = whole.strides[3];
  }
  args.pieces = std::clamp<int64_t>(l.threads(), 1, std::max<int64_t>(args.batch * args.heads, 1));
  args.work_size = l.set().attention_work_size(head.e, head.s);
  const View work = l.scratch(Type::kFloat32, {args.pieces, args.work_size});
  l.emit(run_attention, "attention", args, {&o.y, &o.q, &o.k, &o.v, mask ? &*mask : nullptr, &work});
  return true;
}

// hayate.Attention: q, k and v of one rank.
bool attention(Lowering& l, const Node& node) {
  if (!all_floats(l, node) || l.type(node.inputs[0]).shape.size() > 4) return false;
  if (l.type(node.inputs[1]).shape.end()[-2] == 0) return false;
  std::optional<View> mask;
  if (!node.input(3).empty() && !(mask = turned_mask(l, node.input(3)))) return false;
  const auto operand = [&](size_t i) { return four_axes(consecutive(l, l.view(node.inputs[i]))); };
  AttentionArgs args;
  args.head.scale = node.get<float>("scale", 1);
  const View q = operand(0), k = operand(1), v = operand(2);
  return emit_attention(l, {q, k, v, four_axes(make_beside(l, node.outputs[0]))}, mask, args);
}

// What of the standard's Attention has a kernel: no past, no cap, no window, scores not asked for.
bool is_simple(const Lowering& l, const Node& node) {
  for (size_t i = 1; i < node.outputs.size(); ++i)
    if (!node.outputs[i].empty()) return false;
  for (size_t i = 4; i < node.inputs.size(); ++i)
    if (!node.inputs[i].empty()) return false;
  for (size_t i = 0; i < 3; ++i)
    if (l.type(node.inputs[i]).type != Type::kFloat32) return false;
  return node.get<float>("softcap", 0) == 0 && node.get<int64_t>("left_window_size", -1) < 0 &&
         node.get<int64_t>("right_window_size", -1) < 0;
}

bool standard_attention(Lowering& l, const Node& node) {
  if (!is_simple(l, node)) return false;
  const bool flat = l.type(node.inputs[0]).shape.size() == 3;
  const int64_t places = l.type(node.inputs[1]).shape[flat ? 1 : 2];
  std::optional<View> mask;
  if (places == 0) return false;
  if (!node.input(3).empty()) {
    if (l.type(node.input(3)).shape.back() != places) return false;  // a shorter one
    if (!(mask = turned_mask(l, node.input(3)))) return false;
  }
  const int64_t heads = node.get<int64_t>("q_num_heads", 1), kv_heads = node.get<int64_t>("kv_num_heads", 1);
  const auto operand = [&](size_t i, int64_t count) {
    const View x = consecutive(l, l.view(node.inputs[i]));
    return flat ? split_heads(x, count) : x;
  };
  AttentionArgs args;
  args.head.causal = node.get<int64_t>("is_causal", 0) != 0, args.head.blind_is_zero = true;
  const View q = operand(0, heads), k = operand(1, kv_heads), v = operand(2, kv_heads);
  const float given = node.get<float>("scale", 0);
  args.head.scale = given != 0 ? given : 1 / std::sqrt(static_cast<float>(q.shape[3]));
  const View y = flat ? split_heads(l.make(node.outputs[0]), heads) : make_beside(l, node.outputs[0]);
  return emit_attention(l, {q, k, v, y}, mask, args);
}

}  // namespace

void add_attention_lowers(LowerTable* table) {
  table->insert({{"Attention", standard_attention}, {"hayate.Attention", attention}});
}

}  // namespace hayate::native
