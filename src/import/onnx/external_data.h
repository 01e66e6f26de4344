// Tensor data that lie in files beside the model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "hayate/result.h"

namespace hayate {

// What an ONNX tensor says of its external data; the numbers are its texts, -1 where it gives none.
struct ExternalData {
  std::string location;  // below the model's folder, '/' between its parts
  int64_t offset = 0, length = -1;
};

// Whether location stays below the model's folder: relative, no "..", no empty part.
Result<bool> check_location(const std::string& location, const std::string& where);

// An open file below `folder`: regular, reached through no link, of one name only (a second hard link may be a file of
// somebody else's). Closed when it goes.
class ExternalFile {
 public:
  static Result<ExternalFile> open(const std::string& folder, const std::string& location, const std::string& where);
  ExternalFile(ExternalFile&& other) noexcept;
  ExternalFile& operator=(ExternalFile&&) = delete;
  ~ExternalFile();

  // Whether `bytes` lie at `offset`. Asked before memory is claimed for them.
  Result<bool> holds(int64_t offset, int64_t bytes) const;
  // Exactly `bytes` from `offset`, or an error (the file may have become shorter meanwhile).
  Result<bool> read(int64_t offset, int64_t bytes, std::byte* to) const;

 private:
  ExternalFile(int descriptor, int64_t size, std::string where)
      : descriptor_(descriptor), size_(size), where_(std::move(where)) {}

  int descriptor_ = -1;
  int64_t size_ = 0;
  std::string where_;
};

}  // namespace hayate
