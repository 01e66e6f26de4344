// Dense layers of fewer bits over the processor's tiles (AMX): 16 rows of x, 64 bytes of each, meet 16 columns in one
// instruction, and 256 sums stay in a tile. Over the `Op`s and the packed weights of the dot products: to those, room
// is added behind, for the last rows of a tile may read past a panel's end. What they read there meets zeros.
//
// Included once, inside a namespace of its own and under the target attributes that it needs.

using dot::each_panel;
using dot::finish;

constexpr int64_t kTileRows = 16, kTileBytes = 64;

struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 32, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 8};
};
static_assert(sizeof(TileConfig) == 64);
constexpr TileConfig kTileConfig;

// To the compiler a load of a tile reads no memory: what was stored for it has to be there.
inline void written() { asm volatile("" ::: "memory"); }

// Tiles 0 to 3 are sums; 4 is of x, 5 of weights; 6 and 7 the same for half as much of k. To ask costs a tenth of what
// setting them costs.
inline void configure() {
  TileConfig held;
  _tile_storeconfig(&held);
  const __m512i a = _mm512_load_si512(&held), b = _mm512_load_si512(&kTileConfig);
  if (_mm512_cmpneq_epi64_mask(a, b) != 0) _tile_loadconfig(&kTileConfig);
}
inline void release() { _tile_release(); }

// Up to 16 rows of x, and where their answers go.
template <class Op>
struct Rows {
  const typename Op::X* x[kTileRows];
  int64_t places[kTileRows];
  int64_t first = 0, count = 0;
  bool even = false;  // `stride` elements apart, all 16 of them; or a single one, which stands for all (0)
  int64_t stride = 0;
};

template <class Op>
HWY_INLINE Rows<Op> rows_from(const NarrowDense& a, int64_t first) {
  Rows<Op> rows;
  rows.first = first, rows.count = std::min(kTileRows, a.m - first);
  int64_t outer = first / a.inner, inner = first % a.inner;
  const bool in_one = inner + rows.count <= a.inner;
  for (int64_t r = 0; r < rows.count; ++r) {
    rows.x[r] = static_cast<const typename Op::X*>(a.x) + outer * a.x_outer + inner * a.x_inner;
    rows.places[r] = outer * a.y_outer + inner * a.y_inner;
    if (++inner == a.inner) inner = 0, ++outer;
  }
  rows.even =
      rows.count == 1 || (rows.count == kTileRows && (in_one || a.inner == 1 || a.x_outer == a.inner * a.x_inner));
  rows.stride = rows.count == 1 ? 0 : a.inner == 1 ? a.x_outer : a.x_inner;
  return rows;
}

// How many bytes of a segment the next tile takes where `left` are left: 64, or all that is left: a half tile or a
// rest, which is filled up with zeros.
constexpr int64_t tile_bytes(int64_t left) { return std::min(left, kTileBytes); }

// How many tiles a segment of so many bytes takes, and how many of them are rests.
constexpr int64_t rests_of(int64_t bytes) { return bytes % (kTileBytes / 2) > 0 ? 1 : 0; }
constexpr int64_t tiles_of(int64_t bytes) { return (bytes + kTileBytes - 1) / kTileBytes; }

// Whether x cannot be read where it lies: rows that are no whole tile or lie unevenly, and rests.
template <class Op>
bool is_gathered(const Rows<Op>& rows, int64_t bytes) {
  return !rows.even || (bytes != kTileBytes && bytes != kTileBytes / 2);
}

// `bytes` of each row from element `at` on, zeros behind them, 64 bytes apart.
template <class Op>
HWY_INLINE void gather(const Rows<Op>& rows, int64_t at, int64_t bytes, std::byte* to) {
  const __mmask64 kept = bytes >= kTileBytes ? ~__mmask64{0} : (__mmask64{1} << bytes) - 1;
  for (int64_t r = 0; r < rows.count; ++r)
    _mm512_store_si512(to + r * kTileBytes, _mm512_maskz_loadu_epi8(kept, rows.x[r] + at));
  written();
}

// Goes over the tiles of x along k. No call of a function for each: Clang gives a lambda other instructions.
template <class Op>
struct EachTile {
  static constexpr int64_t kSize = sizeof(typename Op::X);
  const NarrowDense& a;
  int64_t segment = -1, place = 0;  // in the segment, behind the tile at hand
  int64_t at = 0, bytes = 0;        // element of x, bytes of the tile at hand

  explicit HWY_INLINE EachTile(const NarrowDense& args) : a(args), place(args.segment_length) {}
  HWY_INLINE bool next() {
    if (place == a.segment_length) {
      if (++segment >= a.segments || a.segment_length == 0) return false;
      place = 0;
    }
    bytes = tile_bytes((a.segment_length - place) * kSize);
    at = (a.segment_offsets == nullptr ? 0 : a.segment_offsets[segment]) + place;
    place += bytes / kSize;
    return true;
  }
};

// Blocks of rows, and what had to be gathered of them: once for all panels.
template <class Op>
struct Blocks {
  static constexpr int64_t kBlocks = 16, kTiles = 16;
  Rows<Op> rows[kBlocks];
  const std::byte* gathered[kBlocks];  // tile behind tile; null where one block is too much: then each panel gathers
  int64_t count = 0;
  alignas(64) std::byte room[kTiles][kTileRows * kTileBytes];

  // As many blocks from row `first` on as there is room for. Gives the row behind them.
  HWY_INLINE int64_t fill(const NarrowDense& a, int64_t first) {
    const int64_t bytes = a.segment_length * static_cast<int64_t>(sizeof(typename Op::X));
    int64_t used = 0;
    for (count = 0; first < a.m && count < kBlocks; ++count) {
      // The last rows once more with those before them rather than fewer of them.
      const int64_t from = a.m >= kTileRows ? std::min(first, a.m - kTileRows) : first;
      const Rows<Op> block = rows_from<Op>(a, from);
      const int64_t wanted = a.segments * (block.even ? rests_of(bytes) : tiles_of(bytes));
      const bool fits = used + wanted <= kTiles;
      if (!fits && wanted <= kTiles) break;
      rows[count] = block;
      gathered[count] = fits ? room[used] : nullptr;
      for (EachTile<Op> tile(a); fits && wanted > 0 && tile.next();)
        if (is_gathered(block, tile.bytes)) gather<Op>(block, tile.at, tile.bytes, room[used++]);
      first = from + block.count;
    }
    return first;
  }
};

// A tile of x, `stride` bytes from row to row, meets kV tiles of weights, whose rows lie a panel's width apart.
// Registers are named in the instructions, hence the macros.
#define HAYATE_TILE(v, x, columns)                     \
  if constexpr (kV > (v)) {                            \
    _tile_loadd(columns, w + (v)*kTileBytes, kStride); \
    if constexpr (Op::kScaled)                         \
      _tile_dpbusd(v, x, columns);                     \
    else                                               \
      _tile_dpbf16ps(v, x, columns);                   \
  }
#define HAYATE_TILES(x, columns) \
  _tile_loadd(x, rows, stride);  \
  HAYATE_TILE(0, x, columns)     \
  HAYATE_TILE(1, x, columns)     \
  HAYATE_TILE(2, x, columns)     \
  HAYATE_TILE(3, x, columns)
template <class Op, int kV>
HWY_INLINE void multiply_tiles(bool half, const void* rows, int64_t stride, const typename Op::W* weights) {
  constexpr int64_t kStride = kV * kTileBytes;
  const auto* w = reinterpret_cast<const std::byte*>(weights);
  if (half) {
    HAYATE_TILES(6, 7)
  } else {
    HAYATE_TILES(4, 5)
  }
}
#undef HAYATE_TILES
#undef HAYATE_TILE

template <class Op, int kV, int kR>
HWY_INLINE void finish_rows(const NarrowDense& a, const float* sums, const Rows<Op>& rows, int64_t r, int64_t column) {
  typename Op::Sum joined[kR][kV];
  int64_t places[kR];
  for (int i = 0; i < kR; ++i) {
    places[i] = rows.places[r + i] + column;
    for (int v = 0; v < kV; ++v)
      joined[i][v] =
          hn::Load(hn::DFromV<typename Op::Sum>(),
                   reinterpret_cast<const hn::TFromV<typename Op::Sum>*>(sums + ((r + i) * kV + v) * kLanes));
  }
  finish<Op, kR, kV>(a, joined, places, rows.first + r, column);
}

// `gathered`: as Blocks has it.
template <class Op, int kV>
void rows_of_panel(const NarrowDense& a, const Rows<Op>& rows, const std::byte* gathered, const typename Op::W* panel,
                   int64_t column) {
  constexpr int64_t kSize = sizeof(typename Op::X), kGroupStep = kV * kLanes * Op::kGroup;
  alignas(64) std::byte room[2][kTileRows * kTileBytes];
  int turn = 0;
  _tile_zero(0);
  if constexpr (kV > 1) _tile_zero(1);
  if constexpr (kV > 2) _tile_zero(2);
  if constexpr (kV > 3) _tile_zero(3);
  const int64_t gathered_stride = rows.count == 1 ? 0 : kTileBytes;
  for (EachTile<Op> tile(a); tile.next();) {
    if (!is_gathered(rows, tile.bytes)) {
      multiply_tiles<Op, kV>(tile.bytes < kTileBytes, rows.x[0] + tile.at, rows.stride * kSize, panel);
    } else if (gathered != nullptr) {
      multiply_tiles<Op, kV>(false, gathered, gathered_stride, panel);
      gathered += kTileRows * kTileBytes;
    } else {
      std::byte* own = room[turn ^= 1];
      gather<Op>(rows, tile.at, tile.bytes, own);
      multiply_tiles<Op, kV>(false, own, gathered_stride, panel);
    }
    panel += (tile.bytes / kSize + Op::kGroup - 1) / Op::kGroup * kGroupStep;
  }
  alignas(64) float sums[kTileRows * kV * kLanes];
  constexpr int64_t kStride = kV * kLanes * static_cast<int64_t>(sizeof(float));
  _tile_stored(0, sums, kStride);
  if constexpr (kV > 1) _tile_stored(1, sums + kLanes, kStride);
  if constexpr (kV > 2) _tile_stored(2, sums + 2 * kLanes, kStride);
  if constexpr (kV > 3) _tile_stored(3, sums + 3 * kLanes, kStride);
  int64_t r = 0;
  for (; r + 4 <= rows.count; r += 4) finish_rows<Op, kV, 4>(a, sums, rows, r, column);
  for (; r < rows.count; ++r) finish_rows<Op, kV, 1>(a, sums, rows, r, column);
}

template <class Op, int kV>
void panel_of_tiles(const NarrowDense& a, const Blocks<Op>& blocks, const typename Op::W* panel, int64_t column) {
  for (int64_t b = 0; b < blocks.count; ++b)
    rows_of_panel<Op, kV>(a, blocks.rows[b], blocks.gathered[b], panel, column);
}

template <class Op>
int64_t packed_bytes(const NarrowWeights& w) {
  return dot::bytes_of_panels<Op>(w, w.n) + kTileRows * kVectors * kTileBytes;
}

// Behind the weights: whether they are finite, for what is not would not be undone by zeros.
template <class Op>
int32_t* finite_flag(int64_t segments, int64_t segment_length, int64_t n, const void* packed) {
  const NarrowWeights shape{.segments = segments, .segment_length = segment_length, .n = n};
  return reinterpret_cast<int32_t*>(const_cast<std::byte*>(static_cast<const std::byte*>(packed)) +
                                    dot::bytes_of_panels<Op>(shape, n));
}

template <class Op>
void pack(const NarrowWeights& w, void* packed) {
  std::memset(packed, 0, static_cast<size_t>(packed_bytes<Op>(w)));
  dot::pack_panels<Op>(w, w.n, packed);
  bool finite = true;
  if constexpr (!Op::kScaled)
    for (int64_t k = 0; k < w.segments * w.segment_length; ++k)
      for (int64_t n = 0; n < w.n; ++n) finite = finite && (dot::weight_at<Op>(w, k, n) & 0x7F80) != 0x7F80;
  *finite_flag<Op>(w.segments, w.segment_length, w.n, packed) = finite ? 1 : 0;
}

// The sums of a row of bfloat16 in the order, and with the flushing of denormals, that the tiles' instruction has: over
// what a tile takes a chain of the even elements and one of the odd, then both added to what is there. Not inlined:
// what it multiplies must stay between the two changes of the control register.
template <int kV>
HWY_NOINLINE void sum_row(const NarrowDense& a, const uint16_t* x, const uint16_t* panel, float* to) {
  const hn::RebindToUnsigned<D> du;
  const auto high = hn::Set(du, 0xFFFF0000);
  V sums[kV];
  HAYATE_EACH (v, kV) sums[v] = hn::Zero(d);
  for (int64_t s = 0; s < a.segments; ++s) {
    const uint16_t* run = x + (a.segment_offsets == nullptr ? 0 : a.segment_offsets[s]);
    for (int64_t i = 0, end = 0; i < a.segment_length; i = end) {
      V even[kV], odd[kV];
      HAYATE_EACH (v, kV) even[v] = odd[v] = hn::Zero(d);
      end = i + tile_bytes((a.segment_length - i) * 2) / 2;
      for (int64_t p = i; p < end; p += 2, panel += 2 * kV * kLanes) {
        const uint32_t second = p + 1 < end ? uint32_t{run[p + 1]} << 16 : 0;  // what is behind the last may be NaN
        const V x0 = hn::BitCast(d, hn::Set(du, uint32_t{run[p]} << 16)), x1 = hn::BitCast(d, hn::Set(du, second));
        HAYATE_EACH (v, kV) {
          const auto pair = hn::LoadU(du, reinterpret_cast<const uint32_t*>(panel) + v * kLanes);
          even[v] = hn::MulAdd(x0, hn::BitCast(d, hn::ShiftLeft<16>(pair)), even[v]);
          odd[v] = hn::MulAdd(x1, hn::BitCast(d, hn::And(pair, high)), odd[v]);
        }
      }
      HAYATE_EACH (v, kV) sums[v] = hn::Add(sums[v], hn::Add(even[v], odd[v]));
    }
  }
  HAYATE_EACH (v, kV) hn::Store(sums[v], d, to + v * kLanes);
}

template <int kV>
void rows_one_by_one(const NarrowDense& a, const uint16_t* panel, int64_t column) {
  for (int64_t r = 0; r < a.m; ++r) {
    const int64_t outer = r / a.inner, inner = r % a.inner;
    const auto* x = static_cast<const uint16_t*>(a.x) + outer * a.x_outer + inner * a.x_inner;
    alignas(64) float room[kV * kLanes];
    const unsigned control = _mm_getcsr();
    // To the nearest, denormals are zero as inputs and as results, nothing raised. What was raised before stays so: to
    // clear that takes several times as long.
    _mm_setcsr((control & 0x3F) | 0x9FC0);
    sum_row<kV>(a, x, panel, room);
    _mm_setcsr(control);
    V sums[1][kV];
    HAYATE_EACH (v, kV) sums[0][v] = hn::Load(d, room + v * kLanes);
    const int64_t places[1] = {outer * a.y_outer + inner * a.y_inner + column};
    finish<dot::Bf16, 1, kV>(a, sums, places, r, column);
  }
}

inline void dense_by_multiply_adds(const NarrowDense& a) {
  each_panel<dot::Bf16>(a, a.n, [&](const uint16_t* panel, int64_t column, int64_t vectors) HWY_ATTR {
    if (vectors == 1)
      rows_one_by_one<1>(a, panel, column);
    else if (vectors == 2)
      rows_one_by_one<2>(a, panel, column);
    else if (vectors == 3)
      rows_one_by_one<3>(a, panel, column);
    else
      rows_one_by_one<4>(a, panel, column);
  });
}

template <class Op>
void dense_by_tiles(const NarrowDense& a) {
  configure();
  written();
  Blocks<Op> blocks;
  for (int64_t first = 0; first < a.m;) {
    first = blocks.fill(a, first);
    each_panel<Op>(a, a.n, [&](const typename Op::W* panel, int64_t column, int64_t vectors) HWY_ATTR {
      if (vectors == 1)
        panel_of_tiles<Op, 1>(a, blocks, panel, column);
      else if (vectors == 2)
        panel_of_tiles<Op, 2>(a, blocks, panel, column);
      else if (vectors == 3)
        panel_of_tiles<Op, 3>(a, blocks, panel, column);
      else
        panel_of_tiles<Op, 4>(a, blocks, panel, column);
    });
  }
}

// All columns lie in panels here: tiles know no edge.
template <class Op>
void dense_by_dots(const NarrowDense& a) {
  dot::dense_of_panels<Op>(a, a.n);
}

// What the ways cost was measured with bench/kernels --ways.
template <class Op>
double vector_steps(const DenseShape& a) {
  const int64_t vectors = (a.n + kLanes - 1) / kLanes;
  return static_cast<double>(a.m * vectors * a.segments * ((a.segment_length + Op::kGroup - 1) / Op::kGroup));
}

// An instruction for each tile and half, gathering what is no half or of few rows, what a block of rows takes around
// that, taking the sums out of the tiles, and the unit's waking up: where all layers are of bfloat16 it hardly sleeps.
template <class Op>
double cost_of_tiles(const DenseShape& a) {
  constexpr double kTile = 16, kGather = 70, kBlock = 60, kSum = 5, kWake = Op::kScaled ? 1500 : 450;
  const int64_t bytes = a.segment_length * static_cast<int64_t>(sizeof(typename Op::X)),
                pieces = a.segments * tiles_of(bytes),
                gathered = a.m > 1 && a.m < kTileRows ? pieces : a.segments * rests_of(bytes);
  const int64_t vectors = (a.n + kLanes - 1) / kLanes, panels = (vectors + kVectors - 1) / kVectors,
                blocks = (a.m + kTileRows - 1) / kTileRows;
  const int64_t gathers = gathered * (gathered <= Blocks<Op>::kTiles ? 1 : panels);
  return kWake + kSum * static_cast<double>(a.m * vectors) +
         static_cast<double>(blocks) * (kTile * static_cast<double>(vectors * pieces) +
                                        kGather * static_cast<double>(gathers) + kBlock * static_cast<double>(panels));
}
// Fewer rows than 4 were never dearer so.
inline double cost_of_dots(const DenseShape& a) { return a.m < 4 ? 0 : 0.75 * vector_steps<dot::Int8>(a); }
// Each row changes the control register twice.
inline double cost_of_multiply_adds(const DenseShape& a) {
  constexpr double kStep = 3.2, kRow = 30;
  constexpr int64_t kWidth = kVectors * kLanes;
  return kStep * vector_steps<dot::Bf16>(a) + kRow * static_cast<double>((a.m - 1) * ((a.n + kWidth - 1) / kWidth));
}

// Zeros do not undo what is not finite: such weights take the order of bfloat16 pairs, however many rows there are.
template <NarrowKernel kDense>
void of_finite(const NarrowDense& a) {
  const bool finite = *finite_flag<dot::Bf16>(a.segments, a.segment_length, a.n, a.packed) != 0;
  (finite ? kDense : dense_by_dots<dot::Bf16>)(a);
}

constexpr NarrowWay kInt8Ways[] = {{"dots", dense_by_dots<dot::Int8>, cost_of_dots},
                                   {"tiles", dense_by_tiles<dot::Int8>, cost_of_tiles<dot::Int8>}};
constexpr NarrowWay kBf16Ways[] = {{"multiply_adds", of_finite<dense_by_multiply_adds>, cost_of_multiply_adds},
                                   {"tiles", of_finite<dense_by_tiles<dot::Bf16>>, cost_of_tiles<dot::Bf16>}};

template <const NarrowWay (&kWays)[2]>
NarrowKernel cheapest(const DenseShape& shape) {
  return (kWays[1].cost(shape) < kWays[0].cost(shape) ? kWays[1] : kWays[0]).dense;
}

inline void bf16_dense(const NarrowDense& a) { cheapest<kBf16Ways>(a)(a); }
inline void int8_dense(const NarrowDense& a) { cheapest<kInt8Ways>(a)(a); }

inline NarrowSet bf16_set(void (*narrow)(const Narrowing&)) {
  return {packed_bytes<dot::Bf16>, pack<dot::Bf16>, bf16_dense, narrow, kBf16Ways, cheapest<kBf16Ways>};
}
inline NarrowSet int8_set(void (*narrow)(const Narrowing&)) {
  return {packed_bytes<dot::Int8>, pack<dot::Int8>, int8_dense, narrow, kInt8Ways, cheapest<kInt8Ways>};
}
