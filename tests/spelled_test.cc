// Operators of com.microsoft that are written with others: native beside the reference, the reference beside the same
// said in nodes of the standard, refusals. ONNX Runtime beside both: tests/equality/quantized.py.
#include "eval/spelled.h"

#include <gtest/gtest.h>

#include "eval/rows.h"
#include "one_node.h"
#include "rewrite/rules/rule_cases.h"

namespace hayate {
namespace {

using Attributes = std::map<std::string, Attribute>;

OneNode contrib(const std::string& op, std::vector<Tensor> inputs, Attributes attributes = {}, size_t outputs = 1) {
  OneNode one(op, std::move(inputs), std::move(attributes), outputs,
              op == "SimplifiedLayerNormalization" ? "" : "com.microsoft");
  for (size_t i = 0; i < one.inputs.size(); ++i)
    if (one.inputs[i].rank() == 1 && one.inputs[i].count() == 0) one.left_out.insert(i);
  return one;
}

const Tensor kNone(Type::kFloat32, {0});

Tensor ints32(const Shape& shape, const std::vector<int32_t>& values) { return Tensor::of<int32_t>(shape, values); }

// The operator's outputs are those of the nodes, which read its inputs as i0, i1 ... and make o0, o1 ...
void expect_means(const OneNode& one, const std::string& nodes, std::map<std::string, Tensor> constants = {},
                  int64_t opset = 24) {
  const auto got = one.reference();
  ASSERT_TRUE(got.ok()) << got.error().text();
  rule_cases::Case given{{}, std::move(constants), nodes, {}, opset};
  std::map<std::string, Tensor> feeds;
  for (const auto& [name, tensor] : one.feeds()) given.inputs[name] = tensor.shape(), feeds.emplace(name, tensor);
  for (const auto& [name, tensor] : got.value()) given.outputs.push_back(name);
  Graph graph = rule_cases::graph_of(given);
  for (ValueInfo& input : graph.inputs) input.type = feeds.at(input.name).type();
  const auto wanted = evaluate(graph, feeds);
  ASSERT_TRUE(wanted.ok()) << wanted.error().text();
  for (const auto& [name, tensor] : got.value()) {
    const std::vector<double> a = to_doubles(tensor), b = to_doubles(wanted.value().at(name));
    EXPECT_EQ(tensor.shape(), wanted.value().at(name).shape()) << one.node.op << " " << name;
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i)
      ASSERT_NEAR(a[i], b[i], 1e-6 + 1e-6 * std::fabs(b[i])) << one.node.op << " " << name << " " << i;
  }
}

void expect_refused(const OneNode& one, const std::string& wanted) {
  const auto made = one.reference();
  ASSERT_FALSE(made.ok()) << wanted;
  EXPECT_NE(made.error().text().find(wanted), std::string::npos) << made.error().text();
}

TEST(Spelled, ActivationsAndProducts) {
  const Tensor x = random_floats({2, 3, 8}, 1), bias = random_floats({8}, 2);
  expect_means(contrib("Gelu", {x}), "o0 = Gelu(i0)");
  expect_means(contrib("BiasGelu", {x, bias}), "s = Add(i0, i1)\no0 = Gelu(s)");
  expect_means(contrib("FastGelu", {x}), "o0 = Gelu(i0) approximate=\"tanh\"");
  expect_means(contrib("FastGelu", {x, bias}), "s = Add(i0, i1)\no0 = Gelu(s) approximate=\"tanh\"");
  expect_means(contrib("QuickGelu", {x}, {{"alpha", 1.5f}}), "s = Mul(i0, a)\nt = Sigmoid(s)\no0 = Mul(i0, t)",
               {{"a", rule_cases::number(1.5f)}});
  const Tensor a = random_floats({3, 4}, 3), b = random_floats({5, 4}, 4), c = random_floats({5}, 5);
  expect_means(contrib("FusedGemm", {a, b, c},
                       {{"transB", int64_t{1}},
                        {"alpha", 0.5f},
                        {"activation", std::string("LeakyRelu")},
                        {"activation_alpha", 0.3f}}),
               "g = Gemm(i0, i1, i2) transB=1 alpha=0.5\no0 = LeakyRelu(g) alpha=0.3");
  const Tensor image = random_floats({1, 2, 5, 5}, 6), filter = random_floats({2, 2, 3, 3}, 7),
               shift = random_floats({2}, 8), sum = random_floats({1, 2, 5, 5}, 9);
  expect_means(contrib("FusedConv", {image, filter, shift, sum},
                       {{"pads", Shape{1, 1, 1, 1}},
                        {"activation", std::string("Clip")},
                        {"activation_params", std::vector<float>{-0.5f, 0.5f}}}),
               "g = Conv(i0, i1, i2) pads=[1, 1, 1, 1]\ns = Add(g, i3)\no0 = Clip(s, low, high)",
               {{"low", rule_cases::number(-0.5f)}, {"high", rule_cases::number(0.5f)}});
  expect_refused(contrib("FusedGemm", {a, b, c}, {{"transB", int64_t{1}}, {"activation", std::string("Sine")}}),
                 "activation 'Sine'");
  expect_refused(contrib("FusedGemm", {a, b, c}), "node");
}

TEST(Spelled, MatMulTransposesLastAxesAndBatches) {
  const Tensor a = random_floats({2, 3, 4, 5}, 1), b = random_floats({2, 3, 6, 4}, 2);
  expect_means(contrib("FusedMatMul", {a, b}, {{"transA", int64_t{1}}, {"transB", int64_t{1}}, {"alpha", 2.0f}}),
               "p = Transpose(i0) perm=[0, 1, 3, 2]\nq = Transpose(i1) perm=[0, 1, 3, 2]\nm = MatMul(p, q)\n"
               "o0 = Mul(m, two)",
               {{"two", rule_cases::number(2)}});
  // Rows lead, the batches follow.
  expect_means(contrib("FusedMatMul", {random_floats({4, 2, 3, 5}, 3), random_floats({2, 3, 5, 6}, 4)},
                       {{"transBatchA", int64_t{1}}}),
               "p = Transpose(i0) perm=[1, 2, 0, 3]\no0 = MatMul(p, i1)");
  expect_means(contrib("FusedMatMul", {random_floats({4}, 5), random_floats({4, 3}, 6)}, {{"transA", int64_t{1}}}),
               "o0 = MatMul(i0, i1)");
  OneNode weights = contrib("FusedMatMul", {random_floats({2, 3, 4}, 7), random_floats({5, 4}, 8)},
                            {{"transB", int64_t{1}}, {"alpha", 0.5f}});
  weights.constants = {1};
  expect_native_equals_reference(weights, 0);
}

TEST(Spelled, Normalisations) {
  const Tensor x = random_floats({2, 3, 8}, 1), skip = random_floats({3, 8}, 2), scale = random_floats({8}, 3),
               shift = random_floats({8}, 4), bias = random_floats({8}, 5);
  OneNode norm = contrib("SkipLayerNormalization", {x, skip, scale, shift, bias}, {{"epsilon", 1e-3f}}, 4);
  norm.node.outputs[1] = norm.node.outputs[2] = "";
  expect_means(norm, "s = Add(i0, i1)\no3 = Add(s, i4)\no0 = LayerNormalization(o3, i2, i3) epsilon=0.001");
  norm.constants = {2, 3, 4};
  expect_native_equals_reference(norm, 0);
  expect_means(contrib("SkipLayerNormalization", {x, skip, scale}, {}, 3),
               "s = Add(i0, i1)\no0, o1, o2 = LayerNormalization(s, i2) epsilon=1e-12");
  OneNode simple = contrib("SkipSimplifiedLayerNormalization", {x, skip, scale, bias}, {}, 4);
  simple.node.outputs[1] = simple.node.outputs[2] = "";
  expect_means(simple, "s = Add(i0, i1)\no3 = Add(s, i3)\no0 = RMSNormalization(o3, i2) epsilon=1e-12");
  expect_means(contrib("SimplifiedLayerNormalization", {x, scale}, {{"axis", int64_t{-1}}}),
               "o0 = RMSNormalization(i0, i1) epsilon=1e-05");
  expect_refused(contrib("SkipSimplifiedLayerNormalization", {x, skip, scale}, {}, 2), "mean and deviation");
  expect_refused(contrib("SkipLayerNormalization", {x, random_floats({4, 8}, 6), scale}), "node");
}

TEST(Spelled, EmbeddingsAreSummedAndCounted) {
  const Tensor ids = ints32({2, 3}, {4, 0, 1, 2, 2, 3}), segments = ints32({2, 3}, {0, 1, 0, 1, 1, 0}),
               mask = ints32({2, 3}, {1, 1, 0, 1, 0, 0});
  OneNode one = contrib("EmbedLayerNormalization",
                        {ids, segments, random_floats({5, 4}, 1), random_floats({7, 4}, 2), random_floats({2, 4}, 3),
                         random_floats({4}, 4), random_floats({4}, 5), mask},
                        {{"epsilon", 1e-3f}}, 3);
  const auto made = one.reference();
  ASSERT_TRUE(made.ok()) << made.error().text();
  EXPECT_EQ(to_doubles(made.value().at("o1")), (std::vector<double>{2, 1}));
  const std::vector<double> sum = to_doubles(made.value().at("o2")), words = to_doubles(one.inputs[2]),
                            places = to_doubles(one.inputs[3]), kinds = to_doubles(one.inputs[4]);
  for (size_t k = 0; k < 4; ++k) EXPECT_NEAR(sum[20 + k], words[12 + k] + places[8 + k] + kinds[k], 1e-6);
  for (const size_t i : {2, 3, 4, 5, 6}) one.constants.insert(i);
  expect_native_equals_reference(one, -1);
  one.left_out = {1, 4, 7}, one.constants = {2, 3, 5, 6};
  expect_native_equals_reference(one, -1);
  one.left_out = {1, 4, 6};
  expect_refused(one, "needs input 6");
}

constexpr int64_t kBatch = 2, kPlaces = 3, kWidth = 8;

TEST(Spelled, AttentionProjectsAndMasks) {
  const Tensor x = random_floats({kBatch, kPlaces, kWidth}, 1), w = random_floats({kWidth, 3 * kWidth}, 2, 0.3),
               bias = random_floats({3 * kWidth}, 3);
  const std::string qkv =
      "m = MatMul(i0, i1)\np = Add(m, i2)\nq = Slice(p, a, b, axis)\nk = Slice(p, b, c, axis)\nv = Slice(p, c, d, "
      "axis)\n";
  const std::map<std::string, Tensor> cuts = {{"a", rule_cases::integers({0})},
                                              {"b", rule_cases::integers({8})},
                                              {"c", rule_cases::integers({16})},
                                              {"d", rule_cases::integers({24})},
                                              {"axis", rule_cases::integers({2})},
                                              {"seen", Tensor::of<float>({2, 1, 1, 3}, {0, 0, -1e4f, 0, -1e4f, -1e4f})},
                                              {"lead", Tensor::of<float>({2, 1, 1, 3}, {-1e4f, 0, 0, 0, 0, -1e4f})}};
  const Attributes two{{"num_heads", int64_t{2}}};
  expect_means(contrib("Attention", {x, w, bias}, two), qkv + "o0 = Attention(q, k, v) q_num_heads=2 kv_num_heads=2",
               cuts);
  Attributes ahead = two;
  ahead["unidirectional"] = int64_t{1};
  expect_means(contrib("Attention", {x, w, bias}, ahead),
               qkv + "o0 = Attention(q, k, v) q_num_heads=2 kv_num_heads=2 is_causal=1", cuts);
  const std::string masked = qkv + "o0 = Attention(q, k, v, seen) q_num_heads=2 kv_num_heads=2",
                    led = qkv + "o0 = Attention(q, k, v, lead) q_num_heads=2 kv_num_heads=2";
  // How many keys are seen, or which.
  expect_means(contrib("Attention", {x, w, bias, ints32({2}, {2, 1})}, two), masked, cuts);
  expect_means(contrib("Attention", {x, w, bias, ints32({2, 3}, {1, 1, 0, 1, 0, 0})}, two), masked, cuts);
  expect_means(contrib("Attention", {x, w, bias, ints32({4}, {3, 2, 1, 0})}, two), led, cuts);
  OneNode constant = contrib("Attention", {x, w, bias, ints32({2, 3}, {1, 1, 0, 1, 0, 0})}, two);
  constant.constants = {1, 2};
  expect_native_equals_reference(constant, -1);
  expect_refused(contrib("Attention", {x, w, bias, ints32({5}, {1, 1, 1, 1, 1})}, two), "mask 'i3' [5]");
  expect_refused(contrib("Attention", {x, w, bias}, {{"num_heads", int64_t{3}}}), "num_heads = 3");
  expect_refused(contrib("Attention", {x, w, bias}, {{"num_heads", int64_t{0}}}), "num_heads = 0");
}

// The last place, with the others as its past, is attended like all places at once.
TEST(Spelled, AttentionGoesOnFromItsPast) {
  const Tensor x = random_floats({kBatch, kPlaces, kWidth}, 1), w = random_floats({kWidth, 3 * kWidth}, 2, 0.3),
               bias = random_floats({3 * kWidth}, 3);
  const Attributes ahead{{"num_heads", int64_t{2}}, {"unidirectional", int64_t{1}}};
  const auto part = [&](int64_t from, int64_t to) {
    Tensor made(Type::kFloat32, {kBatch, to - from, kWidth});
    for (int64_t n = 0; n < kBatch; ++n)
      std::copy_n(x.data<float>() + (n * kPlaces + from) * kWidth, (to - from) * kWidth,
                  made.data<float>() + n * (to - from) * kWidth);
    return made;
  };
  const auto whole = contrib("Attention", {x, w, bias, kNone}, ahead, 2).reference(),
             before = contrib("Attention", {part(0, 2), w, bias, kNone}, ahead, 2).reference();
  ASSERT_TRUE(whole.ok() && before.ok()) << before.error().text();
  EXPECT_EQ(before.value().at("o1").shape(), (Shape{2, kBatch, 2, 2, 4}));
  const auto last = contrib("Attention", {part(2, 3), w, bias, kNone, before.value().at("o1")}, ahead, 2).reference();
  ASSERT_TRUE(last.ok()) << last.error().text();
  const std::vector<double> all = to_doubles(whole.value().at("o0")), one = to_doubles(last.value().at("o0")),
                            kept = to_doubles(whole.value().at("o1")), now = to_doubles(last.value().at("o1"));
  for (size_t n = 0; n < kBatch; ++n)
    for (size_t k = 0; k < kWidth; ++k) EXPECT_NEAR(one[n * kWidth + k], all[(n * kPlaces + 2) * kWidth + k], 1e-5);
  ASSERT_EQ(kept.size(), now.size());
  for (size_t i = 0; i < kept.size(); ++i) EXPECT_NEAR(now[i], kept[i], 1e-5);
}

TEST(Spelled, MultiHeadAttentionInEveryLayout) {
  const Tensor q = random_floats({2, 3, 8}, 1), k = random_floats({2, 4, 8}, 2), v = random_floats({2, 4, 8}, 3),
               bias = random_floats({24}, 4);
  const Attributes two{{"num_heads", int64_t{2}}};
  const std::string plain = "o0 = Attention(i0, i1, i2) q_num_heads=2 kv_num_heads=2";
  expect_means(contrib("MultiHeadAttention", {q, k, v}, two), plain);
  expect_means(contrib("MultiHeadAttention", {q, k, v, kNone, ints32({2, 4}, {1, 1, 1, 0, 1, 0, 1, 1})}, two),
               "o0 = Attention(i0, i1, i2, mask) q_num_heads=2 kv_num_heads=2",
               {{"mask", Tensor::of<float>({2, 1, 1, 4}, {0, 0, 0, -1e4f, 0, -1e4f, 0, 0})}});
  expect_means(contrib("MultiHeadAttention", {q, k, v, bias}, two),
               "q = Slice(i3, a, b)\nk = Slice(i3, b, c)\nv = Slice(i3, c, d)\ns = Add(i0, q)\nt = Add(i1, k)\n"
               "u = Add(i2, v)\no0 = Attention(s, t, u) q_num_heads=2 kv_num_heads=2",
               {{"a", rule_cases::integers({0})},
                {"b", rule_cases::integers({8})},
                {"c", rule_cases::integers({16})},
                {"d", rule_cases::integers({24})}});
  // Heads apart, and packed.
  const auto heads = [](const Tensor& of) { return of.reshaped({2, 2, 4, 4}); };
  expect_means(contrib("MultiHeadAttention", {q, heads(k), heads(v)}, two),
               "s = Transpose(i1) perm=[0, 2, 1, 3]\nt = Transpose(i2) perm=[0, 2, 1, 3]\nk = Reshape(s, flat)\n"
               "v = Reshape(t, flat)\no0 = Attention(i0, k, v) q_num_heads=2 kv_num_heads=2",
               {{"flat", rule_cases::integers({0, 0, -1})}});
  expect_means(contrib("MultiHeadAttention", {random_floats({2, 3, 2, 3, 4}, 5)}, two),
               "a = Gather(i0, zero) axis=3\nb = Gather(i0, one) axis=3\nc = Gather(i0, two) axis=3\n"
               "q = Reshape(a, flat)\nk = Reshape(b, flat)\nv = Reshape(c, flat)\n"
               "o0 = Attention(q, k, v) q_num_heads=2 kv_num_heads=2",
               {{"flat", rule_cases::integers({0, 0, -1})},
                {"zero", Tensor::of<int64_t>({}, {0})},
                {"one", Tensor::of<int64_t>({}, {1})},
                {"two", Tensor::of<int64_t>({}, {2})}});
  expect_native_equals_reference(contrib("MultiHeadAttention", {q, k, v, bias}, two), -1);
  expect_refused(contrib("MultiHeadAttention", {q, random_floats({8}, 1), v}, two), "no supported layout");
}

Tensor bytes(const Shape& shape, const std::vector<uint8_t>& values) { return Tensor::of<uint8_t>(shape, values); }

TEST(Spelled, QuantisedSumsAndProductsByHand) {
  const Tensor half = rule_cases::number(0.5f), one = rule_cases::number(1), ten = bytes({}, {10}),
               five = bytes({}, {5});
  const auto answer = [](const OneNode& given) { return to_doubles(given.reference().value().at("o0")); };
  // (a - 10) / 2 + (b - 5), a step of 1 from 5: ties go to even steps, both ends hold.
  const Tensor a = bytes({4}, {10, 11, 13, 255}), b = bytes({4}, {5, 5, 5, 255});
  EXPECT_EQ(answer(contrib("QLinearAdd", {a, half, ten, b, one, five, one, five})),
            (std::vector<double>{5, 6, 6, 255}));
  EXPECT_EQ(answer(contrib("QLinearMul", {a, half, ten, bytes({1}, {7}), one, five, one, five})),
            (std::vector<double>{5, 6, 8, 250}));
  const Tensor x = Tensor::of<int8_t>({1, 3}, {1, 2, -3}), w = Tensor::of<int8_t>({3, 2}, {1, 2, 3, 4, 5, 6});
  const Tensor shift = Tensor::of<int32_t>({2}, {10, -10});
  // [-8, -8] + [10, -10] times 1 / 4.
  EXPECT_EQ(
      answer(contrib("QGemm", {x, half, Tensor::of<int8_t>({}, {0}), w, half, Tensor::of<int8_t>({}, {0}), shift})),
      (std::vector<double>{0.5, -4.5}));
  const Tensor fine = rule_cases::number(0.1f), wide = bytes({2, 2}, {0, 10, 20, 30});
  EXPECT_EQ(answer(contrib("QLinearConcat", {one, five, wide, one, ten, wide, half, ten}, {{"axis", int64_t{1}}})),
            (std::vector<double>{0, 5, 0, 5, 15, 25, 10, 15}));
  EXPECT_EQ(answer(contrib("QLinearLeakyRelu", {wide, one, ten, fine, five}, {{"alpha", 0.5f}})),
            (std::vector<double>{0, 5, 105, 205}));
  expect_refused(contrib("QLinearAdd", {a, half, ten, b, Tensor::of<float>({2}, {1, 1}), five, one, five}),
                 "one number");
  expect_refused(contrib("QLinearAdd", {a, half, Tensor::of<int8_t>({}, {1}), b, one, five, one, five}),
                 "differ in type");
  expect_refused(contrib("QLinearAdd", {a, half, ten, Tensor::of<float>({1}, {1}), one, five, one, five}), "float32");
  for (const char* op : {"QLinearAdd", "QLinearMul"})
    expect_native_equals_reference(contrib(op, {a, half, ten, b, one, five, one, five}), -1);
}

// As ONNX Runtime's optimiser writes them; each is the standard's operator on the turned image.
TEST(Spelled, ImagesWithChannelsLast) {
  const auto turned = [](const Tensor& x, std::vector<int64_t> perm) {
    return OneNode("Transpose", {x}, {{"perm", std::move(perm)}}).reference().value().at("o0");
  };
  Tensor x(Type::kUInt8, {2, 4, 5, 3});
  for (int64_t i = 0; i < x.count(); ++i) x.data<uint8_t>()[i] = static_cast<uint8_t>(i * 37);
  const Tensor first = turned(x, {0, 3, 1, 2});
  Tensor w(Type::kInt8, {4, 3, 2, 2});
  for (int64_t i = 0; i < w.count(); ++i) w.data<int8_t>()[i] = static_cast<int8_t>(i * 11 % 19 - 9);
  const Tensor step = rule_cases::number(0.1f), zero = Tensor::of<uint8_t>({}, {9}), none = Tensor::of<int8_t>({}, {0});
  const std::vector<Tensor> rest{step, zero, w, step, none, rule_cases::number(5), zero};
  const auto conv = [&](const Tensor& image, const std::string& domain, Attributes attributes) {
    std::vector<Tensor> inputs{image};
    inputs.insert(inputs.end(), rest.begin(), rest.end());
    attributes["strides"] = std::vector<int64_t>{1, 2};
    return OneNode("QLinearConv", inputs, attributes, 1, domain);
  };
  const OneNode last = conv(x, "com.microsoft", {{"channels_last", int64_t{1}}});
  const Attributes window{{"kernel_shape", std::vector<int64_t>{2, 3}}};
  const OneNode pool("NhwcMaxPool", {x}, window, 1, "com.microsoft");
  for (const auto& [own, plain] : {std::pair{last, conv(first, "", {})},
                                   {conv(first, "com.microsoft", {}), conv(first, "", {})},
                                   {pool, OneNode("MaxPool", {first}, window)}}) {
    const auto got = own.reference(), wanted = plain.reference();
    ASSERT_TRUE(got.ok()) << got.error().text();
    ASSERT_TRUE(wanted.ok()) << wanted.error().text();
    const bool is_last = own.inputs[0].shape() == x.shape();
    const Tensor made = is_last ? turned(got.value().at("o0"), {0, 3, 1, 2}) : got.value().at("o0");
    EXPECT_EQ(made.shape(), wanted.value().at("o0").shape());
    EXPECT_EQ(to_int64s(made), to_int64s(wanted.value().at("o0")));
    expect_native_equals_reference(own, -1);
  }
}

Tensor rounded(const Tensor& of) {  // to int8
  Tensor made(Type::kInt8, of.shape());
  for (int64_t i = 0; i < of.count(); ++i) made.data<int8_t>()[i] = static_cast<int8_t>(of.data<float>()[i]);
  return made;
}

// With weights that are whole steps, the LSTM of the same numbers up to what its inputs lose in 8 bits.
// Weights [D, in, 4H] in steps of 0.01 as LSTM takes them: [D, 4H, in].
Tensor as_floats(const Tensor& q) {
  Tensor made(Type::kFloat32, {q.shape()[0], q.shape()[2], q.shape()[1]});
  for (int64_t d = 0; d < made.shape()[0]; ++d)
    for (int64_t i = 0; i < made.shape()[1]; ++i)
      for (int64_t k = 0; k < made.shape()[2]; ++k)
        made.data<float>()[(d * made.shape()[1] + i) * made.shape()[2] + k] =
            0.01f * q.data<int8_t>()[(d * q.shape()[1] + k) * q.shape()[2] + i];
  return made;
}

// The reference's answers to the two, which differ by what quantising costs.
void expect_near(const OneNode& got, const OneNode& wanted, double bound) {
  const auto a = got.reference(), b = wanted.reference();
  ASSERT_TRUE(a.ok()) << a.error().text();
  ASSERT_TRUE(b.ok()) << b.error().text();
  for (const auto& [name, tensor] : b.value()) {
    ASSERT_EQ(a.value().at(name).shape(), tensor.shape());
    const std::vector<double> x = to_doubles(a.value().at(name)), y = to_doubles(tensor);
    for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(x[i], y[i], bound) << name << " " << i;
  }
}

// What ONNX Runtime answers: as its global pool, whose sum is of integers. One by one they would fall to -16 and -123.
TEST(Spelled, AWindowOfTheWholeImageIsTheGlobalPool) {
  const auto expect = [](const std::vector<int8_t>& x, float x_scale, int8_t x_zero, float y_scale, int8_t y_zero,
                         double wanted) {
    const auto number = [](float value) { return Tensor::of<float>({}, {value}); };
    const auto zero = [](int8_t value) { return Tensor::of<int8_t>({}, {value}); };
    const OneNode one =
        contrib("QLinearAveragePool",
                {Tensor::of<int8_t>({1, 1, 2, 2}, x), number(x_scale), zero(x_zero), number(y_scale), zero(y_zero)},
                {{"kernel_shape", Shape{2, 2}}, {"strides", Shape{2, 1}}});
    EXPECT_EQ(to_doubles(one.reference().value().at("o0")), std::vector<double>{wanted});
    expect_native_equals_reference(one, -1);
  };
  expect({33, 10, 14, 110}, 0.04f, 33, 0.1f, -20, -17);
  expect({-28, 90, 13, -120}, 0.1f, 47, 0.05f, -6, -122);
}

TEST(Spelled, DynamicQuantizeLstmIsAnLstm) {
  constexpr int64_t kHidden = 4;
  const Tensor x = random_floats({5, 2, 3}, 1), bias = random_floats({2, 8 * kHidden}, 2);
  const Tensor w = rounded(random_floats({2, 3, 4 * kHidden}, 3, 40)),
               r = rounded(random_floats({2, kHidden, 4 * kHidden}, 4, 40));
  const Tensor scale = Tensor::of<float>({2}, {0.01f, 0.01f}), zero = Tensor::of<int8_t>({2}, {0, 0});
  const Attributes both{{"hidden_size", kHidden}, {"direction", std::string("bidirectional")}};
  const OneNode one =
      contrib("DynamicQuantizeLSTM", {x, w, r, bias, kNone, kNone, kNone, kNone, scale, zero, scale, zero}, both, 3);
  expect_near(one, OneNode("LSTM", {x, as_floats(w), as_floats(r), bias}, both, 3), 0.02);
  expect_native_equals_reference(one, -1);
  OneNode wrong = one;
  wrong.node.attributes = {{"hidden_size", kHidden}};
  expect_refused(wrong, "do not fit its direction");
  wrong = one;
  wrong.inputs[0] = Tensor(Type::kFloat32, {3000, 2, 3});  // of 2 directions
  expect_refused(wrong, "2048 in all");
}

// Lengths, peepholes, clip and input_forget, forwards and backwards, beside the float LSTM with the same weights.
TEST(Spelled, DynamicQuantizeLstmHasEveryPartOfAnLstm) {
  constexpr int64_t kHidden = 4;
  const Tensor x = random_floats({5, 3, 3}, 1), bias = random_floats({2, 8 * kHidden}, 2),
               h = random_floats({2, 3, kHidden}, 5), c = random_floats({2, 3, kHidden}, 6),
               peepholes = random_floats({2, 3 * kHidden}, 7), lengths = ints32({3}, {5, 2, 4});
  const Tensor w = rounded(random_floats({2, 3, 4 * kHidden}, 3, 40)),
               r = rounded(random_floats({2, kHidden, 4 * kHidden}, 4, 40));
  const Tensor scale = Tensor::of<float>({2}, {0.01f, 0.01f}), zero = Tensor::of<int8_t>({2}, {0, 0});
  const Attributes both{{"hidden_size", kHidden}, {"direction", std::string("bidirectional")}};
  Attributes clip = both, forget = both;
  clip["clip"] = 0.5f, forget["input_forget"] = int64_t{1};
  for (const Attributes& attributes : {both, clip, forget})
    for (const bool peeps : {false, true})
      for (const bool cut : {false, true}) {
        const Tensor p = peeps ? peepholes : kNone, l = cut ? lengths : kNone;
        const OneNode one =
            contrib("DynamicQuantizeLSTM", {x, w, r, bias, l, h, c, p, scale, zero, scale, zero}, attributes, 3);
        OneNode floats("LSTM", {x, as_floats(w), as_floats(r), bias, l, h, c, p}, attributes, 3);
        if (!cut) floats.left_out.insert(4);
        if (!peeps) floats.left_out.insert(7);
        expect_near(one, floats, 0.03);
        expect_native_equals_reference(one, -1);
      }
}

TEST(Spelled, RotaryEmbeddingFromPositions) {
  const Tensor x = random_floats({2, 3, 8}, 1), cosines = random_floats({9, 2}, 2), sines = random_floats({9, 2}, 3);
  const Tensor each = Tensor::of<int64_t>({2, 3}, {0, 1, 2, 5, 3, 8}), first = Tensor::of<int64_t>({1}, {4});
  expect_means(contrib("RotaryEmbedding", {x, each, cosines, sines}),
               "o0 = RotaryEmbedding(i0, i2, i3, i1) num_heads=2");
  expect_means(contrib("RotaryEmbedding", {x, first, cosines, sines}, {{"interleaved", int64_t{1}}}),
               "o0 = RotaryEmbedding(i0, i2, i3, p) num_heads=2 interleaved=1",
               {{"p", Tensor::of<int64_t>({2, 3}, {4, 5, 6, 4, 5, 6})}});
  expect_refused(contrib("RotaryEmbedding", {x, first, cosines, sines}, {{"scale", 0.5f}}), "a scale");
}

TEST(Spelled, QuantisedChoicesByHand) {
  const Tensor scale = rule_cases::number(0.5f), zero = Tensor::of<uint8_t>({}, {10});
  // Steps of 0.5 from 10 to steps of 1 from 20: (12 - 10) / 2 + 20; ties go to the even step.
  const OneNode one = contrib(
      "QLinearWhere", {Tensor::of<bool>({4}, {true, false, true, false}), Tensor::of<uint8_t>({4}, {12, 0, 11, 0}),
                       scale, zero, Tensor::of<uint8_t>({}, {20}), rule_cases::number(0.25f),
                       Tensor::of<uint8_t>({}, {0}), rule_cases::number(1), Tensor::of<uint8_t>({}, {20})});
  const auto made = one.reference();
  ASSERT_TRUE(made.ok()) << made.error().text();
  EXPECT_EQ(to_doubles(made.value().at("o0")), (std::vector<double>{21, 25, 20, 25}));
  expect_native_equals_reference(one, -1);
}

TEST(Spelled, ScalesOf16BitsQuantise) {
  Tensor scale(Type::kFloat16, {}), x(Type::kFloat16, {4});
  doubles_to_halves(Tensor::of<double>({}, {0.5}), &scale);
  doubles_to_halves(Tensor::of<double>({4}, {1, -0.75, 0.25, 100}), &x);
  const auto steps = OneNode("QuantizeLinear", {x, scale, Tensor::of<int8_t>({}, {1})}).reference();
  ASSERT_TRUE(steps.ok()) << steps.error().text();
  EXPECT_EQ(to_doubles(steps.value().at("o0")), (std::vector<double>{3, -1, 1, 127}));
  const auto back =
      OneNode("DequantizeLinear", {steps.value().at("o0"), scale, Tensor::of<int8_t>({}, {1})}).reference();
  ASSERT_TRUE(back.ok()) << back.error().text();
  EXPECT_EQ(back.value().at("o0").type(), Type::kFloat16);
  EXPECT_EQ(to_doubles(halves_to_doubles(back.value().at("o0"))), (std::vector<double>{1, -1, 0, 63}));
  const auto product = OneNode("QLinearMatMul", {bytes({1, 2}, {3, 5}), scale, bytes({}, {1}), bytes({2, 1}, {2, 4}),
                                                 scale, bytes({}, {0}), scale, bytes({}, {7})})
                           .reference();
  ASSERT_TRUE(product.ok()) << product.error().text();
  EXPECT_EQ(to_doubles(product.value().at("o0")), (std::vector<double>{17}));
}

TEST(Spelled, RowsStayApart) {
  Graph graph =
      contrib("SkipLayerNormalization", {random_floats({3, 8}, 1), random_floats({3, 8}, 2), random_floats({8}, 3)})
          .graph();
  graph.inputs.pop_back();
  graph.constants.emplace("i2", random_floats({8}, 3));
  const auto types = [](int64_t n) {
    return std::map<std::string, TensorType>{{"i0", {Type::kFloat32, {n, 8}}}, {"i1", {Type::kFloat32, {n, 8}}}};
  };
  EXPECT_EQ(rows_depend(graph, types(3), types(5)), "");
}

// What a node writes out never takes a name that is there.
TEST(Spelled, NamesDoNotMeet) {
  Graph graph = contrib("BiasGelu", {random_floats({2, 3}, 1), random_floats({3}, 2)}).graph();
  graph.nodes.push_back({"same", "", "Neg", {"i0"}, {"o0/Add0"}, {}});
  graph.outputs.push_back({"o0/Add0", Type::kFloat32, false, {}});
  const auto made = written_out(graph, {{"i0", {Type::kFloat32, {2, 3}}}, {"i1", {Type::kFloat32, {3}}}});
  ASSERT_TRUE(made.ok()) << made.error().text();
  EXPECT_TRUE(verify(made.value()).ok());
  EXPECT_EQ(made.value().nodes.size(), 3u);
}

}  // namespace
}  // namespace hayate
