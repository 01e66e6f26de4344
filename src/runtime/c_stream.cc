// The C interface of streams.
#include <system_error>

#include "hayate/stream.h"
#include "runtime/c_shared.h"

using namespace hayate::c_api;
using hayate::Result;

struct hayate_stream_executable {
  hayate::StreamExecutable executable;
};
struct hayate_stream {
  hayate::Stream stream;
  size_t outputs;
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
    return hayate_stream{executable->executable.stream(), executable->executable.outputs().size()};
  });
}

void hayate_stream_free(hayate_stream* stream) { delete stream; }
hayate_status hayate_stream_push(hayate_stream* stream, const void* row) {
  return stream == nullptr || row == nullptr ? kNoStream : given(stream->stream.push(row));
}
const void* hayate_stream_output(const hayate_stream* stream, size_t i) {
  return stream == nullptr || i >= stream->outputs ? nullptr : stream->stream.output(i);
}
int64_t hayate_stream_rows(const hayate_stream* stream) { return stream == nullptr ? 0 : stream->stream.rows(); }
hayate_status hayate_stream_settle(hayate_stream* stream) {
  return stream == nullptr ? kNoStream : given(stream->stream.settle());
}
int hayate_stream_settle_slice(hayate_stream* stream, hayate_status* status) {
  hayate::Status went{hayate::Status::kFailed, -1, 0};
  const bool more = stream != nullptr && stream->stream.settle_slice(&went);
  if (status != nullptr) *status = given(went);
  return more ? 1 : 0;
}
int hayate_stream_settle_elsewhere(hayate_stream* stream, int core) {
  if (stream == nullptr) return 1;
  try {
    stream->stream.settle_elsewhere(core);
    return 0;
  } catch (...) {
    return 1;
  }
}
void hayate_stream_reset(hayate_stream* stream) {
  if (stream != nullptr) stream->stream.reset();
}
hayate_status hayate_stream_refill(hayate_stream* stream, const void* rows, int64_t count) {
  return stream == nullptr || rows == nullptr ? kNoStream : given(stream->stream.refill(rows, count));
}

int hayate_stream_snapshot(const hayate_stream* stream, void* to, size_t room, size_t* size) {
  if (size != nullptr) *size = 0;
  if (stream == nullptr) return 1;
  try {
    const std::string made = stream->stream.snapshot();
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
    const Result<bool> restored = stream->stream.restore({static_cast<const char*>(snapshot), size});
    if (!restored.ok()) return restored.error();
    return Restored{stream->stream.rows()};
  });
  const int status = done == nullptr ? 1 : 0;
  delete done;
  return status;
}

}  // extern "C"
