// A float model as one of 8-bit integers: QuantizeLinear and DequantizeLinear around what its layers read, so that it
// stays a model that every runtime reads, and one that native runs on integers.
#pragma once

#include "compress/ranges.h"

namespace hayate {

constexpr int64_t kPerAxisOpset = 13;  // of ai.onnx: the first with a scale for each place of an axis

// For every node that can_be_integers and whose input has a range of more than 0: the input in uint8 with one scale and
// zero point that hold the range, and the weights in int8, symmetric, with a scale for each output channel (LSTM, GRU,
// RNN: for each gate's place). Of a hayate.RecurrentSteps or RecurrentProduct the weights, where they have a range:
// what multiplies them is a state, of known bounds. Biases stay floats. Gives the number of layers. An error where
// nothing is to be done.
Result<int> quantise(Graph* graph, const Ranges& ranges);

}  // namespace hayate
