// Rows of several streams of one executable, answered by one run.
#include <algorithm>
#include <array>

#include "runtime/stream_data.h"
#include "runtime/together.h"

namespace hayate {

struct StreamGroup::Data {
  std::vector<Stream> streams;
  std::vector<Together> together;  // programs for several rows, the one for most first
  size_t next = 0;
  bool warm = true;  // nothing to be read again before the next push
};

StreamGroup::StreamGroup(std::unique_ptr<Data> data) : data_(std::move(data)) {}
StreamGroup::StreamGroup(StreamGroup&&) noexcept = default;
StreamGroup& StreamGroup::operator=(StreamGroup&&) noexcept = default;
StreamGroup::~StreamGroup() = default;

Result<StreamGroup> StreamExecutable::group(size_t count) const {
  if (const Result<bool> room = room_for_streams(count); !room.ok()) return room.error();
  const MemoryScope scope(data_->budget);
  auto data = std::make_unique<StreamGroup::Data>();
  Result<std::vector<Together>> together = make_together(*data_, static_cast<int64_t>(count));
  if (!together.ok()) return together.error();
  data->together = std::move(together).value();
  if (const Result<bool> room = room_for_streams(count); !room.ok()) return room.error();  // beside those programs
  for (size_t i = 0; i < count; ++i) data->streams.push_back(stream());
  return StreamGroup(std::move(data));
}

size_t StreamGroup::size() const { return data_->streams.size(); }
Stream& StreamGroup::operator[](size_t i) { return data_->streams[i]; }
int64_t StreamGroup::rows_at_once() const { return data_->together.empty() ? 1 : data_->together[0].rows(); }

Status StreamGroup::push(size_t count, const size_t* which, const void* const* rows) noexcept {
  const auto fits = [&](const Together& program, size_t first) {
    const auto n = static_cast<size_t>(program.rows());
    if (n > count - first) return false;
    for (size_t i = first; i < first + n; ++i)
      if (which[i] >= size() || std::find(which + first, which + i, which[i]) != which + i) return false;
    return true;
  };
  Status waits;
  const auto add = [&](const Status& status) {
    if (status.value > waits.value) waits = status;
  };
  for (size_t i = 0; i < count;) {
    const auto program = std::find_if(data_->together.begin(), data_->together.end(),
                                      [&](const Together& each) { return fits(each, i); });
    if (program != data_->together.end()) {
      std::array<Stream::Data*, kTogetherMax> streams{};
      const auto n = static_cast<size_t>(program->rows());
      for (size_t s = 0; s < n; ++s) streams[s] = data_->streams[which[i + s]].data_.get();
      if (program->push(streams.data(), rows + i)) {
        data_->warm = false;
        for (size_t s = 0; s < n; ++s) add(streams[s]->answered());
        i += n;
        continue;
      }
    }
    // One alone; after a failure that is how it is found which.
    if (which[i] >= size()) return {Status::kBatch, -1, static_cast<int64_t>(which[i])};
    const Status status = data_->streams[which[i]].push(rows[i]);
    if (!status.ok() && status.code != Status::kNotReady) return status;
    add(status);
    ++i;
  }
  return waits;
}

bool StreamGroup::settle_slice(Status* status) noexcept {
  for (size_t tried = 0; tried < size(); ++tried) {
    const size_t at = data_->next;
    data_->next = (data_->next + 1) % size();
    if (data_->streams[at].settle_slice(status)) return true;
    if (!status->ok()) return false;
  }
  if (data_->warm) return false;
  data_->together[0].warm();
  data_->warm = true;
  return true;
}

Status StreamGroup::settle() noexcept {
  Status status;
  while (settle_slice(&status)) {
  }
  return status;
}

}  // namespace hayate
