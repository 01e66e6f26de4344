// The warm path of every sample on native with one thread: no allocation, no lock, no system call. And the guard that
// says so, on work of each kind that it must see.
#include "guard.h"

#include <gtest/gtest.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <random>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "hayate/executable.h"
#include "kernels/vector/kernels.h"

namespace hayate {
namespace {

namespace fs = std::filesystem;
using guard::Counts;

// Counts of a work that goes well.
Counts seen(const std::function<bool()>& work) {
  bool failed = false;
  const Counts counts = guard::counted(work, &failed);
  EXPECT_FALSE(failed);
  return counts;
}

// Nothing of it may be optimised away.
void keep(void* memory) { asm volatile("" : : "g"(memory) : "memory"); }

TEST(Guard, NothingIsNothing) {
  if (!guard::counts()) GTEST_SKIP() << "sanitizers allocate and lock on their own";
  volatile double x = 3;
  const Counts counts = seen([&] { return x = std::exp(x) / 2, true; });
  EXPECT_TRUE(counts.nothing()) << counts.text();
}

TEST(Guard, SeesEveryWayToMemory) {
  if (!guard::counts()) GTEST_SKIP() << "sanitizers allocate and lock on their own";
  const auto allocates = [](const char* what, const std::function<void*()>& make) {
    const Counts counts = seen([&] {
      void* memory = make();
      keep(memory);
      std::free(memory);
      return memory != nullptr;
    });
    EXPECT_EQ(counts.allocations, 1) << what;
    EXPECT_EQ(counts.frees, 1) << what;
  };
  allocates("malloc", [] { return std::malloc(100); });
  allocates("calloc", [] { return std::calloc(10, 10); });
  allocates("realloc", [] { return std::realloc(nullptr, 100); });
  allocates("aligned_alloc", [] { return std::aligned_alloc(64, 128); });
  allocates("memalign", [] { return memalign(64, 128); });
  allocates("posix_memalign", [] {
    void* memory = nullptr;
    return posix_memalign(&memory, 64, 128) == 0 ? memory : nullptr;
  });
  struct alignas(64) Wide {
    float values[16];
  };
  EXPECT_EQ(seen([] { return keep(std::make_unique<int>(1).get()), true; }).allocations, 1);
  EXPECT_EQ(seen([] { return keep(std::make_unique<Wide>().get()), true; }).allocations, 1);
  EXPECT_GE(seen([] { return keep(std::string(100, 'x').data()), true; }).allocations, 1);
  // An exception that is thrown is memory, too. The first one of a process also makes the unwinder ask the system.
  const auto throws = [] {
    try {
      throw std::runtime_error("thrown");
    } catch (const std::exception&) {
      return true;
    }
  };
  ASSERT_TRUE(throws());
  EXPECT_GE(seen(throws).allocations, 1);
}

TEST(Guard, SeesEveryLock) {
  if (!guard::counts()) GTEST_SKIP() << "sanitizers allocate and lock on their own";
  std::mutex mutex;
  std::shared_mutex shared;
  std::condition_variable condition;
  pthread_spinlock_t spin;
  ASSERT_EQ(pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE), 0);
  EXPECT_EQ(seen([&] { return mutex.lock(), mutex.unlock(), true; }).locks, 2);
  EXPECT_EQ(seen([&] { return mutex.try_lock(); }).locks, 1);
  EXPECT_EQ(seen([&] { return shared.lock(), shared.unlock(), true; }).locks, 2);
  EXPECT_EQ(seen([&] { return shared.lock_shared(), shared.unlock_shared(), true; }).locks, 2);
  EXPECT_EQ(seen([&] { return pthread_spin_lock(&spin) == 0; }).locks, 1);
  EXPECT_EQ(seen([&] { return condition.notify_one(), condition.notify_all(), true; }).locks, 2);
  timespec past = {1, 0};
  pthread_cond_t waited = PTHREAD_COND_INITIALIZER;
  pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
  ASSERT_EQ(pthread_mutex_lock(&held), 0);
  bool failed = false;  // the C library gives up where the system does not answer
  EXPECT_EQ(guard::counted([&] { return pthread_cond_timedwait(&waited, &held, &past) == 0; }, &failed).locks, 1);
}

TEST(Guard, SeesSystemCalls) {
  if (!guard::counts()) GTEST_SKIP() << "sanitizers allocate and lock on their own";
  const Counts counts = seen([] { return syscall(SYS_getppid) == -1 && syscall(SYS_gettid) == -1; });
  EXPECT_EQ(counts.system_calls, 2);
  EXPECT_EQ(counts.first_system_call, SYS_getppid);
  int word = 0;
  EXPECT_EQ(seen([&] { return syscall(SYS_futex, &word, 1, 1, nullptr, nullptr, 0) == -1; }).first_system_call,
            SYS_futex);
  EXPECT_EQ(seen([] { return write(1, "x", 1) == -1; }).first_system_call, SYS_write);
  EXPECT_GE(seen([] { return std::this_thread::yield(), true; }).system_calls, 1);
  EXPECT_GE(seen([] { return std::fopen("/proc/self/maps", "r") == nullptr; }).system_calls, 1);
}

TEST(Guard, SaysWhereWorkFails) {
  if (!guard::counts()) GTEST_SKIP() << "sanitizers allocate and lock on their own";
  bool failed = false;
  guard::counted([] { return false; }, &failed);
  EXPECT_TRUE(failed);
  guard::counted([]() -> bool { throw std::runtime_error("thrown"); }, &failed);
  EXPECT_TRUE(failed);
  guard::counted([]() -> bool { std::abort(); }, &failed);
  EXPECT_TRUE(failed);
}

std::vector<std::string> samples() {
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(fs::path(HAYATE_SOURCE_DIR) / "models")) {
    const std::string extension = entry.path().extension();
    if (extension == ".onnx" || extension == ".txt" || extension == ".ubj") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

void fill(void* memory, const std::string& type, int64_t bytes) {
  std::mt19937_64 random(5);
  std::normal_distribution<double> normal;
  ASSERT_TRUE(type == "float32" || type == "float64") << type;
  if (type == "float32")
    for (int64_t i = 0; i < bytes / 4; ++i) static_cast<float*>(memory)[i] = static_cast<float>(normal(random));
  else
    for (int64_t i = 0; i < bytes / 8; ++i) static_cast<double*>(memory)[i] = normal(random);
}

constexpr int64_t kRowsMax = 32;

// A session of the sample that ran once.
Session warm(const std::string& path, kernels::Isa isa, const std::string& precision = "fp32", int threads = 1,
             int64_t spin_us = 0) {
  const Result<Model> model = Model::load(path);
  EXPECT_TRUE(model.ok()) << model.error().text();
  Plan plan = Plan::defaults(model.value());
  plan.batch_max = kRowsMax, plan.isa = kernels::isa_name(isa), plan.precision = precision;
  plan.threads = threads, plan.spin_us = spin_us;
  const Result<Executable> executable = compile(model.value(), plan);
  EXPECT_TRUE(executable.ok()) << executable.error().text();
  Session session = executable.value().session();
  for (size_t i = 0; i < executable.value().inputs().size(); ++i) {
    const Port& port = executable.value().inputs()[i];
    fill(session.input(i), port.type, port.row_bytes * kRowsMax);
  }
  EXPECT_TRUE(session.run(1).ok());
  return session;
}

void expect_nothing(Session* session, int64_t rows, int runs, const std::string& what) {
  EXPECT_TRUE(session->run(rows).ok());
  const Counts counts = seen([&] {
    bool good = true;
    for (int i = 0; i < runs; ++i) good = good && session->run(rows).ok();
    return good;
  });
  EXPECT_TRUE(counts.nothing()) << what << ", " << rows << " rows: " << counts.text();
}

TEST(Guard, WarmRunsOfEverySampleAllocateLockAndCallNothing) {
  if (!guard::counts()) GTEST_SKIP() << "sanitizers allocate and lock on their own";
  ASSERT_GE(samples().size(), 14u);
  for (const std::string& path : samples()) {
    Session session = warm(path, kernels::supported_isas()[0]);
    for (const int64_t rows : {int64_t{1}, int64_t{7}, kRowsMax}) expect_nothing(&session, rows, 10, path);
  }
}

TEST(Guard, NeitherAtFewerBits) {
  if (!guard::counts()) GTEST_SKIP() << "sanitizers allocate and lock on their own";
  for (const std::string& path : samples())
    for (const std::string precision : {"bf16", "int8"}) {
      const std::string name = fs::path(path).stem();
      if (precision == "int8" &&
          (name.find("00x") != std::string::npos || name == "random_forest" || name == "logistic"))
        continue;  // no layer of that kind
      Session session = warm(path, kernels::supported_isas()[0], precision);
      expect_nothing(&session, 7, 3, path + " at " + precision);
    }
}

// The work counted is a child's of this process, where the helpers are not: it is what the caller does.
TEST(Guard, NeitherWithHelpersThatSpin) {
  if (!guard::counts()) GTEST_SKIP() << "sanitizers allocate and lock on their own";
  for (const std::string& path : samples()) {
    Session session = warm(path, kernels::supported_isas()[0], "fp32", 3, 10'000'000);
    for (const int64_t rows : {int64_t{1}, kRowsMax}) expect_nothing(&session, rows, 3, path + " with helpers");
  }
}

TEST(Guard, HelpersAsleepCostOneWake) {
  if (!guard::counts()) GTEST_SKIP() << "sanitizers allocate and lock on their own";
  Session session = warm(fs::path(HAYATE_SOURCE_DIR) / "models/lstm_a.onnx", kernels::supported_isas()[0], "fp32", 2);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const Counts counts = seen([&] {
    bool good = true;
    for (int i = 0; i < 5; ++i) good = good && session.run(1).ok();
    return good;
  });
  EXPECT_EQ(counts.system_calls, 1) << counts.text();
  EXPECT_EQ(counts.first_system_call, SYS_futex);
  EXPECT_EQ(counts.allocations + counts.locks, 0) << counts.text();
}

TEST(Guard, NeitherOnOtherInstructionSets) {
  if (!guard::counts()) GTEST_SKIP() << "sanitizers allocate and lock on their own";
  for (const kernels::Isa isa : kernels::supported_isas())
    for (const std::string& path : samples()) {
      Session session = warm(path, isa);
      expect_nothing(&session, 1, 1, path + " on " + kernels::isa_name(isa));
    }
}

}  // namespace
}  // namespace hayate
