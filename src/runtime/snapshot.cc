#include "runtime/snapshot.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <cstring>

namespace hayate {
namespace {

constexpr std::string_view kMagic = "HAYATE-S";
constexpr uint32_t kVersion = 4;
constexpr size_t kSum = sizeof(uint64_t);

class Counting final : public Kept {
 public:
  void at(void*, size_t bytes) noexcept override { size += bytes; }
  size_t size = 0;
};

class Reading final : public Kept {
 public:
  explicit Reading(std::string* to) : to_(to) {}
  void at(void* memory, size_t bytes) noexcept override { to_->append(static_cast<const char*>(memory), bytes); }

 private:
  std::string* to_;
};

class Writing final : public Kept {
 public:
  explicit Writing(std::string_view from) : from_(from) {}
  void at(void* memory, size_t bytes) noexcept override {
    if (bytes > 0) std::memcpy(memory, from_.data(), bytes);
    from_.remove_prefix(bytes);
  }

 private:
  std::string_view from_;
};

template <typename T>
void append(std::string* to, const T& value) {
  to->append(reinterpret_cast<const char*>(&value), sizeof value);
}
template <typename T>
T taken(std::string_view* from) {
  T value;
  std::memcpy(&value, from->data(), sizeof value);
  from->remove_prefix(sizeof value);
  return value;
}

void describe(const Graph& graph, std::string* to);

void describe(const Tensor& tensor, std::string* to) {
  *to += fmt::format("{} {} ", type_name(tensor.type()), shape_text(tensor.shape()));
  append(to, XXH3_64bits(tensor.bytes(), tensor.byte_count()));
}

void describe(const Attribute& attribute, std::string* to) {
  std::visit(
      [&]<typename T>(const T& value) {
        if constexpr (std::is_same_v<T, Tensor>) {
          describe(value, to);
        } else if constexpr (std::is_same_v<T, std::shared_ptr<const Graph>>) {
          if (value != nullptr) describe(*value, to);
        } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
          for (const std::string& each : value) *to += each + "\n";
        } else if constexpr (requires { value.begin(); }) {
          to->append(reinterpret_cast<const char*>(value.data()), value.size() * sizeof(*value.data()));
        } else {
          append(to, value);
        }
      },
      attribute);
}

// All that the graph computes, every number included.
void describe(const Graph& graph, std::string* to) {
  *to += graph.text();
  for (const Node& node : graph.nodes)
    for (const auto& [key, value] : node.attributes) {
      *to += key + "=";
      describe(value, to);
    }
  for (const auto& [name, tensor] : graph.constants) {
    *to += name;
    describe(tensor, to);
  }
}

Error bad(std::string what) { return {Code::kInvalidArgument, "snapshot", std::move(what)}; }

}  // namespace

std::string kept_bytes(Streaming* stream) {
  Counting counting;
  stream->keep(&counting);
  std::string made;
  made.reserve(counting.size);
  Reading reading(&made);
  stream->keep(&reading);
  return made;
}

bool put_back(std::string_view kept, Streaming* stream) noexcept {
  Counting counting;
  stream->keep(&counting);
  if (counting.size != kept.size()) return false;
  Writing writing(kept);
  stream->keep(&writing);
  return stream->restored();
}

std::string identity_of(const Graph& graph, const Plan& plan, const std::string& scales) {
  std::string text =
      fmt::format("{}\n{}\n{}\n{}\n{}\n", plan.window, plan.time_axis, plan.precision, plan.backend, scales);
  for (const std::string& state : plan.states) text += state + "\n";
  describe(graph, &text);
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

std::string make_snapshot(const std::string& identity, int64_t rows, const std::string& kept) {
  std::string made(kMagic);
  append(&made, kVersion);
  made += identity;
  append(&made, rows);
  append(&made, static_cast<uint64_t>(kept.size()));
  made += kept;
  append(&made, XXH3_64bits(made.data(), made.size()));
  return made;
}

Result<Snapshot> read_snapshot(std::string_view bytes, const std::string& identity, size_t kept_size) {
  const size_t header = kMagic.size() + sizeof kVersion + identity.size() + sizeof(int64_t) + sizeof(uint64_t);
  if (!bytes.starts_with(kMagic)) return bad(fmt::format("of {} bytes is none of a stream", bytes.size()));
  if (bytes.size() < header + kSum) return bad(fmt::format("ends after {} bytes, within its header", bytes.size()));
  std::string_view rest = bytes.substr(kMagic.size());
  if (const uint32_t version = taken<uint32_t>(&rest); version != kVersion)
    return bad(fmt::format("is of version {}; version {} is read", version, kVersion));
  if (rest.substr(0, identity.size()) != identity)
    return bad("is of another model, window, time axis, states, precision or backend");
  rest.remove_prefix(identity.size());
  Snapshot made;
  made.rows = taken<int64_t>(&rest);
  const uint64_t size = taken<uint64_t>(&rest);
  if (size != kept_size || rest.size() != kept_size + kSum)
    return bad(
        fmt::format("holds {} bytes of a stream, says {}; {} are accepted", rest.size() - kSum, size, kept_size));
  made.kept = rest.substr(0, kept_size);
  rest.remove_prefix(kept_size);
  if (taken<uint64_t>(&rest) != XXH3_64bits(bytes.data(), bytes.size() - kSum) || made.rows < 0)
    return bad("is damaged: its checksum is another");
  return made;
}

}  // namespace hayate
