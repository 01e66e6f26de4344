// Operators on the bits of integers.
#include <type_traits>

#include "eval/kernel.h"
#include "kernels/reference/loops.h"

namespace hayate {
namespace {

namespace ref = kernels::reference;

// y = f(a, b) with broadcasting, over integers.
template <typename F>
Result<bool> zip_integers(const KernelContext& c, F&& f) {
  Tensor& y = *c.outputs[0];
  const ref::Extents strides[2] = {ref::broadcast_strides(c.inputs[0]->shape(), y.shape()),
                                   ref::broadcast_strides(c.inputs[1]->shape(), y.shape())};
  visit_type(y.type(), [&]<typename T>() {
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
      ref::for_each_element(y.shape(), strides, [&](int64_t i, const int64_t* at) {
        y.data<T>()[i] = static_cast<T>(f(c.inputs[0]->data<T>()[at[0]], c.inputs[1]->data<T>()[at[1]]));
      });
  });
  return true;
}

Result<bool> bitwise_and(const KernelContext& c) {
  return zip_integers(c, [](auto a, auto b) { return a & b; });
}
Result<bool> bitwise_or(const KernelContext& c) {
  return zip_integers(c, [](auto a, auto b) { return a | b; });
}
Result<bool> bitwise_xor(const KernelContext& c) {
  return zip_integers(c, [](auto a, auto b) { return a ^ b; });
}

Result<bool> bitwise_not(const KernelContext& c) {
  const Tensor& x = *c.inputs[0];
  for (size_t i = 0; i < x.byte_count(); ++i) c.outputs[0]->bytes()[i] = ~x.bytes()[i];
  return true;
}

// A shift by less than 0 or by the width and more leaves what the sign fills in: -1 right of a negative value, else 0.
template <typename T>
T shifted(T value, T by, bool left) {
  if (by < T{} || static_cast<uint64_t>(by) >= 8 * sizeof(T)) return !left && value < T{} ? static_cast<T>(-1) : T{};
  return static_cast<T>(left ? static_cast<uint64_t>(value) << by : value >> by);
}

Result<bool> bit_shift(const KernelContext& c) {
  const bool left = c.node.get<std::string>("direction", "") == "LEFT";
  return zip_integers(c, [left]<typename T>(T value, T by) { return shifted(value, by, left); });
}

}  // namespace

void add_bits_kernels(std::vector<KernelEntry>* table) {
  table->push_back({"", "BitwiseAnd", bitwise_and});
  table->push_back({"", "BitwiseOr", bitwise_or});
  table->push_back({"", "BitwiseXor", bitwise_xor});
  table->push_back({"", "BitwiseNot", bitwise_not});
  table->push_back({"", "BitShift", bit_shift});
}

}  // namespace hayate
