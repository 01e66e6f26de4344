// Cells of recurrent layers with fewer bits: h is rounded to 8 or 16 bits for the next step anyway, and at these
// layers' speed exact functions would take as long as the sums. Included once per instruction set, inside its
// namespace.

// Vectors that go through the functions side by side: one alone would wait at every operation. No loops: an array that
// one runs over stays in memory.
template <int kN>
struct Several {
  V v[kN];
};
template <int kN, class F>
HWY_INLINE Several<kN> each_of(F&& f) {
  static_assert(kN <= 4);
  if constexpr (kN == 1)
    return {{f(0)}};
  else if constexpr (kN == 2)
    return {{f(0), f(1)}};
  else if constexpr (kN == 3)
    return {{f(0), f(1), f(2)}};
  else
    return {{f(0), f(1), f(2), f(3)}};
}

template <int kN>
HWY_INLINE Several<kN> sum(const Several<kN>& a, const Several<kN>& b) {
  return each_of<kN>([&](int i) HWY_ATTR { return hn::Add(a.v[i], b.v[i]); });
}
template <int kN>
HWY_INLINE Several<kN> product(const Several<kN>& a, const Several<kN>& b) {
  return each_of<kN>([&](int i) HWY_ATTR { return hn::Mul(a.v[i], b.v[i]); });
}
template <int kN>
HWY_INLINE Several<kN> product_and(const Several<kN>& a, const Several<kN>& b, const Several<kN>& c) {
  return each_of<kN>([&](int i) HWY_ATTR { return hn::MulAdd(a.v[i], b.v[i], c.v[i]); });
}
template <int kN>
HWY_INLINE Several<kN> product_and(const Several<kN>& a, const Several<kN>& b, float c) {
  return each_of<kN>([&](int i) HWY_ATTR { return hn::MulAdd(a.v[i], b.v[i], hn::Set(d, c)); });
}
template <int kN>
HWY_INLINE Several<kN> times_and(const Several<kN>& a, float b, float c) {
  return each_of<kN>([&](int i) HWY_ATTR { return hn::MulAdd(a.v[i], hn::Set(d, b), hn::Set(d, c)); });
}

template <int kN>
struct Quotients {
  Several<kN> of, by;
};

// x held between least and most; NaN stays NaN.
HWY_INLINE V held(V x, V least, V most) {
#if HWY_ARCH_X86  // a minimum or maximum gives its second operand where one is NaN
  return hn::Max(least, hn::Min(most, x));
#else
  return hn::IfThenElse(hn::IsNaN(x), x, hn::Max(least, hn::Min(most, x)));
#endif
}

// x p(x^2) and q(x^2) whose quotient is within 1.2e-5 of tanh(x * times), and from +-6.25 on +-1 to the last places: a
// gate that is open or shut stays so for thousands of steps.
template <int kN>
HWY_INLINE Quotients<kN> tanh_near(const Several<kN>& x, float times) {
  const float square = times * times;
  const V most = hn::Set(d, 6.25f / times), least = hn::Set(d, -6.25f / times);
  const auto v = each_of<kN>([&](int i) HWY_ATTR { return held(x.v[i], least, most); });
  const auto s = product(v, v);
  auto p = times_and(s, 1.42882132e-03f * square * square * times, 0.113377588f * square * times);
  auto q = times_and(s, 5.10902233e-05f * square * square * square, 0.0170832592f * square * square);
  p = product_and(p, s, 0.999951044f * times);
  q = product_and(q, s, 0.446563117f * square);
  return {product(v, p), product_and(q, s, 1.0f)};
}

// of / (2 by) is sigmoid(x) = (1 + tanh(x / 2)) / 2.
template <int kN>
HWY_INLINE Quotients<kN> sigmoid_near(const Several<kN>& x) {
  const Quotients<kN> t = tanh_near(x, 0.5f);
  return {sum(t.of, t.by), t.by};
}

// of / (2 by), by within 1 to 1e30. Where a division takes longer, the reciprocal from its exponent, in two steps to
// 2e-7 of it.
template <int kN>
HWY_INLINE Several<kN> half_quotient(const Several<kN>& of, const Several<kN>& by) {
  const V half = hn::Set(d, 0.5f);
  const auto halves = each_of<kN>([&](int i) HWY_ATTR { return hn::Mul(of.v[i], half); });
#if HWY_TARGET == HWY_AVX3
  const V one = hn::Set(d, 1.0f);
  const auto first = each_of<kN>(
      [&](int i) HWY_ATTR { return hn::BitCast(d, hn::Sub(hn::Set(DI(), 0x7EF31000), hn::BitCast(DI(), by.v[i]))); });
  const auto error = each_of<kN>([&](int i) HWY_ATTR { return hn::NegMulAdd(by.v[i], first.v[i], one); });
  const auto second = product_and(first, product_and(error, error, error), first);
  const auto rest = each_of<kN>([&](int i) HWY_ATTR { return hn::NegMulAdd(by.v[i], second.v[i], one); });
  return product(halves, product_and(second, rest, second));
#else
  return each_of<kN>([&](int i) HWY_ATTR { return hn::Div(halves.v[i], by.v[i]); });
#endif
}

// kN vectors from p on, of which the last may have only some of `count` columns left.
template <int kN, bool kWhole>
HWY_INLINE Several<kN> load_several(const float* p, int64_t count) {
  return each_of<kN>([&](int i) HWY_ATTR {
    return kWhole || i + 1 < kN ? hn::LoadU(d, p + i * kLanes) : load_some(p + i * kLanes, count - i * kLanes);
  });
}
template <int kN, bool kWhole>
HWY_INLINE void store_several(const Several<kN>& y, float* p, int64_t count) {
  HAYATE_EACH (i, kN) {
    if (kWhole || i + 1 < kN)
      hn::StoreU(y.v[i], d, p + i * kLanes);
    else
      store_some(y.v[i], p + i * kLanes, count - i * kLanes);
  }
}

// Calls f.operator()<vectors, whether they are whole>(first column) for all of them.
template <class F>
HWY_INLINE void each_several(int64_t columns, F&& f) {
  constexpr int kMost = kRegisters == 32 ? 4 : 2;
  int64_t k = 0;
  for (; k + kMost * kLanes <= columns; k += kMost * kLanes) f.template operator()<kMost, true>(k);
  const int64_t left = columns - k;
  if (left <= 0) return;
  if (left <= kLanes) return f.template operator()<1, false>(k);
  if constexpr (kMost == 2) {
    f.template operator()<2, false>(k);
  } else {
    if (left <= 2 * kLanes) return f.template operator()<2, false>(k);
    if (left <= 3 * kLanes) return f.template operator()<3, false>(k);
    f.template operator()<4, false>(k);
  }
}

template <class Op>
struct CellOf {
  typename Op::X* small;
  float inverse, zero;

  explicit CellOf(const Narrowing& a)
      : small(static_cast<typename Op::X*>(a.y)), inverse(a.inverse_scale), zero(a.zero) {}

  template <int kN, bool kWhole>
  HWY_INLINE void store(const Several<kN>& made, float* h, int64_t at, int64_t count) const {
    store_several<kN, kWhole>(made, h, count);
    if (small == nullptr) return;
    HAYATE_EACH (i, kN)
      store_low(Op::narrowed(made.v[i], inverse, zero), small + at + i * kLanes,
                kWhole || i + 1 < kN ? kLanes : count - i * kLanes);
  }
  template <int kN, bool kWhole>
  HWY_INLINE void lstm(const LstmCell& a, int64_t row, int64_t k) const {
    const int64_t count = a.hidden - k;
    const int64_t x = row * a.x_row + k, r = row * a.r_row + k;  // from a.r, which may be null
    const auto gate = [&](int64_t g) HWY_ATTR {
      const auto of_x = load_several<kN, kWhole>(a.x + x + g * a.hidden, count);
      return a.r == nullptr ? of_x : sum(of_x, load_several<kN, kWhole>(a.r + r + g * a.hidden, count));
    };
    const auto in = sigmoid_near(gate(0)), forget = sigmoid_near(gate(2));
    const auto fresh = tanh_near(gate(3), 1.0f);
    const auto by = product(in.by, fresh.by), added = product(product(in.of, fresh.of), forget.by);
    float* cell = a.c + row * a.c_row + k;
    const auto kept = product(forget.of, load_several<kN, kWhole>(cell, count));
    const auto c = half_quotient(product_and(kept, by, added), product(forget.by, by));
    store_several<kN, kWhole>(c, cell, count);
    const auto out = sigmoid_near(gate(1)), seen = tanh_near(c, 1.0f);
    store<kN, kWhole>(half_quotient(product(out.of, seen.of), product(out.by, seen.by)), a.h + row * a.h_row + k,
                      row * a.hidden + k, count);
  }
  template <int kN, bool kWhole>
  HWY_INLINE void gru(const GruCell& a, int64_t row, int64_t k) const {
    const int64_t count = a.hidden - k;
    const float *x = a.x + row * a.x_row + k, *r = a.r + row * a.r_row + k;
    const auto of_x = [&](int64_t g) HWY_ATTR { return load_several<kN, kWhole>(x + g * a.hidden, count); };
    const auto of_h = [&](int64_t g) HWY_ATTR { return load_several<kN, kWhole>(r + g * a.hidden, count); };
    const auto reset = sigmoid_near(sum(of_x(1), of_h(1)));
    const auto fresh = tanh_near(product_and(half_quotient(reset.of, reset.by), of_h(2), of_x(2)), 1.0f);
    const auto update = sigmoid_near(sum(of_x(0), of_h(0)));
    const auto rest = each_of<kN>([&](int i) HWY_ATTR {  // 1 - z = rest / (2 by)
      return hn::Sub(hn::Add(update.by.v[i], update.by.v[i]), update.of.v[i]);
    });
    const auto before = load_several<kN, kWhole>(a.h_before + row * a.h_before_row + k, count);
    const auto kept = product(update.of, before);
    store<kN, kWhole>(half_quotient(product_and(kept, fresh.by, product(rest, fresh.of)), product(update.by, fresh.by)),
                      a.h + row * a.h_row + k, row * a.hidden + k, count);
  }
};

template <class Op>
void lstm_cell(const LstmCell& given, const Narrowing& narrow) {
  const LstmCell a = given;  // for all a compiler knows, bytes that are stored change what `given` is
  const CellOf<Op> cell(narrow);
  for (int64_t row = 0; row < a.m; ++row)
    each_several(a.hidden, [&]<int kN, bool kWhole>(int64_t k) HWY_ATTR { cell.template lstm<kN, kWhole>(a, row, k); });
}

template <class Op>
void gru_cell(const GruCell& given, const Narrowing& narrow) {
  const GruCell a = given;
  const CellOf<Op> cell(narrow);
  for (int64_t row = 0; row < a.m; ++row)
    each_several(a.hidden, [&]<int kN, bool kWhole>(int64_t k) HWY_ATTR { cell.template gru<kN, kWhole>(a, row, k); });
}
