#include "tensor/npy.h"

#include <fmt/format.h>
#include <zip.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

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

Tensor from_fortran_order(const Tensor& in) {
  Tensor out(in.type(), in.shape());
  const size_t size = type_size(in.type());
  Shape index(in.shape().size(), 0);
  for (int64_t i = 0; i < out.count(); ++i) {
    int64_t source = 0;
    for (size_t axis = index.size(); axis-- > 0;) source = source * in.shape()[axis] + index[axis];
    std::memcpy(out.bytes() + i * size, in.bytes() + source * size, size);
    for (size_t axis = index.size(); axis-- > 0 && ++index[axis] == in.shape()[axis];) index[axis] = 0;
  }
  return out;
}

}  // namespace

Result<Tensor> parse_npy(std::string_view bytes, const std::string& where) {
  const auto bad = [&](std::string what) { return Error{Code::kInvalidArgument, where, std::move(what)}; };
  if (!bytes.starts_with(kMagic) || bytes.size() < 12) return bad("not a .npy array (no NUMPY magic)");
  const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(bytes[i])); };
  const size_t version = byte(6);
  if (version < 1 || version > 3) return bad(fmt::format(".npy version {}; versions 1 to 3 are read", version));
  const size_t prefix = version == 1 ? 10 : 12;
  const size_t length = byte(8) | byte(9) << 8 | (version == 1 ? 0 : byte(10) << 16 | byte(11) << 24);
  if (bytes.size() - prefix < length) return bad("truncated in the header");
  const std::string_view header = bytes.substr(prefix, length);
  const std::string_view data = bytes.substr(prefix + length);

  const std::string_view descr = after_key(header, "descr"), order = after_key(header, "fortran_order");
  std::string_view dims = after_key(header, "shape");
  const Descr* found = nullptr;
  for (const Descr& candidate : kDescrs)
    if (descr.size() > 4 && descr.substr(1).starts_with(candidate.text)) found = &candidate;
  if (found == nullptr)
    return bad(fmt::format("dtype {} is not read; accepted: little-endian floats, integers and bool",
                           descr.substr(0, std::min<size_t>(descr.find(','), 20))));
  if (!dims.starts_with("(") || dims.find(')') == std::string_view::npos) return bad("header without a shape");
  dims = dims.substr(1, dims.find(')') - 1);
  Shape shape;
  while (!dims.empty()) {
    const size_t start = dims.find_first_of("0123456789-");
    if (start == std::string_view::npos) break;
    int64_t extent = 0;
    const auto parsed = std::from_chars(dims.data() + start, dims.data() + dims.size(), extent);
    if (parsed.ec != std::errc{}) return bad("header with an unreadable shape");
    shape.push_back(extent);
    dims.remove_prefix(static_cast<size_t>(parsed.ptr - dims.data()));
  }
  const Result<int64_t> count = checked_count(shape);
  if (!count.ok()) return bad(count.error().what);
  const size_t needed = static_cast<size_t>(count.value()) * type_size(found->type);
  if (data.size() < needed)
    return bad(
        fmt::format("truncated: {} bytes of data where shape {} needs {}", data.size(), shape_text(shape), needed));
  Tensor tensor(found->type, shape);
  if (needed != 0) std::memcpy(tensor.bytes(), data.data(), needed);
  return order.starts_with("True") ? from_fortran_order(tensor) : tensor;
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

Result<std::string> read_file(const std::string& path) {
  if (std::filesystem::is_directory(path)) return Error{Code::kInvalidArgument, path, "is a folder; a file is needed"};
  std::ifstream in(path, std::ios::binary);
  if (!in) return Error{Code::kNotFound, path, std::strerror(errno)};
  std::ostringstream text;
  text << in.rdbuf();
  return std::move(text).str();
}

Result<NamedTensors> read_npz(const std::string& path) {
  const Result<std::string> exists = read_file(path);
  if (!exists.ok()) return exists.error();
  int code = 0;
  const std::unique_ptr<zip_t, decltype(&zip_discard)> archive(zip_open(path.c_str(), ZIP_RDONLY, &code), &zip_discard);
  if (!archive) return Error{Code::kInvalidArgument, path, fmt::format("not an .npz archive (zip error {})", code)};
  NamedTensors tensors;
  const zip_int64_t entries = zip_get_num_entries(archive.get(), 0);
  for (zip_int64_t i = 0; i < entries; ++i) {
    zip_stat_t stat;
    if (zip_stat_index(archive.get(), i, 0, &stat) != 0) return Error{Code::kInvalidArgument, path, "broken zip entry"};
    std::string name = stat.name, bytes;
    const std::string where = fmt::format("{}: array '{}'", path, name);
    const std::unique_ptr<zip_file_t, decltype(&zip_fclose)> file(zip_fopen_index(archive.get(), i, 0), &zip_fclose);
    if (!file) return Error{Code::kInvalidArgument, where, zip_strerror(archive.get())};
    char buffer[65536];  // read in pieces: the size the archive claims is not believed before it has come
    zip_int64_t n = 0;
    while ((n = zip_fread(file.get(), buffer, sizeof buffer)) > 0) bytes.append(buffer, static_cast<size_t>(n));
    if (n < 0) return Error{Code::kInvalidArgument, where, zip_file_strerror(file.get())};
    Result<Tensor> tensor = parse_npy(bytes, where);
    if (!tensor.ok()) return tensor.error();
    if (name.ends_with(".npy")) name.resize(name.size() - 4);
    tensors.emplace(std::move(name), std::move(tensor).value());
  }
  return tensors;
}

Result<bool> write_npz(const std::string& path, const NamedTensors& tensors) {
  int code = 0;
  // libzip writes a temporary file beside `path` and renames it over `path` when it is whole.
  zip_t* archive = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code);
  if (archive == nullptr)
    return Error{Code::kInvalidArgument, path, fmt::format("cannot be written (zip error {})", code)};
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
    Error error{Code::kInvalidArgument, path, zip_strerror(archive)};
    zip_discard(archive);
    return error;
  }
  return true;
}

}  // namespace hayate
