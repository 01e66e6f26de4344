// A model as its file says it, checked.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "hayate/result.h"

namespace hayate {

// What a model takes or gives under one name. Extent -1: open (the batch, where it is the first).
struct ModelPort {
  std::string name;
  std::string type;  // "float32" ...
  std::vector<int64_t> shape;
};

struct LoadOptions {
  std::vector<std::string> sets;    // "sr=16000": the input becomes a constant
  std::vector<std::string> shapes;  // "input:1,512": open extents are fixed
  bool raw_score = false;           // LightGBM and XGBoost: the sum, before the objective's transform
  int64_t memory_max = 0;  // bytes of the model, its executables, sessions and streams together; 0: the process's limit
};

// Const: any thread.
class Model {
 public:
  // ONNX, LightGBM text, XGBoost JSON or UBJ, told by content.
  static Result<Model> load(const std::string& path, const LoadOptions& options = {});

  // Writes the model, with what LoadOptions bound, as an ONNX file (text trees as TreeEnsemble of ai.onnx.ml 5), which
  // is replaced whole or left as it was. What the standard cannot say (LightGBM's linear_tree) is refused by name.
  Result<bool> save(const std::string& path) const;

  std::vector<ModelPort> inputs() const;
  std::vector<ModelPort> outputs() const;
  int64_t parameter_count() const;
  std::string text() const;  // the graph, one line per input, constant, node and output

  struct Data;
  const std::shared_ptr<const Data>& data() const { return data_; }

 private:
  std::shared_ptr<const Data> data_;
};

}  // namespace hayate
