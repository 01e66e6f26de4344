// The ranges that a plan of 8-bit integers needs: from rows of a file, or from made ones where it names none.
#pragma once

#include <string>

#include "backends/batch.h"
#include "compress/ranges.h"
#include "hayate/plan.h"

namespace hayate {

constexpr int64_t kMadeRowsMax = 256;          // fewer where a row is long to evaluate:
constexpr int64_t kMadeMacsMax = 200'000'000;  // about a second of the reference

// Of the graph as native rewrites it. `plan.calibration` is a file of inputs as `run` takes them, of any number of
// rows; empty: normal random numbers, which say little of values far from 0.
Result<Ranges> calibrated(const Graph& graph, const Batch& batch, const Plan& plan);

// The model with QuantizeLinear and DequantizeLinear around its layers (compress/quantise.h), for other runtimes too.
Result<Graph> quantised_model(const Graph& graph, const Batch& batch, const Plan& plan);

}  // namespace hayate
