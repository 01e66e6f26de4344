// What a stream keeps, as bytes: to go on elsewhere, or later.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "graph/graph.h"
#include "hayate/plan.h"
#include "hayate/result.h"
#include "runtime/streaming.h"

namespace hayate {

std::string kept_bytes(Streaming* stream);
// False where they are not of this stream's size, or such as no stream keeps; it may be half written over then.
bool put_back(std::string_view kept, Streaming* stream) noexcept;

// Of everything that decides what is kept: the model's contents, window, time axis, states, precision and backend. Not
// the instruction set: a stream may go on on another machine.
// `scales`: what layers on integers are made for.
std::string identity_of(const Graph& graph, const Plan& plan, const std::string& scales);

struct Snapshot {
  int64_t rows = 0;
  std::string_view kept;
};
// A header, the identity, rows, what is kept, and a checksum of all that.
std::string make_snapshot(const std::string& identity, int64_t rows, const std::string& kept);
// Of bytes of any origin. Requires for success: this identity and size.
Result<Snapshot> read_snapshot(std::string_view bytes, const std::string& identity, size_t kept_size);

}  // namespace hayate
