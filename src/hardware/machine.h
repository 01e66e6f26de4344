// What machine this is, as one value: found by asking the processor and the system, never timed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hayate {

// One cache as the first core sees it. `shared_by` counts logical cores.
struct Cache {
  int level = 0;
  std::string kind;  // "Data", "Instruction" or "Unified"
  int64_t bytes = 0;
  int shared_by = 1;
};

struct Machine {
  std::string arch;    // "x86_64" or "aarch64", as uname says it
  std::string vendor;  // empty where the system does not say
  std::string model;
  int cores = 0;  // logical cores this process may run on
  int numa_nodes = 1;
  int64_t memory_bytes = 0;
  std::string huge_pages;        // transparent huge pages: "always", "madvise", "never"; empty where unknown
  std::vector<std::string> isa;  // usable by this process (the system saves its registers): "avx2", "avx512_vnni" ...
  std::vector<Cache> caches;
  std::vector<std::string> gpus;  // devices with a kernel driver: "nvidia0", "renderD128" ...

  bool has(const std::string& feature) const;
};

// Never fails: what cannot be found stays empty. Reads a few files under /proc and /sys; costs under a millisecond.
Machine find_machine();

// What a choice of instructions, tiles and packing depends on, in one word of a name and 16 digits: architecture,
// maker, model, instruction sets and caches. Not on how many cores this process was given, nor on memory or devices:
// taskset does not make another machine.
std::string fingerprint(const Machine& machine);

// The machine as lines for a person, and as one JSON object.
std::string to_text(const Machine& machine);
std::string to_json(const Machine& machine);

}  // namespace hayate
