// Whether this process may use the processor's tiles (AMX).
#pragma once

namespace hayate::kernels::x86 {

// Tiles, their products of bytes and of bfloat16, and the system's leave, which is asked for at the first call: Linux
// gives it to the whole process, unless a thread's signal stack is too small for the larger frames of signals.
bool tiles_supported();

}  // namespace hayate::kernels::x86
