// How a step's work is divided where a session has helpers. Pieces give the bits of the whole: a row's do not depend on
// its neighbours, and columns are cut between groups.
#pragma once

#include <algorithm>
#include <cstdint>

#include "backends/native/program.h"
#include "kernels/vector/kernels.h"

namespace hayate::native {

// f(first, last) for pieces that make up 0 to n, each beginning at a multiple of `grain`; `macs` is the work of all,
// in multiply-adds of float32.
template <class F>
void share(Bases bases, int64_t n, int64_t grain, int64_t macs, F&& f) {
  const int64_t grains = (n + grain - 1) / grain;
  const int64_t pieces =
      bases.team == nullptr ? 1 : std::min({int64_t{bases.team->threads()}, grains, macs / bases.piece_macs});
  if (pieces < 2) return f(int64_t{0}, n);
  bases.team->run(static_cast<int>(pieces), [&](int piece) {
    // The first pieces are the larger ones where grains do not come out even: the last grain may be a small one.
    const auto start = [&](int64_t i) { return std::min(n, (grains * i + pieces - 1) / pieces * grain); };
    f(start(piece), start(piece + 1));
  });
}

// A layer whose x and y begin so many elements further on; those of NarrowDense's x and narrow_y take x_size bytes.
inline void move(kernels::Dense* dense, int64_t x, int64_t y, int64_t) { dense->x += x, dense->y += y; }
inline void move(kernels::NarrowDense* dense, int64_t x, int64_t y, int64_t x_size) {
  dense->x = static_cast<const std::byte*>(dense->x) + x * x_size;
  if (dense->narrow_y != nullptr)
    dense->narrow_y = static_cast<std::byte*>(dense->narrow_y) + y * x_size;
  else
    dense->y += y;
}

// The same for the rows or columns of one layer: f(part of it). Elements of x take x_size bytes.
template <class Layer, class F>
void share_layer(Bases bases, const Layer& whole, int64_t x_size, F&& f) {
  if (bases.team == nullptr) return f(whole);
  constexpr int64_t kRowsOfAPiece = 4;  // fewer do not pay for reading all weights
  const int64_t macs = whole.m * whole.n * whole.k * x_size / static_cast<int64_t>(sizeof(float));
  if (whole.m < 2 * kRowsOfAPiece)
    return share(bases, whole.n, kernels::kColumnGroup, macs, [&](int64_t first, int64_t last) {
      Layer part = whole;
      part.from = first, part.to = last;
      f(part);
    });
  const int64_t outer = whole.m / whole.inner;
  const bool by_outer = outer > 1;
  const int64_t grain = by_outer ? (kRowsOfAPiece + whole.inner - 1) / whole.inner : kRowsOfAPiece;
  share(bases, by_outer ? outer : whole.m, grain, macs, [&](int64_t first, int64_t last) {
    Layer part = whole;
    const int64_t rows = by_outer ? whole.inner : 1;
    part.m = (last - first) * rows, part.inner = by_outer ? whole.inner : last - first;
    move(&part, first * (by_outer ? whole.x_outer : whole.x_inner), first * (by_outer ? whole.y_outer : whole.y_inner),
         x_size);
    if (part.start != nullptr) part.start += first * rows * part.start_stride;
    f(part);
  });
}

}  // namespace hayate::native
