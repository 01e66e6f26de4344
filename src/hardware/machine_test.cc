#include "hardware/machine.h"

#include <gtest/gtest.h>

namespace hayate {
namespace {

TEST(Machine, FindsThisOne) {
  const Machine m = find_machine();
  EXPECT_GE(m.cores, 1);
  EXPECT_GE(m.numa_nodes, 1);
  EXPECT_GT(m.memory_bytes, int64_t{64} << 20);
  EXPECT_FALSE(m.arch.empty());
}

#if defined(__x86_64__)
TEST(Machine, AgreesWithTheCompilersOwnQuestion) {
  const Machine m = find_machine();
  EXPECT_EQ(m.has("avx2"), __builtin_cpu_supports("avx2") != 0);
  EXPECT_EQ(m.has("avx512f"), __builtin_cpu_supports("avx512f") != 0);
  EXPECT_EQ(m.has("avx512_vnni"), __builtin_cpu_supports("avx512vnni") != 0);
}
#endif

TEST(Machine, JsonEscapesWhatTheFirmwareSays) {
  Machine m;
  m.model = "a \"fast\" \\ one\t";
  EXPECT_NE(to_json(m).find(R"("model": "a \"fast\" \\ one\u0009")"), std::string::npos) << to_json(m);
}

TEST(Machine, FingerprintIsOfWhatKernelsDependOn) {
  Machine m = find_machine();
  const std::string own = fingerprint(m);
  EXPECT_EQ(own, fingerprint(find_machine()));
  EXPECT_NE(to_text(m).find(own), std::string::npos);
  EXPECT_NE(to_json(m).find("\"fingerprint\": \"" + own + "\""), std::string::npos);
  m.cores += 1, m.numa_nodes += 1, m.memory_bytes *= 2, m.gpus.push_back("nvidia7");
  EXPECT_EQ(fingerprint(m), own);
  for (const auto& change : std::vector<void (*)(Machine*)>{
           [](Machine* other) { other->arch += "x"; }, [](Machine* other) { other->vendor += "x"; },
           [](Machine* other) { other->model += "x"; }, [](Machine* other) { other->isa.push_back("avx9"); },
           [](Machine* other) {
             other->caches.push_back({4, "Unified", 1 << 20, 1});
           }}) {
    Machine other = m;
    change(&other);
    EXPECT_NE(fingerprint(other), own);
  }
}

TEST(Machine, TextSaysWhenNoGpuIsThere) { EXPECT_NE(to_text(Machine{}).find("none found"), std::string::npos); }

}  // namespace
}  // namespace hayate
