#include "runtime/settling_thread.h"

#include <pthread.h>
#include <sched.h>

#include <chrono>

#include "base/pause.h"

namespace hayate {
namespace {

constexpr int kSpins = 20'000;  // some hundred microseconds
constexpr std::chrono::microseconds kNap{50};

}  // namespace

SettlingThread::SettlingThread(Streaming* stream, int core) : stream_(stream), thread_([this] { run(); }) {
  if (core < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(core), &set);
  pthread_setaffinity_np(thread_.native_handle(), sizeof set, &set);  // a core that is not there: anywhere
}

SettlingThread::~SettlingThread() {
  ends_ = true;
  thread_.join();
}

Status SettlingThread::take() noexcept {
  wanted_.store(true, std::memory_order_relaxed);
  for (int nobody = kNobody; !owner_.compare_exchange_weak(nobody, kCaller, std::memory_order_acquire);
       nobody = kNobody)
    pause_core();
  wanted_.store(false, std::memory_order_relaxed);
  const Status status = status_;
  status_ = {};
  return status;
}

void SettlingThread::give(bool has_work) noexcept {
  if (has_work) has_work_.store(true, std::memory_order_relaxed);
  owner_.store(kNobody, std::memory_order_release);
}

void SettlingThread::run() {
  int idle = 0;
  while (!ends_.load(std::memory_order_relaxed)) {
    int nobody = kNobody;
    if (!has_work_.load(std::memory_order_relaxed) || wanted_.load(std::memory_order_relaxed) ||
        !owner_.compare_exchange_strong(nobody, kHelper, std::memory_order_acquire)) {
      if (++idle < kSpins)
        pause_core();
      else
        std::this_thread::sleep_for(kNap);
      continue;
    }
    idle = 0;
    Status status;
    if (!stream_->step(&status)) has_work_.store(false, std::memory_order_relaxed);
    if (!status.ok()) status_ = status, has_work_.store(false, std::memory_order_relaxed);
    owner_.store(kNobody, std::memory_order_release);
  }
}

}  // namespace hayate
