// How much memory models may take, counted where tensors and programs claim it and held before the claim.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "hayate/result.h"

namespace hayate {

// A limit in bytes and what has been claimed of it. Any thread. Whoever allocates what a file or a shape asks for calls
// `room_for` first; memory that is made all the same (small, or checked before) is counted too.
class MemoryBudget {
 public:
  explicit MemoryBudget(int64_t limit_bytes) : limit_(limit_bytes) {}

  // The one that counts where no scope is open: half of the memory that this process may have (machine, or cgroup).
  static const std::shared_ptr<MemoryBudget>& process();
  // The innermost scope's of this thread, else the process's.
  static const std::shared_ptr<MemoryBudget>& current();

  int64_t limit() const { return limit_.load(std::memory_order_relaxed); }
  int64_t used() const { return used_.load(std::memory_order_relaxed); }
  void set_limit(int64_t bytes) { limit_.store(bytes, std::memory_order_relaxed); }
  void add(int64_t bytes) { used_.fetch_add(bytes, std::memory_order_relaxed); }
  void remove(int64_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> limit_, used_{0};
};

// While it lives, what this thread claims counts against `budget`. Scopes nest; a null budget changes nothing.
class MemoryScope {
 public:
  explicit MemoryScope(std::shared_ptr<MemoryBudget> budget);
  ~MemoryScope();
  MemoryScope(const MemoryScope&) = delete;
  MemoryScope& operator=(const MemoryScope&) = delete;

 private:
  std::shared_ptr<MemoryBudget> outer_;
};

// Whether `bytes` more fit the current budget; else an error that names what needs them (`where`), how many and the
// limit. Nothing is claimed.
Result<bool> room_for(int64_t bytes, const std::string& where);

// Bytes counted against the budget that was current when this was made, until it goes.
class MemoryClaim {
 public:
  MemoryClaim() = default;
  explicit MemoryClaim(int64_t bytes) : budget_(MemoryBudget::current()), bytes_(bytes) { budget_->add(bytes_); }
  MemoryClaim(MemoryClaim&& other) noexcept : budget_(std::move(other.budget_)), bytes_(other.bytes_) {}
  MemoryClaim& operator=(MemoryClaim&& other) noexcept;
  ~MemoryClaim() { release(); }

  // Claims `bytes` more where they fit; else room_for's error, and nothing more is claimed.
  Result<bool> grow(int64_t bytes, const std::string& where);

 private:
  void release();

  std::shared_ptr<MemoryBudget> budget_;
  int64_t bytes_ = 0;
};

}  // namespace hayate
