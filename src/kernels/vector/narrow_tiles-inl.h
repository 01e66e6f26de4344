// Tiles of the dense layers with fewer bits, over an `Op` and the weights as narrow_pack-inl.h has them, with which
// this is included.

// One vector of groups of each row, x_of(r), meets kV vectors of weights.
template <class Op, int kR, int kV, int kC, class XOf>
HWY_INLINE void multiply_groups(typename Op::Sum (&sums)[kR][kV][kC], int c, const typename Op::W* weights,
                                const XOf& x_of) {
  HAYATE_EACH (part, Op::kParts) {
    decltype(Op::load(weights, part)) w[kV];
    HAYATE_EACH (v, kV) {
      w[v] = Op::load(weights + v * kLanes * Op::kGroup, part);
      if constexpr (kR > 1 && requires { w[v].raw; }) w[v] = in_register(w[v]);
    }
    HAYATE_EACH (r, kR) {
      const auto x = Op::part_of(x_of(r), part);
      HAYATE_EACH (v, kV) sums[r][v][c] = Op::multiply(sums[r][v][c], x, w[v]);
    }
  }
}

// Sums that a loop carries stay each in its own register: the compiler would move them to others and back for every
// step, which takes as long as their products.
template <class Sum, int kR, int kV>
HWY_INLINE void keep_in_registers(Sum (&sums)[kR][kV][1]) {
  HAYATE_EACH (r, kR)
    HAYATE_EACH (v, kV) sums[r][v][0] = in_register(sums[r][v][0]);
}

// Answers of vector v of a panel: the sums scaled where they are integers, and added to what they start from.
template <class Op>
HWY_INLINE V answers(const NarrowDense& a, typename Op::Sum sums, int64_t column, V start) {
  if constexpr (Op::kScaled) {
    const auto* scales = static_cast<const float*>(a.packed);
    const auto* zeros = reinterpret_cast<const int32_t*>(scales + padded(a.n));
    const auto whole = hn::Add(sums, hn::LoadU(hn::RebindToSigned<D>(), zeros + column));
    return hn::MulAdd(hn::LoadU(d, scales + column), hn::ConvertTo(d, whole), start);
  } else {
    return hn::Add(start, sums);
  }
}

// f of each answer to its place: floats, or what is narrowed.
template <class Op, int kR, int kV, class F>
HWY_INLINE void store_answers(const NarrowDense& a, const V (&made)[kR][kV], const int64_t (&places)[kR], int64_t count,
                              const F& f) {
  const auto left = [&](int v) { return v + 1 < kV ? kLanes : count - v * kLanes; };
  if (a.narrow_y == nullptr) {
    float* const y = a.y;
    HAYATE_EACH (r, kR)
      HAYATE_EACH (v, kV) store_some(f(made[r][v]), y + places[r] + v * kLanes, left(v));
    return;
  }
  auto* const y = static_cast<typename Op::X*>(a.narrow_y);  // all read before bytes are stored, which may be anybody's
  const float inverse = a.y_inverse_scale, zero = a.y_zero;
  HAYATE_EACH (r, kR)
    HAYATE_EACH (v, kV) store_low(Op::narrowed(f(made[r][v]), inverse, zero), y + places[r] + v * kLanes, left(v));
}

// The same of activations whose code is long, vector behind vector; room holds the answers of each row in so many
// vectors.
template <class Op>
HWY_NOINLINE void store_others(const NarrowDense& a, float* room, const int64_t* places, int64_t rows, int64_t vectors,
                               int64_t count) {
  const Activation activation = a.activation;
  const auto each = [&](const auto& f) HWY_ATTR {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t v = 0; v < vectors; ++v) {
        const V one[1][1] = {{hn::Load(d, room + (r * vectors + v) * kLanes)}};
        const int64_t place[1] = {places[r] + v * kLanes};
        store_answers<Op>(a, one, place, count - v * kLanes, f);
      }
  };
  if (activation.op == Unary::kGeluNear) return each([](V y) HWY_ATTR { return apply({Unary::kGeluNear}, y); });
  if (is_vector(activation.op)) return each([&](V y) HWY_ATTR { return apply(activation, y); });
  plain::unary(activation, room, room, rows * vectors * kLanes);
  each([](V y) HWY_ATTR { return y; });
}

// Sums of integers that another call goes on from, with what the zero point takes from them.
template <class Op, int kR, int kV>
HWY_INLINE void store_begun(const NarrowDense& a, const typename Op::Sum (&sums)[kR][kV], const int64_t (&places)[kR],
                            int64_t column) {
  const auto* zeros = reinterpret_cast<const int32_t*>(static_cast<const float*>(a.packed) + padded(a.n));
  HAYATE_EACH (v, kV) {
    const auto zero = hn::LoadU(hn::RebindToSigned<D>(), zeros + column + v * kLanes);
    HAYATE_EACH (r, kR) hn::StoreU(hn::BitCast(d, hn::Add(sums[r][v], zero)), d, a.y + places[r] + v * kLanes);
  }
}

// What becomes of the sums of kR rows from `row` on: answers, through the activation to their places, which hold the
// column. Of the kV vectors only the last may be of fewer columns. Layers of integers may be in two calls, between
// which their sums lie in the floats' place.
template <class Op, int kR, int kV>
HWY_INLINE void finish(const NarrowDense& a, const typename Op::Sum (&sums)[kR][kV], const int64_t (&places)[kR],
                       int64_t row, int64_t column) {
  const int64_t count = a.n - column;
  const auto left = [&](int v) { return v + 1 < kV ? kLanes : count - v * kLanes; };
  V made[kR][kV];
  if constexpr (Op::kScaled) {
    if (HWY_UNLIKELY(a.part == Part::kBegin)) return store_begun<Op>(a, sums, places, column);
  }
  if (Op::kScaled && HWY_UNLIKELY(a.part == Part::kEnd)) {
    HAYATE_EACH (r, kR)
      HAYATE_EACH (v, kV) {
        const int64_t at = column + v * kLanes;
        const V start = a.bias == nullptr ? hn::Zero(d) : load_some(a.bias + at, left(v)),
                begun = hn::LoadU(d, a.start + (row + r) * a.start_stride + at);
        made[r][v] = answers<Op>(a, hn::Add(sums[r][v], hn::BitCast(hn::DFromV<typename Op::Sum>(), begun)), at, start);
      }
  } else if (a.start == nullptr) {
    HAYATE_EACH (v, kV) {
      const int64_t at = column + v * kLanes;
      const V start = a.bias == nullptr ? hn::Zero(d) : load_some(a.bias + at, left(v));
      HAYATE_EACH (r, kR) made[r][v] = answers<Op>(a, sums[r][v], at, start);
    }
  } else {
    const float* start = a.start + row * a.start_stride + column;
    HAYATE_EACH (r, kR)
      HAYATE_EACH (v, kV)
        made[r][v] = answers<Op>(a, sums[r][v], column + v * kLanes,
                                 load_some(start + r * a.start_stride + v * kLanes, left(v)));
  }
  const Activation activation = a.activation;
  const auto store = [&](const auto& f) HWY_ATTR { store_answers<Op>(a, made, places, count, f); };
  if (activation.op == Unary::kNone) return store([](V v) HWY_ATTR { return v; });
  if (activation.op == Unary::kRelu) return store([](V v) HWY_ATTR { return apply({Unary::kRelu}, v); });
  if (activation.op == Unary::kLeakyRelu)
    return store([alpha = activation.alpha](V v) HWY_ATTR { return apply({Unary::kLeakyRelu, alpha}, v); });
  HWY_ALIGN float room[kR][kV * kLanes];
  HAYATE_EACH (r, kR)
    HAYATE_EACH (v, kV) hn::Store(made[r][v], d, room[r] + v * kLanes);
  store_others<Op>(a, room[0], places, kR, kV, count);
}

// A row's (i, j), and where its x and its answers lie: counted along, for products would take as long as a short row.
struct Place {
  int64_t inner = 0, x = 0, y = 0, run_x = 0, run_y = 0;

  HWY_INLINE void next(const NarrowDense& a) {
    x += a.x_inner, y += a.y_inner;
    if (++inner == a.inner) inner = 0, x = run_x += a.x_outer, y = run_y += a.y_outer;
  }
};

// kR rows from `place` on, which moves behind them.
template <class Op, int kR>
HWY_INLINE void take_rows(const NarrowDense& a, Place* place, int64_t column, const typename Op::X* (&x)[kR],
                          int64_t (&places)[kR]) {
  HAYATE_EACH (r, kR) {
    x[r] = static_cast<const typename Op::X*>(a.x) + place->x, places[r] = place->y + column;
    place->next(a);
  }
}

// The sums of kR rows of a panel of kV vectors, in kC chains over k.
template <class Op, int kR, int kV, int kC, int kAll>
HWY_INLINE void sum_panel(const NarrowDense& a, const typename Op::X* const (&x)[kR], const typename Op::W* panel,
                          typename Op::Sum (&totals)[kR][kAll]) {
  constexpr int64_t kStep = kV * kLanes * Op::kGroup;
  typename Op::Sum sums[kR][kV][kC];
  HAYATE_EACH (r, kR)
    HAYATE_EACH (v, kV)
      HAYATE_EACH (c, kC) sums[r][v][c] = Op::zero();
  for (int64_t s = 0; s < a.segments; ++s) {
    int64_t at = a.segment_offsets == nullptr ? 0 : a.segment_offsets[s], left = a.segment_length;
    const auto whole = [&](int r) HWY_ATTR { return Op::broadcast(x[r] + at); };
    for (; left >= kC * Op::kGroup; left -= kC * Op::kGroup)
      HAYATE_EACH (c, kC) {
        multiply_groups<Op>(sums, c, panel, whole);
        panel += kStep, at += Op::kGroup;
      }
    for (; left >= Op::kGroup; left -= Op::kGroup, panel += kStep, at += Op::kGroup)
      multiply_groups<Op>(sums, 0, panel, whole);
    if (left > 0) {
      multiply_groups<Op>(sums, 0, panel, [&](int r) HWY_ATTR { return Op::broadcast_some(x[r] + at, left); });
      panel += kStep;
    }
  }
  HAYATE_EACH (r, kR)
    HAYATE_EACH (v, kV) {
      totals[r][v] = sums[r][v][0];
      if constexpr (kC == 2) totals[r][v] = hn::Add(sums[r][v][0], sums[r][v][1]);
      if constexpr (kC == 4)
        totals[r][v] = hn::Add(hn::Add(sums[r][v][0], sums[r][v][1]), hn::Add(sums[r][v][2], sums[r][v][3]));
    }
}

#if HWY_TARGET != HWY_SCALAR
// 16 bytes in each block.
HWY_INLINE VI in_blocks(const void* bytes) {
  const hn::Repartition<uint8_t, DI> du;
  return hn::BitCast(DI(), hn::LoadDup128(du, static_cast<const uint8_t*>(bytes)));
}

// Ones in the last `count` of the 16 bytes of each block.
struct Ones {
  uint8_t bytes[32] = {};
  constexpr Ones() { std::fill(bytes + 16, bytes + 32, uint8_t{255}); }
};
HWY_INLINE VI last_bytes(int64_t count) {
  static constexpr Ones kOnes;
  return in_blocks(kOnes.bytes + count);
}

// Lane c takes what block c % kBlocks has in lane c / kBlocks + kFirst.
template <int kFirst>
struct FromBlocks {
  int32_t lanes[kLanes] = {};
  constexpr FromBlocks() {
    for (int64_t c = 0; c < kLanes; ++c) lanes[c] = static_cast<int32_t>(c % kBlocks * 4 + (c / kBlocks + kFirst) % 4);
  }
};
template <int kFirst, class Sum>
HWY_INLINE Sum from_blocks(Sum sums) {
  static constexpr FromBlocks<kFirst> kFrom;
  return hn::TableLookupLanes(sums, hn::SetTableIndices(hn::DFromV<Sum>(), kFrom.lanes));
}

// The lanes of each block added up, 0 to 2, 1 to 3 and both: of a, of b, of a, of b.
template <class Sum>
HWY_INLINE Sum added_up(Sum a, Sum b) {
  const hn::DFromV<Sum> of;
  const Sum halves = hn::Add(hn::InterleaveLower(of, a, b), hn::InterleaveUpper(of, a, b));
  return hn::Add(halves, hn::Shuffle1032(halves));
}

// The lanes of an edge's blocks added up to the sums of its columns, which are vector kLast of `totals`.
template <int kR, int kE, int kLast, class Sum>
HWY_INLINE void join_blocks(const Sum (&ends)[kR][kE][1], Sum (&totals)[kR][kLast + 1]) {
  if constexpr (kE == 2) {
    HAYATE_EACH (r, kR) totals[r][kLast] = from_blocks<0>(added_up(ends[r][0][0], ends[r][1][0]));
  } else {  // two rows at once
    HAYATE_EACH (r, kR / 2) {
      const auto both = added_up(ends[2 * r][0][0], ends[2 * r + 1][0][0]);
      totals[2 * r][kLast] = from_blocks<0>(both), totals[2 * r + 1][kLast] = from_blocks<1>(both);
    }
    if constexpr (kR % 2 == 1) totals[kR - 1][kLast] = from_blocks<0>(added_up(ends[kR - 1][0][0], ends[kR - 1][0][0]));
  }
}

// The sums of kR rows of an edge of kE vectors, as vector kLast of `totals`.
template <class Op, int kR, int kE, int kLast>
HWY_INLINE void sum_edge(const NarrowDense& a, const typename Op::X* const (&x)[kR], const typename Op::W* edge,
                         typename Op::Sum (&totals)[kR][kLast + 1]) {
  constexpr int64_t kStep = kEdgeStep<Op>, kWeights = kE * kLanes * Op::kGroup;
  typename Op::Sum sums[kR][kE][1];
  HAYATE_EACH (r, kR)
    HAYATE_EACH (v, kE) sums[r][v][0] = Op::zero();
  for (int64_t s = 0; s < a.segments; ++s) {
    int64_t at = a.segment_offsets == nullptr ? 0 : a.segment_offsets[s], left = a.segment_length;
    const auto whole = [&](int r) HWY_ATTR { return in_blocks(x[r] + at); };
    const int64_t last = at + left - kStep;
    if constexpr (Op::kScaled) {  // what is read once more meets weights of 0
      for (; left > 0; left -= kStep, at = std::min(at + kStep, last), edge += kWeights) {
        multiply_groups<Op>(sums, 0, edge, whole);
        keep_in_registers(sums);
      }
    } else {  // which do not undo what is infinite
      for (; left >= kStep; left -= kStep, at += kStep, edge += kWeights) multiply_groups<Op>(sums, 0, edge, whole);
      if (left == 0) continue;
      at = last;
      const VI kept = last_bytes(left * static_cast<int64_t>(sizeof(typename Op::X)));
      multiply_groups<Op>(sums, 0, edge, [&](int r) HWY_ATTR { return hn::And(whole(r), kept); });
      edge += kWeights;
    }
  }
  join_blocks<kR, kE, kLast>(sums, totals);
}

// Whether the sums of a panel and of an edge of one vector are made together: where the rows are chains enough and all
// of them fit the registers beside 16 bytes of each row's x.
template <class Op, int kR, int kV, int kE>
constexpr bool kTogether = Op::kScaled&& kE == 1 && kV > 0 && kV <= 2 && kR > 2 && kR*(kV + 2) + kV + 1 <= kRegisters;

// Sums of integers of kR rows, of a panel of kV vectors and of the edge behind it. A step of the edge is four groups of
// the panel. So few products for each load would wait for loads: x of two of the four groups comes out of the edge's.
template <class Op, int kR, int kV>
HWY_INLINE void sum_both(const NarrowDense& a, const typename Op::X* const (&x)[kR], const typename Op::W* panel,
                         const typename Op::W* edge, typename Op::Sum (&totals)[kR][kV + 1]) {
  constexpr int64_t kStep = kEdgeStep<Op>, kPanel = kV * kLanes * Op::kGroup, kEdge = kLanes * Op::kGroup;
  typename Op::Sum sums[kR][kV][1], ends[kR][1][1];
  HAYATE_EACH (r, kR) {
    HAYATE_EACH (v, kV) sums[r][v][0] = Op::zero();
    ends[r][0][0] = Op::zero();
  }
  for (int64_t s = 0; s < a.segments; ++s) {
    int64_t at = a.segment_offsets == nullptr ? 0 : a.segment_offsets[s], left = a.segment_length;
    const int64_t last = at + left - kStep;
    const auto group = [&](const auto& x_of) HWY_ATTR {
      multiply_groups<Op>(sums, 0, panel, x_of);
      keep_in_registers(sums);
      panel += kPanel;
    };
    const auto loaded = [&](int r) HWY_ATTR { return Op::broadcast(x[r] + at); };
    for (; left >= kStep; left -= kStep, edge += kEdge) {
      VI blocks[kR];
      HAYATE_EACH (r, kR) blocks[r] = in_register(in_blocks(x[r] + at));
      multiply_groups<Op>(ends, 0, edge, [&](int r) HWY_ATTR { return blocks[r]; });
      keep_in_registers(ends);
      group([&](int r) HWY_ATTR { return hn::Broadcast<0>(blocks[r]); });
      group([&](int r) HWY_ATTR { return hn::Broadcast<1>(blocks[r]); });
      at += 2 * Op::kGroup;
      group(loaded), at += Op::kGroup;
      group(loaded), at += Op::kGroup;
    }
    if (left == 0) continue;
    multiply_groups<Op>(ends, 0, edge, [&](int r) HWY_ATTR { return in_blocks(x[r] + last); });
    edge += kEdge;
    for (; left > 0; left -= Op::kGroup, at += Op::kGroup) group(loaded);  // weights behind the end are 0
  }
  HAYATE_EACH (r, kR)
    HAYATE_EACH (v, kV) totals[r][v] = sums[r][v][0];
  join_blocks<kR, 1, kV>(ends, totals);
}
#endif

// kR rows of a panel of kV vectors in kC chains, and of the edge behind it of kE vectors.
template <class Op, int kR, int kV, int kC, int kE>
HWY_INLINE void tile(const NarrowDense& a, const typename Op::W* panel, [[maybe_unused]] const typename Op::W* edge,
                     int64_t row, Place* place, int64_t column) {
  constexpr int kAll = kV + (kE > 0 ? 1 : 0);
  const typename Op::X* x[kR];
  int64_t places[kR];
  take_rows<Op>(a, place, column, x, places);
  typename Op::Sum totals[kR][kAll];
#if HWY_TARGET != HWY_SCALAR
  if constexpr (kTogether<Op, kR, kV, kE>) {
    sum_both<Op, kR, kV>(a, x, panel, edge, totals);
  } else {
    if constexpr (kV > 0) sum_panel<Op, kR, kV, kC>(a, x, panel, totals);
    if constexpr (kE > 0) sum_edge<Op, kR, kE, kV>(a, x, edge, totals);
  }
#else
  sum_panel<Op, kR, kV, kC>(a, x, panel, totals);
#endif
  finish<Op, kR, kAll>(a, totals, places, row, column);
}

template <class Op, int kR, int kV, int kC, int kE>
HWY_INLINE void tile_of(int64_t rows, const NarrowDense& a, const typename Op::W* panel, const typename Op::W* edge,
                        int64_t row, Place* place, int64_t column) {
  if (rows == kR) return tile<Op, kR, kV, kC, kE>(a, panel, edge, row, place, column);
  if constexpr (kR > 1) tile_of<Op, next_tile(kR), kV, kC, kE>(rows, a, panel, edge, row, place, column);
}

template <class Op, int kV, int kC, int kE>
void panel_of(const NarrowDense& a, const typename Op::W* panel, const typename Op::W* edge, int64_t column) {
  // The totals stay in registers.
  constexpr int kMost = kE > 0 && kV > 2 ? std::min(kRows, Op::kScaled && kE == 1 ? 5 : 4) : kRows;
  Place place;
  for (int64_t row = 0; row < a.m;) {
    const int64_t rows = tile_rows<kMost>(a.m - row);
    tile_of<Op, kMost, kV, kC, kE>(rows, a, panel, edge, row, &place, column);
    row += rows;
  }
}

// A panel of so many vectors, with an edge of kE behind it; no vectors: the edge alone. Narrow panels keep several
// chains of sums, as far as those of kRows rows fit the registers beside the weights and an x.
constexpr int kChainsOf3 = 2 * 3 * kRows + 4 <= kRegisters ? 2 : 1;
template <class Op, int kE>
void dense_panel(const NarrowDense& a, const typename Op::W* panel, const typename Op::W* edge, int64_t column,
                 int64_t vectors) {
  if constexpr (kE > 0)
    if (vectors == 0) return panel_of<Op, 0, 1, kE>(a, panel, edge, column);
  if (vectors == 1) return panel_of<Op, 1, 4, kE>(a, panel, edge, column);
  if (vectors == 2) return panel_of<Op, 2, 2, kE>(a, panel, edge, column);
  if (vectors == 3) return panel_of<Op, 3, kChainsOf3, kE>(a, panel, edge, column);
  panel_of<Op, 4, 1, kE>(a, panel, edge, column);
}

// f(panel, column, vectors) for each panel of the columns asked for; the panels hold the first `columns` of all.
template <class Op, class F>
HWY_INLINE void each_panel(const NarrowDense& a, int64_t columns, F&& f) {
  constexpr int64_t kWidth = kVectors * kLanes;
  const auto* packed =
      reinterpret_cast<const typename Op::W*>(static_cast<const std::byte*>(a.packed) + header_bytes<Op>(a.n));
  const NarrowWeights shape{.segments = a.segments, .segment_length = a.segment_length};
  const int64_t rows = groups_of<Op>(shape) * Op::kGroup;
  const int64_t first = a.from / kWidth, panels = (std::min(a.to, columns) + kWidth - 1) / kWidth - first;
  for (int64_t i = 0; i < panels; ++i) {
    const int64_t column = (first + (a.backwards ? panels - 1 - i : i)) * kWidth;
    const auto* panel = packed + rows * column;  // all panels but the last are whole
    f(panel, column, std::min<int64_t>(kVectors, (columns - column + kLanes - 1) / kLanes));
  }
}

template <class Op>
void dense_of_panels(const NarrowDense& a, int64_t columns) {
  each_panel<Op>(a, columns, [&](const typename Op::W* panel, int64_t column, int64_t vectors) HWY_ATTR {
    dense_panel<Op, 0>(a, panel, nullptr, column, vectors);
  });
}

// The edge goes with the last panel, or alone where that is not asked for.
template <class Op>
void dense(const NarrowDense& a) {
  const int64_t columns = columns_of_panels<Op>(a.n, a.segment_length);
  if constexpr (kHasEdge<Op>)
    if (columns < a.n && a.to >= a.n) {
      const NarrowWeights shape{.segments = a.segments, .segment_length = a.segment_length, .n = a.n};
      const auto* edge = reinterpret_cast<const typename Op::W*>(static_cast<const std::byte*>(a.packed) +
                                                                 bytes_of_panels<Op>(shape, columns));
      const auto last = [&](const typename Op::W* panel, int64_t column, int64_t vectors) HWY_ATTR {
        if (a.n - columns <= kBlocks)
          dense_panel<Op, 1>(a, panel, edge, column, vectors);
        else
          dense_panel<Op, 2>(a, panel, edge, column, vectors);
      };
      if (a.from >= columns) return last(nullptr, columns, 0);
      return each_panel<Op>(a, columns, [&](const typename Op::W* panel, int64_t column, int64_t vectors) HWY_ATTR {
        if (column + vectors * kLanes == columns) return last(panel, column, vectors);
        dense_panel<Op, 0>(a, panel, nullptr, column, vectors);
      });
    }
  dense_of_panels<Op>(a, columns);
}

template <class Op>
NarrowSet narrow_set(void (*narrow)(const Narrowing&)) {
  return {packed_bytes<Op>, pack<Op>, dense<Op>, narrow};
}
