// The rules that recognise functions spelled out by exporters.
#include <gtest/gtest.h>

#include "rewrite/rules/rule_cases.h"
#include "rewrite/rules/rules.h"

namespace hayate::rule_cases {
namespace {

const std::map<std::string, Tensor> kNumbers = {{"one", number(1)},
                                                {"two", number(2)},
                                                {"three", number(3)},
                                                {"six", number(6)},
                                                {"zero", number(0)},
                                                {"half", number(0.5f)},
                                                {"sixth", number(1.0f / 6)},
                                                {"minus_half", number(-0.5f)},
                                                {"root2", number(1.41421354f)},
                                                {"root_half", number(0.70710678f)},
                                                {"k", number(0.79788456f)},
                                                {"c", number(0.044715f)},
                                                {"epsilon", number(1e-5f)},
                                                {"minus", number(-1)}};

Case of_x(const std::string& nodes, std::vector<std::string> outputs = {}) {
  return {{{"x", {2, 3}}}, kNumbers, nodes, std::move(outputs)};
}

TEST(RecogniseClip, MinAndMaxWithNumbers) {
  expect_becomes(of_x("a = Max(x, minus)\n y = Min(a, two)"), recognise_clip, "y = Clip(x, y/low#0, y/high#0)");
  expect_becomes(of_x("y = Max(zero, x)"), recognise_clip, "y = Relu(x)");
  expect_becomes(of_x("a = Relu(x)\n y = Clip(a, , two)"), recognise_clip, "y = Clip(x, y/low#0, y/high#0)");
  Case old = of_x("a = Clip(x) min=-1.0 max=3.0\n y = Min(a, two)");
  old.opset = 10;
  expect_becomes(old, recognise_clip, "y = Clip(x) max=2 min=-1");
}

TEST(RecogniseClip, CrossedBoundsAndFedBoundsStay) {
  expect_kept({{{"x", {2, 3}}, {"w", {2, 3}}}, {}, "y = Max(x, w)"}, recognise_clip);
  expect_becomes(of_x("a = Min(x, minus)\n y = Max(a, two)"), recognise_clip,
                 "a = Clip(x, , a/high#0)\n y = Clip(a, y/low#0, )");
  expect_kept({{{"x", {3}}}, {{"b", Tensor::of<float>({3}, {1, 2, 3})}}, "y = Max(x, b)"}, recognise_clip);
}

TEST(RecogniseHardSwish, EveryOrder) {
  const std::string gate = "a = Add(x, three)\n g = Clip(a, zero, six)\n ";
  for (const char* end : {"m = Mul(x, g)\n y = Div(m, six)", "m = Div(g, six)\n y = Mul(m, x)",
                          "m = Mul(g, sixth)\n y = Mul(x, m)", "h = Div(x, six)\n y = Mul(h, g)"})
    expect_becomes(of_x(gate + end), recognise_hard_swish, "y = HardSwish(x)");
  expect_becomes(of_x(gate + "y = Div(g, six)"), recognise_hard_swish, "y = HardSigmoid(x) alpha=0.16666667 beta=0.5");
  expect_becomes(of_x("g = HardSigmoid(x) alpha=0.16666667 beta=0.5\n y = Mul(x, g)"), recognise_hard_swish,
                 "y = HardSwish(x)");
}

TEST(RecogniseHardSwish, OtherNumbersAndReadersStay) {
  expect_kept(of_x("a = Add(x, two)\n g = Clip(a, zero, six)\n m = Mul(x, g)\n y = Div(m, six)"), recognise_hard_swish);
  expect_kept(of_x("a = Add(x, three)\n g = Clip(a, zero, six)\n m = Mul(x, g)\n y = Div(m, three)"),
              recognise_hard_swish);
  expect_kept(of_x("a = Add(x, three)\n g = Clip(a, zero, six)\n m = Mul(x, g)\n y = Div(m, six)", {"y", "g"}),
              recognise_hard_swish);
}

TEST(RecogniseSoftplus, LogOfOnePlusExp) {
  expect_becomes(of_x("e = Exp(x)\n s = Add(e, one)\n y = Log(s)"), recognise_softplus, "y = Softplus(x)");
  expect_becomes(of_x("s = Softplus(x)\n t = Tanh(s)\n y = Mul(x, t)"), recognise_softplus, "y = Mish(x)");
  expect_becomes(of_x("e = Exp(x)\n s = Add(one, e)\n l = Log(s)\n t = Tanh(l)\n y = Mul(t, x)"), recognise_softplus,
                 "y = Mish(x)");
}

TEST(RecogniseSoftplus, OtherSumsStay) {
  expect_kept(of_x("e = Exp(x)\n s = Add(e, two)\n y = Log(s)"), recognise_softplus);
  expect_kept(of_x("s = Softplus(x)\n t = Tanh(s)\n y = Mul(t, s)"), recognise_softplus);
}

TEST(RecogniseSilu, ProductWithItsSigmoid) {
  expect_becomes(of_x("s = Sigmoid(x)\n y = Mul(x, s)"), recognise_silu, "y = Swish(x)");
  expect_becomes(of_x("s = Sigmoid(x)\n y = Mul(s, x)"), recognise_silu, "y = Swish(x)");
}

TEST(RecogniseSilu, GatesOfOthersStay) {
  expect_kept({{{"x", {2, 3}}, {"w", {2, 3}}}, {}, "s = Sigmoid(x)\n y = Mul(w, s)"}, recognise_silu);
  expect_kept(of_x("s = Sigmoid(x)\n y = Mul(x, s)", {"y", "s"}), recognise_silu);
}

TEST(RecogniseGelu, EveryOrderOfTheExactForm) {
  const std::string erf = "d = Div(x, root2)\n e = Erf(d)\n a = Add(e, one)\n ",
                    mul = "d = Mul(root_half, x)\n e = Erf(d)\n ";
  for (const std::string& spelled : {erf + "m = Mul(x, a)\n y = Mul(m, half)", erf + "h = Mul(x, half)\n y = Mul(h, a)",
                                     erf + "h = Mul(half, a)\n y = Mul(x, h)", erf + "m = Mul(a, x)\n y = Div(m, two)",
                                     mul + "a = Add(one, e)\n m = Mul(x, a)\n y = Mul(half, m)",
                                     mul + "h = Mul(e, half)\n a = Add(h, half)\n y = Mul(a, x)"})
    expect_becomes(of_x(spelled), recognise_gelu, "y = Gelu(x)");
}

TEST(RecogniseGelu, EveryOrderOfTheTanhForm) {
  const std::string inner[] = {"p = Pow(x, three)\n q = Mul(p, c)\n s = Add(x, q)\n u = Mul(s, k)\n ",
                               "p = Mul(x, x)\n r = Mul(p, x)\n q = Mul(c, r)\n s = Add(q, x)\n u = Mul(k, s)\n ",
                               "p = Mul(x, x)\n q = Mul(p, c)\n r = Add(q, one)\n v = Mul(x, k)\n u = Mul(v, r)\n "};
  const std::string outer[] = {"t = Tanh(u)\n a = Add(t, one)\n h = Mul(x, half)\n y = Mul(h, a)",
                               "t = Tanh(u)\n a = Add(one, t)\n m = Mul(x, a)\n y = Mul(m, half)",
                               "t = Tanh(u)\n a = Add(one, t)\n m = Mul(half, a)\n y = Mul(m, x)"};
  for (const std::string& first : inner)
    for (const std::string& second : outer)
      expect_becomes(of_x(first + second), recognise_gelu, "y = Gelu(x) approximate=\"tanh\"");
}

TEST(RecogniseGelu, NearMissesStay) {
  expect_kept(of_x("d = Div(x, two)\n e = Erf(d)\n a = Add(e, one)\n m = Mul(x, a)\n y = Mul(m, half)"),
              recognise_gelu);
  expect_kept(of_x("d = Div(x, root2)\n e = Erf(d)\n a = Add(e, two)\n m = Mul(x, a)\n y = Mul(m, half)"),
              recognise_gelu);
  expect_kept(of_x("d = Div(x, root2)\n e = Erf(d)\n a = Add(e, one)\n m = Mul(x, a)\n y = Mul(m, two)"),
              recognise_gelu);
  expect_kept(of_x("d = Div(x, root2)\n e = Erf(d)\n a = Add(e, one)\n m = Mul(x, a)\n y = Mul(m, half)", {"y", "e"}),
              recognise_gelu);
  expect_kept({{{"x", {2, 3}}, {"w", {2, 3}}},
               kNumbers,
               "d = Div(x, root2)\n e = Erf(d)\n a = Add(e, one)\n m = Mul(w, a)\n y = Mul(m, half)"},
              recognise_gelu);
}

// ---- norms

const std::map<std::string, Tensor> norm_constants() {
  std::map<std::string, Tensor> constants = kNumbers;
  constants["scale"] = noise({4}, 2), constants["bias"] = noise({4}, 3), constants["wide"] = noise({1, 1, 4}, 4),
  constants["middle"] = noise({3, 1}, 5), constants["block"] = noise({3, 4}, 6);
  return constants;
}

Case norm_of(const std::string& nodes, std::vector<std::string> outputs = {}) {
  return {{{"x", {2, 3, 4}}}, norm_constants(), nodes, std::move(outputs), 17};
}

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

TEST(RecogniseRmsNorm, RootsInEverySpelling) {
  const std::string squares = "p = Mul(x, x)\n v = ReduceMean(p) axes=[-1]\n s = Add(v, epsilon)\n ";
  for (const char* end : {"r = Sqrt(s)\n n = Div(x, r)\n y = Mul(n, scale)",
                          "r = Sqrt(s)\n i = Reciprocal(r)\n n = Mul(x, i)\n y = Mul(scale, n)"})
    expect_becomes(norm_of(squares + end), recognise_rms_norm,
                   "y = RMSNormalization(x, y/scale#0) axis=-1 epsilon=1e-05");
  expect_becomes(norm_of(squares + "i = Pow(s, minus_half)\n y = Mul(i, x)"), recognise_rms_norm,
                 "y = RMSNormalization(x, y/scale#0) axis=-1 epsilon=1e-05");
}

TEST(RecogniseRmsNorm, OtherValuesStay) {
  expect_kept(norm_of("p = Mul(x, x)\n v = ReduceMean(p) axes=[1]\n s = Add(v, epsilon)\n r = Sqrt(s)\n y = Div(x, r)"),
              recognise_rms_norm);
  expect_kept(
      norm_of("p = Mul(x, x)\n v = ReduceMean(p) axes=[-1]\n s = Add(v, epsilon)\n r = Sqrt(s)\n y = Div(p, r)"),
      recognise_rms_norm);
}

// ---- attention

Case attention_of(const std::string& nodes, std::vector<std::string> outputs = {}) {
  return {{{"q", {2, 3, 5, 4}}, {"k", {2, 3, 6, 4}}, {"v", {2, 3, 6, 7}}, {"late", {5, 6}}},
          {{"scale", number(0.5f)}, {"root", number(2)}, {"mask", noise({1, 1, 5, 6})}, {"wide", noise({2, 3, 5, 6})}},
          nodes,
          std::move(outputs)};
}

TEST(RecogniseAttention, ScaleAnywhereAndMask) {
  const std::string keys = "t = Transpose(k) perm=[0, 1, 3, 2]\n ";
  const std::string end = "w = Softmax(s) axis=-1\n y = MatMul(w, v)";
  expect_becomes(attention_of(keys + "s = MatMul(q, t)\n " + end), recognise_attention,
                 "y = hayate.Attention(q, k, v) scale=1");
  expect_becomes(attention_of(keys + "p = MatMul(q, t)\n s = Mul(p, scale)\n " + end), recognise_attention,
                 "y = hayate.Attention(q, k, v) scale=0.5");
  expect_becomes(attention_of(keys + "p = MatMul(q, t)\n s = Div(p, root)\n w = Softmax(s) axis=3\n y = MatMul(w, v)"),
                 recognise_attention, "y = hayate.Attention(q, k, v) scale=0.5");
  expect_becomes(attention_of(keys + "a = Mul(q, scale)\n b = Mul(t, scale)\n s = MatMul(a, b)\n " + end),
                 recognise_attention, "y = hayate.Attention(q, k, v) scale=0.25");
  expect_becomes(attention_of(keys + "p = MatMul(q, t)\n c = Mul(p, scale)\n s = Add(c, mask)\n " + end),
                 recognise_attention, "y = hayate.Attention(q, k, v, mask) scale=0.5");
  expect_becomes(attention_of(keys + "p = MatMul(q, t)\n s = Add(late, p)\n " + end), recognise_attention,
                 "y = hayate.Attention(q, k, v, late) scale=1");
  expect_becomes(attention_of(keys + "p = MatMul(q, t)\n s = Add(wide, p)\n " + end), recognise_attention,
                 "y = hayate.Attention(q, k, v, wide) scale=1");
}

TEST(RecogniseAttention, KeysThatLieOtherwiseAreTurned) {
  const Case given{{{"q", {3, 5, 4}}, {"k", {4, 3, 6}}, {"v", {3, 6, 7}}},
                   {},
                   "t = Transpose(k) perm=[1, 0, 2]\n s = MatMul(q, t)\n w = Softmax(s) axis=-1\n y = MatMul(w, v)"};
  expect_becomes(given, recognise_attention,
                 "y/keys#0 = Transpose(k) perm=[1, 2, 0]\n y = hayate.Attention(q, y/keys#0, v) scale=1");
}

TEST(RecogniseAttention, OtherReadersAndAxesStay) {
  const std::string keys = "t = Transpose(k) perm=[0, 1, 3, 2]\n s = MatMul(q, t)\n ";
  expect_kept(attention_of(keys + "w = Softmax(s) axis=-1\n y = MatMul(w, v)", {"y", "w"}), recognise_attention);
  expect_kept(attention_of(keys + "w = Softmax(s) axis=-1\n y = MatMul(w, v)", {"y", "s"}), recognise_attention);
  expect_kept(attention_of(keys + "w = Softmax(s) axis=2\n y = MatMul(w, v)"), recognise_attention);
  // Values shared by the heads have another rank.
  expect_kept({{{"q", {2, 3, 5, 4}}, {"k", {2, 3, 6, 4}}, {"v", {6, 7}}},
               {},
               keys + "w = Softmax(s) axis=-1\n y = MatMul(w, v)"},
              recognise_attention);
}

}  // namespace
}  // namespace hayate::rule_cases
