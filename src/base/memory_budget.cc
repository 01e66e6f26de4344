#include "base/memory_budget.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>

namespace hayate {
namespace {

// The number a file of the kernel's opens with; the highest there is where it says none ("max") or is not there.
int64_t number_in(const char* path) {
  std::ifstream in(path);
  std::string word;
  int64_t value = 0;
  in >> word;
  const auto parsed = std::from_chars(word.data(), word.data() + word.size(), value);
  return !word.empty() && parsed.ec == std::errc{} && value > 0 ? value : std::numeric_limits<int64_t>::max();
}

int64_t process_limit() {
  const int64_t pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  const int64_t machine = pages > 0 && page > 0 ? pages * page : int64_t{4} << 30;
  return std::min({machine, number_in("/sys/fs/cgroup/memory.max"),
                   number_in("/sys/fs/cgroup/memory/memory.limit_in_bytes")}) /
         2;
}

std::shared_ptr<MemoryBudget>& scoped() {
  thread_local std::shared_ptr<MemoryBudget> budget;
  return budget;
}

std::string megabytes(int64_t bytes) { return fmt::format("{:.1f} MB", static_cast<double>(bytes) / (1 << 20)); }

}  // namespace

const std::shared_ptr<MemoryBudget>& MemoryBudget::process() {
  static const std::shared_ptr<MemoryBudget> kProcess = std::make_shared<MemoryBudget>(process_limit());
  return kProcess;
}

const std::shared_ptr<MemoryBudget>& MemoryBudget::current() { return scoped() ? scoped() : process(); }

MemoryScope::MemoryScope(std::shared_ptr<MemoryBudget> budget) : outer_(scoped()) {
  if (budget) scoped() = std::move(budget);
}

MemoryScope::~MemoryScope() { scoped() = std::move(outer_); }

MemoryClaim& MemoryClaim::operator=(MemoryClaim&& other) noexcept {
  if (this == &other) return *this;
  release();
  budget_ = std::move(other.budget_);
  bytes_ = other.bytes_;
  return *this;
}

Result<bool> MemoryClaim::grow(int64_t bytes, const std::string& where) {
  if (!budget_) budget_ = MemoryBudget::current();
  const MemoryScope scope(budget_);
  const Result<bool> room = room_for(bytes, where);
  if (!room.ok()) return room;
  budget_->add(bytes);
  bytes_ += bytes;
  return true;
}

void MemoryClaim::release() {
  if (budget_) budget_->remove(bytes_);
  budget_.reset();
  bytes_ = 0;
}

Result<bool> room_for(int64_t bytes, const std::string& where) {
  const MemoryBudget& budget = *MemoryBudget::current();
  const int64_t used = budget.used(), limit = budget.limit();
  if (bytes <= limit - used) return true;
  return Error{Code::kResourceExhausted, where,
               fmt::format("needs {} beside the {} in use; the memory limit is {} (memory_max, or --max-memory)",
                           megabytes(bytes), megabytes(used), megabytes(limit))};
}

}  // namespace hayate
