// A dense, row-major tensor: type, shape and bytes. Copies share the bytes; only who made them writes them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "hayate/result.h"

namespace hayate {

enum class Type : uint8_t {
  kFloat32,
  kFloat64,
  kFloat16,
  kBFloat16,
  kInt8,
  kUInt8,
  kInt16,
  kUInt16,
  kInt32,
  kUInt32,
  kInt64,
  kUInt64,
  kBool
};

const char* type_name(Type type);  // "float32" ...
size_t type_size(Type type);       // bytes of one element

constexpr bool is_half_float(Type type) { return type == Type::kFloat16 || type == Type::kBFloat16; }

using Shape = std::vector<int64_t>;

std::string shape_text(const Shape& shape);  // "[2, 3]"

// Number of elements (1 for a scalar), or an error where an extent is negative or the bytes would pass 2^40.
Result<int64_t> checked_count(const Shape& shape);

template <typename T>
constexpr Type type_of();
template <>
constexpr Type type_of<float>() {
  return Type::kFloat32;
}
template <>
constexpr Type type_of<double>() {
  return Type::kFloat64;
}
template <>
constexpr Type type_of<int8_t>() {
  return Type::kInt8;
}
template <>
constexpr Type type_of<uint8_t>() {
  return Type::kUInt8;
}
template <>
constexpr Type type_of<int16_t>() {
  return Type::kInt16;
}
template <>
constexpr Type type_of<uint16_t>() {
  return Type::kUInt16;
}
template <>
constexpr Type type_of<int32_t>() {
  return Type::kInt32;
}
template <>
constexpr Type type_of<uint32_t>() {
  return Type::kUInt32;
}
template <>
constexpr Type type_of<int64_t>() {
  return Type::kInt64;
}
template <>
constexpr Type type_of<uint64_t>() {
  return Type::kUInt64;
}
template <>
constexpr Type type_of<bool>() {
  return Type::kBool;
}

class Tensor {
 public:
  Tensor() : Tensor(Type::kFloat32, {0}) {}
  // Zeros, 64-byte aligned. Requires: checked_count(shape) is good.
  Tensor(Type type, Shape shape);
  // The same where the shape comes from outside: an error that starts with `where`, before anything is allocated, if it
  // is none or passes the memory limit.
  static Result<Tensor> make(Type type, Shape shape, const std::string& where);
  // Only the check.
  static Result<bool> fits(Type type, const Shape& shape, const std::string& where);
  // Over somebody else's memory, which must outlive the tensor and its copies.
  Tensor(Type type, Shape shape, std::byte* memory);

  template <typename T>
  static Tensor of(Shape shape, const std::vector<T>& values) {
    Tensor tensor(type_of<T>(), std::move(shape));
    assert(tensor.count() == static_cast<int64_t>(values.size()));
    for (size_t i = 0; i < values.size(); ++i) tensor.data<T>()[i] = values[i];
    return tensor;
  }

  Type type() const { return type_; }
  const Shape& shape() const { return shape_; }
  int rank() const { return static_cast<int>(shape_.size()); }
  int64_t count() const { return count_; }
  size_t byte_count() const { return static_cast<size_t>(count_) * type_size(type_); }

  // Requires: T is the element's type (float16 and bfloat16 read as uint16_t bits through `bytes`).
  template <typename T>
  T* data() {
    assert(type_of<T>() == type_);
    return reinterpret_cast<T*>(bytes());
  }
  template <typename T>
  const T* data() const {
    assert(type_of<T>() == type_);
    return reinterpret_cast<const T*>(bytes());
  }
  std::byte* bytes() { return bytes_.get(); }
  const std::byte* bytes() const { return bytes_.get(); }

  // The same bytes under another shape. Requires: an equal count.
  Tensor reshaped(Shape shape) const;

 private:
  Type type_;
  Shape shape_;
  int64_t count_ = 0;
  std::shared_ptr<std::byte> bytes_;
};

// The elements as integers or doubles whatever numeric type they have (16-bit floats too). For attributes and tests.
std::vector<int64_t> to_int64s(const Tensor& tensor);
std::vector<double> to_doubles(const Tensor& tensor);
// Exact of integers within int64; what lies outside, and floats, become the nearest towards 0, NaN 0.
std::vector<int64_t> to_integers(const Tensor& tensor);

float float_from_half(uint16_t bits);
float float_from_bfloat(uint16_t bits);
uint16_t half_from_float(float value);    // to nearest, ties to even
uint16_t bfloat_from_float(float value);  // to nearest, ties to even

// A 16-bit float tensor as float64, and its values rounded back. Requires: equal counts, is_half on the 16-bit side.
Tensor halves_to_doubles(const Tensor& half);
void doubles_to_halves(const Tensor& wide, Tensor* half);

// Calls f.template operator()<T>() with the C++ type of `type`. False, f not called, for the 16-bit floats.
template <typename F>
bool visit_type(Type type, F&& f) {
  switch (type) {
    case Type::kFloat32:
      f.template operator()<float>();
      return true;
    case Type::kFloat64:
      f.template operator()<double>();
      return true;
    case Type::kInt8:
      f.template operator()<int8_t>();
      return true;
    case Type::kUInt8:
      f.template operator()<uint8_t>();
      return true;
    case Type::kInt16:
      f.template operator()<int16_t>();
      return true;
    case Type::kUInt16:
      f.template operator()<uint16_t>();
      return true;
    case Type::kInt32:
      f.template operator()<int32_t>();
      return true;
    case Type::kUInt32:
      f.template operator()<uint32_t>();
      return true;
    case Type::kInt64:
      f.template operator()<int64_t>();
      return true;
    case Type::kUInt64:
      f.template operator()<uint64_t>();
      return true;
    case Type::kBool:
      f.template operator()<bool>();
      return true;
    case Type::kFloat16:
    case Type::kBFloat16:
      return false;
  }
  return false;
}

}  // namespace hayate
