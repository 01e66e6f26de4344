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
double larger(double a, double x) { return std::isnan(a) || a > x ? a : x; }
double smaller(double a, double x) { return std::isnan(a) || a < x ? a : x; }

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Fold fold_of(std::string_view op) {
  if (op == "ReduceSum") return {0, add, keep};
  if (op == "ReduceMean") return {0, add, [](double sum, double count) { return sum / count; }};
  if (op == "ReduceMax") return {-kInfinity, larger, keep};
  if (op == "ReduceMin") return {kInfinity, smaller, keep};
  if (op == "ReduceProd") return {1, [](double sum, double x) { return sum * x; }, keep};
  if (op == "ReduceSumSquare") return {0, [](double sum, double x) { return sum + x * x; }, keep};
  if (op == "ReduceL1") return {0, [](double sum, double x) { return sum + std::fabs(x); }, keep};
  if (op == "ReduceL2")
    return {0, [](double sum, double x) { return sum + x * x; }, [](double sum, double) { return std::sqrt(sum); }};
  if (op == "ReduceLogSum") return {0, add, [](double sum, double) { return std::log(sum); }};
  return {-kInfinity, [](double a, double x) { return std::fmax(a, x) + std::log1p(std::exp(-std::fabs(a - x))); },
          keep};  // log of a sum of exps
}

Result<bool> reduce(const KernelContext& c) {
  const Tensor& x = *c.inputs[0];
  Tensor& y = *c.outputs[0];
  std::optional<Shape> axes;
  if (c.input(1) != nullptr)
    axes = to_int64s(*c.input(1));
  else if (c.node.attributes.count("axes") != 0)
    axes = c.node.get<Shape>("axes", {});
  const Result<std::vector<bool>> marks = reduced_axes(c.node, x.rank(), axes);
  if (!marks.ok()) return marks.error();
  Shape kept;
  for (int i = 0; i < x.rank(); ++i) kept.push_back(marks.value()[i] ? 1 : x.shape()[i]);
  const ref::Extents into[1] = {ref::broadcast_strides(kept, x.shape())};
  const Fold fold = fold_of(c.node.op);
  std::vector<double> sums(y.count(), fold.start);
  std::vector<int64_t> exact(c.node.is("ReduceSum") ? y.count() : 0, 0);  // 64-bit integers do not fit a double
  const double count = y.count() == 0 ? 0 : static_cast<double>(x.count() / y.count());
  visit_type(x.type(), [&]<typename T>() {
    ref::for_each_element(x.shape(), into, [&](int64_t i, const int64_t* at) {
      sums[at[0]] = fold.step(sums[at[0]], static_cast<double>(x.data<T>()[i]));
      if constexpr (std::is_integral_v<T>)
        if (!exact.empty())
          exact[at[0]] =
              static_cast<int64_t>(static_cast<uint64_t>(exact[at[0]]) + static_cast<uint64_t>(x.data<T>()[i]));
    });
    for (int64_t i = 0; i < y.count(); ++i) {
      const double value = fold.finish(sums[i], count);
      if constexpr (std::is_integral_v<T>)
        y.data<T>()[i] = exact.empty() ? (std::fabs(value) < 9e18 ? static_cast<T>(static_cast<int64_t>(value)) : T{})
                                       : static_cast<T>(exact[i]);
      else
        y.data<T>()[i] = static_cast<T>(value);
    }
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
