// How the weights of the dense layers with fewer bits lie, for an `Op` that says how `kGroup` consecutive elements of x
// meet the weights of a vector of columns. Included with narrow_tiles-inl.h once for each way of multiplying, inside
// its namespace and under the target attributes that its Op needs; no include guard for that reason.
//
// Columns lie in panels of up to kVectors vectors. Few columns left behind whole vectors are an edge, behind the
// panels: a vector of the edge holds four groups of k beside each other for each of its columns, of which each has a
// block of four lanes, so that 16 consecutive bytes of x, the same in all blocks, meet it; the lanes of a block are
// added up at the end. So a column is a quarter of what it is in a vector of its own.
//
// Op has
//   X, W          elements of x and of the weights
//   kGroup        elements of x that a lane takes at once
//   kParts        multiplications that they take; of `part` 0 on
//   kPartsApart   the weights of a part lie together; else the kGroup weights of a column
//   kScaled       integers with a scale for each column; else floats
//   kCentre       where scaled: what it takes from x before it multiplies
//   Sum           vector of sums, one for each column
//   narrowed(y, inverse, zero)       lanes whose low parts are what the next layer's X would be
//   zero(), broadcast(x), broadcast_some(x, count), part_of(x, part), load(w, part), multiply(sum, x, w)

constexpr int64_t kBlocks = std::max<int64_t>(kLanes / 4, 1);  // columns of a vector of the edge
constexpr int kMostEdge = 2;                                   // vectors

template <class Op>
constexpr bool kHasEdge = kLanes >= 8 && Op::kGroup * sizeof(typename Op::X) == 4;
// Elements of x that a step of the edge takes.
template <class Op>
constexpr int64_t kEdgeStep = 4 * Op::kGroup;

// Of the edge; 0 where there is none. What is left of a segment behind whole steps is the end of one more step, which
// begins before it: a segment has to have one step at least.
template <class Op>
int edge_vectors(int64_t n, int64_t segment_length) {
  const int64_t vectors = (n % kLanes + kBlocks - 1) / kBlocks;
  return !kHasEdge<Op> || segment_length < kEdgeStep<Op> || vectors > kMostEdge ? 0 : static_cast<int>(vectors);
}
template <class Op>
int64_t columns_of_panels(int64_t n, int64_t segment_length) {
  return edge_vectors<Op>(n, segment_length) == 0 ? n : n / kLanes * kLanes;
}

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

// Of the panels that hold the first `columns`, with what lies before them.
template <class Op>
int64_t bytes_of_panels(const NarrowWeights& w, int64_t columns) {
  return header_bytes<Op>(w.n) +
         groups_of<Op>(w) * Op::kGroup * padded(columns) * static_cast<int64_t>(sizeof(typename Op::W));
}

template <class Op>
typename Op::W weight_at(const NarrowWeights& w, int64_t k, int64_t n) {
  if constexpr (Op::kScaled)
    return static_cast<const int8_t*>(w.w)[k * w.k_stride + n * w.n_stride];
  else
    return rounded_to_bf16(static_cast<const float*>(w.w)[k * w.k_stride + n * w.n_stride]);
}

// Where in a vector of weights element g of a lane's group lies.
template <class Op>
constexpr int64_t place_of(int64_t lane, int64_t g) {
  if (!Op::kPartsApart) return lane * Op::kGroup + g;
  constexpr int64_t kEach = Op::kGroup / Op::kParts;
  return g % Op::kParts * kLanes * kEach + lane * kEach + g / Op::kParts;
}

// A vector of weights; group_of(lane) says which a lane takes.
struct Group {
  int64_t column, segment, first;  // element in the segment
  int64_t from = 0;                // elements before it count as 0, as those behind the segment and the columns do
};
template <class Op, class GroupOf>
void pack_vector(const NarrowWeights& w, typename Op::W** to, const GroupOf& group_of) {
  for (int64_t lane = 0; lane < kLanes; ++lane) {
    const Group group = group_of(lane);
    for (int64_t g = 0; g < Op::kGroup; ++g) {
      const int64_t i = group.first + g;
      const bool there = group.column < w.n && i >= group.from && i < w.segment_length;
      (*to)[place_of<Op>(lane, g)] =
          there ? weight_at<Op>(w, group.segment * w.segment_length + i, group.column) : typename Op::W{0};
    }
  }
  *to += kLanes * Op::kGroup;
}

// Scales and zeros of all columns first, where there are any; then panels of up to kVectors vectors, which hold the
// first `columns`. Gives where they end.
template <class Op>
typename Op::W* pack_panels(const NarrowWeights& w, int64_t columns, void* packed) {
  if constexpr (Op::kScaled) {
    auto* scales = static_cast<float*>(packed);
    auto* zeros = reinterpret_cast<int32_t*>(scales + padded(w.n));
    for (int64_t n = 0; n < padded(w.n); ++n) {
      scales[n] = n < w.n ? w.scale[n] : 0.0f, zeros[n] = 0;
      for (int64_t k = 0; n < w.n && k < w.segments * w.segment_length; ++k)
        zeros[n] -= (w.x_zero - Op::kCentre) * static_cast<int32_t>(weight_at<Op>(w, k, n));
    }
  }
  auto* to = reinterpret_cast<typename Op::W*>(static_cast<std::byte*>(packed) + header_bytes<Op>(w.n));
  for (int64_t column = 0; column < columns; column += kVectors * kLanes) {
    const int64_t end = std::min<int64_t>(column + kVectors * kLanes, padded(columns));
    for (int64_t s = 0; s < w.segments; ++s)
      for (int64_t i = 0; i < w.segment_length; i += Op::kGroup)
        for (int64_t n = column; n < end; n += kLanes)
          pack_vector<Op>(w, &to, [&](int64_t lane) { return Group{n + lane, s, i}; });
  }
  return to;
}

template <class Op>
int64_t packed_bytes(const NarrowWeights& w) {
  const int64_t steps = w.segments * ((w.segment_length + kEdgeStep<Op> - 1) / kEdgeStep<Op>),
                vectors = edge_vectors<Op>(w.n, w.segment_length);
  return bytes_of_panels<Op>(w, columns_of_panels<Op>(w.n, w.segment_length)) +
         steps * vectors * kLanes * Op::kGroup * static_cast<int64_t>(sizeof(typename Op::W));
}

// The edge lies behind the panels.
template <class Op>
void pack(const NarrowWeights& w, void* packed) {
  const int64_t columns = columns_of_panels<Op>(w.n, w.segment_length);
  typename Op::W* to = pack_panels<Op>(w, columns, packed);
  if constexpr (kHasEdge<Op>)
    for (int64_t s = 0; columns < w.n && s < w.segments; ++s)
      for (int64_t i = 0; i < w.segment_length; i += kEdgeStep<Op>)
        for (int64_t n = columns; n < w.n; n += kBlocks)
          pack_vector<Op>(w, &to, [&](int64_t lane) {
            const int64_t first = std::min(i, w.segment_length - kEdgeStep<Op>) + lane % 4 * Op::kGroup;
            return Group{n + lane / 4, s, first, i};
          });
}
