// LightGBM's text models to Graph.
#pragma once

#include <string>
#include <string_view>

#include "graph/graph.h"

namespace hayate {

// Whether the text begins as LightGBM's models do.
bool is_lightgbm(std::string_view bytes);

// One input `input` float64 [N, features], one output `output` float64 [N, K]: what the library's own
// predict() gives, or with raw_score its sum. The text is not trusted: the answer is a verified graph or an
// error that names the line. Linear trees are refused.
Result<Graph> import_lightgbm(std::string_view text, const std::string& source, bool raw_score);

}  // namespace hayate
