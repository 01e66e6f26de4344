#include "import/onnx/parsed_size.h"

#include <string>

#include "onnx.pb.h"

namespace hayate {
namespace {

namespace schema = onnx_schema;

constexpr int64_t kBlock = 32;   // bytes of a pointer to an object and of the allocator's own
constexpr int kDepthMax = 100;   // protobuf's own limit of nesting
constexpr int64_t kGrowing = 3;  // a list of numbers that doubles: the old elements beside twice as many

enum Kind : uint8_t {
  kModel,
  kGraph,
  kNode,
  kAttribute,
  kTensor,
  kSparse,
  kValueInfo,
  kType,
  kTensorType,
  kShape,
  kDim,
  kFunction,
  kOpset,
  kEntry,
  kText,     // or what the schema does not know
  kNumbers,  // packed varints
  kFloats    // packed, of fixed size
};

struct Field {
  Kind in;
  uint32_t number;
  Kind kind;
};

// Fields of the schema that are not text: whatever else has a length is taken for one, known or not.
constexpr Field kFields[] = {
    {kModel, 7, kGraph},       {kModel, 8, kOpset},        {kModel, 25, kFunction},  {kGraph, 1, kNode},
    {kGraph, 5, kTensor},      {kGraph, 11, kValueInfo},   {kGraph, 12, kValueInfo}, {kGraph, 15, kSparse},
    {kNode, 5, kAttribute},    {kAttribute, 5, kTensor},   {kAttribute, 6, kGraph},  {kAttribute, 7, kFloats},
    {kAttribute, 8, kNumbers}, {kAttribute, 22, kSparse},  {kTensor, 1, kNumbers},   {kTensor, 4, kFloats},
    {kTensor, 5, kNumbers},    {kTensor, 7, kNumbers},     {kTensor, 10, kFloats},   {kTensor, 11, kNumbers},
    {kTensor, 3, kEntry},      {kTensor, 13, kEntry},      {kSparse, 1, kTensor},    {kSparse, 2, kTensor},
    {kSparse, 3, kNumbers},    {kValueInfo, 2, kType},     {kType, 1, kTensorType},  {kType, 4, kEntry},
    {kType, 5, kEntry},        {kTensorType, 2, kShape},   {kShape, 1, kDim},        {kFunction, 7, kNode},
    {kFunction, 9, kOpset},    {kFunction, 11, kAttribute}};

int64_t size_of(Kind kind) {
  switch (kind) {
    case kModel:
      return sizeof(schema::Model);
    case kGraph:
      return sizeof(schema::Graph);
    case kNode:
      return sizeof(schema::Node);
    case kAttribute:
      return sizeof(schema::Attribute);
    case kTensor:
      return sizeof(schema::Tensor);
    case kSparse:
      return sizeof(schema::SparseTensor);
    case kFunction:
      return sizeof(schema::Function);
    default:  // the small ones
      return sizeof(schema::TensorShape);
  }
}

Kind kind_of(Kind in, uint64_t number) {
  for (const Field& field : kFields)
    if (field.in == in && field.number == number) return field.kind;
  return kText;
}

class Scanner {
 public:
  int64_t message(std::string_view bytes, Kind kind, int depth) {
    int64_t total = size_of(kind) + kBlock;
    while (!bytes.empty()) {
      uint64_t tag = 0;
      if (!varint(&bytes, &tag)) return total;
      uint64_t value = 0;
      switch (tag & 7) {
        case 0:
          if (!varint(&bytes, &value)) return total;
          total += kGrowing * 8;  // an element of a list, or of the unknown
          break;
        case 1:
        case 5:
          if (bytes.size() < ((tag & 7) == 1 ? 8u : 4u)) return total;
          bytes.remove_prefix((tag & 7) == 1 ? 8 : 4);
          total += kGrowing * 8;
          break;
        case 2:
          if (!varint(&bytes, &value) || value > bytes.size()) return total;
          total += field(bytes.substr(0, value), kind_of(kind, tag >> 3), depth);
          bytes.remove_prefix(value);
          break;
        default:  // groups: none of the schema's
          return total;
      }
    }
    return total;
  }

 private:
  int64_t field(std::string_view bytes, Kind kind, int depth) {
    const int64_t size = static_cast<int64_t>(bytes.size());
    if (kind == kText) return static_cast<int64_t>(sizeof(std::string)) + kBlock + size;
    if (kind == kFloats) return size;  // of known length: no growing
    if (kind != kNumbers) return depth < kDepthMax ? message(bytes, kind, depth + 1) : 0;
    int64_t count = 0;
    for (const char c : bytes) count += (c & 0x80) == 0;
    return kGrowing * 8 * count;
  }

  static bool varint(std::string_view* bytes, uint64_t* value) {
    *value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      if (bytes->empty()) return false;
      const uint64_t part = static_cast<uint8_t>(bytes->front());
      bytes->remove_prefix(1);
      if (shift < 64) *value |= (part & 0x7f) << shift;
      if ((part & 0x80) == 0) return true;
    }
    return false;
  }
};

}  // namespace

int64_t parsed_model_size(std::string_view bytes) { return Scanner().message(bytes, kModel, 0); }

}  // namespace hayate
