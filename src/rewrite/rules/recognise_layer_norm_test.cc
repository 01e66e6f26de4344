#include <gtest/gtest.h>

#include "rewrite/rules/rule_cases.h"
#include "rewrite/rules/rules.h"

namespace hayate::rule_cases {
namespace {

const std::string kMoments = R"(m = ReduceMean(x) axes=[-1]
  d = Sub(x, m)
  p = Pow(d, two)
  v = ReduceMean(p) axes=[2]
  s = Add(v, epsilon)
  )";

TEST(RecogniseLayerNorm, RootsInEverySpelling) {
  for (const char* end : {"r = Sqrt(s)\n y = Div(d, r)", "r = Sqrt(s)\n i = Reciprocal(r)\n y = Mul(d, i)",
                          "r = Sqrt(s)\n i = Div(one, r)\n y = Mul(i, d)", "i = Pow(s, minus_half)\n y = Mul(d, i)",
                          "r = Pow(s, half)\n y = Div(d, r)"})
    expect_becomes(norm_of(kMoments + end), recognise_layer_norm,
                   "y = LayerNormalization(x, y/scale#0) axis=-1 epsilon=1e-05");
}

TEST(RecogniseLayerNorm, ScaleAndBias) {
  const std::string norm = kMoments + "r = Sqrt(s)\n n = Div(d, r)\n ",
                    inverse = kMoments + "r = Sqrt(s)\n i = Reciprocal(r)\n ";
  const std::string wanted = "y = LayerNormalization(x, y/scale#0, y/bias#0) axis=-1 epsilon=1e-05";
  expect_becomes(norm_of(norm + "w = Mul(n, scale)\n y = Add(w, bias)"), recognise_layer_norm, wanted);
  expect_becomes(norm_of(norm + "w = Mul(wide, n)\n y = Add(bias, w)"), recognise_layer_norm, wanted);
  expect_becomes(norm_of(norm + "y = Add(n, bias)"), recognise_layer_norm, wanted);
  expect_becomes(norm_of(norm + "y = Mul(n, scale)"), recognise_layer_norm,
                 "y = LayerNormalization(x, y/scale#0) axis=-1 epsilon=1e-05");
  // As batch normalisations are written: the scale goes into the inverse root, the mean into the bias.
  expect_becomes(norm_of(inverse + "f = Mul(i, scale)\n w = Mul(d, f)\n y = Add(w, bias)"), recognise_layer_norm,
                 wanted);
  for (const char* rest : {"g = Mul(m, f)\n h = Sub(bias, g)\n y = Add(w, h)",
                           "o = Neg(m)\n g = Mul(o, f)\n h = Add(g, bias)\n y = Add(w, h)",
                           "g = Mul(m, f)\n o = Neg(g)\n h = Add(bias, o)\n y = Add(h, w)"})
    expect_becomes(norm_of(inverse + "f = Mul(i, scale)\n w = Mul(x, f)\n " + rest), recognise_layer_norm, wanted);
  expect_becomes(norm_of(inverse + "w = Mul(x, i)\n g = Mul(m, i)\n y = Sub(w, g)"), recognise_layer_norm,
                 "y = LayerNormalization(x, y/scale#0) axis=-1 epsilon=1e-05");
}

TEST(RecogniseLayerNorm, SeveralAxesAndTheOtherVariance) {
  expect_becomes(norm_of(R"(m = ReduceMean(x) axes=[1, 2]
      d = Sub(x, m)
      p = Mul(d, d)
      v = ReduceMean(p) axes=[-2, -1]
      s = Add(epsilon, v)
      r = Sqrt(s)
      n = Div(d, r)
      y = Mul(n, block))"),
                 recognise_layer_norm, "y = LayerNormalization(x, y/scale#0) axis=-2 epsilon=1e-05");
  expect_becomes(norm_of(R"(m = ReduceMean(x) axes=[-1]
      q = Mul(x, x)
      a = ReduceMean(q) axes=[-1]
      b = Mul(m, m)
      v = Sub(a, b)
      s = Add(v, epsilon)
      r = Sqrt(s)
      d = Sub(x, m)
      y = Div(d, r))"),
                 recognise_layer_norm, "y = LayerNormalization(x, y/scale#0) axis=-1 epsilon=1e-05");
}

TEST(RecogniseLayerNorm, OtherAxesAndScalesStay) {
  expect_kept(norm_of(R"(m = ReduceMean(x) axes=[1]
      d = Sub(x, m)
      p = Mul(d, d)
      v = ReduceMean(p) axes=[1]
      s = Add(v, epsilon)
      r = Sqrt(s)
      y = Div(d, r))"),
              recognise_layer_norm);
  expect_kept(norm_of(R"(m = ReduceMean(x) axes=[-1]
      d = Sub(x, m)
      p = Mul(x, x)
      v = ReduceMean(p) axes=[-1]
      s = Add(v, epsilon)
      r = Sqrt(s)
      y = Div(d, r))"),
              recognise_layer_norm);
  // A scale of another axis, and a normalised value that is an output: they stay behind the norm.
  expect_becomes(norm_of(kMoments + "r = Sqrt(s)\n n = Div(d, r)\n y = Mul(n, middle)"), recognise_layer_norm,
                 "n = LayerNormalization(x, n/scale#0) axis=-1 epsilon=1e-05\n y = Mul(n, middle)");
  expect_becomes(norm_of(kMoments + "r = Sqrt(s)\n n = Div(d, r)\n y = Mul(n, scale)", {"y", "n"}),
                 recognise_layer_norm,
                 "n = LayerNormalization(x, n/scale#0) axis=-1 epsilon=1e-05\n y = Mul(n, scale)");
}

}  // namespace
}  // namespace hayate::rule_cases
