#include "kernels/reference/loops.h"

#include <cstring>
#include <limits>

namespace hayate::kernels::reference {

void copy_strided(const std::byte* x, std::byte* y, size_t element, const Extents& shape, const Extents& strides,
                  int64_t start) {
  const Extents walks[1] = {strides};
  for_each_element(shape, walks, [&](int64_t i, const int64_t* at) {
    std::memcpy(y + i * element, x + (start + at[0]) * element, element);
  });
}

namespace {

// Calls f(input offset, kernel offset) for each cell of the window at `position` that lies inside the input.
template <typename F>
void for_window(const Window3& g, const int64_t (&position)[3], F&& f) {
  for (int64_t a = 0; a < g.kernel[0]; ++a) {
    const int64_t z = position[0] * g.stride[0] - g.pad[0] + a * g.dilation[0];
    if (z < 0 || z >= g.input[0]) continue;
    for (int64_t b = 0; b < g.kernel[1]; ++b) {
      const int64_t y = position[1] * g.stride[1] - g.pad[1] + b * g.dilation[1];
      if (y < 0 || y >= g.input[1]) continue;
      for (int64_t c = 0; c < g.kernel[2]; ++c) {
        const int64_t x = position[2] * g.stride[2] - g.pad[2] + c * g.dilation[2];
        if (x < 0 || x >= g.input[2]) continue;
        f((z * g.input[1] + y) * g.input[2] + x, (a * g.kernel[1] + b) * g.kernel[2] + c);
      }
    }
  }
}

template <typename F>
void for_positions(const int64_t (&extents)[3], F&& f) {
  int64_t i = 0;
  for (int64_t a = 0; a < extents[0]; ++a)
    for (int64_t b = 0; b < extents[1]; ++b)
      for (int64_t c = 0; c < extents[2]; ++c) {
        const int64_t position[3] = {a, b, c};
        f(i++, position);
      }
}

int64_t volume(const int64_t (&e)[3]) { return e[0] * e[1] * e[2]; }

}  // namespace

template <typename T>
void conv(const Window3& g, int64_t images, int64_t groups, int64_t in, int64_t out, const T* x, const T* w,
          const T* bias, T* y) {
  const int64_t x_plane = volume(g.input), y_plane = volume(g.output), cells = volume(g.kernel);
  for (int64_t n = 0; n < images; ++n)
    for (int64_t o = 0; o < groups * out; ++o) {
      const T* image = x + (n * groups + o / out) * in * x_plane;
      const T* filter = w + o * in * cells;
      T* plane = y + (n * groups * out + o) * y_plane;
      for_positions(g.output, [&](int64_t i, const int64_t(&position)[3]) {
        double sum = bias == nullptr ? 0.0 : static_cast<double>(bias[o]);
        for_window(g, position, [&](int64_t at, int64_t cell) {
          for (int64_t c = 0; c < in; ++c)
            sum += static_cast<double>(image[c * x_plane + at]) * static_cast<double>(filter[c * cells + cell]);
        });
        plane[i] = static_cast<T>(sum);
      });
    }
}

template <typename T>
void conv_transpose(const Window3& g, int64_t images, int64_t groups, int64_t in, int64_t out, const T* x, const T* w,
                    const T* bias, T* y) {
  const int64_t x_plane = volume(g.input), y_plane = volume(g.output), cells = volume(g.kernel);
  // The window of an input position covers the outputs it adds to: the convolution's geometry with input and output
  // swapped.
  Window3 swapped = g;
  for (int i = 0; i < 3; ++i) swapped.input[i] = g.output[i];
  std::vector<double> sums(y_plane);
  for (int64_t n = 0; n < images; ++n)
    for (int64_t o = 0; o < groups * out; ++o) {
      std::fill(sums.begin(), sums.end(), bias == nullptr ? 0.0 : static_cast<double>(bias[o]));
      const T* image = x + (n * groups + o / out) * in * x_plane;
      for_positions(g.input, [&](int64_t i, const int64_t(&position)[3]) {
        for_window(swapped, position, [&](int64_t at, int64_t cell) {
          for (int64_t c = 0; c < in; ++c)
            sums[at] += static_cast<double>(image[c * x_plane + i]) *
                        static_cast<double>(w[(((o / out) * in + c) * out + o % out) * cells + cell]);
        });
      });
      for (int64_t i = 0; i < y_plane; ++i) y[(n * groups * out + o) * y_plane + i] = static_cast<T>(sums[i]);
    }
}

template <typename T>
void pool(const Window3& g, const int64_t (&pad_end)[3], PoolKind kind, int64_t planes, const T* x, T* y,
          int64_t* where) {
  const int64_t x_plane = volume(g.input), y_plane = volume(g.output);
  for (int64_t p = 0; p < planes; ++p)
    for_positions(g.output, [&](int64_t i, const int64_t(&position)[3]) {
      double sum = 0, best = -std::numeric_limits<double>::infinity();
      int64_t seen = 0, best_at = -1;
      for_window(g, position, [&](int64_t at, int64_t) {
        const double value = static_cast<double>(x[p * x_plane + at]);
        sum += value;
        ++seen;
        if (best_at < 0 || value > best || (std::isnan(value) && !std::isnan(best))) best = value, best_at = at;
      });
      if (kind == PoolKind::kMax) {
        y[p * y_plane + i] = static_cast<T>(best);
        if (where != nullptr) where[p * y_plane + i] = p * x_plane + best_at;
        return;
      }
      int64_t padded = 1;  // cells of the window inside the padded input
      for (int axis = 0; axis < 3; ++axis) {
        int64_t cells = 0;
        for (int64_t k = 0; k < g.kernel[axis]; ++k)
          cells += position[axis] * g.stride[axis] + k * g.dilation[axis] < g.input[axis] + g.pad[axis] + pad_end[axis];
        padded *= cells;
      }
      y[p * y_plane + i] = static_cast<T>(sum / static_cast<double>(kind == PoolKind::kAverage ? seen : padded));
    });
}

template void conv(const Window3&, int64_t, int64_t, int64_t, int64_t, const float*, const float*, const float*,
                   float*);
template void conv(const Window3&, int64_t, int64_t, int64_t, int64_t, const double*, const double*, const double*,
                   double*);
template void conv_transpose(const Window3&, int64_t, int64_t, int64_t, int64_t, const float*, const float*,
                             const float*, float*);
template void conv_transpose(const Window3&, int64_t, int64_t, int64_t, int64_t, const double*, const double*,
                             const double*, double*);
template void pool(const Window3&, const int64_t (&)[3], PoolKind, int64_t, const float*, float*, int64_t*);
template void pool(const Window3&, const int64_t (&)[3], PoolKind, int64_t, const double*, double*, int64_t*);

namespace {

double gate(Gate kind, double x) {
  switch (kind) {
    case Gate::kSigmoid:
      return 1.0 / (1.0 + std::exp(-x));
    case Gate::kTanh:
      return std::tanh(x);
    case Gate::kRelu:
      return x > 0 ? x : 0;
  }
  return x;
}

double clipped(const Recurrent& a, double x) { return a.clip > 0 ? std::fmin(std::fmax(x, -a.clip), a.clip) : x; }

double dot(const float* w, const float* x, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(w[i]) * static_cast<double>(x[i]);
  return sum;
}

double dot(const float* w, const double* x, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(w[i]) * x[i];
  return sum;
}

// Walks the steps of every row; cell(t, row, h, c) replaces the row's state, kept in float64 between steps.
template <typename Cell>
void walk(const Recurrent& a, Cell&& cell) {
  for (int64_t row = 0; row < a.batch; ++row) {
    std::vector<double> h(a.hidden, 0.0), c(a.hidden, 0.0);
    if (a.h0 != nullptr) h.assign(a.h0 + row * a.hidden, a.h0 + (row + 1) * a.hidden);
    if (a.c0 != nullptr) c.assign(a.c0 + row * a.hidden, a.c0 + (row + 1) * a.hidden);
    const int64_t length = a.lens == nullptr ? a.steps : std::min<int64_t>(std::max<int64_t>(a.lens[row], 0), a.steps);
    for (int64_t i = 0; i < a.steps; ++i) {
      const int64_t t = a.reverse && i < length ? length - 1 - i : i;
      if (i < length) cell(a.x + (t * a.batch + row) * a.in, h, c);
      if (a.y != nullptr)
        for (int64_t k = 0; k < a.hidden; ++k)
          a.y[t * a.y_step + row * a.y_row + k] = i < length ? static_cast<float>(h[k]) : 0.0f;
    }
    for (int64_t k = 0; k < a.hidden; ++k) {
      a.h[row * a.hidden + k] = static_cast<float>(h[k]);
      if (a.c != nullptr) a.c[row * a.hidden + k] = static_cast<float>(c[k]);
    }
  }
}

// The sum of gate row g from input and state: W x + R h + both biases.
double pre(const Recurrent& a, int64_t gates, int64_t g, const float* x, const std::vector<double>& h) {
  const double bias =
      a.bias == nullptr ? 0.0 : static_cast<double>(a.bias[g]) + static_cast<double>(a.bias[gates * a.hidden + g]);
  return dot(a.w + g * a.in, x, a.in) + dot(a.r + g * a.hidden, h.data(), a.hidden) + bias;
}

}  // namespace

void lstm(const Recurrent& a) {
  std::vector<double> next_h(a.hidden), next_c(a.hidden);
  walk(a, [&](const float* x, std::vector<double>& h, std::vector<double>& c) {
    const int64_t n = a.hidden;
    const auto peep = [&](int64_t which, int64_t k, double cell) {
      return a.peephole == nullptr ? 0.0 : static_cast<double>(a.peephole[which * n + k]) * cell;
    };
    for (int64_t k = 0; k < n; ++k) {  // gate order of the standard: i, o, f, c
      const double i = gate(a.activations[0], clipped(a, pre(a, 4, k, x, h) + peep(0, k, c[k])));
      const double f =
          a.input_forget ? 1.0 - i : gate(a.activations[0], clipped(a, pre(a, 4, 2 * n + k, x, h) + peep(2, k, c[k])));
      next_c[k] = f * c[k] + i * gate(a.activations[1], clipped(a, pre(a, 4, 3 * n + k, x, h)));
      const double o = gate(a.activations[0], clipped(a, pre(a, 4, n + k, x, h) + peep(1, k, next_c[k])));
      next_h[k] = o * gate(a.activations[2], next_c[k]);
    }
    h = next_h;
    c = next_c;
  });
}

void gru(const Recurrent& a) {
  const int64_t n = a.hidden;
  std::vector<double> z(n), r(n), next(n);
  walk(a, [&](const float* x, std::vector<double>& h, std::vector<double>&) {
    for (int64_t k = 0; k < n; ++k) {  // gate order of the standard: z, r, h
      z[k] = gate(a.activations[0], clipped(a, pre(a, 3, k, x, h)));
      r[k] = gate(a.activations[0], clipped(a, pre(a, 3, n + k, x, h)));
    }
    for (int64_t k = 0; k < n; ++k) {
      const int64_t g = 2 * n + k;
      const double wb = a.bias == nullptr ? 0.0 : static_cast<double>(a.bias[g]),
                   rb = a.bias == nullptr ? 0.0 : static_cast<double>(a.bias[3 * n + g]);
      double recurrent = rb;
      if (a.linear_before_reset) {
        recurrent = r[k] * (dot(a.r + g * n, h.data(), n) + rb);
      } else {
        for (int64_t j = 0; j < n; ++j) recurrent += static_cast<double>(a.r[g * n + j]) * r[j] * h[j];
      }
      const double candidate = gate(a.activations[1], clipped(a, dot(a.w + g * a.in, x, a.in) + wb + recurrent));
      next[k] = (1.0 - z[k]) * candidate + z[k] * h[k];
    }
    h = next;
  });
}

void rnn(const Recurrent& a) {
  std::vector<double> next(a.hidden);
  walk(a, [&](const float* x, std::vector<double>& h, std::vector<double>&) {
    for (int64_t k = 0; k < a.hidden; ++k) next[k] = gate(a.activations[0], clipped(a, pre(a, 1, k, x, h)));
    h = next;
  });
}

}  // namespace hayate::kernels::reference
