#include "tune/peaks.h"

#include <fmt/format.h>
#include <sched.h>
#include <simdjson.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <new>
#include <sstream>
#include <thread>

#include "base/json.h"
#include "kernels/vector/peaks.h"
#include "tune/pieces.h"

namespace hayate {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kVersion = 3;
constexpr double kSeconds = 0.1;  // of each measurement
constexpr int64_t kBlock = 1024;  // floats that a read loop takes at a time
volatile float g_sink;            // keeps loops from being left out

// Nanoseconds of one call: the least of many, for what disturbs only adds.
template <typename F>
double best_ns(F&& call) {
  double best = 1e30;
  const auto end = Clock::now() + std::chrono::duration<double>(kSeconds);
  do {
    const auto start = Clock::now();
    call();
    best = std::min(best, std::chrono::duration<double, std::nano>(Clock::now() - start).count());
  } while (Clock::now() < end);
  return best;
}

// On huge pages where the system gives them: address translation is no property of a cache.
class Buffer {
 public:
  explicit Buffer(int64_t floats) {
    constexpr size_t kPage = size_t{2} << 20;
    const size_t bytes = (static_cast<size_t>(floats) * sizeof(float) + kPage - 1) / kPage * kPage;
    data_ = static_cast<float*>(::operator new (bytes, std::align_val_t{kPage}));
    madvise(data_, bytes, MADV_HUGEPAGE);
    std::fill(data_, data_ + floats, 1.0f);
  }
  ~Buffer() { ::operator delete (data_, std::align_val_t{size_t{2} << 20}); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  const float* data() const { return data_; }

 private:
  float* data_;
};

// A buffer of so many bytes, read over and over.
double read_gb_per_s(const kernels::PeakLoops& loops, int64_t bytes) {
  const int64_t n = std::max<int64_t>(bytes / 4 / kBlock, 1) * kBlock;
  const Buffer buffer(n);
  const int64_t times = std::max<int64_t>(1, (int64_t{1} << 20) / n);
  const double ns = best_ns([&] {
    for (int64_t i = 0; i < times; ++i) g_sink = loops.read(buffer.data(), n);
  });
  return static_cast<double>(n * 4 * times) / ns;
}

template <typename Loop>
double gmacs(Loop loop, int64_t macs) {
  constexpr int64_t kRounds = 20'000;
  return static_cast<double>(kRounds * macs) / best_ns([&] { g_sink = loop(kRounds); });
}

double function_ns() {
  const kernels::Set& set = kernels::set_for(kernels::supported_isas().front());
  std::vector<float> x(2048), y(2048);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 97) * 0.05f - 2.4f;
  const int64_t n = static_cast<int64_t>(x.size());
  const auto timed = [&](kernels::Unary op) {
    return best_ns([&] { set.unary({op}, x.data(), y.data(), n); }) / static_cast<double>(n);
  };
  return (timed(kernels::Unary::kSigmoid) + timed(kernels::Unary::kTanh)) / 2;
}

double float64_add_ns() {
  constexpr int kCount = 20'000;
  volatile double start = 1;
  return best_ns([&] {
           double sum = start;
           for (int i = 0; i < kCount; ++i) {
             sum += 1e-9;
#if defined(__x86_64__)  // one addition after the other
             asm volatile("" : "+x"(sum));
#elif defined(__aarch64__)
             asm volatile("" : "+w"(sum));
#endif
           }
           g_sink = static_cast<float>(sum);
         }) /
         kCount;
}

bool pin(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(core), &set);
  return sched_setaffinity(0, sizeof set, &set) == 0;
}

std::vector<int> usable_cores() {
  cpu_set_t set;
  std::vector<int> cores;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cores;
  for (int core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(static_cast<size_t>(core), &set)) cores.push_back(core);
  return cores;
}

// A number goes from one core to the other and back; half of the median round trip.
double hand_off_ns() {
  const std::vector<int> cores = usable_cores();
  if (cores.size() < 2) return 0;
  constexpr int kRounds = 20'000;
  alignas(64) std::atomic<int> there = 0;
  alignas(64) std::atomic<int> back = 0;
  std::vector<double> times;
  std::thread other([&] {
    pin(cores[1]);
    for (int i = 1; i <= kRounds; ++i) {
      while (there.load(std::memory_order_acquire) != i) {
      }
      back.store(i, std::memory_order_release);
    }
  });
  std::thread one([&] {
    pin(cores[0]);
    for (int i = 1; i <= kRounds; ++i) {
      const auto start = Clock::now();
      there.store(i, std::memory_order_release);
      while (back.load(std::memory_order_acquire) != i) {
      }
      times.push_back(std::chrono::duration<double, std::nano>(Clock::now() - start).count());
    }
  });
  one.join(), other.join();
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2] / 2;
}

// Data caches of the first core and the memory, nearest first. `bytes`: what one core may count on.
std::vector<LevelPeak> levels_of(const Machine& machine) {
  std::vector<LevelPeak> levels;
  for (const Cache& cache : machine.caches)
    if (cache.kind != "Instruction") levels.push_back({fmt::format("L{}", cache.level), cache.bytes, 0});
  std::sort(levels.begin(), levels.end(), [](const auto& a, const auto& b) { return a.level < b.level; });
  levels.push_back({"memory", machine.memory_bytes, 0});
  return levels;
}

// How much to read so that it comes from this level and not from the one before. Far less than a large shared cache
// holds: of that, one core has no more than its neighbours leave.
int64_t probe_bytes(const std::vector<LevelPeak>& levels, size_t i) {
  constexpr int64_t kMost = int64_t{256} << 20;
  const int64_t before = i == 0 ? levels[i].bytes : levels[i - 1].bytes;
  if (levels[i].level == "memory") return std::clamp(4 * before, int64_t{64} << 20, kMost);
  return std::min(levels[i].bytes * 3 / 4, 4 * before);
}

Error bad(const std::string& source, std::string what) { return {Code::kInvalidArgument, source, std::move(what)}; }

}  // namespace

const LevelPeak& Peaks::level_of(int64_t bytes) const {
  for (const LevelPeak& level : levels)
    if (bytes <= level.bytes) return level;
  return levels.back();
}

Peaks measure_peaks(const Machine& machine, const std::function<void(double)>& progress) {
  const auto done = [&](double share) {
    if (progress) progress(share);
  };
  Peaks peaks;
  peaks.fingerprint = fingerprint(machine);
  peaks.levels = levels_of(machine);
  const kernels::PeakLoops loops = kernels::peak_loops(kernels::supported_isas().front());
  for (size_t i = 0; i < peaks.levels.size(); ++i) {
    peaks.levels[i].gb_per_s = read_gb_per_s(loops, probe_bytes(peaks.levels, i));
    done(0.6 * static_cast<double>(i + 1) / static_cast<double>(peaks.levels.size()));
  }
  // What a level gives, every nearer one gives too: on a busy machine the near ones may have been measured worse.
  for (size_t i = peaks.levels.size() - 1; i-- > 0;)
    peaks.levels[i].gb_per_s = std::max(peaks.levels[i].gb_per_s, peaks.levels[i + 1].gb_per_s);
  peaks.fp32_gmacs = gmacs(loops.multiply_add, loops.multiply_add_macs());
  if (const kernels::NarrowLoop loop = kernels::bf16_loop(); loop.run != nullptr)
    peaks.bf16_gmacs = gmacs(loop.run, loop.macs);
  if (const kernels::NarrowLoop loop = kernels::int8_loop(); loop.run != nullptr)
    peaks.int8_gmacs = gmacs(loop.run, loop.macs);
  done(0.7);
  peaks.function_ns = function_ns();
  peaks.float64_add_ns = float64_add_ns();
  peaks.hand_off_ns = hand_off_ns();
  peaks.piece_macs = piece_macs_of(measure_shared_sizes(machine.cores, [&](double share) { done(0.8 + 0.2 * share); }));
  done(1);
  return peaks;
}

std::string to_text(const Peaks& peaks) {
  std::string text = "peaks of one core, measured:\n";
  for (const LevelPeak& level : peaks.levels)
    text += fmt::format("  {:<7} {:>8.1f} GB/s   holds {:.2f} MB\n", level.level, level.gb_per_s,
                        static_cast<double>(level.bytes) / (1 << 20));
  const auto macs = [](double gmacs) { return gmacs == 0 ? "no instruction" : fmt::format("{:.1f} GMAC/s", gmacs); };
  text += fmt::format("  fp32    {}\n  bf16    {}\n  int8    {}\n", macs(peaks.fp32_gmacs), macs(peaks.bf16_gmacs),
                      macs(peaks.int8_gmacs));
  text += fmt::format("  sigmoid, tanh {:.2f} ns a value, ordered float64 sums {:.2f} ns an addition\n",
                      peaks.function_ns, peaks.float64_add_ns);
  if (peaks.hand_off_ns == 0) return text + "  a single core: no hand-off\n";
  text += fmt::format("  hand-off to another core {:.0f} ns; ", peaks.hand_off_ns);
  return text + (peaks.piece_macs == 0 ? "two threads were no quicker at a step than one\n"
                                       : fmt::format("two threads are quicker at a step of {} multiply-adds for each\n",
                                                     peaks.piece_macs));
}

std::string to_json(const Peaks& peaks) {
  std::vector<std::string> levels;
  for (const LevelPeak& level : peaks.levels)
    levels.push_back(fmt::format("{{\"level\": {}, \"bytes\": {}, \"gb_per_s\": {:.3f}}}", json_string(level.level),
                                 level.bytes, level.gb_per_s));
  std::string list;
  for (const std::string& level : levels) list += (list.empty() ? "" : ", ") + level;
  return fmt::format(
      "{{\"version\": {}, \"fingerprint\": {}, \"levels\": [{}], \"fp32_gmacs\": {:.3f}, \"bf16_gmacs\": {:.3f}, "
      "\"int8_gmacs\": {:.3f}, \"function_ns\": {:.4f}, \"float64_add_ns\": {:.4f}, \"hand_off_ns\": {:.1f}, "
      "\"piece_macs\": {}}}",
      kVersion, json_string(peaks.fingerprint), list, peaks.fp32_gmacs, peaks.bf16_gmacs, peaks.int8_gmacs,
      peaks.function_ns, peaks.float64_add_ns, peaks.hand_off_ns, peaks.piece_macs);
}

Result<Peaks> peaks_from_json(const std::string& text, const std::string& source) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (parser.parse(text).get(root) != simdjson::SUCCESS) return bad(source, "is no JSON");
  int64_t version = 0;
  std::string_view fingerprint;
  simdjson::dom::array levels;
  if (root["version"].get(version) != simdjson::SUCCESS || version != kVersion)
    return bad(source, fmt::format("is of another version; version {} is read", kVersion));
  Peaks peaks;
  bool good =
      root["fingerprint"].get(fingerprint) == simdjson::SUCCESS && root["levels"].get(levels) == simdjson::SUCCESS;
  const auto number = [&](const char* key, double* to) {
    good = good && root[key].get(*to) == simdjson::SUCCESS && std::isfinite(*to) && *to >= 0;
  };
  number("fp32_gmacs", &peaks.fp32_gmacs), number("bf16_gmacs", &peaks.bf16_gmacs);
  number("int8_gmacs", &peaks.int8_gmacs), number("function_ns", &peaks.function_ns);
  number("float64_add_ns", &peaks.float64_add_ns), number("hand_off_ns", &peaks.hand_off_ns);
  good = good && root["piece_macs"].get(peaks.piece_macs) == simdjson::SUCCESS && peaks.piece_macs >= 0;
  if (!good) return bad(source, "lacks a value, or one is no number of 0 or more");
  peaks.fingerprint = fingerprint;
  for (const simdjson::dom::element& each : levels) {
    LevelPeak level;
    std::string_view name;
    if (each["level"].get(name) != simdjson::SUCCESS || each["bytes"].get(level.bytes) != simdjson::SUCCESS ||
        each["gb_per_s"].get(level.gb_per_s) != simdjson::SUCCESS || level.gb_per_s <= 0)
      return bad(source, "has a level without name, bytes and gb_per_s above 0");
    level.level = name;
    peaks.levels.push_back(std::move(level));
  }
  if (peaks.levels.empty() || peaks.fp32_gmacs <= 0) return bad(source, "holds no measured level");
  return peaks;
}

std::string peaks_file() {
  const auto given = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  const std::string cache = given("XDG_CACHE_HOME"), home = given("HOME");
  if (cache.empty() && home.empty()) return "";
  return (cache.empty() ? home + "/.cache" : cache) + "/hayate/peaks.json";
}

Result<bool> store_peaks(const Peaks& peaks, const std::string& path) {
  std::error_code error;
  if (path.empty()) return bad("peaks", "have no place: set HOME or XDG_CACHE_HOME");
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  const std::string next = path + ".new";  // in one move, so that no reader sees half of it
  {
    std::ofstream file(next);
    file << to_json(peaks) << "\n";
    file.flush();
    if (!file) return bad(path, "cannot be written");
  }
  std::filesystem::rename(next, path, error);
  if (error) return bad(path, "cannot be written: " + error.message());
  return true;
}

Result<Peaks> load_peaks(const Machine& machine, const std::string& path) {
  constexpr const char* kHow = "hayate machine --measure measures";
  std::ifstream file(path);
  if (path.empty() || !file) return bad(path.empty() ? "peaks" : path, fmt::format("nothing measured yet: {}", kHow));
  std::ostringstream text;
  text << file.rdbuf();
  Result<Peaks> peaks = peaks_from_json(text.str(), path);
  if (peaks.ok() && peaks.value().fingerprint != fingerprint(machine))
    return bad(path, fmt::format("was measured on another machine: {}", kHow));
  return peaks;
}

}  // namespace hayate
