// NumPy's files: .npy (one array) and .npz (a zip archive of them), read and written.
// Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "hayate/result.h"
#include "tensor/tensor.h"

namespace hayate {

using NamedTensors = std::map<std::string, Tensor>;

// One array from the bytes of a .npy file: versions 1 to 3, little endian, C or Fortran order. `where` names it in
// errors.
Result<Tensor> parse_npy(std::string_view bytes, const std::string& where);
std::string render_npy(const Tensor& tensor);

// Every array of an .npz, stored or deflated; names lose their ".npy".
Result<NamedTensors> read_npz(const std::string& path);
// Replaces `path` whole or leaves it as it was.
Result<bool> write_npz(const std::string& path, const NamedTensors& tensors);

// The bytes of a file, or an error that says why not.
Result<std::string> read_file(const std::string& path);

}  // namespace hayate
