// Rows for streams, from files, and the answers that a stream's are held against.
#pragma once

#include <memory>
#include <string>

#include "hayate/stream.h"
#include "tensor/tensor.h"
#include "tools/model.h"

namespace hayate {

// Requires: the name of an element type, as ports have it.
Type type_called(const std::string& name);

// The rows of a file, [N, ...], of that type, each of row_bytes: of .npy or .npz the only array, of .csv every line,
// behind at most one line of names.
Result<Tensor> read_rows(const std::string& path, Type type, int64_t row_bytes);

// The model as options say it, for streams.
Result<Model> model_for_stream(const ModelOptions& options);

// The model run row by row without a stream, by any backend: over whole windows, or with its state fed back by hand.
class ByHand {
 public:
  virtual ~ByHand() = default;
  // Rows are asked for in rising order; those before the first are zeros, which states are at first.
  virtual Status run(const Tensor& rows, int64_t row) = 0;
  virtual const void* output(const std::string& name) const = 0;
};
Result<std::unique_ptr<ByHand>> by_hand(const Model& model, const Plan& plan, const std::string& backend);

// What two answers are apart.
struct Apart {
  double absolute = 0, relative = 0;
  int64_t outside = 0, compared = 0;  // answers past the tolerance; of so many
  void add(const Port& port, const void* got, const void* wanted);
};

}  // namespace hayate
