#include "hardware/machine.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/json.h"

namespace hayate {
namespace {

namespace fs = std::filesystem;

std::string first_line(const fs::path& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

// "48K" or "32M" as the kernel writes cache sizes.
int64_t parse_size(const std::string& text) {
  int64_t n = 0;
  size_t i = 0;
  for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i) n = n * 10 + (text[i] - '0');
  if (i < text.size() && text[i] == 'K') n <<= 10;
  if (i < text.size() && text[i] == 'M') n <<= 20;
  return n;
}

// "0-3,8" counts 5.
int count_list(const std::string& text) {
  int count = 0;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ',');) {
    const size_t dash = part.find('-');
    const int from = std::atoi(part.c_str());
    const int to = dash == std::string::npos ? from : std::atoi(part.c_str() + dash + 1);
    count += to - from + 1;
  }
  return std::max(count, 1);
}

// The kernel lists a flag only if it saves the registers behind it, which is what "usable" means.
void read_cpuinfo(Machine& machine) {
  static const char* const kWanted[] = {
      "avx2",        "fma",        "f16c",        "avx512f",  "avx512bw", "avx512vl", "avx512_vnni",
      "avx512_bf16", "avx512vbmi", "avx512_fp16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16",
      "asimd",       "asimddp",    "asimdhp",     "bf16",     "i8mm",     "sve",      "sve2"};
  std::ifstream in("/proc/cpuinfo");
  std::string line;
  while (std::getline(in, line) && !(line.empty() && machine.cores >= 0 && !machine.isa.empty())) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string key = line.substr(0, line.find_last_not_of(" \t", colon - 1) + 1);
    const std::string value = colon + 2 <= line.size() ? line.substr(colon + 2) : "";
    if (key == "vendor_id" || key == "CPU implementer") machine.vendor = value;
    if (key == "model name") machine.model = value;
    if (key != "flags" && key != "Features") continue;
    std::istringstream words(value);
    const std::set<std::string> flags{std::istream_iterator<std::string>(words), {}};
    for (const char* flag : kWanted)
      if (flags.count(flag)) machine.isa.push_back(flag);
  }
}

void read_caches(Machine& machine) {
  for (int i = 0;; ++i) {
    const fs::path dir = fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}", i);
    std::error_code ignored;
    if (!fs::exists(dir, ignored)) break;
    machine.caches.push_back({std::atoi(first_line(dir / "level").c_str()), first_line(dir / "type"),
                              parse_size(first_line(dir / "size")), count_list(first_line(dir / "shared_cpu_list"))});
  }
}

// "always [madvise] never": the word in brackets is the one in force.
std::string read_huge_pages() {
  const std::string line = first_line("/sys/kernel/mm/transparent_hugepage/enabled");
  const size_t open = line.find('['), close = line.find(']');
  return open == std::string::npos || close == std::string::npos ? "" : line.substr(open + 1, close - open - 1);
}

std::vector<std::string> find_gpus() {
  std::vector<std::string> found;
  const auto collect = [&](const char* folder, const std::string& prefix) {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder, ignored)) {
      const std::string name = entry.path().filename();
      if (name.size() > prefix.size() && name.starts_with(prefix) && std::isdigit(name[prefix.size()]))
        found.push_back(name);
    }
  };
  collect("/dev", "nvidia");
  collect("/dev/dri", "renderD");
  std::sort(found.begin(), found.end());
  return found;
}

std::string quoted_list(const std::vector<std::string>& items) {
  std::vector<std::string> parts;
  for (const std::string& item : items) parts.push_back(json_string(item));
  return fmt::format("[{}]", fmt::join(parts, ", "));
}

}  // namespace

bool Machine::has(const std::string& feature) const { return std::find(isa.begin(), isa.end(), feature) != isa.end(); }

Machine find_machine() {
  Machine machine;
  utsname name{};
  if (uname(&name) == 0) machine.arch = name.machine;
  read_cpuinfo(machine);
  read_caches(machine);
  cpu_set_t set;
  CPU_ZERO(&set);
  machine.cores =
      sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  const std::string nodes = first_line("/sys/devices/system/node/online");
  if (!nodes.empty()) machine.numa_nodes = count_list(nodes);
  machine.memory_bytes = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGE_SIZE);
  machine.huge_pages = read_huge_pages();
  machine.gpus = find_gpus();
  return machine;
}

std::string fingerprint(const Machine& m) {
  std::string all = fmt::format("{}|{}|{}|{}", m.arch, m.vendor, m.model, fmt::join(m.isa, " "));
  for (const Cache& c : m.caches) all += fmt::format("|{} {} {}", c.level, c.kind, c.bytes);
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char byte : all) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  return fmt::format("{}-{:016x}", m.arch, hash);
}

std::string to_text(const Machine& m) {
  std::string out = fmt::format("processor   {} {} ({})\n", m.vendor, m.model, m.arch);
  out += fmt::format("cores       {} usable, {} NUMA node{}\n", m.cores, m.numa_nodes, m.numa_nodes == 1 ? "" : "s");
  out += fmt::format("memory      {:.1f} GiB, transparent huge pages: {}\n", m.memory_bytes / 1073741824.0,
                     m.huge_pages.empty() ? "unknown" : m.huge_pages);
  for (const Cache& c : m.caches)
    out += fmt::format("cache       L{} {:<11} {:>6} KiB, shared by {}\n", c.level, c.kind, c.bytes >> 10, c.shared_by);
  out += fmt::format("isa         {}\n", fmt::join(m.isa, " "));
  out += fmt::format("gpus        {}\n", m.gpus.empty() ? "none found" : fmt::format("{}", fmt::join(m.gpus, " ")));
  return out + fmt::format("fingerprint {}\n", fingerprint(m));
}

std::string to_json(const Machine& m) {
  std::vector<std::string> caches;
  for (const Cache& c : m.caches)
    caches.push_back(fmt::format(R"({{"level": {}, "kind": {}, "bytes": {}, "shared_by": {}}})", c.level,
                                 json_string(c.kind), c.bytes, c.shared_by));
  return fmt::format(R"({{"arch": {}, "vendor": {}, "model": {}, "cores": {}, "numa_nodes": {}, "memory_bytes": {}, )"
                     R"("huge_pages": {}, "isa": {}, "caches": [{}], "gpus": {}, "fingerprint": {}}})"
                     "\n",
                     json_string(m.arch), json_string(m.vendor), json_string(m.model), m.cores, m.numa_nodes,
                     m.memory_bytes, json_string(m.huge_pages), quoted_list(m.isa), fmt::join(caches, ", "),
                     quoted_list(m.gpus), json_string(fingerprint(m)));
}

}  // namespace hayate
