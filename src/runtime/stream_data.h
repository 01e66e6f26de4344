// A stream, as the files of runtime/ see it.
#pragma once

#include <memory>
#include <utility>

#include "hayate/stream.h"
#include "runtime/settling_thread.h"
#include "runtime/stream_parts.h"
#include "runtime/streaming.h"

namespace hayate {

struct Stream::Data {
  std::shared_ptr<const StreamExecutable::Data> of;
  std::unique_ptr<Streaming> way;
  int64_t rows = 0;  // since the first
  std::unique_ptr<SettlingThread> helper;
  Status failed;  // what settling elsewhere met, until somebody is told

  Status told() noexcept { return std::exchange(failed, Status{}); }
  // Of a row that has come: whether its answer counts.
  Status answered() const noexcept {
    if (!of->waits || rows >= of->cut.window) return {};
    return {Status::kNotReady, -1, of->cut.window - rows};
  }

  // Has the stream to itself while it lives.
  class Held {
   public:
    explicit Held(Data* data) noexcept : helper_(data->helper.get()) {
      if (helper_ == nullptr) return;
      if (const Status status = helper_->take(); !status.ok()) data->failed = status;
    }
    ~Held() {
      if (helper_ != nullptr) helper_->give(leaves_work);
    }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

    bool leaves_work = false;

   private:
    SettlingThread* helper_;
  };
};

}  // namespace hayate
