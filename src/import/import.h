// Any model file to Graph.
#pragma once

#include <string>
#include <string_view>

#include "graph/graph.h"

namespace hayate {

struct ImportOptions {
  bool raw_score = false;  // of LightGBM and XGBoost: the sum, not what predict() makes of it
};

// Recognises ONNX, LightGBM text, XGBoost JSON and UBJSON by content, never by name. Text trees take `input`
// and give `output`, rows first.
Result<Graph> import_model(const std::string& path, const ImportOptions& options = {});
Result<Graph> import_model(std::string_view bytes, const std::string& source, const ImportOptions& options = {});

}  // namespace hayate
