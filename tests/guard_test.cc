// The warm path of every sample on native: no allocation, no lock, no system call.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <new>

#include "backends/native/native.h"
#include "import/import.h"

namespace {
std::atomic<int64_t> allocations{0}, locks{0};
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAYATE_SANITIZED 1
#else
#define HAYATE_SANITIZED 0
void* operator new(size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void* operator new(size_t size, std::align_val_t align) {
  ++allocations;
  const size_t to = static_cast<size_t>(align);
  if (void* memory = std::aligned_alloc(to, (size + to - 1) / to * to + (size == 0 ? to : 0))) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }

extern "C" int pthread_mutex_lock(pthread_mutex_t* mutex) {
  static const auto kReal = reinterpret_cast<int (*)(pthread_mutex_t*)>(dlsym(RTLD_NEXT, "pthread_mutex_lock"));
  ++locks;
  return kReal(mutex);
}
#endif

namespace hayate {
namespace {

namespace fs = std::filesystem;

// A state of the sample at batch 1, run once. Its input holds zeros.
std::unique_ptr<native::NativeState> warm_state(const std::string& path) {
  Result<Graph> graph = import_model(path, {});
  EXPECT_TRUE(graph.ok()) << graph.error().text();
  const ValueInfo& input = graph.value().inputs.at(0);
  Shape shape{1};
  for (size_t i = 1; i < input.dims.size(); ++i) shape.push_back(input.dims[i].value);
  const auto executable = native::NativeExecutable::compile(graph.value(), {{input.name, {input.type, shape}}});
  EXPECT_TRUE(executable.ok()) << executable.error().text();
  auto state = std::make_unique<native::NativeState>(executable.value());
  EXPECT_TRUE(state->run().ok());
  return state;
}

std::vector<std::string> samples() {
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(fs::path(HAYATE_SOURCE_DIR) / "models")) {
    const std::string extension = entry.path().extension();
    if (extension == ".onnx" || extension == ".txt" || extension == ".ubj") paths.push_back(entry.path());
  }
  return paths;
}

TEST(Guard, WarmRunsAllocateAndLockNothing) {
  if (HAYATE_SANITIZED) GTEST_SKIP() << "sanitizers allocate on their own";
  ASSERT_FALSE(samples().empty());
  const int64_t before = allocations;
  const auto probe = std::make_unique<std::string>(100, 'x');  // the counter counts
  ASSERT_GE(allocations - before, 2);
  for (const std::string& path : samples()) {
    const auto state = warm_state(path);
    const int64_t allocated = allocations, locked = locks;
    bool good = true;
    for (int i = 0; i < 10; ++i) good = good && state->run().ok();
    EXPECT_EQ(allocations - allocated, 0) << path;
    EXPECT_EQ(locks - locked, 0) << path;
    EXPECT_TRUE(good);
  }
}

// In a child that the kernel kills at the first system call but read, write and exit.
bool runs_without_system_calls(native::NativeState* state, bool cheat) {
  const pid_t child = fork();
  if (child == 0) {
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) _exit(3);
    bool good = true;
    for (int i = 0; i < 10; ++i) good = good && state->run().ok();
    if (cheat) (void)syscall(SYS_getppid);
    syscall(SYS_exit, good ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(Guard, WarmRunsMakeNoSystemCall) {
  if (HAYATE_SANITIZED) GTEST_SKIP() << "sanitizers make system calls on their own";
  bool first = true;
  for (const std::string& path : samples()) {
    const auto state = warm_state(path);
    if (first) {
      ASSERT_FALSE(runs_without_system_calls(state.get(), true)) << "the guard does not bite";
    }
    first = false;
    EXPECT_TRUE(runs_without_system_calls(state.get(), false)) << path;
  }
}

}  // namespace
}  // namespace hayate
