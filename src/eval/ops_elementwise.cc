#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "eval/kernel.h"
#include "kernels/reference/loops.h"

namespace hayate {
namespace {

namespace ref = kernels::reference;

template <typename T>
constexpr bool kIsFloat = std::is_floating_point_v<T>;

// y = f(x) in float64 for floats of 32 and 64 bits.
template <typename F>
Result<bool> map_float(const KernelContext& c, F&& f) {
  const Tensor& x = *c.inputs[0];
  if (c.output(0) == nullptr) return true;
  visit_type(x.type(), [&]<typename T>() {
    if constexpr (kIsFloat<T>) {
      T* y = c.outputs[0]->data<T>();
      for (int64_t i = 0; i < x.count(); ++i) y[i] = static_cast<T>(f(static_cast<double>(x.data<T>()[i])));
    }
  });
  return true;
}

template <double (*f)(double)>
Result<bool> unary(const KernelContext& c) {
  return map_float(c, f);
}

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }
double reciprocal(double x) { return 1.0 / x; }
double softsign(double x) { return x / (1.0 + std::fabs(x)); }
double softplus(double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }
double mish(double x) { return x * std::tanh(softplus(x)); }
double clamp01(double x) { return std::isnan(x) ? x : std::fmin(std::fmax(x, 0.0), 1.0); }
double hard_swish(double x) { return x * clamp01(x / 6 + 0.5); }

double alpha(const KernelContext& c, float fallback) {
  return static_cast<double>(c.node.get<float>("alpha", fallback));
}

Result<bool> leaky_relu(const KernelContext& c) {
  return map_float(c, [a = alpha(c, 0.01f)](double x) { return x < 0 ? a * x : x; });
}
Result<bool> elu(const KernelContext& c) {
  return map_float(c, [a = alpha(c, 1.0f)](double x) { return x < 0 ? a * std::expm1(x) : x; });
}
Result<bool> celu(const KernelContext& c) {
  return map_float(c, [a = alpha(c, 1.0f)](double x) { return x < 0 ? a * std::expm1(x / a) : x; });
}
Result<bool> selu(const KernelContext& c) {
  const double a = alpha(c, 1.67326319217681884765625f),
               g = static_cast<double>(c.node.get<float>("gamma", 1.05070102214813232421875f));
  return map_float(c, [=](double x) { return g * (x > 0 ? x : a * std::expm1(x)); });
}
Result<bool> thresholded_relu(const KernelContext& c) {
  return map_float(c, [a = alpha(c, 1.0f)](double x) { return x > a || std::isnan(x) ? x : 0.0; });
}
Result<bool> hard_sigmoid(const KernelContext& c) {
  return map_float(c, [a = alpha(c, 0.2f), b = static_cast<double>(c.node.get<float>("beta", 0.5f))](double x) {
    return clamp01(a * x + b);
  });
}
Result<bool> swish(const KernelContext& c) {
  return map_float(c, [a = alpha(c, 1.0f)](double x) { return x * sigmoid(a * x); });
}
Result<bool> gelu(const KernelContext& c) {
  if (c.node.get<std::string>("approximate", "none") == "tanh")
    return map_float(
        c, [](double x) { return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); });
  return map_float(c, [](double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); });
}

// y = f(x) in x's own type.
template <typename F>
Result<bool> map_own(const KernelContext& c, F&& f) {
  const Tensor& x = *c.inputs[0];
  visit_type(x.type(), [&]<typename T>() {
    T* y = c.outputs[0]->data<T>();
    for (int64_t i = 0; i < x.count(); ++i) y[i] = f(x.data<T>()[i]);
  });
  return true;
}

Result<bool> relu(const KernelContext& c) {
  return map_own(c, []<typename T>(T x) { return x < T{} ? T{} : x; });
}
Result<bool> sign(const KernelContext& c) {
  return map_own(c, []<typename T>(T x) { return x != x ? x : static_cast<T>((T{} < x) - (x < T{})); });
}

Result<bool> shrink(const KernelContext& c) {
  const double bias = static_cast<double>(c.node.get<float>("bias", 0.0f)),
               lambda = static_cast<double>(c.node.get<float>("lambd", 0.5f));
  return map_own(c, [=]<typename T>(T given) {
    const double x = static_cast<double>(given);
    return ref::nearest<T>(x < -lambda ? x + bias : x > lambda ? x - bias : std::isnan(x) ? x : 0.0);
  });
}

// y = f(x) with y of another element type, x float.
template <typename Out, typename F>
Result<bool> test_float(const KernelContext& c, F&& f) {
  const Tensor& x = *c.inputs[0];
  visit_type(x.type(), [&]<typename T>() {
    if constexpr (kIsFloat<T>)
      for (int64_t i = 0; i < x.count(); ++i) c.outputs[0]->data<Out>()[i] = f(static_cast<double>(x.data<T>()[i]));
  });
  return true;
}

Result<bool> is_nan(const KernelContext& c) {
  return test_float<bool>(c, [](double x) { return std::isnan(x); });
}
Result<bool> is_inf(const KernelContext& c) {
  const bool up = c.node.get<int64_t>("detect_positive", 1) != 0, down = c.node.get<int64_t>("detect_negative", 1) != 0;
  return test_float<bool>(c, [=](double x) { return std::isinf(x) && (x > 0 ? up : down); });
}

// y = f(a, b) with broadcasting; In is the inputs' type, Out the output's.
template <typename In, typename Out, typename F>
void zip(const Tensor& a, const Tensor& b, Tensor* y, F&& f) {
  const ref::Extents strides[2] = {ref::broadcast_strides(a.shape(), y->shape()),
                                   ref::broadcast_strides(b.shape(), y->shape())};
  ref::for_each_element(y->shape(), strides, [&](int64_t i, const int64_t* at) {
    y->data<Out>()[i] = f(a.data<In>()[at[0]], b.data<In>()[at[1]]);
  });
}

template <typename F>
Result<bool> compare(const KernelContext& c, F&& f) {
  visit_type(c.inputs[0]->type(), [&]<typename T>() { zip<T, bool>(*c.inputs[0], *c.inputs[1], c.outputs[0], f); });
  return true;
}

struct AddOf {
  template <typename T>
  T operator()(T a, T b) const {
    return static_cast<T>(a + b);
  }
};
struct SubOf {
  template <typename T>
  T operator()(T a, T b) const {
    return static_cast<T>(a - b);
  }
};
struct MulOf {
  template <typename T>
  T operator()(T a, T b) const {
    return static_cast<T>(a * b);
  }
};
struct DivOf {
  template <typename T>
  T operator()(T a, T b) const {
    return static_cast<T>(a / b);
  }
};
// NaN wins, as in NumPy and in the peer.
struct MinOf {
  template <typename T>
  T operator()(T a, T b) const {
    return a != a ? a : b != b ? b : b < a ? b : a;
  }
};
struct MaxOf {
  template <typename T>
  T operator()(T a, T b) const {
    return a != a ? a : b != b ? b : a < b ? b : a;
  }
};

// Wraps signed integers as the hardware does instead of overflowing.
template <typename F, typename T>
T wrapped(T a, T b) {
  if constexpr (std::is_same_v<T, bool> || kIsFloat<T>)
    return static_cast<T>(F{}(a, b));
  else
    return static_cast<T>(F{}(static_cast<uint64_t>(a), static_cast<uint64_t>(b)));
}

Result<bool> neg(const KernelContext& c) {
  return map_own(c, []<typename T>(T x) { return kIsFloat<T> ? static_cast<T>(-x) : wrapped<SubOf, T>(T{}, x); });
}
Result<bool> abs_of(const KernelContext& c) {
  return map_own(c, []<typename T>(T x) -> T {
    if constexpr (kIsFloat<T>)
      return std::fabs(x);
    else
      return x < T{} ? wrapped<SubOf, T>(T{}, x) : x;
  });
}
template <typename F>
Result<bool> arithmetic(const KernelContext& c) {
  visit_type(c.inputs[0]->type(), [&]<typename T>() {
    zip<T, T>(*c.inputs[0], *c.inputs[1], c.outputs[0], [](T a, T b) { return wrapped<F, T>(a, b); });
  });
  return true;
}

// Integer quotients of x / 0 and lowest / -1 have no value.
template <typename T>
bool divides(const Tensor& a, const Tensor& b) {
  bool lowest = false;
  if constexpr (std::is_signed_v<T>)
    lowest = std::find(a.data<T>(), a.data<T>() + a.count(), std::numeric_limits<T>::min()) != a.data<T>() + a.count();
  return std::none_of(b.data<T>(), b.data<T>() + b.count(),
                      [&](T v) { return v == T{} || (lowest && v == static_cast<T>(-1)); });
}

template <typename F>
Result<bool> divide(const KernelContext& c, F&& f) {
  bool good = true;
  visit_type(c.inputs[0]->type(), [&]<typename T>() {
    if constexpr (!kIsFloat<T>) good = divides<T>(*c.inputs[0], *c.inputs[1]);
    if (good) zip<T, T>(*c.inputs[0], *c.inputs[1], c.outputs[0], f);
  });
  if (!good) return c.error("divides an integer by zero (or the lowest by -1)");
  return true;
}

// The remainder with the sign of the divisor, as Python has it.
template <typename T>
T floored_remainder(T a, T b) {
  const T rest = std::fmod(a, b);
  if (rest == T{}) return std::copysign(T{}, b);
  return std::signbit(rest) != std::signbit(b) ? rest + b : rest;
}

Result<bool> modulo(const KernelContext& c) {
  const bool c_style = c.node.get<int64_t>("fmod", 0) != 0;
  return divide(c, [c_style]<typename T>(T a, T b) -> T {
    if constexpr (kIsFloat<T>)
      return c_style ? std::fmod(a, b) : floored_remainder(a, b);
    else if constexpr (std::is_same_v<T, bool>)
      return a;
    else {
      const T rest = static_cast<T>(a % b);
      return !c_style && rest != T{} && (rest < T{}) != (b < T{}) ? static_cast<T>(rest + b) : rest;
    }
  });
}

// Exact for integers (wrapping as their type does); a negative exponent gives what the real power truncates to.
template <typename T, typename E>
T integer_power(T base, E exponent) {
  if (exponent < E{}) {
    if (base == T{1}) return base;
    if constexpr (std::is_signed_v<T>)
      if (base == T{-1}) return exponent % 2 == 0 ? T{1} : base;
    return T{};  // also 0 to a negative power, which has no value
  }
  uint64_t result = 1, square = static_cast<uint64_t>(base);
  for (uint64_t left = static_cast<uint64_t>(exponent); left != 0; left >>= 1, square *= square)
    if (left & 1) result *= square;
  return static_cast<T>(result);
}

template <typename T, typename E>
T power_of(T base, E exponent) {
  if constexpr (!kIsFloat<T> && !kIsFloat<E>) return integer_power(base, exponent);
  const double value = std::pow(static_cast<double>(base), static_cast<double>(exponent));
  if constexpr (kIsFloat<T>) return static_cast<T>(value);
  return std::fabs(value) < 9e18 ? static_cast<T>(static_cast<int64_t>(value)) : T{};
}

Result<bool> power(const KernelContext& c) {
  const Tensor &a = *c.inputs[0], &b = *c.inputs[1];
  Tensor& y = *c.outputs[0];
  const ref::Extents strides[2] = {ref::broadcast_strides(a.shape(), y.shape()),
                                   ref::broadcast_strides(b.shape(), y.shape())};
  visit_type(a.type(), [&]<typename T>() {
    visit_type(b.type(), [&]<typename E>() {
      if constexpr (!std::is_same_v<T, bool> && !std::is_same_v<E, bool>)
        ref::for_each_element(y.shape(), strides, [&](int64_t i, const int64_t* at) {
          y.data<T>()[i] = power_of<T, E>(a.data<T>()[at[0]], b.data<E>()[at[1]]);
        });
    });
  });
  return true;
}

// Folds any number of inputs; the partial results have the shape of the whole.
template <typename F>
Result<bool> fold(const KernelContext& c, double divisor = 1) {
  Tensor& y = *c.outputs[0];
  visit_type(y.type(), [&]<typename T>() {
    zip<T, T>(*c.inputs[0], *c.inputs[0], &y, [](T a, T) { return a; });
    for (size_t i = 1; i < c.inputs.size(); ++i)
      zip<T, T>(y, *c.inputs[i], &y, [](T a, T b) { return wrapped<F, T>(a, b); });
    if (divisor != 1)
      for (int64_t i = 0; i < y.count(); ++i)
        y.data<T>()[i] = static_cast<T>(static_cast<double>(y.data<T>()[i]) / divisor);
  });
  return true;
}
template <typename F>
Result<bool> fold_extreme(const KernelContext& c) {
  Tensor& y = *c.outputs[0];
  visit_type(y.type(), [&]<typename T>() {
    zip<T, T>(*c.inputs[0], *c.inputs[0], &y, [](T a, T) { return a; });
    for (size_t i = 1; i < c.inputs.size(); ++i) zip<T, T>(y, *c.inputs[i], &y, F{});
  });
  return true;
}

Result<bool> where(const KernelContext& c) {
  Tensor& y = *c.outputs[0];
  const ref::Extents strides[3] = {ref::broadcast_strides(c.inputs[0]->shape(), y.shape()),
                                   ref::broadcast_strides(c.inputs[1]->shape(), y.shape()),
                                   ref::broadcast_strides(c.inputs[2]->shape(), y.shape())};
  const size_t size = type_size(y.type());
  ref::for_each_element(y.shape(), strides, [&](int64_t i, const int64_t* at) {
    const int taken = c.inputs[0]->data<bool>()[at[0]] ? 1 : 2;
    std::memcpy(y.bytes() + i * size, c.inputs[taken]->bytes() + at[taken] * size, size);
  });
  return true;
}

Result<bool> identity(const KernelContext& c) {
  if (c.output(0) != nullptr) std::copy_n(c.inputs[0]->bytes(), c.inputs[0]->byte_count(), c.outputs[0]->bytes());
  return true;
}

// The mask is all ones, as bool or (before opset 10) in the type of the data.
Result<bool> dropout(const KernelContext& c) {
  Tensor* mask = c.output(1);
  // Nothing is dropped. Before opset 12 the standard leaves the mask of inference open; ONNX Runtime gives zeros.
  if (c.opset < 12) {
    if (mask != nullptr) std::memset(mask->bytes(), 0, mask->byte_count());
  } else if (mask != nullptr && is_half_float(mask->type())) {
    const uint16_t one = mask->type() == Type::kFloat16 ? half_from_float(1) : bfloat_from_float(1);
    std::fill_n(reinterpret_cast<uint16_t*>(mask->bytes()), mask->count(), one);
  } else if (mask != nullptr) {
    visit_type(mask->type(), [&]<typename T>() { std::fill_n(mask->data<T>(), mask->count(), T{1}); });
  }
  return identity(c);
}

// Numbers outside the target's range give its lowest value, as x86's conversion of 64-bit integers does, then wrap.
template <typename Out, typename In>
Out cast_value(In x) {
  if constexpr (std::is_same_v<Out, bool>)
    return x != In{};
  else if constexpr (kIsFloat<Out> || !kIsFloat<In>)
    return static_cast<Out>(x);
  else if (!(std::fabs(static_cast<double>(x)) < 9.2e18))
    return static_cast<Out>(std::numeric_limits<int64_t>::min());
  else
    return static_cast<Out>(static_cast<int64_t>(x));
}

Result<bool> cast(const KernelContext& c) {
  const Tensor& x = *c.inputs[0];
  Tensor& y = *c.outputs[0];
  const auto half = [](Type type) { return type == Type::kFloat16 || type == Type::kBFloat16; };
  std::vector<double> wide;
  if (half(x.type())) wide = to_doubles(x);
  const auto write = [&]<typename In>(const In* from) {
    if (half(y.type())) {
      auto* bits = reinterpret_cast<uint16_t*>(y.bytes());
      for (int64_t i = 0; i < x.count(); ++i)
        bits[i] = y.type() == Type::kFloat16 ? half_from_float(static_cast<float>(from[i]))
                                             : bfloat_from_float(static_cast<float>(from[i]));
      return;
    }
    visit_type(y.type(), [&]<typename Out>() {
      for (int64_t i = 0; i < x.count(); ++i) y.data<Out>()[i] = cast_value<Out, In>(from[i]);
    });
  };
  if (half(x.type()))
    write(wide.data());
  else
    visit_type(x.type(), [&]<typename In>() { write(x.data<In>()); });
  return true;
}

Result<bool> clip(const KernelContext& c) {
  const Tensor& x = *c.inputs[0];
  visit_type(x.type(), [&]<typename T>() {
    T low = std::numeric_limits<T>::lowest(), high = std::numeric_limits<T>::max();
    if constexpr (kIsFloat<T>) {  // before opset 11 the bounds were attributes
      low = c.node.attributes.contains("min") ? static_cast<T>(c.node.get<float>("min", 0)) : low;
      high = c.node.attributes.contains("max") ? static_cast<T>(c.node.get<float>("max", 0)) : high;
    }
    if (c.input(1) != nullptr) low = c.input(1)->data<T>()[0];
    if (c.input(2) != nullptr) high = c.input(2)->data<T>()[0];
    for (int64_t i = 0; i < x.count(); ++i) {
      const T value = x.data<T>()[i], raised = value < low ? low : value;
      c.outputs[0]->data<T>()[i] = high < raised ? high : raised;
    }
  });
  return true;
}

Result<bool> prelu(const KernelContext& c) {
  visit_type(c.inputs[0]->type(), [&]<typename T>() {
    zip<T, T>(*c.inputs[0], *c.inputs[1], c.outputs[0],
              [](T x, T slope) { return x < T{} ? wrapped<MulOf, T>(x, slope) : x; });
  });
  return true;
}

Result<bool> logical_not(const KernelContext& c) {
  for (int64_t i = 0; i < c.inputs[0]->count(); ++i) c.outputs[0]->data<bool>()[i] = !c.inputs[0]->data<bool>()[i];
  return true;
}

}  // namespace

void add_elementwise_kernels(std::vector<KernelEntry>* table) {
  const auto add = [&](std::string_view op, Kernel kernel) { table->push_back({"", op, kernel}); };
  add("Sigmoid", unary<sigmoid>), add("Tanh", unary<std::tanh>), add("Exp", unary<std::exp>),
      add("Log", unary<std::log>);
  add("Sqrt", unary<std::sqrt>), add("Reciprocal", unary<reciprocal>), add("Floor", unary<std::floor>),
      add("Ceil", unary<std::ceil>);
  add("Round", unary<std::nearbyint>), add("Erf", unary<std::erf>), add("Softplus", unary<softplus>),
      add("Softsign", unary<softsign>);
  add("Sin", unary<std::sin>), add("Cos", unary<std::cos>), add("Tan", unary<std::tan>), add("Asin", unary<std::asin>);
  add("Acos", unary<std::acos>), add("Atan", unary<std::atan>), add("Sinh", unary<std::sinh>),
      add("Cosh", unary<std::cosh>);
  add("Asinh", unary<std::asinh>), add("Acosh", unary<std::acosh>), add("Atanh", unary<std::atanh>),
      add("Mish", unary<mish>);
  add("HardSwish", unary<hard_swish>), add("HardSigmoid", hard_sigmoid), add("LeakyRelu", leaky_relu), add("Elu", elu),
      add("Celu", celu);
  add("Selu", selu), add("ThresholdedRelu", thresholded_relu), add("Gelu", gelu), add("Swish", swish),
      add("Shrink", shrink), add("Relu", relu), add("Neg", neg), add("Abs", abs_of);
  add("Sign", sign), add("IsNaN", is_nan), add("IsInf", is_inf), add("Not", logical_not);
  add("Add", arithmetic<AddOf>), add("Sub", arithmetic<SubOf>), add("Mul", arithmetic<MulOf>), add("Mod", modulo),
      add("Pow", power);
  add("Div", [](const KernelContext& c) { return divide(c, DivOf{}); });
  add("Sum", [](const KernelContext& c) { return fold<AddOf>(c); });
  add("Mean", [](const KernelContext& c) { return fold<AddOf>(c, static_cast<double>(c.inputs.size())); });
  add("Min", fold_extreme<MinOf>), add("Max", fold_extreme<MaxOf>);
  add("Equal", [](const KernelContext& c) { return compare(c, [](auto a, auto b) { return a == b; }); });
  add("Less", [](const KernelContext& c) { return compare(c, [](auto a, auto b) { return a < b; }); });
  add("Greater", [](const KernelContext& c) { return compare(c, [](auto a, auto b) { return a > b; }); });
  add("LessOrEqual", [](const KernelContext& c) { return compare(c, [](auto a, auto b) { return a <= b; }); });
  add("GreaterOrEqual", [](const KernelContext& c) { return compare(c, [](auto a, auto b) { return a >= b; }); });
  add("And", [](const KernelContext& c) { return compare(c, [](auto a, auto b) { return a && b; }); });
  add("Or", [](const KernelContext& c) { return compare(c, [](auto a, auto b) { return a || b; }); });
  add("Xor", [](const KernelContext& c) { return compare(c, [](auto a, auto b) { return (a != 0) != (b != 0); }); });
  add("Identity", identity), add("Dropout", dropout), add("BitCast", identity), add("Where", where), add("Cast", cast),
      add("CastLike", cast), add("Clip", clip), add("PRelu", prelu);
}

}  // namespace hayate
