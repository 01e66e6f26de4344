// Tiles of the dense layers with fewer bits, over an `Op` that says how `kGroup` consecutive elements of x meet the
// weights of a vector of columns. Included once for each way of multiplying, inside its namespace and under the target
// attributes that its Op needs; no include guard for that reason. Op has
//   X, W          elements of x and of the weights
//   kGroup        elements of x that one product takes; the weights of a column lie so together
//   kScaled       integers with a scale for each column; else floats
//   kCentre       where scaled: what it takes from x before it multiplies
//   Sum           vector of sums, one for each column
//   narrowed(y, inverse, zero)       lanes whose low parts are what the next layer's X would be
//   zero(), broadcast(x), broadcast_some(x, count), load(w), multiply(sum, x, w)

// Each segment of x takes whole groups; weights behind its end are 0.
template <class Op>
int64_t groups_of(const NarrowWeights& w) {
  return w.segments * ((w.segment_length + Op::kGroup - 1) / Op::kGroup);
}

inline int64_t padded(int64_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

template <class Op>
int64_t header_bytes(int64_t n) {
  return Op::kScaled ? (2 * padded(n) * 4 + 63) / 64 * 64 : 0;
}

template <class Op>
int64_t packed_bytes(const NarrowWeights& w) {
  return header_bytes<Op>(w.n) +
         groups_of<Op>(w) * Op::kGroup * padded(w.n) * static_cast<int64_t>(sizeof(typename Op::W));
}

template <class Op>
typename Op::W weight_at(const NarrowWeights& w, int64_t k, int64_t n) {
  if constexpr (Op::kScaled)
    return static_cast<const int8_t*>(w.w)[k * w.k_stride + n * w.n_stride];
  else
    return rounded_to_bf16(static_cast<const float*>(w.w)[k * w.k_stride + n * w.n_stride]);
}

// Scales and zeros first where there are any; then panels of up to kVectors vectors of columns.
template <class Op>
void pack(const NarrowWeights& w, void* packed) {
  using W = typename Op::W;
  if constexpr (Op::kScaled) {
    auto* scales = static_cast<float*>(packed);
    auto* zeros = reinterpret_cast<int32_t*>(scales + padded(w.n));
    for (int64_t n = 0; n < padded(w.n); ++n) {
      scales[n] = n < w.n ? w.scale[n] : 0.0f, zeros[n] = 0;
      for (int64_t k = 0; n < w.n && k < w.segments * w.segment_length; ++k)
        zeros[n] -= (w.x_zero - Op::kCentre) * static_cast<int32_t>(weight_at<Op>(w, k, n));
    }
  }
  auto* to = reinterpret_cast<W*>(static_cast<std::byte*>(packed) + header_bytes<Op>(w.n));
  for (int64_t column = 0; column < w.n; column += kVectors * kLanes) {
    const int64_t end = std::min<int64_t>(column + kVectors * kLanes, padded(w.n));
    for (int64_t s = 0; s < w.segments; ++s)
      for (int64_t i = 0; i < w.segment_length; i += Op::kGroup)
        for (int64_t n = column; n < end; ++n)
          for (int64_t g = 0; g < Op::kGroup; ++g)
            *to++ = n < w.n && i + g < w.segment_length ? weight_at<Op>(w, s * w.segment_length + i + g, n) : W{0};
  }
}

template <class Op, int kR, int kV, int kC>
HWY_INLINE void multiply_group(typename Op::Sum (&sums)[kR][kV][kC], int c, const typename Op::X* const (&x)[kR],
                               int64_t at, int64_t left, const typename Op::W* weights) {
  decltype(Op::load(weights)) w[kV];
  for (int v = 0; v < kV; ++v) w[v] = Op::load(weights + v * kLanes * Op::kGroup);
  for (int r = 0; r < kR; ++r) {
    const auto value = left >= Op::kGroup ? Op::broadcast(x[r] + at) : Op::broadcast_some(x[r] + at, left);
    for (int v = 0; v < kV; ++v) sums[r][v][c] = Op::multiply(sums[r][v][c], value, w[v]);
  }
}

// What becomes of the sums of kR rows from `row` on: scaled where they are integers, added to what the rows start from,
// and through the activation to their places, which hold the column.
template <class Op, int kR, int kV>
HWY_INLINE void finish(const NarrowDense& a, const typename Op::Sum (&sums)[kR][kV], const int64_t (&places)[kR],
                       int64_t row, int64_t column) {
  const int64_t count = a.n - column;
  V made[kR][kV];
  load_starts(made, a.start == nullptr ? nullptr : a.start + row * a.start_stride + column, a.start_stride,
              a.bias == nullptr ? nullptr : a.bias + column, count);
  for (int r = 0; r < kR; ++r)
    for (int v = 0; v < kV; ++v) {
      V& y = made[r][v];
      if constexpr (Op::kScaled) {
        const auto* scales = static_cast<const float*>(a.packed);
        const auto* zeros = reinterpret_cast<const int32_t*>(scales + padded(a.n));
        const int64_t at = column + v * kLanes;
        const hn::RebindToSigned<D> di;
        y = hn::MulAdd(hn::LoadU(d, scales + at), hn::ConvertTo(d, hn::Add(sums[r][v], hn::LoadU(di, zeros + at))), y);
      } else {
        y = hn::Add(y, sums[r][v]);
      }
    }
  if (a.narrow_y == nullptr) {
    float* ys[kR];
    for (int r = 0; r < kR; ++r) ys[r] = a.y + places[r];
    if (!store_tile(made, ys, count, a.activation))
      for (float* y : ys) plain::unary(a.activation, y, y, std::min<int64_t>(count, kV * kLanes));
    return;
  }
  auto* const to = static_cast<typename Op::X*>(a.narrow_y);
  const float inverse = a.y_inverse_scale, zero = a.y_zero;
  const Activation activation = a.activation;  // all read before bytes are stored, which may be anybody's
  const auto store = [&](auto&& f) HWY_ATTR {
    for (int r = 0; r < kR; ++r)
      for (int v = 0; v < kV && v * kLanes < count; ++v)
        store_low(Op::narrowed(f(made[r][v]), inverse, zero), to + places[r] + v * kLanes, count - v * kLanes);
  };
  if (activation.op == Unary::kNone) return store([](V v) HWY_ATTR { return v; });
  if (activation.op == Unary::kRelu) return store([](V v) HWY_ATTR { return apply({Unary::kRelu}, v); });
  if (activation.op == Unary::kGeluNear) return store([](V v) HWY_ATTR { return apply({Unary::kGeluNear}, v); });
  if (activation.op == Unary::kLeakyRelu)
    return store([alpha = activation.alpha](V v) HWY_ATTR { return apply({Unary::kLeakyRelu, alpha}, v); });
  if (!is_vector(activation.op))
    for (int r = 0; r < kR; ++r) {
      HWY_ALIGN float room[kV * kLanes];
      for (int v = 0; v < kV; ++v) hn::Store(made[r][v], d, room + v * kLanes);
      plain::unary(activation, room, room, kV * kLanes);
      for (int v = 0; v < kV; ++v) made[r][v] = hn::Load(d, room + v * kLanes);
    }
  store([&](V v) HWY_ATTR { return is_vector(activation.op) ? apply(activation, v) : v; });
}

// As dense_tile: kR rows of one panel; narrow panels keep kC chains of sums.
template <class Op, int kR, int kV, int kC>
HWY_INLINE void tile(const NarrowDense& a, const typename Op::W* panel, int64_t row, int64_t* outer, int64_t* inner,
                     int64_t column) {
  constexpr int64_t kStep = kV * kLanes * Op::kGroup;
  const typename Op::X* x[kR];
  int64_t places[kR];
  typename Op::Sum sums[kR][kV][kC];
  for (int r = 0; r < kR; ++r) {
    x[r] = static_cast<const typename Op::X*>(a.x) + *outer * a.x_outer + *inner * a.x_inner;
    places[r] = *outer * a.y_outer + *inner * a.y_inner + column;
    if (++*inner == a.inner) *inner = 0, ++*outer;
    for (int v = 0; v < kV; ++v)
      for (int c = 0; c < kC; ++c) sums[r][v][c] = Op::zero();
  }
  for (int64_t s = 0; s < a.segments; ++s) {
    const int64_t offset = a.segment_offsets == nullptr ? 0 : a.segment_offsets[s];
    int64_t i = 0;
    for (; i + kC * Op::kGroup <= a.segment_length; i += kC * Op::kGroup)
      for (int c = 0; c < kC; ++c, panel += kStep)
        multiply_group<Op, kR, kV, kC>(sums, c, x, offset + i + c * Op::kGroup, Op::kGroup, panel);
    for (; i < a.segment_length; i += Op::kGroup, panel += kStep)
      multiply_group<Op, kR, kV, kC>(sums, 0, x, offset + i, a.segment_length - i, panel);
  }
  typename Op::Sum joined[kR][kV];
  for (int r = 0; r < kR; ++r)
    for (int v = 0; v < kV; ++v) {
      joined[r][v] = sums[r][v][0];
      if constexpr (kC == 2) joined[r][v] = hn::Add(joined[r][v], sums[r][v][1]);
      if constexpr (kC == 4)
        joined[r][v] = hn::Add(hn::Add(joined[r][v], sums[r][v][1]), hn::Add(sums[r][v][2], sums[r][v][3]));
    }
  finish<Op, kR, kV>(a, joined, places, row, column);
}

template <class Op, int kR, int kV, int kC>
HWY_INLINE void tile_of(int64_t rows, const NarrowDense& a, const typename Op::W* panel, int64_t row, int64_t* outer,
                        int64_t* inner, int64_t column) {
  if (rows == kR) return tile<Op, kR, kV, kC>(a, panel, row, outer, inner, column);
  if constexpr (kR > 1) tile_of<Op, next_tile(kR), kV, kC>(rows, a, panel, row, outer, inner, column);
}

template <class Op, int kV, int kC>
void panel_of(const NarrowDense& a, const typename Op::W* panel, int64_t column) {
  int64_t outer = 0, inner = 0;
  for (int64_t row = 0; row < a.m;) {
    const int64_t rows = tile_rows<kRows>(a.m - row);
    tile_of<Op, kRows, kV, kC>(rows, a, panel, row, &outer, &inner, column);
    row += rows;
  }
}

// f(panel, column, vectors) for each panel of the columns asked for.
template <class Op, class F>
HWY_INLINE void each_panel(const NarrowDense& a, F&& f) {
  constexpr int64_t kWidth = kVectors * kLanes;
  const auto* packed =
      reinterpret_cast<const typename Op::W*>(static_cast<const std::byte*>(a.packed) + header_bytes<Op>(a.n));
  const NarrowWeights shape{.segments = a.segments, .segment_length = a.segment_length};
  const int64_t rows = groups_of<Op>(shape) * Op::kGroup;
  const int64_t first = a.from / kWidth, panels = (std::min(a.to, a.n) + kWidth - 1) / kWidth - first;
  for (int64_t i = 0; i < panels; ++i) {
    const int64_t column = (first + (a.backwards ? panels - 1 - i : i)) * kWidth;
    const auto* panel = packed + rows * column;  // all panels but the last are whole
    f(panel, column, std::min<int64_t>(kVectors, (a.n - column + kLanes - 1) / kLanes));
  }
}

template <class Op>
void dense(const NarrowDense& a) {
  each_panel<Op>(a, [&](const typename Op::W* panel, int64_t column, int64_t vectors) HWY_ATTR {
    if (vectors == 1)
      panel_of<Op, 1, 4>(a, panel, column);
    else if (vectors == 2)
      panel_of<Op, 2, 2>(a, panel, column);
    else if (vectors == 3)
      panel_of<Op, 3, 1>(a, panel, column);
    else
      panel_of<Op, 4, 1>(a, panel, column);
  });
}

template <class Op>
NarrowSet narrow_set(void (*narrow)(const Narrowing&)) {
  return {packed_bytes<Op>, pack<Op>, dense<Op>, narrow};
}
