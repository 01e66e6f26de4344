// The plain twins: obvious loops that say what the vector kernels compute.
#include "kernels/vector/plain.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace hayate::kernels::plain {
namespace {

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

double apply(Activation a, double x) {
  const double alpha = static_cast<double>(a.alpha), beta = static_cast<double>(a.beta);
  const auto clamp01 = [](double v) { return std::isnan(v) ? v : std::clamp(v, 0.0, 1.0); };
  switch (a.op) {
    case Unary::kNone:
      return x;
    case Unary::kRelu:
      return x < 0 ? 0 : x;
    case Unary::kLeakyRelu:
      return x < 0 ? alpha * x : x;
    case Unary::kSigmoid:
      return sigmoid(x);
    case Unary::kTanh:
      return std::tanh(x);
    case Unary::kGelu:
    case Unary::kGeluNear:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));  // 1 + erf cancels
    case Unary::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Unary::kSilu:
      return x * sigmoid(x);
    case Unary::kElu:
      return x < 0 ? alpha * std::expm1(x) : x;
    case Unary::kHardSigmoid:
      return clamp01(alpha * x + beta);
    case Unary::kHardSwish:
      return x * clamp01(x / 6 + 0.5);
    case Unary::kSoftplus:
      return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
    case Unary::kClip:
      return x < alpha ? alpha : x > beta ? beta : x;
    case Unary::kNeg:
      return -x;
    case Unary::kAbs:
      return std::fabs(x);
    case Unary::kSqrt:
      return std::sqrt(x);
    case Unary::kRsqrt:
      return 1 / std::sqrt(x);
    case Unary::kReciprocal:
      return 1 / x;
    case Unary::kExp:
      return std::exp(x);
    case Unary::kLog:
      return std::log(x);
    case Unary::kErf:
      return std::erf(x);
    case Unary::kSquare:
      return x * x;
    case Unary::kFloor:
      return std::floor(x);
    case Unary::kCeil:
      return std::ceil(x);
  }
  return x;
}

double combine(Binary op, double a, double b) {
  switch (op) {
    case Binary::kAdd:
      return a + b;
    case Binary::kSub:
      return a - b;
    case Binary::kMul:
      return a * b;
    case Binary::kDiv:
      return a / b;
    case Binary::kMin:
      return std::isnan(a) ? a : std::isnan(b) ? b : std::min(a, b);
    case Binary::kMax:
      return std::isnan(a) ? a : std::isnan(b) ? b : std::max(a, b);
    case Binary::kPow:
      return std::pow(a, b);
  }
  return a;
}

}  // namespace

int64_t dense_packed_size(int64_t k, int64_t n) { return k * n; }

void dense_pack(const float* w, int64_t k, int64_t n, int64_t k_stride, int64_t n_stride, float* packed) {
  for (int64_t i = 0; i < k; ++i)
    for (int64_t j = 0; j < n; ++j) packed[i * n + j] = w[i * k_stride + j * n_stride];
}

void dense(const Dense& a) {
  for (int64_t r = 0; r < a.m; ++r) {
    const float* x = a.x + r / a.inner * a.x_outer + r % a.inner * a.x_inner;
    float* y = a.y + r / a.inner * a.y_outer + r % a.inner * a.y_inner;
    for (int64_t j = a.from; j < std::min(a.to, a.n); ++j) {
      double sum = static_cast<double>(a.start != nullptr  ? a.start[r * a.start_stride + j]
                                       : a.bias != nullptr ? a.bias[j]
                                                           : 0.0f);
      if (a.part == Part::kEnd) std::memcpy(&sum, a.start + r * a.start_stride + 2 * j, sizeof sum);
      for (int64_t s = 0; s < a.segments; ++s) {
        const float* run = x + (a.segment_offsets == nullptr ? 0 : a.segment_offsets[s]);
        for (int64_t i = 0; i < a.segment_length; ++i)
          sum += static_cast<double>(run[i]) * static_cast<double>(a.packed[(s * a.segment_length + i) * a.n + j]);
      }
      if (a.part == Part::kBegin)
        std::memcpy(y + 2 * j, &sum, sizeof sum);  // as it is, in the place of two floats
      else
        y[j] = static_cast<float>(apply(a.activation, sum));
    }
  }
}

void row(const RowShape& shape, const float* x, const float* packed, const float* bias, float* y) {
  Dense one;
  one.m = 1, one.n = shape.n, one.k = one.segment_length = shape.k, one.activation = shape.activation;
  one.x = x, one.packed = packed, one.bias = bias, one.y = y, one.from = shape.from, one.to = shape.to;
  dense(one);
}

RowKernel row_kernel(int64_t) { return row; }

void matmul(const MatMul& a) {
  for (int64_t b = 0; b < a.batch; ++b)
    for (int64_t i = 0; i < a.m; ++i)
      for (int64_t j = 0; j < a.n; ++j) {
        double sum = 0;
        for (int64_t p = 0; p < a.k; ++p)
          sum += static_cast<double>(a.a[b * a.a_batch + i * a.a_row + p]) *
                 static_cast<double>(a.b[b * a.b_batch + p * a.b_row + j]);
        a.y[b * a.y_batch + i * a.y_row + j] =
            static_cast<float>(apply(a.activation, static_cast<double>(a.alpha) * sum));
      }
}

void unary(Activation op, const float* x, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = static_cast<float>(apply(op, static_cast<double>(x[i])));
}

void binary(Binary op, const BinaryArgs& a) {
  for (int64_t r = 0; r < a.rows; ++r)
    for (int64_t i = 0; i < a.n; ++i)
      a.y[r * a.y_row + i] =
          static_cast<float>(apply(a.activation, combine(op, static_cast<double>(a.a[r * a.a_row + i * a.a_step]),
                                                         static_cast<double>(a.b[r * a.b_row + i * a.b_step]))));
}

void softmax(const float* x, float* y, int64_t rows, int64_t n, bool log) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* from = x + r * n;
    double highest = -std::numeric_limits<double>::infinity(), sum = 0;
    for (int64_t i = 0; i < n; ++i) highest = std::max(highest, static_cast<double>(from[i]));
    for (int64_t i = 0; i < n; ++i) sum += std::exp(static_cast<double>(from[i]) - highest);
    for (int64_t i = 0; i < n; ++i) {
      const double shifted = static_cast<double>(from[i]) - highest;
      y[r * n + i] = static_cast<float>(log ? shifted - std::log(sum) : std::exp(shifted) / sum);
    }
  }
}

void layer_norm(const float* x, const float* scale, const float* bias, float epsilon, float* y, int64_t rows,
                int64_t n) {
  for (int64_t r = 0; r < rows; ++r) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[r * n + i]);
    const double mean = sum / static_cast<double>(n);
    for (int64_t i = 0; i < n; ++i)
      squares += (static_cast<double>(x[r * n + i]) - mean) * (static_cast<double>(x[r * n + i]) - mean);
    const double inverse = 1 / std::sqrt(squares / static_cast<double>(n) + static_cast<double>(epsilon));
    for (int64_t i = 0; i < n; ++i) {
      const double s = scale == nullptr ? 1.0 : static_cast<double>(scale[i]),
                   b = bias == nullptr ? 0.0 : static_cast<double>(bias[i]);
      y[r * n + i] = static_cast<float>((static_cast<double>(x[r * n + i]) - mean) * inverse * s + b);
    }
  }
}

void rms_norm(const float* x, const float* scale, float epsilon, float* y, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r) {
    double squares = 0;
    for (int64_t i = 0; i < n; ++i) squares += static_cast<double>(x[r * n + i]) * static_cast<double>(x[r * n + i]);
    const double inverse = 1 / std::sqrt(squares / static_cast<double>(n) + static_cast<double>(epsilon));
    for (int64_t i = 0; i < n; ++i)
      y[r * n + i] = static_cast<float>(static_cast<double>(x[r * n + i]) * inverse *
                                        (scale == nullptr ? 1.0 : static_cast<double>(scale[i])));
  }
}

// Twice through the keys: their highest score, then their weights.
void attend(const Attention& a, int64_t query) {
  const double infinity = std::numeric_limits<double>::infinity();
  const auto score = [&](int64_t key) {
    if (a.causal && key > query) return -infinity;
    double sum = 0;
    for (int64_t i = 0; i < a.e; ++i)
      sum += static_cast<double>(a.q[query * a.q_row + i]) * static_cast<double>(a.k[key * a.k_row + i]);
    sum *= static_cast<double>(a.scale);
    return a.mask == nullptr ? sum : sum + static_cast<double>(a.mask[query * a.mask_query + key * a.mask_key]);
  };
  double highest = -infinity, sum = 0;
  for (int64_t key = 0; key < a.s; ++key) highest = std::isnan(highest) ? highest : std::max(score(key), highest);
  float* y = a.y + query * a.y_row;
  const bool zero = a.blind_is_zero && highest == -infinity;
  for (int64_t key = 0; key < a.s; ++key) sum += std::exp(score(key) - highest);
  for (int64_t i = 0; i < a.f; ++i) {
    double made = 0;
    for (int64_t key = 0; key < a.s; ++key)  // where nothing is seen too: NaN times zero is NaN
      made += (zero ? 0.0 : std::exp(score(key) - highest) / sum) * static_cast<double>(a.v[key * a.v_row + i]);
    y[i] = static_cast<float>(made);
  }
}

void attention(const Attention& a) {
  for (int64_t query = 0; query < a.m; ++query) attend(a, query);
}

int64_t attention_work_size(int64_t, int64_t) { return 0; }

void reduce(Reduce op, const float* x, float* y, int64_t outer, int64_t middle, int64_t inner) {
  const bool max = op == Reduce::kMax, min = op == Reduce::kMin;
  const double infinity = std::numeric_limits<double>::infinity();
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < inner; ++i) {
      double sum = max ? -infinity : min ? infinity : op == Reduce::kProd ? 1 : 0;
      for (int64_t k = 0; k < middle; ++k) {
        const double v = static_cast<double>(x[(o * middle + k) * inner + i]);
        if (max || min)
          sum = combine(max ? Binary::kMax : Binary::kMin, sum, v);
        else if (op == Reduce::kProd)
          sum *= v;
        else
          sum += op == Reduce::kSumSquare || op == Reduce::kL2 ? v * v : v;
      }
      if (op == Reduce::kMean) sum /= static_cast<double>(middle);
      if (op == Reduce::kL2) sum = std::sqrt(sum);
      y[o * inner + i] = static_cast<float>(sum);
    }
}

void pool(const Pool& a) {
  for (int64_t image = 0; image < a.images; ++image)
    for (int64_t p = 0; p < a.out_height; ++p)
      for (int64_t q = 0; q < a.out_width; ++q)
        for (int64_t c = 0; c < a.channels; ++c) {
          double sum = 0, best = -std::numeric_limits<double>::infinity();
          int64_t seen = 0;
          for (int64_t i = 0; i < a.kernel_h; ++i)
            for (int64_t j = 0; j < a.kernel_w; ++j) {
              const int64_t h = p * a.stride_h - a.pad_top + i * a.dilation_h,
                            w = q * a.stride_w - a.pad_left + j * a.dilation_w;
              if (h < 0 || h >= a.height || w < 0 || w >= a.width) continue;
              const double v = static_cast<double>(a.x[((image * a.height + h) * a.width + w) * a.channels + c]);
              sum += v;
              best = combine(Binary::kMax, best, v);
              ++seen;
            }
          const double cells = static_cast<double>(a.count_include_pad ? a.kernel_h * a.kernel_w : seen);
          a.y[((image * a.out_height + p) * a.out_width + q) * a.channels + c] =
              static_cast<float>(a.average ? sum / cells : best);
        }
}

void depthwise(const Depthwise& a) {
  for (int64_t image = 0; image < a.images; ++image)
    for (int64_t p = 0; p < a.out_height; ++p)
      for (int64_t q = 0; q < a.out_width; ++q)
        for (int64_t c = 0; c < a.channels; ++c) {
          double sum = a.bias == nullptr ? 0.0 : static_cast<double>(a.bias[c]);
          for (int64_t i = 0; i < a.kernel_h; ++i)
            for (int64_t j = 0; j < a.kernel_w; ++j) {
              const int64_t h = p * a.stride_h + i * a.dilation_h, w = q * a.stride_w + j * a.dilation_w;
              sum += static_cast<double>(a.x[((image * a.height + h) * a.width + w) * a.channels + c]) *
                     static_cast<double>(a.w[(i * a.kernel_w + j) * a.channels + c]);
            }
          a.y[((image * a.out_height + p) * a.out_width + q) * a.channels + c] =
              static_cast<float>(apply(a.activation, sum));
        }
}

void lstm_cell(const LstmCell& a) {
  for (int64_t r = 0; r < a.m; ++r)
    for (int64_t k = 0; k < a.hidden; ++k) {
      const auto gate = [&](int64_t g) {
        const int64_t at = g * a.hidden + k;
        return static_cast<double>(a.x[r * a.x_row + at]) +
               (a.r == nullptr ? 0.0 : static_cast<double>(a.r[r * a.r_row + at]));
      };
      const double c =
          sigmoid(gate(2)) * static_cast<double>(a.c[r * a.c_row + k]) + sigmoid(gate(0)) * std::tanh(gate(3));
      a.c[r * a.c_row + k] = static_cast<float>(c);
      a.h[r * a.h_row + k] = static_cast<float>(sigmoid(gate(1)) * std::tanh(c));
    }
}

void gru_cell(const GruCell& a) {
  for (int64_t row = 0; row < a.m; ++row)
    for (int64_t k = 0; k < a.hidden; ++k) {
      const auto x = [&](int64_t g) { return static_cast<double>(a.x[row * a.x_row + g * a.hidden + k]); };
      const auto h = [&](int64_t g) { return static_cast<double>(a.r[row * a.r_row + g * a.hidden + k]); };
      const double z = sigmoid(x(0) + h(0)), r = sigmoid(x(1) + h(1)), candidate = std::tanh(x(2) + r * h(2));
      a.h[row * a.h_row + k] =
          static_cast<float>((1 - z) * candidate + z * static_cast<double>(a.h_before[row * a.h_before_row + k]));
    }
}

Set set() {
  return {Isa::kPlain, dense_packed_size, dense_pack,          dense,     row_kernel, matmul, unary,
          binary,      softmax,           layer_norm,          rms_norm,  reduce,     pool,   depthwise,
          lstm_cell,   gru_cell,          attention_work_size, attention, bf16(),     int8()};
}

}  // namespace hayate::kernels::plain
