// NumPy's files: .npy (one array) and .npz (a zip archive of them), read and written.
// Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/file.h"
#include "hayate/result.h"
#include "tensor/tensor.h"

namespace hayate {

using NamedTensors = std::map<std::string, Tensor>;

// One array from the bytes of a .npy file: versions 1 to 3, little endian, C or Fortran order. `where` names it in
// errors.
Result<Tensor> parse_npy(std::string_view bytes, const std::string& where);
std::string render_npy(const Tensor& tensor);

// Every array of an .npz, stored or deflated; names lose their ".npy". An array takes no more memory and time than its
// header says, and no more than the archive's entry holds.
Result<NamedTensors> read_npz(const std::string& path);
Result<NamedTensors> parse_npz(std::string_view bytes, const std::string& where);
// Replaces `path` whole or leaves it as it was.
Result<bool> write_npz(const std::string& path, const NamedTensors& tensors);

}  // namespace hayate
