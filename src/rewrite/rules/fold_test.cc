// The rules that take arithmetic with constants into weights.
#include <gtest/gtest.h>

#include "rewrite/rules/rule_cases.h"
#include "rewrite/rules/rules.h"

namespace hayate::rule_cases {
namespace {

Tensor positive(Shape shape, unsigned seed) {
  Tensor made = noise(std::move(shape), seed);
  for (int64_t i = 0; i < made.count(); ++i)
    made.data<float>()[i] = 0.5f + made.data<float>()[i] * made.data<float>()[i];
  return made;
}

std::map<std::string, Tensor> weights() {
  return {{"w", noise({4, 3}, 1)},
          {"t", noise({3, 4}, 2)},
          {"b", noise({3}, 3)},
          {"c", noise({3}, 4)},
          {"in", noise({4}, 5)},
          {"two", number(2)},
          {"far", number(50000)},
          {"k", noise({6, 2, 3, 3}, 6)},
          {"kb", noise({6}, 7)},
          {"per_filter", noise({6, 1, 1}, 8)},
          {"per_input", noise({4, 1, 1}, 9)},
          {"per_column", noise({3}, 10)},
          {"s", noise({6}, 11)},
          {"m", noise({6}, 12)},
          {"v", positive({6}, 13)},
          {"is", noise({4}, 14)},
          {"im", noise({4}, 15)},
          {"iv", positive({4}, 16)}};
}

Case rows(const std::string& nodes, std::vector<std::string> outputs = {}) {
  return {{{"x", {2, 4}}}, weights(), nodes, std::move(outputs)};
}
Case deep(const std::string& nodes) { return {{{"x", {2, 5, 4}}}, weights(), nodes}; }
Case image(const std::string& nodes, std::vector<std::string> outputs = {}) {
  return {{{"x", {2, 4, 6, 5}}}, weights(), nodes, std::move(outputs)};
}

TEST(FoldAffineAfter, IntoGemmAndMatMul) {
  for (const char* op : {"Mul(g, c)", "Mul(g, two)", "Div(g, c)", "Mul(c, g)"})
    expect_becomes(rows(std::string("g = MatMul(x, w)\n y = ") + op), fold_affine_after, "y = MatMul(x, w/scaled#0)");
  for (const char* op : {"Add(g, c)", "Sub(g, c)", "Sub(c, g)", "Mul(g, c)"})
    expect_becomes(rows(std::string("g = Gemm(x, t, b) transB=1 alpha=0.5 beta=2.0\n y = ") + op), fold_affine_after,
                   "y = Gemm(x, t/scaled#0, t/shifted#0) alpha=1 beta=1 transB=1");
  expect_becomes(rows("g = Gemm(x, w)\n y = Neg(g)"), fold_affine_after, "y = Gemm(x, w/scaled#0) alpha=1 beta=1");
  expect_becomes(deep("g = MatMul(x, w)\n y = Mul(g, c)"), fold_affine_after, "y = MatMul(x, w/scaled#0)");
}

TEST(FoldAffineAfter, IntoConv) {
  for (const char* op :
       {"Mul(g, per_filter)", "Add(per_filter, g)", "Div(g, two)", "BatchNormalization(g, s, kb, m, v)"})
    expect_becomes(image(std::string("g = Conv(x, k, kb) group=2 pads=[1, 1, 1, 1]\n y = ") + op), fold_affine_after,
                   "y = Conv(x, k/scaled#0, k/shifted#0) group=2 pads=[1, 1, 1, 1]");
  expect_becomes(image("g = Conv(x, k) group=2\n a = Mul(g, per_filter)\n y = Add(a, per_filter)"), fold_affine_after,
                 "y = Conv(x, k/scaled#0/scaled#0, k/scaled#0/shifted#0) group=2");
}

TEST(FoldAffineAfter, ThroughAReshapeThatKeepsColumns) {
  Case given = deep("r = Reshape(x, flat)\n g = Gemm(r, w, b)\n h = Reshape(g, whole)\n y = Mul(h, c)");
  given.constants["flat"] = integers({-1, 4}), given.constants["whole"] = integers({2, 5, 3});
  expect_becomes(given, fold_affine_after,
                 "r = Reshape(x, flat)\n g = Gemm(r, w/scaled#0, w/shifted#0) alpha=1 beta=1\n y = Reshape(g, whole)");
}

TEST(FoldAffineAfter, OtherReadersOtherAxesAndFedValuesStay) {
  expect_kept(rows("g = MatMul(x, w)\n y = Mul(g, c)", {"y", "g"}), fold_affine_after);
  expect_kept(image("g = Conv(x, k) group=2\n y = Mul(g, per_column)"), fold_affine_after);
  expect_kept(rows("g = MatMul(x, w)\n y = Mul(g, g)"), fold_affine_after);
  expect_kept(deep("g = MatMul(x, w)\n y = Add(g, c)"), fold_affine_after);  // matmul_to_gemm's
  Case by_row = rows("g = MatMul(x, w)\n y = Mul(g, r)");
  by_row.constants["r"] = noise({2, 1});
  expect_kept(by_row, fold_affine_after);
  Case grows = rows("g = MatMul(x, w)\n y = Mul(g, r)");
  grows.constants["r"] = noise({1, 1, 3});  // one axis more
  expect_kept(grows, fold_affine_after);
}

TEST(FoldAffineBefore, IntoGemmAndMatMul) {
  for (const char* op : {"Mul(x, in)", "Mul(x, two)", "Div(x, in)"})
    expect_becomes(rows(std::string("a = ") + op + "\n y = MatMul(a, w)"), fold_affine_before,
                   "y = MatMul(x, w/scaled#0)");
  for (const char* op : {"Add(x, in)", "Sub(x, in)", "Sub(two, x)", "BatchNormalization(x, is, in, im, iv)"})
    expect_becomes(rows(std::string("a = ") + op + "\n y = Gemm(a, t, b) transB=1 alpha=0.5"), fold_affine_before,
                   "y = Gemm(x, t/scaled#0, t/shifted#0) alpha=1 beta=1 transB=1");
  expect_becomes(rows("a = Add(x, in)\n y = MatMul(a, w)"), fold_affine_before, "y = Gemm(x, w/scaled#0, w/shifted#0)");
  expect_becomes(deep("a = Mul(x, in)\n y = MatMul(a, w)"), fold_affine_before, "y = MatMul(x, w/scaled#0)");
}

TEST(FoldAffineBefore, IntoConvOfGroups) {
  expect_becomes(image("a = Mul(x, per_input)\n y = Conv(a, k, kb) group=2 pads=[1, 1, 1, 1]"), fold_affine_before,
                 "y = Conv(x, k/scaled#0, k/shifted#0) group=2 pads=[1, 1, 1, 1]");
  expect_becomes(image("a = Add(x, two)\n y = Conv(a, k) group=2"), fold_affine_before,
                 "y = Conv(x, k/scaled#0, k/shifted#0) group=2");
}

TEST(FoldAffineBefore, PaddingLargeShiftsAndOtherReadersStay) {
  expect_kept(image("a = Add(x, per_input)\n y = Conv(a, k) group=2 pads=[1, 1, 1, 1]"), fold_affine_before);
  expect_kept(rows("a = Sub(x, far)\n y = Gemm(a, w)"), fold_affine_before);  // the difference would cancel
  expect_kept(rows("a = Mul(x, in)\n y = MatMul(a, w)", {"y", "a"}), fold_affine_before);
  expect_kept(deep("a = Add(x, in)\n y = MatMul(a, w)"), fold_affine_before);
}

TEST(MatMulToGemm, WithItsBias) {
  expect_becomes(rows("g = MatMul(x, w)\n y = Add(b, g)"), matmul_to_gemm, "y = Gemm(x, w, b/row#0) alpha=1 beta=1");
  expect_becomes(deep("g = MatMul(x, w)\n y = Add(g, b)"), matmul_to_gemm,
                 "y/flat#0 = Reshape(x, y/rows#0)\n y/gemm#0 = Gemm(y/flat#0, w, b/row#0) alpha=1 beta=1\n"
                 "y = Reshape(y/gemm#0, y/whole#0)");
}

TEST(MatMulToGemm, OtherReadersAndFedBiasesStay) {
  expect_kept(rows("g = MatMul(x, w)\n y = Add(b, g)", {"y", "g"}), matmul_to_gemm);
  expect_kept({{{"x", {2, 4}}, {"z", {3}}}, weights(), "g = MatMul(x, w)\n y = Add(z, g)"}, matmul_to_gemm);
}

TEST(FoldPadding, ZerosAroundAConv) {
  Case given = image("p = Pad(x, pads)\n y = Conv(p, k) group=2 pads=[0, 1, 0, 0]");
  given.constants["pads"] = integers({0, 0, 2, 0, 0, 0, 1, 1});
  expect_becomes(given, fold_padding, "y = Conv(x, k) auto_pad=\"NOTSET\" group=2 pads=[2, 1, 1, 1]");
}

TEST(FoldPadding, OtherValuesAndAxesStay) {
  Case ones = image("p = Pad(x, pads, two)\n y = Conv(p, k) group=2");
  ones.constants["pads"] = integers({0, 0, 2, 0, 0, 0, 1, 1});
  expect_kept(ones, fold_padding);
  Case channels{{{"x", {2, 2, 6, 5}}}, weights(), "p = Pad(x, pads)\n y = Conv(p, k) group=2"};
  channels.constants["pads"] = integers({0, 2, 0, 0, 0, 0, 0, 0});
  expect_kept(channels, fold_padding);
}

TEST(SpellBatchNorm, WhatNothingTook) {
  expect_becomes(image("y = BatchNormalization(x, is, in, im, iv)"), spell_batch_norm,
                 "y/Mul#0 = Mul(x, y/scale#0)\n y = Add(y/Mul#0, y/shift#0)");
  Case far = image("y = BatchNormalization(x, is, in, mean, iv)");
  far.constants["mean"] = Tensor::of<float>({4}, {100, 200, -50, 70});
  expect_becomes(far, spell_batch_norm,
                 "y/Sub#0 = Sub(x, y/mean#0)\n y/Mul#0 = Mul(y/Sub#0, y/scale#0)\n y = Add(y/Mul#0, y/shift#0)");
}

TEST(SpellBatchNorm, FedPartsStay) {
  expect_kept({{{"x", {2, 4, 3}}, {"z", {4}}}, weights(), "y = BatchNormalization(x, is, z, im, iv)"},
              spell_batch_norm);
}

}  // namespace
}  // namespace hayate::rule_cases
