// How a run went.
#pragma once

#include <cstdint>

namespace hayate {

// Trivially copyable and made without allocation; Session::text() says it in words.
struct Status {
  enum Code : int32_t {
    kOk = 0,
    kBatch = 1,     // the number of rows is not accepted
    kValue = 2,     // a step met a value it cannot take, an index out of range say
    kFailed = 3,    // the backend's library refused
    kNotReady = 4,  // of a stream that waits: the row has come, its window is not full yet
  };
  int32_t code = kOk;
  int32_t step = -1;  // kValue: which
  int64_t value = 0;  // kBatch: the number of rows that was asked for; kNotReady: of those that are missing

  bool ok() const { return code == kOk; }
};

}  // namespace hayate
