#include <gtest/gtest.h>

#include "rewrite/rules/rule_cases.h"
#include "rewrite/rules/rules.h"

namespace hayate::rule_cases {
namespace {

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

}  // namespace
}  // namespace hayate::rule_cases
