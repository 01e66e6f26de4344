// Counts what a warm path must not do: memory, locks, system calls.
//
// The work runs in a child of its own. There the functions of the malloc family and of POSIX threads that this program
// defines in front of the C library's count their calls, and a seccomp filter turns every system call into a signal
// whose handler counts it (the call itself is not made: it gives ENOSYS). Locks inside the C library are seen where
// they call the system.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace hayate::guard {

struct Counts {
  int64_t allocations = 0;  // malloc, calloc, realloc, aligned forms; operator new and thrown exceptions by them
  int64_t frees = 0;        // free and operator delete
  int64_t locks = 0;        // mutexes, read-write locks, spin locks, condition variables, semaphores: taking and giving
  int64_t system_calls = 0;    // any
  int first_system_call = -1;  // its number

  bool nothing() const { return allocations + frees + locks + system_calls == 0; }
  std::string text() const;
};

// Whether this build can count: the sanitizers put functions of their own in front, and allocate.
bool counts();

// What `work` does. Its return value says whether it went well; where not, or where the child died, `failed` is set;
// what was counted until then stands.
Counts counted(const std::function<bool()>& work, bool* failed);

}  // namespace hayate::guard
