#include <gtest/gtest.h>

#include "rewrite/rules/rule_cases.h"
#include "rewrite/rules/rules.h"

namespace hayate::rule_cases {
namespace {

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

}  // namespace
}  // namespace hayate::rule_cases
