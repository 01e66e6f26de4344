#include <gtest/gtest.h>

#include "rewrite/rules/rule_cases.h"
#include "rewrite/rules/rules.h"

namespace hayate::rule_cases {
namespace {

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
