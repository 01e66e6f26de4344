#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/memory_budget.h"

namespace hayate {
namespace {

constexpr size_t kPiece = 1 << 16;  // bytes; files of /proc say that they hold none

class Descriptor {
 public:
  explicit Descriptor(const std::string& path)
      : number_(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)) {}
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int number() const { return number_; }

 private:
  int number_;
};

Error failed(const std::string& path) {
  return {errno == ENOENT ? Code::kNotFound : Code::kInvalidArgument, path, std::strerror(errno)};
}

// Up to `bytes` of the file behind what is there already. False at its end.
Result<bool> read_piece(int file, size_t bytes, const std::string& path, std::string* text) {
  const size_t before = text->size();
  text->resize(before + bytes);
  ssize_t got = 0;
  do got = read(file, text->data() + before, bytes);
  while (got < 0 && errno == EINTR);
  const int error = errno;
  text->resize(before + static_cast<size_t>(std::max<ssize_t>(got, 0)));
  errno = error;
  if (got < 0) return failed(path);
  return got > 0;
}

}  // namespace

Result<std::string> read_file(const std::string& path) {
  const Descriptor file(path);
  struct stat about {};
  if (file.number() < 0 || fstat(file.number(), &about) != 0) return failed(path);
  if (S_ISDIR(about.st_mode)) return Error{Code::kInvalidArgument, path, "is a folder; a file is needed"};
  if (!S_ISREG(about.st_mode))
    return Error{Code::kInvalidArgument, path, "is no regular file (a FIFO, socket or device is not read)"};
  const size_t size = static_cast<size_t>(about.st_size);
  std::string text;
  MemoryClaim claim;
  if (const Result<bool> room = claim.grow(about.st_size, path); !room.ok()) return room.error();
  text.reserve(size + 1);
  for (;;) {
    // One byte past the size shows the end, or that the file has grown.
    const size_t piece = text.size() <= size && size > 0 ? size + 1 - text.size() : kPiece;
    if (text.size() + piece > size + 1)
      if (const Result<bool> room = claim.grow(static_cast<int64_t>(piece), path); !room.ok()) return room.error();
    const Result<bool> more = read_piece(file.number(), piece, path, &text);
    if (!more.ok()) return more.error();
    if (!more.value()) break;
  }
  if (text.size() < size)
    return Error{Code::kInvalidArgument, path,
                 fmt::format("became shorter while it was read: {} of {} bytes came", text.size(), size)};
  return text;
}

}  // namespace hayate
