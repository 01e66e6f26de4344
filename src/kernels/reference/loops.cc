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
          const T* bias, T* y, const T* starts) {
  const int64_t x_plane = volume(g.input), y_plane = volume(g.output), cells = volume(g.kernel);
  for (int64_t n = 0; n < images; ++n)
    for (int64_t o = 0; o < groups * out; ++o) {
      const T* image = x + (n * groups + o / out) * in * x_plane;
      const T* filter = w + o * in * cells;
      const int64_t first = (n * groups * out + o) * y_plane;
      T* plane = y + first;
      for_positions(g.output, [&](int64_t i, const int64_t(&position)[3]) {
        double sum = bias == nullptr ? 0.0 : static_cast<double>(bias[o]);
        if (starts != nullptr) sum = static_cast<double>(starts[first + i]);
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

namespace {

// Cells of the window at `position` that lie inside the padded input.
int64_t padded_cells(const Window3& g, const int64_t (&pad_end)[3], const int64_t (&position)[3]) {
  int64_t all = 1;
  for (int axis = 0; axis < 3; ++axis) {
    int64_t cells = 0;
    for (int64_t k = 0; k < g.kernel[axis]; ++k)
      cells += position[axis] * g.stride[axis] + k * g.dilation[axis] < g.input[axis] + g.pad[axis] + pad_end[axis];
    all *= cells;
  }
  return all;
}

// The flat index `at` of a plane where its first axis runs fastest.
int64_t column_major_index(const int64_t (&extents)[3], int64_t at) {
  const int64_t x = at % extents[2], y = at / extents[2] % extents[1], z = at / extents[2] / extents[1];
  return (x * extents[1] + y) * extents[0] + z;
}

}  // namespace

template <typename T>
void pool(const Window3& g, const Pooling& pooling, int64_t planes, const T* x, T* y, int64_t* where) {
  const int64_t x_plane = volume(g.input), y_plane = volume(g.output);
  for (int64_t p = 0; p < planes; ++p)
    for_positions(g.output, [&](int64_t i, const int64_t(&position)[3]) {
      double sum = 0, powers = 0, best = -std::numeric_limits<double>::infinity();
      int64_t seen = 0, best_at = -1;
      for_window(g, position, [&](int64_t at, int64_t) {
        const double value = static_cast<double>(x[p * x_plane + at]);
        sum += value;
        if (pooling.kind == PoolKind::kLp) powers += std::pow(std::fabs(value), pooling.p);
        ++seen;
        if (best_at < 0 || value > best || (std::isnan(value) && !std::isnan(best))) best = value, best_at = at;
      });
      T& to = y[p * y_plane + i];
      switch (pooling.kind) {
        case PoolKind::kMax:
          to = static_cast<T>(best);
          break;
        case PoolKind::kLp:
          to = static_cast<T>(std::pow(powers, 1 / pooling.p));
          break;
        case PoolKind::kAverage:
          to = static_cast<T>(sum / static_cast<double>(seen));
          break;
        case PoolKind::kAverageWithPad:
          to = static_cast<T>(sum / static_cast<double>(padded_cells(g, pooling.pad_end, position)));
      }
      if (where != nullptr)
        where[p * y_plane + i] = p * x_plane + (pooling.column_major ? column_major_index(g.input, best_at) : best_at);
    });
}

template void conv(const Window3&, int64_t, int64_t, int64_t, int64_t, const float*, const float*, const float*, float*,
                   const float*);
template void conv(const Window3&, int64_t, int64_t, int64_t, int64_t, const double*, const double*, const double*,
                   double*, const double*);
template void conv_transpose(const Window3&, int64_t, int64_t, int64_t, int64_t, const float*, const float*,
                             const float*, float*);
template void conv_transpose(const Window3&, int64_t, int64_t, int64_t, int64_t, const double*, const double*,
                             const double*, double*);
template void pool(const Window3&, const Pooling&, int64_t, const float*, float*, int64_t*);
template void pool(const Window3&, const Pooling&, int64_t, const double*, double*, int64_t*);
template void pool(const Window3&, const Pooling&, int64_t, const int8_t*, int8_t*, int64_t*);
template void pool(const Window3&, const Pooling&, int64_t, const uint8_t*, uint8_t*, int64_t*);

}  // namespace hayate::kernels::reference
