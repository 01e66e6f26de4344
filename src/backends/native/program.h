// What a compiled model is at run time: a flat array of steps over fixed offsets. No map, string or virtual call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/team.h"
#include "hayate/result.h"

namespace hayate::native {

constexpr size_t kRefsMax = 9;

// A place in memory: a base of the state (0: arena, 1: absolute, then inputs, then outputs) and an offset in bytes.
struct Ref {
  uint32_t base = 1;
  int64_t offset = 0;
};

struct Step;
// What steps work on: the bases, and who helps with the larger ones.
struct Bases {
  std::byte* const* at = nullptr;
  Team* team = nullptr;    // null: nobody
  int64_t piece_macs = 1;  // that a helper's piece has at least
  uint64_t pipelines = 0;  // which of the program's the team runs as such, see pipeline.h; a bit for each

  std::byte* operator[](size_t i) const { return at[i]; }
};
using StepFunction = bool (*)(const Step& step, Bases bases);  // false: a value out of range

// Where a reference leads. As a number: an absolute one is an offset from null, which pointers may not have.
inline std::byte* address(Bases bases, const Ref& ref) {
  return reinterpret_cast<std::byte*>(reinterpret_cast<uintptr_t>(bases[ref.base]) +
                                      static_cast<uintptr_t>(ref.offset));
}

struct Step {
  StepFunction run = nullptr;
  const void* args = nullptr;  // of the type the function expects; owned by the program
  Ref refs[kRefsMax];

  template <typename T>
  const T& as() const {
    return *static_cast<const T*>(args);
  }
  // Null where the reference was left out.
  template <typename T>
  T* at(Bases bases, size_t i) const {
    return reinterpret_cast<T*>(address(bases, refs[i]));
  }
  bool has(size_t i) const { return refs[i].base != 1 || refs[i].offset != 0; }
};

// Steps for one number of rows.
struct Program {
  int64_t rows = 0;
  int64_t arena_bytes = 0;
  std::vector<Step> steps;
  std::vector<std::string> names;           // of each step: its kernel and node, "dense: node 'fc1' (Gemm)"
  int64_t plain_steps = 0;                  // run by reference kernels
  std::vector<std::shared_ptr<void>> kept;  // args, constants and packed weights
  void (*release)() = nullptr;              // what the steps' kernels want called behind them, see kernels::Set
};

}  // namespace hayate::native
