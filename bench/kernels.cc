// Micro-benchmarks of the dense kernels: every precision and instruction set at the sizes of the sample models and just
// around them, for one row and for small batches. bench/kernels builds and runs this, and says which sizes cost more.
//     hayate_kernel_bench --benchmark_filter=dense/avx512/int8
// Names: dense/ISA/PRECISION/m:M/k:K/n:N/of:KxN, where KxN is the sample's size that the case stands beside. The
// counter GMAC/s counts m * k * n. Trees are in tree_kernels.cc.
#include "kernels/vector/kernels.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <optional>
#include <random>
#include <span>

#include "base/tsc.h"
#include "kernels.h"
#include "tensor/tensor.h"

namespace hayate {
namespace {

struct Size {
  int64_t k, n;
};
// Layers of models/: mlp_small, mlp_medium, gru (input, state), lstm_a, transformer, deeplob's branches, lstm_b's
// state.
constexpr Size kSamples[] = {{40, 64},  {64, 64},   {128, 256}, {256, 256}, {40, 192},
                             {64, 192}, {100, 400}, {64, 128},  {96, 32},   {200, 800}};
constexpr int64_t kRows[] = {1, 4, 32}, kAround[] = {-7, -1, 1, 7}, kWayRows[] = {1, 4, 16, 50, 200};

Tensor random_floats(int64_t count) {
  Tensor made(Type::kFloat32, {count});
  std::minstd_rand generator(1);
  std::normal_distribution<float> normal;
  for (int64_t i = 0; i < count; ++i) made.data<float>()[i] = normal(generator);
  return made;
}

void describe(kernels::DenseShape* args, int64_t m, const Size& size, const Tensor& bias, Tensor* y) {
  args->m = m, args->k = args->segment_length = size.k, args->n = size.n;
  args->x_outer = size.k, args->y_outer = size.n;
  args->bias = bias.data<float>(), args->y = y->data<float>();
}

template <typename Kernel, typename Args>
void loop(benchmark::State& state, Kernel dense, const Args& args) {
  for (auto _ : state) {
    dense(args);
    benchmark::ClobberMemory();
  }
  const auto macs = static_cast<double>(args.m * args.k * args.n);
  state.counters["GMAC/s"] = benchmark::Counter(macs * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

void run_float(benchmark::State& state, kernels::Isa isa, int64_t m, Size size) {
  const kernels::Set& set = kernels::set_for(isa);
  const Tensor x = random_floats(m * size.k), w = random_floats(size.k * size.n), bias = random_floats(size.n);
  Tensor y(Type::kFloat32, {m * size.n}), packed(Type::kFloat32, {set.dense_packed_size(size.k, size.n)});
  set.dense_pack(w.data<float>(), size.k, size.n, size.n, 1, packed.data<float>());
  kernels::Dense args;
  describe(&args, m, size, bias, &y);
  args.x = x.data<float>(), args.packed = packed.data<float>();
  loop(state, set.dense, args);
}

// One call at a time behind other work, as a layer among others is: a unit of the processor that sleeps between uses
// takes time to wake up.
template <typename Call>
void loop_behind_other_work(benchmark::State& state, const kernels::Set& set, Call&& call) {
  const Tensor other = random_floats(20'000);
  Tensor made(Type::kFloat32, other.shape());
  static const double kTicks = 1e6 * ticks_per_microsecond();
  for (auto _ : state) {
    set.unary({kernels::Unary::kTanh}, other.data<float>(), made.data<float>(), other.count());
    const uint64_t start = ticks_now();
    call();
    state.SetIterationTime(static_cast<double>(ticks_now() - start) / kTicks);
    if (set.release != nullptr) set.release();
  }
}

// Of float32 one row has two ways: the kernel of its size, which lowering takes, and that of any number of rows.
void run_float_row(benchmark::State& state, kernels::Isa isa, Size size, bool own) {
  const kernels::Set& set = kernels::set_for(isa);
  const Tensor x = random_floats(size.k), w = random_floats(size.k * size.n), bias = random_floats(size.n);
  Tensor y(Type::kFloat32, {size.n}), packed(Type::kFloat32, {set.dense_packed_size(size.k, size.n)});
  set.dense_pack(w.data<float>(), size.k, size.n, size.n, 1, packed.data<float>());
  kernels::Dense args;
  describe(&args, 1, size, bias, &y);
  args.x = x.data<float>(), args.packed = packed.data<float>();
  const kernels::RowKernel row = set.row_kernel(size.n);
  const kernels::RowShape shape{size.n, size.k, {}};
  loop_behind_other_work(state, set, [&] {
    if (own)
      row(shape, args.x, args.packed, args.bias, args.y);
    else
      set.dense(args);
  });
}

// `way`: which of the set's; -1: the one it takes, which is asked for once, as lowering does; none: that one, call
// behind call.
void run_narrow(benchmark::State& state, kernels::Isa isa, kernels::Narrow narrow, int64_t m, Size size,
                std::optional<int> way = std::nullopt) {
  const kernels::NarrowSet& set = kernels::set_for(isa).of(narrow);
  const bool floats = narrow == kernels::Narrow::kBf16;
  const Tensor w = random_floats(size.k * size.n), bias = random_floats(size.n), scales = random_floats(size.n);
  Tensor bytes(Type::kInt8, w.shape());
  for (int64_t i = 0; i < w.count(); ++i) bytes.data<int8_t>()[i] = static_cast<int8_t>(40 * w.data<float>()[i]);
  const kernels::NarrowWeights weights{.segments = 1,
                                       .segment_length = size.k,
                                       .n = size.n,
                                       .k_stride = size.n,
                                       .n_stride = 1,
                                       .w = floats ? w.bytes() : bytes.bytes(),
                                       .scale = scales.data<float>(),
                                       .x_zero = 128};
  Tensor packed(Type::kUInt8, {set.packed_bytes(weights)}), y(Type::kFloat32, {m * size.n});
  set.pack(weights, packed.bytes());
  const Tensor wide = random_floats(m * size.k);
  Tensor x(Type::kUInt8, {m * size.k * 2 + 16});  // at most two bytes an element, and room behind the last
  set.narrow({.n = wide.count(), .x = wide.data<float>(), .y = x.bytes(), .inverse_scale = 40, .zero = 128});
  kernels::NarrowDense args;
  describe(&args, m, size, bias, &y);
  args.x = x.bytes(), args.packed = packed.bytes();
  if (!way) return loop(state, set.kernel_for(args), args);
  const kernels::NarrowKernel dense = *way < 0 ? set.kernel_for(args) : set.ways[static_cast<size_t>(*way)].dense;
  loop_behind_other_work(state, kernels::set_for(isa), [&] { dense(args); });
}

void add(kernels::Isa isa, const std::string& precision, int64_t m, Size size, const std::string& of) {
  const std::string name =
      fmt::format("dense/{}/{}/m:{}/k:{}/n:{}/of:{}", kernels::isa_name(isa), precision, m, size.k, size.n, of);
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    if (precision == "fp32") return run_float(state, isa, m, size);
    run_narrow(state, isa, precision == "bf16" ? kernels::Narrow::kBf16 : kernels::Narrow::kInt8, m, size);
  });
}

// A sample's size, and with each of kAround added to k, to n and to both.
std::vector<Size> around(const Size& sample) {
  std::vector<Size> sizes{sample};
  for (const int64_t more : kAround)
    for (const Size& size :
         {Size{sample.k + more, sample.n}, Size{sample.k, sample.n + more}, Size{sample.k + more, sample.n + more}})
      sizes.push_back(size);
  return sizes;
}

void add_all() {
  for (const kernels::Isa isa : kernels::supported_isas())
    for (const char* precision : {"fp32", "bf16", "int8"})
      for (const int64_t m : kRows)
        for (const Size& sample : kSamples)
          for (const Size& size : around(sample))
            add(isa, precision, m, size, fmt::format("{}x{}", sample.k, sample.n));
}

// Besides the samples' layers a first convolution over few channels, and one of 16.
void add_ways() {
  std::vector<Size> sizes(std::begin(kSamples), std::end(kSamples));
  sizes.insert(sizes.end(), {{2, 16}, {64, 16}});
  for (const kernels::Isa isa : kernels::supported_isas()) {
    for (const Size& size : sizes)
      for (const char* way : {"taken", "row", "dense"}) {
        const std::string name =
            fmt::format("ways/{}/fp32/m:1/k:{}/n:{}/{}", kernels::isa_name(isa), size.k, size.n, way);
        benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
          run_float_row(state, isa, size, way != std::string("dense"));
        })->UseManualTime();
      }
    for (const kernels::Narrow narrow : {kernels::Narrow::kBf16, kernels::Narrow::kInt8}) {
      const std::span<const kernels::NarrowWay> ways = kernels::set_for(isa).of(narrow).ways;
      for (int way = -1; !ways.empty() && way < static_cast<int>(ways.size()); ++way)
        for (const int64_t m : kWayRows)
          for (const Size& size : sizes) {
            const std::string name = fmt::format("ways/{}/{}/m:{}/k:{}/n:{}/{}", kernels::isa_name(isa),
                                                 narrow == kernels::Narrow::kBf16 ? "bf16" : "int8", m, size.k, size.n,
                                                 way < 0 ? "taken" : ways[static_cast<size_t>(way)].name);
            benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
              run_narrow(state, isa, narrow, m, size, way);
            })->UseManualTime();
          }
    }
  }
}

}  // namespace
}  // namespace hayate

int main(int argc, char** argv) {
  hayate::add_all();
  hayate::add_ways();
  hayate::add_tree_kernels();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
