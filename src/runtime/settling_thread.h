// A thread that does what a stream's answers leave to do, on a core of its own, between the rows.
#pragma once

#include <atomic>
#include <thread>

#include "runtime/streaming.h"

namespace hayate {

// The stream belongs to one thread at a time: to the caller from take() to give(), else to the helper, slice by slice.
// No locks and no system calls in either; the helper spins a while for work that is about to come and then naps.
class SettlingThread {
 public:
  // core: where it runs; -1: anywhere.
  SettlingThread(Streaming* stream, int core);
  ~SettlingThread();
  SettlingThread(const SettlingThread&) = delete;
  SettlingThread& operator=(const SettlingThread&) = delete;

  // Waits for the end of the slice at work, if there is one. What went wrong in slices since the last take().
  Status take() noexcept;
  void give(bool has_work) noexcept;

 private:
  enum Owner { kNobody, kCaller, kHelper };

  void run();

  Streaming* stream_;
  std::atomic<int> owner_ = kNobody;
  std::atomic<bool> wanted_ = false, has_work_ = false, ends_ = false;
  Status status_;  // the owner's
  std::thread thread_;
};

}  // namespace hayate
