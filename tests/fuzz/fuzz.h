// What the fuzz targets share: bytes as a source of choices, and what is done with a graph that a file became.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "backends/backend.h"
#include "base/memory_budget.h"
#include "graph/graph.h"

namespace hayate::fuzz {

constexpr int64_t kMemoryMax = 64 << 20;  // bytes; libFuzzer's own limit is far above

// Choices out of the fuzzer's bytes, from the front; 0 when they are used up.
class Choices {
 public:
  Choices(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  bool more() const { return at_ < size_; }
  uint8_t byte() { return more() ? data_[at_++] : 0; }
  // 0 <= answer < n.
  size_t below(size_t n) { return n < 2 ? 0 : (n <= 256 ? byte() : byte() * 256u + byte()) % n; }
  bool one_in(size_t n) { return below(n) == n - 1; }
  template <typename T>
  const T& of(const std::vector<T>& values) {
    return values[below(values.size())];
  }
  uint64_t wide() {
    uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value = value << 8 | byte();
    return value;
  }
  std::string_view rest() {
    const std::string_view left(reinterpret_cast<const char*>(data_) + at_, size_ - at_);
    at_ = size_;
    return left;
  }

 private:
  const uint8_t* data_;
  size_t size_, at_ = 0;
};

// Ends the process so that libFuzzer keeps the input.
[[noreturn]] inline void found(const std::string& what) {
  std::fprintf(stderr, "FOUND: %s\n", what.c_str());
  std::abort();
}

// An error must say something, and where.
inline void check_error(const Error& error) {
  if (error.what.empty()) found("an error without words");
}

// Everything a caller does with a graph: text, types, both backends at two rows. Errors are fine, faults are not.
inline void use(const Graph& graph) {
  if (graph.text().empty()) found("a graph without text");
  if (std::getenv("HAYATE_FUZZ_PRINT") != nullptr) std::fprintf(stderr, "%s\n", graph.text().c_str());
  const Result<InputTypes> types = declared_types(graph, 2);
  if (!types.ok()) return check_error(types.error());
  std::map<std::string, Tensor> inputs;
  for (const auto& [name, type] : types.value()) {
    const Result<Tensor> made = Tensor::make(type.type, type.shape, name);
    if (!made.ok()) return check_error(made.error());
    inputs.emplace(name, made.value());
  }
  for (const char* backend : {"native", "reference"}) {
    Plan plan;
    plan.backend = backend;
    const auto compiled = compile_graph(graph, types.value(), plan);
    if (!compiled.ok()) {
      check_error(compiled.error());
      continue;
    }
    const std::unique_ptr<State> state = compiled.value()->state();
    const auto outputs = run_on(state.get(), inputs);
    if (!outputs.ok()) check_error(outputs.error());
  }
}

inline void use(const Result<Graph>& graph) {
  if (graph.ok())
    use(graph.value());
  else
    check_error(graph.error());
}

}  // namespace hayate::fuzz
