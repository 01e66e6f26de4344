#include "import/onnx/tensor_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "graph/op_table.h"
#include "import/onnx/external_data.h"
#include "import/onnx/file_error.h"
#include "tensor/bools.h"

namespace hayate {
namespace {

namespace schema = onnx_schema;

// Copies a typed field of the message, narrowing int32_data to the element's type as the standard says.
template <typename T, typename Field>
bool copy_field(const Field& field, Tensor* tensor) {
  if (field.size() != tensor->count()) return false;
  T* out = reinterpret_cast<T*>(tensor->bytes());
  for (int i = 0; i < field.size(); ++i) out[i] = static_cast<T>(field[i]);
  return true;
}

bool copy_typed_data(const schema::Tensor& proto, Tensor* tensor) {
  switch (tensor->type()) {
    case Type::kFloat32:
      return copy_field<float>(proto.float_data(), tensor);
    case Type::kFloat64:
      return copy_field<double>(proto.double_data(), tensor);
    case Type::kInt64:
      return copy_field<int64_t>(proto.int64_data(), tensor);
    case Type::kUInt64:
      return copy_field<uint64_t>(proto.uint64_data(), tensor);
    case Type::kUInt32:
      return copy_field<uint32_t>(proto.uint64_data(), tensor);
    case Type::kInt32:
      return copy_field<int32_t>(proto.int32_data(), tensor);
    case Type::kInt16:
      return copy_field<int16_t>(proto.int32_data(), tensor);
    case Type::kInt8:
      return copy_field<int8_t>(proto.int32_data(), tensor);
    case Type::kUInt8:
      return copy_field<uint8_t>(proto.int32_data(), tensor);
    case Type::kBool:
      return copy_field<bool>(proto.int32_data(), tensor);
    case Type::kUInt16:
    case Type::kFloat16:
    case Type::kBFloat16:
      return copy_field<uint16_t>(proto.int32_data(), tensor);
  }
  return false;
}

Result<ExternalData> external_data_of(const schema::Tensor& proto, const std::string& where) {
  ExternalData data;
  for (const auto& entry : proto.external_data()) {
    if (entry.key() == "location") data.location = entry.value();
    int64_t* number = entry.key() == "offset" ? &data.offset : entry.key() == "length" ? &data.length : nullptr;
    if (number == nullptr) continue;
    const std::string& text = entry.value();
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), *number);
    if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size() || *number < 0)
      return bad(where, fmt::format("the {} of its external data is '{}'; a whole number of bytes is needed",
                                    entry.key(), text.substr(0, 40)));
  }
  return data;
}

Result<Tensor> external_tensor(const schema::Tensor& proto, Type type, const Shape& shape, int64_t bytes,
                               const TensorSource& source, const std::string& where) {
  const Result<ExternalData> data = external_data_of(proto, where);
  if (!data.ok()) return data.error();
  const auto& [location, offset, length] = data.value();
  if (!source.folder)
    return bad(where, fmt::format("its data lie in the external file '{}': load the model by its path", location),
               Code::kUnsupported);
  if (length >= 0 && length != bytes)
    return bad(where, fmt::format("shape {} of {} needs {} bytes, its external data have {}", shape_text(shape),
                                  type_name(type), bytes, length));
  const Result<ExternalFile> file = ExternalFile::open(*source.folder, location, where);
  if (!file.ok()) return file.error();
  const Result<bool> there = file.value().holds(offset, bytes);
  if (!there.ok()) return there.error();
  Result<Tensor> tensor = Tensor::make(type, shape, where);
  if (!tensor.ok()) return tensor;
  const Result<bool> read = file.value().read(offset, bytes, tensor.value().bytes());
  if (!read.ok()) return read.error();
  clean_bools(&tensor.value());
  return tensor;
}

}  // namespace

Result<Type> type_from_onnx(int32_t code, const std::string& where) {
  if (const std::optional<Type> type = type_from_code(code)) return *type;
  const std::string name = element_type_text(code);
  if (name == std::to_string(code))
    return bad(where, fmt::format("element type {} is none of the ONNX standard", code));
  return bad(where, fmt::format("element type {} is not supported", name), Code::kUnsupported);
}

Result<Tensor> tensor_from(const schema::Tensor& proto, const TensorSource& source, const std::string& where) {
  const Result<Type> type = type_from_onnx(proto.data_type(), where);
  if (!type.ok()) return type.error();
  if (proto.has_segment()) return bad(where, "is one segment of a tensor; whole tensors are read", Code::kUnsupported);
  const Shape shape(proto.dims().begin(), proto.dims().end());
  const Result<int64_t> count = checked_count(shape);
  if (!count.ok()) return bad(where, count.error().what, count.error().code);
  const int64_t size = static_cast<int64_t>(type_size(type.value())), needed = count.value() * size;
  if (proto.data_location() == 1) return external_tensor(proto, type.value(), shape, needed, source, where);
  const int64_t listed = std::max({proto.float_data_size(), proto.int32_data_size(), proto.int64_data_size(),
                                   proto.double_data_size(), proto.uint64_data_size()});
  const int64_t raw = static_cast<int64_t>(proto.raw_data().size());
  // Checked before the tensor is allocated: a few bytes of file must not claim gigabytes.
  if (proto.has_raw_data() ? raw != needed : listed != count.value())
    return bad(where, fmt::format("shape {} of {} needs {} values, {} are there", shape_text(shape),
                                  type_name(type.value()), count.value(), proto.has_raw_data() ? raw / size : listed));
  Result<Tensor> tensor = Tensor::make(type.value(), shape, where);
  if (!tensor.ok()) return tensor;
  if (proto.has_raw_data()) {
    if (needed != 0) std::memcpy(tensor.value().bytes(), proto.raw_data().data(), static_cast<size_t>(needed));
    clean_bools(&tensor.value());
  } else if (!copy_typed_data(proto, &tensor.value())) {
    return bad(where, "its values are listed under another type than it declares");
  }
  return tensor;
}

Result<Tensor> dense_from(const schema::SparseTensor& proto, const TensorSource& source, const std::string& where) {
  const Result<Tensor> values = tensor_from(proto.values(), source, where + ": values"),
                       indices = tensor_from(proto.indices(), source, where + ": indices");
  if (!values.ok()) return values.error();
  if (!indices.ok()) return indices.error();
  const Shape shape(proto.dims().begin(), proto.dims().end());
  const int64_t listed = values.value().count(), rank = static_cast<int64_t>(shape.size());
  const Tensor& at = indices.value();
  const bool flat = at.shape() == Shape{listed};
  if (values.value().rank() != 1 || at.type() != Type::kInt64 || (!flat && at.shape() != Shape{listed, rank}))
    return bad(where,
               fmt::format("needs values [n] and int64 indices [n] or [n, {}]; it has values {} and {} indices {}",
                           rank, shape_text(values.value().shape()), type_name(at.type()), shape_text(at.shape())));
  Result<Tensor> dense = Tensor::make(values.value().type(), shape, where);
  if (!dense.ok()) return dense;
  const size_t size = type_size(values.value().type());
  int64_t before = -1;
  for (int64_t i = 0; i < listed; ++i) {
    int64_t place = flat ? at.data<int64_t>()[i] : 0;
    bool inside = place >= 0 && place < dense.value().count();
    for (int64_t k = 0; !flat && k < rank; ++k) {
      const int64_t index = at.data<int64_t>()[i * rank + k];
      inside = inside && index >= 0 && index < shape[k];
      if (inside) place = place * shape[k] + index;
    }
    if (!inside) return bad(where, fmt::format("index {} lies outside of shape {}", i, shape_text(shape)));
    if (place <= before) return bad(where, fmt::format("index {} is not above the one before it", i));
    std::memcpy(dense.value().bytes() + place * static_cast<int64_t>(size),
                values.value().bytes() + i * static_cast<int64_t>(size), size);
    before = place;
  }
  return dense;
}

}  // namespace hayate
