// Answers in float32 have the same bits on every instruction set with a fused multiply-add, on every processor.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <utility>

#include "kernels/vector/kernels.h"

namespace hayate::kernels {
namespace {

// Numbers between -2 and 2 from integers alone: the mathematical library of another processor has no say.
std::vector<float> numbers(int64_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& value : values) value = static_cast<float>(static_cast<int32_t>(random())) * 0x1p-30f;
  return values;
}

std::vector<Isa> fusing_isas() {
  std::vector<Isa> isas = supported_isas();
  std::erase_if(isas, [](Isa isa) { return isa == Isa::kPlain || isa == Isa::kSse4; });
  return isas;
}

// All that the float32 kernels of one instruction set answer, one after another, with where each begins.
struct Answers {
  std::vector<float> values;
  std::vector<std::pair<size_t, std::string>> places;

  float* room(const std::string& what, int64_t n) {
    places.emplace_back(values.size(), what);
    values.resize(values.size() + static_cast<size_t>(n), 0.5f);
    return values.data() + values.size() - n;
  }
  const std::string& at(size_t i) const {
    const auto next = std::upper_bound(places.begin(), places.end(), i,
                                       [](size_t place, const auto& each) { return place < each.first; });
    return std::prev(next)->second;
  }
};

std::string text(const char* what, std::initializer_list<int64_t> sizes) {
  std::string made = what;
  for (const int64_t size : sizes) made += " " + std::to_string(size);
  return made;
}

void add_dense(const Set& set, Answers* answers) {
  std::vector<int64_t> widths;
  for (int64_t n = 1; n <= 66; ++n) widths.push_back(n);
  for (const int64_t n : {72, 79, 96, 100, 127, 128, 129, 138, 400}) widths.push_back(n);
  for (const int64_t n : widths)
    for (const int64_t segment : {0, 1, 2, 3, 4, 7, 8, 9, 40})
      for (const int64_t m : {1, 3, 7}) {
        const int64_t segments = segment == 3 || segment == 9 ? 2 : 1, k = segments * segment;
        const int64_t offsets[] = {0, segment};
        const auto x = numbers(m * k + 1, 5), w = numbers(k * n + 1, 3), bias = numbers(n, 4),
                   start = numbers(m * n, 6);
        std::vector<float> packed(static_cast<size_t>(set.dense_packed_size(k, n)));
        set.dense_pack(w.data(), k, n, n, 1, packed.data());
        Dense a;
        a.m = m, a.n = n, a.k = k, a.segments = segments, a.segment_length = segment, a.segment_offsets = offsets;
        a.x = x.data(), a.x_outer = k, a.packed = packed.data(), a.bias = bias.data();
        if (n % 3 == 0) a.start = start.data(), a.start_stride = n;
        a.backwards = n % 2 == 0, a.activation = {n % 5 == 0 ? Unary::kTanh : Unary::kLeakyRelu, 0.25f};
        a.y = answers->room(text("dense n, segment, m", {n, segment, m}), m * n), a.y_outer = n;
        set.dense(a);
      }
}

void add_rows(const Set& set, Answers* answers) {
  for (const int64_t n : {1, 2, 3, 4, 5, 8, 9, 15, 16, 17, 31, 32, 33, 50, 64, 131, 5000}) {
    const auto x = numbers(2 * n, 1), scale = numbers(n, 2), bias = numbers(n, 3);
    set.softmax(x.data(), answers->room(text("softmax", {n}), 2 * n), 2, n, false);
    set.layer_norm(x.data(), scale.data(), bias.data(), 1e-5f, answers->room(text("layer_norm", {n}), 2 * n), 2, n);
    set.rms_norm(x.data(), scale.data(), 1e-5f, answers->room(text("rms_norm", {n}), 2 * n), 2, n);
    for (const Reduce op : {Reduce::kSum, Reduce::kMean, Reduce::kMax, Reduce::kMin, Reduce::kSumSquare, Reduce::kL2}) {
      set.reduce(op, x.data(), answers->room(text("reduce last", {n, static_cast<int64_t>(op)}), 2), 2, n, 1);
      set.reduce(op, x.data(), answers->room(text("reduce first", {n, static_cast<int64_t>(op)}), n), 1, 2, n);
    }
  }
}

void add_elements(const Set& set, Answers* answers) {
  std::vector<float> x;
  for (int i = -3000; i <= 3000; ++i) x.push_back(static_cast<float>(i) * 0.03125f);
  const auto n = static_cast<int64_t>(x.size());
  for (const Unary op : {Unary::kRelu, Unary::kLeakyRelu, Unary::kSigmoid, Unary::kTanh, Unary::kGelu, Unary::kSilu,
                         Unary::kClip, Unary::kAbs, Unary::kExp, Unary::kErf, Unary::kSquare, Unary::kReciprocal})
    set.unary({op, 0.125f, 2}, x.data(), answers->room(text("unary", {static_cast<int64_t>(op)}), n), n);
  for (const Binary op : {Binary::kAdd, Binary::kSub, Binary::kMul, Binary::kDiv, Binary::kMin, Binary::kMax}) {
    const auto a = numbers(37, 1), b = numbers(37, 2);
    BinaryArgs args;
    args.n = 37, args.a = a.data(), args.b = b.data(), args.activation = {Unary::kSigmoid};
    args.y = answers->room(text("binary", {static_cast<int64_t>(op)}), 37);
    set.binary(op, args);
  }
}

void add_cells(const Set& set, Answers* answers) {
  for (const int64_t hidden : {1, 7, 16, 33, 100}) {
    const auto x = numbers(4 * hidden, 1), r = numbers(4 * hidden, 2), before = numbers(hidden, 3);
    float* room = answers->room(text("lstm c, lstm h, gru h", {hidden}), 3 * hidden);
    std::copy(before.begin(), before.end(), room);
    set.lstm_cell({1, hidden, x.data(), r.data(), 0, 0, room, hidden, room + hidden, hidden});
    set.gru_cell({1, hidden, x.data(), r.data(), 0, 0, before.data(), hidden, room + 2 * hidden, hidden});
  }
}

void add_products(const Set& set, Answers* answers) {
  for (const int64_t m : {1, 5, 17, 50})
    for (const int64_t n : {1, 9, 16, 50}) {
      constexpr int64_t k = 19;
      const auto a = numbers(m * k, 1), b = numbers(k * n, 2), v = numbers(n * k, 3);
      MatMul product;
      product.m = m, product.n = n, product.k = k, product.a = a.data(), product.b = b.data();
      product.a_row = k, product.b_row = product.y_row = n;
      product.y = answers->room(text("matmul", {m, n}), m * n);
      set.matmul(product);
      std::vector<float> work(static_cast<size_t>(set.attention_work_size(k, n)));
      Attention head;
      head.m = m, head.s = n, head.e = k, head.f = k, head.q = a.data(), head.k = b.data(), head.v = v.data();
      head.q_row = head.k_row = head.v_row = head.y_row = k, head.scale = 0.25f, head.causal = n == 50;
      head.work = work.data(), head.y = answers->room(text("attention", {m, n}), m * k);
      set.attention(head);
    }
}

Answers answers_of(Isa isa) {
  const Set& set = set_for(isa);
  Answers answers;
  for (const auto add : {add_dense, add_rows, add_elements, add_cells, add_products}) add(set, &answers);
  return answers;
}

uint64_t fnv1a(const std::vector<float>& values) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const float value : values) {
    uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    for (int shift = 0; shift < 32; shift += 8) hash = (hash ^ (bits >> shift & 0xff)) * 0x100000001b3;
  }
  return hash;
}

TEST(SameBits, EveryInstructionSetThatFusesAnswersTheSame) {
  const std::vector<Isa> isas = fusing_isas();
  if (isas.empty()) GTEST_SKIP() << "this processor has no fused multiply-add";
  const Answers first = answers_of(isas[0]);
  ASSERT_TRUE(std::none_of(first.values.begin(), first.values.end(), [](float v) { return std::isnan(v); }));
  for (const Isa isa : isas) {
    const Answers got = answers_of(isa);
    ASSERT_EQ(got.values.size(), first.values.size());
    for (size_t i = 0; i < got.values.size(); ++i)
      ASSERT_EQ(0, std::memcmp(&got.values[i], &first.values[i], sizeof(float)))
          << isa_name(isa) << " " << got.values[i] << ", " << isa_name(isas[0]) << " " << first.values[i] << ": "
          << got.at(i);
  }
  // Of all processors: who changes the order of a sum or a function on purpose writes the new number here.
  EXPECT_EQ(fnv1a(first.values), 9293273182992102474u);
}

}  // namespace
}  // namespace hayate::kernels
