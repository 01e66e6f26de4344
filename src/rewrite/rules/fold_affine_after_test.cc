#include <gtest/gtest.h>

#include "rewrite/rules/rule_cases.h"
#include "rewrite/rules/rules.h"

namespace hayate::rule_cases {
namespace {

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

}  // namespace
}  // namespace hayate::rule_cases
