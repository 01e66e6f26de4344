#include "import/onnx/external_data.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "import/onnx/file_error.h"

namespace hayate {
namespace {

std::vector<std::string> parts_of(const std::string& location) {
  std::vector<std::string> parts(1);
  for (const char c : location)
    if (c == '/')
      parts.emplace_back();
    else
      parts.back() += c;
  return parts;
}

// One step down from the folder `at`, which is closed; -1 and errno where that fails. Links are not followed, and a
// FIFO is not waited for.
int step_down(int at, const std::string& name, bool last) {
  const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (last ? 0 : O_DIRECTORY);
  const int next = openat(at, name.c_str(), flags);
  const int error = errno;
  close(at);
  errno = error;
  return next;
}

}  // namespace

Result<bool> check_location(const std::string& location, const std::string& where) {
  const std::string said = fmt::format("its external data lie in '{}'", location);
  if (location.find('\0') != std::string::npos || location.find('\\') != std::string::npos)
    return bad(where, said + ", which is no relative path with '/' between its parts");
  for (const std::string& part : parts_of(location))
    if (part.empty() || part == "..")
      return bad(where, said + "; only a relative path below the model's folder, without '..', is read");
  return true;
}

Result<ExternalFile> ExternalFile::open(const std::string& folder, const std::string& location,
                                        const std::string& where) {
  const Result<bool> checked = check_location(location, where);
  if (!checked.ok()) return checked.error();
  const std::string file = fmt::format("{}: external data '{}'", where, location);
  int at = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::vector<std::string> parts = parts_of(location);
  for (size_t i = 0; at >= 0 && i < parts.size(); ++i) at = step_down(at, parts[i], i + 1 == parts.size());
  if (at < 0) {
    const bool link = errno == ELOOP;
    return bad(file, link ? "is reached through a symbolic link, which is not followed" : std::strerror(errno),
               errno == ENOENT ? Code::kNotFound : Code::kInvalidArgument);
  }
  struct stat about {};
  const bool known = fstat(at, &about) == 0;
  ExternalFile made(at, known ? about.st_size : 0, file);
  if (!known || !S_ISREG(about.st_mode)) return bad(file, "is no regular file (a folder, FIFO or device is not read)");
  if (about.st_nlink != 1)
    return bad(file, fmt::format("has {} names (hard links); a file of one name is read", about.st_nlink));
  return made;
}

ExternalFile::ExternalFile(ExternalFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), size_(other.size_), where_(std::move(other.where_)) {}

ExternalFile::~ExternalFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

Result<bool> ExternalFile::holds(int64_t offset, int64_t bytes) const {
  if (offset >= 0 && bytes >= 0 && offset <= size_ && bytes <= size_ - offset) return true;
  return bad(where_, fmt::format("has {} bytes; {} at offset {} are needed", size_, bytes, offset));
}

Result<bool> ExternalFile::read(int64_t offset, int64_t bytes, std::byte* to) const {
  for (int64_t done = 0; done < bytes;) {
    const ssize_t got = pread(descriptor_, to + done, static_cast<size_t>(bytes - done), offset + done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return bad(where_, std::strerror(errno));
    if (got == 0) return bad(where_, fmt::format("became shorter while it was read: {} of {} bytes came", done, bytes));
    done += got;
  }
  return true;
}

}  // namespace hayate
