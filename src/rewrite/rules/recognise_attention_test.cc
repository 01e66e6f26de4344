#include <gtest/gtest.h>

#include "rewrite/rules/rule_cases.h"
#include "rewrite/rules/rules.h"

namespace hayate::rule_cases {
namespace {

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
