#include "guard.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace {

// Where a child counts: memory that its parent sees, so that a child's death loses nothing. Only one thread counts.
hayate::guard::Counts* armed = nullptr;

[[maybe_unused]] void count(int64_t hayate::guard::Counts::*of) {
  if (armed != nullptr) ++(armed->*of);
}

}  // namespace

#ifndef HAYATE_SANITIZED
#define HAYATE_GUARD 1

using hayate::guard::Counts;

extern "C" {

void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void __libc_free(void*);

void* malloc(size_t size) { return count(&Counts::allocations), __libc_malloc(size); }
void* calloc(size_t n, size_t size) { return count(&Counts::allocations), __libc_calloc(n, size); }
void* realloc(void* memory, size_t size) { return count(&Counts::allocations), __libc_realloc(memory, size); }
void* memalign(size_t align, size_t size) { return count(&Counts::allocations), __libc_memalign(align, size); }
void* aligned_alloc(size_t align, size_t size) { return count(&Counts::allocations), __libc_memalign(align, size); }
void* valloc(size_t size) { return count(&Counts::allocations), __libc_memalign(4096, size); }
int posix_memalign(void** memory, size_t align, size_t size) {
  count(&Counts::allocations);
  *memory = __libc_memalign(align, size);
  return *memory == nullptr ? ENOMEM : 0;
}
void free(void* memory) { count(&Counts::frees), __libc_free(memory); }

// The C library's own, behind a function that counts. Looked up once, at the first call.
#define HAYATE_COUNTED(name, parameters, arguments)                                         \
  int name parameters {                                                                     \
    static const auto kReal = reinterpret_cast<int(*) parameters>(dlsym(RTLD_NEXT, #name)); \
    count(&Counts::locks);                                                                  \
    return kReal arguments;                                                                 \
  }
HAYATE_COUNTED(pthread_mutex_lock, (pthread_mutex_t * m), (m))
HAYATE_COUNTED(pthread_mutex_trylock, (pthread_mutex_t * m), (m))
HAYATE_COUNTED(pthread_mutex_timedlock, (pthread_mutex_t * m, const timespec* t), (m, t))
HAYATE_COUNTED(pthread_mutex_unlock, (pthread_mutex_t * m), (m))
HAYATE_COUNTED(pthread_rwlock_rdlock, (pthread_rwlock_t * m), (m))
HAYATE_COUNTED(pthread_rwlock_wrlock, (pthread_rwlock_t * m), (m))
HAYATE_COUNTED(pthread_rwlock_tryrdlock, (pthread_rwlock_t * m), (m))
HAYATE_COUNTED(pthread_rwlock_trywrlock, (pthread_rwlock_t * m), (m))
HAYATE_COUNTED(pthread_rwlock_unlock, (pthread_rwlock_t * m), (m))
HAYATE_COUNTED(pthread_spin_lock, (pthread_spinlock_t * m), (m))
HAYATE_COUNTED(pthread_spin_trylock, (pthread_spinlock_t * m), (m))
HAYATE_COUNTED(pthread_spin_unlock, (pthread_spinlock_t * m), (m))
HAYATE_COUNTED(pthread_cond_wait, (pthread_cond_t * c, pthread_mutex_t* m), (c, m))
HAYATE_COUNTED(pthread_cond_timedwait, (pthread_cond_t * c, pthread_mutex_t* m, const timespec* t), (c, m, t))
HAYATE_COUNTED(pthread_cond_signal, (pthread_cond_t * c), (c))
HAYATE_COUNTED(pthread_cond_broadcast, (pthread_cond_t * c), (c))
HAYATE_COUNTED(sem_wait, (sem_t * s), (s))
HAYATE_COUNTED(sem_post, (sem_t * s), (s))
#undef HAYATE_COUNTED

}  // extern "C"
#else
#define HAYATE_GUARD 0
#endif

namespace hayate::guard {
namespace {

void on_system_call(int, siginfo_t* info, void* context) {
  if (armed != nullptr && armed->system_calls++ == 0) armed->first_system_call = info->si_syscall;
  [[maybe_unused]] auto* to = static_cast<ucontext_t*>(context);
#if defined(__x86_64__)
  to->uc_mcontext.gregs[REG_RAX] = -ENOSYS;
#elif defined(__aarch64__)
  to->uc_mcontext.regs[0] = static_cast<unsigned long long>(-ENOSYS);
#endif
}

// From here on only the return from the handler and the end of the process are system calls; others are signals.
bool trap_system_calls() {
  struct sigaction action {};
  action.sa_sigaction = on_system_call, action.sa_flags = SA_SIGINFO | SA_NODEFER;
  if (sigaction(SIGSYS, &action, nullptr) != 0) return false;
  sock_filter filter[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 1, 0),
                          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
                          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP)};
  const sock_fprog program = {sizeof filter / sizeof *filter, filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

}  // namespace

bool counts() { return HAYATE_GUARD != 0; }

std::string Counts::text() const {
  std::string made =
      fmt::format("{} allocations, {} frees, {} locks, {} system calls", allocations, frees, locks, system_calls);
  if (first_system_call >= 0) made += fmt::format(", the first of number {}", first_system_call);
  return made;
}

Counts counted(const std::function<bool()>& work, bool* failed) {
  *failed = true;
  void* page = mmap(nullptr, sizeof(Counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return {};
  auto* shared = new (page) Counts;
  const pid_t child = fork();
  if (child == 0) {
    if (!trap_system_calls()) _exit(2);
    armed = shared;
    bool good = false;
    try {
      good = work();
    } catch (...) {
    }
    armed = nullptr;
    _exit(good ? 0 : 1);
  }
  int status = -1;
  const bool waited = child > 0 && waitpid(child, &status, 0) == child;
  *failed = !waited || !WIFEXITED(status) || WEXITSTATUS(status) != 0;
  const Counts made = *shared;
  munmap(page, sizeof(Counts));
  return made;
}

}  // namespace hayate::guard
