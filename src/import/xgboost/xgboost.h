// XGBoost's models, JSON and UBJSON, to Graph.
#pragma once

#include <string>
#include <string_view>

#include "graph/graph.h"
#include "import/xgboost/document.h"

namespace hayate {

// One input `input` float32 [N, features], NaN being missing; one output `output` float32 [N, K]: what the
// library's own predict() gives with all trees (of multi:softmax the class, K = 1), or with raw_score its
// margin. Boosters gbtree and dart; gblinear and vector leaves are refused. The document is not trusted: the
// answer is a verified graph or an error that names tree and field.
Result<Graph> import_xgboost(const Document& model, const std::string& source, bool raw_score);

}  // namespace hayate
