#include "tensor/tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>

#include "base/memory_budget.h"

namespace hayate {

const char* type_name(Type type) {
  static constexpr const char* kNames[] = {"float32", "float64", "float16", "bfloat16", "int8",   "uint8", "int16",
                                           "uint16",  "int32",   "uint32",  "int64",    "uint64", "bool"};
  return kNames[static_cast<int>(type)];
}

size_t type_size(Type type) {
  static constexpr uint8_t kSizes[] = {4, 8, 2, 2, 1, 1, 2, 2, 4, 4, 8, 8, 1};
  return kSizes[static_cast<int>(type)];
}

std::string shape_text(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

Result<int64_t> checked_count(const Shape& shape) {
  constexpr int64_t kElementsMax = int64_t{1} << 37;  // 2^40 bytes of the widest type
  constexpr size_t kRankMax = 64;                     // NumPy's; its files hold no more
  if (shape.size() > kRankMax)
    return Error{Code::kInvalidArgument, "",
                 fmt::format("a shape has {} axes; up to {} are accepted", shape.size(), kRankMax)};
  int64_t count = 1;
  for (const int64_t extent : shape) {
    if (extent < 0)
      return Error{Code::kInvalidArgument, "", fmt::format("shape {} has a negative extent", shape_text(shape))};
    if (extent != 0 && count > kElementsMax / extent)
      return Error{Code::kResourceExhausted, "",
                   fmt::format("shape {} is larger than 2^37 elements", shape_text(shape))};
    count *= extent;
  }
  return count;
}

namespace {

int64_t count_of(const Shape& shape) {
  const Result<int64_t> count = checked_count(shape);
  assert(count.ok());
  return count.value();
}

}  // namespace

Tensor::Tensor(Type type, Shape shape) : type_(type), shape_(std::move(shape)), count_(count_of(shape_)) {
  const size_t size = (byte_count() + 63) / 64 * 64;
  std::shared_ptr<MemoryBudget> budget = MemoryBudget::current();
  auto* bytes = static_cast<std::byte*>(::operator new (size == 0 ? 64 : size, std::align_val_t{64}));
  budget->add(static_cast<int64_t>(size));
  bytes_.reset(bytes, [budget = std::move(budget), size](std::byte* memory) {
    ::operator delete (memory, std::align_val_t{64});
    budget->remove(static_cast<int64_t>(size));
  });
  std::memset(bytes_.get(), 0, size);
}

Tensor::Tensor(Type type, Shape shape, std::byte* memory)
    : type_(type), shape_(std::move(shape)), count_(count_of(shape_)), bytes_(memory, [](std::byte*) {}) {}

Result<bool> Tensor::fits(Type type, const Shape& shape, const std::string& where) {
  const Result<int64_t> count = checked_count(shape);
  if (!count.ok()) return Error{count.error().code, where, count.error().what};
  return room_for(count.value() * static_cast<int64_t>(type_size(type)), where);
}

Result<Tensor> Tensor::make(Type type, Shape shape, const std::string& where) {
  const Result<bool> room = fits(type, shape, where);
  if (!room.ok()) return room.error();
  return Tensor(type, std::move(shape));
}

Tensor Tensor::reshaped(Shape shape) const {
  Tensor other = *this;
  assert(count_of(shape) == count_);
  other.shape_ = std::move(shape);
  return other;
}

namespace {

// A number that is no whole one of its range becomes the nearest; NaN 0.
template <typename Out, typename In>
Out as(In value) {
  if constexpr (std::is_integral_v<Out> && std::is_floating_point_v<In>) {
    if (!(value >= static_cast<In>(std::numeric_limits<Out>::min())))
      return value != value ? Out{0} : std::numeric_limits<Out>::min();
    // The upper end itself is no float: its neighbour above is.
    if (value >= -static_cast<In>(std::numeric_limits<Out>::min())) return std::numeric_limits<Out>::max();
  }
  return static_cast<Out>(value);
}

template <typename Out>
std::vector<Out> converted(const Tensor& tensor) {
  std::vector<Out> out(static_cast<size_t>(tensor.count()));
  const bool visited = visit_type(tensor.type(), [&]<typename T>() {
    for (size_t i = 0; i < out.size(); ++i) out[i] = as<Out>(tensor.data<T>()[i]);
  });
  if (visited) return out;
  const auto* bits = reinterpret_cast<const uint16_t*>(tensor.bytes());
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = as<Out>(tensor.type() == Type::kFloat16 ? float_from_half(bits[i]) : float_from_bfloat(bits[i]));
  return out;
}

}  // namespace

std::vector<int64_t> to_int64s(const Tensor& tensor) { return converted<int64_t>(tensor); }
std::vector<int64_t> to_integers(const Tensor& tensor) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  constexpr double kEdge = 9223372036854775808.0;  // 2^63
  std::vector<int64_t> made;
  if (tensor.type() == Type::kInt64) {
    made.assign(tensor.data<int64_t>(), tensor.data<int64_t>() + tensor.count());
  } else if (tensor.type() == Type::kUInt64) {
    for (int64_t i = 0; i < tensor.count(); ++i)
      made.push_back(static_cast<int64_t>(std::min(tensor.data<uint64_t>()[i], static_cast<uint64_t>(kMost))));
  } else {
    for (const double v : to_doubles(tensor))
      made.push_back(v != v       ? 0
                     : v >= kEdge ? kMost
                     : v < -kEdge ? std::numeric_limits<int64_t>::min()
                                  : static_cast<int64_t>(v));
  }
  return made;
}

std::vector<double> to_doubles(const Tensor& tensor) { return converted<double>(tensor); }

Tensor halves_to_doubles(const Tensor& half) {
  Tensor wide(Type::kFloat64, half.shape());
  const std::vector<double> values = to_doubles(half);
  std::copy(values.begin(), values.end(), wide.data<double>());
  return wide;
}

void doubles_to_halves(const Tensor& wide, Tensor* half) {
  auto* bits = reinterpret_cast<uint16_t*>(half->bytes());
  for (int64_t i = 0; i < wide.count(); ++i) {
    const float value = static_cast<float>(wide.data<double>()[i]);
    bits[i] = half->type() == Type::kFloat16 ? half_from_float(value) : bfloat_from_float(value);
  }
}

float float_from_bfloat(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

float float_from_half(uint16_t bits) {
  const uint32_t sign = (bits & 0x8000u) << 16, exponent = bits >> 10 & 31, fraction = bits & 0x3ffu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  const float value = std::ldexp(static_cast<float>(fraction), -24);
  return sign != 0 ? -value : value;
}

uint16_t bfloat_from_float(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);  // to nearest, ties to even
}

uint16_t half_from_float(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value), sign = bits >> 16 & 0x8000u;
  const float magnitude = std::fabs(value);
  if (std::isnan(value)) return static_cast<uint16_t>(sign | 0x7e00);
  if (magnitude >= 65520.0f) return static_cast<uint16_t>(sign | 0x7c00);  // rounds past the largest finite half
  if (magnitude < 0x1p-14f)                                                // subnormal: multiples of 2^-24
    return static_cast<uint16_t>(sign | static_cast<uint32_t>(std::nearbyint(std::ldexp(magnitude, 24))));
  const uint32_t rounded = (bits & 0x7fffffffu) + 0xfff + (bits >> 13 & 1);
  return static_cast<uint16_t>(sign | (rounded - (112u << 23)) >> 13);
}

}  // namespace hayate
