// The C interface of streams.
#include <algorithm>
#include <optional>
#include <vector>

#include "hayate/stream.h"
#include "runtime/c_shared.h"

using namespace hayate::c_api;
using hayate::Result;

struct hayate_stream_executable {
  hayate::StreamExecutable executable;
};
struct hayate_stream {
  std::optional<hayate::Stream> own;  // none: one of a group
  hayate::Stream* of_group;
  size_t outputs;

  hayate::Stream& at() { return own ? *own : *of_group; }
  const hayate::Stream& at() const { return own ? *own : *of_group; }
};
struct hayate_stream_group {
  hayate::StreamGroup group;
  std::vector<hayate_stream> streams;
};

namespace {

hayate_status given(hayate::Status status) { return {status.code, status.step, status.value}; }
constexpr hayate_status kNoStream{HAYATE_FAILED, -1, 0};

}  // namespace

extern "C" {

hayate_stream_executable* hayate_stream_compile(const hayate_model* model, const hayate_options* options,
                                                char** error) {
  return guarded<hayate_stream_executable>(error, [&]() -> Result<hayate_stream_executable> {
    if (model == nullptr) return null_argument("model");
    const Result<hayate::Plan> plan = plan_of(model->model, options);
    if (!plan.ok()) return plan.error();
    Result<hayate::StreamExecutable> made = hayate::compile_stream(model->model, plan.value());
    if (!made.ok()) return made.error();
    return hayate_stream_executable{std::move(made).value()};
  });
}

void hayate_stream_executable_free(hayate_stream_executable* executable) { delete executable; }
int64_t hayate_stream_row_bytes(const hayate_stream_executable* executable) {
  return executable == nullptr ? 0 : executable->executable.row_bytes();
}
size_t hayate_stream_output_count(const hayate_stream_executable* executable) {
  return executable == nullptr ? 0 : executable->executable.outputs().size();
}
int hayate_stream_port(const hayate_stream_executable* executable, size_t i, hayate_port* port) {
  return executable == nullptr ? 1 : port_at(executable->executable.outputs(), i, port);
}
const char* hayate_stream_why_not(const hayate_stream_executable* executable) {
  if (executable == nullptr || executable->executable.why_not().empty()) return nullptr;
  return executable->executable.why_not().c_str();
}
char* hayate_stream_explain(const hayate_stream_executable* executable) {
  try {
    return executable == nullptr ? nullptr : text_of(executable->executable.explain());
  } catch (...) {
    return nullptr;  // no memory for the words
  }
}

hayate_stream* hayate_stream_new(const hayate_stream_executable* executable, char** error) {
  return guarded<hayate_stream>(error, [&]() -> Result<hayate_stream> {
    if (executable == nullptr) return null_argument("executable");
    if (const Result<bool> room = executable->executable.room_for_streams(); !room.ok()) return room.error();
    return hayate_stream{executable->executable.stream(), nullptr, executable->executable.outputs().size()};
  });
}

void hayate_stream_free(hayate_stream* stream) {
  if (stream != nullptr && stream->own) delete stream;
}
hayate_status hayate_stream_push(hayate_stream* stream, const void* row) {
  return stream == nullptr || row == nullptr ? kNoStream : given(stream->at().push(row));
}
const void* hayate_stream_output(const hayate_stream* stream, size_t i) {
  return stream == nullptr || i >= stream->outputs ? nullptr : stream->at().output(i);
}
int64_t hayate_stream_rows(const hayate_stream* stream) { return stream == nullptr ? 0 : stream->at().rows(); }
hayate_status hayate_stream_settle(hayate_stream* stream) {
  return stream == nullptr ? kNoStream : given(stream->at().settle());
}
int hayate_stream_settle_slice(hayate_stream* stream, hayate_status* status) {
  hayate::Status went{hayate::Status::kFailed, -1, 0};
  const bool more = stream != nullptr && stream->at().settle_slice(&went);
  if (status != nullptr) *status = given(went);
  return more ? 1 : 0;
}
int hayate_stream_settle_elsewhere(hayate_stream* stream, int core) {
  if (stream == nullptr) return 1;
  try {
    stream->at().settle_elsewhere(core);
    return 0;
  } catch (...) {
    return 1;
  }
}
void hayate_stream_settle_here(hayate_stream* stream) {
  if (stream != nullptr) stream->at().settle_here();
}
void hayate_stream_reset(hayate_stream* stream) {
  if (stream != nullptr) stream->at().reset();
}
hayate_status hayate_stream_refill(hayate_stream* stream, const void* rows, int64_t count) {
  return stream == nullptr || rows == nullptr ? kNoStream : given(stream->at().refill(rows, count));
}

int hayate_stream_snapshot(const hayate_stream* stream, void* to, size_t room, size_t* size) {
  if (size != nullptr) *size = 0;
  if (stream == nullptr) return 1;
  try {
    const std::string made = stream->at().snapshot();
    if (size != nullptr) *size = made.size();
    if (to == nullptr || room < made.size()) return 1;
    std::memcpy(to, made.data(), made.size());
    return 0;
  } catch (...) {
    return 1;
  }
}

int hayate_stream_restore(hayate_stream* stream, const void* snapshot, size_t size, char** error) {
  struct Restored {
    int64_t rows;  // so far
  };
  Restored* done = guarded<Restored>(error, [&]() -> Result<Restored> {
    if (stream == nullptr) return null_argument("stream");
    if (snapshot == nullptr) return null_argument("snapshot");
    const Result<bool> restored = stream->at().restore({static_cast<const char*>(snapshot), size});
    if (!restored.ok()) return restored.error();
    return Restored{stream->at().rows()};
  });
  const int status = done == nullptr ? 1 : 0;
  delete done;
  return status;
}

hayate_stream_group* hayate_stream_group_new(const hayate_stream_executable* executable, size_t count, char** error) {
  return guarded<hayate_stream_group>(error, [&]() -> Result<hayate_stream_group> {
    if (executable == nullptr) return null_argument("executable");
    Result<hayate::StreamGroup> made = executable->executable.group(count);
    if (!made.ok()) return made.error();
    hayate_stream_group group{std::move(made).value(), {}};
    for (size_t i = 0; i < count; ++i)
      group.streams.push_back({std::nullopt, &group.group[i], executable->executable.outputs().size()});
    return group;
  });
}

void hayate_stream_group_free(hayate_stream_group* group) { delete group; }
size_t hayate_stream_group_size(const hayate_stream_group* group) {
  return group == nullptr ? 0 : group->streams.size();
}
int64_t hayate_stream_group_rows_at_once(const hayate_stream_group* group) {
  return group == nullptr ? 0 : group->group.rows_at_once();
}
hayate_stream* hayate_stream_group_stream(hayate_stream_group* group, size_t i) {
  return group == nullptr || i >= group->streams.size() ? nullptr : &group->streams[i];
}
hayate_status hayate_stream_group_push(hayate_stream_group* group, size_t count, const size_t* which,
                                       const void* const* rows) {
  if (group == nullptr || (count > 0 && (which == nullptr || rows == nullptr))) return kNoStream;
  if (std::find(rows, rows + count, nullptr) != rows + count) return kNoStream;
  return given(group->group.push(count, which, rows));
}
hayate_status hayate_stream_group_settle(hayate_stream_group* group) {
  return group == nullptr ? kNoStream : given(group->group.settle());
}
int hayate_stream_group_settle_slice(hayate_stream_group* group, hayate_status* status) {
  hayate::Status went{hayate::Status::kFailed, -1, 0};
  if (group != nullptr) went = {};
  const bool more = group != nullptr && group->group.settle_slice(&went);
  if (status != nullptr) *status = given(went);
  return more ? 1 : 0;
}

}  // extern "C"
