#include <cmath>
#include <limits>

#include "eval/kernel.h"
#include "kernels/reference/loops.h"

namespace hayate {
namespace {

namespace ref = kernels::reference;

// What a reduction does: start, one step per element, and the end (given the number of elements).
struct Fold {
  double start;
  double (*step)(double sum, double x);
  double (*finish)(double sum, double count);
};

double keep(double sum, double) { return sum; }
double add(double sum, double x) { return sum + x; }
double log_add(double a, double x) {  // log(exp(a) + exp(x))
  if (std::isnan(a) || std::isnan(x)) return a + x;
  const double high = std::fmax(a, x);
  return std::isinf(high) ? high : high + std::log1p(std::exp(-std::fabs(a - x)));
}

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Fold fold_of(std::string_view op) {
  if (op == "ReduceSum") return {0, add, keep};
  if (op == "ReduceMean") return {0, add, [](double sum, double count) { return sum / count; }};
  if (op == "ReduceProd") return {1, [](double sum, double x) { return sum * x; }, keep};
  if (op == "ReduceSumSquare") return {0, [](double sum, double x) { return sum + x * x; }, keep};
  if (op == "ReduceL1") return {0, [](double sum, double x) { return sum + std::fabs(x); }, keep};
  if (op == "ReduceL2")
    return {0, [](double sum, double x) { return sum + x * x; }, [](double sum, double) { return std::sqrt(sum); }};
  if (op == "ReduceLogSum") return {0, add, [](double sum, double) { return std::log(sum); }};
  return {-kInfinity, log_add, keep};  // log of a sum of exps
}

// The same for integers, exact; wraps as 64-bit integers do. Null where the result is no integer on the way.
struct IntegerFold {
  bool exact = false;
  int64_t (*step)(int64_t sum, int64_t x) = nullptr;
};
int64_t wrapped_add(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}
int64_t wrapped_mul(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}

IntegerFold integer_fold_of(std::string_view op, bool is_signed) {
  if (op == "ReduceSum" || (op == "ReduceL1" && !is_signed)) return {true, wrapped_add};
  if (op == "ReduceProd") return {true, wrapped_mul};
  if (op == "ReduceSumSquare")
    return {true, [](int64_t sum, int64_t x) { return wrapped_add(sum, wrapped_mul(x, x)); }};
  if (op == "ReduceL1")
    return {true, [](int64_t sum, int64_t x) { return wrapped_add(sum, x < 0 ? wrapped_mul(x, -1) : x); }};
  return {};
}

// Walks x and folds each element into its place of y.
template <typename T, typename Sum, typename Step>
std::vector<Sum> folded(const Tensor& x, const ref::Extents& into, int64_t count, Sum start, Step step) {
  std::vector<Sum> sums(static_cast<size_t>(count), start);
  const ref::Extents strides[1] = {into};
  ref::for_each_element(x.shape(), strides, [&](int64_t i, const int64_t* at) {
    sums[at[0]] = step(sums[at[0]], static_cast<Sum>(x.data<T>()[i]));
  });
  return sums;
}

// The lowest or highest of each group, in the type itself; of an empty group what no element passes.
template <typename T>
void reduce_extreme(const Tensor& x, const ref::Extents& into, bool largest, Tensor* y) {
  using Limits = std::numeric_limits<T>;
  T start = largest ? Limits::lowest() : Limits::max();
  if constexpr (Limits::has_infinity) start = largest ? -Limits::infinity() : Limits::infinity();
  std::fill_n(y->data<T>(), y->count(), start);
  const ref::Extents strides[1] = {into};
  ref::for_each_element(x.shape(), strides, [&](int64_t i, const int64_t* at) {
    T& best = y->data<T>()[at[0]];
    const T value = x.data<T>()[i];
    if (value != value || (largest ? best < value : value < best)) best = value;
  });
}

template <typename T>
void reduce_sums(std::string_view op, const Tensor& x, const ref::Extents& into, Tensor* y) {
  if constexpr (std::is_integral_v<T>)
    if (const IntegerFold exact = integer_fold_of(op, std::is_signed_v<T>); exact.exact) {
      const auto sums = folded<T, int64_t>(x, into, y->count(), op == "ReduceProd" ? 1 : 0, exact.step);
      for (int64_t i = 0; i < y->count(); ++i) y->data<T>()[i] = static_cast<T>(sums[i]);
      return;
    }
  const Fold fold = fold_of(op);
  const double count = y->count() == 0 ? 0 : static_cast<double>(x.count() / y->count());
  const auto sums = folded<T, double>(x, into, y->count(), fold.start, fold.step);
  for (int64_t i = 0; i < y->count(); ++i) {
    const double value = fold.finish(sums[i], count);
    if constexpr (std::is_integral_v<T>)
      y->data<T>()[i] = std::fabs(value) < 9e18 ? static_cast<T>(static_cast<int64_t>(value)) : T{};
    else
      y->data<T>()[i] = static_cast<T>(value);
  }
}

Result<bool> reduce(const KernelContext& c) {
  const Tensor& x = *c.inputs[0];
  std::optional<Shape> axes;
  if (c.input(1) != nullptr)
    axes = to_int64s(*c.input(1));
  else if (c.node.attributes.count("axes") != 0)
    axes = c.node.get<Shape>("axes", {});
  const Result<std::vector<bool>> marks = reduced_axes(c.node, x.rank(), axes);
  if (!marks.ok()) return marks.error();
  Shape kept;
  for (int i = 0; i < x.rank(); ++i) kept.push_back(marks.value()[i] ? 1 : x.shape()[i]);
  const ref::Extents into = ref::broadcast_strides(kept, x.shape());
  const bool extreme = c.node.is("ReduceMax") || c.node.is("ReduceMin");
  visit_type(x.type(), [&]<typename T>() {
    if (extreme)
      reduce_extreme<T>(x, into, c.node.is("ReduceMax"), c.outputs[0]);
    else
      reduce_sums<T>(c.node.op, x, into, c.outputs[0]);
  });
  return true;
}

template <bool kLargest>
Result<bool> arg_reduce(const KernelContext& c) {
  const Tensor& x = *c.inputs[0];
  const int64_t axis = *normal_axis(c.node.get<int64_t>("axis", 0), x.rank()), extent = x.shape()[axis];
  const bool last = c.node.get<int64_t>("select_last_index", 0) != 0;
  const int64_t inner = ref::row_major(x.shape())[axis];
  visit_type(x.type(), [&]<typename T>() {
    for (int64_t i = 0; i < c.outputs[0]->count(); ++i) {
      const T* from = x.data<T>() + i / inner * extent * inner + i % inner;
      int64_t best = 0;
      for (int64_t k = 1; k < extent; ++k) {
        const T value = from[k * inner], so_far = from[best * inner];
        if ((kLargest ? so_far < value : value < so_far) || (last && value == so_far)) best = k;
      }
      c.outputs[0]->data<int64_t>()[i] = best;
    }
  });
  return true;
}

}  // namespace

void add_reduce_kernels(std::vector<KernelEntry>* table) {
  for (const char* op : {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSumSquare",
                         "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp"})
    table->push_back({"", op, reduce});
  table->push_back({"", "ArgMax", arg_reduce<true>});
  table->push_back({"", "ArgMin", arg_reduce<false>});
}

}  // namespace hayate
