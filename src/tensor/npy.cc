#include "tensor/npy.h"

#include <fmt/format.h>
#include <zip.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <memory>

#include "base/memory_budget.h"
#include "tensor/bools.h"

namespace hayate {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

struct Descr {
  std::string_view text;
  Type type;
};
constexpr Descr kDescrs[] = {{"<f4", Type::kFloat32}, {"<f8", Type::kFloat64}, {"<f2", Type::kFloat16},
                             {"|i1", Type::kInt8},    {"|u1", Type::kUInt8},   {"<i2", Type::kInt16},
                             {"<u2", Type::kUInt16},  {"<i4", Type::kInt32},   {"<u4", Type::kUInt32},
                             {"<i8", Type::kInt64},   {"<u8", Type::kUInt64},  {"|b1", Type::kBool}};

// The text after `'key':` in the header's Python dictionary, blanks skipped; empty where the key is absent.
std::string_view after_key(std::string_view header, std::string_view key) {
  const size_t at = header.find(fmt::format("'{}':", key));
  if (at == std::string_view::npos) return {};
  header.remove_prefix(at + key.size() + 3);
  const size_t start = header.find_first_not_of(' ');
  return start == std::string_view::npos ? std::string_view{} : header.substr(start);
}

Result<Tensor> from_fortran_order(const Tensor& in, const std::string& where) {
  Result<Tensor> made = Tensor::make(in.type(), in.shape(), where);
  if (!made.ok()) return made;
  Tensor& out = made.value();
  const size_t size = type_size(in.type());
  Shape index(in.shape().size(), 0);
  for (int64_t i = 0; i < out.count(); ++i) {
    int64_t source = 0;
    for (size_t axis = index.size(); axis-- > 0;) source = source * in.shape()[axis] + index[axis];
    std::memcpy(out.bytes() + i * size, in.bytes() + source * size, size);
    for (size_t axis = index.size(); axis-- > 0 && ++index[axis] == in.shape()[axis];) index[axis] = 0;
  }
  return made;
}

Error bad(const std::string& where, std::string what) { return Error{Code::kInvalidArgument, where, std::move(what)}; }

struct Header {
  Type type;
  Shape shape;
  bool fortran_order = false;
  size_t needed = 0;  // bytes of data
};

constexpr size_t kHeaderMax = 1 << 16;  // bytes; those of 64 axes take about 1,500
constexpr size_t kRankMax = 64;         // NumPy's own

// Where the data begin: behind the header whose length the first 12 bytes say.
Result<size_t> data_at(std::string_view bytes, const std::string& where) {
  if (!bytes.starts_with(kMagic) || bytes.size() < 12) return bad(where, "not a .npy array (no NUMPY magic)");
  const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(bytes[i])); };
  const size_t version = byte(6);
  if (version < 1 || version > 3) return bad(where, fmt::format(".npy version {}; versions 1 to 3 are read", version));
  const size_t length = byte(8) | byte(9) << 8 | (version == 1 ? 0 : byte(10) << 16 | byte(11) << 24);
  if (length > kHeaderMax)
    return bad(where, fmt::format("its header has {} bytes; at most {} are read", length, kHeaderMax));
  return (version == 1 ? 10 : 12) + length;
}

Result<Shape> parse_shape(std::string_view dims, const std::string& where) {
  if (!dims.starts_with("(") || dims.find(')') == std::string_view::npos) return bad(where, "header without a shape");
  dims = dims.substr(1, dims.find(')') - 1);
  Shape shape;
  for (;;) {
    const size_t start = dims.find_first_not_of(", L");
    if (start == std::string_view::npos) break;
    int64_t extent = 0;
    const auto parsed = std::from_chars(dims.data() + start, dims.data() + dims.size(), extent);
    if (parsed.ec != std::errc{} || shape.size() == kRankMax) return bad(where, "header with an unreadable shape");
    shape.push_back(extent);
    dims.remove_prefix(static_cast<size_t>(parsed.ptr - dims.data()));
  }
  return shape;
}

// `text` is the header's dictionary.
Result<Header> parse_header(std::string_view text, const std::string& where) {
  const std::string_view descr = after_key(text, "descr");
  const Descr* found = nullptr;
  for (const Descr& candidate : kDescrs)
    if (descr.size() > 4 && descr.substr(1).starts_with(candidate.text)) found = &candidate;
  if (found == nullptr)
    return bad(where, fmt::format("dtype {} is not read; accepted: little-endian floats, integers and bool",
                                  descr.substr(0, std::min<size_t>(descr.find(','), 20))));
  Result<Shape> shape = parse_shape(after_key(text, "shape"), where);
  if (!shape.ok()) return shape.error();
  const Result<int64_t> count = checked_count(shape.value());
  if (!count.ok()) return bad(where, count.error().what);
  return Header{found->type, std::move(shape).value(), after_key(text, "fortran_order").starts_with("True"),
                static_cast<size_t>(count.value()) * type_size(found->type)};
}

Error short_of(const Header& header, size_t there, const std::string& where) {
  return bad(where, fmt::format("truncated: {} bytes of data where shape {} needs {}", there, shape_text(header.shape),
                                header.needed));
}

// `tensor` holds the data as they came.
Result<Tensor> finished(const Header& header, Tensor tensor, const std::string& where) {
  clean_bools(&tensor);
  if (header.fortran_order) return from_fortran_order(tensor, where);
  return tensor;
}

}  // namespace

Result<Tensor> parse_npy(std::string_view bytes, const std::string& where) {
  const Result<size_t> at = data_at(bytes, where);
  if (!at.ok()) return at.error();
  if (bytes.size() < at.value()) return bad(where, "truncated in the header");
  const Result<Header> header = parse_header(bytes.substr(0, at.value()), where);
  if (!header.ok()) return header.error();
  const std::string_view data = bytes.substr(at.value());
  if (data.size() < header.value().needed) return short_of(header.value(), data.size(), where);
  Result<Tensor> tensor = Tensor::make(header.value().type, header.value().shape, where);
  if (!tensor.ok()) return tensor;
  if (header.value().needed != 0) std::memcpy(tensor.value().bytes(), data.data(), header.value().needed);
  return finished(header.value(), std::move(tensor).value(), where);
}

std::string render_npy(const Tensor& tensor) {
  std::string_view descr = "<u2";  // bfloat16 has no NumPy name: its bits
  for (const Descr& candidate : kDescrs)
    if (candidate.type == tensor.type()) descr = candidate.text;
  std::string dims;
  for (const int64_t extent : tensor.shape()) dims += fmt::format("{}, ", extent);
  if (tensor.rank() > 1) dims.resize(dims.size() - 2);
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr, dims);
  header.append(64 - (10 + header.size() + 1) % 64, ' ');
  header += '\n';
  std::string out(kMagic);
  out += {'\x01', '\x00', static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};
  out += header;
  out.append(reinterpret_cast<const char*>(tensor.bytes()), tensor.byte_count());
  return out;
}

namespace {

using Archive = std::unique_ptr<zip_t, decltype(&zip_discard)>;
using Entry = std::unique_ptr<zip_file_t, decltype(&zip_fclose)>;

// Exactly `n` bytes, or fewer where the entry ends; an error where it is broken.
Result<size_t> read_entry(zip_file_t* file, void* to, size_t n, const std::string& where) {
  size_t done = 0;
  while (done < n) {
    const zip_int64_t got = zip_fread(file, static_cast<std::byte*>(to) + done, n - done);
    if (got < 0) return bad(where, zip_file_strerror(file));
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

// `size` is what the archive says of the entry. It is believed only where it refuses: data are read as they come.
Result<Tensor> read_array(zip_file_t* file, size_t size, const std::string& where) {
  char head[12 + kHeaderMax];
  const Result<size_t> first = read_entry(file, head, 12, where);
  if (!first.ok()) return first.error();
  const Result<size_t> at = data_at({head, first.value()}, where);
  if (!at.ok()) return at.error();
  const Result<size_t> rest = read_entry(file, head + 12, at.value() - std::min<size_t>(at.value(), 12), where);
  if (!rest.ok()) return rest.error();
  if (12 + rest.value() < at.value()) return bad(where, "truncated in the header");
  const Result<Header> header = parse_header({head, at.value()}, where);
  if (!header.ok()) return header.error();
  const size_t needed = header.value().needed, there = size - std::min(size, at.value());
  if (there < needed) return short_of(header.value(), there, where);
  Result<Tensor> tensor = Tensor::make(header.value().type, header.value().shape, where);
  if (!tensor.ok()) return tensor;
  const Result<size_t> got = read_entry(file, tensor.value().bytes(), needed, where);
  if (!got.ok()) return got.error();
  if (got.value() < needed) return short_of(header.value(), got.value(), where);
  char behind = 0;  // asking for what follows makes libzip compare the entry's checksum
  if (const Result<size_t> end = read_entry(file, &behind, 1, where); !end.ok()) return end.error();
  return finished(header.value(), std::move(tensor).value(), where);
}

Result<NamedTensors> read_archive(zip_t* archive, const std::string& path) {
  NamedTensors tensors;
  const zip_int64_t entries = zip_get_num_entries(archive, 0);
  for (zip_int64_t i = 0; i < entries; ++i) {
    zip_stat_t stat;
    if (zip_stat_index(archive, i, 0, &stat) != 0 || (stat.valid & ZIP_STAT_NAME) == 0 ||
        (stat.valid & ZIP_STAT_SIZE) == 0)
      return bad(path, "broken zip entry");
    std::string name = stat.name;
    const std::string where = fmt::format("{}: array '{}'", path, name);
    const Entry file(zip_fopen_index(archive, i, 0), &zip_fclose);
    if (!file) return bad(where, zip_strerror(archive));
    Result<Tensor> tensor = read_array(file.get(), stat.size, where);
    if (!tensor.ok()) return tensor.error();
    if (name.ends_with(".npy")) name.resize(name.size() - 4);
    if (!tensors.emplace(std::move(name), std::move(tensor).value()).second) return bad(where, "is there twice");
  }
  return tensors;
}

}  // namespace

Result<NamedTensors> parse_npz(std::string_view bytes, const std::string& where) {
  if (bytes.empty()) return bad(where, "not an .npz archive (empty)");  // to libzip an archive of nothing
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
  const Archive archive(source == nullptr ? nullptr : zip_open_from_source(source, ZIP_RDONLY, &error), &zip_discard);
  if (!archive) {
    Error failed = bad(where, fmt::format("not an .npz archive ({})", zip_error_strerror(&error)));
    zip_source_free(source);  // an archive that opened owns it
    zip_error_fini(&error);
    return failed;
  }
  zip_error_fini(&error);
  return read_archive(archive.get(), where);
}

Result<NamedTensors> read_npz(const std::string& path) {
  const Result<std::string> bytes = read_file(path);
  if (!bytes.ok()) return bytes.error();
  const MemoryClaim claim(static_cast<int64_t>(bytes.value().size()));
  return parse_npz(bytes.value(), path);
}

Result<bool> write_npz(const std::string& path, const NamedTensors& tensors) {
  std::error_code ignored;
  if (const auto there = std::filesystem::status(path, ignored); exists(there) && !is_regular_file(there))
    return bad(path, "cannot be written: it is a folder or a device; a file is needed");
  int code = 0;
  // libzip writes a temporary file beside `path` and renames it over `path` when it is whole.
  zip_t* archive = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code);
  if (archive == nullptr) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);  // with the system's errno, where it is the system that refused
    Error failed = bad(path, fmt::format("cannot be written ({})", zip_error_strerror(&error)));
    zip_error_fini(&error);
    return failed;
  }
  std::vector<std::string> rendered;  // libzip reads the buffers at zip_close
  rendered.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) {
    const std::string& bytes = rendered.emplace_back(render_npy(tensor));
    zip_source_t* source = zip_source_buffer(archive, bytes.data(), bytes.size(), 0);
    const zip_int64_t index =
        source == nullptr ? -1 : zip_file_add(archive, (name + ".npy").c_str(), source, ZIP_FL_ENC_UTF_8);
    if (index < 0 || zip_set_file_compression(archive, index, ZIP_CM_STORE, 0) != 0) {
      Error error{Code::kInvalidArgument, path, fmt::format("array '{}': {}", name, zip_strerror(archive))};
      if (index < 0 && source != nullptr) zip_source_free(source);
      zip_discard(archive);
      return error;
    }
  }
  if (zip_close(archive) != 0) {
    Error error = bad(path, fmt::format("cannot be written ({})", zip_strerror(archive)));
    zip_discard(archive);
    return error;
  }
  return true;
}

}  // namespace hayate
