// Layers of fewer bits: what the graph says of their integers, their weights, and their inputs in the form they want.
#include <algorithm>
#include <cmath>

#include "backends/native/lowering.h"

namespace hayate::native {

using kernels::Narrow;

// QuantizeLinear and DequantizeLinear are lowered when somebody reads what they make: layers of integers take what
// stands before them.
void Lowering::defer_quantisers() {
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    const Node& node = graph_.nodes[i];
    if (!node.is("QuantizeLinear") && !node.is("DequantizeLinear")) continue;
    makers_[node.outputs[0]] = i;
    deferred_.insert(node.outputs[0]);
  }
}

const Node* Lowering::maker(const std::string& name, std::string_view op) const {
  const auto it = makers_.find(name);
  return it == makers_.end() || !graph_.nodes[it->second].is(op) ? nullptr : &graph_.nodes[it->second];
}

const Tensor* Lowering::dequantised(const std::string& name) const {
  if (const auto known = dequantised_.find(name); known != dequantised_.end()) return &known->second;
  const Node* node = maker(name, "DequantizeLinear");
  if (node == nullptr) return nullptr;
  std::vector<const Tensor*> inputs;
  for (const std::string& input : node->inputs) {
    inputs.push_back(constant(input));
    if (inputs.back() == nullptr && !input.empty()) return nullptr;
  }
  Result<std::vector<Tensor>> made = run_node(*node, graph_.opset_of(*node), inputs);
  if (!made.ok()) return nullptr;
  return &dequantised_.emplace(name, std::move(made.value()[0])).first->second;
}

std::optional<Integers> Lowering::integers_of(const Node& node, size_t w, int64_t axis) const {
  const Node* x = maker(node.input(0), "DequantizeLinear");
  if (x == nullptr) return std::nullopt;
  const Node* q = maker(x->inputs[0], "QuantizeLinear");
  if (q == nullptr || type(q->inputs[0]).type != Type::kFloat32 || type(node.input(0)).type != Type::kFloat32)
    return std::nullopt;
  const auto equal = [&](const std::string& a, const std::string& b) {
    const Tensor *one = constant(a), *other = constant(b);
    return a == b || (one != nullptr && other != nullptr && one->type() == other->type() &&
                      one->shape() == other->shape() && one->byte_count() == other->byte_count() &&
                      std::equal(one->bytes(), one->bytes() + one->byte_count(), other->bytes()));
  };
  const Tensor *scale = constant(q->input(1)), *zero = constant(q->input(2));
  if (scale == nullptr || scale->count() != 1 || scale->type() != Type::kFloat32 || !equal(q->input(1), x->input(1)) ||
      !equal(q->input(2), x->input(2)) || (!q->input(2).empty() && zero == nullptr))
    return std::nullopt;
  Integers made;
  made.x = q->inputs[0], made.x_scale = *scale->data<float>();
  const Type coded = type(x->inputs[0]).type;
  if (coded == Type::kUInt8)
    made.x_zero = zero == nullptr ? 0 : *zero->data<uint8_t>();
  else if (coded == Type::kInt8)
    made.x_zero = 128 + (zero == nullptr ? 0 : *zero->data<int8_t>());
  else
    return std::nullopt;
  if (!(made.x_scale > 0)) return std::nullopt;
  auto scales = weight_scales(node, w, axis);
  if (!scales) return std::nullopt;
  made.w_scales = std::move(*scales);
  return made;
}

std::optional<std::vector<float>> Lowering::weight_scales(const Node& node, size_t w, int64_t axis) const {
  const Node* weights = maker(node.input(w), "DequantizeLinear");
  if (weights == nullptr) return std::nullopt;
  const Tensor *values = constant(weights->inputs[0]), *scales = constant(weights->input(1)),
               *zeros = constant(weights->input(2));
  if (values == nullptr || values->type() != Type::kInt8 || scales == nullptr || scales->type() != Type::kFloat32 ||
      (!weights->input(2).empty() && zeros == nullptr) || weights->get<int64_t>("block_size", 0) != 0)
    return std::nullopt;
  if (zeros != nullptr &&
      !std::all_of(zeros->data<int8_t>(), zeros->data<int8_t>() + zeros->count(), [](int8_t v) { return v == 0; }))
    return std::nullopt;
  int64_t along = weights->get<int64_t>("axis", 1);
  if (along < 0) along += values->rank();
  const int64_t places = values->shape()[static_cast<size_t>(axis)];
  if (scales->count() == 1) return std::vector<float>(static_cast<size_t>(places), *scales->data<float>());
  if (along != axis || scales->count() != places) return std::nullopt;
  return std::vector<float>(scales->data<float>(), scales->data<float>() + places);
}

DenseWeights Lowering::float_weights(const float* w, int64_t k, int64_t n, int64_t k_stride, int64_t n_stride) {
  DenseWeights made{View(), 1, k, n, std::nullopt, 1, 0};
  const bool room = has_room_for_floats(set_.dense_packed_size(k, n));  // else lower() ends with the error
  kernels::AlignedVector<float> packed(room ? static_cast<size_t>(set_.dense_packed_size(k, n)) : 0);
  if (room) set_.dense_pack(w, k, n, k_stride, n_stride, packed.data());
  made.packed = kept_floats(std::move(packed));
  return made;
}

DenseWeights Lowering::weights(const float* w, int64_t segments, int64_t segment_length, int64_t n, int64_t k_stride,
                               int64_t n_stride, const Integers* integers) {
  DenseWeights made{View(), segments, segment_length, n, std::nullopt, 1, 0};
  const int64_t k = segments * segment_length;
  if (integers != nullptr) made.narrow = Narrow::kInt8;
  if (integers == nullptr && options_.bf16) made.narrow = Narrow::kBf16;
  if (!made.narrow) {
    made.packed = float_weights(w, k, n, k_stride, n_stride).packed;
    return made;
  }
  kernels::NarrowWeights from{segments, segment_length, n, k_stride, n_stride, w};
  std::vector<int8_t> whole;
  std::vector<float> scales;
  if (integers != nullptr) {
    made.x_scale = integers->x_scale, made.x_zero = integers->x_zero;
    for (int64_t c = 0; c < n; ++c) {
      const float scale = integers->w_scales[static_cast<size_t>(c)];
      scales.push_back(scale * integers->x_scale);
      for (int64_t p = 0; p < k; ++p) {
        const float value = scale == 0 ? 0.0f : std::nearbyint(w[p * k_stride + c * n_stride] / scale);
        whole.push_back(value != value ? int8_t{0} : static_cast<int8_t>(std::clamp(value, -128.0f, 127.0f)));
      }
    }
    from.w = whole.data(), from.scale = scales.data(), from.x_zero = integers->x_zero;
    from.k_stride = 1, from.n_stride = k;
  }
  program_.release = set_.release;
  const kernels::NarrowSet& narrow = set_.of(*made.narrow);
  const int64_t floats = (narrow.packed_bytes(from) + 3) / 4;
  const bool room = has_room_for_floats(floats);
  kernels::AlignedVector<float> packed(room ? static_cast<size_t>(floats) : 0);
  if (room) narrow.pack(from, packed.data());
  made.packed = kept_floats(std::move(packed));
  return made;
}

View Lowering::narrowed(const View& x, int64_t begin, int64_t count, const DenseWeights& weights) {
  View& made = narrowed_[{x.buffer, begin, count, static_cast<int>(*weights.narrow), weights.x_scale, weights.x_zero}];
  const bool int8 = *weights.narrow == Narrow::kInt8;
  if (made.buffer < 0) {
    made = scratch(int8 ? Type::kUInt8 : Type::kBFloat16, {count + 3});  // kernels may read so far past the end
    NarrowArgs args;
    args.set = &set_, args.narrow = *weights.narrow;
    args.call = {.n = count, .inverse_scale = 1 / weights.x_scale, .zero = static_cast<float>(weights.x_zero)};
    View from = x;
    from.offset = begin;
    emit(run_narrow, int8 ? "to_int8" : "to_bf16", args, {&made, &from});
  }
  View view = x;
  view.buffer = made.buffer, view.type = made.type, view.offset = x.offset - begin;
  return view;
}

// A layer of fewer bits whose answers are only ever narrowed for the next one narrows them as it stores: the floats
// between are never written. Their zero border becomes one of what stands for zero.
void Lowering::fuse_narrowing() {
  struct Touch {
    size_t step, operand;
  };
  std::map<int, std::vector<Touch>> touches;
  for (size_t s = 0; s < pending_.size(); ++s)
    for (size_t o = 0; o < pending_[s].operands.size(); ++o)
      if (pending_[s].operands[o].buffer >= 0) touches[pending_[s].operands[o].buffer].push_back({s, o});
  std::vector<bool> gone(pending_.size(), false);
  for (size_t n = 0; n < pending_.size(); ++n) {
    if (pending_[n].run != run_narrow) continue;
    const auto& narrowing = *static_cast<const NarrowArgs*>(pending_[n].args);
    const View to = pending_[n].operands[0], from = pending_[n].operands[1];
    if (buffers_[from.buffer].base != 0) continue;
    NarrowDenseArgs* maker = nullptr;
    bool alone = true;
    for (const Touch& touch : touches[from.buffer]) {
      const Pending& step = pending_[touch.step];
      if (touch.step == n || (step.run == run_fill && static_cast<const FillArgs*>(step.args)->zero)) continue;
      auto* dense = step.run == run_narrow_dense ? static_cast<NarrowDenseArgs*>(step.args) : nullptr;
      alone = alone && maker == nullptr && dense != nullptr && touch.operand == 1 && dense->narrow == narrowing.narrow;
      maker = dense;
    }
    if (!alone || maker == nullptr) continue;
    maker->narrow_y = true;
    maker->dense.y_inverse_scale = narrowing.call.inverse_scale, maker->dense.y_zero = narrowing.call.zero;
    // The narrow buffer takes the place of the wide one, element for element.
    buffers_[to.buffer].bytes = (buffers_[from.buffer].bytes / 4 + 3) * static_cast<int64_t>(type_size(to.type));
    for (const Touch& touch : touches[to.buffer]) pending_[touch.step].operands[touch.operand].offset += from.offset;
    for (const Touch& touch : touches[from.buffer]) {
      Pending& step = pending_[touch.step];
      View& view = step.operands[touch.operand];
      view.buffer = to.buffer, view.type = to.type;
      touches[to.buffer].push_back(touch);
      if (step.run != run_fill) continue;
      auto* fill = static_cast<FillArgs*>(step.args);
      fill->size = static_cast<int64_t>(type_size(to.type));
      fill->value[0] = static_cast<std::byte>(narrowing.call.zero);
      fill->zero = narrowing.call.zero == 0;
    }
    gone[n] = true;
  }
  std::vector<Pending> left;
  for (size_t s = 0; s < pending_.size(); ++s)
    if (!gone[s]) left.push_back(std::move(pending_[s]));
  pending_ = std::move(left);
}

}  // namespace hayate::native
