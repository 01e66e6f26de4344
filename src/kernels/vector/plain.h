// The plain set, which vector sets also fall back to for what is not worth a vector kernel.
#pragma once

#include "kernels/vector/kernels.h"

namespace hayate::kernels::plain {

Set set();
NarrowSet bf16();  // plain_narrow.cc
NarrowSet int8();
void unary(Activation op, const float* x, float* y, int64_t n);
void lstm_cell(const LstmCell& args);
void gru_cell(const GruCell& args);

}  // namespace hayate::kernels::plain
